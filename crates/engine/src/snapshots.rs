//! Snapshots of one exchange partition: which one is in force, when the next is due, and reading it back.
//!
//! A snapshot travels in the transaction of the offset that it belongs to, and what is committed beside that offset names it. So
//! whoever takes the partition over reads just that one, and the exchange from its offset on. Two places take turns: a
//! snapshot that was begun and given up never replaces the one that is in force, also not where the topic was compacted
//! in between or where there are no transactions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use haechi_log::{Log, LogError, Message, TopicPartition};
use haechi_window::{Gathered, Gathering, Merger, SnapshotError, SnapshotName};

use crate::error::StageError;
use crate::settings;

/// However little has come, a snapshot is not older than so many intervals: what it stands on is thrown away some day.
const OLDEST_IN_INTERVALS: u32 = 60;

/// The snapshots of one exchange partition.
#[derive(Debug)]
pub(crate) struct Snapshots {
    /// The one that the committed offset names.
    current: Option<Kept>,
    /// The one that was written since the last commit.
    written: Option<Kept>,
    /// Bytes of exchange records applied since the current one was written.
    applied: usize,
    /// When the current one was written or read.
    since: Instant,
    /// The next one is due with the next commit.
    pressing: bool,
}

/// What is known of a snapshot.
#[derive(Debug)]
struct Kept {
    name: SnapshotName,
    /// Its size; 0 while that is not known.
    bytes: usize,
    /// The rules of which it says what they are.
    described: BTreeSet<[u8; 16]>,
}

impl Snapshots {
    /// With the snapshot that is in force, if there is one.
    pub(crate) fn new(current: Option<SnapshotName>, now: Instant) -> Self {
        Self {
            current: current.map(|name| Kept {
                name,
                bytes: 0,
                described: BTreeSet::new(),
            }),
            written: None,
            applied: 0,
            since: now,
            pressing: false,
        }
    }

    /// The one in force.
    pub(crate) fn name(&self) -> Option<SnapshotName> {
        self.current.as_ref().map(|kept| kept.name)
    }

    /// When the one in force was written or read.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Whether one was written that no committed offset names yet.
    pub(crate) fn is_unnamed(&self) -> bool {
        self.written.is_some()
    }

    /// The one to name beside the partition's offset.
    pub(crate) fn newest(&self) -> Option<SnapshotName> {
        self.written
            .as_ref()
            .or(self.current.as_ref())
            .map(|kept| kept.name)
    }

    /// An exchange record of this many bytes was applied.
    pub(crate) fn applied(&mut self, bytes: usize) {
        self.applied = self.applied.saturating_add(bytes);
    }

    /// The next one is to be written with the next commit, as when what is told in it must not be told again by who reads the current one.
    pub(crate) fn press(&mut self) {
        self.pressing = true;
    }

    /// Whether the next one is to be written with the next commit, whatever else is.
    pub(crate) fn is_pressing(&self) -> bool {
        self.pressing
    }

    /// Whether the one in force, should it be read under other rules, says what is needed to tell to its end what is open.
    pub(crate) fn describes(&self, mut open: impl Iterator<Item = [u8; 16]>) -> bool {
        let current = self.current.as_ref();
        open.all(|rule| current.is_some_and(|kept| kept.described.contains(&rule)))
    }

