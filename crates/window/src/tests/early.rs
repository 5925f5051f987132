//! `emit: early`: what is told before the watermark has passed ends as what is told after it. `HAECHI_CASES=10000` tries that many logs
//! for each type.

use std::collections::BTreeMap;
use std::sync::Arc;

use haechi_rules::{
    Combination, CompareOp, Correlation, CorrelationCondition, CorrelationKind, Emission, Referent,
    RuleSet,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::correlations::{cases, order, rule};
use super::logs::{interleave, log, setup};
use super::naive_correlation::findings;
use super::world::{
    Event, SECOND, Setup, correlation, number, plan, restore, rule_set, snapshot, stage1,
};
use crate::{Correlated, Merger, Opening, Outcome, Phase, Plan};

pub(super) fn early(rule: Correlation) -> Correlation {
    Correlation {
        emit: Emission::Early,
        ..rule
    }
}

/// What an exchange partition tells, record by record. After every third one another owner goes on, from a snapshot.
fn told(plan: &Arc<Plan>, records: &[Vec<u8>]) -> Vec<Vec<Correlated>> {
    let mut merger = Merger::new(Arc::clone(plan), 0);
    let found = |outcome| match outcome {
        Outcome::Correlated(found) => Some(found),
        Outcome::Rollup(_) | Outcome::Late(_) | Outcome::GivenUp(_) => None,
    };
    let one = |(number, record): (usize, &Vec<u8>)| {
        if number % 3 == 2 {
            let (name, chunks) = snapshot(&mut merger, number as i64, 300);
            merger = restore(plan, 0, name, &chunks).unwrap();
        }
        let outcomes = merger.apply(record).unwrap().into_iter();
        outcomes.filter_map(found).collect()
    };
    records.iter().enumerate().map(one).collect()
}

/// Rule, group and opening: what makes the identity of a finding.
fn identity(found: &Correlated) -> String {
    format!("{} {:?} {:?}", found.rule, found.group, found.opening)
}

/// Follows every finding from when it was told first to its end. Answers those that stand.
fn follow(told: &[Vec<Correlated>]) -> Result<Vec<Correlated>, TestCaseError> {
    let mut last: BTreeMap<String, Correlated> = BTreeMap::new();
    for record in told {
        let mut seen = Vec::new();
        for found in record {
            let id = identity(found);
            prop_assert!(!seen.contains(&id), "told twice by one record: {found:?}");
            let before = last.get(&id);
            let revision = before.map_or(0, |before| before.revision + 1);
            prop_assert_eq!(found.revision, revision, "{:?} after {:?}", found, before);
            prop_assert!(
                before.is_none_or(|before| before.phase != Phase::Final),
                "told after its end: {found:?}"
            );
            let starts_withdrawn = before.is_none() && matches!(found.phase, Phase::Withdrawn(_));
            prop_assert!(!starts_withdrawn, "withdrawn before it was told: {found:?}");
            last.insert(id.clone(), found.clone());
            seen.push(id);
        }
        // What is said to stand in the place of another does stand.
        for found in record {
            if let Phase::Withdrawn(Some(by)) = &found.phase {
                let right = Correlated {
                    opening: by.clone(),
                    ..found.clone()
                };
                let right = last.get(&identity(&right));
                let stands = right.is_some_and(|right| !matches!(right.phase, Phase::Withdrawn(_)));
                prop_assert!(stands, "superseded by nothing: {found:?}");
            }
        }
    }
    let mut standing = Vec::new();
    for (_, found) in last {
        match found.phase {
            Phase::Final => standing.push(Correlated {
                revision: 0,
                ..found
            }),
            Phase::Withdrawn(_) => {}
            Phase::Open => return Err(TestCaseError::fail(format!("left hanging: {found:?}"))),
        }
    }
    Ok(standing)
}

pub(super) fn sorted(mut found: Vec<Correlated>) -> Vec<Correlated> {
    found.sort_by_cached_key(|found| format!("{found:?}"));
    found
}

/// Everything that holds of early findings, for one way to cut and order a log.
pub(super) fn ends_well(
    rules: &RuleSet,
    setup: &Setup,
    events: &[Event],
    expected: &[Correlated],
) -> TestCaseResult {
    let plan = plan(rules);
    let mut standing = Vec::new();
    for records in stage1(&plan, setup, events) {
        let first = told(&plan, &records);
        standing.extend(follow(&first)?);
        // A new owner replays silently up to any record, and goes on as the old one would have.
        prop_assert_eq!(told(&plan, &records), first);
    }
    prop_assert_eq!(&sorted(standing)[..], expected);
    Ok(())
}

fn agree(rule: Correlation, setup: &Setup, log: &[Event], order: &[usize]) -> TestCaseResult {
    let rules = rule_set(3, vec![early(rule)], Vec::new());
    let expected = sorted(findings(&rules, 0, log));
    ends_well(&rules, setup, log, &expected)?;
    ends_well(&rules, setup, &interleave(log, order), &expected)
}

/// Bounds that more can only help.
pub(super) fn growing(least: i8, most: i8) -> impl Strategy<Value = Vec<(CompareOp, f64)>> {
    let op = prop::sample::select(vec![CompareOp::Gt, CompareOp::Gte]);
    (op, (least..most).prop_map(f64::from)).prop_map(|bound| vec![bound])
}

fn present(rules: usize) -> impl Strategy<Value = Combination> {
    let leaf = (0..rules).prop_map(Combination::Rule);
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Combination::And),
            prop::collection::vec(inner, 1..4).prop_map(Combination::Or),
        ]
    })
}

