//! The Kafka log against a real broker, whose address is in `HAECHI_KAFKA` (`dev/with-kafka` sets it).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod commits;
mod failures;
mod membership;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use haechi_log::kafka::{Delivery, NewTopic};
use haechi_log::{
    Event, KafkaAdmin, KafkaConfig, KafkaLog, Kind, Log, LogError, Message, Records, Start,
    TopicPartition,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message as _};
use rdkafka::mocking::MockCluster;

const WAIT: Duration = Duration::from_millis(100);
/// No test needs longer for any one thing.
const PATIENCE: Duration = Duration::from_secs(60);

fn broker() -> String {
    std::env::var("HAECHI_KAFKA").expect(
        "this test needs a Kafka broker: set HAECHI_KAFKA=host:port, or run it under `dev/with-kafka log …`",
    )
}

/// A name that no other test or run has.
fn unique(name: &str) -> String {
    static RUN: OnceLock<u128> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = RUN.get_or_init(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis()
    });
    format!("{name}-{run}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn properties() -> BTreeMap<String, String> {
    // Short sessions, so that what a test lets die is noticed soon.
    [
        ("bootstrap.servers", broker().as_str()),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
        ("topic.metadata.propagation.max.ms", "1000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn admin() -> KafkaAdmin {
    KafkaAdmin::open(&properties(), PATIENCE).unwrap()
}

fn create(name: &str, partitions: i32, config: &[(&str, &str)]) -> String {
    let name = unique(name);
    let config = config.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    admin()
        .create(&[NewTopic {
            name: name.clone(),
            partitions,
            replicas: None,
            config: config.collect(),
        }])
        .unwrap();
    name
}

fn config(group: &str, worker: &str, source: &str) -> KafkaConfig {
    let mut config = KafkaConfig::new(properties(), group, format!("{group}-{worker}"));
    config.sources = vec![source.to_owned()];
    config
}

fn message<'a>(topic: &'a str, partition: Option<i32>, payload: &'a [u8]) -> Message<'a> {
    Message {
        topic,
        partition,
        key: None,
        payload: Some(payload),
        headers: &[],
    }
}

/// Writes `count` numbered records to each partition, without a group.
fn fill(topic: &str, partitions: i32, count: usize) {
    let group = unique("fill");
    let mut log = KafkaLog::open(config(&group, "0", topic)).unwrap();
    for number in 0..count {
        for partition in 0..partitions {
            let text = format!("{partition}:{number}");
            log.send(&message(topic, Some(partition), text.as_bytes()))
                .unwrap();
        }
    }
    log.commit(&[]).unwrap();
    Box::new(log).close().unwrap();
}

/// Polls until `found` gives something.
fn until<T>(log: &mut KafkaLog, mut found: impl FnMut(&mut KafkaLog, Event) -> Option<T>) -> T {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        for event in log.poll(WAIT).unwrap() {
            if let Some(found) = found(log, event) {
                return found;
            }
        }
    }
    panic!("waited in vain");
}

fn starts(assignments: &[haechi_log::Assignment]) -> Vec<(TopicPartition, Start)> {
    assignments
        .iter()
        .map(|assigned| {
            let committed = assigned.committed.as_ref();
            let start = committed.map_or(Start::Earliest, |committed| Start::At(committed.offset));
            (assigned.at.clone(), start)
        })
        .collect()
}

/// Polls until partitions are assigned, begins them where the group is, and says what was committed.
fn begin(log: &mut KafkaLog) -> Vec<haechi_log::Assignment> {
    until(log, |log, event| match event {
        Event::Assigned(assignments) => {
            log.begin_at(&starts(&assignments)).unwrap();
            (!assignments.is_empty()).then_some(assignments)
        }
        _ => None,
    })
}

/// Polls until this many records have come.
fn read(log: &mut KafkaLog, count: usize) -> Vec<Records> {
    let mut all = Vec::new();
    let mut seen = 0;
    until(log, |_, event| {
        if let Event::Records(records) = event {
            seen += records.len();
            all.push(records);
        }
        (seen >= count).then_some(())
    });
    all
}

fn offsets(records: &[Records], metadata: &str) -> Vec<(TopicPartition, i64, String)> {
    let mut last = BTreeMap::new();
    for records in records {
        last.insert(records.at.clone(), records.next_offset());
    }
    last.into_iter()
        .map(|(at, offset)| (at, offset, metadata.to_owned()))
        .collect()
}

/// What a client that is not ours reads committed in a topic, until there is no more.
fn committed(topic: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker())
        .set("group.id", unique("reader"))
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let partitions = admin().topic(topic).unwrap().unwrap().partitions;
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    for partition in 0..partitions {
        list.set_partition_offset(topic, partition, rdkafka::Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut open: BTreeSet<i32> = (0..partitions).collect();
    let mut all = Vec::new();
    while !open.is_empty() {
        match consumer.poll(PATIENCE).expect("a record or the end") {
            Ok(message) => {
                let text = String::from_utf8_lossy(message.payload().unwrap_or_default());
                let headers = message.headers().map(|headers| {
                    headers
                        .iter()
                        .map(|h| {
                            let value = String::from_utf8_lossy(h.value.unwrap_or_default());
                            (h.key.to_owned(), value.into_owned())
                        })
                        .collect()
                });
                all.push((text.into_owned(), headers.unwrap_or_default()));
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(partition)) => {
                open.remove(&partition);
            }
            Err(error) => panic!("{error}"),
        }
    }
    all
}

fn texts(topic: &str) -> Vec<String> {
    committed(topic).into_iter().map(|(text, _)| text).collect()
}
