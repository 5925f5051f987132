//! Stage 2: per exchange partition, a merger that turns the records of stage 1 into correlations and rollups.
//!
//! Its state is a function of the records of its partition in their order, and of nothing else. So taking a partition
//! over means reading it from the beginning, silently up to the offset that the previous owner had committed
//! (whatever came of those records was committed with it), and aloud from there on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haechi_log::{Assignment, LogError, Start, TopicPartition};
use haechi_window::{FrameError, Merger, Outcome, Plan};

use crate::error::StageError;

/// The exchange partitions of one worker.
pub struct Stage2 {
    plan: Arc<Plan>,
    partitions: BTreeMap<TopicPartition, ExchangePartition>,
}

struct ExchangePartition {
    merger: Merger,
    /// Records before this offset have been answered for: they only rebuild the state.
    committed: i64,
    position: i64,
    /// When the replay began; taken when it is over.
    replaying_since: Option<Instant>,
}

impl ExchangePartition {
    fn new(plan: &Arc<Plan>, at: &TopicPartition, committed: i64, now: Instant) -> Self {
        let partition = u32::try_from(at.partition).unwrap_or(0);
        Self {
            merger: Merger::new(Arc::clone(plan), partition),
            committed,
            position: 0,
            replaying_since: Some(now),
        }
    }

    fn is_restored(&self) -> bool {
        self.position >= self.committed
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
    /// Owning nothing yet.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
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

    /// From now on these rules hold. Rules that mean what they meant keep their windows, new ones begin with what comes; answers how
    /// many kept them.
    pub fn adopt(&mut self, plan: &Arc<Plan>) -> usize {
        self.plan = Arc::clone(plan);
        let partitions = self.partitions.values_mut();
        let kept = partitions.map(|partition| partition.merger.adopt(plan));
        kept.max().unwrap_or(0)
    }

    /// How far each partition has been read.
    pub fn positions(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        let partitions = self.partitions.iter();
        partitions.map(|(at, partition)| (at, partition.position))
    }

    /// Takes a partition over; answers where to begin reading.
    pub fn open(&mut self, assignment: &Assignment, now: Instant) -> Start {
        let committed = assignment
            .committed
            .as_ref()
            .map_or(0, |committed| committed.offset);
        let partition = ExchangePartition::new(&self.plan, &assignment.at, committed, now);
        self.partitions.insert(assignment.at.clone(), partition);
        Start::Earliest
    }

    /// Lets a partition go.
    pub fn close(&mut self, at: &TopicPartition) {
        self.partitions.remove(at);
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
        let Some(partition) = self.partitions.get_mut(at) else {
            return Ok(Merged::default());
        };
        let silent = offset < partition.committed;
        match partition.merger.apply(payload) {
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
        self.partitions.get_mut(at).is_some_and(|partition| {
            partition.position = next_offset;
            partition.position > partition.committed
        })
    }

    /// The partition has been read to its end, `offset`: past the last record there may be transaction markers.
    ///
    /// # Errors
    /// When it ends before what was committed: it was cut short or created anew, and its windows cannot be restored.
    pub fn caught_up(&mut self, at: &TopicPartition, offset: i64) -> Result<(), LogError> {
        let Some(partition) = self.partitions.get_mut(at) else {
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

    /// How far each partition has been read, where that is further than what is committed.
    pub fn offsets(&self) -> impl Iterator<Item = (TopicPartition, i64, String)> + '_ {
        let moved = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.position > partition.committed);
        moved.map(|(at, partition)| (at.clone(), partition.position, String::new()))
    }

    /// The offsets of [`Self::offsets`] are now committed.
    pub fn committed(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.committed = partition.committed.max(partition.position);
        }
    }

    /// Forgets what was not committed: every partition is rebuilt from its beginning.
    pub fn rewind(&mut self, now: Instant) -> Vec<(TopicPartition, Start)> {
        for (at, partition) in &mut self.partitions {
            *partition = ExchangePartition::new(&self.plan, at, partition.committed, now);
        }
        self.partitions
            .keys()
            .map(|at| (at.clone(), Start::Earliest))
            .collect()
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
