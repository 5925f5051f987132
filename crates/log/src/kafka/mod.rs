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
//!
//! **Succession.** What a dead worker left open is ended by whoever gets its partitions: see `deeds.rs`.

mod admin;
mod batch;
mod config;
mod consumer;
mod context;
mod deeds;
mod failure;
mod history;
mod native;
mod partitions;
mod producer;
mod properties;
mod topology;
mod writer;

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::{Event, Kind, Log, LogError, Message, Record, Start, TopicPartition, Topology};
pub use admin::{KafkaAdmin, NewTopic, TopicState};
pub use config::{Delivery, KafkaConfig};
use consumer::Consumer;
use deeds::Deeds;
use history::History;
use producer::Producer;
pub use properties::{Client, DEFAULTS, Setting};
pub use writer::KafkaWriter;

/// How long ending a dead worker's transaction may take; it ends by itself some time.
const SUCCESSION: Duration = Duration::from_secs(5);

/// One worker's handle of a Kafka cluster.
pub struct KafkaLog {
    config: KafkaConfig,
    consumer: Consumer,
    producer: Producer,
    history: History,
    deeds: Deeds,
}

impl KafkaLog {
    /// Connects, fences off whatever has the same transactional id, and joins the group.
    ///
    /// # Errors
    /// [`Kind::Retriable`] when no broker answered in time, otherwise what is wrong with the
    /// configuration or with our rights.
    pub fn open(config: KafkaConfig) -> Result<Self, LogError> {
        // The producer first: no partition should come to a worker that cannot commit.
        let producer = Producer::open(&config)?;
        Ok(Self {
            consumer: Consumer::open(&config)?,
            producer,
            history: History::new(&config)?,
            deeds: Deeds::new(&config.transactional_id),
            config,
        })
    }

    /// Ends the transaction that a worker which is gone, or was taken for it, may have left open.
    fn succeed(&self, owner: &str) {
        let mut config = self.config.clone();
        owner.clone_into(&mut config.transactional_id);
        // Whoever has signed had transactions, also where they are not wanted any more.
        config.delivery = Delivery::ExactlyOnce;
        config.wait = SUCCESSION;
        match Producer::open(&config) {
            Ok(_) => info!(
                owner,
                "ended what the last owner of partitions may have left open"
            ),
            Err(error) => {
                warn!(owner, %error, "what the last owner of partitions may have left open holds readers back until `transaction.timeout.ms` has passed");
            }
        }
    }

    /// Commits partitions as last committed, in nobody's name. That it fails does no harm: somebody ends a transaction that is none.
    fn give_back(&mut self, partitions: &[TopicPartition]) {
        let offsets = self.deeds.give_back(partitions);
        if offsets.is_empty() || self.producer.is_open() || self.consumer.membership().is_err() {
            return;
        }
        let given_back = self.consumer.offsets(&offsets).and_then(|list| {
            self.producer
                .commit(Some(&list), || self.consumer.membership())
        });
        if let Err(error) = given_back {
            debug!(%error, "partitions are given back in this worker's name");
            // What cannot be aborted is told with the next call.
            let _ = self.producer.abort();
        }
    }

    fn commit_offsets(
        &mut self,
        offsets: &[(TopicPartition, i64, String)],
    ) -> Result<(), LogError> {
        let list = self.consumer.offsets(offsets)?;
        let list = (!offsets.is_empty()).then_some(&list);
        match self.config.delivery {
            Delivery::ExactlyOnce => self.producer.commit(list, || self.consumer.membership()),
            Delivery::AtLeastOnce => {
                self.producer.flush()?;
                self.producer.sent();
                list.map_or(Ok(()), |list| self.consumer.commit(list))
            }
        }
    }
}

impl Log for KafkaLog {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Event>, LogError> {
        self.producer.serve();
        let mut events = self.consumer.poll(wait)?;
        for event in &mut events {
            if let Event::Assigned(assignments) = event {
                for owner in self.deeds.take_over(assignments) {
                    self.succeed(&owner);
                }
            }
        }
        Ok(events)
    }

    fn begin_at(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.consumer.begin_at(starts)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.give_back(partitions);
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
        if self.config.delivery == Delivery::AtLeastOnce {
            return self.commit_offsets(offsets);
        }
        let signed = self.deeds.sign(offsets, |at| self.consumer.has(at));
        let outcome = self.commit_offsets(&signed);
        match &outcome {
            Ok(()) => self.deeds.committed(signed),
            Err(error) if error.kind() == Kind::Retriable => {}
            Err(_) => self.deeds.forget(),
        }
        outcome
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
        self.producer.abort()?;
        let all = self.deeds.all();
        self.give_back(&all);
        Ok(())
    }
}
