//! A worker: one thread, one member of the consumer group, one transactional producer, one loop.
//!
//! Read `Worker::turn` and you know what haechi does:
//! **poll → decode → detect → partial → merge → emit → commit.**
//!
//! A worker owns some source partitions (stage 1, [`crate::stage1`]) and some exchange partitions (stage 2,
//! [`crate::stage2`]). Whatever it sends, and how far it has read, becomes visible in one transaction at
//! `Worker::commit`. When a commit fails, everything since the last one is dropped and read again.

mod rebalance;

use std::sync::Arc;
use std::time::{Duration, Instant};

use haechi_log::{Event, Kind, Log, Records, TopicPartition};
use haechi_window::{Partials, Progress};
use tracing::{info, warn};

use crate::clock::{Attention, Clock};
use crate::emit::Emitter;
use crate::error::{StageError, WorkerError};
use crate::given_up::Complaints;
use crate::health::{Health, Vitals};
use crate::metrics::{Metrics, WorkerMetrics};
use crate::profile::{Laps, Profiler, Stage};
use crate::release::{Release, Releases};
use crate::settings::{Exchange, Run, Settings};
use crate::skew::Skew;
use crate::stage1::Stage1;
use crate::stage2::Stage2;

/// The longest a poll waits for records when nothing else is due.
const LONGEST_POLL: Duration = Duration::from_millis(100);
/// The longest a poll waits when all that is left is to hear that a bounded run is over.
const SHORTEST_POLL: Duration = Duration::from_millis(5);

/// What all workers of a process share.
#[derive(Clone)]
pub struct Shared {
    /// The rules in force.
    pub releases: Arc<Releases>,
    /// What the run needs to know.
    pub settings: Arc<Settings>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// The vital signs of all workers.
    pub health: Arc<Health>,
    /// Where the workers hand in what they did, when somebody wants to know.
    pub profiler: Option<Arc<Profiler>>,
}

/// One thread's share of the work. See the [module](self).
pub struct Worker {
    id: usize,
    shared: Shared,
    release: Arc<Release>,
    log: Box<dyn Log>,
    stage1: Stage1,
    partials: Partials,
    stage2: Stage2,
    emitter: Emitter,
    skew: Skew,
    metrics: WorkerMetrics,
    complaints: Complaints,
    laps: Laps,
    assigned: bool,
    dirty: bool,
    /// Source records since the last commit.
    uncommitted: usize,
    attention: Attention,
    /// A change of the assignment that is still to be answered: what came before it in the same poll has failed.
    unanswered: Option<Event>,
    last_commit: Instant,
    last_announcement: Option<Instant>,
    failures: u32,
}

impl Worker {
    /// Worker number `id` over `log`, owning nothing yet: the group will assign it its partitions.
    #[must_use]
    pub fn new(id: usize, shared: Shared, log: Box<dyn Log>, metrics: &Arc<Metrics>) -> Self {
        let release = shared.releases.current();
        let program = &release.program;
        Self {
            id,
            stage1: Stage1::new(program, &shared.settings, shared.profiler.is_some()),
            partials: partials(&release, &shared.settings),
            stage2: Stage2::new(
                Arc::clone(&program.aggregations),
                shared.settings.snapshots.clone(),
                spread(&shared.settings),
                shared.settings.budget(),
            ),
            emitter: Emitter::new(program, &shared.settings),
            skew: Skew::new(shared.settings.max_skew),
            metrics: metrics.worker(id, &release),
            complaints: Complaints::default(),
            laps: Laps::new(shared.profiler.clone()),
            assigned: false,
            dirty: false,
            uncommitted: 0,
            attention: Attention::new(shared.clock.as_ref()),
            unanswered: None,
            last_commit: shared.clock.instant(),
            last_announcement: None,
            failures: 0,
            release,
            log,
            shared,
        }
    }

    /// Turns the loop until `stopped` says so, then commits what is done and leaves the group.
    ///
    /// # Errors
    /// When the log has fenced this worker off or refuses for good, or a stage cannot go on. What was not committed
    /// is not lost: whoever owns the partitions next reads it again.
    pub fn run(mut self, stopped: &dyn Fn() -> bool) -> Result<(), WorkerError> {
        while !stopped() {
            if let Some(pause) = self.step()? {
                self.shared.health.turned(self.id, self.vitals());
                std::thread::sleep(pause);
            }
        }
        self.leave()
    }

