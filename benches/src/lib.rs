//! What a benchmark of a process needs: a yardstick, the process's account with the system, and medians.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark reports by stopping at the first surprise"
)]

pub mod arrivals;
pub mod bare;
pub mod measured;
pub mod usage;

/// The middle of some numbers.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 {
        numbers[middle]
    } else {
        f64::midpoint(numbers[middle - 1], numbers[middle])
    }
}
