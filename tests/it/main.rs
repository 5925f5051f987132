//! haechi as its users see it: the command line, files, topics, the HTTP port.
//!
//! Whatever needs a broker is below [`kafka`] and fails where there is none. Whatever needs the data folder says in one line
//! that it is skipped where that is absent.

mod cases;
mod check;
mod config;
mod generate;
mod kafka;
mod real_data;
mod replay;
mod replay_input;
