//! One module per subcommand.

pub(crate) mod check;
pub(crate) mod demo;
mod demo_kafka;
pub(crate) mod generate;
mod grow_exchange;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod topics;
