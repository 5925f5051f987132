//! `suppress`: of the alerts of a key, the first opens a span in which the others are counted. `HAECHI_CASES=10000` tries that many logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use haechi_rules::{
    CompareOp, Correlation, CorrelationCondition, CorrelationKind, Referent, RuleSet, Suppress,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::correlations::{cases, order, rule};
use super::logs::{interleave, log, setup};
use super::naive_correlation::findings;
use super::world::{Event, SECOND, Setup, number, plan, rule_set, source, stage1, stage2};
use crate::{Correlated, Merger, Opening, Outcome, Phase};

fn suppress(by: &[&str], seconds: i64) -> Suppress {
    let by: Vec<String> = by.iter().map(ToString::to_string).collect();
    Suppress {
        fields: by.clone(),
        by,
        for_ns: seconds * SECOND,
        at_once: true,
    }
}

/// Detection 0 alerts and suppresses.
fn detections(suppress: Suppress) -> RuleSet {
    let mut rules = rule_set(3, Vec::new(), Vec::new());
    let rule = Arc::make_mut(&mut rules.detections[0]);
    rule.alerts = true;
    rule.header.suppress = Some(suppress);
    rules
}

/// An event: its time and its place.
type Hit = (i64, crate::SourceId, i64);

/// What the outcomes say in the end: per key and first alert, how many alerts there were.
type Said = BTreeMap<(Vec<Option<String>>, String), f64>;

fn said(outcomes: &[Outcome]) -> Result<Said, TestCaseError> {
    let mut last: BTreeMap<String, (u32, f64)> = BTreeMap::new();
    let mut said = Said::new();
    for outcome in outcomes {
        let Outcome::Correlated(found) = outcome else {
            return Err(TestCaseError::fail(format!("{outcome:?}")));
        };
        prop_assert!(found.suppresses.is_some());
        prop_assert!(
            !matches!(found.phase, Phase::Withdrawn(_)),
            "not the first: {found:?}"
        );
        let first = first(&found.opening);
        let key: Vec<Option<String>> = found.group.iter().map(|(_, value)| value.clone()).collect();
        match last.insert(format!("{key:?} {first}"), (found.revision, found.number)) {
            None => prop_assert_eq!(found.revision, 0),
            Some((revision, number)) => {
                prop_assert_eq!((revision, found.revision), (0, 1));
                prop_assert!(
                    number <= found.number && found.number > 1.0,
                    "told again for nothing: {found:?}"
                );
            }
        }
        said.insert((key, first), found.number);
    }
    Ok(said)
}

fn first(opening: &Opening) -> String {
    match opening {
        Opening::Event { source, offset } => format!("{source:?} {offset}"),
        Opening::Finding(part) => format!("{:?} {:?}", part.group, part.events),
    }
}

/// Alerts (time, what they are) of a key in their order: the first of each span, and how many there are in it.
fn spans(key: &[Option<String>], alerts: &[(i64, String)], seconds: i64, said: &mut Said) {
    let mut rest = alerts;
    while let Some((time_ns, first)) = rest.first() {
        let within = |alert: &&(i64, String)| alert.0 < time_ns + seconds * SECOND;
        let count = rest.iter().take_while(within).count();
        said.insert((key.to_vec(), first.clone()), count as f64);
        rest = &rest[count..];
    }
}

