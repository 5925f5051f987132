//! Findings as one JSON object. `docs/diagnostics.md` describes it.

use haechi_rules::{Diagnostic, RuleSet};
use serde_json::{Value, json};

use crate::rulebook::Rulebook;

/// The version of the object's form; it grows when a key changes its meaning or goes.
const VERSION: u32 = 1;

pub(crate) fn document(book: &Rulebook, rules: &RuleSet) -> Value {
    let count = book.count();
    json!({
        "version": VERSION,
        "files": book.loaded.files,
        "detections": rules.detections.len(),
        "correlations": rules.correlations.len(),
        "rollups": rules.rollups.len(),
        "errors": count.errors,
        "warnings": count.warnings,
        "diagnostics": book.loaded.diagnostics.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn finding(diagnostic: &Diagnostic) -> Value {
    json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.to_string(),
        "file": diagnostic.file.to_string_lossy(),
        "line": diagnostic.span.line,
        "column": diagnostic.span.column,
        "length": diagnostic.span.len,
        "message": diagnostic.message,
        "help": diagnostic.help,
    })
}
