//! Findings as events: what a correlation of correlations counts.

use std::cmp::Ordering;
use std::sync::Arc;

use haechi_rules::{Correlation, Referent};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Event;
use crate::outcome::{Contribution, Correlated, Opening};
use crate::sources::Sources;

/// The source of an event that is a finding; its offset is then a number in [`Parts`].
const PART: u32 = u32::MAX;

/// The findings that the events of one correlation stand for.
#[derive(Debug, Default)]
pub(super) struct Parts {
    parts: FxHashMap<i64, Arc<Correlated>>,
    pub(super) next: i64,
    /// Approximate bytes of them.
    bytes: usize,
}

impl Parts {
    /// Makes an event of a finding: it happens at the finding's time.
    pub(super) fn put(&mut self, finding: Correlated, position: u32) -> Event {
        let number = self.next;
        self.next += 1;
        let time_ns = finding.time_ns;
        self.insert(number, finding);
        Event {
            time_ns,
            offset: number,
            source: PART,
            position,
        }
    }

    /// Takes a finding in under its number.
    pub(super) fn insert(&mut self, number: i64, finding: Correlated) {
        self.bytes += size(&finding);
        if let Some(old) = self.parts.insert(number, Arc::new(finding)) {
            self.bytes -= size(&old);
        }
    }

    /// All findings with their numbers, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&i64, &Arc<Correlated>)> {
        self.parts.iter()
    }

    /// The finding of an event, if it is one.
    pub(super) fn get(&self, event: &Event) -> Option<&Arc<Correlated>> {
        (event.source == PART)
            .then(|| self.parts.get(&event.offset))
            .flatten()
    }

    /// Forgets the finding of an event that is used up.
    pub(super) fn forget(&mut self, event: &Event) {
        if event.source == PART {
            let gone = self.parts.remove(&event.offset);
            self.bytes -= gone.map_or(0, |gone| size(&gone));
        }
    }

    /// Forgets the findings that none of these events is.
    pub(super) fn retain<'a>(&mut self, events: impl Iterator<Item = &'a Event>) {
        let parts = events.filter(|event| event.source == PART);
        let used: FxHashSet<i64> = parts.map(|event| event.offset).collect();
        self.parts.retain(|number, _| used.contains(number));
        self.bytes = self.parts.values().map(|part| size(part)).sum();
    }

    /// The rules have other numbers now.
    pub(super) fn renumber(&mut self, moves: &Moves) {
        for part in self.parts.values_mut() {
            *part = Arc::new(moves.of(part));
        }
    }

    /// Approximate bytes held.
    pub(super) fn size(&self) -> usize {
        self.bytes
    }

    /// The order of events: time, topic, partition, offset, then the rule. A finding stands behind its last event; the numbers
    /// that findings have here say nothing.
    pub(super) fn compare(&self, left: &Event, right: &Event, sources: &Sources) -> Ordering {
        let by_time = left.time_ns.cmp(&right.time_ns);
        if left.source != PART && right.source != PART {
            return by_time
                .then_with(|| sources.compare(left.source, right.source))
                .then_with(|| left.offset.cmp(&right.offset))
                .then_with(|| left.position.cmp(&right.position));
        }
        by_time
            .then_with(|| self.place(left, sources).cmp(&self.place(right, sources)))
            .then_with(|| (left.source == PART).cmp(&(right.source == PART)))
            .then_with(|| left.position.cmp(&right.position))
            .then_with(|| {
                let identity = |event| self.get(event).map(|of| (&of.group, &of.events));
                identity(left).cmp(&identity(right))
            })
    }

    fn place<'a>(
        &'a self,
        event: &Event,
        sources: &'a Sources,
    ) -> Option<(&'a crate::SourceId, i64)> {
        match self.get(event) {
            Some(part) => part.events.last().map(|last| (&last.source, last.offset)),
            None => sources
                .get(event.source)
                .map(|source| (source, event.offset)),
        }
    }
}

fn size(part: &Correlated) -> usize {
    size_of::<Correlated>() + part.events.len() * size_of::<Contribution>()
}

/// Where the rules of an old plan stand in a new one.
#[derive(Debug, Default)]
pub(super) struct Moves {
    detections: FxHashMap<u32, u32>,
    correlations: FxHashMap<usize, usize>,
}

impl Moves {
    /// Takes in two versions of a correlation that mean the same.
    pub(super) fn learn(&mut self, old: &Correlation, new: &Correlation) {
        for pair in old.rules.iter().zip(&new.rules) {
            match pair {
                (Referent::Detection(old), Referent::Detection(new)) => {
                    if let (Ok(old), Ok(new)) = (u32::try_from(*old), u32::try_from(*new)) {
                        self.detections.insert(old, new);
                    }
                }
                (Referent::Correlation(old), Referent::Correlation(new)) => {
                    self.correlations.insert(*old, *new);
                }
                _ => {}
            }
        }
    }

    /// A finding under the new numbers. A rule that is not there any more has none.
    pub(super) fn of(&self, finding: &Correlated) -> Correlated {
        let mut moved = finding.clone();
        let rule = self.correlations.get(&moved.rule);
        moved.rule = rule.copied().unwrap_or(usize::MAX);
        for event in &mut moved.events {
            event.rule = self
                .detections
                .get(&event.rule)
                .copied()
                .unwrap_or(u32::MAX);
        }
        for part in &mut moved.parts {
            *part = Arc::new(self.of(part));
        }
        if let Opening::Finding(part) = &mut moved.opening {
            *part = Arc::new(self.of(part));
        }
        moved
    }
}
