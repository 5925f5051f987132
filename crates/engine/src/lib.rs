//! The engine: workers that read logs, detect, aggregate across the exchange, and commit it all at once.
//!
//! A [`Worker`] is one thread with its own member of the consumer group and its own transactional producer.
//! [`worker`] is the way through the house; the other modules are the rooms along that way:
//!
//! | module | what it is |
//! | --- | --- |
//! | [`worker`] | the loop: poll → decode → detect → partial → merge → emit → commit |
//! | [`stage1`] | per source partition: decode, detect, partial aggregates, the event-time clock |
//! | [`stage2`] | per exchange partition: the merger, rebuilt by replay, silent until it has caught up |
//! | [`layout`] | over how many partitions the exchange is spread: said with every commit |
//! | [`growth`] | giving the exchange more partitions, with the windows that are open |
//! | [`error`] | why a worker or a stage cannot go on |
//! | [`emit`] | hits and outcomes as messages on output topics |
//! | [`program`] | the rules, compiled once and shared by all workers |
//! | [`release`] | which rules are in force, and how a new set takes over |
//! | [`settings`] | what a run needs to know, already validated |
//! | [`skew`] | holding back partitions that are far ahead of the others in event time |
//! | [`supervisor`] | starts workers, restarts them when they were fenced or panicked, stops them |
//! | [`profile`] | where the time of a run goes, when somebody wants to know |
//! | [`metrics`] | what ops see: names are a contract, `docs/metrics.md` |
//! | [`health`] | whether the loops turn, and whether what they own is restored |
//! | [`clock`] | wall-clock time, passed in so that tests can hold it |

pub mod clock;
pub mod emit;
pub mod error;
mod given_up;
pub mod growth;
pub mod health;
pub mod layout;
pub mod metrics;
mod pipeline;
pub mod profile;
pub mod program;
pub mod release;
pub mod settings;
pub mod skew;
mod snapshots;
pub mod stage1;
pub mod stage2;
pub mod supervisor;
pub mod watchdog;
pub mod worker;

pub use clock::{Clock, SystemClock};
pub use error::{StageError, WorkerError};
pub use growth::{Grown, Growth};
pub use health::Health;
pub use metrics::{Metrics, Summary};
pub use profile::{Profile, Profiler};
pub use program::{CompileError, Program};
pub use release::{Release, Releases};
pub use settings::{Input, Limits, Outputs, Run, Settings, TopicFilter};
pub use supervisor::{RunError, Supervisor};
pub use worker::Worker;
