//! The crate from outside: against a literal reading of the specification, by example, and with a counting allocator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod agreement;
mod allocation;
mod counting;
mod events;
mod memory;
mod naive;
mod profile;
mod semantics;
