//! The rule language from outside: what rules mean, and what is said about wrong ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests end at the first surprise"
)]

mod arbitrary;
mod detections;
mod diagnostics;
mod files;
mod links;
mod pipelines;
