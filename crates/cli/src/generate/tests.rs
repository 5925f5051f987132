//! The stream as its readers see it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

const START_NS: i64 = 1_767_225_600_000_000_000;

fn config(seed: u64) -> GeneratorConfig {
    GeneratorConfig {
        seed,
        start_ns: START_NS,
        events_per_second: NonZeroU64::new(100).unwrap(),
        sources: Vec::new(),
        attack_every: 300,
    }
}

fn events(config: GeneratorConfig, count: usize) -> Vec<(Emitted, Value)> {
    let mut generator = Generator::new(config);
    let mut out = Vec::new();
    let mut emit = || {
        out.clear();
        let emitted = generator.next(&mut out);
        (emitted, serde_json::from_slice(&out).unwrap())
    };
    (0..count).map(|_| emit()).collect()
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[test]
fn a_seed_means_the_same_bytes_for_ever() {
    let bytes = |seed| {
        let mut generator = Generator::new(config(seed));
        let mut out = Vec::new();
        for _ in 0..10_000 {
            generator.next(&mut out);
            out.push(b'\n');
        }
        out
    };
    let first = bytes(1);
    assert_eq!(hash(&first), hash(&bytes(1)));
    assert_ne!(hash(&first), hash(&bytes(2)));
    // Changing what is written changes this number: say so in the release notes, others may have recorded it.
    assert_eq!(hash(&first), 0x5a5b_161a_6e74_5611, "{:#x}", hash(&first));
}

#[test]
fn every_event_is_json_with_the_time_it_claims() {
    for (emitted, event) in events(config(2), 20_000) {
        let field = match emitted.source {
            SourceKind::WindowsNested => {
                &event["Event"]["System"]["TimeCreated"]["#attributes"]["SystemTime"]
            }
            source => &event[source.timestamp_field()],
        };
        let time = chrono::DateTime::parse_from_rfc3339(field.as_str().unwrap()).unwrap();
        assert_eq!(
            time.timestamp_nanos_opt().unwrap(),
            emitted.time_ns,
            "{event}"
        );
    }
}

#[test]
fn time_passes_at_the_rate_asked_for_and_disorder_is_bounded() {
    let events = events(config(3), 20_000);
    let mut latest = i64::MIN;
    let mut late = 0;
    for (emitted, _) in &events {
        assert!(
            emitted.time_ns >= latest.saturating_sub(MAX_DISORDER_NS),
            "{emitted:?}"
        );
        late += usize::from(emitted.time_ns < latest);
        latest = latest.max(emitted.time_ns);
    }
    assert!(late > 500, "only {late} events out of order");
    let seconds = (latest - START_NS) / 1_000_000_000;
    assert!(
        (170..=210).contains(&seconds),
        "{seconds} s for 20,000 events at 100/s, some of them attacks"
    );
}

#[test]
fn sources_have_their_share_and_their_own_numbering() {
    let mut next = BTreeMap::new();
    for (emitted, _) in events(config(4), 20_000) {
        let expected = next.entry(emitted.source).or_insert(0);
        assert_eq!(emitted.index, *expected);
        *expected += 1;
    }
    assert_eq!(next.len(), 5);
    assert!(next[&SourceKind::WindowsFlat] > 2 * next[&SourceKind::WindowsNested]);
    assert!(next[&SourceKind::Sshd] > 1000);
}

#[test]
fn only_the_sources_asked_for() {
    let only = GeneratorConfig {
        sources: vec![SourceKind::Sshd],
        ..config(5)
    };
    let events = events(only, 3000);
    assert!(
        events
            .iter()
            .all(|(emitted, _)| emitted.source == SourceKind::Sshd)
    );
    assert!(events.iter().any(|(emitted, _)| emitted.truth.is_some()));
}

#[test]
fn no_attacks_when_none_are_wanted() {
    let peaceful = GeneratorConfig {
        attack_every: 0,
        ..config(6)
    };
    assert!(
        events(peaceful, 5000)
            .iter()
            .all(|(emitted, _)| emitted.truth.is_none())
    );
}

#[test]
fn the_truth_names_events_that_exist_and_shows_every_scenario() {
    let mut generator = Generator::new(config(7));
    let (mut truths, mut counts, mut out) = (Vec::new(), BTreeMap::new(), Vec::new());
    for _ in 0..30_000 {
        out.clear();
        let emitted = generator.next(&mut out);
        counts.insert(emitted.source, emitted.index + 1);
        truths.extend(emitted.truth);
    }
    let complete: BTreeSet<&str> = truths.iter().map(|truth| truth.scenario).collect();
    assert_eq!(complete.len(), 7, "{complete:?}");
    let rules: BTreeSet<&str> = truths
        .iter()
        .flat_map(|truth| &truth.expected)
        .map(|expected| expected.rule)
        .collect();
    assert_eq!(rules.len(), 16, "{rules:?}");
    truths.extend(generator.finish());
    let mut numbers = BTreeSet::new();
    for truth in &truths {
        assert!(
            numbers.insert(truth.attack),
            "attack {} told twice",
            truth.attack
        );
        assert!(
            truth.start_ns <= truth.end_ns
                && truth
                    .events
                    .iter()
                    .all(|&event| event < counts[&truth.source])
        );
        for expected in &truth.expected {
            assert!(
                expected
                    .events
                    .iter()
                    .all(|event| truth.events.contains(event)),
                "{truth:?}"
            );
        }
    }
}

#[test]
fn the_rules_that_are_expected_to_fire_are_shipped() {
    let mut text = String::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../rules"
    ))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    for (emitted, _) in events(config(8), 20_000) {
        for expected in emitted.truth.iter().flat_map(|truth| &truth.expected) {
            assert!(
                text.contains(&format!("id: {}", expected.rule)),
                "rule {} is not in rules/",
                expected.rule
            );
        }
    }
}
