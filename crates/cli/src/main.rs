//! The `haechi` binary: reads arguments and configuration, calls the engine, prints.

mod args;
mod commands;
mod config;
mod diagnostics;
mod generate;
mod http;
mod kafka_sink;
mod local;
mod logging;
mod preflight;
mod presets;
mod profile;
mod reload;
mod report;
mod rulebook;
mod shipped;
mod stop;
mod through;
mod topology;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => commands::run::run(args),
        Command::Replay(args) => commands::replay::run(args),
        Command::Check(args) => commands::check::run(args),
        Command::Schema(args) => commands::schema::run(args),
        Command::Topics(args) => commands::topics::run(&args.action),
        Command::Generate(args) => commands::generate::run(args),
        Command::Demo(args) => commands::demo::run(args),
    };
    result.unwrap_or_else(|error| {
        // `{:#}` is the whole chain of causes on one line. When stderr is gone there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
