//! What the state of correlations costs, on one core; `make bench-state` runs them:
//!
//! - `state rates [EVENTS]`: how fast events are taken in and decided, by type of correlation and number of groups;
//! - `state sizes [GROUPS]`: memory of many open groups of one rule, and how fast events find them, by type of correlation;
//! - `state size [GROUPS [TYPE]]`: the same of one type, by its place in the list of types, `event_count` where none is said;
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

/// How many groups are many.
const GROUPS: usize = 10_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next();
    let number = arguments
        .next()
        .map(|number| number.parse().expect("a number"));
    let kind = arguments
        .next()
        .map_or(0, |kind| kind.parse().expect("the place of a type"));
    match what.as_deref() {
        Some("rates") => rates::measure_all(number.unwrap_or(1_000_000)),
        Some("size") => size::measure_memory(number.unwrap_or(GROUPS), kind),
        Some("sizes") => size::measure_each(number.unwrap_or(GROUPS)),
        Some("snapshot") => size::measure_snapshot(number.unwrap_or(1_000_000)),
        _ => eprintln!(
            "say what to measure: rates [EVENTS], size [GROUPS [TYPE]], sizes [GROUPS] or snapshot [GROUPS]"
        ),
    }
}
