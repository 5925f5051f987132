//! Snapshots: their format, what damage does, and what another set of rules makes of them. That a state which was written and read
//! back goes on as if nothing had happened is in every property of this folder: `Setup::restart`.

use std::sync::Arc;

use haechi_rules::{
    Combination, CompareOp, Correlation, CorrelationCondition, CorrelationKind, Emission,
    FieldType, Referent, RuleSet, Suppress,
};
use proptest::prelude::*;

use super::logs::{log, setup};
use super::world::{
    Event, SECOND, Setup, correlation, gathered, header, number, plan, restore, rollup, rule_set,
    snapshot, stage1,
};
use crate::{Budget, Correlated, Merger, Outcome, Plan, Retired, SnapshotError, SnapshotName};

/// One correlation of each kind of value, one of correlations, and a rollup of each kind of window.
fn rules() -> RuleSet {
    let kind = |id: &str, kind: CorrelationKind, least: f64| Correlation {
        header: header(id),
        kind,
        ..correlation(2, &["host"], 20 * SECOND, &[(CompareOp::Gte, least)])
    };
    let below = Correlation {
        alerts: false,
        ..kind("below", CorrelationKind::EventCount, 1.0)
    };
    let above = Correlation {
        header: header("above"),
        rules: vec![Referent::Correlation(0), Referent::Detection(0)],
        kind: CorrelationKind::Temporal,
        condition: CorrelationCondition::Rules(Combination::And(vec![
            Combination::Rule(0),
            Combination::Rule(1),
        ])),
        ..correlation(2, &["host"], 60 * SECOND, &[])
    };
    let sql = |id: &str, window: &str| {
        let sql = format!(
            "SELECT host, count(*) AS n, avg(bytes) AS mean, count(DISTINCT user) AS users FROM logs GROUP BY {window}, host"
        );
        let mut rule = rollup(&sql, &[("bytes", FieldType::Double)]);
        rule.header = header(id);
        rule
    };
    let mut late = sql("tumble", "tumble(interval '10 seconds')");
    late.allowed_lateness_ns = 30 * SECOND;
    rule_set(
        2,
        vec![
            below,
            Correlation {
                emit: Emission::Early,
                ..kind("count", CorrelationKind::EventCount, 3.0)
            },
            kind(
                "values",
                CorrelationKind::ValueCount(vec!["user".into()]),
                2.0,
            ),
            kind("sum", CorrelationKind::ValueSum("bytes".into()), 5.0),
            above,
        ],
        vec![
            late,
            sql("hop", "hop(interval '10 seconds', interval '30 seconds')"),
            sql("session", "session(interval '7 seconds')"),
        ],
    )
}

/// The same, a detection whose first alerts are told at once, and the others counted, and a correlation of what is new.
pub(super) fn all_rules() -> RuleSet {
    let mut rules = rules();
    rules.correlations.push(Arc::new(Correlation {
        header: header("new"),
        kind: CorrelationKind::NewTerms {
            fields: vec!["user".into(), "bytes".into()],
            remember: 1000,
        },
        quote: 1,
        ..correlation(2, &["host"], 40 * SECOND, &[(CompareOp::Gte, 1.0)])
    }));
    let rule = Arc::make_mut(&mut rules.detections[0]);
    rule.alerts = true;
    rule.header.suppress = Some(Suppress {
        by: vec!["user".into()],
        fields: vec!["user".into()],
        for_ns: 15 * SECOND,
        at_once: true,
    });
    rules
}

/// The same, with more that is new than is known by name.
fn crowded_rules() -> RuleSet {
    let mut rules = all_rules();
    for rule in &mut rules.correlations {
        if let CorrelationKind::NewTerms { remember, .. } = &mut Arc::make_mut(rule).kind {
            *remember = 2;
        }
    }
    rules
}

fn events() -> Vec<Event> {
    let event = |n: i64| {
        Event::at(n * 3 * SECOND)
            .with("host", ["a", "b", "c"][(n % 3) as usize])
            .with("bytes", &format!("{n}.5"))
            .with("user", &format!("user {}", n % 4))
            .hit((n % 2) as u32)
    };
    number((0..20).map(event).collect())
}

fn exchange(plan: &Arc<Plan>) -> Vec<Vec<u8>> {
    let setup = Setup {
        batches: vec![2],
        lateness: std::time::Duration::from_secs(5),
        ..Setup::default()
    };
    stage1(plan, &setup, &events()).remove(0)
}

