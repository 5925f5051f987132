//! The reading half of a [`KafkaLog`](super::KafkaLog).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::batch::Batch;
use super::config::{self, KafkaConfig};
use super::context::Context;
use super::failure;
use super::native::{Direct, Happened};
use super::{partitions, topology};
use crate::{Assignment, Committed, Event, Kind, LogError, Start, TopicPartition, Topology};

/// A member of the group.
pub(super) struct Consumer {
    events: Direct<BaseConsumer<Context>>,
    sources: Vec<String>,
    exchange: Option<String>,
    rows: usize,
    bytes: usize,
    wait: Duration,
    /// The assigned partitions that were begun, each with the next offset that reading will give, if known.
    positions: BTreeMap<TopicPartition, Option<i64>>,
    rebalance: Rebalance,
    /// An error that came after records; it is told by the next poll.
    error: Option<LogError>,
}

/// A change of the assignment that waits for an answer. librdkafka sends heartbeats meanwhile, pauses the partitions
/// it has assigned, and begins no other change.
enum Rebalance {
    None,
    /// Given partitions of which the worker was not told: what was committed for them is still to be asked.
    Untold(Vec<TopicPartition>),
    /// Given partitions, told.
    Assigned(Vec<TopicPartition>),
    /// Partitions to give back, told.
    Revoked(Vec<TopicPartition>),
}

/// What an event means for the gathering of a batch.
enum Step {
    Next,
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Failed(LogError),
}

impl Consumer {
    /// Joins the group. That happens in the background, with the first polls.
    pub(super) fn open(config: &KafkaConfig) -> Result<Self, LogError> {
        let client = config::consumer(config)?;
        let consumer = BaseConsumer::from_config_and_context(&client, Context::default())
            .map_err(|error| LogError::fatal(format!("kafka configuration: {error}")))?;
        let events = Direct::consumer(consumer)
            .ok_or_else(|| LogError::fatal("librdkafka gave a consumer without a queue"))?;
        let topics: Vec<&str> = config
            .sources
            .iter()
            .chain(&config.exchange)
            .map(String::as_str)
            .collect();
        events
            .subscribe(&topics)
            .map_err(|error| LogError::fatal(format!("cannot subscribe: {error}")))?;
        Ok(Self {
            events,
            sources: config.sources.clone(),
            exchange: config.exchange.clone(),
            rows: config.batch_rows.max(1),
            bytes: config.batch_bytes.max(1),
            wait: config.wait,
            positions: BTreeMap::new(),
            rebalance: Rebalance::None,
            error: None,
        })
    }

