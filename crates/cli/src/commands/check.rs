//! `haechi check`: parse, compile and lint rules.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use crate::args::CheckArgs;
use crate::rulebook::Rulebook;
use crate::through;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let pipelines = through::read(&args.through, None)?;
    let mut book = Rulebook::load(&args.rules, &pipelines)?;
    let inputs: Vec<Arc<str>> = args.input.iter().map(|name| name.as_str().into()).collect();
    let program = book.compile(&inputs)?;
    let count = book.report(true);
    let rules = &program.rules;
    writeln!(
        std::io::stdout(),
        "{} file(s): {} detection(s), {} correlation(s), {} rollup(s); {} error(s), {} warning(s)",
        book.loaded.files,
        rules.detections.len(),
        rules.correlations.len(),
        rules.rollups.len(),
        count.errors,
        count.warnings
    )?;
    let failed = count.errors > 0 || (args.strict && count.warnings > 0);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
