//! Sources by number.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

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

    /// Compares the sources of two numbers: by topic, then partition.
    pub(crate) fn compare(&self, left: u32, right: u32) -> Ordering {
        if left == right {
            Ordering::Equal
        } else {
            self.get(left).cmp(&self.get(right))
        }
    }
}
