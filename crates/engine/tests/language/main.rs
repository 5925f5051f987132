//! The whole way from the text of a rule and the text of an event to a match, against the specification read literally.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod agreement;
mod condition;
mod date;
mod events;
mod naive;
mod patterns;
mod rules;
mod yaml;
