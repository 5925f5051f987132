//! The first events of findings, as they came: the same ones whatever the order of arrival, the cuts and the restores.
//! `HAECHI_CASES=10000` tries that many logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use haechi_rules::{
    CompareOp, Correlation, CorrelationCondition, CorrelationKind, Referent, RuleSet,
};
use proptest::prelude::*;

use super::correlations::{cases, new, order, rule};
use super::early::{early, ends_well, growing, sorted};
use super::logs::{interleave, log, setup};
use super::naive_correlation::findings;
use super::world::{
    Event, SECOND, Setup, correlation, header, number, plan, record, rule_set, run, source,
};
use crate::{Correlated, Outcome, Quoted, SourceId};

/// An event: its time and its place.
type Place = (i64, SourceId, i64);

/// A group, and a span of the clock.
type Span = (Vec<Option<String>>, i64);

/// The first `most` events of each group in every eighth of the timespan, with their records.
fn first(rule: &Correlation, log: &[Event]) -> BTreeMap<Place, String> {
    let mut spans: BTreeMap<Span, BTreeSet<(Place, String)>> = BTreeMap::new();
    for event in log.iter().filter(|event| !event.hits.is_empty()) {
        let value = |name: &String| Some(event.first(name)?.map(str::to_owned));
        let Some(group) = rule.names().map(value).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let span = event.time_ns.div_euclid((rule.timespan_ns / 8).max(1));
        let place = (event.time_ns, source(event), event.offset);
        spans
            .entry((group, span))
            .or_default()
            .insert((place, record(event)));
    }
    let first = |events: BTreeSet<(Place, String)>| events.into_iter().take(rule.quote as usize);
    spans.into_values().flat_map(first).collect()
}

/// The findings of a rule set's only rule, which is of all events, with what they quote.
fn expected(rules: &RuleSet, log: &[Event]) -> Vec<Correlated> {
    let rule = &rules.correlations[0];
    let first = first(rule, log);
    let mut found = findings(rules, 0, log);
    for finding in &mut found {
        for event in &mut finding.events {
            let record = first.get(&(event.time_ns, event.source.clone(), event.offset));
            event.quoted = record.map(|record| Quoted::of(record.as_bytes()));
        }
        let quoted = finding
            .events
            .iter_mut()
            .filter(|event| event.quoted.is_some());
        quoted
            .skip(rule.quote as usize)
            .for_each(|event| event.quoted = None);
    }
    sorted(found)
}

fn found(outcomes: Vec<Outcome>) -> Vec<Correlated> {
    let one = |outcome| match outcome {
        Outcome::Correlated(found) => found,
        other => panic!("{other:?}"),
    };
    sorted(outcomes.into_iter().map(one).collect())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn of_a_count(
        log in log(), setup in setup(), order in order(), bound in 1i8..5, grows: bool,
        timespan in 1i64..40, grouped: bool, quote in 1u32..4,
    ) {
        let op = if grows { CompareOp::Gte } else { CompareOp::Lte };
        let bounds = CorrelationCondition::Number(vec![(op, f64::from(bound))]);
        let rule = Correlation { quote, ..rule(CorrelationKind::EventCount, bounds, timespan, grouped) };
        let rules = rule_set(3, vec![rule], Vec::new());
        let expected = expected(&rules, &log);
        let plan = plan(&rules);
        prop_assert_eq!(&found(run(&plan, &setup, &log)), &expected);
        prop_assert_eq!(&found(run(&plan, &setup, &interleave(&log, &order))), &expected);
    }

    #[test]
    fn of_new_terms(log in log(), setup in setup(), order in order(), timespan in 1i64..40, grouped: bool) {
        let rule = Correlation { quote: 1, ..new(&["user"], timespan, grouped) };
        let rules = rule_set(3, vec![rule], Vec::new());
        let expected = expected(&rules, &log);
        let plan = plan(&rules);
        prop_assert_eq!(&found(run(&plan, &setup, &log)), &expected);
        prop_assert_eq!(&found(run(&plan, &setup, &interleave(&log, &order))), &expected);
    }

    /// What is told early may lack one that comes later; what is told in the end does not.
    #[test]
    fn of_early_findings(
        log in log(), setup in setup(), order in order(), bounds in growing(1, 5), timespan in 1i64..40, quote in 1u32..4,
    ) {
        let counted = rule(CorrelationKind::EventCount, CorrelationCondition::Number(bounds), timespan, true);
        let rules = rule_set(3, vec![early(Correlation { quote, ..counted })], Vec::new());
        let expected = expected(&rules, &log);
        ends_well(&rules, &setup, &log, &expected)?;
        ends_well(&rules, &setup, &interleave(&log, &order), &expected)?;
    }
}

