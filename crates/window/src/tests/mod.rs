//! The two stages together, through the public interface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod budgets;
mod correlations;
mod counting;
mod early;
mod exchange;
mod growth;
mod laws;
mod logs;
mod memory;
mod naive;
mod naive_correlation;
mod queries;
mod quotes;
mod rollup_budgets;
mod rollups;
mod session_budgets;
mod snapshots;
mod suppression;
mod world;
