//! What ops see. The names are a contract, listed in `docs/metrics.md`; a test holds the two together.

use std::sync::Arc;
use std::time::Duration;

use haechi_detect::Hits;
use haechi_log::{Records, TopicPartition};
use haechi_rules::{RollupKind, RuleHeader, RuleSet};
use haechi_window::Outcome;
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::given_up::header;
use crate::release::Release;
use crate::stage1::DecodedBatch;
use crate::stage2::Recovered;

/// Buckets for seconds, from a millisecond to half a minute.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    records: IntCounterVec,
    bytes: IntCounterVec,
    batches: IntCounter,
    dead_letters: IntCounterVec,
    clamped: IntCounterVec,
    untimed: IntCounterVec,
    rule_hits: IntCounterVec,
    reloads: IntCounterVec,
    alerts: IntCounter,
    late: IntCounter,
    exchange_records: IntCounter,
    exchange_bytes: IntCounter,
    commits: IntCounter,
    aborts: IntCounter,
    commit_seconds: Histogram,
    batch_seconds: Histogram,
    rebalances: IntCounter,
    restore_seconds: Histogram,
    recoveries: IntCounterVec,
    snapshots: IntCounter,
    snapshot_bytes: IntCounter,
    lag: IntGaugeVec,
    watermark: GaugeVec,
    watermark_delay: GaugeVec,
    assigned: IntGaugeVec,
    state_bytes: IntGaugeVec,
    given_up: IntCounterVec,
    terms: IntGaugeVec,
    held: IntGaugeVec,
    rss: IntGauge,
    pub(crate) restarts: IntCounter,
    pub(crate) panics: IntCounter,
    pub(crate) stuck: IntGauge,
}

/// Registers metrics one by one, so that a name or label mistake shows up where it is made.
struct Builder {
    registry: Registry,
}

impl Builder {
    fn add<C: Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let collector = made?;
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help))
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn seconds(&self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(
            HistogramOpts::new(name, help).buckets(SECONDS.to_vec()),
        ))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.add(GaugeVec::new(Opts::new(name, help), labels))
    }
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// When a metric cannot be registered, which is a defect.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let b = Builder {
            registry: Registry::new(),
        };
        let reloads = b.counters(
            "haechi_rule_reloads_total",
            "changed rule sets that were taken over or refused",
            &["result"],
        )?;
        for result in ["taken", "refused"] {
            // There from the start, so that the first one is seen as an increase.
            reloads.with_label_values(&[result]);
        }
        Ok(Arc::new(Self {
            rule_hits: b.counters("haechi_rule_hits_total", "events (detections), findings (correlations) or rows (rollups) per rule", &["rule", "kind"])?,
            reloads,
            records: b.counters("haechi_records_total", "records read from input topics, dead letters included", &["topic"])?,
            bytes: b.counters("haechi_bytes_total", "payload bytes read from input topics", &["topic"])?,
            batches: b.counter("haechi_batches_total", "record batches decoded")?,
            dead_letters: b.counters("haechi_dead_letters_total", "records that could not be decoded", &["topic"])?,
            clamped: b.counters("haechi_clamped_times_total", "events whose timestamp was too far in the future and was clamped", &["topic"])?,
            untimed: b.counters("haechi_untimed_events_total", "events without a readable timestamp: the record's own was taken", &["topic"])?,
            alerts: b.counter("haechi_alerts_total", "alerts sent")?,
            late: b.counter("haechi_late_rows_total", "rows that arrived after their window had closed")?,
            exchange_records: b.counter("haechi_exchange_records_total", "records sent to the exchange")?,
            exchange_bytes: b.counter("haechi_exchange_bytes_total", "bytes sent to the exchange")?,
            commits: b.counter("haechi_commits_total", "commits that succeeded")?,
            aborts: b.counter("haechi_aborts_total", "commit cycles that failed and were read again")?,
            commit_seconds: b.seconds("haechi_commit_seconds", "how long a commit took")?,
            batch_seconds: b.seconds("haechi_batch_seconds", "how long a batch took from decode to partial")?,
            rebalances: b.counter("haechi_rebalances_total", "assignments gained or given up")?,
            restore_seconds: b.seconds("haechi_restore_seconds", "how long an exchange partition took to be replayed")?,
            recoveries: b.counters("haechi_recoveries_total", "exchange partitions whose windows were read back, by how: snapshot, broken (the snapshot was of no use: all of the exchange was read), gap (the exchange lacks records that the windows stand on)", &["how"])?,
            snapshots: b.counter("haechi_snapshots_total", "snapshots of windows sent")?,
            snapshot_bytes: b.counter("haechi_snapshot_bytes_total", "bytes of snapshots sent")?,
            lag: b.add(IntGaugeVec::new(Opts::new("haechi_lag_records", "records not yet read, per partition; transaction markers count, so it need not reach 0"), &["topic", "partition"]))?,
            watermark: b.gauges("haechi_watermark_timestamp_seconds", "event time up to which a partition is complete, seconds since 1970", &["stage", "topic", "partition"])?,
            watermark_delay: b.gauges("haechi_watermark_delay_seconds", "how far the watermark is behind the clock", &["stage", "topic", "partition"])?,
            assigned: b.add(IntGaugeVec::new(Opts::new("haechi_assigned_partitions", "partitions owned by a worker"), &["worker", "stage"]))?,
            state_bytes: b.add(IntGaugeVec::new(Opts::new("haechi_state_bytes", "bytes held for open windows"), &["worker"]))?,
            given_up: b.counters("haechi_state_given_up_groups_total", "groups that a rule gave up because it would have kept more than its `state` allows", &["rule"])?,
            terms: b.add(IntGaugeVec::new(Opts::new("haechi_known_terms", "values that rules of new terms know, by name or from a sketch"), &["worker", "how"]))?,
            held: b.add(IntGaugeVec::new(Opts::new("haechi_held_partitions", "source partitions that wait for slower ones"), &["worker"]))?,
            rss: b.add(IntGauge::new("haechi_resident_memory_bytes", "resident memory of the process"))?,
            restarts: b.counter("haechi_worker_restarts_total", "workers started again with a new handle on the log")?,
            panics: b.counter("haechi_worker_panics_total", "workers that panicked")?,
            stuck: b.add(IntGauge::new("haechi_stuck_workers", "workers whose loop does not turn"))?,
            registry: b.registry,
        }))
    }
}

