//! What the workers, the file readers and the other ends of the embedded log share, behind one lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::snapshots::Compacted;
use super::{EmbeddedConfig, Output};
use crate::{Committed, LogError, Records, TopicPartition};

/// Commits whose outputs nobody has taken yet, before a further commit waits.
const OUTPUT_COMMITS: usize = 16;

/// The embedded log itself. Everything that changes is in [`State`]; the condition variables tell of its changes.
pub(super) struct Shared {
    pub(super) config: EmbeddedConfig,
    state: Mutex<State>,
    /// By worker: something arrived for it.
    arrived: Vec<Condvar>,
    /// Something was taken: there is room in an inbox, a memory topic or the outputs.
    room: Condvar,
    /// Outputs were committed, or there will be no more.
    committed: Condvar,
    pub(super) bytes_read: AtomicU64,
    pub(super) files_done: AtomicUsize,
    /// Nanoseconds that readers spent reading and decompressing.
    pub(super) reading_ns: AtomicU64,
}

/// See [`Shared`].
pub(super) struct State {
    /// The reading has begun: nothing can be added any more.
    pub(super) started: bool,
    /// Files added, in order.
    pub(super) files: Vec<FileEntry>,
    /// Files that no reader has taken yet.
    pub(super) waiting: VecDeque<FileEntry>,
    /// Source topics and their partition counts.
    pub(super) topics: BTreeMap<Arc<str>, i32>,
    /// Partitions in memory: those of the exchange and of memory topics.
    pub(super) partitions: BTreeMap<TopicPartition, Partition>,
    pub(super) committed: BTreeMap<TopicPartition, Committed>,
    /// By partition of the compacted topic.
    pub(super) snapshots: BTreeMap<i32, Compacted>,
    /// By worker: what the file readers have for it.
    pub(super) inboxes: Vec<Inbox>,
    /// Files that could not be read to their end, and why.
    pub(super) failures: Vec<LogError>,
    outputs: VecDeque<Vec<Output>>,
    pub(super) listener: Listener,
}

/// A file to be read.
#[derive(Clone)]
pub(super) struct FileEntry {
    pub(super) topic: Arc<str>,
    pub(super) path: PathBuf,
    /// Its place in the order of files; its first block goes to the lane of this number.
    pub(super) number: usize,
    /// `None` when that cannot be known beforehand (standard input, a pipe).
    pub(super) bytes: Option<u64>,
}

/// Blocks of file lines for one worker.
pub(super) struct Inbox {
    pub(super) queue: VecDeque<Delivery>,
    bytes: usize,
    pub(super) handle: Handle,
}

/// Whether a worker's handle is in use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Handle {
    /// It was not taken yet; blocks for it are kept.
    Awaited,
    Open,
    /// It was given back; blocks for it are dropped.
    Closed,
}

/// What a file reader has for a lane.
pub(super) enum Delivery {
    Block(Records),
    /// The file is over, at this line.
    End(TopicPartition, i64),
}

impl Delivery {
    pub(super) fn at(&self) -> &TopicPartition {
        match self {
            Self::Block(records) => &records.at,
            Self::End(at, _) => at,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Block(records) => records.bytes(),
            Self::End(..) => 0,
        }
    }
}

/// One partition in memory.
#[derive(Default)]
pub(super) struct Partition {
    /// The offset of the first record that is still there.
    first: i64,
    records: VecDeque<Stored>,
    /// Nothing more will come. The exchange is never finished.
    pub(super) finished: bool,
    pub(super) exchange: bool,
    /// Its reader has begun and is not paused.
    pub(super) reading: bool,
    /// The next offset that its reader will get.
    cursor: i64,
    /// Bytes from `cursor` on.
    unread: usize,
}

/// A record in memory.
pub(super) struct Stored {
    pub(super) timestamp_ns: Option<i64>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
}

impl Stored {
    pub(super) fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.payload.as_ref().map_or(0, Vec::len)
    }
}

impl Partition {
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// The offset that the next record will get.
    pub(super) fn end(&self) -> i64 {
        self.first
            .saturating_add(i64::try_from(self.records.len()).unwrap_or(i64::MAX))
    }

