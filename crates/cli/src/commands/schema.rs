//! `haechi schema`: JSON Schemas for editors.

use std::io::Write;
use std::process::ExitCode;

use crate::args::{SchemaArgs, SchemaKind};

const RULE: &str = include_str!("../../../../schemas/rule.schema.json");
const CONFIG: &str = include_str!("../../../../schemas/config.schema.json");

pub(crate) fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let text = match args.kind {
        SchemaKind::Rule => RULE,
        SchemaKind::Config => CONFIG,
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