fn agree(
    rules: &RuleSet,
    setup: &Setup,
    log: &[Event],
    order: &[usize],
    expected: &Said,
) -> TestCaseResult {
    let plan = plan(rules);
    for log in [log.to_vec(), interleave(log, order)] {
        let exchange = stage1(&plan, setup, &log);
        prop_assert_eq!(&said(&stage2(&plan, &exchange))?, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever the order of arrival, the partitions and the cuts. An event without the field is not lost.
    #[test]
    fn of_detections(log in log(), setup in setup(), order in order(), seconds in 1i64..40, grouped: bool) {
        let by: &[&str] = if grouped { &["host"] } else { &[] };
        let mut keys: BTreeMap<Vec<Option<String>>, Vec<Hit>> = BTreeMap::new();
        for event in log.iter().filter(|event| event.hits.contains(&0)) {
            let value = |field: &&str| event.first(field).flatten().map(str::to_owned);
            let key = by.iter().map(value).collect();
            keys.entry(key).or_default().push((event.time_ns, source(event), event.offset));
        }
        let mut expected = Said::new();
        for (key, mut alerts) in keys {
            alerts.sort();
            let named = |(time_ns, source, offset): &Hit| (*time_ns, format!("{source:?} {offset}"));
            let alerts: Vec<_> = alerts.iter().map(named).collect();
            spans(&key, &alerts, seconds, &mut expected);
        }
        agree(&detections(suppress(by, seconds)), &setup, &log, &order, &expected)?;
    }

    /// By fewer fields than it groups by, so that findings of several groups suppress each other.
    #[test]
    fn of_correlations(log in log(), setup in setup(), order in order(), timespan in 1i64..20, seconds in 1i64..60, least in 1i8..4) {
        let bounds = vec![(CompareOp::Gte, f64::from(least))];
        let counted = rule(CorrelationKind::EventCount, CorrelationCondition::Number(bounds), timespan, true);
        let mut counted = Correlation { group_by: vec!["user".into(), "host".into()], ..counted };
        let plain = rule_set(3, vec![counted.clone()], Vec::new());
        let mut keys: BTreeMap<Option<String>, Vec<Correlated>> = BTreeMap::new();
        for found in findings(&plain, 0, &log) {
            keys.entry(found.group[1].1.clone()).or_default().push(found);
        }
        let mut expected = Said::new();
        for (key, mut alerts) in keys {
            alerts.sort_by_key(|found| {
                let last = found.events.last().unwrap();
                (found.time_ns, last.source.clone(), last.offset, found.group.clone(), found.events.clone())
            });
            let named = |found: &Correlated| (found.time_ns, format!("{:?} {:?}", found.group, found.events));
            let alerts: Vec<_> = alerts.iter().map(named).collect();
            spans(&[key], &alerts, seconds, &mut expected);
        }
        counted.header.suppress = Some(suppress(&["host"], seconds));
        agree(&rule_set(3, vec![counted], Vec::new()), &setup, &log, &order, &expected)?;
    }
}

/// Time in seconds, revision, number.
type Told = (i64, u32, f64);

/// What each record of one host's alerts tells (time, revision, number); and what is left to say if the rule goes after so many.
fn told_and_left(seconds: &[i64], records: usize) -> (Vec<Vec<Told>>, Vec<Told>) {
    let event = |second: &i64| Event::at(second * SECOND).with("host", "h").hit(0);
    let mut events: Vec<Event> = seconds.iter().map(event).collect();
    events.push(Event::at(0));
    let plan = plan(&detections(suppress(&["host"], 60)));
    let setup = Setup {
        lateness: std::time::Duration::from_secs(10),
        ..Setup::default()
    };
    let exchange = stage1(&plan, &setup, &number(events));
    let mut merger = Merger::new(plan, 0);
    let brief = |outcome| match outcome {
        Outcome::Correlated(found) => {
            assert!(!matches!(found.phase, Phase::Withdrawn(_)), "{found:?}");
            (found.first_ns / SECOND, found.revision, found.number)
        }
        other => panic!("{other:?}"),
    };
    let one = |record: &Vec<u8>| {
        merger
            .apply(record)
            .unwrap()
            .into_iter()
            .map(brief)
            .collect()
    };
    let told = exchange[0].iter().take(records).map(one).collect();
    let gone = super::world::plan(&rule_set(1, Vec::new(), Vec::new()));
    let left = merger.orphans(&gone).into_iter().map(brief).collect();
    (told, left)
}

fn told(seconds: &[i64]) -> Vec<Vec<Told>> {
    told_and_left(seconds, usize::MAX).0
}

#[test]
fn the_first_alert_waits_for_the_lateness_only_and_the_count_for_the_span() {
    assert_eq!(
        told(&[100, 105, 111, 130, 175]),
        [
            vec![],
            vec![],
            vec![(100, 0, 3.0)],
            vec![],
            // The span ends at 160.
            vec![(100, 1, 4.0)],
            vec![(175, 0, 1.0)],
        ]
    );
}

#[test]
fn an_alert_that_stands_alone_is_sent_once() {
    let expected = [vec![], vec![(100, 0, 1.0)], vec![(200, 0, 1.0)]];
    assert_eq!(told(&[100, 200]), expected);
}

/// Its alert was true when it was sent: nobody is told that it was none.
#[test]
fn a_rule_that_goes_leaves_its_first_alert_and_says_how_many_there_were() {
    let (told, left) = told_and_left(&[100, 105, 111, 130, 175], 4);
    assert_eq!(told.concat(), [(100, 0, 3.0)]);
    assert_eq!(left, [(100, 1, 4.0)]);
    let (told, left) = told_and_left(&[100, 200], 2);
    assert_eq!(told.concat(), [(100, 0, 1.0)]);
    assert_eq!(left, [], "it is alone");
}

#[test]
fn a_rule_that_only_feeds_a_correlation_has_nothing_to_suppress() {
    let mut rules = detections(suppress(&[], 60));
    Arc::make_mut(&mut rules.detections[0]).alerts = false;
    assert!(plan(&rules).is_empty());
    let of = |rules: &RuleSet| {
        rules
            .correlations
            .iter()
            .any(|rule| rule.rules.contains(&Referent::Detection(0)))
    };
    assert!(!of(&rules));
}
