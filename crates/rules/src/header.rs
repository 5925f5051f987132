//! Reading what a rule says about itself.

use std::sync::Arc;

use crate::budget;
use crate::codes;
use crate::diagnostic::Span;
use crate::fields::{find, require, similar, text, texts, wrong_type};
use crate::report::Report;
use crate::rule::{Level, RuleHeader};
use crate::suppress;
use crate::yaml::{Data, Entry, Node};

/// Keys of a rule that Sigma defines, and those that say what kind of rule it is.
const KNOWN: [&str; 26] = [
    "title",
    "id",
    "name",
    "related",
    "status",
    "description",
    "license",
    "references",
    "author",
    "date",
    "modified",
    "tags",
    "level",
    "taxonomy",
    "scope",
    "fields",
    "falsepositives",
    "logsource",
    "detection",
    "correlation",
    "filter",
    "rollup",
    "suppress",
    "state",
    "action",
    "type",
];

/// The states that Sigma gives a rule.
const STATUSES: [&str; 5] = [
    "stable",
    "test",
    "experimental",
    "deprecated",
    "unsupported",
];

/// What other rules can call a rule by.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) id: Arc<str>,
    /// Where the id is written; where the document begins, when it is not.
    pub(crate) id_span: Span,
    pub(crate) name: Option<(String, Span)>,
}

