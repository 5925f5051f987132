//! A worker that panics: what it had not committed is read again, and nothing shows outside but a counter. One that is stuck is
//! noticed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use haechi_engine::settings::{Exchange, Snapshots, State};
use haechi_engine::supervisor::OpenLog;
use haechi_engine::worker::Shared;
use haechi_engine::{
    Health, Input, Limits, Metrics, Outputs, Program, Releases, Run, RunError, Settings,
    Supervisor, SystemClock, TopicFilter,
};
use haechi_log::{
    EmbeddedConfig, EmbeddedLog, Event, Log, LogError, Message, Record, Start, TopicPartition,
    Topology,
};

const RULES: &str = "
title: bad
id: 00000000-0000-4000-8000-000000000001
logsource: {product: test}
detection: {sel: {action: bad}, condition: sel}
---
title: counted
id: 00000000-0000-4000-8000-000000000002
rollup: {sql: \"SELECT count(*) AS n FROM events GROUP BY tumble(interval '1 hour')\"}
";
const EVENTS: usize = 500;

/// What goes wrong with a handle's second commit.
#[derive(Clone)]
enum Wrong {
    /// It panics, so many times.
    Panics(Arc<AtomicUsize>),
    /// It does not return before this is set.
    Waits(Arc<AtomicBool>),
}

impl Wrong {
    fn happen(&self) {
        match self {
            Self::Panics(left) => {
                let take = |left: usize| left.checked_sub(1);
                if left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                    .is_ok()
                {
                    panic!("as the test wants it");
                }
            }
            Self::Waits(until) => {
                while !until.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

struct Troubled {
    log: Box<dyn Log>,
    commits: usize,
    wrong: Wrong,
}

impl Log for Troubled {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Event>, LogError> {
        self.log.poll(wait)
    }
    fn begin_at(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.log.begin_at(starts)
    }
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.log.release(partitions)
    }
    fn bounds(&mut self, at: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.log.bounds(at)
    }
    fn read_back(
        &mut self,
        at: &TopicPartition,
        from: i64,
        take: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), LogError> {
        self.log.read_back(at, from, take)
    }
    fn topology(&mut self) -> Result<Topology, LogError> {
        self.log.topology()
    }
    fn send(&mut self, message: &Message<'_>) -> Result<(), LogError> {
        self.log.send(message)
    }
    fn commit(&mut self, offsets: &[(TopicPartition, i64, String)]) -> Result<(), LogError> {
        self.commits += 1;
        if self.commits == 2 {
            self.wrong.happen();
        }
        self.log.commit(offsets)
    }
    fn abort(&mut self) -> Result<(), LogError> {
        self.log.abort()
    }
    fn rewind(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.log.rewind(starts)
    }
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.log.pause(partitions)
    }
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.log.resume(partitions)
    }
    fn lag(&mut self) -> Vec<(TopicPartition, i64)> {
        self.log.lag()
    }
    fn close(self: Box<Self>) -> Result<(), LogError> {
        self.log.close()
    }
}

fn settings() -> Settings {
    let input = Input {
        name: "events".into(),
        topics: vec![TopicFilter::Name("logs".into())],
        format: haechi_decode::Format::Json,
        logsource: haechi_decode::Logsource {
            product: Some("test".to_owned()),
            ..haechi_decode::Logsource::default()
        },
        timestamp: Some("t".to_owned()),
        lateness: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(3600),
        max_future: Duration::from_secs(3600),
        start: Start::Earliest,
    };
    Settings {
        inputs: vec![Arc::new(input)],
        outputs: Outputs {
            alerts: "alerts".to_owned(),
            schema: haechi_alert::Schema::Brief,
            rollups: "rollups".to_owned(),
            dead_letters: "dead".to_owned(),
            late: "late".to_owned(),
        },
        exchange: Some(Exchange {
            topic: "exchange".into(),
            partitions: 1,
        }),
        snapshots: Some(Snapshots {
            topic: "snapshots".into(),
            interval: Duration::ZERO,
            chunk_bytes: 1000,
        }),
        commit_interval: Duration::from_millis(1),
        commit_records: None,
        heartbeat: Duration::from_secs(1),
        max_skew: Duration::MAX,
        state: State::default(),
        limits: Limits::default(),
        run: Run::UntilEnd,
    }
}

/// Runs over the events with a worker that something goes wrong with; answers how it ended, the metrics, and what came out. Workers
/// that are stuck for a while are given to `end`.
fn run(
    wrong: Wrong,
    end: impl Fn(usize) + Send + Sync + 'static,
) -> (Result<(), RunError>, String, BTreeMap<String, Vec<String>>) {
    let log = EmbeddedLog::new(EmbeddedConfig {
        // The second one keeps the outputs open while the first one is away.
        workers: 2,
        batch_rows: 50,
        retain: true,
        snapshots: Some("snapshots".to_owned()),
        ..EmbeddedConfig::default()
    })
    .unwrap();
    let topic = log.add_topic("logs", 1).unwrap();
    let outputs = log.outputs();
    let writer = thread::spawn(move || {
        for number in 0..EVENTS {
            let event = format!("{{\"t\": {number}, \"action\": \"bad\"}}");
            if topic.push(0, None, None, Some(event.as_bytes())).is_err() {
                return;
            }
        }
    });
    let loaded = haechi_rules::load_str(Path::new("rules.yml"), RULES);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let program = Program::compile(
        loaded.rules,
        &["events".into()],
        Limits::default().regex_bytes,
    )
    .unwrap();
    let metrics = Metrics::new().unwrap();
    let shared = Shared {
        releases: Arc::new(Releases::new(Arc::new(program), &metrics)),
        profiler: None,
        settings: Arc::new(settings()),
        clock: Arc::new(SystemClock),
        health: Arc::new(Health::new(2, Duration::from_millis(300))),
    };
    let open: OpenLog = Arc::new(move |worker| {
        Ok(Box::new(Troubled {
            log: Box::new(log.worker(worker)?),
            commits: if worker == 0 { 0 } else { usize::MAX / 2 },
            wrong: wrong.clone(),
        }) as Box<dyn Log>)
    });
    let stop = Arc::new(AtomicBool::new(false));
    let supervisor = Supervisor::new(shared, Arc::clone(&metrics), open, stop)
        .ending_with(Duration::from_millis(200), end);
    let running = thread::spawn(move || supervisor.run(2));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for output in outputs.flatten() {
        let text = String::from_utf8(output.payload.unwrap_or_default()).unwrap();
        found
            .entry(output.topic.to_string())
            .or_default()
            .push(text);
    }
    let ended = running.join().unwrap();
    writer.join().unwrap();
    (ended, metrics.render(), found)
}

fn panics(times: usize) -> Wrong {
    Wrong::Panics(Arc::new(AtomicUsize::new(times)))
}

#[test]
fn what_was_not_committed_is_read_again() {
    let (ended, metrics, found) = run(panics(2), |_| {});
    ended.unwrap();
    assert_eq!(found["alerts"].len(), EVENTS);
    assert_eq!(found["rollups"].len(), 1);
    assert!(
        found["rollups"][0].contains(&format!("\"n\":{EVENTS}")),
        "{:?}",
        found["rollups"]
    );
    assert!(
        metrics.contains("haechi_worker_panics_total 2"),
        "{metrics}"
    );
    let read = "haechi_recoveries_total{how=\"snapshot\"}";
    assert!(metrics.contains(read), "{metrics}");
    assert!(!metrics.contains(&format!("{read} 0")), "{metrics}");
    assert!(
        metrics.contains("haechi_recoveries_total{how=\"broken\"} 0"),
        "{metrics}"
    );
}

#[test]
fn a_worker_that_panics_again_and_again_ends_the_process() {
    let (ended, metrics, _) = run(panics(usize::MAX), |_| {});
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("as the test wants it"), "{error}");
    assert!(
        metrics.contains("haechi_worker_panics_total 3"),
        "{metrics}"
    );
}

#[test]
fn a_worker_that_is_stuck_ends_the_process() {
    let until = Arc::new(AtomicBool::new(false));
    let told = Arc::new(Mutex::new(Vec::new()));
    let (release, tell) = (Arc::clone(&until), Arc::clone(&told));
    // Where a real process would end, this one lets the worker go on.
    let (ended, metrics, found) = run(Wrong::Waits(until), move |worker| {
        tell.lock().unwrap().push(worker);
        release.store(true, Ordering::SeqCst);
    });
    ended.unwrap();
    assert_eq!(told.lock().unwrap().first(), Some(&0));
    assert_eq!(found["alerts"].len(), EVENTS);
    assert!(metrics.contains("haechi_stuck_workers 0"), "{metrics}");
}
