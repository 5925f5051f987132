//! Reading pipelines and placeholder files.

use std::collections::HashMap;
use std::sync::Arc;

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::fields::{find, mapping, refuse_others, texts, wrong_type};
use crate::pipeline::Source;
use crate::pipeline::action::Step;
use crate::pipeline::steps::steps;
use crate::report::Report;
use crate::scalar::Scalar;
use crate::yaml::{self, Entry, Node};

/// A pipeline, read.
pub(super) struct Pipeline {
    pub(super) priority: i64,
    pub(super) vars: HashMap<String, Vec<String>>,
    pub(super) steps: Vec<Step>,
}

const KEYS: [&str; 7] = [
    "name",
    "priority",
    "vars",
    "transformations",
    "allowed_backends",
    "postprocessing",
    "finalizers",
];

/// The only document of a file. Complains where there is none, or more.
fn document<'a>(text: &'a str, report: &mut Report<'_>) -> Option<Node<'a>> {
    let (documents, problems) = yaml::parse(text);
    let sound = problems.is_empty();
    for problem in problems {
        report.add(problem.code, problem.span, problem.message);
    }
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => Some(document),
        (None, _) if sound => {
            report.add(&codes::BAD_PIPELINE, Span::default(), "the file is empty");
            None
        }
        (_, Some(second)) => {
            let message = "a file holds one pipeline, or one list of placeholders";
            report.add(&codes::BAD_PIPELINE, second.span, message);
            None
        }
        (None, _) => None,
    }
}

fn with_report<T>(
    source: &Source,
    diagnostics: &mut Vec<Diagnostic>,
    read: impl FnOnce(&Node<'_>, &mut Report<'_>) -> Option<T>,
) -> Option<T> {
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let mut report = Report::new(Arc::clone(&source.file), text);
    let found = document(text, &mut report).and_then(|node| read(&node, &mut report));
    diagnostics.extend(report.into_diagnostics());
    found
}

/// Reads a placeholder file: a mapping of names to values.
pub(super) fn placeholders(
    source: &Source,
    diagnostics: &mut Vec<Diagnostic>,
) -> HashMap<String, Vec<String>> {
    let read = with_report(source, diagnostics, |node, report| match node.entries() {
        Some(entries) => Some(values(entries, report)),
        None => {
            let message = format!(
                "a placeholder file is a mapping of names to values, not {}",
                node.kind()
            );
            report.add(&codes::BAD_PIPELINE, node.span, message);
            None
        }
    });
    read.unwrap_or_default()
}

/// Names and what stands for each: a text or a number, or a list of such.
fn values(entries: &[Entry<'_>], report: &mut Report<'_>) -> HashMap<String, Vec<String>> {
    let mut read = HashMap::new();
    for entry in entries {
        // `%name%` as it stands in rules is meant as well.
        let name = entry.key.trim_matches('%').to_owned();
        let values: Vec<String> = texts(entry, report)
            .into_iter()
            .map(|(text, _)| text)
            .collect();
        if values.is_empty() && entry.value.items().is_empty() {
            let message = format!("the placeholder `{name}` has no values, so nothing could match");
            report.advise(
                &codes::BAD_PIPELINE,
                entry.value.span,
                message,
                "give at least one, or leave the rules out that use it",
            );
        }
        read.insert(name, values);
    }
    read
}

/// Reads a pipeline. Complains about everything wrong in it.
pub(super) fn pipeline(source: &Source, diagnostics: &mut Vec<Diagnostic>) -> Option<Pipeline> {
    with_report(source, diagnostics, |node, report| {
        let Some(entries) = node.entries() else {
            let message = format!("a pipeline is a mapping, not {}", node.kind());
            report.add(&codes::BAD_PIPELINE, node.span, message);
            return None;
        };
        refuse_others(entries, &KEYS, "a pipeline", report);
        for key in ["postprocessing", "finalizers"] {
            if let Some(entry) = find(entries, key).filter(|entry| !entry.value.items().is_empty())
            {
                let message =
                    format!("`{key}` works on queries, and here rules are run as they are");
                report.advise(
                    &codes::QUERY_TRANSFORMATION,
                    entry.key_span,
                    message,
                    "leave it out",
                );
            }
        }
        let priority = match find(entries, "priority") {
            None => 0,
            Some(entry) => match entry.value.scalar() {
                Some(Scalar::Int(number)) => number.parse().unwrap_or(i64::MAX),
                _ => {
                    wrong_type(entry, "a whole number", report);
                    0
                }
            },
        };
        let vars = find(entries, "vars").and_then(|entry| mapping(entry, report));
        let vars = vars.map(|vars| values(vars, report)).unwrap_or_default();
        let steps = match find(entries, "transformations") {
            Some(entry) => steps(entry.value.items(), 0, report),
            None => Vec::new(),
        };
        Some(Pipeline {
            priority,
            vars,
            steps,
        })
    })
}
