//! The log that Haechi reads and writes, behind one trait: [`Log`].
//!
//! Two logs speak it:
//!
//! | log | for | made of |
//! | --- | --- | --- |
//! | Kafka | `haechi run` | one consumer and one transactional producer per worker (librdkafka) |
//! | embedded | `haechi replay`, `haechi demo`, tests | files and memory, inside the process |
//!
//! A worker owns one handle and drives it from one thread: it [polls](Log::poll) for [events](Event), answers every
//! [`Event::Assigned`] with [`Log::begin_at`] and every [`Event::Revoked`] with [`Log::release`], [sends](Log::send)
//! what it finds, and [commits](Log::commit) what it sent and how far it read as one unit. What a record means is not
//! known here.

pub mod embedded;
mod error;
pub mod kafka;
mod protocol;
mod records;
mod slab;

pub use embedded::{EmbeddedConfig, EmbeddedLog, MemoryTopic, Output};
pub use error::{Kind, LogError};
pub use kafka::{Delivery, KafkaAdmin, KafkaConfig, KafkaLog, KafkaWriter, NewTopic};
pub use protocol::{Assignment, Committed, Event, Log, Message, Start, Topology};
pub use records::{Record, Records, TopicPartition};
