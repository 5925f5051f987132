//! What a rule says that its author may not mean: beyond what is needed to load it, and so only looked for when rules are checked.

mod claim;
mod field;
mod header;
mod item;
mod logic;
mod regex_end;
mod source;
mod text;
mod truth;
mod twin;

use std::path::Path;
use std::sync::Arc;

pub use self::twin::lint;

use crate::diagnostic::Diagnostic;
use crate::fields::find;
use crate::load::Loaded;
use crate::report::Report;
use crate::rule::Logsource;
use crate::yaml::{self, Data, Entry, Node};

/// What is known of the events that the rules will see.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The logsources that Windows events are known to have: a category or a service each.
    pub windows: Vec<Logsource>,
    /// What the inputs of the configuration provide; none when no configuration is at hand.
    pub inputs: Option<Vec<Provided>>,
}

/// What an input provides.
#[derive(Debug, Clone)]
pub struct Provided {
    /// What the configuration says its events are.
    pub logsource: Logsource,
    /// Whether its events derive a category and a service of Windows besides.
    pub derives_windows: bool,
}

/// Warnings about rules that load, beyond those that [`crate::load()`] gives: by file and place.
pub fn inspect(loaded: &Loaded, surroundings: &Surroundings) -> Vec<Diagnostic> {
    let mut found = lint(&loaded.rules);
    for (file, text) in &loaded.sources {
        found.extend(inspect_file(file, text, surroundings));
    }
    found.sort_by(|a, b| (&a.file, a.span, a.code).cmp(&(&b.file, b.span, b.code)));
    found
}

fn inspect_file(file: &Arc<Path>, text: &str, surroundings: &Surroundings) -> Vec<Diagnostic> {
    let mut report = Report::new(Arc::clone(file), text);
    let (documents, _) = yaml::parse(text);
    for entries in documents.iter().filter_map(Node::entries) {
        inspect_rule(entries, surroundings, &mut report);
    }
    report.into_diagnostics()
}

fn inspect_rule(entries: &[Entry<'_>], surroundings: &Surroundings, report: &mut Report<'_>) {
    let kinds = ["detection", "filter", "correlation", "rollup"];
    let Some(kind) = kinds.into_iter().find_map(|kind| find(entries, kind)) else {
        return;
    };
    header::check(entries, report);
    let Some(detection) = kind
        .value
        .entries()
        .filter(|_| kind.key == "detection" || kind.key == "filter")
    else {
        return;
    };
    let logsource = source::of(entries);
    if kind.key == "detection" {
        source::check(entries, &logsource, surroundings, report);
    }
    let is_selection =
        |entry: &&Entry<'_>| !matches!(&*entry.key, "condition" | "timeframe" | "rules");
    let selections: Vec<&Entry<'_>> = detection.iter().filter(is_selection).collect();
    for selection in &selections {
        check_items(&selection.value, &logsource, report);
    }
    if let Some(condition) = find(detection, "condition") {
        logic::check(&selections, &condition.value, &logsource, report);
    }
}

/// Looks at every `field: values` of a selection.
fn check_items(node: &Node<'_>, logsource: &Logsource, report: &mut Report<'_>) {
    match &node.data {
        Data::Scalar(..) => {}
        Data::List(items) => items
            .iter()
            .for_each(|item| check_items(item, logsource, report)),
        Data::Map(entries) => entries
            .iter()
            .for_each(|entry| item::check(entry, logsource, report)),
    }
}
