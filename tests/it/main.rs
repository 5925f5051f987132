//! haechi as its users see it: the command line, files, topics, the HTTP port.
//!
//! Whatever needs a broker is below [`kafka`] and fails where there is none. Whatever needs the data folder says in one line
//! that it is skipped where that is absent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test reports by stopping at the first surprise"
)]

mod cases;
mod check;
mod config;
mod diagnostics;
mod generate;
mod kafka;
mod presets;
mod profile;
mod real_data;
mod replay;
mod replay_input;
mod rollups_batch;
mod schemas;
mod shapes;
mod windows_logsources;