    pub(super) fn push(&mut self, record: Stored) {
        self.unread += record.bytes();
        self.records.push_back(record);
    }

    /// The next offset that its reader will get.
    pub(super) fn cursor(&self) -> i64 {
        self.cursor
    }

    /// How many records are to be skipped to come to the cursor.
    fn behind(&self) -> usize {
        usize::try_from(self.cursor.saturating_sub(self.first)).unwrap_or(0)
    }

    /// Puts its reader at `offset`, or as near as there are records.
    pub(super) fn seek(&mut self, offset: i64) {
        self.cursor = offset.clamp(self.first, self.end());
        let ahead = self.records.iter().skip(self.behind());
        self.unread = ahead.map(Stored::bytes).sum();
    }

    /// The record at the cursor, if it is there.
    pub(super) fn peek(&self) -> Option<&Stored> {
        self.records.get(self.behind())
    }

    /// Its reader got the record at the cursor, of this many bytes.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.unread = self.unread.saturating_sub(bytes);
        self.cursor = self.cursor.saturating_add(1);
    }

    /// Forgets the records before `offset`, as far as its reader got them.
    pub(super) fn forget_before(&mut self, offset: i64) {
        while self.first < offset.min(self.cursor) && self.records.pop_front().is_some() {
            self.first += 1;
        }
    }
}

/// Who takes the outputs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listener {
    /// Nobody asked for them: they are dropped.
    Nobody,
    Listening,
    /// Whoever asked for them has gone.
    Gone,
}

impl Shared {
    pub(super) fn new(config: EmbeddedConfig) -> Self {
        let workers = config.workers;
        let exchange: Arc<str> = config.exchange.as_str().into();
        let partitions = (0..config.exchange_partitions)
            .map(|number| {
                let partition = Partition {
                    exchange: true,
                    ..Partition::default()
                };
                (
                    TopicPartition::new(Arc::clone(&exchange), number),
                    partition,
                )
            })
            .collect();
        Self {
            config,
            state: Mutex::new(State {
                started: false,
                files: Vec::new(),
                waiting: VecDeque::new(),
                topics: BTreeMap::new(),
                partitions,
                committed: BTreeMap::new(),
                snapshots: BTreeMap::new(),
                inboxes: (0..workers)
                    .map(|_| Inbox {
                        queue: VecDeque::new(),
                        bytes: 0,
                        handle: Handle::Awaited,
                    })
                    .collect(),
                failures: Vec::new(),
                outputs: VecDeque::new(),
                listener: Listener::Nobody,
            }),
            arrived: (0..workers).map(|_| Condvar::new()).collect(),
            room: Condvar::new(),
            committed: Condvar::new(),
            bytes_read: AtomicU64::new(0),
            files_done: AtomicUsize::new(0),
            reading_ns: AtomicU64::new(0),
        }
    }

    /// Every change leaves the state whole, so that a panic elsewhere does not spoil it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker that reads partition `partition` of any topic: file lanes, exchange and memory alike.
    pub(super) fn owner(&self, partition: i32) -> usize {
        usize::try_from(partition).unwrap_or(0) % self.config.workers.max(1)
    }

