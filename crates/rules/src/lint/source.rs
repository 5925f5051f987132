//! Whether anything provides the events that a rule looks at.

use super::Surroundings;
use crate::codes;
use crate::diagnostic::Span;
use crate::fields::{find, similar};
use crate::report::Report;
use crate::rule::Logsource;
use crate::yaml::Entry;

/// The logsource that a rule gives, as far as it can be read.
pub(super) fn of(rule: &[Entry<'_>]) -> Logsource {
    let keys = find(rule, "logsource").and_then(|entry| entry.value.entries());
    let key = |name| {
        let entry = keys.and_then(|keys| find(keys, name))?;
        entry.value.text().map(|text| text.trim().to_lowercase())
    };
    Logsource {
        product: key("product"),
        category: key("category"),
        service: key("service"),
    }
}

pub(super) fn check(
    rule: &[Entry<'_>],
    logsource: &Logsource,
    surroundings: &Surroundings,
    report: &mut Report<'_>,
) {
    let Some(entry) = find(rule, "logsource") else {
        return;
    };
    if let Some(found) = unknown(entry, logsource, surroundings) {
        report.advise(
            &codes::UNKNOWN_LOGSOURCE,
            found.span,
            found.message,
            found.help,
        );
        return;
    }
    let Some(inputs) = &surroundings.inputs else {
        return;
    };
    let served = inputs.iter().any(|input| {
        let derived = surroundings
            .windows
            .iter()
            .filter(|_| input.derives_windows);
        logsource.covers(&input.logsource)
            || derived
                .into_iter()
                .any(|derived| logsource.covers(&joined(&input.logsource, derived)))
    });
    if !served {
        let message = format!(
            "no input of the configuration provides {logsource}, so the rule never sees an event"
        );
        let help = "give an input this logsource, or leave the rule out";
        report.advise(&codes::UNSERVED_LOGSOURCE, entry.key_span, message, help);
    }
}

/// What an input's events are that derive a category or a service.
fn joined(input: &Logsource, derived: &Logsource) -> Logsource {
    let first = |a: &Option<String>, b: &Option<String>| a.clone().or_else(|| b.clone());
    Logsource {
        product: first(&derived.product, &input.product),
        category: first(&derived.category, &input.category),
        service: first(&derived.service, &input.service),
    }
}

struct Unknown {
    span: Span,
    message: String,
    help: String,
}

/// A category or service of Windows that is not in the table.
fn unknown(
    entry: &Entry<'_>,
    logsource: &Logsource,
    surroundings: &Surroundings,
) -> Option<Unknown> {
    if logsource.product.as_deref() != Some("windows") || surroundings.windows.is_empty() {
        return None;
    }
    let keys = entry.value.entries()?;
    let categories = |known: &'_ Logsource| known.category.clone();
    let services = |known: &'_ Logsource| known.service.clone();
    let of = |read: fn(&Logsource) -> Option<String>| {
        surroundings
            .windows
            .iter()
            .filter_map(read)
            .collect::<Vec<_>>()
    };
    for (key, given, known) in [
        ("category", &logsource.category, of(categories)),
        ("service", &logsource.service, of(services)),
    ] {
        let Some(given) = given.as_ref().filter(|given| !known.contains(given)) else {
            continue;
        };
        let place = find(keys, key)?;
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let help = match similar(given, &names) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!(
                "an input that provides it says so with `logsource: {{product: windows, {key}: {given}}}`"
            ),
        };
        return Some(Unknown {
            span: place.value.span,
            message: format!("no Windows event is known to make the {key} `{given}`"),
            help,
        });
    }
    None
}
