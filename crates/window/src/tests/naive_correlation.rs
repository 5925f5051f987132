//! Findings as `docs/rules.md` defines them, computed from the whole log at once, slowly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use haechi_rules::{
    CompareOp, Correlation, CorrelationCondition, CorrelationKind, Referent, RuleSet,
};

use super::world::{Event, source};
use crate::{Contribution, Correlated, Opening, Phase};

/// A log event, or a finding of a correlation below, as one correlation sees it.
#[derive(Debug, Clone)]
struct Entry {
    time_ns: i64,
    rules: BTreeSet<usize>,
    value: Vec<String>,
    events: Vec<Contribution>,
    part: Option<Arc<Correlated>>,
}

/// All findings of a correlation.
pub(super) fn findings(set: &RuleSet, index: usize, log: &[Event]) -> Vec<Correlated> {
    let rule = &set.correlations[index];
    let mut groups: BTreeMap<Vec<Option<String>>, Vec<Entry>> = BTreeMap::new();
    for (position, referent) in rule.rules.iter().enumerate() {
        match referent {
            Referent::Detection(detection) => {
                let hit = |event: &&Event| event.hits.contains(&(*detection as u32));
                for event in log.iter().filter(hit) {
                    let first = |name: &String| event.first(rule.field(name, position));
                    let group = rule
                        .names()
                        .map(|name| Some(first(name)?.map(str::to_owned)));
                    let Some(group) = group.collect::<Option<Vec<_>>>() else {
                        continue;
                    };
                    if lacks_terms(rule, &group) {
                        continue;
                    }
                    let value = rule
                        .kind
                        .fields()
                        .iter()
                        .filter(|_| !matches!(rule.kind, CorrelationKind::NewTerms { .. }))
                        .map(|name| first(name)??.parse().ok());
                    let Some(value) = value.collect::<Option<Vec<String>>>() else {
                        continue;
                    };
                    if !usable(rule, &value) {
                        continue;
                    }
                    let contribution = Contribution {
                        time_ns: event.time_ns,
                        source: source(event),
                        offset: event.offset,
                        rule: *detection as u32,
                        quoted: None,
                    };
                    let entries = groups.entry(group).or_default();
                    let same = |known: &&mut Entry| {
                        let of = &known.events[0];
                        known.part.is_none()
                            && (&of.source, of.offset)
                                == (&contribution.source, contribution.offset)
                    };
                    match entries.iter_mut().find(same) {
                        Some(known) if is_temporal(rule) => {
                            known.rules.insert(position);
                        }
                        Some(_) => {}
                        None => entries.push(Entry {
                            time_ns: event.time_ns,
                            rules: [position].into(),
                            value,
                            events: vec![contribution],
                            part: None,
                        }),
                    }
                }
            }
            Referent::Correlation(inner) => {
                for finding in findings(set, *inner, log) {
                    let text = |name: &String| {
                        let field = rule.field(name, position);
                        let found = finding
                            .group
                            .iter()
                            .find(|(group, _)| group == field)
                            .unwrap();
                        found.1.clone()
                    };
                    let group: Vec<_> = rule.names().map(text).collect();
                    if lacks_terms(rule, &group) {
                        continue;
                    }
                    let value = rule
                        .kind
                        .fields()
                        .iter()
                        .map(text)
                        .collect::<Option<Vec<_>>>();
                    let Some(value) = value.filter(|value| usable(rule, value)) else {
                        continue;
                    };
                    groups.entry(group).or_default().push(Entry {
                        time_ns: finding.time_ns,
                        rules: [position].into(),
                        value,
                        events: finding.events.clone(),
                        part: Some(Arc::new(finding)),
                    });
                }
            }
        }
    }
    let mut found = Vec::new();
    for (group, mut entries) in groups {
        entries.sort_by_key(|entry| {
            let last = entry.events.last().unwrap();
            let place = (last.source.clone(), last.offset, entry.part.is_some());
            let part = entry
                .part
                .as_ref()
                .map(|part| (entry.rules.clone(), part.group.clone(), part.events.clone()));
            (entry.time_ns, place, part)
        });
        let group: Vec<_> = rule.names().cloned().zip(group).collect();
        of_group(rule, index, &group, &entries, &mut found);
    }
    found
}