    /// See [`Log::poll`](crate::Log::poll).
    pub(super) fn poll(&mut self, wait: Duration) -> Result<Vec<Event>, LogError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if let Rebalance::Untold(partitions) = &mut self.rebalance {
            let partitions = std::mem::take(partitions);
            return Ok(vec![self.tell_assigned(partitions)?.unwrap_or(Event::Idle)]);
        }
        let mut batch = Batch::new(self.rows, self.bytes);
        let mut events = match self.gather(&mut batch, wait) {
            Step::Next => self.settle(batch),
            Step::Assigned(partitions) => {
                let mut events = self.settle(batch);
                match self.tell_assigned(partitions) {
                    Ok(event) => events.extend(event),
                    Err(error) => self.error = Some(error),
                }
                events
            }
            Step::Revoked(partitions) => {
                let lost = self.events.assignment_lost();
                let mut events = self.settle(batch);
                self.rebalance = Rebalance::Revoked(partitions.clone());
                events.push(Event::Revoked { partitions, lost });
                events
            }
            Step::Failed(error) => {
                self.error = Some(error);
                self.settle(batch)
            }
        };
        if events.is_empty() {
            match self.error.take() {
                Some(error) => return Err(error),
                None => events.push(Event::Idle),
            }
        }
        Ok(events)
    }

    /// Fills the batch with what there is, waiting for the first thing only.
    fn gather(&self, batch: &mut Batch, wait: Duration) -> Step {
        let started = Instant::now();
        loop {
            let left = if batch.is_empty() {
                wait.saturating_sub(started.elapsed())
            } else {
                Duration::ZERO
            };
            let step = self.events.next(left, |happened| read(happened, batch));
            match step {
                Some(Step::Next) if !batch.is_full() => {}
                Some(step) => return step,
                // librdkafka counts in milliseconds; a rest of less is not worth another turn.
                None if batch.is_empty() && left > Duration::from_millis(1) => {}
                None => return Step::Next,
            }
        }
    }

    /// The batch as events, with positions noted.
    fn settle(&mut self, batch: Batch) -> Vec<Event> {
        let events = batch.into_events();
        for event in &events {
            let (at, offset) = match event {
                Event::Records(records) => (&records.at, records.next_offset()),
                Event::CaughtUp { at, offset } => (at, *offset),
                _ => continue,
            };
            if let Some(position) = self.positions.get_mut(at) {
                *position = Some(offset);
            }
        }
        events
    }

    /// Asks what was committed for partitions that the group gave us. `None`: the broker did not say in time; the
    /// next poll asks again.
    fn tell_assigned(
        &mut self,
        partitions: Vec<TopicPartition>,
    ) -> Result<Option<Event>, LogError> {
        let committed = self.committed(&partitions);
        match committed {
            Ok(assignments) => {
                self.rebalance = Rebalance::Assigned(partitions);
                Ok(Some(Event::Assigned(assignments)))
            }
            Err(error) => {
                self.rebalance = Rebalance::Untold(partitions);
                if error.kind() != Kind::Retriable {
                    return Err(error);
                }
                tracing::warn!("{error}; asking again");
                Ok(None)
            }
        }
    }

    /// What the group committed for these partitions. Waits while another worker's transaction holds an offset open.
    fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Assignment>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let what = "find out what the group has committed";
        let list = partitions::named(partitions)?;
        let list = self
            .events
            .committed_offsets(list, self.wait)
            .map_err(|error| failure::of(what, &error))?;
        let mut assignments = Vec::with_capacity(partitions.len());
        for at in partitions {
            let found = list.find_partition(&at.topic, at.partition);
            let mut committed = None;
            if let Some(found) = found {
                found.error().map_err(|error| failure::of(what, &error))?;
                if let Offset::Offset(offset) = found.offset() {
                    committed = Some(Committed {
                        offset,
                        metadata: found.metadata().to_owned(),
                    });
                }
            }
            assignments.push(Assignment {
                at: at.clone(),
                committed,
            });
        }
        Ok(assignments)
    }

    /// See [`Log::begin_at`](crate::Log::begin_at).
    pub(super) fn begin_at(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        let Rebalance::Assigned(assigned) = &self.rebalance else {
            return Err(LogError::fatal(
                "no partitions were assigned that could be begun",
            ));
        };
        let answered = |at| starts.iter().any(|(start, _)| start == at);
        if starts.len() != assigned.len() || !assigned.iter().all(answered) {
            return Err(LogError::fatal(
                "the partitions to begin are not the ones that were assigned",
            ));
        }
        let list = partitions::starting(starts)?;
        self.events
            .incremental_assign(&list)
            .map_err(|error| LogError::fenced(format!("cannot take over partitions: {error}")))?;
        for (at, start) in starts {
            self.positions.insert(at.clone(), partitions::known(*start));
        }
        self.rebalance = Rebalance::None;
        Ok(())
    }

    /// See [`Log::release`](crate::Log::release).
    pub(super) fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        match &self.rebalance {
            Rebalance::Revoked(revoked)
                if revoked.len() == partitions.len()
                    && revoked.iter().all(|at| partitions.contains(at)) => {}
            _ => {
                return Err(LogError::fatal(
                    "the partitions to release are not the ones that were revoked",
                ));
            }
        }
        let list = partitions::named(partitions)?;
        self.events
            .incremental_unassign(&list)
            .map_err(|error| LogError::fenced(format!("cannot give back partitions: {error}")))?;
        for at in partitions {
            self.positions.remove(at);
        }
        self.rebalance = Rebalance::None;
        Ok(())
    }

    /// See [`Log::topology`](crate::Log::topology).
    pub(super) fn topology(&self) -> Result<Topology, LogError> {
        topology::resolve(
            &self.events,
            &self.sources,
            self.exchange.as_deref(),
            self.wait,
        )
    }

    /// See [`Log::rewind`](crate::Log::rewind).
    pub(super) fn rewind(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.check_assigned(starts.iter().map(|(at, _)| at))?;
        if starts.is_empty() {
            return Ok(());
        }
        let what = "go back to what is committed";
        let list = partitions::starting(starts)?;
        let list = self
            .events
            .seek_partitions(list, self.wait)
            .map_err(|error| LogError::fenced(format!("cannot {what}: {error}")))?;
        for found in list.elements() {
            found.error().map_err(|error| {
                LogError::fenced(format!(
                    "cannot {what} in {}/{}: {error}",
                    found.topic(),
                    found.partition()
                ))
            })?;
        }
        for (at, start) in starts {
            self.positions.insert(at.clone(), partitions::known(*start));
        }
        Ok(())
    }

    /// See [`Log::pause`](crate::Log::pause).
    pub(super) fn pause(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let list = self.assigned(partitions)?;
        self.events
            .pause(&list)
            .map_err(|error| LogError::fenced(format!("cannot pause partitions: {error}")))
    }

    /// See [`Log::resume`](crate::Log::resume).
    pub(super) fn resume(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let list = self.assigned(partitions)?;
        self.events
            .resume(&list)
            .map_err(|error| LogError::fenced(format!("cannot resume partitions: {error}")))
    }

    fn assigned(&self, partitions: &[TopicPartition]) -> Result<TopicPartitionList, LogError> {
        self.check_assigned(partitions.iter())?;
        partitions::named(partitions)
    }

    /// Whether a partition is assigned to this worker and has begun.
    pub(super) fn has(&self, at: &TopicPartition) -> bool {
        self.positions.contains_key(at)
    }

    fn check_assigned<'a>(
        &self,
        mut partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> Result<(), LogError> {
        match partitions.find(|at| !self.positions.contains_key(at)) {
            None => Ok(()),
            Some(at) => Err(LogError::fatal(format!(
                "partition {at} is not assigned to this worker"
            ))),
        }
    }

    /// See [`Log::lag`](crate::Log::lag).
    pub(super) fn lag(&self) -> Vec<(TopicPartition, i64)> {
        self.positions
            .iter()
            .filter_map(|(at, position)| {
                let (low, high) = self.events.cached_watermarks(at)?;
                let behind = high.saturating_sub(position.unwrap_or(low).max(low));
                Some((at.clone(), behind.max(0)))
            })
            .collect()
    }

    /// Commits offsets without a transaction.
    pub(super) fn commit(&self, offsets: &TopicPartitionList) -> Result<(), LogError> {
        self.member()?;
        self.events
            .commit_within(offsets, self.wait)
            .map_err(|error| failure::of("commit offsets", &error))
    }

    /// The offsets of a commit as librdkafka takes them.
    pub(super) fn offsets(
        &self,
        offsets: &[(TopicPartition, i64, String)],
    ) -> Result<TopicPartitionList, LogError> {
        self.check_assigned(offsets.iter().map(|(at, ..)| at))?;
        partitions::with_metadata(offsets)
    }

    /// Our membership as it is now, for the broker to check a transaction's offsets against.
    pub(super) fn membership(&self) -> Result<ConsumerGroupMetadata, LogError> {
        // The group moves on by itself: only a generation that is the same before and after is the one we got.
        let before = self.member()?;
        let metadata = self.events.group_metadata();
        match metadata {
            Some(metadata) if self.events.generation() == Some(before) => Ok(metadata),
            _ => Err(failure::not_a_member()),
        }
    }

    /// The generation that we are a member of. A commit without one would not be checked by the broker: it has to
    /// wait until the group has taken us in again.
    fn member(&self) -> Result<i32, LogError> {
        if self.events.assignment_lost() {
            return Err(failure::not_a_member());
        }
        self.events.generation().ok_or_else(failure::not_a_member)
    }
}

