//! Stage 2: per exchange partition, a merger that turns the records of stage 1 into correlations and rollups.
//!
//! Its state is a function of the records of its partition in their order, and of nothing else. So taking a partition
//! over means reading the snapshot (`snapshots.rs`) that the committed offset names, and the partition from there
//! (without a snapshot: from its beginning), silently up to the offset that the previous owner had committed
//! (whatever came of those records was committed with it), and aloud from there on.

mod partition;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haechi_log::{Assignment, Log, LogError, Start, TopicPartition};
use haechi_rules::RuleSet;
use haechi_window::{Budget, FrameError, Merger, Outcome, Plan, Retired};
use tracing::{error, info, warn};

use crate::error::{StageError, WorkerError};
use crate::layout::Standing;
use crate::settings;
use crate::snapshots;
use partition::ExchangePartition;

/// The exchange partitions of one worker.
pub struct Stage2 {
    plan: Arc<Plan>,
    settings: Option<settings::Snapshots>,
    /// How many partitions the exchange has.
    spread: u32,
    budget: Budget,
    partitions: BTreeMap<TopicPartition, ExchangePartition>,
}

/// How the state of a partition was found again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Partitions whose snapshot was read.
    pub snapshots: u64,
    /// Partitions whose snapshot could not be used.
    pub broken: u64,
    /// Partitions that lack records which their state stands on.
    pub gaps: u64,
}

/// The exchange does not reach back to what a partition's windows stand on.
fn tell_gap(at: &TopicPartition, first: i64, from: i64, committed: i64) {
    let topic = &at.topic;
    if first > committed {
        error!(partition = %at, first, committed, "the exchange begins at offset {first}, but was read up to {committed} only: records between were lost to retention, and windows lack their events; raise `retention.ms` of topic `{topic}`");
    } else if from > 0 {
        error!(partition = %at, first, from, "the exchange begins at offset {first}, but the snapshot of the windows is from offset {from}: windows lack the events between; raise `retention.ms` of topic `{topic}`");
    } else {
        warn!(partition = %at, first, "there is no snapshot to begin with, and the exchange begins at offset {first}: windows that are open for longer than its `retention.ms` lack their first events");
    }
}

/// What came of one exchange record.
#[derive(Debug, Default)]
pub struct Merged {
    /// To be emitted; empty while replaying.
    pub outcomes: Vec<Outcome>,
    /// The record is none of ours and had no effect; the reason.
    pub refused: Option<String>,
}

