//! What is written to the inputs, and the rules that it is read with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use haechi_engine::settings::{Exchange, Snapshots, State};
use haechi_engine::{Input, Limits, Metrics, Outputs, Program, Run, Settings, TopicFilter};
use haechi_log::{Start, TopicPartition};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::world::SECOND;

pub(crate) const EXCHANGE: &str = "exchange";
pub(crate) const EXCHANGE_PARTITIONS: i32 = 2;
pub(crate) const SNAPSHOTS: &str = "snapshots";
pub(crate) const ALERTS: &str = "alerts";
pub(crate) const ROLLUPS: &str = "rollups";
pub(crate) const DEAD: &str = "dead";
pub(crate) const LATE: &str = "late";
/// When the schedule begins, nanoseconds since 1970.
pub(crate) const T0: i64 = 1_700_000_000 * SECOND;
/// The correlation's timespan and the rollup's window.
pub(crate) const WINDOW: i64 = 5 * SECOND;
pub(crate) const LEAST: usize = 3;
pub(crate) const LATENESS: i64 = 2 * SECOND;
pub(crate) const BAD: &str = "00000000-0000-4000-8000-000000000001";
pub(crate) const BURST: &str = "00000000-0000-4000-8000-000000000003";

const RULES: &str = "
title: bad
id: 00000000-0000-4000-8000-000000000001
logsource: {product: sim}
detection: {sel: {action: bad}, condition: sel}
---
title: failed
name: failed
id: 00000000-0000-4000-8000-000000000002
logsource: {product: sim}
detection: {sel: {action: failed}, condition: sel}
---
title: burst
id: 00000000-0000-4000-8000-000000000003
correlation: {type: event_count, rules: [failed], group-by: [user], timespan: 5s, condition: {gte: 3}}
---
title: per user
id: 00000000-0000-4000-8000-000000000004
rollup:
  sql: SELECT user, count(*) AS n, sum(size) AS total FROM events GROUP BY tumble(interval '5 seconds'), user
  types: {size: bigint}
";

/// The rules, compiled once for all schedules.
pub(crate) fn program() -> Arc<Program> {
    static PROGRAM: OnceLock<Arc<Program>> = OnceLock::new();
    let compile = || {
        let loaded = haechi_rules::load_str(Path::new("sim.yml"), RULES);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let program = Program::compile(
            loaded.rules,
            &["events".into()],
            Limits::default().regex_bytes,
        );
        Arc::new(program.expect("the rules compile"))
    };
    Arc::clone(PROGRAM.get_or_init(compile))
}

pub(crate) fn metrics() -> Arc<Metrics> {
    static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
    let new = || Metrics::new().expect("metrics register");
    Arc::clone(METRICS.get_or_init(new))
}

/// Two of three schedules have snapshots. From numbers of its own, so that those without are what they were before there were any.
fn snapshots(seed: u64) -> Option<(Duration, Attack)> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed_5a9d);
    let every = [0, 0, 300, 2000][rng.random_range(0..4)];
    let attacks = [
        Attack::Compact,
        Attack::CutExchange,
        Attack::CutExchange,
        Attack::Damage,
    ];
    let attack = attacks[rng.random_range(0..4)];
    let some = rng.random_range(0..3) > 0;
    some.then_some((Duration::from_millis(every), attack))
}

/// One event, as the oracle sees it.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    Event {
        time_ns: i64,
        user: String,
        action: &'static str,
        size: i64,
    },
    Poison,
}

/// What becomes of the snapshots beside the brokers' own faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Their topic is compacted at any time.
    Compact,
    /// The same, and the exchange loses what is before the snapshots that the committed offsets name.
    CutExchange,
    /// Chunks of them are lost or damaged.
    Damage,
}

/// What a schedule writes: an order per partition, and a pace.
pub(crate) struct Plan {
    /// Topics and their first partition counts.
    pub(crate) topics: BTreeMap<Arc<str>, i32>,
    /// No event is late: everything that is found is known beforehand. Otherwise events may be late, partitions idle and
    /// added, and every event must be either counted or reported late.
    pub(crate) exact: bool,
    /// Without transactions: what is sent is visible at once, offsets are committed after it.
    pub(crate) at_least_once: bool,
    /// How much of the trouble that is possible there is; 1 = all.
    pub(crate) trouble: f64,
    pub(crate) workers: usize,
    /// Processes keep their name (and transactional id) over a restart.
    pub(crate) named: bool,
    /// Partitions that are somewhat ahead of others have to wait for them.
    skewed: bool,
    /// How often snapshots of windows are taken at the most, and what is done to them.
    pub(crate) snapshots: Option<(Duration, Attack)>,
    left: BTreeMap<TopicPartition, usize>,
    /// When a partition was last written to, and up to which time its events are.
    state: BTreeMap<TopicPartition, (i64, i64)>,
    /// Everything written, in the order of offsets.
    pub(crate) written: BTreeMap<TopicPartition, Vec<Written>>,
}

