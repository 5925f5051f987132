//! Fields that events of a logsource have. The facts are in `fields.tsv`.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::codes;
use crate::fields::similar;
use crate::report::Report;
use crate::rule::Logsource;
use crate::yaml::Entry;

const TABLE: &str = include_str!("fields.tsv");

/// The fields of a category's or service's events.
struct Known {
    /// Whether such events have these fields alone. Otherwise they may have others.
    closed: bool,
    fields: Vec<&'static str>,
}

/// By `category NAME` or `service NAME`.
static KNOWN: LazyLock<HashMap<&'static str, Known>> = LazyLock::new(|| {
    let mut known = HashMap::new();
    let mut every: Vec<&'static str> = Vec::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(name), Some(kind), Some(fields)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let fields = fields.split(' ');
        if kind == "every" {
            every.extend(fields);
            continue;
        }
        let closed = kind == "closed";
        let fields = fields.chain(every.iter().copied()).collect();
        known.insert(name, Known { closed, fields });
    }
    known
});

/// Fields of Windows events that hold the whole path of a file.
const PATHS: [&str; 7] = [
    "Image",
    "ParentImage",
    "SourceImage",
    "TargetImage",
    "ImageLoaded",
    "TargetFilename",
    "GrandParentImage",
];

/// Whether a field holds whole paths.
pub(super) fn holds_paths(field: &str, logsource: &Logsource) -> bool {
    logsource.product.as_deref() == Some("windows")
        && logsource.category.is_some()
        && PATHS.contains(&field)
}

pub(super) fn check(
    field: &str,
    entry: &Entry<'_>,
    logsource: &Logsource,
    report: &mut Report<'_>,
) {
    // A dotted name is a path into the event as it is.
    if logsource.product.as_deref() != Some("windows") || field.contains('.') {
        return;
    }
    let (what, name) = match (&logsource.category, &logsource.service) {
        (Some(category), _) => ("category", category),
        (None, Some(service)) => ("service", service),
        (None, None) => return,
    };
    let Some(known) = KNOWN.get(format!("{what} {name}").as_str()) else {
        return;
    };
    if known.fields.contains(&field) {
        return;
    }
    let other_case = known
        .fields
        .iter()
        .copied()
        .find(|known| known.eq_ignore_ascii_case(field));
    let help = match other_case.or_else(|| meant(field, &known.fields)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "only events that something has enriched with it can match".to_owned(),
    };
    if !known.closed && other_case.is_none() {
        return;
    }
    let message = match other_case {
        Some(_) => format!("`{name}` events have no field `{field}`: names of fields mind case"),
        None => {
            format!("`{name}` events, as Windows and Sysmon write them, have no field `{field}`")
        }
    };
    report.advise(&codes::UNKNOWN_FIELD, entry.key_span, message, help);
}

/// The field that is probably meant, whatever the case of its letters.
fn meant(field: &str, known: &[&'static str]) -> Option<&'static str> {
    let lower: Vec<String> = known.iter().map(|name| name.to_lowercase()).collect();
    let names: Vec<&str> = lower.iter().map(String::as_str).collect();
    let found = similar(field, &names)?;
    known
        .iter()
        .copied()
        .find(|name| name.eq_ignore_ascii_case(found))
}
