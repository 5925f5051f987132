//! The same results, computed from their definitions over the whole log, slowly.

use std::collections::{BTreeMap, BTreeSet};

use haechi_rules::{CompareOp, Correlation};

use super::world::{Event, source};
use crate::{Contribution, Correlated};

/// All findings of an `event_count` correlation.
///
/// Events are looked at in the order of (time, topic, partition, offset). For `gt` and `gte`, a finding opens at the first event at
/// which the not yet used events of `(time - timespan, time]` satisfy the condition; it takes all events of
/// `[first, first + timespan)`. For other conditions the first unused event opens a window `[first, first + timespan)`, which uses up its
/// events whether or not it is a finding.
pub(super) fn event_count(rule: &Correlation, log: &[Event]) -> Vec<Correlated> {
    let mut groups: BTreeMap<Vec<Option<String>>, BTreeSet<Contribution>> = BTreeMap::new();
    for event in log {
        for &hit in &event.hits {
            if !rule.rules.contains(&(hit as usize)) {
                continue;
            }
            let value = |name: &String| {
                let alias = rule
                    .aliases
                    .get(name)
                    .and_then(|of| of.get(&(hit as usize)));
                let value = event.first(alias.unwrap_or(name))?;
                Some(value.map(str::to_owned))
            };
            let Some(group) = rule.group_by.iter().map(value).collect::<Option<Vec<_>>>() else {
                continue;
            };
            groups.entry(group).or_default().insert(Contribution {
                time_ns: event.time_ns,
                source: source(event),
                offset: event.offset,
                rule: hit,
            });
        }
    }
    let mut found = Vec::new();
    for (group, events) in groups {
        // The set has sorted them; an event that several rules matched is one event.
        let mut events: Vec<Contribution> = events.into_iter().collect();
        events.dedup_by_key(|event| (event.time_ns, event.source.clone(), event.offset));
        let group: Vec<_> = rule.group_by.iter().cloned().zip(group).collect();
        let monotone = rule
            .condition
            .iter()
            .all(|(op, _)| matches!(op, CompareOp::Gt | CompareOp::Gte));
        while let Some((time_ns, used, finding)) = next(rule, monotone, &events) {
            if finding {
                found.push(Correlated {
                    rule: 0,
                    group: group.clone(),
                    time_ns,
                    first_ns: used[0].time_ns,
                    last_ns: used[used.len() - 1].time_ns,
                    count: used.len() as u64,
                    events: used.clone(),
                });
            }
            let end = used[used.len() - 1].clone();
            events.retain(|event| *event > end);
        }
    }
    found
}

/// The next window in some events: its time, the events that it uses up, and whether it is a finding.
fn next(
    rule: &Correlation,
    monotone: bool,
    events: &[Contribution],
) -> Option<(i64, Vec<Contribution>, bool)> {
    let holds = |count: usize| {
        rule.condition
            .iter()
            .all(|(op, number)| op.holds(count as f64, *number))
    };
    let window = |first_ns: i64| -> Vec<Contribution> {
        let end_ns = first_ns + rule.timespan_ns;
        let inside = events
            .iter()
            .filter(|event| event.time_ns >= first_ns && event.time_ns < end_ns);
        inside.cloned().collect()
    };
    if !monotone {
        let first_ns = events.first()?.time_ns;
        let used = window(first_ns);
        let finding = holds(used.len());
        return Some((first_ns + rule.timespan_ns, used, finding));
    }
    for (at, event) in events.iter().enumerate() {
        let recent = events[..=at]
            .iter()
            .filter(|e| e.time_ns > event.time_ns - rule.timespan_ns);
        let recent: Vec<_> = recent.collect();
        if holds(recent.len()) {
            let first_ns = recent[0].time_ns;
            let from = events.iter().position(|e| e == recent[0]).unwrap();
            let used = window(first_ns)
                .into_iter()
                .filter(|e| *e >= events[from])
                .collect();
            return Some((event.time_ns, used, true));
        }
    }
    None
}

/// What the rollup in `laws` says, as (window start, key) → row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Row {
    pub(super) rows: i64,
    pub(super) with_bytes: i64,
    pub(super) sum: Option<f64>,
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    pub(super) users: BTreeSet<String>,
}

/// Groups by window and the field `host`; `bytes` are whole numbers, `user` is counted.
pub(super) fn rollup(width_ns: i64, log: &[Event]) -> BTreeMap<(i64, Option<String>), Row> {
    let mut rows: BTreeMap<_, Row> = BTreeMap::new();
    for event in log {
        let text = |field| event.first(field).flatten().map(str::to_owned);
        let start_ns = event.time_ns.div_euclid(width_ns) * width_ns;
        let row = rows.entry((start_ns, text("host"))).or_default();
        row.rows += 1;
        row.users.extend(text("user"));
        if let Some(bytes) = text("bytes").and_then(|bytes| bytes.parse::<i64>().ok()) {
            row.with_bytes += 1;
            row.sum = Some(row.sum.unwrap_or(0.0) + bytes as f64);
            row.min = Some(row.min.map_or(bytes, |min| min.min(bytes)));
            row.max = Some(row.max.map_or(bytes, |max| max.max(bytes)));
        }
    }
    rows
}
