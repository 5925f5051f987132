//! Records as they are read: one slab of bytes per partition and poll.

use std::fmt;
use std::sync::Arc;

use crate::slab::Slab;

/// One partition of one topic: the unit of assignment, order and progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name. For a file of the embedded log, its path as given.
    pub topic: Arc<str>,
    /// The partition's number, from 0. For a file of the embedded log, the lane.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

/// `topic/3`
impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Records of one partition, in the order of their offsets. Keys and payloads lie in one buffer, copied once.
#[derive(Clone, Debug)]
pub struct Records {
    /// The assigned unit that they belong to: for progress and commits.
    pub at: TopicPartition,
    /// The partition to show in coordinates: `at.partition`, except for files, whose lanes are all partition 0.
    pub partition: i32,
    data: Slab,
    index: Vec<Entry>,
    next_offset: i64,
}

/// Where one record lies in the slab.
#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: i64,
    timestamp_ns: Option<i64>,
    key: Span,
    payload: Span,
}

/// A piece of the slab; `start == ABSENT` says that there is none.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    len: usize,
}

const ABSENT: Span = Span {
    start: usize::MAX,
    len: 0,
};

/// One record, borrowed from its [`Records`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset in the partition. For a file, the 0-based line number.
    pub offset: i64,
    /// The record's own time (Kafka's create or append time, a file's modification time), in nanoseconds since 1970.
    pub timestamp_ns: Option<i64>,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its bytes; `None` is a tombstone, which is not the same as no bytes.
    pub payload: Option<&'a [u8]>,
}

impl Records {
    /// No records yet, of `at`, with `partition` as the number to show.
    pub fn new(at: TopicPartition, partition: i32) -> Self {
        Self::over(at, partition, Slab::default())
    }

    /// No records yet, over a slab that already holds the bytes; see [`Records::push_span`].
    pub(crate) fn over(at: TopicPartition, partition: i32, data: Slab) -> Self {
        Self {
            at,
            partition,
            data,
            index: Vec::new(),
            next_offset: 0,
        }
    }

    /// Adds a record after the others, copying its key and payload into the slab.
    pub fn push(&mut self, record: Record<'_>) {
        let entry = Entry {
            offset: record.offset,
            timestamp_ns: record.timestamp_ns,
            key: self.store(record.key),
            payload: self.store(record.payload),
        };
        self.add(entry);
    }

    /// Adds a record without a key whose payload is `len` bytes of the slab from `start`.
    pub(crate) fn push_span(
        &mut self,
        offset: i64,
        timestamp_ns: Option<i64>,
        start: usize,
        len: usize,
    ) {
        self.add(Entry {
            offset,
            timestamp_ns,
            key: ABSENT,
            payload: Span { start, len },
        });
    }

    fn add(&mut self, entry: Entry) {
        self.next_offset = self.next_offset.max(entry.offset.saturating_add(1));
        self.index.push(entry);
    }

    fn store(&mut self, bytes: Option<&[u8]>) -> Span {
        let Some(bytes) = bytes else { return ABSENT };
        let start = self.data.len();
        self.data.extend(bytes);
        Span {
            start,
            len: bytes.len(),
        }
    }

    fn slice(&self, span: Span) -> Option<&[u8]> {
        self.data.get(span.start..span.start.checked_add(span.len)?)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The records, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.index.iter().map(|entry| self.record(entry))
    }

    /// The `i`-th record, from 0.
    pub fn get(&self, i: usize) -> Option<Record<'_>> {
        self.index.get(i).map(|entry| self.record(entry))
    }

    fn record(&self, entry: &Entry) -> Record<'_> {
        Record {
            offset: entry.offset,
            timestamp_ns: entry.timestamp_ns,
            key: self.slice(entry.key),
            payload: self.slice(entry.payload),
        }
    }

    /// The offset after the last record: what to commit when all of them are done. 0 when there are none.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Raises [`Records::next_offset`]: the offsets before it hold nothing (empty lines at the end of a block).
    pub(crate) fn skip_to(&mut self, next_offset: i64) {
        self.next_offset = self.next_offset.max(next_offset);
    }

    /// Size of the slab in bytes: keys and payloads, and for files the line ends between them.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_went_in() {
        let mut records = Records::new(TopicPartition::new("t", 3), 3);
        assert!(records.is_empty());
        let given = [
            Record {
                offset: 7,
                timestamp_ns: Some(1),
                key: None,
                payload: Some(b"a".as_slice()),
            },
            Record {
                offset: 9,
                timestamp_ns: None,
                key: Some(b"".as_slice()),
                payload: None,
            },
            Record {
                offset: 12,
                timestamp_ns: Some(-5),
                key: Some(b"key".as_slice()),
                payload: Some(b"".as_slice()),
            },
        ];
        given.iter().for_each(|record| records.push(*record));
        assert_eq!(records.iter().collect::<Vec<_>>(), given);
        assert_eq!(records.get(1).unwrap(), given[1]);
        assert_eq!(records.get(3), None);
        assert_eq!((records.len(), records.next_offset()), (3, 13));
        assert_eq!(records.bytes(), 4);
    }

    #[test]
    fn partition_is_named_with_its_topic() {
        assert_eq!(TopicPartition::new("logs", 3).to_string(), "logs/3");
    }
}