impl Metrics {
    /// A worker's handle.
    #[must_use]
    pub fn worker(self: &Arc<Self>, id: usize, release: &Arc<Release>) -> WorkerMetrics {
        WorkerMetrics {
            worker: id.to_string(),
            release: Arc::clone(release),
            all: Arc::clone(self),
        }
    }

    /// The counters of a rule set. A rule that was counted before goes on where it was.
    #[must_use]
    pub fn rules(&self, rules: &RuleSet) -> RuleCounters {
        let count = |kind: &'static str, headers: &mut dyn Iterator<Item = &RuleHeader>| {
            headers
                .map(|header| self.rule_hits.with_label_values(&[&*header.id, kind]))
                .collect()
        };
        let correlations = rules.correlations.iter().map(|rule| &rule.header);
        let detections = rules.detections.iter().map(|rule| &rule.header);
        let suppressing = detections.filter(|header| header.suppress.is_some());
        let rollups = rules.rollups.iter().map(|rule| &rule.header);
        for header in correlations.chain(suppressing).chain(rollups) {
            // There from the start, so that the first one is seen as an increase.
            self.given_up.with_label_values(&[&*header.id]);
        }
        RuleCounters {
            detections: count(
                "detection",
                &mut rules.detections.iter().map(|rule| &rule.header),
            ),
            correlations: count(
                "correlation",
                &mut rules.correlations.iter().map(|rule| &rule.header),
            ),
            rollups: count("rollup", &mut rules.rollups.iter().map(|rule| &rule.header)),
        }
    }

    /// A changed rule set was taken over, or refused.
    pub fn reloaded(&self, taken: bool) {
        let result = if taken { "taken" } else { "refused" };
        self.reloads.with_label_values(&[result]).inc();
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        if let Some(bytes) = resident_bytes() {
            self.rss.set(bytes);
        }
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics could not be written");
        }
        text
    }

    /// What a run has done so far.
    #[must_use]
    pub fn summary(&self, release: &Release) -> Summary {
        let (rules, counters) = (&release.program.rules, &release.counters);
        let sum = |counters: &IntCounterVec| -> u64 {
            let families = counters.collect();
            let metrics = families.iter().flat_map(|family| family.get_metric());
            metrics
                .map(|metric| metric.get_counter().get_value() as u64)
                .sum()
        };
        let headers = rules.detections.iter().map(|rule| &rule.header);
        let detections = headers
            .zip(&counters.detections)
            .zip(rules.detections.iter().map(|rule| rule.alerts));
        let detections = detections
            .filter(|(_, alerts)| *alerts)
            .map(|(pair, _)| pair);
        let correlations = rules
            .correlations
            .iter()
            .map(|rule| &rule.header)
            .zip(&counters.correlations);
        let rollups = rules.rollups.iter().zip(&counters.rollups);
        let findings = rollups
            .clone()
            .filter(|(rule, _)| rule.kind == RollupKind::Alert)
            .map(|(rule, count)| (&rule.header, count));
        let per_rule = detections.chain(correlations).chain(findings);
        let mut alerts: Vec<(String, String, u64)> = per_rule
            .map(|(header, count)| (header.id.to_string(), header.title.clone(), count.get()))
            .filter(|(_, _, count)| *count > 0)
            .collect();
        alerts.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
        Summary {
            records: sum(&self.records),
            bytes: sum(&self.bytes),
            dead_letters: sum(&self.dead_letters),
            clamped: sum(&self.clamped),
            untimed: sum(&self.untimed),
            late: self.late.get(),
            rollup_rows: rollups
                .filter(|(rule, _)| rule.kind != RollupKind::Alert)
                .map(|(_, count)| count.get())
                .sum(),
            alerts,
        }
    }
}

