//! Source partitions and what is said about their event time.

use std::fmt;
use std::sync::Arc;

/// A partition of a source topic (or a lane of a file).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Whether a source partition takes part in the progress of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceState {
    /// Events come, or may come: event time waits for this source.
    Active,
    /// Read to its end and silent for longer than the idle timeout: others do not wait for it.
    Idle,
    /// Bounded input that is over; its watermark is `i64::MAX`.
    Ended,
}

/// How far event time has come in one source partition, as said by the worker that owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceProgress {
    /// Which partition.
    pub source: SourceId,
    /// Grows with every change of owner. What an earlier owner says after a later one has spoken is ignored.
    pub epoch: u64,
    /// No event earlier than this is expected any more: nanoseconds since the Unix epoch. `i64::MIN` while nothing is known.
    pub watermark_ns: i64,
    /// Whether others wait for it.
    pub state: SourceState,
}

/// What a worker says about event time when it drains its partials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// All source topics with their partition counts, of all workers: nobody moves time before each of them has spoken.
    pub roster: Vec<(Arc<str>, i32)>,
    /// The partitions that this worker owns.
    pub sources: Vec<SourceProgress>,
    /// Whether every exchange partition must hear it, also those for which there is no data. Otherwise it only
    /// accompanies data.
    pub announce: bool,
}
