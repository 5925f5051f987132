//! One exchange partition of a worker: its state, and how far that is answered for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use haechi_log::{Log, TopicPartition};
use haechi_window::{Budget, Merger, Plan, Retired};

use crate::error::WorkerError;
use crate::layout::Standing;
use crate::snapshots::{SnapshotFailure, Snapshots};

pub(super) struct ExchangePartition {
    pub(super) merger: Merger,
    /// Rules that have told something early and are gone since: read on beside the others up to what was committed.
    pub(super) retired: Option<Retired>,
    pub(super) snapshots: Snapshots,
    /// Its state is still to be read back; nothing of it is applied before.
    pub(super) forgotten: bool,
    /// Records before this offset have been answered for: they only rebuild the state.
    pub(super) committed: i64,
    /// Records before this offset are from before the exchange has grown: not all of their groups are in this partition.
    pub(super) since: i64,
    /// Whether it is committed over how many partitions the windows are spread.
    pub(super) said: bool,
    pub(super) position: i64,
    /// When the replay began; taken when it is over.
    pub(super) replaying_since: Option<Instant>,
}

impl ExchangePartition {
    /// Empty, at the beginning of the partition.
    pub(super) fn new(
        plan: &Arc<Plan>,
        budget: Budget,
        at: &TopicPartition,
        committed: i64,
        standing: &Standing,
        now: Instant,
    ) -> Self {
        let partition = u32::try_from(at.partition).unwrap_or(0);
        Self {
            merger: Merger::new(Arc::clone(plan), partition).within(budget),
            retired: None,
            snapshots: Snapshots::new(standing.snapshot, now),
            forgotten: false,
            committed,
            since: standing.since,
            said: standing.partitions.is_some(),
            position: 0,
            replaying_since: Some(now),
        }
    }

    /// Forgets its state, which is to be read back.
    pub(super) fn forget(
        &mut self,
        plan: &Arc<Plan>,
        budget: Budget,
        at: &TopicPartition,
        spread: u32,
        now: Instant,
    ) {
        let (committed, standing) = (self.committed, self.standing(spread));
        *self = Self::new(plan, budget, at, committed, &standing, now);
        self.forgotten = true;
    }

    pub(super) fn is_restored(&self) -> bool {
        !self.forgotten && self.position >= self.committed
    }

    /// How it stands with the snapshot that is in force.
    pub(super) fn standing(&self, spread: u32) -> Standing {
        Standing {
            partitions: self.said.then_some(spread),
            since: self.since,
            snapshot: self.snapshots.name(),
        }
    }

    /// Whether a snapshot is due.
    pub(super) fn wants_snapshot(&mut self, interval: Duration, now: Instant) -> bool {
        if !self.snapshots.describes(self.merger.open()) {
            self.snapshots.press();
        }
        self.is_restored() && self.snapshots.is_due(self.position, interval, now)
    }

    /// Writes a snapshot; answers its bytes.
    pub(super) fn write_snapshot(
        &mut self,
        place: &TopicPartition,
        chunk_bytes: usize,
        log: &mut dyn Log,
    ) -> Result<usize, WorkerError> {
        let written =
            self.snapshots
                .write(&mut self.merger, self.position, place, chunk_bytes, log);
        written.map_err(|failure| match failure {
            SnapshotFailure::Log(error) => error.into(),
            SnapshotFailure::Stage(error) => error.into(),
        })
    }
}
