//! `haechi check`: parse, compile and lint rules.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use haechi_decode::Format;
use haechi_rules::{Logsource, Provided, Surroundings};

use crate::args::{CheckArgs, CheckFormat};
use crate::config::Config;
use crate::diagnostics::{explain, json, sarif};
use crate::rulebook::Rulebook;
use crate::through;

/// What the command line or the configuration got wrong, as clap ends too.
const USAGE: u8 = 2;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if let Some(code) = &args.explain {
        return explain(code);
    }
    let config = match args.config.as_deref().map(Config::load).transpose() {
        Ok(config) => config,
        Err(error) => return usage(&error.to_string()),
    };
    let rules = match &config {
        Some(config) if args.rules.is_empty() => &config.rules,
        _ => &args.rules,
    };
    let pipelines = match &config {
        Some(config) if args.through.is_empty() => config.through.pipelines(),
        _ => through::read(&args.through, None)?,
    };
    let mut book = Rulebook::load(rules, &pipelines)?;
    if let Some(config) = &config {
        book.regex_bytes = config.limits.regex_bytes;
    }
    let named = args.input.iter().map(|name| name.as_str().into());
    let configured = config.iter().flat_map(|config| &config.inputs);
    let inputs: Vec<Arc<str>> = named
        .chain(configured.map(|input| Arc::clone(&input.name)))
        .collect();
    let program = book.compile(&inputs)?;
    // Behind pipelines a rule may look at other events than it says, so what inputs provide is not held against it.
    let provided = config.as_ref().filter(|_| !pipelines.transform());
    book.lint(&surroundings(provided));
    let count = book.count();
    let rules = &program.rules;
    let mut out = std::io::stdout().lock();
    match args.format {
        CheckFormat::Json => writeln!(out, "{:#}", json::document(&book, rules))?,
        CheckFormat::Sarif => writeln!(out, "{:#}", sarif::document(&book))?,
        CheckFormat::Text => {
            book.report(true);
            writeln!(
                out,
                "{} file(s): {} detection(s), {} correlation(s), {} rollup(s); {} error(s), {} warning(s)",
                book.loaded.files,
                rules.detections.len(),
                rules.correlations.len(),
                rules.rollups.len(),
                count.errors,
                count.warnings
            )?;
        }
    }
    let failed = count.errors > 0 || (args.strict && count.warnings > 0);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn usage(message: &str) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stderr(), "error: {message}")?;
    Ok(ExitCode::from(USAGE))
}

fn explain(code: &str) -> anyhow::Result<ExitCode> {
    let code = code.to_uppercase();
    let codes = crate::diagnostics::codes();
    let known = codes.iter().find(|known| known.id == code);
    let (Some(known), Some(section)) = (known, explain::section(&code)) else {
        return usage(&format!(
            "there is no code `{code}`; codes are {} to {}, see docs/diagnostics.md",
            "HC001", "HC160"
        ));
    };
    writeln!(
        std::io::stdout(),
        "{} ({})\n\n{}",
        known.id,
        known.severity,
        explain::plain(section)
    )?;
    Ok(ExitCode::SUCCESS)
}

/// What is known of the events that the rules will see.
fn surroundings(config: Option<&Config>) -> Surroundings {
    let plain = |logsource: &haechi_decode::Logsource| Logsource {
        product: logsource.product.clone(),
        category: logsource.category.clone(),
        service: logsource.service.clone(),
    };
    let provided = |config: &Config| {
        let inputs = config.inputs.iter().map(|input| Provided {
            logsource: plain(&input.logsource),
            derives_windows: input.format == Format::Windows,
        });
        inputs.collect()
    };
    Surroundings {
        windows: haechi_decode::windows_logsources()
            .iter()
            .map(plain)
            .collect(),
        inputs: config.map(provided),
    }
}