fn at(seconds: &[i64]) -> Vec<Event> {
    let event = |second: &i64| Event::at(second * SECOND).with("host", "h").hit(0);
    number(seconds.iter().map(event).collect())
}

fn quoted(found: &Correlated) -> Vec<Option<&str>> {
    let text = |quoted: &Quoted| {
        std::str::from_utf8(&quoted.bytes)
            .unwrap()
            .to_owned()
            .leak() as &str
    };
    found
        .events
        .iter()
        .map(|event| event.quoted.as_ref().map(text))
        .collect()
}

#[test]
fn a_finding_quotes_its_first_events() {
    let rule = Correlation {
        quote: 2,
        ..correlation(1, &["host"], 80 * SECOND, &[(CompareOp::Gte, 3.0)])
    };
    let plan = plan(&rule_set(1, vec![rule], Vec::new()));
    let found = found(run(&plan, &Setup::default(), &at(&[103, 101, 102, 104])));
    let expected = [Some("logs/0/1"), Some("logs/0/2"), None, None];
    assert_eq!(quoted(&found[0]), expected);
}

/// Of those below, too: their events are its events.
#[test]
fn a_chain_quotes_as_the_outermost_says() {
    let below = Correlation {
        header: header("below"),
        alerts: false,
        ..correlation(1, &["host"], 10 * SECOND, &[(CompareOp::Gte, 2.0)])
    };
    let above = Correlation {
        rules: vec![Referent::Correlation(0)],
        quote: 3,
        ..correlation(1, &["host"], 100 * SECOND, &[(CompareOp::Gte, 2.0)])
    };
    let plan = plan(&rule_set(1, vec![below, above], Vec::new()));
    let found = found(run(&plan, &Setup::default(), &at(&[100, 101, 150, 151])));
    let expected = [Some("logs/0/0"), Some("logs/0/1"), Some("logs/0/2"), None];
    assert_eq!(quoted(&found[0]), expected);
}

#[test]
fn long_records_are_cut_and_say_how_long_they_are() {
    let quoted = Quoted::of(&vec![b'x'; 10_000]);
    assert_eq!(
        (quoted.bytes.len(), quoted.whole),
        (Quoted::LONGEST, 10_000)
    );
    let short = Quoted::of(b"short");
    assert_eq!((&*short.bytes, short.whole), (&b"short"[..], 5));
}

#[test]
fn rules_that_quote_nothing_send_nothing() {
    let rule = correlation(1, &["host"], 10 * SECOND, &[(CompareOp::Gte, 2.0)]);
    let quoting = Correlation {
        quote: 2,
        ..rule.clone()
    };
    let bytes = |rule: Correlation| -> usize {
        let plan = plan(&rule_set(1, vec![rule], Vec::new()));
        let exchange = super::world::stage1(&plan, &Setup::default(), &at(&[100, 101, 102]));
        exchange.iter().flatten().map(Vec::len).sum()
    };
    assert!(bytes(quoting) > bytes(rule.clone()));
    assert!(!plan(&rule_set(1, vec![rule], Vec::new())).quotes());
}

/// Whether it quotes is no part of what a rule means: its state is kept.
#[test]
fn a_rule_that_begins_to_quote_keeps_its_windows() {
    let rule = correlation(1, &["host"], 100 * SECOND, &[(CompareOp::Gte, 3.0)]);
    let old = plan(&rule_set(1, vec![rule.clone()], Vec::new()));
    let new = plan(&rule_set(
        1,
        vec![Correlation { quote: 3, ..rule }],
        Vec::new(),
    ));
    let log = at(&[100, 101, 102]);
    let before = super::world::stage1(&old, &Setup::default(), &log);
    let after = super::world::stage1(&new, &Setup::default(), &log[2..]);
    let mut merger = crate::Merger::new(Arc::clone(&old), 0);
    // All but the last record, which has the last event, and that the log has ended.
    for record in &before[0][..2] {
        merger.apply(record).unwrap();
    }
    assert_eq!(merger.adopt(&new), 1);
    let outcomes: Vec<Outcome> = after[0]
        .iter()
        .flat_map(|record| merger.apply(record).unwrap())
        .collect();
    assert_eq!(quoted(&found(outcomes)[0]), [None, None, Some("logs/0/2")]);
}
