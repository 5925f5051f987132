//! What a worker and its log say to each other.

use std::sync::Arc;
use std::time::Duration;

use crate::{LogError, Record, Records, TopicPartition};

/// Something that [`Log::poll`] found, in the order in which it happened.
#[derive(Debug)]
pub enum Event {
    /// Records of one assigned partition, never empty.
    Records(Records),
    /// Everything that could be read of a partition has been delivered, for now. On Kafka this is the end of what is
    /// committed (the last stable offset), told again each time that it is reached anew; for a file or an input in
    /// memory it is the end for good, told once.
    CaughtUp {
        /// The partition.
        at: TopicPartition,
        /// The offset at which reading stands. It counts what is never delivered (transaction markers, aborted
        /// records), so it can be above the last record's offset + 1.
        offset: i64,
    },
    /// Partitions were given to this worker. Nothing of them is delivered until [`Log::begin_at`] says where to begin.
    Assigned(Vec<Assignment>),
    /// Partitions are to be taken from this worker, and nothing more of them is delivered. The worker commits what it
    /// has done (or, when `lost`, aborts: another worker has them already) and then calls [`Log::release`].
    Revoked {
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// They are gone already: a commit would fail or, worse, overwrite another worker's.
        lost: bool,
    },
    /// Nothing happened while waiting.
    Idle,
}

/// A partition given to this worker, and what was last committed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub at: TopicPartition,
    /// The group's committed offset, if there is one.
    pub committed: Option<Committed>,
}

/// What the last commit of a partition said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// The text that was committed with it.
    pub metadata: String,
}

/// Where to begin reading a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this offset. On Kafka, if it is no longer there (retention), at the earliest one, with a warning.
    At(i64),
    /// At the first record that there is.
    Earliest,
    /// After the last record that there is.
    Latest,
}

/// The topics that the group reads and how many partitions each has: source topics only, not the exchange, patterns
/// resolved, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Topic and partition count. A named topic that does not exist is left out.
    pub topics: Vec<(Arc<str>, i32)>,
}

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The topic it goes to.
    pub topic: &'a str,
    /// The partition it goes to; `None`: by hash of the key, any if there is no key.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its bytes.
    pub payload: Option<&'a [u8]>,
    /// Its headers, in this order.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// One worker's view of the log: its share of the group's partitions, and a transaction.
///
/// A handle belongs to one thread. No call waits longer than it says or than the log's configured bound. After an
/// error, [`LogError::kind`] tells what to do.
///
/// The transaction opens with the first [`Log::send`] after a commit or an abort. It holds everything sent and, at
/// [`Log::commit`], the offsets; readers that read committed see all of it or nothing.
pub trait Log: Send {
    /// Waits up to `wait` for something to happen, then gathers what there is: returns when a batch is full (rows or
    /// bytes), when nothing more is at hand, or when the assignment changes (always the last event). Records of one
    /// partition come in one [`Event::Records`] per batch. Must be called regularly, also with nothing assigned: it is
    /// what keeps the worker in its group.
    fn poll(&mut self, wait: Duration) -> Result<Vec<Event>, LogError>;

    /// Answers [`Event::Assigned`]: begin reading these partitions here. All of the event's partitions must be given
    /// (in one call); an empty assignment is answered with an empty slice.
    fn begin_at(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError>;

    /// Answers [`Event::Revoked`], with the partitions it named: the group may give them to others.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// The source topics of the group as they are now. Asks the broker.
    fn topology(&mut self) -> Result<Topology, LogError>;

    /// Sends a message as part of the open transaction, opening one if there is none. It is only taken into a queue;
    /// when that is full, this waits for room. What becomes of it, [`Log::commit`] tells.
    fn send(&mut self, message: &Message<'_>) -> Result<(), LogError>;

    /// Makes everything sent since the last commit, and these offsets, last and visible: all or nothing. An offset is
    /// the next one to read, with a text that [`Event::Assigned`] will give back. With nothing sent and no offsets it
    /// does nothing.
    fn commit(&mut self, offsets: &[(TopicPartition, i64, String)]) -> Result<(), LogError>;

    /// Drops everything sent since the last commit. Does nothing if nothing was.
    fn abort(&mut self) -> Result<(), LogError>;

    /// Moves assigned partitions to where they are to be read again (after an abort: the last committed offsets).
    /// Nothing that was delivered before counts any more.
    fn rewind(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError>;

    /// Stops delivering records of these assigned partitions until [`Log::resume`].
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Delivers records of these assigned partitions again, from where they were paused.
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// How many offsets each assigned partition has beyond what was delivered, as last heard from the broker; asks
    /// nobody. Partitions of which nothing is known yet are left out.
    fn lag(&mut self) -> Vec<(TopicPartition, i64)>;

    /// The first offset that a partition still has, and the one that its next record will get; records of open transactions
    /// count. Of any partition, also one that is not assigned. Asks the broker.
    fn bounds(&mut self, at: &TopicPartition) -> Result<(i64, i64), LogError>;

    /// Reads a partition that the group does not read, from offset `from` (or the first that there is) up to the end that it has
    /// now, and gives `take` each committed record. Waits for transactions that are open below that end, but fails when it
    /// makes no progress.
    fn read_back(
        &mut self,
        at: &TopicPartition,
        from: i64,
        take: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), LogError>;

    /// Aborts what is not committed and leaves the group.
    fn close(self: Box<Self>) -> Result<(), LogError>;
}
