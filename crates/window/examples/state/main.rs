//! What the state of correlations costs, on one core; `make bench-state` runs all three:
//!
//! - `state rates [EVENTS]`: how fast events are taken in and decided, by type of correlation and number of groups;
//! - `state size [GROUPS]`: memory of many open groups of one `event_count` rule, and how fast events find them;
//! - `state snapshot [GROUPS]`: how long it takes to write such a state and to read it back.
//!
//! Each is a process of its own: memory that another has given back would be counted wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a measuring tool, not a part of the product"
)]

mod both;
mod rates;
mod size;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next();
    let number = arguments
        .next()
        .map(|number| number.parse().expect("a number"));
    match what.as_deref() {
        Some("rates") => rates::measure_all(number.unwrap_or(1_000_000)),
        Some("size") => size::measure_memory(number.unwrap_or(10_000_000)),
        Some("snapshot") => size::measure_snapshot(number.unwrap_or(1_000_000)),
        _ => eprintln!("say what to measure: rates [EVENTS], size [GROUPS] or snapshot [GROUPS]"),
    }
}