    /// One turn of the loop and, if it failed, the recovery from that; answers how long to wait before the next one.
    /// [`Worker::run`] is this over and over. Whoever holds time and turns in their own hands calls it themselves.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn step(&mut self) -> Result<Option<Duration>, WorkerError> {
        self.shared.health.turned(self.id, self.vitals());
        match self.turn() {
            Ok(()) => Ok(None),
            Err(error) => self.recover(error).map(Some),
        }
    }

    /// Commits what is done and leaves the group.
    ///
    /// # Errors
    /// When the log cannot be left in order. What was not committed is not lost.
    pub fn leave(mut self) -> Result<(), WorkerError> {
        info!(
            worker = self.id,
            "stopping: committing what is done and leaving the group"
        );
        if let Err(error) = self.commit() {
            warn!(worker = self.id, %error, "the last commit failed: the next owner reads its records again");
            self.log.abort()?;
        }
        self.log.close()?;
        self.laps.was(Stage::Emit);
        self.laps.hand_in(self.stage1.profiles());
        Ok(())
    }

    /// One turn of the loop.
    fn turn(&mut self) -> Result<(), WorkerError> {
        self.look();
        if let Some(event) = self.unanswered.take() {
            self.handle(event)?;
        }
        // Behind that: handing over may end in dropping what is uncommitted.
        self.remember()?;
        if let Some(release) = self.shared.releases.other_than(self.release.number) {
            self.adopt(release)?;
        }
        let wait = self.until_commit().min(self.longest_poll());
        let mut events = self.log.poll(wait)?.into_iter();
        self.laps.was(Stage::Wait);
        while let Some(event) = events.next() {
            if let Err(error) = self.handle(event) {
                // Records will be read again; a change of the assignment is told only once.
                let is_change =
                    |event: &Event| matches!(event, Event::Assigned(_) | Event::Revoked { .. });
                if self.unanswered.is_none() {
                    self.unanswered = events.find(is_change);
                }
                return Err(error);
            }
        }
        self.notice_restored();
        if self.until_commit().is_zero() {
            self.commit()?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), WorkerError> {
        match event {
            Event::Records(records) if self.is_exchange(&records.at) => self.merge(&records),
            Event::Records(records) => self.detect(&records),
            Event::CaughtUp { at, offset } => self.caught_up(&at, offset),
            Event::Assigned(partitions) => self.take_over(partitions),
            Event::Revoked { partitions, lost } => self.hand_over(&partitions, lost),
            Event::Idle => Ok(()),
        }
    }

    /// Silence of a partition counts only while somebody listens.
    fn look(&mut self) {
        if self.attention.look(self.shared.clock.instant()) {
            self.stage1.overlooked(self.attention.now_ns());
        }
    }

    /// Stage 1: source records become alerts, dead letters and partial aggregates.
    fn detect(&mut self, records: &Records) -> Result<(), WorkerError> {
        let started = Instant::now();
        let now = self.shared.clock.now_ns();
        let Some(decoded) = self.stage1.decode(records, now)? else {
            return Ok(());
        };
        self.laps.was(Stage::Decode);
        let hits = self.stage1.detect(&decoded)?;
        self.laps.was(Stage::Detect);
        self.emitter
            .dead_letters(records, &decoded.bad, self.log.as_mut())?;
        let alerts = self
            .emitter
            .alerts(records, &decoded, &hits, self.log.as_mut())?;
        self.laps.was(Stage::Emit);
        self.stage1
            .aggregate(records, &decoded, &hits, &mut self.partials)?;
        self.stage1
            .advance(records, &decoded, self.attention.now_ns());
        self.laps.was(Stage::Aggregate);
        self.metrics
            .detected(records, &decoded, &hits, started.elapsed());
        self.metrics.alerted(alerts);
        self.uncommitted += records.len();
        self.dirty = true;
        Ok(())
    }

    /// Stage 2: exchange records become correlations, rollups and late rows. Records before the committed offset only
    /// rebuild the state; what came of them was committed by whoever read them first.
    fn merge(&mut self, records: &Records) -> Result<(), WorkerError> {
        for record in records.iter() {
            let Some(payload) = record.payload else {
                continue;
            };
            let merged = self.stage2.apply(&records.at, record.offset, payload)?;
            self.laps.was(Stage::Aggregate);
            if let Some(reason) = merged.refused {
                self.emitter
                    .dead_letter(&records.at, &record, &reason, self.log.as_mut())?;
            }
            self.emitter.outcomes(&merged.outcomes, self.log.as_mut())?;
            self.metrics.merged(&merged.outcomes);
            let (rules, now) = (&self.release.program.rules, self.shared.clock.instant());
            self.complaints.about(&merged.outcomes, rules, now);
            self.laps.was(Stage::Emit);
        }
        if self.stage2.advance(&records.at, records.next_offset()) {
            self.dirty = true;
        }
        Ok(())
    }

    /// Makes everything since the last commit visible at once: what was sent, and how far was read.
    fn commit(&mut self) -> Result<(), WorkerError> {
        let started = Instant::now();
        let mut offsets = Vec::new();
        if let Some(exchange) = self.exchange() {
            self.learn_topology()?;
            let progress = self.progress();
            let records = self.partials.drain(&progress).map_err(StageError::from)?;
            self.laps.was(Stage::Aggregate);
            for (partition, record) in records {
                self.metrics.exchanged(record.len());
                let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                self.emitter
                    .exchange(&exchange.topic, partition, &record, self.log.as_mut())?;
            }
            if progress.announce {
                self.last_announcement = Some(self.shared.clock.instant());
                offsets.extend(self.stage1.credential());
            }
        }
        for (rules, last_words) in self.stage2.retire() {
            self.emitter
                .last_words(&rules, &last_words, self.log.as_mut())?;
        }
        let now = self.shared.clock.instant();
        for bytes in self.stage2.write_snapshots(self.log.as_mut(), now)? {
            self.metrics.snapshot(bytes);
        }
        let changed: Vec<_> = self.stage1.offsets().chain(self.stage2.offsets()).collect();
        if !changed.is_empty() {
            offsets = changed;
        }
        self.log.commit(&offsets)?;
        self.laps.was(Stage::Emit);
        self.stage1.committed();
        self.stage2.committed(self.shared.clock.instant());
        self.failures = 0;
        self.dirty = false;
        self.uncommitted = 0;
        self.last_commit = self.shared.clock.instant();
        self.metrics.committed(started.elapsed());
        self.observe(self.shared.clock.now_ns());
        self.balance()
    }

    /// Partitions that are far ahead of the slowest wait for it, so that open windows do not pile up.
    fn balance(&mut self) -> Result<(), WorkerError> {
        let standings = self.stage1.standings();
        let change = if self.release.program.aggregates() {
            let slowest = self.stage2.watermarks().map(|(_, watermark)| watermark);
            self.skew.compare(&standings, slowest.min())
        } else {
            self.skew.none(&standings)
        };
        if !change.pause.is_empty() {
            self.log.pause(&change.pause)?;
            self.stage1.hold(&change.pause);
            self.skew.hold(change.pause);
        }
        if !change.resume.is_empty() {
            self.log.resume(&change.resume)?;
            self.stage1.release(&change.resume, self.attention.now_ns());
            self.skew.release(&change.resume);
        }
        self.metrics.held(self.skew.len());
        Ok(())
    }

    /// New rules are in force. What the old ones found is committed first, so that the change falls between two commits; rules that
    /// mean what they meant keep their windows. What those that go had open is told to its end in that commit, and the snapshots in it
    /// know nothing of them any more.
    fn adopt(&mut self, release: Arc<Release>) -> Result<(), WorkerError> {
        let orphans = self.stage2.orphans(&release.program.aggregations);
        self.emitter.outcomes(&orphans, self.log.as_mut())?;
        let program = &release.program;
        let now = self.shared.clock.instant();
        let kept = self.stage2.adopt(&program.aggregations, now);
        self.commit()?;
        self.stage1.adopt(program);
        self.partials = partials(&release, &self.shared.settings);
        self.emitter.adopt(program);
        self.metrics.adopt(&release);
        self.last_announcement = None;
        let offsets = self.stage1.positions().chain(self.stage2.positions());
        let offsets: Vec<String> = offsets
            .map(|(at, offset)| format!("{at}@{offset}"))
            .collect();
        info!(
            worker = self.id,
            release = release.number,
            kept,
            from = offsets.join(" "),
            "new rules: they hold from here on"
        );
        self.release = release;
        Ok(())
    }

    /// The watermarks to send along: announced to every exchange partition when there is something new to say.
    fn progress(&mut self) -> Progress {
        let heartbeat = self.last_announcement.is_none_or(|last| {
            self.shared.clock.instant().duration_since(last) >= self.shared.settings.heartbeat
        });
        self.stage1.progress(self.attention.now_ns(), heartbeat)
    }

    /// Which topics and partitions there are since the last assignment. While no broker tells, nothing is said about them,
    /// and the work goes on.
    fn learn_topology(&mut self) -> Result<(), WorkerError> {
        if self.stage1.knows_topology() {
            return Ok(());
        }
        match self.log.topology() {
            Ok(topology) => self.stage1.set_topology(topology),
            Err(error) if error.kind() == Kind::Retriable => {
                warn!(worker = self.id, %error, "asking again with the next commit");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A partition has been read to its end. A bounded run reads no further in its sources.
    fn caught_up(&mut self, at: &TopicPartition, offset: i64) -> Result<(), WorkerError> {
        if self.is_exchange(at) {
            return Ok(self.stage2.caught_up(at, offset)?);
        }
        let bounded = self.shared.settings.run == Run::UntilEnd;
        self.stage1
            .caught_up(at, offset, bounded, self.attention.now_ns());
        if bounded {
            self.log.pause(std::slice::from_ref(at))?;
        }
        Ok(())
    }

    fn is_exchange(&self, at: &TopicPartition) -> bool {
        self.shared
            .settings
            .exchange
            .as_ref()
            .is_some_and(|exchange| exchange.topic == at.topic)
    }

    fn exchange_partitions(&self) -> usize {
        let exchange = self.shared.settings.exchange.as_ref();
        exchange.map_or(0, |exchange| exchange.partitions as usize)
    }

    /// The exchange, when there is something to send there.
    fn exchange(&self) -> Option<Exchange> {
        let aggregates = self.release.program.aggregates();
        self.shared.settings.exchange.clone().filter(|_| aggregates)
    }

    /// How long until a commit is due: with uncommitted work the commit interval, else the heartbeat.
    fn until_commit(&self) -> Duration {
        let now = self.shared.clock.instant();
        let settings = &self.shared.settings;
        let due = |since: Instant, every: Duration| every.saturating_sub(now.duration_since(since));
        if let Some(records) = settings.commit_records
            && !self.stage1.has_ended()
        {
            return if self.uncommitted >= records {
                Duration::ZERO
            } else {
                LONGEST_POLL
            };
        }
        if self.dirty || self.stage1.has_news() {
            // At the end of a bounded run nothing more comes that a commit could wait for.
            return if self.stage1.has_ended() {
                Duration::ZERO
            } else {
                due(self.last_commit, settings.commit_interval)
            };
        }
        if self.exchange().is_none() || !self.stage1.can_speak() {
            return LONGEST_POLL;
        }
        self.last_announcement
            .map_or(Duration::ZERO, |last| due(last, settings.heartbeat))
    }

    /// The end of a bounded run is not waited for longer than it takes to notice.
    fn longest_poll(&self) -> Duration {
        if self.stage1.has_ended() {
            SHORTEST_POLL
        } else {
            LONGEST_POLL
        }
    }

    fn vitals(&self) -> Vitals {
        Vitals {
            assigned: self.assigned,
            restored: self.stage2.is_restored(),
            finished: self.assigned
                && !self.dirty
                && self.stage1.is_finished()
                && self.stage2.is_finished(),
            owned: self.stage1.len() + self.stage2.len(),
            partitions: self.stage1.shared_out() + self.exchange_partitions(),
        }
    }

    fn observe(&mut self, now: i64) {
        for (at, lag) in self.log.lag() {
            self.metrics.lag(&at, lag);
        }
        for (at, watermark) in self.stage1.watermarks() {
            self.metrics.watermark("source", at, watermark, now);
        }
        for (at, watermark) in self.stage2.watermarks() {
            self.metrics.watermark("exchange", at, watermark, now);
        }
        self.metrics.state(self.stage2.state_bytes());
        let (exact, sketched) = self.stage2.terms();
        self.metrics.terms(exact, sketched);
    }
}

fn partials(release: &Release, settings: &Settings) -> Partials {
    Partials::new(Arc::clone(&release.program.aggregations), spread(settings))
}

/// Over how many partitions of the exchange groups are spread.
fn spread(settings: &Settings) -> u32 {
    let exchange = settings.exchange.as_ref();
    exchange.map_or(1, |exchange| exchange.partitions)
}