    /// Waits until something arrives for worker `number`; `None` when it is past `deadline`.
    pub(super) fn wait<'a>(
        &self,
        number: usize,
        state: MutexGuard<'a, State>,
        deadline: Instant,
    ) -> Option<MutexGuard<'a, State>> {
        let left = deadline.checked_duration_since(Instant::now())?;
        let arrived = self.arrived.get(number)?;
        let woken = arrived.wait_timeout(state, left);
        Some(woken.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Tells the worker that reads `partition` that something arrived.
    pub(super) fn wake(&self, partition: i32) {
        if let Some(arrived) = self.arrived.get(self.owner(partition)) {
            arrived.notify_one();
        }
    }

    /// Tells everyone who waits for room that something was taken; with `uncrowded`, the workers too.
    pub(super) fn made_room(&self, uncrowded: bool) {
        self.room.notify_all();
        if uncrowded {
            self.arrived.iter().for_each(Condvar::notify_one);
        }
    }

    /// Waits until something was taken.
    pub(super) fn wait_for_room<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.room
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a reader's block to the worker of its lane, waiting for room. `false`: no worker is left to read it.
    pub(super) fn deliver(&self, delivery: Delivery) -> bool {
        let lane = delivery.at().partition;
        let limit = self.config.batch_bytes.saturating_mul(2);
        let mut state = self.lock();
        loop {
            if !state.any_open() {
                return false;
            }
            let Some(inbox) = state.inboxes.get_mut(self.owner(lane)) else {
                return false;
            };
            if inbox.handle == Handle::Closed {
                return true;
            }
            if inbox.bytes < limit {
                inbox.bytes += delivery.bytes();
                inbox.queue.push_back(delivery);
                self.wake(lane);
                return true;
            }
            state = self.wait_for_room(state);
        }
    }

    /// Makes room for a commit's outputs and adds them.
    ///
    /// # Errors
    /// When whoever listened has gone.
    pub(super) fn publish_outputs<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        outputs: Vec<Output>,
    ) -> Result<MutexGuard<'a, State>, LogError> {
        while !outputs.is_empty() {
            match state.listener {
                Listener::Nobody => break,
                Listener::Gone => {
                    return Err(LogError::fatal(
                        "nobody takes the outputs any more: their reader has gone",
                    ));
                }
                Listener::Listening if state.outputs.len() < OUTPUT_COMMITS => {
                    state.outputs.push_back(outputs);
                    self.committed.notify_one();
                    break;
                }
                Listener::Listening => state = self.wait_for_room(state),
            }
        }
        Ok(state)
    }

    /// The outputs of the next commit; waits for them. `None` when every worker has finished.
    pub(super) fn next_outputs(&self) -> Option<Vec<Output>> {
        let mut state = self.lock();
        loop {
            if let Some(outputs) = state.outputs.pop_front() {
                self.room.notify_all();
                return Some(outputs);
            }
            if !state.any_open() {
                return None;
            }
            state = self
                .committed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes that worker `number` has given its handle back, or that the listener has gone.
    pub(super) fn close(&self, number: Option<usize>) {
        let mut state = self.lock();
        match number {
            None => {
                state.listener = Listener::Gone;
                state.outputs.clear();
            }
            Some(number) => state.close(number, |partition| self.owner(partition) == number),
        }
        drop(state);
        self.room.notify_all();
        self.committed.notify_all();
    }
}

impl State {
    /// Whether a worker reads, or may still come to.
    pub(super) fn any_open(&self) -> bool {
        self.inboxes
            .iter()
            .any(|inbox| inbox.handle != Handle::Closed)
    }

    fn close(&mut self, number: usize, owns: impl Fn(i32) -> bool) {
        if let Some(inbox) = self.inboxes.get_mut(number) {
            inbox.handle = Handle::Closed;
            inbox.queue.clear();
            inbox.bytes = 0;
        }
        for (at, partition) in &mut self.partitions {
            if owns(at.partition) {
                partition.reading = false;
            }
        }
    }

    /// Bytes in the exchange that its readers have not got yet; those that are not being read do not count.
    pub(super) fn exchange_unread(&self) -> usize {
        self.partitions
            .values()
            .filter(|partition| partition.exchange && partition.reading)
            .map(|partition| partition.unread)
            .sum()
    }

    /// Bytes in a partition in memory that its reader has not got yet.
    pub(super) fn unread(&self, at: &TopicPartition) -> usize {
        self.partitions
            .get(at)
            .map_or(0, |partition| partition.unread)
    }

    /// Takes the next thing for worker `number` that is not of a paused lane.
    pub(super) fn take(
        &mut self,
        number: usize,
        paused: &BTreeSet<TopicPartition>,
    ) -> Option<Delivery> {
        let inbox = self.inboxes.get_mut(number)?;
        let place = inbox
            .queue
            .iter()
            .position(|delivery| !paused.contains(delivery.at()))?;
        let delivery = inbox.queue.remove(place)?;
        inbox.bytes = inbox.bytes.saturating_sub(delivery.bytes());
        Some(delivery)
    }
}

/// Counts bytes that a reader has used since it last counted.
pub(super) fn count(total: &AtomicU64, counted: &mut u64, used: u64) {
    total.fetch_add(used.saturating_sub(*counted), Ordering::Relaxed);
    *counted = used;
}