/// Whether a value that is to be new is null: there is nothing to look at.
fn lacks_terms(rule: &Correlation, group: &[Option<String>]) -> bool {
    group[rule.group_by.len()..].contains(&None)
}

fn is_temporal(rule: &Correlation) -> bool {
    matches!(
        rule.kind,
        CorrelationKind::Temporal | CorrelationKind::TemporalOrdered
    )
}

/// Whether the values are such that the correlation can look at them.
fn usable(rule: &Correlation, value: &[String]) -> bool {
    let numeric = !is_temporal(rule)
        && !matches!(
            rule.kind,
            CorrelationKind::EventCount
                | CorrelationKind::ValueCount(_)
                | CorrelationKind::NewTerms { .. }
        );
    !numeric || value[0].parse::<f64>().is_ok()
}

/// Looks at the window of every event in turn.
fn of_group(
    rule: &Correlation,
    index: usize,
    group: &[(String, Option<String>)],
    mut entries: &[Entry],
    found: &mut Vec<Correlated>,
) {
    if matches!(rule.kind, CorrelationKind::NewTerms { .. }) {
        // Each with nothing of its group within the timespan before.
        let new = |at: &usize| {
            let earlier = at.checked_sub(1).map(|before| entries[before].time_ns);
            earlier.is_none_or(|earlier| entries[*at].time_ns - earlier >= rule.timespan_ns)
        };
        for at in (0..entries.len()).filter(new) {
            let entry = &entries[at];
            found.push(Correlated {
                rule: index,
                group: group.to_vec(),
                time_ns: entry.time_ns,
                first_ns: entry.events[0].time_ns,
                last_ns: entry.events[entry.events.len() - 1].time_ns,
                count: entry.events.len() as u64,
                number: 1.0,
                events: entry.events.clone(),
                parts: entry.part.iter().cloned().collect(),
                opening: match &entry.part {
                    Some(part) => Opening::Finding(part.clone()),
                    None => Opening::Event {
                        source: entry.events[0].source.clone(),
                        offset: entry.events[0].offset,
                    },
                },
                revision: 0,
                phase: Phase::Final,
                given_up: 0,
                suppresses: None,
                recall: None,
            });
        }
        return;
    }
    while let Some(head) = entries.first() {
        let end_ns = head.time_ns + rule.timespan_ns;
        let window = entries
            .iter()
            .take_while(|entry| entry.time_ns < end_ns)
            .count();
        let window = &entries[..window];
        let number = verdict(rule, window);
        if let Some(number) = number {
            let time_ns = if at_once(rule) {
                let completes = (1..=window.len()).find(|n| verdict(rule, &window[..*n]).is_some());
                window[completes.unwrap() - 1].time_ns
            } else {
                end_ns
            };
            let all: BTreeSet<(i64, crate::SourceId, i64)> = Default::default();
            let (mut seen, mut events) = (all, Vec::new());
            let mut contributions: Vec<Contribution> = window
                .iter()
                .flat_map(|entry| entry.events.clone())
                .collect();
            contributions.sort();
            for event in contributions {
                if seen.insert((event.time_ns, event.source.clone(), event.offset)) {
                    events.push(event);
                }
            }
            found.push(Correlated {
                rule: index,
                group: group.to_vec(),
                time_ns,
                first_ns: events[0].time_ns,
                last_ns: events[events.len() - 1].time_ns,
                count: if silence(rule) {
                    0
                } else {
                    events.len() as u64
                },
                number,
                events,
                parts: window
                    .iter()
                    .filter_map(|entry| entry.part.clone())
                    .collect(),
                opening: match &window[0].part {
                    Some(part) => Opening::Finding(part.clone()),
                    None => Opening::Event {
                        source: window[0].events[0].source.clone(),
                        offset: window[0].events[0].offset,
                    },
                },
                revision: 0,
                phase: Phase::Final,
                given_up: 0,
                suppresses: None,
                recall: None,
            });
        }
        let used = number.is_some() || tiles(rule);
        entries = &entries[if used { window.len() } else { 1 }..];
    }
}

fn bounds(rule: &Correlation) -> &[(CompareOp, f64)] {
    match &rule.condition {
        CorrelationCondition::Number(bounds) => bounds,
        CorrelationCondition::Rules(_) => &[],
    }
}

