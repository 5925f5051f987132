//! The log as Kafka keeps it: one consumer and one producer per worker.
//!
//! **Assignment.** librdkafka's rebalance events are taken from the consumer's queue and handed out as
//! [`Event::Assigned`] and [`Event::Revoked`]; the worker answers with `begin_at` and `release`, which assign and
//! unassign incrementally (classic protocol, `cooperative-sticky`). librdkafka is made for that: having sent the event
//! it waits in `WAIT_ASSIGN_CALL` or `WAIT_UNASSIGN_CALL`, sends heartbeats, pauses what is assigned, and begins no
//! other change (rdkafka_cgrp.c, `rd_kafka_rebalance_op_incr`, `rd_kafka_cgrp_join_state_serve`). The answer must come
//! within `max.poll.interval.ms`.
//!
//! **Commit.** Exactly once: everything sent is flushed, the offsets are added with the group's metadata as it is at
//! that moment, and the transaction is committed. A worker that is no longer a member adds no offsets: the broker
//! checks a generation only if it is given one. At least once: flush, then a plain commit of the offsets.

mod admin;
mod batch;
mod config;
mod consumer;
mod context;
mod failure;
mod history;
mod native;
mod partitions;
mod producer;
mod properties;
mod topology;
mod writer;

use std::time::Duration;

use crate::{Event, Log, LogError, Message, Record, Start, TopicPartition, Topology};
pub use admin::{KafkaAdmin, NewTopic, TopicState};
pub use config::{Delivery, KafkaConfig};
use consumer::Consumer;
use history::History;
use producer::Producer;
pub use properties::{Client, DEFAULTS, Setting};
pub use writer::KafkaWriter;

/// One worker's handle of a Kafka cluster.
pub struct KafkaLog {
    consumer: Consumer,
    producer: Producer,
    history: History,
    delivery: Delivery,
}

impl KafkaLog {
    /// Connects, fences off whatever has the same transactional id, and joins the group.
    ///
    /// # Errors
    /// [`Kind::Retriable`](crate::Kind::Retriable) when no broker answered in time, otherwise what is wrong with the
    /// configuration or with our rights.
    pub fn open(config: KafkaConfig) -> Result<Self, LogError> {
        // The producer first: no partition should come to a worker that cannot commit.
        let producer = Producer::open(&config)?;
        Ok(Self {
            consumer: Consumer::open(&config)?,
            producer,
            history: History::new(&config)?,
            delivery: config.delivery,
        })
    }
}

impl Log for KafkaLog {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Event>, LogError> {
        self.producer.serve();
        self.consumer.poll(wait)
    }

    fn begin_at(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.consumer.begin_at(starts)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.consumer.release(partitions)
    }

    fn topology(&mut self) -> Result<Topology, LogError> {
        self.consumer.topology()
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), LogError> {
        self.producer.send(message)
    }

    fn commit(&mut self, offsets: &[(TopicPartition, i64, String)]) -> Result<(), LogError> {
        if offsets.is_empty() && !self.producer.is_open() {
            return Ok(());
        }
        let list = self.consumer.offsets(offsets)?;
        let list = (!offsets.is_empty()).then_some(&list);
        match self.delivery {
            Delivery::ExactlyOnce => self.producer.commit(list, || self.consumer.membership()),
            Delivery::AtLeastOnce => {
                self.producer.flush()?;
                self.producer.sent();
                list.map_or(Ok(()), |list| self.consumer.commit(list))
            }
        }
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.producer.abort()
    }

    fn rewind(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.consumer.rewind(starts)
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.consumer.pause(partitions)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.consumer.resume(partitions)
    }

    fn lag(&mut self) -> Vec<(TopicPartition, i64)> {
        self.consumer.lag()
    }

    fn bounds(&mut self, at: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.history.bounds(at)
    }

    fn read_back(
        &mut self,
        at: &TopicPartition,
        from: i64,
        take: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), LogError> {
        self.history.read(at, from, take)
    }

    fn close(mut self: Box<Self>) -> Result<(), LogError> {
        self.producer.abort()
    }
}
