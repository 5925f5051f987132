//! What the tests and benchmarks need to look at haechi from outside: the binary, configurations, a broker with a
//! client that is not ours, the data folder, and cases written by analysts.
//!
//! Nothing here links a crate of the product: it is seen through its command line, files, topics and HTTP port.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test harness reports by stopping at the first surprise"
)]

pub mod alerts;
pub mod app;
pub mod binary;
pub mod broker;
pub mod cases;
pub mod data;
pub mod http;
pub mod link;
pub mod process;
pub mod synthetic;

use std::path::PathBuf;

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the repository")
        .to_owned()
}

/// A scratch folder that lives as long as the value.
///
/// # Panics
/// When the system gives none.
#[must_use]
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("haechi-tests-")
        .tempdir()
        .expect("a temporary folder")
}
