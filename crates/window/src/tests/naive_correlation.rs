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

/// What a correlation counts, by group.
type Groups = BTreeMap<Vec<Option<String>>, Vec<Entry>>;

/// All findings of a correlation.
pub(super) fn findings(set: &RuleSet, index: usize, log: &[Event]) -> Vec<Correlated> {
    let rule = &set.correlations[index];
    let mut groups = Groups::new();
    for (position, referent) in rule.rules.iter().enumerate() {
        match referent {
            Referent::Detection(detection) => {
                add_hits(rule, position, *detection as u32, log, &mut groups);
            }
            Referent::Correlation(inner) => {
                add_findings(rule, position, findings(set, *inner, log), &mut groups);
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

/// The events of a detection that a correlation counts.
fn add_hits(
    rule: &Correlation,
    position: usize,
    detection: u32,
    log: &[Event],
    groups: &mut Groups,
) {
    for event in log.iter().filter(|event| event.hits.contains(&detection)) {
        let first = |name: &String| event.first(rule.field(name, position));
        let group = rule
            .names()
            .map(|name| Some(first(name)?.map(str::to_owned)));
        let Some(group) = group.collect::<Option<Vec<_>>>() else {
            continue;
        };
        let value = rule
            .kind
            .fields()
            .iter()
            .filter(|_| !matches!(rule.kind, CorrelationKind::NewTerms { .. }))
            .map(|name| first(name)??.parse().ok());
        let Some(value) = value.collect::<Option<Vec<String>>>() else {
            continue;
        };
        if lacks_terms(rule, &group) || !usable(rule, &value) {
            continue;
        }
        let contribution = Contribution {
            time_ns: event.time_ns,
            source: source(event),
            offset: event.offset,
            rule: detection,
            quoted: None,
        };
        let entries = groups.entry(group).or_default();
        let same = |known: &&mut Entry| {
            let of = &known.events[0];
            known.part.is_none()
                && (&of.source, of.offset) == (&contribution.source, contribution.offset)
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

/// The findings of a correlation below.
fn add_findings(rule: &Correlation, position: usize, below: Vec<Correlated>, groups: &mut Groups) {
    for finding in below {
        let text = |name: &String| {
            let field = rule.field(name, position);
            let mut group = finding.group.iter();
            group.find(|(name, _)| name == field).unwrap().1.clone()
        };
        let group: Vec<_> = rule.names().map(text).collect();
        let value = rule.kind.fields().iter().map(text);
        let value = value.collect::<Option<Vec<_>>>();
        let Some(value) = value.filter(|value| usable(rule, value)) else {
            continue;
        };
        if lacks_terms(rule, &group) {
            continue;
        }
        groups.entry(group).or_default().push(Entry {
            time_ns: finding.time_ns,
            rules: [position].into(),
            value,
            events: finding.events.clone(),
            part: Some(Arc::new(finding)),
        });
    }
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

/// What is found in a group, whose entries are in order.
fn of_group(
    rule: &Correlation,
    index: usize,
    group: &[(String, Option<String>)],
    entries: &[Entry],
    found: &mut Vec<Correlated>,
) {
    let mut find = |window: &[Entry], time_ns: i64, number: f64| {
        found.push(finding(rule, index, group, window, time_ns, number));
    };
    if matches!(rule.kind, CorrelationKind::NewTerms { .. }) {
        for_each_new(rule, entries, |entry| {
            find(std::slice::from_ref(entry), entry.time_ns, 1.0);
        });
    } else {
        for_each_window(rule, entries, find);
    }
}

/// Each entry with nothing of its group within the timespan before.
fn for_each_new(rule: &Correlation, entries: &[Entry], mut find: impl FnMut(&Entry)) {
    let mut earlier: Option<i64> = None;
    for entry in entries {
        if earlier.is_none_or(|earlier| entry.time_ns - earlier >= rule.timespan_ns) {
            find(entry);
        }
        earlier = Some(entry.time_ns);
    }
}

/// Looks at the window of every event in turn.
fn for_each_window(
    rule: &Correlation,
    mut entries: &[Entry],
    mut find: impl FnMut(&[Entry], i64, f64),
) {
    while let Some(head) = entries.first() {
        let end_ns = head.time_ns + rule.timespan_ns;
        let inside = entries.iter().take_while(|entry| entry.time_ns < end_ns);
        let window = &entries[..inside.count()];
        let number = verdict(rule, window);
        if let Some(number) = number {
            let time_ns = if at_once(rule) {
                let completes = (1..=window.len()).find(|n| verdict(rule, &window[..*n]).is_some());
                window[completes.unwrap() - 1].time_ns
            } else {
                end_ns
            };
            find(window, time_ns, number);
        }
        let used = number.is_some() || tiles(rule);
        entries = &entries[if used { window.len() } else { 1 }..];
    }
}

/// The finding that these entries are.
fn finding(
    rule: &Correlation,
    index: usize,
    group: &[(String, Option<String>)],
    window: &[Entry],
    time_ns: i64,
    number: f64,
) -> Correlated {
    let mut events: Vec<Contribution> = window
        .iter()
        .flat_map(|entry| entry.events.clone())
        .collect();
    events.sort();
    let mut seen = BTreeSet::new();
    events.retain(|event| seen.insert((event.time_ns, event.source.clone(), event.offset)));
    Correlated {
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
