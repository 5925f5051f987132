//! Stage 2 of a correlation: events in the order of their time, and findings.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::plan::{CountPlan, Decision};
use super::{Event, group_key};
use crate::frame::Fingerprint;
use crate::outcome::{Contribution, Correlated};
use crate::sources::Sources;

/// The groups of one correlation in one exchange partition.
///
/// Nothing is decided before it is final. The oldest undecided event of a group, at time `t`, is looked at when the watermark
/// has reached `t + timespan`: then every event of `[t, t + timespan)` is here, in whatever order they came. If their number
/// satisfies the condition, they are a finding and are used up, and counting begins anew with the next event after the window.
/// If not, a condition that more events can only help (`gt`, `gte`) may still hold for a window that begins at the next event, so just
/// the oldest event is dropped; for the other conditions the window is over, with all of its events. So the finding is the
/// one that a reader of the sorted events would open at the first event which completes the number, and it has every event of
/// its window.
pub(crate) struct Counter {
    plan: Arc<CountPlan>,
    rule: usize,
    groups: HashMap<Arc<[u8]>, Group>,
    /// When each group must be looked at next. A group that has been rescheduled leaves its old entry behind, which is skipped.
    due: BinaryHeap<Reverse<(i64, Arc<[u8]>)>>,
    events: usize,
    key_bytes: usize,
}

#[derive(Debug, Default)]
struct Group {
    events: Vec<Event>,
    sorted: bool,
    /// Events before this time have been used up.
    taken_ns: Option<i64>,
    /// When to look at it next; none when it is not scheduled.
    due_ns: Option<i64>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It counts.
    Counted,
    /// The windows that it could have counted in are decided.
    Late,
}

impl Counter {
    /// For the correlation at this index.
    pub(crate) fn new(plan: Arc<CountPlan>, rule: usize) -> Self {
        Self {
            plan,
            rule,
            groups: HashMap::new(),
            due: BinaryHeap::new(),
            events: 0,
            key_bytes: 0,
        }
    }

