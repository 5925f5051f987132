//! `make bench-detect`: what detection costs beside parsing, beside fewer and more rules, and beside rsigma-eval.
//!
//! Everything is a whole process, `haechi replay -j 1` or `benches/peer`, or a parser in this one, and what counts is its processor
//! time: that hardly depends on what else the machine does. Runs are interleaved and repeated (`HAECHI_BENCH_ROUNDS`, default 5); the
//! table shows medians. It needs the data folder; without it one line says so.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is the result, and it takes minutes"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark reports by stopping at the first surprise"
)]

mod agreement;
mod inputs;
mod parse;
mod processes;
mod table;

use std::env;

use inputs::Inputs;
use table::Runs;

fn main() {
    let rounds: usize = env::var("HAECHI_BENCH_ROUNDS").map_or(5, |rounds| {
        rounds.parse().expect("HAECHI_BENCH_ROUNDS is a number")
    });
    let Some(inputs) = Inputs::prepare() else {
        return;
    };
    agreement::check(&inputs);
    let mut runs = Runs::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        runs.round(&inputs);
    }
    runs.print(&inputs);
}
