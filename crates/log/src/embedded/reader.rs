//! Threads that read the files: each takes the next one, cuts it into blocks and deals them out to the lanes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use super::lines::Lines;
use super::state::{Delivery, FileEntry, Shared, count};
use crate::slab::Pool;
use crate::{LogError, TopicPartition};

/// Room behind a block of the usual size, in bytes.
const READ_OVER: usize = 64 << 10;

/// Starts the readers: no more than there are workers, so that decompression does not take the workers' cores.
pub(super) fn start(shared: &Arc<Shared>, files: usize) -> Result<(), LogError> {
    for number in 0..files.min(shared.config.workers) {
        let shared = Arc::clone(shared);
        thread::Builder::new()
            .name(format!("read-{number}"))
            .spawn(move || run(&shared))
            .map_err(|error| {
                LogError::fatal(format!("cannot start a thread to read files: {error}"))
            })?;
    }
    Ok(())
}

fn run(shared: &Shared) {
    // A block ends with a whole line: what is read of the next one must find room behind it.
    let pool = Pool::new(shared.config.batch_bytes.max(1) + READ_OVER);
    loop {
        let Some(file) = shared.lock().waiting.pop_front() else {
            return;
        };
        let mut deal = Deal::new(shared, &file);
        match deal.file(&file, &pool) {
            Ok(Outcome::Read) => {}
            Ok(Outcome::Unwanted) => return,
            Err(error) => {
                tracing::error!("{error}");
                shared.lock().failures.push(error);
            }
        }
        shared.files_done.fetch_add(1, Ordering::Relaxed);
        // Last: whoever sees all ends sees everything.
        deal.end();
    }
}

enum Outcome {
    Read,
    /// No worker is left to read it.
    Unwanted,
}

/// Deals one file's blocks to the lanes in turn.
struct Deal<'a> {
    shared: &'a Shared,
    lanes: Vec<TopicPartition>,
    next: usize,
    lines: i64,
}

impl<'a> Deal<'a> {
    fn new(shared: &'a Shared, file: &FileEntry) -> Self {
        let lanes = i32::try_from(shared.config.workers).unwrap_or(i32::MAX);
        Self {
            shared,
            lanes: (0..lanes)
                .map(|lane| TopicPartition::new(Arc::clone(&file.topic), lane))
                .collect(),
            // Small files, of one block each, go to different lanes too.
            next: file.number,
            lines: 0,
        }
    }

    fn file(&mut self, file: &FileEntry, pool: &Arc<Pool>) -> Result<Outcome, LogError> {
        let config = &self.shared.config;
        let mut lines = Lines::open(&file.path, config.batch_rows, config.batch_bytes, pool)?;
        let mut counted = 0;
        while let Some(lane) = self.lanes.get(self.next % self.lanes.len().max(1)) {
            let begun = Instant::now();
            let block = lines.next(lane);
            let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.shared.reading_ns.fetch_add(took, Ordering::Relaxed);
            count(&self.shared.bytes_read, &mut counted, lines.used());
            self.lines = lines.next_line();
            let Some(block) = block? else { break };
            if !self.shared.deliver(Delivery::Block(block)) {
                return Ok(Outcome::Unwanted);
            }
            self.next = self.next.wrapping_add(1);
        }
        Ok(Outcome::Read)
    }

    /// Tells every lane that the file is over, also one that could not be read: the others go on.
    fn end(&self) {
        for lane in &self.lanes {
            self.shared.deliver(Delivery::End(lane.clone(), self.lines));
        }
    }
}