macro_rules! of_numbers {
    ($($name:ident, $kind:expr, $bounds:expr;)*) => {
        proptest! {
            #![proptest_config(cases())]
            $(#[test]
            fn $name(log in log(), setup in setup(), bounds in $bounds, timespan in 1i64..25, grouped: bool, order in order()) {
                agree(rule($kind, CorrelationCondition::Number(bounds), timespan, grouped), &setup, &log, &order)?;
            })*
        }
    };
}

of_numbers! {
    event_count, CorrelationKind::EventCount, growing(1, 6);
    value_count, CorrelationKind::ValueCount(vec!["user".into()]), growing(1, 4);
    temporal_count, CorrelationKind::Temporal, growing(1, 4);
    value_sum_that_may_fall_again, CorrelationKind::ValueSum("bytes".into()), growing(-8, 40);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn temporal(log in log(), setup in setup(), of in present(3), timespan in 1i64..25, grouped: bool, order in order()) {
        agree(rule(CorrelationKind::Temporal, CorrelationCondition::Rules(of), timespan, grouped), &setup, &log, &order)?;
    }

    #[test]
    fn temporal_ordered(log in log(), setup in setup(), of in present(3), timespan in 1i64..25, grouped: bool, order in order()) {
        agree(rule(CorrelationKind::TemporalOrdered, CorrelationCondition::Rules(of), timespan, grouped), &setup, &log, &order)?;
    }

    /// The findings below are final when they are events; those above are told early.
    #[test]
    fn chains(log in log(), setup in setup(), order in order(), spans in (1i64..15, 1i64..30), inner in growing(1, 3), outer in growing(1, 3)) {
        let below = Correlation {
            alerts: false,
            header: super::world::header("below"),
            group_by: vec!["host".into(), "user".into()],
            ..rule(CorrelationKind::EventCount, CorrelationCondition::Number(inner), spans.0, true)
        };
        let above = Correlation {
            rules: vec![Referent::Correlation(0), Referent::Detection(1)],
            ..rule(CorrelationKind::EventCount, CorrelationCondition::Number(outer), spans.1, true)
        };
        let rules = rule_set(3, vec![below, early(above)], Vec::new());
        let expected = sorted(findings(&rules, 1, &log));
        ends_well(&rules, &setup, &log, &expected)?;
        ends_well(&rules, &setup, &interleave(&log, &order), &expected)?;
    }
}

