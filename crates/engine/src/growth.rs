//! More partitions for the exchange, with the windows that are open.
//!
//! From n partitions to m·n: the groups of a new partition p all are in the one old partition `p % n` (`haechi_window`'s share). So
//! p gets a copy of what that one stands on: its snapshot, and the records since. Both old and new ones take in only what belongs to them
//! from then on. What was answered for before is so in the copy too, and what was not, each tells of its own groups. It all is one
//! transaction: before it nothing has happened, and after it every partition says the new number ([`crate::layout`]), by which workers
//! with the old one are refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use haechi_log::{Committed, Log, LogError, Message, TopicPartition};
use haechi_window::{SnapshotName, is_intact, readdress};
use tracing::{info, warn};

use crate::layout::Standing;
use crate::snapshots;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The exchange topic. It has its new partitions already.
    pub exchange: Arc<str>,
    /// The topic of snapshots, if there is one; it has as many.
    pub snapshots: Option<Arc<str>>,
    /// How many partitions the exchange had.
    pub from: u32,
    /// How many it has: a multiple of that.
    pub to: u32,
    /// What the group has committed for its partitions, by number.
    pub committed: BTreeMap<i32, Committed>,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grown {
    /// Records copied.
    pub records: u64,
    /// Snapshots copied.
    pub snapshots: u64,
}

impl Growth {
    /// Moves the windows, through a log whose group nobody else is in.
    ///
    /// # Errors
    /// When the log fails; then nothing has happened, and it can be tried again.
    pub fn carry_out(&self, log: &mut dyn Log) -> Result<Grown, LogError> {
        let outcome = self.send(log);
        if outcome.is_err() {
            // What cannot be aborted is when its transaction times out, or the next one begins.
            let _ = log.abort();
        }
        outcome
    }

    fn send(&self, log: &mut dyn Log) -> Result<Grown, LogError> {
        let mut grown = Grown::default();
        let mut offsets = Vec::new();
        for number in 0..self.from {
            let old = self.place(number);
            let committed = self.committed.get(&old.partition);
            let offset = committed.map_or(0, |committed| committed.offset);
            let said = committed.map_or("", |committed| committed.metadata.as_str());
            let mut standing = Standing::of_text(said);
            let (_, end) = log.bounds(&old)?;
            for new in (number..self.to).step_by(self.from.max(1) as usize).skip(1) {
                let new = self.place(new);
                offsets.push(self.copy(log, &old, offset, standing.snapshot, &new, &mut grown)?);
            }
            standing.partitions = Some(self.to);
            // A snapshot of the state at the end is of all groups, too.
            standing.since = end.saturating_add(1);
            offsets.push((old, offset, standing.text()));
        }
        log.commit(&offsets)?;
        Ok(grown)
    }

    fn place(&self, number: u32) -> TopicPartition {
        TopicPartition {
            topic: Arc::clone(&self.exchange),
            partition: i32::try_from(number).unwrap_or(i32::MAX),
        }
    }

    /// Copies what the windows of `old` stand on to `new`. Answers what to commit there.
    fn copy(
        &self,
        log: &mut dyn Log,
        old: &TopicPartition,
        committed: i64,
        snapshot: Option<SnapshotName>,
        new: &TopicPartition,
        grown: &mut Grown,
    ) -> Result<(TopicPartition, i64, String), LogError> {
        let (_, begin) = log.bounds(new)?;
        let copied = match snapshot {
            Some(name) => self.copy_snapshot(log, old, name, new, begin)?,
            None => None,
        };
        let from = match (&copied, snapshot) {
            (Some(_), Some(name)) => name.offset,
            _ => 0,
        };
        grown.snapshots += u64::from(copied.is_some());
        let mut records = Vec::new();
        log.read_back(old, from, &mut |record| {
            // What is none was told when it was read, or will be in its own place.
            if let Some(payload) = record.payload.filter(|payload| is_intact(payload)) {
                records.push((record.offset, payload.to_vec()));
            }
        })?;
        let (mut next, mut answered) = (begin, begin);
        for (offset, payload) in records {
            log.send(&Message {
                topic: &new.topic,
                partition: Some(new.partition),
                key: None,
                payload: Some(&payload),
                headers: &[],
            })?;
            next += 1;
            if offset < committed {
                answered = next;
            }
            grown.records += 1;
        }
        info!(from = %old, to = %new, records = next - begin, snapshot = copied.is_some(), "copied");
        let standing = Standing {
            partitions: Some(self.to),
            since: next.saturating_add(1),
            snapshot: copied,
        };
        Ok((new.clone(), answered, standing.text()))
    }

    /// Copies the snapshot of this name, if it is of any use.
    fn copy_snapshot(
        &self,
        log: &mut dyn Log,
        old: &TopicPartition,
        name: SnapshotName,
        new: &TopicPartition,
        offset: i64,
    ) -> Result<Option<SnapshotName>, LogError> {
        let Some(topic) = &self.snapshots else {
            return Ok(None);
        };
        let beside = |at: &TopicPartition| TopicPartition {
            topic: Arc::clone(topic),
            partition: at.partition,
        };
        let snapshot = match snapshots::read(log, &beside(old), name)? {
            Ok((snapshot, _)) => snapshot,
            Err(reason) => {
                warn!(partition = %old, %reason, "its snapshot cannot be used: copying all of the exchange that there is");
                return Ok(None);
            }
        };
        let to = beside(new);
        let (_, from) = log.bounds(&to)?;
        let slot = 0;
        let mut sent = Ok(());
        let number = u32::try_from(new.partition).unwrap_or(0);
        let digest = readdress(&snapshot, number, offset, &mut |index, chunk| {
            if sent.is_ok() {
                sent = snapshots::send(log, &to, slot, index, chunk);
            }
        });
        sent?;
        let digest = digest.map_err(|error| {
            LogError::fatal(format!("the snapshot of {old} cannot be copied: {error}"))
        })?;
        Ok(Some(SnapshotName {
            offset,
            digest,
            slot,
            from,
        }))
    }
}