/// Reads what a rule can be called by; `start` is where the document begins. Complains about what is wrong with it.
pub(crate) fn identity(entries: &[Entry<'_>], start: Span, report: &mut Report<'_>) -> Identity {
    let name = find(entries, "name").filter(|entry| entry.value.kind() != "null");
    let name = name.and_then(|entry| Some((text(entry, report)?, entry.value.span)));
    let id_span = find(entries, "id").map_or(start, |entry| entry.value.span);
    Identity {
        id: id(entries, start, report),
        id_span,
        name,
    }
}

/// Reads the header of a rule; `start` is where the document begins. Complains about everything wrong in it; gives none when
/// there is no title.
pub(crate) fn read(
    entries: &[Entry<'_>],
    start: Span,
    identity: &Identity,
    report: &mut Report<'_>,
) -> Option<RuleHeader> {
    warn_of_misspelt_keys(entries, report);
    let title = require(entries, "title", start, report)
        .and_then(|entry| Some((text(entry, report)?, entry.value.span)));
    let level = level(entries, report);
    let status = status(entries, report);
    let description = optional(entries, "description", report);
    let author = author(entries, report);
    let mut list = |key| -> Vec<String> {
        let found = find(entries, key).filter(|entry| entry.value.kind() != "null");
        found
            .map(|entry| texts(entry, report))
            .unwrap_or_default()
            .into_iter()
            .map(|(text, _)| text)
            .collect()
    };
    let (tags, references, falsepositives) =
        (list("tags"), list("references"), list("falsepositives"));
    let suppress = find(entries, "suppress").and_then(|entry| suppress::read(entry, report));
    let state = find(entries, "state").and_then(|entry| budget::read(entry, report));
    let (title, span) = title?;
    let file = Arc::clone(&report.file);
    let id = Arc::clone(&identity.id);
    let name = identity.name.as_ref().map(|(name, _)| name.clone());
    Some(RuleHeader {
        id,
        name,
        title,
        description,
        level,
        status,
        tags,
        author,
        references,
        falsepositives,
        suppress,
        state: state.unwrap_or_default(),
        file,
        span,
    })
}

fn optional(entries: &[Entry<'_>], key: &str, report: &mut Report<'_>) -> Option<String> {
    let entry = find(entries, key).filter(|entry| entry.value.kind() != "null")?;
    text(entry, report)
}

/// Authors are one text, or a list of them in some collections.
fn author(entries: &[Entry<'_>], report: &mut Report<'_>) -> Option<String> {
    let entry = find(entries, "author").filter(|entry| entry.value.kind() != "null")?;
    let authors: Vec<String> = texts(entry, report)
        .into_iter()
        .map(|(text, _)| text)
        .collect();
    (!authors.is_empty()).then(|| authors.join(", "))
}

fn id(entries: &[Entry<'_>], start: Span, report: &mut Report<'_>) -> Arc<str> {
    match find(entries, "id") {
        Some(entry) => match entry.value.text() {
            Some(id) => {
                if !is_uuid(id) {
                    let message = format!("the id `{id}` is not a UUID");
                    report.add(&codes::ODD_ID, entry.value.span, message);
                }
                return id.into();
            }
            None => wrong_type(entry, "a UUID", report),
        },
        None => {
            let message = "the rule has no id, so its alerts change theirs with every edit of it";
            let help = format!("write `id: {}`", derived_id(entries));
            report.advise(&codes::MISSING_ID, start, message, help);
        }
    }
    derived_id(entries).into()
}

fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// An id made of what the rule says: its title, logsource and body. Shaped as a UUID of version 8 (RFC 9562, section 5.8).
fn derived_id(entries: &[Entry<'_>]) -> String {
    let mut hasher = blake3::Hasher::new();
    for key in [
        "title",
        "logsource",
        "detection",
        "correlation",
        "filter",
        "rollup",
    ] {
        if let Some(entry) = find(entries, key) {
            feed(&mut hasher, key);
            feed_node(&mut hasher, &entry.value);
        }
    }
    let hash = hasher.finalize();
    let hex = hash.to_hex();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

fn feed(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn feed_node(hasher: &mut blake3::Hasher, node: &Node<'_>) {
    match &node.data {
        Data::Scalar(text, _) => {
            hasher.update(b"s");
            feed(hasher, text);
        }
        Data::List(items) => {
            hasher.update(b"[");
            items.iter().for_each(|item| feed_node(hasher, item));
            hasher.update(b"]");
        }
        Data::Map(entries) => {
            hasher.update(b"{");
            for entry in entries {
                feed(hasher, &entry.key);
                feed_node(hasher, &entry.value);
            }
            hasher.update(b"}");
        }
    }
}

fn level(entries: &[Entry<'_>], report: &mut Report<'_>) -> Level {
    let Some(entry) = find(entries, "level") else {
        return Level::default();
    };
    let Some(text) = text(entry, report) else {
        return Level::default();
    };
    let known = Level::ALL
        .into_iter()
        .find(|level| level.as_str().eq_ignore_ascii_case(&text));
    known.unwrap_or_else(|| {
        let names = Level::ALL.map(Level::as_str);
        let help = match similar(&text, &names) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("levels are {}", names.join(", ")),
        };
        let message = format!("`{text}` is not a level; the rule is taken as medium");
        report.advise(&codes::UNKNOWN_LEVEL, entry.value.span, message, help);
        Level::default()
    })
}

fn status(entries: &[Entry<'_>], report: &mut Report<'_>) -> Option<String> {
    let entry = find(entries, "status")?;
    let status = text(entry, report)?;
    if !STATUSES.contains(&status.as_str()) {
        let message = format!("`{status}` is not a status");
        report.advise(
            &codes::UNKNOWN_STATUS,
            entry.value.span,
            message,
            format!("statuses are {}", STATUSES.join(", ")),
        );
    }
    Some(status)
}

/// Sigma allows keys of one's own, so only those that look like a slip are named.
fn warn_of_misspelt_keys(entries: &[Entry<'_>], report: &mut Report<'_>) {
    for entry in entries.iter().filter(|entry| !KNOWN.contains(&&*entry.key)) {
        let known = KNOWN
            .iter()
            .copied()
            .filter(|known| find(entries, known).is_none())
            .collect::<Vec<_>>();
        if let Some(meant) = similar(&entry.key, &known) {
            let message = format!("`{}` is not a key of Sigma", entry.key);
            report.advise(
                &codes::MISSPELT_KEY,
                entry.key_span,
                message,
                format!("did you mean `{meant}`?"),
            );
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;
    use crate::yaml;

    fn derived(source: &str) -> String {
        let (documents, _) = yaml::parse(source);
        derived_id(documents[0].entries().expect("a mapping"))
    }

    #[test]
    fn derived_ids_are_uuids_of_the_content_alone() {
        let rule = "title: a\ndetection:\n  sel: {x: 1}\n  condition: sel\n";
        let id = derived(rule);
        assert!(is_uuid(&id), "{id}");
        assert_eq!(id.as_bytes()[14], b'8', "{id}");
        assert_eq!(derived(&format!("# comment\nlevel: high\n{rule}")), id);
        assert_ne!(derived(&rule.replace("x: 1", "x: 2")), id);
        assert_ne!(derived(&rule.replace("sel", "sal")), id);
    }
}
