//! The records of one poll, gathered by partition.

use super::native::Fetched;
use crate::{Event, Record, Records, TopicPartition};

/// Copies records out of librdkafka's memory, into one slab per partition.
pub(super) struct Batch {
    events: Vec<Event>,
    /// The places in `events` of the slabs that more records may go to; the last one used is the last.
    open: Vec<usize>,
    /// What may still be taken.
    rows: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn new(rows: usize, bytes: usize) -> Self {
        Self {
            events: Vec::new(),
            open: Vec::new(),
            rows,
            bytes,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    /// Adds a record.
    pub(super) fn record(&mut self, fetched: &Fetched<'_>) {
        let size = fetched.key.map_or(0, <[u8]>::len) + fetched.payload.map_or(0, <[u8]>::len);
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
        let slab = self.slab(fetched.topic, fetched.partition);
        if let Some(Event::Records(records)) = self.events.get_mut(slab) {
            records.push(Record {
                offset: fetched.offset,
                timestamp_ns: fetched.timestamp_ms.map(|ms| ms.saturating_mul(1_000_000)),
                key: fetched.key,
                payload: fetched.payload,
            });
        }
    }

    /// The place of the partition's slab; opens one if there is none. librdkafka gives a partition's records in runs,
    /// so that the last one used is nearly always it.
    fn slab(&mut self, topic: &str, partition: i32) -> usize {
        let is_it = |place: &usize| match self.events.get(*place) {
            Some(Event::Records(records)) => {
                records.at.partition == partition && *records.at.topic == *topic
            }
            _ => false,
        };
        if let Some(found) = self.open.iter().rposition(is_it) {
            let last = self.open.len() - 1;
            self.open.swap(found, last);
            return self.open.last().copied().unwrap_or_default();
        }
        let place = self.events.len();
        let at = TopicPartition::new(topic, partition);
        self.events
            .push(Event::Records(Records::new(at, partition)));
        self.open.push(place);
        place
    }

    /// Adds the end of a partition. Records that come after it go to a new slab, so that events keep their order.
    pub(super) fn caught_up(&mut self, at: TopicPartition, offset: i64) {
        self.open.retain(|place| match self.events.get(*place) {
            Some(Event::Records(records)) => records.at != at,
            _ => false,
        });
        self.events.push(Event::CaughtUp { at, offset });
    }

    /// What was gathered, in order.
    pub(super) fn into_events(self) -> Vec<Event> {
        self.events
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn fetched(topic: &str, partition: i32, offset: i64) -> Fetched<'_> {
        Fetched {
            topic,
            partition,
            offset,
            timestamp_ms: Some(offset),
            key: None,
            payload: Some(b"12345"),
        }
    }

    #[test]
    fn records_are_grouped_by_partition_and_stay_before_an_end() {
        let mut batch = Batch::new(100, 100);
        for (topic, partition, offset) in [
            ("a", 0, 1),
            ("a", 1, 1),
            ("b", 0, 7),
            ("a", 0, 2),
            ("a", 0, 3),
        ] {
            batch.record(&fetched(topic, partition, offset));
        }
        batch.caught_up(TopicPartition::new("a", 0), 4);
        batch.record(&fetched("a", 0, 9));
        batch.record(&fetched("b", 0, 8));
        let seen: Vec<String> = batch
            .into_events()
            .iter()
            .map(|event| match event {
                Event::Records(records) => {
                    let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
                    assert!(
                        records
                            .iter()
                            .all(|record| record.timestamp_ns == Some(record.offset * 1_000_000))
                    );
                    format!("{} {offsets:?}", records.at)
                }
                Event::CaughtUp { at, offset } => format!("{at} end {offset}"),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            seen,
            [
                "a/0 [1, 2, 3]",
                "a/1 [1]",
                "b/0 [7, 8]",
                "a/0 end 4",
                "a/0 [9]"
            ]
        );
    }

    #[test]
    fn a_batch_is_full_by_rows_or_by_bytes() {
        let mut batch = Batch::new(2, 1000);
        batch.record(&fetched("a", 0, 1));
        assert!(!batch.is_full());
        batch.record(&fetched("a", 0, 2));
        assert!(batch.is_full());
        let mut batch = Batch::new(1000, 7);
        batch.record(&fetched("a", 0, 1));
        assert!(!batch.is_full());
        batch.record(&fetched("a", 0, 2));
        assert!(batch.is_full());
    }
}