fn count_of_three() -> RuleSet {
    let rule = early(correlation(
        1,
        &["host"],
        10 * SECOND,
        &[(CompareOp::Gte, 3.0)],
    ));
    rule_set(1, vec![rule], Vec::new())
}

/// Events of one group at these seconds, one record each, with the watermark far behind; then one that only ends the log.
fn arriving(seconds: &[i64]) -> Vec<Vec<Correlated>> {
    let event = |second: &i64| Event::at(second * SECOND).with("host", "h").hit(0);
    let mut events: Vec<Event> = seconds.iter().map(event).collect();
    events.push(Event::at(0).with("host", "other"));
    let plan = plan(&count_of_three());
    let exchange = stage1(&plan, &Setup::default(), &number(events));
    told(&plan, &exchange[0])
}

fn brief(found: &[Correlated]) -> Vec<(i64, u64, u32, &str)> {
    let phase = |found: &Correlated| match found.phase {
        Phase::Final => "final",
        Phase::Open => "open",
        Phase::Withdrawn(None) => "withdrawn",
        Phase::Withdrawn(Some(_)) => "superseded",
    };
    let one = |found: &Correlated| {
        (
            found.first_ns / SECOND,
            found.count,
            found.revision,
            phase(found),
        )
    };
    found.iter().map(one).collect::<Vec<_>>()
}

#[test]
fn it_is_told_by_the_record_that_completes_it_then_with_what_is_added_and_then_for_good() {
    let told = arriving(&[100, 101, 102, 103, 150]);
    let told: Vec<_> = told.iter().map(|found| brief(found)).collect();
    let expected = [
        vec![],
        vec![],
        vec![(100, 3, 0, "open")],
        vec![(100, 4, 1, "open")],
        vec![],
        vec![(100, 4, 2, "final")],
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_earlier_event_that_comes_later_makes_it_another_finding() {
    let told = arriving(&[105, 106, 107, 100]);
    assert_eq!(brief(&told[2]), [(105, 3, 0, "open")]);
    assert_eq!(
        brief(&told[3]),
        [(100, 4, 0, "open"), (105, 3, 1, "superseded")]
    );
    let Phase::Withdrawn(Some(Opening::Event { offset, .. })) = &told[3][1].phase else {
        panic!("{:?}", told[3][1]);
    };
    assert_eq!(*offset, 3);
    assert_eq!(brief(told.last().unwrap()), [(100, 4, 1, "final")]);
}

#[test]
fn one_that_comes_back_goes_on_with_its_revisions() {
    // [105, 115) first; 100 takes its first event away; 99 and 98 take 100's window away, so that it is one again.
    let told = arriving(&[105, 106, 107, 100, 101, 94, 95, 96]);
    let all: Vec<_> = told.iter().flatten().cloned().collect();
    assert!(follow(&told).is_ok(), "{:?}", brief(&all));
    let of_105: Vec<_> = brief(&all)
        .into_iter()
        .filter(|found| found.0 == 105)
        .collect();
    assert_eq!(
        of_105.last().map(|found| found.3),
        Some("final"),
        "{of_105:?}"
    );
}

#[test]
fn rules_that_go_leave_nothing_open() {
    let event = |second: i64| Event::at(second * SECOND).with("host", "h").hit(0);
    let events = number((100..104).map(event).collect());
    let old = plan(&count_of_three());
    let exchange = stage1(&old, &Setup::default(), &events);
    let mut merger = Merger::new(Arc::clone(&old), 0);
    for record in &exchange[0][..3] {
        merger.apply(record).unwrap();
    }
    assert!(!merger.is_finished());
    assert_eq!(merger.orphans(&old), []);
    let orphans = merger.orphans(&plan(&rule_set(1, Vec::new(), Vec::new())));
    let [Outcome::Correlated(found)] = &orphans[..] else {
        panic!("{orphans:?}");
    };
    assert_eq!((found.revision, &found.phase), (1, &Phase::Withdrawn(None)));
}