fn holds(rule: &Correlation, number: f64) -> bool {
    bounds(rule)
        .iter()
        .all(|(op, bound)| op.holds(number, *bound))
}

/// Only the absence of events satisfies it.
fn silence(rule: &Correlation) -> bool {
    rule.kind == CorrelationKind::EventCount
        && holds(rule, 0.0)
        && !(1..1000).any(|count| holds(rule, f64::from(count)))
}

/// More can only help.
fn at_once(rule: &Correlation) -> bool {
    match &rule.condition {
        CorrelationCondition::Rules(condition) => !condition.has_absence(),
        CorrelationCondition::Number(bounds) => {
            let grows = |(op, _): &(CompareOp, f64)| matches!(op, CompareOp::Gt | CompareOp::Gte);
            let falls = matches!(
                rule.kind,
                CorrelationKind::ValueAvg(_)
                    | CorrelationKind::ValueMedian(_)
                    | CorrelationKind::ValuePercentile { .. }
            );
            bounds.iter().all(grows) && !falls
        }
    }
}

/// A window that is no finding is over.
fn tiles(rule: &Correlation) -> bool {
    matches!(rule.condition, CorrelationCondition::Number(_)) && !at_once(rule) && !silence(rule)
}

/// The number of a window that is a finding.
fn verdict(rule: &Correlation, window: &[Entry]) -> Option<f64> {
    let matched: BTreeSet<usize> = window
        .iter()
        .flat_map(|entry| entry.rules.clone())
        .collect();
    let condition = match &rule.condition {
        CorrelationCondition::Rules(condition) => condition,
        CorrelationCondition::Number(_) if silence(rule) => {
            return (window.len() == 1).then_some(0.0);
        }
        CorrelationCondition::Number(_) => {
            let number = number(rule, window, matched.len());
            return holds(rule, number).then_some(number);
        }
    };
    let ordered = rule.kind == CorrelationKind::TemporalOrdered;
    let fits = if ordered {
        // Any way to satisfy the condition, its rules in their order and beginning with the first event.
        let ways = condition.ways(10_000).unwrap();
        ways.iter().any(|(present, absent)| {
            window[0].rules.contains(&present[0])
                && in_order(&present[1..], &window[1..])
                && !absent.iter().any(|at| matched.contains(at))
        })
    } else {
        let mut positive = false;
        condition.mentions(&mut |at, even| positive |= even && window[0].rules.contains(&at));
        positive && condition.holds(&|at| matched.contains(&at))
    };
    fits.then_some(matched.len() as f64)
}

fn in_order(set: &[usize], window: &[Entry]) -> bool {
    let Some((first, rest)) = set.split_first() else {
        return true;
    };
    (0..window.len())
        .any(|at| window[at].rules.contains(first) && in_order(rest, &window[at + 1..]))
}

fn number(rule: &Correlation, window: &[Entry], matched: usize) -> f64 {
    // The numbers in these logs are small multiples of a quarter, which floating point adds up exactly.
    let mut numbers: Vec<f64> = match rule.kind {
        CorrelationKind::EventCount
        | CorrelationKind::ValueCount(_)
        | CorrelationKind::NewTerms { .. } => Vec::new(),
        CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => Vec::new(),
        _ => window
            .iter()
            .map(|entry| entry.value[0].parse().unwrap())
            .collect(),
    };
    numbers.sort_by(f64::total_cmp);
    let sum: f64 = numbers.iter().sum();
    let percentile = |percent: f64| {
        let rank = percent / 100.0 * (numbers.len() - 1) as f64;
        let (low, high) = (
            numbers[rank.floor() as usize],
            numbers[rank.ceil() as usize],
        );
        low + (high - low) * rank.fract()
    };
    match &rule.kind {
        CorrelationKind::EventCount | CorrelationKind::NewTerms { .. } => window.len() as f64,
        CorrelationKind::ValueCount(_) => window
            .iter()
            .map(|entry| &entry.value)
            .collect::<BTreeSet<_>>()
            .len() as f64,
        CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => matched as f64,
        CorrelationKind::ValueSum(_) => sum,
        CorrelationKind::ValueAvg(_) => sum / numbers.len() as f64,
        CorrelationKind::ValueMedian(_) => percentile(50.0),
        CorrelationKind::ValuePercentile { percentile: of, .. } => percentile(*of),
    }
}
