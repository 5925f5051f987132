//! The embedded log: files and memory, inside the process.
//!
//! A **file** is a topic named by its path as given. It is cut into blocks of whole lines that go in turn to *lanes*,
//! one per worker, so that one large file keeps every worker busy. A lane is the unit of assignment (the partition of
//! `at`); in coordinates a file has one partition, 0, and a record's offset is its 0-based line number.
//!
//! The **exchange** is a topic in memory. A worker's commit publishes what it sent there all at once; an abort drops it.
//! **Memory topics** are sources that the process fills itself. What is sent to any other topic is an **output** and
//! is given to whoever [listens](EmbeddedLog::outputs), one item per commit.
//!
//! Memory is bounded: per worker two batches wait to be read, readers open one file at a time, and no new input is
//! delivered while much of the exchange is unread.

mod file;
mod lines;
mod outputs;
mod reader;
mod snapshots;
mod state;
mod topic;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::{LogError, TopicPartition};
pub use outputs::{Output, Outputs};
use state::{FileEntry, Listener, Partition, Shared, State};
pub use topic::MemoryTopic;
pub use worker::EmbeddedWorker;

/// How an [`EmbeddedLog`] is laid out.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// How many workers share it, at least 1. Default 1.
    pub workers: usize,
    /// The exchange topic's name. Default `exchange`.
    pub exchange: String,
    /// The exchange topic's partitions; 0 = there is no exchange. Default 1.
    pub exchange_partitions: i32,
    /// The compacted topic with as many partitions as the exchange, whose records can be [read back](crate::Log::read_back). Default
    /// none.
    pub snapshots: Option<String>,
    /// Records per poll, about. Default 8192.
    pub batch_rows: usize,
    /// Bytes per poll, about; larger records come alone. Default 2 MiB.
    pub batch_bytes: usize,
    /// Keep records in memory after their commit, so that a worker can be opened again and read them again. Default
    /// false.
    pub retain: bool,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            exchange: "exchange".to_owned(),
            exchange_partitions: 1,
            snapshots: None,
            batch_rows: 8192,
            batch_bytes: 2 << 20,
            retain: false,
        }
    }
}

/// How far the files have been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the files themselves (compressed, if they are) that have been read.
    pub bytes: u64,
    /// Bytes that there are; `None` when that cannot be known (standard input, a pipe).
    pub bytes_total: Option<u64>,
    /// Files read to their end, or given up.
    pub files: usize,
    /// Files that there are.
    pub files_total: usize,
    /// Time spent reading and decompressing so far, of all files together.
    pub reading: Duration,
}

/// A log inside the process, shared by its workers. A clone is the same log.
///
/// Add the sources first; then open the workers, each with [`EmbeddedLog::worker`], and poll them. Reading begins with
/// the first poll, and from then on nothing can be added.
#[derive(Clone)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

impl EmbeddedLog {
    /// A log without sources.
    ///
    /// # Errors
    /// When there are no workers, or a negative number of exchange partitions.
    pub fn new(config: EmbeddedConfig) -> Result<Self, LogError> {
        if config.workers == 0 || config.exchange_partitions < 0 {
            return Err(LogError::fatal(
                "a log needs at least one worker, and an exchange cannot have less than no partitions",
            ));
        }
        Ok(Self {
            shared: Arc::new(Shared::new(config)),
        })
    }

    /// Adds a file (plain, gzip or zstd) as a source topic named by `path`; `-` is standard input.
    ///
    /// # Errors
    /// When there is no such file, it is a folder, or it was added already. That it cannot be read or is damaged shows
    /// only while reading: see [`EmbeddedLog::failures`].
    pub fn add_file(&self, path: &Path) -> Result<(), LogError> {
        let name = path.display().to_string();
        let bytes = if name == file::STDIN {
            None
        } else {
            let metadata = path
                .metadata()
                .map_err(|error| LogError::fatal(format!("cannot read `{name}`: {error}")))?;
            if metadata.is_dir() {
                return Err(LogError::fatal(format!(
                    "`{name}` is a folder: give the files in it"
                )));
            }
            metadata.is_file().then_some(metadata.len())
        };
        let topic: Arc<str> = name.into();
        let lanes = i32::try_from(self.shared.config.workers).unwrap_or(i32::MAX);
        let mut state = self.shared.lock();
        self.add_source(&mut state, &topic, lanes)?;
        let entry = FileEntry {
            topic,
            path: path.to_owned(),
            number: state.files.len(),
            bytes,
        };
        state.waiting.push_back(entry.clone());
        state.files.push(entry);
        Ok(())
    }

    /// Adds a source topic in memory with this many partitions, and returns its writing end.
    ///
    /// # Errors
    /// When there is a source of that name, or `partitions` is not positive.
    pub fn add_topic(&self, name: &str, partitions: i32) -> Result<MemoryTopic, LogError> {
        if partitions < 1 {
            return Err(LogError::fatal(format!("topic `{name}` needs a partition")));
        }
        let topic: Arc<str> = name.into();
        let mut state = self.shared.lock();
        self.add_source(&mut state, &topic, partitions)?;
        let all: Vec<_> = (0..partitions)
            .map(|number| TopicPartition::new(Arc::clone(&topic), number))
            .collect();
        for at in &all {
            state.partitions.insert(at.clone(), Partition::default());
        }
        drop(state);
        Ok(MemoryTopic::new(Arc::clone(&self.shared), all))
    }

    fn add_source(
        &self,
        state: &mut State,
        topic: &Arc<str>,
        partitions: i32,
    ) -> Result<(), LogError> {
        if state.started {
            return Err(LogError::fatal(format!(
                "`{topic}` cannot be added: reading has begun"
            )));
        }
        if **topic == *self.shared.config.exchange
            || state.topics.insert(Arc::clone(topic), partitions).is_some()
        {
            return Err(LogError::fatal(format!("`{topic}` is given twice")));
        }
        Ok(())
    }

    /// Opens worker `number`, from 0. A worker that was dropped can be opened again (it begins from what it had
    /// committed) unless there are files.
    ///
    /// # Errors
    /// When there is no such worker or it is open.
    pub fn worker(&self, number: usize) -> Result<EmbeddedWorker, LogError> {
        EmbeddedWorker::open(Arc::clone(&self.shared), number)
    }

    /// The outputs, from now on. Until someone asks for them they are dropped.
    pub fn outputs(&self) -> Outputs {
        self.shared.lock().listener = Listener::Listening;
        Outputs::new(Arc::clone(&self.shared))
    }

    /// How far the files have been read.
    pub fn progress(&self) -> Progress {
        let state = self.shared.lock();
        Progress {
            bytes: self.shared.bytes_read.load(Ordering::Relaxed),
            bytes_total: state.files.iter().map(|file| file.bytes).sum(),
            files: self.shared.files_done.load(Ordering::Relaxed),
            files_total: state.files.len(),
            reading: Duration::from_nanos(self.shared.reading_ns.load(Ordering::Relaxed)),
        }
    }

    /// The files that could not be read to their end so far, and why. The others were read nevertheless.
    pub fn failures(&self) -> Vec<LogError> {
        self.shared.lock().failures.clone()
    }
}

#[cfg(test)]
mod tests;