    /// Whether the one in force describes a rule that is not among these.
    pub(crate) fn describes_others(&self, rules: &BTreeSet<[u8; 16]>) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|kept| !kept.described.is_subset(rules))
    }

    /// The one in force has been read; it has this many bytes, and says of these rules what they are.
    pub(crate) fn restored(&mut self, bytes: usize, described: BTreeSet<[u8; 16]>, now: Instant) {
        if let Some(current) = &mut self.current {
            current.bytes = bytes;
            current.described = described;
        }
        self.applied = 0;
        self.since = now;
    }

    /// Whether a snapshot at this offset is worth its bytes: reading the exchange again would be longer than reading the snapshot.
    pub(crate) fn is_due(&self, offset: i64, every: Duration, now: Instant) -> bool {
        let age = now.duration_since(self.since);
        let current = self.current.as_ref();
        let (last, bytes) = current.map_or((0, 0), |kept| (kept.name.offset, kept.bytes));
        self.pressing
            || offset > last
                && age >= every
                && (self.applied >= bytes || age >= every.saturating_mul(OLDEST_IN_INTERVALS))
    }

    /// Writes a snapshot of the state as it is after all records before `offset`. Answers its bytes.
    pub(crate) fn write(
        &mut self,
        merger: &mut Merger,
        offset: i64,
        at: &TopicPartition,
        limit: usize,
        log: &mut dyn Log,
    ) -> Result<usize, SnapshotFailure> {
        let (_, from) = log.bounds(at)?;
        let current = self.current.as_ref();
        let slot = current.map_or(0, |kept| 1 - kept.name.slot.min(1));
        let mut sent = Ok(());
        let mut bytes = 0;
        let written = merger.snapshot(offset, limit, &mut |index, chunk| {
            bytes += chunk.len();
            if sent.is_ok() {
                sent = send(log, at, slot, index, chunk);
            }
        });
        sent?;
        let digest = written.map_err(|error| StageError::Snapshot {
            at: at.clone(),
            error,
        })?;
        let name = SnapshotName {
            offset,
            digest,
            slot,
            from,
        };
        self.written = Some(Kept {
            name,
            bytes,
            described: merger.described().collect(),
        });
        Ok(bytes)
    }

    /// What was written is committed.
    pub(crate) fn committed(&mut self, now: Instant) {
        if let Some(written) = self.written.take() {
            self.current = Some(written);
            self.pressing = false;
            self.applied = 0;
            self.since = now;
        }
    }
}

/// Sends a chunk. Its key says which older one it stands in the place of, when the topic is compacted.
pub(crate) fn send(
    log: &mut dyn Log,
    at: &TopicPartition,
    slot: u8,
    index: u32,
    chunk: &[u8],
) -> Result<(), LogError> {
    let key = format!("{}{index}", place_of(at.partition, slot));
    log.send(&Message {
        topic: &at.topic,
        partition: Some(at.partition),
        key: Some(key.as_bytes()),
        payload: Some(chunk),
        headers: &[],
    })
}

/// What the keys of all chunks of a snapshot begin with.
fn place_of(partition: i32, slot: u8) -> String {
    format!("{partition}/{slot}/")
}

/// Why a snapshot could not be written.
pub(crate) enum SnapshotFailure {
    Log(LogError),
    Stage(StageError),
}

impl From<LogError> for SnapshotFailure {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<StageError> for SnapshotFailure {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

/// The partition of the snapshots that belongs to an exchange partition.
pub(crate) fn place(settings: &settings::Snapshots, exchange: &TopicPartition) -> TopicPartition {
    TopicPartition {
        topic: settings.topic.clone(),
        partition: exchange.partition,
    }
}

/// Reads the snapshot of this name back; answers its bytes too.
///
/// # Errors
/// When the log cannot be read. A snapshot that is not there or not intact is an answer.
#[allow(clippy::type_complexity, reason = "what went wrong at two levels")]
pub(crate) fn read(
    log: &mut dyn Log,
    at: &TopicPartition,
    name: SnapshotName,
) -> Result<Result<(Gathered, usize), SnapshotError>, LogError> {
    let partition = u32::try_from(at.partition).unwrap_or(0);
    let mut gathering = Gathering::new(partition, name);
    let own = place_of(at.partition, name.slot);
    log.read_back(at, name.from, &mut |record| {
        // The other place may have a snapshot of the same offset.
        let is_own = record
            .key
            .is_some_and(|key| key.starts_with(own.as_bytes()));
        if let Some(chunk) = record.payload.filter(|_| is_own) {
            gathering.add(chunk);
        }
    })?;
    Ok(gathering.finish().map(|gathered| {
        let bytes = gathered.bytes();
        (gathered, bytes)
    }))
}