/// Adds an event to a batch, or tells why the batch has to end.
fn read(happened: Happened<'_>, batch: &mut Batch) -> Step {
    match happened {
        Happened::Fetched(record) => batch.record(&record),
        Happened::End { at, offset } => batch.caught_up(at, offset),
        Happened::Assigned(partitions) => return Step::Assigned(partitions),
        Happened::Revoked(partitions) => return Step::Revoked(partitions),
        Happened::Error {
            code,
            fatal,
            reason,
        } => return error(code, fatal, reason),
        Happened::Other => {}
    }
    Step::Next
}

/// Most of a consumer's errors are news: librdkafka tries again by itself.
fn error(code: Code, fatal: bool, reason: &str) -> Step {
    let kind = failure::kind(code);
    if kind == Kind::Fatal {
        return Step::Failed(failure::plain(kind, "read", code, reason));
    }
    if fatal {
        return Step::Failed(failure::plain(Kind::Fenced, "read", code, reason));
    }
    match code {
        // Told already, as "offset reset", or of no use to anyone.
        Code::AllBrokersDown | Code::NoError => {}
        _ => tracing::warn!("kafka: {reason}"),
    }
    Step::Next
}

impl Drop for Consumer {
    /// rust-rdkafka's consumer waits in its drop until the group is left, which librdkafka delays while a change of the
    /// assignment waits for its answer. That event was taken from the queue, so nobody else will answer it.
    fn drop(&mut self) {
        let answer = match &self.rebalance {
            Rebalance::None => return,
            Rebalance::Untold(given) | Rebalance::Assigned(given) => {
                partitions::named(given).map(|list| self.events.incremental_assign(&list))
            }
            Rebalance::Revoked(taken) => {
                partitions::named(taken).map(|list| self.events.incremental_unassign(&list))
            }
        };
        match answer {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!("kafka: leaving in the middle of a rebalance: {error}")
            }
            Err(error) => tracing::warn!("kafka: leaving in the middle of a rebalance: {error}"),
        }
    }
}
