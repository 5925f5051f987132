//! One worker's view of the embedded log.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::snapshots::Compacted;
use super::state::{Delivery, Handle, Partition, Shared, State, Stored};
use super::{Output, reader};
use crate::{
    Assignment, Committed, Event, Log, LogError, Message, Record, Records, Start, TopicPartition,
    Topology,
};

/// Bytes of the exchange that wait for their readers before no worker gets new input: what is there is merged first.
const EXCHANGE_UNREAD: usize = 32 << 20;

/// A poll that is to wait longer returns after this long.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A worker's handle of an [`EmbeddedLog`](super::EmbeddedLog).
///
/// Partitions are dealt out once: partition `p` of every topic, and lane `p` of every file, belongs to worker
/// `p % workers`. A file lane is read once, from its start: it can be neither rewound nor begun elsewhere.
pub struct EmbeddedWorker {
    shared: Arc<Shared>,
    number: usize,
    /// The assigned partitions in memory, each with whether its end was told since it was last reached.
    told: BTreeMap<TopicPartition, bool>,
    /// The assigned file lanes, with the next line of each.
    lanes: BTreeMap<TopicPartition, i64>,
    paused: BTreeSet<TopicPartition>,
    stage: Stage,
    sent: Vec<(TopicPartition, Stored)>,
    outputs: Vec<Output>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The assignment is still to be told.
    New,
    /// The assignment was told and is to be answered.
    Assigned,
    Reading,
}

