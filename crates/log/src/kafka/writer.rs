//! Writing to topics without being part of any group.

use super::config::{Delivery, KafkaConfig};
use super::producer::Producer;
use crate::{LogError, Message};

/// An idempotent producer: what a load generator needs.
pub struct KafkaWriter {
    producer: Producer,
}

impl KafkaWriter {
    /// Connects. Only the properties and `wait` of `config` matter: there is no group, and there are no transactions.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn open(mut config: KafkaConfig) -> Result<Self, LogError> {
        config.delivery = Delivery::AtLeastOnce;
        Ok(Self {
            producer: Producer::open(&config)?,
        })
    }

    /// Sends a message, waiting while the queue is full.
    ///
    /// # Errors
    /// When the queue does not empty in time, or the message is refused.
    pub fn send(&mut self, message: &Message<'_>) -> Result<(), LogError> {
        self.producer.send(message)
    }

    /// Waits until everything sent is written.
    ///
    /// # Errors
    /// When something sent since the last flush could not be written.
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.producer.flush()?;
        self.producer.sent();
        Ok(())
    }
}
