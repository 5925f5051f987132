//! Findings as SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>), which code scanning reads.

use std::fmt::Write;
use std::path::Path;

use haechi_rules::{Code, Diagnostic, Severity};
use serde_json::{Value, json};

use super::explain;
use crate::rulebook::Rulebook;

pub(crate) fn document(book: &Rulebook) -> Value {
    let codes = super::codes();
    let results: Vec<Value> = book
        .loaded
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let source = book.loaded.sources.get(&diagnostic.file);
            result(diagnostic, source.map(|text| &**text), &codes)
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "haechi",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn rule(code: &Code) -> Value {
    let help = explain::section(code.id).unwrap_or(code.meaning);
    json!({
        "id": code.id,
        "shortDescription": {"text": code.meaning},
        "fullDescription": {"text": code.meaning},
        "help": {"text": explain::plain(help), "markdown": help},
        "defaultConfiguration": {"level": level(code.severity)},
    })
}

fn result(diagnostic: &Diagnostic, source: Option<&str>, codes: &[&Code]) -> Value {
    let text = match &diagnostic.help {
        Some(help) => format!("{}; {help}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    json!({
        "ruleId": diagnostic.code,
        "ruleIndex": codes.iter().position(|code| code.id == diagnostic.code),
        "level": level(diagnostic.severity),
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&diagnostic.file)},
            "region": region(diagnostic, source),
        }}],
    })
}

/// The place, cut to the line it begins on. What is wrong with a whole file is on its first line.
fn region(diagnostic: &Diagnostic, source: Option<&str>) -> Value {
    let line = diagnostic.span.line.max(1);
    let column = diagnostic.span.column.max(1);
    let at = usize::try_from(line).unwrap_or(usize::MAX) - 1;
    let width = source
        .and_then(|source| source.lines().nth(at))
        .and_then(|line| u32::try_from(line.chars().count()).ok());
    let end = column.saturating_add(diagnostic.span.len);
    let end = width.map_or(end, |width| end.min(width.saturating_add(1)));
    match end > column {
        true => json!({"startLine": line, "startColumn": column, "endColumn": end}),
        false => json!({"startLine": line, "startColumn": column}),
    }
}

/// A path as a URI reference: relative ones stay relative, to where the check ran.
fn uri(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut uri = String::with_capacity(text.len());
    if path.is_absolute() {
        uri.push_str("file://");
    }
    for byte in text.trim_start_matches("./").bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte))
            }
            other => {
                // Writing to a text cannot fail.
                let _ = write!(uri, "%{other:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        for (path, wanted) in [
            ("rules/a.yml", "rules/a.yml"),
            ("./a b.yml", "a%20b.yml"),
            ("/x/ü#.yml", "file:///x/%C3%BC%23.yml"),
        ] {
            assert_eq!(uri(Path::new(path)), wanted);
        }
    }
}