fn after(plan: &Arc<Plan>, records: &[Vec<u8>]) -> Merger {
    let mut merger = Merger::new(Arc::clone(plan), 0);
    for record in records {
        merger.apply(record).unwrap();
    }
    merger
}

fn rest(mut merger: Merger, records: &[Vec<u8>]) -> Vec<Outcome> {
    let outcomes = records.iter().map(|record| merger.apply(record).unwrap());
    outcomes.flatten().collect()
}

/// What `fixtures/snapshot-v1.bin` holds: the name, then each chunk with its length.
fn fixture(name: SnapshotName, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("{}\n", name.text()).into_bytes();
    for chunk in chunks {
        bytes.extend((chunk.len() as u32).to_le_bytes());
        bytes.extend(chunk);
    }
    bytes
}

fn read_fixture(bytes: &[u8]) -> (SnapshotName, Vec<Vec<u8>>) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    let name = SnapshotName::of_text(std::str::from_utf8(&bytes[..end]).unwrap()).unwrap();
    let (mut chunks, mut rest) = (Vec::new(), &bytes[end + 1..]);
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (chunk, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        chunks.push(chunk.to_vec());
        rest = after;
    }
    (name, chunks)
}

const AT: usize = 6;

/// The fixture was written by the release that introduced the format. It must stay readable, and mean the same.
#[test]
fn format_1_is_still_read() {
    let plan = plan(&rules());
    let records = exchange(&plan);
    let (name, chunks) = read_fixture(include_bytes!("../../fixtures/snapshot-v1.bin"));
    assert_eq!(name.offset, AT as i64);
    let restored = restore(&plan, 0, name, &chunks).unwrap();
    let expected = rest(after(&plan, &records[..AT]), &records[AT..]);
    assert!(expected.len() > 20, "{}", expected.len());
    assert_eq!(rest(restored, &records[AT..]), expected);
}

/// Writes the fixture. Only for a new version of the format, under a new name.
#[test]
#[ignore = "writes the fixture"]
fn write_fixture() {
    let plan = plan(&rules());
    let mut merger = after(&plan, &exchange(&plan)[..AT]);
    let (name, chunks) = snapshot(&mut merger, AT as i64, 2000);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/snapshot-v1.bin");
    std::fs::write(path, fixture(name, &chunks)).unwrap();
}

#[test]
fn a_name_is_read_as_it_was_written() {
    let name = SnapshotName {
        offset: 77,
        digest: [0xab; 32],
        slot: 1,
        from: 1 << 40,
    };
    assert_eq!(SnapshotName::of_text(&name.text()), Some(name));
    for text in [
        "",
        "haechi-snapshot-1",
        "haechi-clock-1 5 5",
        "haechi-snapshot-2 7",
    ] {
        assert_eq!(SnapshotName::of_text(text), None, "{text}");
    }
    let slot = name.text().replace(" 1 1099511627776", " 2 1099511627776");
    assert_eq!(SnapshotName::of_text(&slot), None);
}

#[test]
fn another_version_is_refused_by_its_number() {
    let plan = plan(&rules());
    let mut merger = after(&plan, &exchange(&plan)[..AT]);
    let (name, mut chunks) = snapshot(&mut merger, 3, 100_000);
    chunks[1][4] = 9;
    let error = restore(&plan, 0, name, &chunks).err().unwrap();
    assert_eq!(error, SnapshotError::Version { found: 9 });
    assert!(error.to_string().contains("version 9"), "{error}");
}

#[test]
fn what_is_not_whole_is_refused() {
    let plan = plan(&rules());
    let mut merger = after(&plan, &exchange(&plan)[..AT]);
    let (name, chunks) = snapshot(&mut merger, 3, 1000);
    assert!(chunks.len() > 8, "{}", chunks.len());
    assert!(chunks.iter().all(|chunk| chunk.len() < 2000));
    for missing in 0..chunks.len() {
        let mut some = chunks.clone();
        some.remove(missing);
        let error = restore(&plan, 0, name, &some).err().unwrap();
        assert!(matches!(error, SnapshotError::Corrupt(_)), "{error}");
    }
    for damaged in 0..chunks.len() {
        let mut some = chunks.clone();
        let middle = some[damaged].len() / 2;
        some[damaged][middle] ^= 1;
        assert!(restore(&plan, 0, name, &some).is_err());
    }
    assert!(
        restore(&plan, 1, name, &chunks).is_err(),
        "another partition's"
    );
    let other = SnapshotName { offset: 4, ..name };
    assert!(
        restore(&plan, 0, other, &chunks).is_err(),
        "another offset's"
    );
    let other = SnapshotName {
        digest: [0; 32],
        ..name
    };
    assert!(
        restore(&plan, 0, other, &chunks).is_err(),
        "not the one meant"
    );
}

