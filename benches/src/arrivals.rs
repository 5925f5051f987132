//! When alerts arrive, as a consumer of committed records sees them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::Value;

/// An alert that has come; times in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The alert's time: when its event was written.
    pub made: f64,
    /// When it was read.
    pub arrived: f64,
}

impl Arrival {
    /// From event to alert, seconds.
    #[must_use]
    pub fn latency(&self) -> f64 {
        self.arrived - self.made
    }
}

/// The time since 1970.
///
/// # Panics
/// Before that.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
}

/// Reads a topic of 4 partitions until told that it is over; answers the alerts that are wanted.
///
/// # Panics
/// When the broker cannot be read, or something is no alert.
#[must_use]
pub fn read(
    broker: &str,
    topic: &str,
    over: &AtomicBool,
    wanted: impl Fn(&Value) -> bool,
) -> Vec<Arrival> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "benches")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "10")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..4 {
        assignment
            .add_partition_offset(topic, partition, Offset::Beginning)
            .expect("an offset");
    }
    consumer.assign(&assignment).expect("an assignment");
    let mut arrivals = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else {
            continue;
        };
        let arrived = now().as_secs_f64();
        let alert: Value =
            serde_json::from_slice(message.payload().unwrap_or_default()).expect("an alert");
        if wanted(&alert) {
            let made = seconds(alert["time"].as_str().expect("a time"));
            arrivals.push(Arrival { made, arrived });
        }
    }
    arrivals
}

/// Seconds since 1970 of a time that was just now: only its day's part is read, the day is today's.
fn seconds(time: &str) -> f64 {
    let part = |range: std::ops::Range<usize>| time[range].parse::<f64>().expect("a number");
    let of_day = part(11..13) * 3600.0 + part(14..16) * 60.0 + part(17..time.len() - 1);
    let today = now().as_secs() / 86_400 * 86_400;
    let at = today as f64 + of_day;
    // Around midnight it was yesterday's.
    if at > now().as_secs_f64() + 43_200.0 {
        at - 86_400.0
    } else {
        at
    }
}
