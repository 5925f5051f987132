//! Exchange records: their format, their sizes, and what damage does.

use std::sync::Arc;

use haechi_rules::{CompareOp, Correlation, CorrelationKind, FieldType};
use proptest::prelude::*;

use super::world::{
    Event, SECOND, Setup, add, correlation, number, plan, rollup, rule_set, source, stage1, stage2,
};
use crate::{
    FrameError, Merger, Outcome, Partials, Plan, Progress, SourceId, SourceProgress, SourceState,
};

fn rules() -> haechi_rules::RuleSet {
    let sql = "SELECT host, count(*) AS n, sum(bytes) AS total, min(bytes) AS least, avg(bytes) AS mean, \
               count(DISTINCT user) AS users, max(user) AS last \
               FROM logs GROUP BY tumble(interval '1 minute'), host";
    let rule = correlation(2, &["host"], 10 * SECOND, &[(CompareOp::Gte, 2.0)]);
    rule_set(
        2,
        vec![rule],
        vec![rollup(sql, &[("bytes", FieldType::Double)])],
    )
}

fn events() -> Vec<Event> {
    let event = |n: i64| {
        Event::at(n * SECOND)
            .with("host", ["a", "b"][(n % 2) as usize])
            .with("bytes", &format!("{}.5", n))
            .with("user", &format!("user {n}"))
            .hit((n % 2) as u32)
    };
    number((0..6).map(event).collect())
}

fn progress(watermark_ns: i64, announce: bool) -> Progress {
    let source = SourceId {
        topic: "logs".into(),
        partition: 0,
    };
    Progress {
        roster: vec![("logs".into(), 1)],
        sources: vec![SourceProgress {
            source,
            epoch: 1,
            watermark_ns,
            state: SourceState::Active,
        }],
        announce,
    }
}

/// The records in `fixtures/` were written by the release that introduced the format. They must stay readable.
#[test]
fn format_1_is_still_read() {
    let plan = plan(&rules());
    let fixture = include_bytes!("../../fixtures/exchange-v1.bin");
    let mut merger = Merger::new(Arc::clone(&plan), 0);
    let mut outcomes = merger.apply(fixture).unwrap();
    assert_eq!(
        merger.unknown_sections(),
        0,
        "the rules' fingerprints have changed"
    );
    let setup = Setup {
        batches: vec![6],
        ..Setup::default()
    };
    let mut now = stage2(&plan, &stage1(&plan, &setup, &events()));
    let key = |outcome: &Outcome| format!("{outcome:?}");
    outcomes.sort_by_cached_key(key);
    now.sort_by_cached_key(key);
    assert_eq!(outcomes, now);
    assert_eq!(outcomes.len(), 4);
}

/// Writes the fixture. Only for a new version of the format, under a new name.
#[test]
#[ignore = "writes the fixture"]
fn write_fixture() {
    let plan = plan(&rules());
    let setup = Setup {
        batches: vec![6],
        commits: vec![7],
        ..Setup::default()
    };
    let exchange = stage1(&plan, &setup, &events());
    let [record] = &exchange[0][..] else {
        panic!("{} records", exchange[0].len());
    };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exchange-v1.bin");
    std::fs::write(path, record).unwrap();
}

#[test]
fn another_version_is_refused_by_its_number() {
    let plan = plan(&rules());
    let mut record = stage1(&plan, &Setup::default(), &events())[0][0].clone();
    record[4] = 4;
    let error = Merger::new(plan, 0).apply(&record).unwrap_err();
    assert_eq!(error, FrameError::Version { found: 4 });
    assert!(error.to_string().contains("version 4"));
}

/// The release before reads what it knows, and refuses what it does not by the version.
#[test]
fn only_records_with_new_sections_are_of_the_new_version() {
    let version = |kind: CorrelationKind, quote: u32| {
        let rule = Correlation {
            kind,
            quote,
            ..correlation(2, &["host"], 10 * SECOND, &[(CompareOp::Gte, 2.0)])
        };
        let plan = plan(&rule_set(2, vec![rule], Vec::new()));
        stage1(&plan, &Setup::default(), &events())[0][0][4]
    };
    assert_eq!(version(CorrelationKind::EventCount, 0), 1);
    let users = CorrelationKind::ValueCount(vec!["user".into()]);
    assert_eq!(version(users, 0), 2);
    assert_eq!(version(CorrelationKind::ValueSum("bytes".into()), 0), 2);
    assert_eq!(version(CorrelationKind::EventCount, 1), 3);
}

#[test]
fn damage_is_noticed_and_has_no_effect() {
    let plan = plan(&rules());
    let record = stage1(&plan, &Setup::default(), &events())[0][0].clone();
    let mut merger = Merger::new(Arc::clone(&plan), 0);
    for at in [0, 8, 16, 40, record.len() - 1] {
        let mut damaged = record.clone();
        damaged[at] ^= 1;
        assert!(
            matches!(merger.apply(&damaged), Err(FrameError::Corrupt(_))),
            "byte {at}"
        );
    }
    assert!(matches!(
        merger.apply(&record[..record.len() - 1]),
        Err(FrameError::Corrupt(_))
    ));
    assert!(matches!(merger.apply(&[]), Err(FrameError::Corrupt(_))));
    assert_eq!(merger.watermark_ns(), None);
    assert!(merger.apply(&record).is_ok());
}