impl Stage2 {
    /// Owning nothing yet, of an exchange of `spread` partitions.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        settings: Option<settings::Snapshots>,
        spread: u32,
        budget: Budget,
    ) -> Self {
        Self {
            plan,
            settings,
            spread,
            budget,
            partitions: BTreeMap::new(),
        }
    }

    /// What must be told before these rules hold: findings that were told early, and whose rules are gone, are withdrawn.
    #[must_use]
    pub fn orphans(&self, plan: &Plan) -> Vec<Outcome> {
        let restored = self.partitions.values().filter(|of| of.is_restored());
        restored
            .flat_map(|partition| partition.merger.orphans(plan))
            .collect()
    }

    /// What rules that went while nobody ran have left open, with these rules: to be told with the next commit, of which also
    /// [`Self::write_snapshots`] is a part.
    pub fn retire(&mut self) -> Vec<(RuleSet, Vec<Outcome>)> {
        let restored = self.partitions.values_mut().filter(|of| of.is_restored());
        restored
            .filter_map(|partition| {
                let retired = partition.retired.take()?;
                partition.snapshots.press();
                Some(retired.leave())
            })
            .collect()
    }

    /// Whether there is something to [`Self::retire`].
    #[must_use]
    pub fn has_retired(&self) -> bool {
        let mut restored = self.partitions.values().filter(|of| of.is_restored());
        restored.any(|partition| partition.retired.is_some())
    }

    /// From now on these rules hold. Rules that mean what they meant keep their windows, new ones begin with what comes; answers how
    /// many kept them. What is still being read back is read back anew, for it may hold what rules that go have left open.
    pub fn adopt(&mut self, plan: &Arc<Plan>, now: Instant) -> usize {
        self.plan = Arc::clone(plan);
        let rules = plan.described().collect();
        let mut kept = 0;
        for (at, partition) in &mut self.partitions {
            if !partition.is_restored() {
                partition.forget(plan, self.budget, at, self.spread, now);
                continue;
            }
            kept = kept.max(partition.merger.adopt(plan));
            if partition.snapshots.describes_others(&rules) {
                partition.snapshots.press();
            }
        }
        kept
    }

    /// How far each partition has been read.
    pub fn positions(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        let partitions = self.partitions.iter();
        partitions.map(|(at, partition)| (at, partition.position))
    }

    /// Takes partitions over; answers where to begin reading each, and how their states were found.
    ///
    /// # Errors
    /// When the log cannot be read, or the windows are spread over another number of partitions; then none was taken over.
    pub fn open(
        &mut self,
        assignments: &[Assignment],
        log: &mut dyn Log,
        now: Instant,
    ) -> Result<(Vec<(TopicPartition, Start)>, Recovered), LogError> {
        let (mut starts, mut recovered) = (Vec::new(), Recovered::default());
        let mut opened = Vec::new();
        for Assignment { at, committed } in assignments {
            let offset = committed.as_ref().map_or(0, |committed| committed.offset);
            let said = committed.as_ref();
            let said = said.map_or("", |committed| committed.metadata.as_str());
            let standing = Standing::of_text(said);
            standing.check(at, self.spread)?;
            let mut partition =
                ExchangePartition::new(&self.plan, self.budget, at, offset, &standing, now);
            starts.push((
                at.clone(),
                self.restore(at, &mut partition, log, now, &mut recovered)?,
            ));
            opened.push((at.clone(), partition));
        }
        self.partitions.extend(opened);
        Ok((starts, recovered))
    }

    /// Reads back the states of all partitions that have forgotten them; answers where to go on reading each.
    ///
    /// # Errors
    /// When the log cannot be read; those that are left are tried again with the next call.
    pub fn remember(
        &mut self,
        log: &mut dyn Log,
        now: Instant,
    ) -> Result<(Vec<(TopicPartition, Start)>, Recovered), LogError> {
        let (mut starts, mut recovered) = (Vec::new(), Recovered::default());
        let forgotten = self.partitions.iter();
        let forgotten = forgotten.filter(|(_, partition)| partition.forgotten);
        let forgotten: Vec<TopicPartition> = forgotten.map(|(at, _)| at.clone()).collect();
        let mut remembered = Vec::new();
        for at in forgotten {
            if let Some(old) = self.partitions.get(&at) {
                let (committed, standing) = (old.committed, old.standing(self.spread));
                let mut partition =
                    ExchangePartition::new(&self.plan, self.budget, &at, committed, &standing, now);
                let start = self.restore(&at, &mut partition, log, now, &mut recovered)?;
                starts.push((at.clone(), start));
                remembered.push((at, partition));
            }
        }
        self.partitions.extend(remembered);
        Ok((starts, recovered))
    }

    /// Finds the state of an empty partition again; answers from where on the exchange has to be read.
    fn restore(
        &self,
        at: &TopicPartition,
        partition: &mut ExchangePartition,
        log: &mut dyn Log,
        now: Instant,
        recovered: &mut Recovered,
    ) -> Result<Start, LogError> {
        let Some(settings) = &self.settings else {
            return Ok(Start::Earliest);
        };
        if let Some(name) = partition.snapshots.name() {
            let place = snapshots::place(settings, at);
            let read = snapshots::read(log, &place, name)?;
            let number = partition.merger.partition();
            let spread = (name.offset < partition.since).then_some(self.spread);
            let restored = read.and_then(|(snapshot, bytes)| {
                let plan = Arc::clone(&self.plan);
                let described = snapshot.described();
                let retired = Retired::of(&plan, number, &snapshot, spread, self.budget);
                let retired = retired.unwrap_or_else(|reason| {
                    warn!(partition = %at, %reason, "rules that are gone may leave early findings open: what they were cannot be read");
                    None
                });
                let (merger, unknown) = Merger::restore(plan, number, snapshot, spread)?;
                Ok((merger, retired, unknown, described, bytes))
            });
            match restored {
                Ok((merger, retired, unknown, described, bytes)) => {
                    info!(partition = %at, offset = name.offset, bytes, rules_gone = unknown, "read the snapshot of its windows");
                    recovered.snapshots += 1;
                    partition.merger = merger.within(self.budget);
                    partition.retired = retired;
                    partition.position = name.offset;
                    partition.snapshots.restored(bytes, described, now);
                }
                Err(reason) => {
                    warn!(partition = %at, offset = name.offset, %reason, "the snapshot of its windows in {place} cannot be used: reading the exchange from its beginning instead");
                    recovered.broken += 1;
                }
            }
        }
        let (first, _) = log.bounds(at)?;
        let (from, committed) = (partition.position, partition.committed);
        if first > from && committed > 0 {
            recovered.gaps += 1;
            tell_gap(at, first, from, committed);
        }
        Ok(match partition.position {
            0 => Start::Earliest,
            offset => Start::At(offset),
        })
    }

    /// Writes the snapshots that cannot wait and, of the others that are due, the one that is most overdue, as part of the open transaction.
    /// Answers the bytes of each.
    ///
    /// # Errors
    /// When the log does not take them, or a state cannot be written.
    pub fn write_snapshots(
        &mut self,
        log: &mut dyn Log,
        now: Instant,
    ) -> Result<Vec<usize>, WorkerError> {
        let Some(settings) = &self.settings else {
            return Ok(Vec::new());
        };
        let due = self.partitions.iter_mut().filter_map(|(at, partition)| {
            let is_due = partition.wants_snapshot(settings.interval, now);
            is_due.then_some((at, partition))
        });
        let (mut chosen, others): (Vec<_>, Vec<_>) =
            due.partition(|(_, partition)| partition.snapshots.is_pressing());
        // Of those that can wait, one at a time: a commit is not to take longer than it must.
        let others = others.into_iter();
        chosen.extend(others.min_by_key(|(_, partition)| partition.snapshots.since()));
        let mut written = Vec::new();
        for (at, partition) in chosen {
            let place = snapshots::place(settings, at);
            written.push(partition.write_snapshot(&place, settings.chunk_bytes, log)?);
        }
        Ok(written)
    }

    /// Lets a partition go.
    pub fn close(&mut self, at: &TopicPartition) {
        self.partitions.remove(at);
    }

    /// A partition that is owned. One whose state is still to be read back is read again from where that ends: what comes of it before
    /// does not count.
    fn known(&mut self, at: &TopicPartition) -> Option<&mut ExchangePartition> {
        let partition = self.partitions.get_mut(at);
        partition.filter(|partition| !partition.forgotten)
    }

    /// Applies one exchange record.
    ///
    /// # Errors
    /// When the record was written by a newer release, or the merger cannot go on: reading it again would not help.
    pub fn apply(
        &mut self,
        at: &TopicPartition,
        offset: i64,
        payload: &[u8],
    ) -> Result<Merged, StageError> {
        let spread = self.spread;
        let Some(partition) = self.known(at) else {
            return Ok(Merged::default());
        };
        partition.snapshots.applied(payload.len());
        let silent = offset < partition.committed;
        let share = (offset < partition.since).then_some(spread);
        if let Some(retired) = &mut partition.retired
            && silent
        {
            // What is wrong with a record is said below.
            let _ = retired.apply(payload, share);
        }
        let applied = match share {
            Some(spread) => partition.merger.apply_share(payload, spread),
            None => partition.merger.apply(payload),
        };
        match applied {
            Ok(_) if silent => Ok(Merged::default()),
            Ok(outcomes) => Ok(Merged {
                outcomes,
                refused: None,
            }),
            Err(FrameError::Corrupt(_)) if silent => Ok(Merged::default()),
            Err(error @ FrameError::Corrupt(_)) => Ok(Merged {
                outcomes: Vec::new(),
                refused: Some(error.to_string()),
            }),
            Err(error) => Err(StageError::Exchange {
                at: at.clone(),
                offset,
                error,
            }),
        }
    }

    /// The partition has been read up to `next_offset`. Answers whether that is worth committing.
    pub fn advance(&mut self, at: &TopicPartition, next_offset: i64) -> bool {
        self.known(at).is_some_and(|partition| {
            partition.position = next_offset;
            partition.position > partition.committed
        })
    }

    /// The partition has been read to its end, `offset`: past the last record there may be transaction markers.
    ///
    /// # Errors
    /// When it ends before what was committed: it was cut short or created anew, and its windows cannot be restored.
    pub fn caught_up(&mut self, at: &TopicPartition, offset: i64) -> Result<(), LogError> {
        let Some(partition) = self.known(at) else {
            return Ok(());
        };
        if offset < partition.committed {
            return Err(LogError::retriable(format!(
                "exchange partition {at} ends at offset {offset}, but {} was committed: it was cut short or created anew, and its windows cannot be restored; if that was meant, go on under another `app`",
                partition.committed
            )));
        }
        partition.position = partition.position.max(offset);
        Ok(())
    }

    /// How far each partition has been read, where that is further than what is committed or a snapshot is to be named, and how it
    /// stands then.
    pub fn offsets(&self) -> impl Iterator<Item = (TopicPartition, i64, String)> + '_ {
        // A number that was never committed is, before anybody can be of another opinion.
        let moved = self.partitions.iter().filter(|(_, partition)| {
            partition.position > partition.committed
                || partition.snapshots.is_unnamed()
                || (!partition.said && partition.is_restored())
        });
        moved.map(|(at, partition)| {
            let standing = Standing {
                partitions: Some(self.spread),
                since: partition.since,
                snapshot: partition.snapshots.newest(),
            };
            (at.clone(), partition.position, standing.text())
        })
    }

    /// The offsets of [`Self::offsets`] are now committed.
    pub fn committed(&mut self, now: Instant) {
        for partition in self.partitions.values_mut() {
            partition.said |= partition.is_restored();
            partition.committed = partition.committed.max(partition.position);
            partition.snapshots.committed(now);
        }
    }

    /// Forgets what was not committed, and with it every partition's state: [`Self::remember`] reads it back.
    pub fn forget(&mut self, now: Instant) {
        for (at, partition) in &mut self.partitions {
            partition.forget(&self.plan, self.budget, at, self.spread, now);
        }
    }

    /// Whether every partition has been replayed up to what was committed.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.partitions.values().all(ExchangePartition::is_restored)
    }

    /// The partitions whose replay has ended since the last call, and how long it took.
    pub fn newly_restored(&mut self, now: Instant) -> Vec<(TopicPartition, Duration)> {
        let restored = self
            .partitions
            .iter_mut()
            .filter(|(_, partition)| partition.is_restored());
        restored
            .filter_map(|(at, partition)| {
                let since = partition.replaying_since.take()?;
                Some((at.clone(), now.duration_since(since)))
            })
            .collect()
    }

    /// Whether every source of every partition has ended (bounded runs).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let mut partitions = self.partitions.values();
        self.plan.is_empty() || partitions.all(|partition| partition.merger.is_finished())
    }

    /// Event time of each partition, nanoseconds; those not yet known are left out.
    pub fn watermarks(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.partitions
            .iter()
            .filter_map(|(at, partition)| Some((at, partition.merger.watermark_ns()?)))
    }

    /// Bytes of state held for open windows.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.partitions
            .values()
            .map(|partition| partition.merger.state_bytes())
            .sum()
    }

    /// How many values rules of new terms know for certain, and how many from a sketch.
    #[must_use]
    pub fn terms(&self) -> (usize, usize) {
        let terms = self.partitions.values().map(|of| of.merger.terms());
        terms.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    /// How many partitions are owned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Whether none is owned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }
}