    /// What it counts, and how.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.plan.fingerprint
    }

    /// The same correlation in another plan: its detections may stand elsewhere there.
    pub(crate) fn adopt(self, plan: Arc<CountPlan>, rule: usize) -> Self {
        Self { plan, rule, ..self }
    }

    /// Takes an event in. Behind the watermark it still counts while a window that begins at it is undecided and its time
    /// is not within a finding's window.
    pub(crate) fn add(&mut self, key: &[u8], event: Event, watermark_ns: Option<i64>) -> Arrival {
        let due_ns = self.window_end(event.time_ns);
        let decided = watermark_ns.is_some_and(|watermark_ns| due_ns <= watermark_ns);
        let known = self.groups.get(key);
        let taken_ns = known.and_then(|group| group.taken_ns);
        let taken = taken_ns.is_some_and(|taken_ns| event.time_ns < taken_ns);
        if decided || taken {
            return Arrival::Late;
        }
        if known.is_none() {
            self.key_bytes += key.len();
            self.groups.insert(key.into(), Group::default());
        }
        let Some(group) = self.groups.get_mut(key) else {
            return Arrival::Late;
        };
        self.events += 1;
        group.sorted = false;
        group.events.push(event);
        if group.due_ns.is_none_or(|old| due_ns < old) {
            group.due_ns = Some(due_ns);
            self.due.push(Reverse((due_ns, key.into())));
        }
        Arrival::Counted
    }

    /// Decides everything that the watermark allows to be decided.
    pub(crate) fn advance(
        &mut self,
        watermark_ns: i64,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        while let Some(Reverse((due_ns, _))) = self.due.peek()
            && *due_ns <= watermark_ns
        {
            let Some(Reverse((due_ns, key))) = self.due.pop() else {
                break;
            };
            let scheduled = self.groups.get(&key).and_then(|group| group.due_ns);
            if scheduled == Some(due_ns) {
                self.decide(&key, watermark_ns, sources, found);
            }
        }
    }

    /// Approximate bytes held.
    pub(crate) fn size(&self) -> usize {
        const GROUP: usize = size_of::<(Arc<[u8]>, Group)>() + size_of::<(i64, Arc<[u8]>)>();
        self.events * size_of::<Event>() + self.key_bytes + self.groups.len() * GROUP
    }

    fn decide(
        &mut self,
        key: &Arc<[u8]>,
        watermark_ns: i64,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        let Some(mut group) = self.groups.remove(key) else {
            return;
        };
        let before = group.events.len();
        group.sort(sources);
        let mut decided = 0;
        while let Some((head, window)) = self.window(group.events.get(decided..)) {
            let end_ns = self.window_end(head.time_ns);
            if end_ns > watermark_ns {
                break;
            }
            // At the end of time the window may not reach past its first event.
            let whole = window.len().max(1);
            if self.plan.holds(window.len()) {
                found.extend(self.finding(key, window, sources));
            } else if let Decision::AtLeast(_) = self.plan.decision {
                decided += 1;
                continue;
            }
            group.taken_ns = Some(end_ns);
            decided += whole;
        }
        group.events.drain(..decided);
        self.events -= before - group.events.len();
        group.due_ns = match (group.events.first(), group.taken_ns) {
            (Some(head), _) => Some(self.window_end(head.time_ns)),
            // It is remembered for as long as an event of the used-up time could still be mistaken for a new one.
            (None, Some(taken_ns)) => Some(self.window_end(taken_ns)),
            (None, None) => None,
        };
        match group.due_ns {
            Some(due_ns) if due_ns > watermark_ns => {
                self.due.push(Reverse((due_ns, Arc::clone(key))));
                self.groups.insert(Arc::clone(key), group);
            }
            _ => self.key_bytes -= key.len(),
        }
    }

    /// The first of the events, and all of its window.
    fn window<'a>(&self, events: Option<&'a [Event]>) -> Option<(&'a Event, &'a [Event])> {
        let events = events?;
        let head = events.first()?;
        let end_ns = self.window_end(head.time_ns);
        let stop = events.partition_point(|event| event.time_ns < end_ns);
        Some((head, events.get(..stop)?))
    }

    fn window_end(&self, start_ns: i64) -> i64 {
        start_ns.saturating_add(self.plan.rule.timespan_ns)
    }

    fn finding(&self, key: &[u8], window: &[Event], sources: &Sources) -> Option<Correlated> {
        let (first, last) = (window.first()?, window.last()?);
        let time_ns = match self.plan.decision {
            Decision::AtLeast(least) => {
                let completes = usize::try_from(least).ok()?.checked_sub(1)?;
                window.get(completes)?.time_ns
            }
            Decision::WholeWindow => self.window_end(first.time_ns),
        };
        Some(Correlated {
            rule: self.rule,
            group: self.group(key),
            time_ns,
            first_ns: first.time_ns,
            last_ns: last.time_ns,
            count: window.len() as u64,
            events: window
                .iter()
                .filter_map(|event| self.contribution(event, sources))
                .collect(),
        })
    }

    /// A group with its names.
    pub(crate) fn group(&self, key: &[u8]) -> Vec<(String, Option<String>)> {
        let values = group_key::values(key).map(|value| value.map(str::to_owned));
        self.plan
            .rule
            .group_by
            .iter()
            .cloned()
            .zip(values)
            .collect()
    }

    /// An event as the outside knows it.
    pub(crate) fn contribution(&self, event: &Event, sources: &Sources) -> Option<Contribution> {
        let detection = *self.plan.rule.rules.get(event.position as usize)?;
        Some(Contribution {
            time_ns: event.time_ns,
            source: sources.get(event.source)?.clone(),
            offset: event.offset,
            rule: u32::try_from(detection).ok()?,
        })
    }
}

impl Group {
    /// Puts the events in order. An event that several of the rules matched is one event, of the rule named first.
    fn sort(&mut self, sources: &Sources) {
        if self.sorted {
            return;
        }
        self.events.sort_unstable_by(|left, right| {
            let by_source =
                |left: &Event, right: &Event| sources.compare(left.source, right.source);
            left.time_ns
                .cmp(&right.time_ns)
                .then_with(|| by_source(left, right))
                .then_with(|| left.offset.cmp(&right.offset))
                .then_with(|| left.position.cmp(&right.position))
        });
        self.events
            .dedup_by_key(|event| (event.time_ns, event.source, event.offset));
        self.sorted = true;
    }
}
