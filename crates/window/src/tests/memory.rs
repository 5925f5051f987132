//! Correlations of new terms with more values than they know by name: what they find is still a function of the events alone.
//! `HAECHI_CASES=10000` tries that many logs.

use std::collections::BTreeMap;

use haechi_rules::{Correlation, CorrelationKind};
use proptest::prelude::*;

use super::correlations::{cases, new, order};
use super::logs::{interleave, log, setup};
use super::world::{Event, Setup, plan, rule_set, run, source};
use crate::{Outcome, SourceId};

/// Values of a group and fields, each with its length: in this order they are forgotten, where they were seen at the same time.
type Key = Vec<(usize, String)>;

/// A finding: its values, its event, and what it says of what was known: up to when values were forgotten, where not all are known by name.
type Found = (Vec<String>, i64, SourceId, i64, Option<Option<i64>>);

/// Values that there is no room for: when they were seen last, first and last of them.
struct Slice {
    first_ns: i64,
    last_ns: i64,
    keys: Vec<Key>,
}

/// What is found, with sets of values in the place of filters.
fn expected(rule: &Correlation, room: usize, log: &[Event]) -> Vec<Found> {
    let mut events: Vec<(i64, SourceId, i64, Key)> = Vec::new();
    for event in log.iter().filter(|event| !event.hits.is_empty()) {
        let value = |name: &String| {
            let text = event.first(name)??;
            Some((text.len(), text.to_owned()))
        };
        if let Some(key) = rule.names().map(value).collect() {
            events.push((event.time_ns, source(event), event.offset, key));
        }
    }
    events.sort();
    let span_ns = rule.timespan_ns;
    let mut named: BTreeMap<Key, i64> = BTreeMap::new();
    let mut slices: Vec<Slice> = Vec::new();
    let mut forgotten: Option<i64> = None;
    let mut found = Vec::new();
    for (now, source, offset, key) in events {
        named.retain(|_, last| *last + span_ns > now);
        slices.retain(|slice| slice.last_ns + span_ns > now);
        forgotten = forgotten.filter(|last| *last + span_ns > now);
        let sketched = slices.iter().any(|slice| slice.keys.contains(&key));
        if !named.contains_key(&key) && !sketched {
            let values = key.iter().map(|(_, text)| text.clone()).collect();
            let partly = !slices.is_empty() || forgotten.is_some();
            found.push((values, now, source, offset, partly.then_some(forgotten)));
        }
        named.insert(key, now);
        while named.len() > room {
            let (last, key) = named
                .iter()
                .map(|(key, last)| (*last, key.clone()))
                .min()
                .unwrap();
            named.remove(&key);
            let fits = |slice: &Slice| {
                slice.keys.len() < room && last - slice.first_ns < (span_ns / 16).max(1)
            };
            if !slices.last().is_some_and(fits) {
                slices.push(Slice {
                    first_ns: last,
                    last_ns: last,
                    keys: Vec::new(),
                });
                if slices.len() > 32 {
                    forgotten = forgotten.max(Some(slices.remove(0).last_ns));
                }
            }
            let slice = slices.last_mut().unwrap();
            slice.keys.push(key);
            slice.last_ns = last;
        }
    }
    found
}

fn found(outcomes: &[Outcome], room: u32) -> Vec<Found> {
    let one = |outcome: &Outcome| {
        let Outcome::Correlated(of) = outcome else {
            panic!("{outcome:?}");
        };
        let [event] = &of.events[..] else {
            panic!("{of:?}");
        };
        let values = of
            .group
            .iter()
            .map(|(_, value)| value.clone().unwrap())
            .collect();
        let forgotten = of.recall.map(|recall| {
            assert_eq!(recall.exactly, u64::from(room));
            // So few values in the smallest filter are hardly ever mistaken for others.
            assert!((0.0..1e-9).contains(&recall.mistaken), "{recall:?}");
            recall.forgotten_ns
        });
        (
            values,
            of.time_ns,
            event.source.clone(),
            event.offset,
            forgotten,
        )
    };
    let mut found: Vec<Found> = outcomes.iter().map(one).collect();
    found.sort_by_key(|of| (of.1, of.2.clone(), of.3));
    found
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_is_known_does_not_depend_on_arrival(
        log in log(), setup in setup(), order in order(), timespan in 1i64..300, grouped: bool, room in 1u32..5,
    ) {
        // How many are known by name is said for each exchange partition.
        let setup = Setup { exchange: 1, ..setup };
        let mut rule = new(&["user", "bytes"], timespan, grouped);
        if let CorrelationKind::NewTerms { remember, .. } = &mut rule.kind {
            *remember = room;
        }
        let expected = expected(&rule, room as usize, &log);
        let plan = plan(&rule_set(3, vec![rule], Vec::new()));
        let first = run(&plan, &setup, &log);
        prop_assert_eq!(found(&first, room), expected);
        prop_assert_eq!(run(&plan, &setup, &interleave(&log, &order)), first);
    }
}
