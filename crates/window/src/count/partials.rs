//! Stage 1 of a correlation: the matching events of every group.

use std::sync::Arc;

use hashbrown::HashMap;

use super::plan::CountPlan;
use super::section::EventsWriter;
use super::{Event, group_key};
use crate::WindowError;
use crate::frame::Topics;
use crate::route::KeyValue;
use crate::sources::Sources;

/// The events of one correlation since the last drain.
pub(crate) struct CountPartials {
    plan: Arc<CountPlan>,
    groups: HashMap<Box<[u8]>, Vec<Event>>,
    bytes: usize,
}

impl CountPartials {
    pub(crate) fn new(plan: Arc<CountPlan>) -> Self {
        Self {
            plan,
            groups: HashMap::new(),
            bytes: 0,
        }
    }

    /// Adds an event to the group of this key.
    pub(crate) fn add(&mut self, key: &[u8], event: Event) {
        self.bytes += size_of::<Event>();
        if let Some(events) = self.groups.get_mut(key) {
            events.push(event);
        } else {
            self.bytes += key.len();
            self.groups.insert(key.into(), vec![event]);
        }
    }

    /// Approximate bytes held.
    pub(crate) fn size(&self) -> usize {
        self.bytes
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
        self.bytes = 0;
    }

    /// Hands everything to the writers of the exchange partitions that the groups belong to.
    pub(crate) fn drain(
        &mut self,
        sources: &Sources,
        topics: &mut Topics,
        writers: &mut [EventsWriter],
    ) -> Result<(), WindowError> {
        let partitions = u32::try_from(writers.len()).unwrap_or(u32::MAX);
        // In order, so that the same events make the same records.
        let mut groups: Vec<_> = std::mem::take(&mut self.groups).into_iter().collect();
        groups.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        self.bytes = 0;
        for (key, events) in groups {
            let values =
                group_key::values(&key).map(|value| value.map_or(KeyValue::Null, KeyValue::Text));
            let partition = self.plan.hasher.partition(values, partitions);
            if let Some(writer) = writers.get_mut(partition as usize) {
                let place = |source| {
                    sources
                        .get(source)
                        .map(|id| (topics.index(&id.topic), id.partition))
                };
                writer.add(self.plan.fingerprint, &key, &events, place)?;
            }
        }
        Ok(())
    }
}
