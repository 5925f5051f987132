//! `make bench-recovery`: how long events wait when a pod is killed that holds the windows of a million groups (kill -9; session
//! time-out 6 s).
//!
//! Two pods of two workers. Every group has had one event; from then on events come that complete one group each, told early. Half
//! of that time into it, one pod is killed. The event that waits longest says how long it took until what the dead pod had is
//! processed again: noticing it (the session), taking its partitions over, reading their windows back.
//!
//! `HAECHI_RECOVERY_GROUPS` (default 1,000,000), `HAECHI_BENCH_ROUNDS` (default 3).

#![allow(clippy::print_stdout, reason = "the figures are the result")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark reports by stopping at the first surprise"
)]

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use haechi_benches::arrivals::{self, Arrival, now};
use haechi_benches::median;
use haechi_tests::app::{App, address, wait_until_ready};
use haechi_tests::broker::Client;
use haechi_tests::http::Samples;
use haechi_tests::process::Running;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

/// One event in so much time.
const PULSE: Duration = Duration::from_millis(20);
/// How long they come before the pod is killed, and after.
const HALF: Duration = Duration::from_secs(20);
/// How long reading the groups may take.
const LOADING: Duration = Duration::from_secs(300);
/// How long until every partition's windows are in a snapshot: four are due every 5 s, one a commit.
const SNAPSHOTS: Duration = Duration::from_secs(15);

const RULES: &str = "
title: Seen
name: seen
id: 00000000-0000-4000-8000-000000000030
logsource: {product: test}
detection: {sel: {action: seen}, condition: sel}
---
title: Seen again
id: 00000000-0000-4000-8000-000000000031
correlation: {type: event_count, rules: [seen], group-by: [src], timespan: 30d, condition: {gte: 2}, emit: early}
";

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number"))
    })
}

fn main() {
    let client = Client::required();
    let groups = number("HAECHI_RECOVERY_GROUPS", 1_000_000);
    let mut longest = Vec::new();
    for _ in 0..number("HAECHI_BENCH_ROUNDS", 3) {
        longest.push(round(&client, groups));
    }
    println!(
        "{groups} groups: from kill -9 until everything is processed again {:.1} s (median), session time-out 6 s",
        median(longest.into_iter())
    );
}

/// Answers how long the event waited that waited longest, seconds.
fn round(client: &Client, groups: u64) -> f64 {
    let mut app = App::new(client, "recovery");
    app.lateness = "2h";
    app.idle_timeout = "120s";
    app.snapshots = "5s";
    app.rule(RULES);
    let app = app.created();
    let input = Input::new(client, &app.topics[0], groups);
    input.all();
    let mut pods: Vec<Running> = (0..2).map(|_| app.run()).collect();
    for pod in &mut pods {
        wait_until_ready(pod);
    }
    wait_until_read(&pods, groups);

    let over = &AtomicBool::new(false);
    let (arrivals, killed, pulses) = thread::scope(|scope| {
        let early = |alert: &Value| alert["emission"]["revision"] == 0;
        let alerts = app.topic("alerts");
        let reader = scope.spawn(move || arrivals::read(&client.broker, &alerts, over, early));
        let begun = Instant::now();
        let (mut pulses, mut killed) = (0, None);
        while begun.elapsed() < HALF * 2 {
            if killed.is_none() && begun.elapsed() >= HALF {
                killed = Some(now().as_secs_f64());
                let _ = pods.remove(0).kill();
            }
            // A stride that visits every group once.
            input.event(pulses * 7919 % groups, now());
            input.producer.poll(PULSE);
            pulses += 1;
        }
        thread::sleep(Duration::from_secs(5));
        over.store(true, Ordering::SeqCst);
        let arrivals = reader.join().expect("alerts are read");
        (arrivals, killed.expect("it was killed"), pulses)
    });
    assert_eq!(arrivals.len() as u64, pulses, "every event is told once");
    for pod in pods {
        pod.terminate();
        let ended = pod.wait(Duration::from_secs(60)).succeeded();
        for line in ended.stderr.lines() {
            if line.contains("read the snapshot") || line.contains("restored: ") {
                println!("{line}");
            }
        }
    }
    let (before, after): (Vec<Arrival>, Vec<Arrival>) = arrivals
        .into_iter()
        .partition(|arrival| arrival.arrived < killed);
    let longest = after.iter().map(Arrival::latency).fold(0.0, f64::max);
    let back = after.iter().filter(|arrival| arrival.latency() > 2.0);
    let back = back
        .map(|arrival| arrival.arrived - killed)
        .fold(0.0, f64::max);
    println!(
        "before: median {:.2} s; after the kill the longest wait was {longest:.1} s, and what had waited was told {back:.1} s after it",
        median(before.iter().map(Arrival::latency)),
    );
    longest
}

/// What is written.
struct Input<'a> {
    producer: BaseProducer,
    topic: &'a str,
    groups: u64,
}

impl<'a> Input<'a> {
    fn new(client: &Client, topic: &'a str, groups: u64) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &client.broker)
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "2000000")
            .create()
            .expect("a producer");
        Self {
            producer,
            topic,
            groups,
        }
    }

    /// One event of every group, an hour ago.
    fn all(&self) {
        for group in 0..self.groups {
            self.event(group, now().saturating_sub(Duration::from_secs(3600)));
        }
        self.producer
            .flush(Duration::from_secs(120))
            .expect("the broker takes it");
    }

    fn event(&self, group: u64, at: Duration) {
        let (seconds, ns) = (at.as_secs(), at.subsec_nanos());
        let event =
            format!(r#"{{"ts":{seconds}.{ns:09},"src":"host-{group:08}","action":"seen"}}"#);
        let partition = i32::try_from(group % 4).expect("small");
        loop {
            let record = BaseRecord::<(), str>::to(self.topic)
                .partition(partition)
                .payload(&event);
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }
}

/// Until the pods have read every event, and their windows are in snapshots.
fn wait_until_read(pods: &[Running], groups: u64) {
    let begun = Instant::now();
    let sum = |metric: &str| -> f64 {
        let ports = pods.iter().filter_map(address);
        let samples = ports.filter_map(Samples::scrape);
        samples.map(|samples| samples.sum(metric)).sum()
    };
    while sum("haechi_records_total") < groups as f64 {
        assert!(begun.elapsed() < LOADING, "not everything is read");
        thread::sleep(Duration::from_millis(200));
    }
    println!(
        "{groups} groups read after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    thread::sleep(SNAPSHOTS);
    println!(
        "{:.0} bytes of state a group, {} snapshots",
        sum("haechi_state_bytes") / groups as f64,
        sum("haechi_snapshots_total")
    );
}