/// The topic holds chunks of several snapshots, in any order once it was compacted, and of attempts that were given up.
#[test]
fn its_chunks_are_found_among_others() {
    let plan = plan(&rules());
    let records = exchange(&plan);
    let (_, older) = snapshot(&mut after(&plan, &records[..AT - 2]), 4, 300);
    let (_, given_up) = snapshot(&mut after(&plan, &records[..AT]), 6, 300);
    let (name, chunks) = snapshot(&mut after(&plan, &records[..AT]), 6, 900);
    assert!(given_up.len() > chunks.len());
    let mut all = [older, given_up, chunks].concat();
    all.push(b"rubbish".to_vec());
    all.rotate_left(5);
    all.sort_by_key(|chunk| chunk.len() % 7 == 3);
    let restored = restore(&plan, 0, name, &all);
    // Whatever came last under an index holds, as in a compacted topic: so this may not be whole, but is never wrong.
    if let Ok(merger) = restored {
        let expected = rest(after(&plan, &records[..AT]), &records[AT..]);
        assert_eq!(rest(merger, &records[AT..]), expected);
    }
}

#[test]
fn rules_that_mean_the_same_keep_their_state_wherever_they_stand() {
    let old = plan(&rules());
    let records = exchange(&old);
    let (name, chunks) = snapshot(&mut after(&old, &records[..AT]), 6, 500);
    let mut others = rules();
    // Detections and rollups stand elsewhere, one correlation has another meaning, one rollup has gone.
    others.rollups.rotate_left(1);
    others.rollups.remove(0);
    let mut changed = (*others.correlations[1]).clone();
    changed.timespan_ns += 1;
    others.correlations[1] = Arc::new(changed);
    let new = plan(&others);
    let restored = restore(&new, 0, name, &chunks).unwrap();
    let mut adopted = after(&old, &records[..AT]);
    adopted.adopt(&new);
    let expected = rest(adopted, &records[AT..]);
    assert!(expected.len() > 10);
    assert_eq!(rest(restored, &records[AT..]), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A snapshot changes nothing in the state that it is of, and one of correlations is the same bytes when it was read back.
    #[test]
    fn writing_changes_nothing_and_reading_back_gives_the_same(log in log(), setup in setup(), cut in 0usize..60, limit in 200usize..3000) {
        let plan = &plan(&crowded_rules());
        let exchange = stage1(plan, &setup, &log);
        for (records, partition) in exchange.iter().zip(0..) {
            let cut = cut.min(records.len());
            let merger = |records: &[Vec<u8>]| {
                let mut merger = Merger::new(Arc::clone(plan), partition);
                records.iter().for_each(|record| { merger.apply(record).unwrap(); });
                merger
            };
            let (untouched, mut written) = (merger(&records[..cut]), merger(&records[..cut]));
            let (name, chunks) = snapshot(&mut written, cut as i64, limit);
            let mut restored = restore(plan, partition, name, &chunks).unwrap();
            let kind = |chunk: &Vec<u8>| chunk[32] < 5 || (8..=13).contains(&chunk[32]);
            let (_, again) = snapshot(&mut restored, cut as i64, limit);
            prop_assert_eq!(chunks.iter().filter(|c| kind(c)).collect::<Vec<_>>(), again.iter().filter(|c| kind(c)).collect::<Vec<_>>());
            prop_assert_eq!(restored.watermark_ns(), untouched.watermark_ns());
            let expected = rest(untouched, &records[cut..]);
            prop_assert_eq!(&rest(written, &records[cut..]), &expected);
            prop_assert_eq!(&rest(restored, &records[cut..]), &expected);
        }
    }
}

/// What a new owner, whose rules have none that tells early, says for those that had: as it would have said when they were taken away
/// while it ran.
fn retired(plan: &Plan, partition: u32, at: &Snapshot, later: &[Vec<u8>]) -> Vec<String> {
    let (name, chunks) = at;
    let snapshot = gathered(partition, *name, chunks).unwrap();
    let retired = Retired::of(plan, partition, &snapshot, None, Budget::UNLIMITED);
    let Some(mut retired) = retired.unwrap() else {
        return Vec::new();
    };
    for record in later {
        retired.apply(record, None).unwrap();
    }
    let (rules, words) = retired.leave();
    words.iter().map(|outcome| word(&rules, outcome)).collect()
}

type Snapshot = (SnapshotName, Vec<Vec<u8>>);

/// A finding by the names of its rules, which have other numbers elsewhere.
fn word(rules: &RuleSet, outcome: &Outcome) -> String {
    let Outcome::Correlated(found) = outcome else {
        panic!("{outcome:?}");
    };
    let rule = &rules.correlations[found.rule].header.id;
    let events = found.events.iter().map(|event| {
        let by = &rules.detections[event.rule as usize].header.id;
        format!("{:?} {} {by}", event.source, event.offset)
    });
    let events: Vec<String> = events.collect();
    let Correlated {
        group,
        opening,
        count,
        revision,
        phase,
        ..
    } = found;
    format!("{rule} {group:?} {opening:?} {count} {revision} {phase:?} {events:?}")
}

#[test]
fn a_rule_that_goes_while_nobody_runs_takes_its_early_findings_back() {
    let (before, mut rules) = (all_rules(), all_rules());
    rules.correlations.remove(1);
    // The one of correlations refers to the first, which keeps its place; `early` was the second.
    let (old, new) = (plan(&before), plan(&rules));
    let records = exchange(&old);
    let at = snapshot(&mut after(&old, &records[..AT]), AT as i64, 700);
    let words = retired(&new, 0, &at, &records[AT..8]);
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].contains("Withdrawn(None)"), "{words:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever the snapshot was taken, wherever the work was left, and whether rules that stay are referred to or not.
    #[test]
    fn rules_that_go_while_nobody_runs_leave_nothing_open(log in log(), setup in setup(), cut in 0usize..60, more in 0usize..20, limit in 200usize..3000) {
        let (before, mut rules) = (all_rules(), all_rules());
        let is_early = |rule: &Arc<Correlation>| rule.emit == Emission::Early;
        rules.correlations.rotate_left(3);
        rules.correlations.retain(|rule| !is_early(rule) && !rule.rules.iter().any(|of| matches!(of, Referent::Correlation(_))));
        let (old, new) = (&plan(&before), plan(&rules));
        for (records, partition) in stage1(old, &setup, &log).iter().zip(0..) {
            let cut = cut.min(records.len());
            let left = (cut + more).min(records.len());
            let at = |end: usize| {
                let mut merger = Merger::new(Arc::clone(old), partition);
                records[..end].iter().for_each(|record| { merger.apply(record).unwrap(); });
                merger
            };
            let snapshot = snapshot(&mut at(cut), cut as i64, limit);
            let expected = at(left).last_words(|rule| old.nodes.iter().any(|node| node.fingerprint == *rule && node.rule.emit == Emission::Early));
            let expected: Vec<String> = expected.iter().map(|outcome| word(&before, outcome)).collect();
            prop_assert_eq!(retired(&new, partition, &snapshot, &records[cut..left]), expected);
            prop_assert_eq!(retired(old, partition, &snapshot, &records[cut..left]), Vec::<String>::new());
        }
    }
}

