//! Why a worker or a stage cannot go on.

use std::sync::Arc;

use haechi_decode::SpecError;
use haechi_detect::DetectError;
use haechi_log::{LogError, TopicPartition};
use haechi_window::{FrameError, WindowError};

/// Why a worker ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The log: fenced (a new handle can go on) or fatal.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A stage found something that re-reading will not mend.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// A stage found something that reading the same records again will not mend.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// An input cannot be decoded as declared.
    #[error("input `{input}`: {error}")]
    Input {
        /// The input's name.
        input: Arc<str>,
        /// What is wrong with it.
        error: SpecError,
    },
    /// Detection.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// Aggregation.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// An exchange record cannot be applied.
    #[error("exchange record {at} offset {offset}: {error}")]
    Exchange {
        /// Where it was read.
        at: TopicPartition,
        /// Its offset.
        offset: i64,
        /// Why it cannot be applied.
        error: FrameError,
    },
    /// The state of an exchange partition cannot be written.
    #[error("the windows of exchange partition {at} cannot be written as a snapshot: {error}")]
    Snapshot {
        /// The partition of the snapshots.
        at: TopicPartition,
        /// Why not.
        error: FrameError,
    },
    /// A partition refers to an input that is not declared.
    #[error("input number {0} is not declared: this is a defect of haechi, please report it")]
    UnknownInput(usize),
    /// A message is too large for its topic even when cut to the smallest that makes sense.
    #[error("{0}")]
    TooLarge(String),
}