/// What one poll may still gather.
struct Budget {
    rows: usize,
    bytes: usize,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    fn spend(&mut self, rows: usize, bytes: usize) {
        self.rows = self.rows.saturating_sub(rows);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl EmbeddedWorker {
    pub(super) fn open(shared: Arc<Shared>, number: usize) -> Result<Self, LogError> {
        let workers = shared.config.workers;
        let mut state = shared.lock();
        let again = state.started;
        let files = !state.files.is_empty();
        let inbox = state.inboxes.get_mut(number).ok_or_else(|| {
            LogError::fatal(format!(
                "there is no worker {number}: workers are 0 to {}",
                workers.saturating_sub(1)
            ))
        })?;
        match inbox.handle {
            Handle::Open => {
                return Err(LogError::fatal(format!("worker {number} is open already")));
            }
            Handle::Closed if files && again => {
                return Err(LogError::fatal(format!(
                    "worker {number} has read its part of the files, which are read only once"
                )));
            }
            Handle::Awaited | Handle::Closed => inbox.handle = Handle::Open,
        }
        drop(state);
        Ok(Self {
            shared,
            number,
            told: BTreeMap::new(),
            lanes: BTreeMap::new(),
            paused: BTreeSet::new(),
            stage: Stage::New,
            sent: Vec::new(),
            outputs: Vec::new(),
        })
    }

    /// Tells the assignment; the first worker to ask starts the file readers.
    fn assign(&mut self) -> Result<Event, LogError> {
        let mut state = self.shared.lock();
        let starting = !std::mem::replace(&mut state.started, true);
        let workers = i32::try_from(self.shared.config.workers).unwrap_or(i32::MAX);
        let number = i32::try_from(self.number).unwrap_or(i32::MAX);
        let memory = state
            .partitions
            .keys()
            .filter(|at| at.partition % workers == number);
        let lanes = state
            .files
            .iter()
            .map(|file| TopicPartition::new(Arc::clone(&file.topic), number));
        self.told = memory.map(|at| (at.clone(), false)).collect();
        self.lanes = lanes.map(|at| (at, 0)).collect();
        let assigned = self.told.keys().chain(self.lanes.keys());
        let assignment = assigned
            .map(|at| Assignment {
                at: at.clone(),
                committed: state.committed.get(at).cloned(),
            })
            .collect();
        let files = state.files.len();
        drop(state);
        if starting {
            reader::start(&self.shared, files)?;
        }
        self.stage = Stage::Assigned;
        Ok(Event::Assigned(assignment))
    }

    /// Everything at hand, up to a batch: the exchange and memory topics first, then the files.
    fn gather(&mut self, state: &mut State) -> Vec<Event> {
        let mut budget = Budget {
            rows: self.shared.config.batch_rows,
            bytes: self.shared.config.batch_bytes,
        };
        let mut events = Vec::new();
        // A worker whose own exchange partitions are read up still waits for the others'.
        let crowded = state.exchange_unread() > EXCHANGE_UNREAD;
        for (at, told) in &mut self.told {
            let Some(partition) = state.partitions.get_mut(at) else {
                continue;
            };
            if crowded && !partition.exchange {
                continue;
            }
            if let Some(records) = collect(at, partition, &mut budget) {
                *told = false;
                events.push(Event::Records(records));
            }
            let over = partition.exchange || partition.finished;
            if partition.reading && over && !*told && partition.cursor() >= partition.end() {
                *told = true;
                events.push(Event::CaughtUp {
                    at: at.clone(),
                    offset: partition.cursor(),
                });
            }
        }
        while !crowded && !budget.is_spent() {
            let Some(delivery) = state.take(self.number, &self.paused) else {
                break;
            };
            events.push(self.deliver(delivery, &mut budget));
        }
        if !events.is_empty() {
            let uncrowded = crowded && state.exchange_unread() <= EXCHANGE_UNREAD;
            self.shared.made_room(uncrowded);
        }
        events
    }

    fn deliver(&mut self, delivery: Delivery, budget: &mut Budget) -> Event {
        match delivery {
            Delivery::Block(records) => {
                budget.spend(records.len(), records.bytes());
                if let Some(line) = self.lanes.get_mut(&records.at) {
                    *line = records.next_offset();
                }
                Event::Records(records)
            }
            Delivery::End(at, offset) => Event::CaughtUp { at, offset },
        }
    }

    /// Moves the readers of partitions in memory; of file lanes it allows only what changes nothing.
    fn seek(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        let mut state = self.shared.lock();
        for (at, start) in starts {
            if let Some(line) = self.lanes.get(at) {
                let stays = match start {
                    Start::Earliest => *line == 0,
                    Start::At(offset) => offset == line,
                    Start::Latest => false,
                };
                if !stays {
                    return Err(LogError::fatal(format!(
                        "file `{}` is read once, from its start: it cannot be moved to another line",
                        at.topic
                    )));
                }
                continue;
            }
            let told = self.told.get_mut(at).ok_or_else(|| unassigned(at))?;
            let partition = state.partitions.get_mut(at).ok_or_else(|| unassigned(at))?;
            partition.seek(match start {
                Start::Earliest => partition.first(),
                Start::Latest => partition.end(),
                Start::At(offset) => *offset,
            });
            partition.reading = !self.paused.contains(at);
            *told = false;
        }
        Ok(())
    }
}

fn unassigned(at: &TopicPartition) -> LogError {
    LogError::fatal(format!("partition {at} is not assigned to this worker"))
}

/// Takes the records that the partition's reader has not got yet, up to the budget.
fn collect(at: &TopicPartition, partition: &mut Partition, budget: &mut Budget) -> Option<Records> {
    let mut records = Records::new(at.clone(), at.partition);
    while partition.reading
        && !budget.is_spent()
        && let Some(stored) = partition.peek()
    {
        let bytes = stored.bytes();
        records.push(Record {
            offset: partition.cursor(),
            timestamp_ns: stored.timestamp_ns,
            key: stored.key.as_deref(),
            payload: stored.payload.as_deref(),
        });
        partition.advance(bytes);
        budget.spend(1, bytes);
    }
    (!records.is_empty()).then_some(records)
}

impl Log for EmbeddedWorker {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Event>, LogError> {
        if self.stage == Stage::New {
            return Ok(vec![self.assign()?]);
        }
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            if self.stage == Stage::Reading {
                let events = self.gather(&mut state);
                if !events.is_empty() {
                    return Ok(events);
                }
            }
            match shared.wait(self.number, state, deadline) {
                Some(woken) => state = woken,
                None => return Ok(vec![Event::Idle]),
            }
        }
    }

    fn begin_at(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.seek(starts)?;
        self.stage = Stage::Reading;
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        match partitions.first() {
            None => Ok(()),
            Some(at) => Err(LogError::fatal(format!(
                "partition {at} was not revoked: an embedded log never takes partitions back"
            ))),
        }
    }

    fn topology(&mut self) -> Result<Topology, LogError> {
        let state = self.shared.lock();
        let topics = state.topics.iter();
        Ok(Topology {
            topics: topics
                .map(|(topic, partitions)| (Arc::clone(topic), *partitions))
                .collect(),
        })
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), LogError> {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let Some(at) = self.destination(message)? else {
            self.outputs.push(Output {
                topic: message.topic.into(),
                key: owned(message.key),
                payload: owned(message.payload),
                headers: message
                    .headers
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                    .collect(),
            });
            return Ok(());
        };
        let stored = Stored {
            timestamp_ns: None,
            key: owned(message.key),
            payload: owned(message.payload),
        };
        self.sent.push((at, stored));
        Ok(())
    }

    fn commit(&mut self, offsets: &[(TopicPartition, i64, String)]) -> Result<(), LogError> {
        let owned = |at| self.told.contains_key(at) || self.lanes.contains_key(at);
        if let Some((at, ..)) = offsets.iter().find(|(at, ..)| !owned(at)) {
            return Err(unassigned(at));
        }
        let outputs = std::mem::take(&mut self.outputs);
        let state = self.shared.lock();
        let mut state = self.shared.publish_outputs(state, outputs)?;
        for (at, stored) in self.sent.drain(..) {
            self.shared.wake(at.partition);
            if let Some(partition) = state.partitions.get_mut(&at) {
                partition.push(stored);
            } else {
                let snapshots = state.snapshots.entry(at.partition).or_default();
                snapshots.push(stored);
            }
        }
        for (at, offset, metadata) in offsets {
            let committed = Committed {
                offset: *offset,
                metadata: metadata.clone(),
            };
            state.committed.insert(at.clone(), committed);
            if let Some(partition) = state.partitions.get_mut(at)
                && !self.shared.config.retain
            {
                partition.forget_before(*offset);
            }
        }
        Ok(())
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.sent.clear();
        self.outputs.clear();
        Ok(())
    }

    fn rewind(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.seek(starts)
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let mut state = self.shared.lock();
        for at in partitions {
            if let Some(partition) = state.partitions.get_mut(at) {
                partition.reading = false;
            }
            self.paused.insert(at.clone());
        }
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let mut state = self.shared.lock();
        for at in partitions {
            if let Some(partition) = state.partitions.get_mut(at) {
                partition.reading = true;
            }
            self.paused.remove(at);
        }
        Ok(())
    }

    fn lag(&mut self) -> Vec<(TopicPartition, i64)> {
        let state = self.shared.lock();
        self.told
            .keys()
            .filter_map(|at| {
                let partition = state.partitions.get(at)?;
                Some((
                    at.clone(),
                    partition.end().saturating_sub(partition.cursor()),
                ))
            })
            .collect()
    }

    fn bounds(&mut self, at: &TopicPartition) -> Result<(i64, i64), LogError> {
        let state = self.shared.lock();
        if let Some(partition) = state.partitions.get(at) {
            return Ok((partition.first(), partition.end()));
        }
        let snapshots = state.snapshots.get(&at.partition);
        Ok(snapshots.map_or((0, 0), Compacted::bounds))
    }

    fn read_back(
        &mut self,
        at: &TopicPartition,
        from: i64,
        take: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), LogError> {
        if self.shared.config.snapshots.as_deref() != Some(&*at.topic) {
            return Err(LogError::fatal(format!(
                "topic `{}` cannot be read back: it is not kept",
                at.topic
            )));
        }
        let state = self.shared.lock();
        let snapshots = state.snapshots.get(&at.partition);
        snapshots
            .into_iter()
            .flat_map(|kept| kept.from(from))
            .for_each(take);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), LogError> {
        Ok(())
    }
}

impl EmbeddedWorker {
    /// The partition in memory that a message goes to; `None`: it is an output.
    fn destination(&self, message: &Message<'_>) -> Result<Option<TopicPartition>, LogError> {
        let config = &self.shared.config;
        let kept =
            message.topic == config.exchange || config.snapshots.as_deref() == Some(message.topic);
        let partitions = if kept {
            self.shared.config.exchange_partitions
        } else {
            return Ok(None);
        };
        let partition = message
            .partition
            .unwrap_or_else(|| hashed(message.key, partitions));
        if !(0..partitions).contains(&partition) {
            return Err(LogError::fatal(format!(
                "topic `{}` has no partition {partition}: it has {partitions}",
                message.topic
            )));
        }
        Ok(Some(TopicPartition::new(message.topic, partition)))
    }
}

/// The partition for a key: the same one for the same key.
fn hashed(key: Option<&[u8]>, partitions: i32) -> i32 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let partitions = u64::try_from(partitions).unwrap_or(1).max(1);
    i32::try_from(hasher.finish() % partitions).unwrap_or(0)
}

impl Drop for EmbeddedWorker {
    fn drop(&mut self) {
        self.shared.close(Some(self.number));
    }
}