/// Bytes changed in every place of real chunks, with checksums and name made right again: at worst an error.
#[test]
fn tampered_snapshots_do_no_harm() {
    let plan = plan(&rules());
    let records = exchange(&plan);
    let (name, chunks) = snapshot(&mut after(&plan, &records[..AT]), 6, 700);
    let (mut refused, mut tried) = (0, 0);
    for of in 0..chunks.len() - 1 {
        for at in (16 + of..chunks[of].len()).step_by(151) {
            let mut some = chunks.clone();
            some[of][at] ^= if at % 2 == 0 { 0x01 } else { 0xff };
            let name = reseal(name, &mut some);
            tried += 1;
            match restore(&plan, 0, name, &some) {
                Ok(mut merger) => records[AT..].iter().for_each(|record| {
                    let _ = merger.apply(record);
                }),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 10 && refused < tried, "{refused} of {tried}");
}

fn reseal(name: SnapshotName, chunks: &mut [Vec<u8>]) -> SnapshotName {
    let seal = |chunk: &mut Vec<u8>| {
        let sum = blake3::hash(&chunk[16..]);
        chunk[8..16].copy_from_slice(&sum.as_bytes()[..8]);
    };
    let mut digest = blake3::Hasher::new();
    let (end, others) = chunks.split_last_mut().unwrap();
    for chunk in others {
        seal(chunk);
        digest.update(&chunk[8..16]);
    }
    let digest = *digest.finalize().as_bytes();
    let place = end.len() - 32;
    end[place..].copy_from_slice(&digest);
    seal(end);
    SnapshotName { digest, ..name }
}