/// One counter per rule, in the order of the rule set.
#[derive(Debug)]
pub struct RuleCounters {
    detections: Vec<IntCounter>,
    correlations: Vec<IntCounter>,
    rollups: Vec<IntCounter>,
}

/// What a run has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Records read, dead letters included.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that could not be decoded.
    pub dead_letters: u64,
    /// Events whose time was clamped.
    pub clamped: u64,
    /// Events without a readable time.
    pub untimed: u64,
    /// Rows that arrived after their window had closed.
    pub late: u64,
    /// Rollup rows.
    pub rollup_rows: u64,
    /// Alerts per rule (id, title, count), most first; rules without alerts are left out.
    pub alerts: Vec<(String, String, u64)>,
}

/// One worker's handle on the metrics.
pub struct WorkerMetrics {
    worker: String,
    all: Arc<Metrics>,
    release: Arc<Release>,
}

impl WorkerMetrics {
    /// From now on these rules are counted.
    pub fn adopt(&mut self, release: &Arc<Release>) {
        self.release = Arc::clone(release);
    }

    /// A batch went through stage 1.
    pub fn detected(&self, records: &Records, batch: &DecodedBatch, hits: &Hits, took: Duration) {
        let all = &self.all;
        let topic = &[&*records.at.topic];
        all.records
            .with_label_values(topic)
            .inc_by(records.len() as u64);
        all.bytes
            .with_label_values(topic)
            .inc_by(records.bytes() as u64);
        all.batches.inc();
        all.batch_seconds.observe(took.as_secs_f64());
        let counts = [
            (&all.dead_letters, batch.bad.len() as u64),
            (&all.clamped, batch.clamped),
            (&all.untimed, batch.untimed),
        ];
        for (counter, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            counter.with_label_values(topic).inc_by(count);
        }
        for hit in &hits.hits {
            if let Some(counter) = self.release.counters.detections.get(hit.rule as usize) {
                counter.inc();
            }
        }
    }

    /// Alerts were sent.
    pub fn alerted(&self, count: usize) {
        self.all.alerts.inc_by(count as u64);
    }