impl Plan {
    pub(crate) fn new(seed: u64, rng: &mut StdRng) -> Self {
        let mut topics = BTreeMap::from([(Arc::from("logs"), rng.random_range(1..4))]);
        if rng.random_bool(0.4) {
            topics.insert("more".into(), rng.random_range(1..3));
        }
        let mut plan = Self {
            exact: rng.random_bool(0.6),
            at_least_once: false,
            trouble: [0.0, 0.3, 1.0, 2.0][rng.random_range(0..4)],
            workers: rng.random_range(1..4),
            named: rng.random_bool(0.5),
            skewed: rng.random_bool(0.2),
            snapshots: snapshots(seed),
            left: BTreeMap::new(),
            state: BTreeMap::new(),
            written: BTreeMap::new(),
            topics: topics.clone(),
        };
        plan.at_least_once = plan.exact && rng.random_bool(0.2);
        if plan.at_least_once
            && let Some((_, attack)) = &mut plan.snapshots
            && *attack == Attack::CutExchange
        {
            // Of a commit that was not confirmed a worker goes on from the one before; there retention may not cut yet.
            *attack = Attack::Compact;
        }
        for (topic, count) in topics {
            for number in 0..count {
                let many = [0, 5, 25, 50][rng.random_range(0..4)];
                let at = TopicPartition::new(Arc::clone(&topic), number);
                let from = T0 - rng.random_range(0..60) * SECOND;
                plan.left.insert(at.clone(), many);
                plan.state.insert(at, (0, from));
            }
        }
        plan
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(if self.exact { 20 } else { 2 })
    }

    /// How long it takes until every partition is idle. Those that wait for slower ones are read only when these are.
    pub(crate) fn all_idle(&self) -> Duration {
        let partitions: i32 = self.topics.values().sum::<i32>() + 4;
        let in_turn = if self.skewed {
            partitions.unsigned_abs()
        } else {
            1
        };
        self.idle_timeout() * in_turn
    }

    pub(crate) fn settings(&self) -> Settings {
        let topics = self.topics.keys().cloned().map(TopicFilter::Name);
        let input = Input {
            name: "events".into(),
            topics: topics.collect(),
            format: haechi_decode::Format::Json,
            logsource: haechi_decode::Logsource {
                product: Some("sim".to_owned()),
                ..haechi_decode::Logsource::default()
            },
            timestamp: Some("t".to_owned()),
            lateness: Duration::from_nanos(LATENESS.unsigned_abs()),
            idle_timeout: self.idle_timeout(),
            max_future: Duration::from_secs(1 << 30),
            start: Start::Earliest,
        };
        Settings {
            inputs: vec![Arc::new(input)],
            outputs: Outputs {
                alerts: ALERTS.to_owned(),
                schema: haechi_alert::Schema::Brief,
                rollups: ROLLUPS.to_owned(),
                dead_letters: DEAD.to_owned(),
                late: LATE.to_owned(),
            },
            exchange: Some(Exchange {
                topic: EXCHANGE.into(),
                partitions: EXCHANGE_PARTITIONS.unsigned_abs(),
            }),
            snapshots: self.snapshots.map(|(interval, _)| Snapshots {
                topic: SNAPSHOTS.into(),
                interval,
                chunk_bytes: 200,
            }),
            commit_interval: Duration::from_millis(200),
            commit_records: None,
            heartbeat: Duration::from_secs(1),
            max_skew: Duration::from_secs(if self.skewed { 8 } else { 3600 }),
            state: State::default(),
            limits: Limits::default(),
            run: Run::Endless,
        }
    }

    /// What is written now. A partition of an exact schedule is never silent for long while it has more to come.
    pub(crate) fn due(&mut self, now: i64, rng: &mut StdRng) -> Vec<(TopicPartition, Vec<u8>)> {
        let mut due = Vec::new();
        let partitions: Vec<_> = self.left.keys().cloned().collect();
        for at in partitions {
            let left = self.left.get(&at).copied().unwrap_or(0);
            let last = self.state.get(&at).map_or(0, |(last, _)| *last);
            let forced = self.exact && now - last > 3 * SECOND;
            if left == 0 || !(forced || rng.random_bool(0.25)) {
                continue;
            }
            for _ in 0..left.min(rng.random_range(1..5)) {
                due.push((at.clone(), self.write(&at, now, rng)));
            }
        }
        due
    }

    fn write(&mut self, at: &TopicPartition, now: i64, rng: &mut StdRng) -> Vec<u8> {
        if let Some(left) = self.left.get_mut(at) {
            *left -= 1;
        }
        let state = self.state.entry(at.clone()).or_insert((now, T0));
        state.0 = now;
        let written = self.written.entry(at.clone()).or_default();
        if rng.random_bool(0.05) {
            written.push(Written::Poison);
            return b"{\"t\": 1, broken".to_vec();
        }
        state.1 += rng.random_range(0..6) * SECOND / 4;
        let behind = if self.exact || rng.random_bool(0.8) {
            rng.random_range(0..=LATENESS / (SECOND / 4))
        } else {
            rng.random_range(0..200)
        };
        let time_ns = state.1 - behind * (SECOND / 4);
        let user = format!("u{}", rng.random_range(0..4));
        let action = ["bad", "failed", "failed", "fine"][rng.random_range(0..4)];
        let size = rng.random_range(0..1000);
        let seconds = time_ns as f64 / SECOND as f64;
        written.push(Written::Event {
            time_ns,
            user: user.clone(),
            action,
            size,
        });
        format!("{{\"t\": {seconds:.2}, \"user\": \"{user}\", \"action\": \"{action}\", \"size\": {size}}}")
            .into_bytes()
    }

    /// A topic gets another partition, with something to write to it.
    pub(crate) fn grow(&mut self) -> Arc<str> {
        let (topic, count) = self.topics.iter_mut().next().expect("there is a topic");
        *count += 1;
        let at = TopicPartition::new(Arc::clone(topic), *count - 1);
        self.left.insert(at, 10);
        Arc::clone(topic)
    }

    pub(crate) fn is_written(&self) -> bool {
        self.left.values().all(|left| *left == 0)
    }
}
