//! A source topic in memory, filled by this process.

use std::sync::Arc;

use super::state::{Shared, Stored};
use crate::{LogError, TopicPartition};

/// The writing end of a source topic in memory; see [`EmbeddedLog::add_topic`](super::EmbeddedLog::add_topic).
///
/// Dropping it ends the topic: its readers are told that they have caught up once they have read everything.
pub struct MemoryTopic {
    shared: Arc<Shared>,
    partitions: Vec<TopicPartition>,
}

impl MemoryTopic {
    pub(super) fn new(shared: Arc<Shared>, partitions: Vec<TopicPartition>) -> Self {
        Self { shared, partitions }
    }

    /// Adds a record to a partition, waiting while its reader is more than two batches behind.
    ///
    /// # Errors
    /// When there is no such partition, or no worker is left to read it.
    pub fn push(
        &self,
        partition: i32,
        timestamp_ns: Option<i64>,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
    ) -> Result<(), LogError> {
        let at = usize::try_from(partition)
            .ok()
            .and_then(|index| self.partitions.get(index))
            .ok_or_else(|| LogError::fatal(format!("there is no partition {partition}")))?;
        let record = Stored {
            timestamp_ns,
            key: key.map(<[u8]>::to_vec),
            payload: payload.map(<[u8]>::to_vec),
        };
        let limit = self.shared.config.batch_bytes.saturating_mul(2);
        let mut state = self.shared.lock();
        while state.unread(at) > limit && state.any_open() {
            state = self.shared.wait_for_room(state);
        }
        if !state.any_open() {
            return Err(LogError::fatal(format!(
                "nobody reads topic `{}` any more",
                at.topic
            )));
        }
        if let Some(partition) = state.partitions.get_mut(at) {
            partition.push(record);
        }
        self.shared.wake(partition);
        Ok(())
    }
}

impl Drop for MemoryTopic {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        for at in &self.partitions {
            if let Some(partition) = state.partitions.get_mut(at) {
                partition.finished = true;
            }
            self.shared.wake(at.partition);
        }
    }
}
