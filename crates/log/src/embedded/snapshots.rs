//! The compacted topic: of each key, the last record.

use std::collections::BTreeMap;

use super::state::Stored;
use crate::Record;

/// One partition of it.
#[derive(Default)]
pub(super) struct Compacted {
    records: BTreeMap<i64, Stored>,
    /// Where the record of a key is.
    keys: BTreeMap<Vec<u8>, i64>,
    end: i64,
}

impl Compacted {
    /// Appends a record, which replaces the one of the same key.
    pub(super) fn push(&mut self, record: Stored) {
        let key = record.key.clone().unwrap_or_default();
        if let Some(old) = self.keys.insert(key, self.end) {
            self.records.remove(&old);
        }
        self.records.insert(self.end, record);
        self.end = self.end.saturating_add(1);
    }

    /// The first offset that is there, and that of the next record.
    pub(super) fn bounds(&self) -> (i64, i64) {
        let first = self.records.keys().next();
        (first.copied().unwrap_or(self.end), self.end)
    }

    /// The records from an offset on.
    pub(super) fn from(&self, offset: i64) -> impl Iterator<Item = Record<'_>> {
        self.records
            .range(offset..)
            .map(|(&offset, stored)| Record {
                offset,
                timestamp_ns: stored.timestamp_ns,
                key: stored.key.as_deref(),
                payload: stored.payload.as_deref(),
            })
    }
}
