//! Event-time windows, correlations and rollups of haechi.
//!
//! The work is split in two by the exchange topic. Stage 1 ([`Partials`], one per worker) collects what the rows of source
//! partitions contribute and drains it, keyed, into exchange records at every commit. Stage 2 ([`Merger`], one per exchange
//! partition) merges those records and decides what the watermark allows to be decided. A [`SourceClock`] derives the watermark of
//! each source partition; it travels inside the records, and stage 2 knows no other time.
//!
//! Within the allowed lateness the outcomes depend neither on the order in which events arrive, nor on how they are cut
//! into batches and commits, nor on the number of workers and exchange partitions.
//!
//! Everything here is pure: no Kafka, no clock, no files. All times are nanoseconds since the Unix epoch.

mod batch;
mod bounded;
mod budget;
mod clock;
mod correlate;
mod error;
mod frame;
mod ipc;
mod merger;
mod outcome;
mod partials;
mod plan;
mod retired;
mod rollup;
mod route;
mod share;
mod snapshot;
mod source;
mod sources;
mod tables;
mod watermark;

pub use budget::Budget;
pub use clock::SourceClock;
pub use error::{CompileError, WindowError};
pub use frame::{FrameError, is_intact};
pub use merger::Merger;
pub use outcome::{
    Contribution, Correlated, GivenUp, Keeper, Late, LateKind, Opening, Outcome, Phase, Quoted,
    Recall, RollupRow,
};
pub use partials::{Partials, RowOrigins};
pub use plan::Plan;
pub use retired::Retired;
pub use snapshot::{Gathered, Gathering, SnapshotError, SnapshotName, readdress};
pub use source::{Progress, SourceId, SourceProgress, SourceState};
pub use tables::Tables;

#[cfg(test)]
mod tests;