    /// Outcomes of stage 2 were sent.
    pub fn merged(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let counter = match outcome {
                // Told again is not found again.
                Outcome::Correlated(correlated) if correlated.revision > 0 => None,
                Outcome::Correlated(correlated) => {
                    self.all.alerts.inc();
                    let rule = correlated
                        .parts
                        .first()
                        .filter(|_| correlated.suppresses.is_some());
                    let rule = rule.map_or(correlated.rule, |first| first.rule);
                    self.release.counters.correlations.get(rule)
                }
                Outcome::Rollup(row) => {
                    let rollup = self.release.program.rules.rollups.get(row.rule);
                    if rollup.is_some_and(|rule| rule.kind == RollupKind::Alert) {
                        self.all.alerts.inc();
                    }
                    self.release.counters.rollups.get(row.rule)
                }
                Outcome::Late(_) => Some(&self.all.late),
                Outcome::GivenUp(given_up) => {
                    if let Some(header) = header(&self.release.program.rules, given_up) {
                        let of = self.all.given_up.with_label_values(&[&*header.id]);
                        of.inc_by(given_up.groups);
                    }
                    None
                }
            };
            if let Some(counter) = counter {
                counter.inc();
            }
        }
    }

    /// A record was sent to the exchange.
    pub fn exchanged(&self, bytes: usize) {
        self.all.exchange_records.inc();
        self.all.exchange_bytes.inc_by(bytes as u64);
    }

    /// A commit succeeded.
    pub fn committed(&self, took: Duration) {
        self.all.commits.inc();
        self.all.commit_seconds.observe(took.as_secs_f64());
    }

    /// A commit cycle failed.
    pub fn aborted(&self) {
        self.all.aborts.inc();
    }

    /// The assignment changed: so many source and exchange partitions are owned now.
    pub fn rebalanced(&self, sources: usize, exchange: usize) {
        self.all.rebalances.inc();
        for (stage, count) in [("source", sources), ("exchange", exchange)] {
            self.all
                .assigned
                .with_label_values(&[&self.worker, stage])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// An exchange partition has been replayed.
    pub fn restored(&self, took: Duration) {
        self.all.restore_seconds.observe(took.as_secs_f64());
    }

    /// Windows of exchange partitions were found again.
    pub fn recovered(&self, how: Recovered) {
        for (label, count) in [
            ("snapshot", how.snapshots),
            ("broken", how.broken),
            ("gap", how.gaps),
        ] {
            self.all
                .recoveries
                .with_label_values(&[label])
                .inc_by(count);
        }
    }

    /// A snapshot of this many bytes was sent.
    pub fn snapshot(&self, bytes: usize) {
        self.all.snapshots.inc();
        self.all.snapshot_bytes.inc_by(bytes as u64);
    }

    /// A partition is no longer ours: its gauges would only mislead.
    pub fn forget(&self, at: &TopicPartition) {
        let partition = at.partition.to_string();
        // An error here means that the gauge was never set.
        let _ = self
            .all
            .lag
            .remove_label_values(&[&*at.topic, partition.as_str()]);
        for stage in ["source", "exchange"] {
            let _ =
                self.all
                    .watermark
                    .remove_label_values(&[stage, &*at.topic, partition.as_str()]);
            let _ = self.all.watermark_delay.remove_label_values(&[
                stage,
                &*at.topic,
                partition.as_str(),
            ]);
        }
    }

    /// Records not yet read.
    pub fn lag(&self, at: &TopicPartition, lag: i64) {
        self.all
            .lag
            .with_label_values(&[&*at.topic, &at.partition.to_string()])
            .set(lag);
    }

    /// How far event time has come.
    pub fn watermark(&self, stage: &str, at: &TopicPartition, watermark_ns: i64, now_ns: i64) {
        let labels = [stage, &*at.topic, &at.partition.to_string()];
        self.all
            .watermark
            .with_label_values(&labels)
            .set(watermark_ns as f64 / 1e9);
        self.all
            .watermark_delay
            .with_label_values(&labels)
            .set(now_ns.saturating_sub(watermark_ns).max(0) as f64 / 1e9);
    }

    /// So many source partitions wait for slower ones.
    pub fn held(&self, partitions: usize) {
        self.all
            .held
            .with_label_values(&[&self.worker])
            .set(i64::try_from(partitions).unwrap_or(i64::MAX));
    }

    /// Bytes held for open windows.
    pub fn state(&self, bytes: usize) {
        self.all
            .state_bytes
            .with_label_values(&[&self.worker])
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// How many values rules of new terms know for certain, and how many from a sketch.
    pub fn terms(&self, exact: usize, sketched: usize) {
        for (how, number) in [("exact", exact), ("sketch", sketched)] {
            self.all
                .terms
                .with_label_values(&[self.worker.as_str(), how])
                .set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
}

/// Resident memory, where the system tells (Linux: `/proc/self/status`).
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