#[test]
fn rules_of_others_are_left_alone() {
    let theirs = plan(&rules());
    let record = stage1(
        &theirs,
        &Setup {
            batches: vec![6],
            ..Setup::default()
        },
        &events(),
    );
    let mut other = rules();
    let mut changed = (*other.correlations[0]).clone();
    changed.timespan_ns += 1;
    other.correlations[0] = Arc::new(changed);
    let ours = plan(&other);
    assert_ne!(ours.fingerprint(), theirs.fingerprint());
    let mut merger = Merger::new(ours, 0);
    let outcomes: Vec<Outcome> = record[0]
        .iter()
        .flat_map(|record| merger.apply(record).unwrap())
        .collect();
    assert_eq!(outcomes.len(), 2, "the rollup's rows: {outcomes:?}");
    assert!(merger.unknown_sections() > 0);
}

#[test]
fn progress_goes_with_data_and_to_all_when_announced() {
    let plan = plan(&rules());
    let mut partials = Partials::new(Arc::clone(&plan), 16);
    assert_eq!(partials.drain(&progress(5, false)).unwrap(), []);
    assert_eq!(partials.drain(&progress(5, true)).unwrap().len(), 16);
    let event = events()[0].clone();
    add(
        &mut partials,
        &plan,
        &source(&event),
        std::slice::from_ref(&event),
    );
    assert!(partials.size() > 0);
    let records = partials.drain(&progress(5, false)).unwrap();
    assert!((1..=2).contains(&records.len()), "one group of each rule");
    for (partition, record) in records {
        let mut merger = Merger::new(Arc::clone(&plan), partition);
        merger.apply(&record).unwrap();
        assert_eq!(merger.watermark_ns(), Some(5));
        assert_eq!(merger.partition(), partition);
    }
    add(
        &mut partials,
        &plan,
        &source(&event),
        std::slice::from_ref(&event),
    );
    partials.clear();
    assert_eq!(partials.drain(&progress(5, false)).unwrap(), []);
}

/// Large partials are cut, and the watermark comes with the last piece only.
#[test]
fn large_partials_become_several_records() {
    let plan = plan(&rules());
    let event = |n: i64| {
        Event::at(n % 60 * SECOND)
            .with("host", "one")
            .with("bytes", "1")
            .with("user", &format!("user number {n}"))
            .hit(0)
    };
    let events = number((0..5000).map(event).collect());
    let whole = Setup {
        batches: vec![5000],
        ..Setup::default()
    };
    let cut = Setup {
        record_limit: 20_000,
        ..whole.clone()
    };
    let (whole, cut) = (stage1(&plan, &whole, &events), stage1(&plan, &cut, &events));
    assert!(cut[0].len() > 10);
    assert!(cut[0].iter().all(|record| record.len() < 24_000));
    let (data, last) = cut[0].split_at(cut[0].len() - 2);
    let mut merger = Merger::new(Arc::clone(&plan), 0);
    for record in data {
        assert_eq!(merger.apply(record).unwrap(), []);
        assert_eq!(merger.watermark_ns(), None);
    }
    assert!(merger.state_bytes() > 100_000);
    let outcomes: Vec<Outcome> = last
        .iter()
        .flat_map(|record| merger.apply(record).unwrap())
        .collect();
    assert_eq!(outcomes, stage2(&plan, &whole));
    let Some(Outcome::Rollup(row)) = outcomes.last() else {
        panic!("{outcomes:?}");
    };
    assert!(row.columns.contains(&("users".to_owned(), 5000.into())));
    assert!(row.columns.contains(&("n".to_owned(), 5000.into())));
    assert!(row.columns.contains(&("total".to_owned(), 5000.into())));
    assert!(
        merger.state_bytes() < 1000,
        "everything is decided: {}",
        merger.state_bytes()
    );
}

#[test]
fn huge_values_do_not_make_huge_records() {
    let plan = plan(&rules());
    let huge = "x".repeat(300_000);
    let event = Event::at(0).with("host", &huge).with("user", &huge).hit(0);
    let exchange = stage1(
        &plan,
        &Setup::default(),
        &number(vec![event.clone(), event]),
    );
    assert!(exchange[0].iter().all(|record| record.len() < 40_000));
    assert_eq!(stage2(&plan, &exchange).len(), 2);
}

/// Gives a record that has been tampered with the right checksum.
fn reseal(mut record: Vec<u8>) -> Vec<u8> {
    if record.len() >= 16 {
        let digest = blake3::hash(&record[16..]);
        record[8..16].copy_from_slice(&digest.as_bytes()[..8]);
    }
    record
}

fn sealed_record(plan: &Arc<Plan>) -> Vec<u8> {
    let setup = Setup {
        batches: vec![6],
        commits: vec![7],
        ..Setup::default()
    };
    stage1(plan, &setup, &events())[0][0].clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), sealed in any::<bool>()) {
        let mut record = b"HXCH\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        record.extend(&bytes);
        let record = if sealed { reseal(record) } else { bytes };
        let _ = Merger::new(plan(&rule_set(0, Vec::new(), Vec::new())), 0).apply(&record);
    }
}

/// Bytes changed in every place of a real record, with the checksum made right again: at worst an error.
#[test]
fn tampered_records_do_no_harm() {
    let plan = plan(&rules());
    let record = sealed_record(&plan);
    let mut refused = 0;
    for at in 16..record.len() {
        let mut tampered = record.clone();
        tampered[at] ^= if at % 2 == 0 { 0x01 } else { 0xff };
        let mut merger = Merger::new(Arc::clone(&plan), 0);
        refused += usize::from(merger.apply(&reseal(tampered)).is_err());
    }
    assert!(refused > 100);
}
