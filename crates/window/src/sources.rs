//! Sources by number.

use std::cmp::Ordering;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::frame::{Bytes, FrameError, Topics, put_count};
use crate::source::SourceId;

/// Gives every source a number, so that an event can name its source in four bytes. Numbers are in the order of first
/// appearance; they mean nothing outside the table.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    sources: Vec<SourceId>,
    numbers: FxHashMap<SourceId, u32>,
}

impl Sources {
    /// The number of a source.
    pub(crate) fn number(&mut self, source: &SourceId) -> u32 {
        if let Some(&number) = self.numbers.get(source) {
            return number;
        }
        let number = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.push(source.clone());
        self.numbers.insert(source.clone(), number);
        number
    }

    /// The source of a number.
    pub(crate) fn get(&self, number: u32) -> Option<&SourceId> {
        self.sources.get(number as usize)
    }

    /// The number of a source that has one.
    pub(crate) fn find(&self, source: &SourceId) -> Option<u32> {
        self.numbers.get(source).copied()
    }

    /// Writes the table, for a snapshot.
    pub(crate) fn save(&self, topics: &mut Topics, bytes: &mut Vec<u8>) {
        put_count(bytes, self.sources.len());
        for source in &self.sources {
            bytes.extend(topics.index(&source.topic).to_le_bytes());
            bytes.extend(source.partition.to_le_bytes());
        }
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(topics: &[Arc<str>], bytes: &mut Bytes<'_>) -> Result<Self, FrameError> {
        let sources = bytes.list("sources", 8, |bytes| {
            Ok(SourceId {
                topic: bytes.topic(topics)?,
                partition: i32::from_le_bytes(bytes.array("sources")?),
            })
        })?;
        let mut table = Self::default();
        for source in &sources {
            table.number(source);
        }
        Ok(table)
    }

    /// Compares the sources of two numbers: by topic, then partition.
    pub(crate) fn compare(&self, left: u32, right: u32) -> Ordering {
        if left == right {
            Ordering::Equal
        } else {
            self.get(left).cmp(&self.get(right))
        }
    }
}
