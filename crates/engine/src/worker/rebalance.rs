//! What a worker does when its partitions change or a turn has failed: takes over, hands over, goes back to what is committed.

use std::time::Duration;

use haechi_log::{Assignment, Event, Kind, TopicPartition};
use tracing::{info, warn};

use super::Worker;
use crate::error::WorkerError;
use crate::settings::Run;

/// The longest pause between tries while the log refuses to commit.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

impl Worker {
    /// The group gave us partitions: source partitions go on where they were committed, exchange partitions with the state that
    /// belongs to what was committed.
    pub(super) fn take_over(&mut self, partitions: Vec<Assignment>) -> Result<(), WorkerError> {
        let (exchange, sources): (Vec<_>, Vec<_>) = partitions
            .into_iter()
            .partition(|assignment| self.is_exchange(&assignment.at));
        let now = self.shared.clock.instant();
        let opened = self.stage2.open(&exchange, self.log.as_mut(), now);
        let (mut starts, recovered) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // It is told only once, and is still to be answered.
                let all = [exchange, sources].concat();
                self.unanswered = Some(Event::Assigned(all));
                return Err(error.into());
            }
        };
        self.metrics.recovered(recovered);
        for assignment in sources {
            self.skew.hold([assignment.at.clone()]);
            let start = self.stage1.open(&assignment, self.attention.now_ns());
            starts.push((assignment.at, start));
        }
        for (at, start) in &starts {
            info!(worker = self.id, partition = %at, from = ?start, "took over");
        }
        self.log.begin_at(&starts)?;
        self.stage1.doubt_topology();
        self.learn_topology()?;
        self.assigned = true;
        self.last_announcement = None;
        self.metrics
            .rebalanced(self.stage1.len(), self.stage2.len());
        Ok(())
    }

    /// The group takes partitions back: commit what was done for them while they are still ours, then let go.
    pub(super) fn hand_over(
        &mut self,
        partitions: &[TopicPartition],
        lost: bool,
    ) -> Result<(), WorkerError> {
        if lost {
            warn!(
                worker = self.id,
                count = partitions.len(),
                "lost partitions: their uncommitted work is dropped, the new owner redoes it"
            );
            self.drop_uncommitted(partitions)?;
        } else {
            match self.commit() {
                Ok(()) => {}
                Err(WorkerError::Log(error)) if error.kind() == Kind::Retriable => {
                    warn!(worker = self.id, %error, "could not commit before handing over: the new owner redoes the work");
                    self.drop_uncommitted(partitions)?;
                }
                Err(error) => return Err(error),
            }
        }
        self.skew.release(partitions);
        for at in partitions {
            info!(worker = self.id, partition = %at, "handed over");
            self.metrics.forget(at);
            if self.is_exchange(at) {
                self.stage2.close(at)
            } else {
                self.stage1.close(at)
            }
        }
        self.log.release(partitions)?;
        self.metrics
            .rebalanced(self.stage1.len(), self.stage2.len());
        Ok(())
    }

    /// After a failed turn: nothing of it was committed, so drop it all and read it again; a handle that the group or
    /// the broker has fenced off cannot do that, and is given up.
    pub(super) fn recover(&mut self, error: WorkerError) -> Result<Duration, WorkerError> {
        let WorkerError::Log(error) = error else {
            return Err(error);
        };
        if error.kind() != Kind::Retriable {
            return Err(error.into());
        }
        self.failures += 1;
        self.metrics.aborted();
        if let Some(topic) = error.too_large() {
            self.emitter.shrink(topic, &error)?;
        }
        warn!(worker = self.id, %error, tries = self.failures, "commit cycle failed: nothing of it is visible; reading it again");
        self.drop_uncommitted(&[])?;
        Ok(LONGEST_BACKOFF.min(Duration::from_millis(100 << self.failures.min(6))))
    }

    /// Aborts what is open and goes back to the committed offsets of all partitions but `except`.
    pub(super) fn drop_uncommitted(
        &mut self,
        except: &[TopicPartition],
    ) -> Result<(), WorkerError> {
        self.log.abort()?;
        self.partials.clear();
        let mut sources = self.stage1.rewind();
        sources.retain(|(at, _)| !except.contains(at));
        self.stage2.forget(self.shared.clock.instant());
        let again: Vec<_> = sources.iter().map(|(at, _)| at.clone()).collect();
        self.log.rewind(&sources)?;
        if self.shared.settings.run == Run::UntilEnd {
            // Those that had been read to their end are read to it again.
            self.log.resume(&again)?;
        }
        self.dirty = false;
        self.uncommitted = 0;
        self.last_commit = self.shared.clock.instant();
        Ok(())
    }

    /// Reads back the states that were dropped with what was not committed.
    pub(super) fn remember(&mut self) -> Result<(), WorkerError> {
        let now = self.shared.clock.instant();
        let (starts, recovered) = self.stage2.remember(self.log.as_mut(), now)?;
        if !starts.is_empty() {
            self.log.rewind(&starts)?;
            self.metrics.recovered(recovered);
        }
        Ok(())
    }

    pub(super) fn notice_restored(&mut self) {
        for (at, took) in self.stage2.newly_restored(self.shared.clock.instant()) {
            info!(worker = self.id, partition = %at, seconds = took.as_secs_f64(), "restored: its windows are as they were, results go on from here");
            self.metrics.restored(took);
            self.dirty |= self.stage2.has_retired();
        }
    }
}
