//! From a window of events to what the outside is told.

use std::sync::Arc;

use haechi_rules::Referent;

use super::groups::Moment;
use super::judge::Pace;
use super::machine::{Item, Machine};
use super::tally::Held;
use super::{Event, group_key};
use crate::outcome::{Contribution, Correlated, Opening, Phase, Recall};
use crate::sources::Sources;

impl<V: Held> Machine<V> {
    /// The finding of a window, with the number that was compared. Of its group there is the key, and what it may lack.
    pub(super) fn finding(
        &self,
        (key, lost_ns): (&[u8], Moment),
        window: &[Item<V>],
        number: f64,
        sources: &Sources,
    ) -> Option<Correlated> {
        let head = window.first()?.event;
        let time_ns = match self.node.judge.pace {
            Pace::Slide => {
                let completes = self.node.judge.completed_at(window)?;
                window.get(completes)?.event.time_ns
            }
            Pace::Fresh => head.time_ns,
            Pace::SlideWhole | Pace::Tile | Pace::Silence => self.window_end(head.time_ns),
        };
        let opening = self.opening(&head, sources)?;
        let mut parts = Vec::new();
        let mut events = Vec::with_capacity(window.len());
        let mut last: Option<Event> = None;
        for Item { event, .. } in window {
            if let Some(part) = self.parts.get(event) {
                events.extend(part.events.iter().cloned());
                parts.push(Arc::clone(part));
            } else if !last.is_some_and(|last| last.is_same(event)) {
                events.extend(self.contribution(event, sources));
                last = Some(*event);
            }
        }
        if !parts.is_empty() {
            events.sort();
            events.dedup_by(|later, earlier| {
                (later.time_ns, later.offset) == (earlier.time_ns, earlier.offset)
                    && later.source == earlier.source
            });
        }
        if let Some(quotes) = &self.quotes {
            quotes.fill(key, &mut events, sources);
        }
        let count = match self.node.judge.pace {
            Pace::Silence => 0,
            _ => events.len() as u64,
        };
        let recall = parts.iter().filter_map(|part| part.recall);
        let recall = recall.reduce(Recall::and);
        Some(Correlated {
            rule: self.node.index,
            group: self.group(key),
            time_ns,
            first_ns: events.first()?.time_ns,
            last_ns: events.last()?.time_ns,
            count,
            number,
            events,
            parts,
            opening,
            revision: 0,
            phase: Phase::Final,
            given_up: self.lost.of_window(head.time_ns, lost_ns),
            suppresses: self.node.suppresses(),
            recall,
        })
    }

    /// What a window begins with.
    pub(super) fn opening(&self, head: &Event, sources: &Sources) -> Option<Opening> {
        if let Some(part) = self.parts.get(head) {
            return Some(Opening::Finding(Arc::clone(part)));
        }
        Some(Opening::Event {
            source: sources.get(head.source)?.clone(),
            offset: head.offset,
        })
    }

    /// A group with its names.
    pub(super) fn group(&self, key: &[u8]) -> Vec<(String, Option<String>)> {
        let values = group_key::values(key).map(|value| value.map(str::to_owned));
        self.node.names().cloned().zip(values).collect()
    }

    /// An event as the outside knows it; none when it is a finding.
    pub(super) fn contribution(&self, event: &Event, sources: &Sources) -> Option<Contribution> {
        let Referent::Detection(detection) = self.node.rule.rules.get(event.position as usize)?
        else {
            return None;
        };
        Some(Contribution {
            time_ns: event.time_ns,
            source: sources.get(event.source)?.clone(),
            offset: event.offset,
            rule: u32::try_from(*detection).ok()?,
            quoted: None,
        })
    }
}
