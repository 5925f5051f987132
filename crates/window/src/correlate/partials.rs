//! Stage 1 of a correlation: the matching events of every group.

use std::sync::Arc;

use hashbrown::HashMap;

use super::Event;
use super::node::Node;
use super::quotes::{self, Quotes};
use super::section::SectionWriters;
use super::value::{Value, Values};
use crate::WindowError;
use crate::frame::Topics;
use crate::outcome::Quoted;
use crate::sources::Sources;

/// The events of one correlation since the last drain.
pub(crate) struct NodePartials {
    node: Arc<Node>,
    groups: HashMap<Box<[u8]>, Group>,
    /// The first events, where findings quote them.
    quotes: Option<Quotes>,
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    events: Vec<Event>,
    values: Values,
}

impl NodePartials {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self {
            quotes: node.quotes(),
            node,
            groups: HashMap::new(),
            bytes: 0,
        }
    }

    /// Adds an event to the group of this key.
    pub(crate) fn add(&mut self, key: &[u8], event: Event, value: Value) {
        self.bytes += size_of::<Event>();
        if let Some(group) = self.groups.get_mut(key) {
            group.events.push(event);
            self.bytes += group.values.push(value);
        } else {
            let mut values = Values::new(self.node.values);
            self.bytes += key.len() + values.push(value);
            let events = vec![event];
            self.groups.insert(key.into(), Group { events, values });
        }
    }

    /// Adds the record of an event, if it is one of the first that are quoted. `payload` is its bytes.
    pub(crate) fn quote(
        &mut self,
        key: &[u8],
        event: Event,
        sources: &Sources,
        payload: Option<&[u8]>,
    ) {
        if let Some(quotes) = &mut self.quotes {
            quotes.add(key, event, sources, || payload.map(Quoted::of));
        }
    }

    /// Approximate bytes held.
    pub(crate) fn size(&self) -> usize {
        self.bytes + self.quotes.as_ref().map_or(0, Quotes::size)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
        self.quotes = self.node.quotes();
        self.bytes = 0;
    }

    /// Hands everything to the writers of the exchange partitions that the groups belong to.
    pub(crate) fn drain(
        &mut self,
        sources: &Sources,
        topics: &mut Topics,
        writers: &mut [SectionWriters],
    ) -> Result<(), WindowError> {
        let partitions = u32::try_from(writers.len()).unwrap_or(u32::MAX);
        // In order, so that the same events make the same records.
        let mut groups: Vec<_> = std::mem::take(&mut self.groups).into_iter().collect();
        groups.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        self.bytes = 0;
        let mut place = |source| {
            sources
                .get(source)
                .map(|id| (topics.index(&id.topic), id.partition))
        };
        for (key, group) in groups {
            let partition = self.node.partition(&key, partitions);
            if let Some(writers) = writers.get_mut(partition as usize) {
                let writer = writers.of(self.node.values);
                writer.add(
                    self.node.fingerprint,
                    &key,
                    &group.events,
                    &group.values,
                    &mut place,
                )?;
            }
        }
        for (key, quotes) in self.quotes.iter_mut().flat_map(Quotes::drain) {
            let partition = self.node.partition(&key, partitions);
            if let Some(writers) = writers.get_mut(partition as usize) {
                let events: Vec<Event> = quotes.iter().map(|of| of.event).collect();
                let values = quotes.iter().map(|of| quotes::to_value(&of.quoted));
                let values = Values::Tuples(values.collect());
                let writer = writers.quotes();
                writer.add(self.node.fingerprint, &key, &events, &values, &mut place)?;
            }
        }
        Ok(())
    }
}
