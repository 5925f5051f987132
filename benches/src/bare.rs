//! The yardstick: consumers that do nothing but count bytes.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

/// What consumers counted together.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Records.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// From the first to the last record.
    pub took: Duration,
}

/// Reads a topic to its end with so many consumers, a thread each, that share its partitions.
///
/// # Panics
/// When the broker does not answer.
#[must_use]
pub fn count(broker: &str, topic: &str, partitions: i32, consumers: i32) -> Counted {
    let parts: Vec<(Counted, Instant, Instant)> = thread::scope(|scope| {
        let read = |first: i32| {
            move || {
                read(
                    broker,
                    topic,
                    (first..partitions).step_by(usize::try_from(consumers).expect("a few")),
                )
            }
        };
        let threads: Vec<_> = (0..consumers)
            .map(|first| scope.spawn(read(first)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a consumer reads"))
            .collect()
    });
    let begun = parts
        .iter()
        .map(|(_, begun, _)| *begun)
        .min()
        .expect("a consumer");
    let ended = parts
        .iter()
        .map(|(_, _, ended)| *ended)
        .max()
        .expect("a consumer");
    Counted {
        records: parts.iter().map(|(counted, ..)| counted.records).sum(),
        bytes: parts.iter().map(|(counted, ..)| counted.bytes).sum(),
        took: ended - begun,
    }
}

fn read(
    broker: &str,
    topic: &str,
    partitions: impl Iterator<Item = i32>,
) -> (Counted, Instant, Instant) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in partitions {
        assignment
            .add_partition_offset(topic, partition, Offset::Beginning)
            .expect("an offset");
    }
    let mut reading = assignment.count();
    consumer.assign(&assignment).expect("an assignment");
    let (mut records, mut bytes) = (0, 0);
    let (mut begun, mut ended) = (None, Instant::now());
    while reading > 0 {
        match consumer.poll(Duration::from_secs(30)) {
            Some(Ok(message)) => {
                records += 1;
                bytes += message.payload_len() as u64;
                begun.get_or_insert_with(Instant::now);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                reading -= 1;
                ended = Instant::now();
            }
            Some(Err(error)) => panic!("{topic}: {error}"),
            None => panic!("{topic}: nothing came for 30 s"),
        }
    }
    let begun = begun.unwrap_or(ended);
    (
        Counted {
            records,
            bytes,
            took: ended - begun,
        },
        begun,
        ended,
    )
}
