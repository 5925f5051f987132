//! From one YAML document to one rule, its references to others still text.

use std::collections::BTreeMap;

use crate::codes;
use crate::correlation;
use crate::diagnostic::Span;
use crate::fields::{find, mapping};
use crate::filter;
use crate::header::{self, Identity};
use crate::logsource;
use crate::outline;
use crate::report::Report;
use crate::resolve;
use crate::rollup::{self, Rollup};
use crate::rule::RuleHeader;
use crate::yaml::{Entry, Node};

/// A rule that may refer to others.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) identity: Identity,
    pub(crate) body: Body,
}

/// What kind of rule it is.
#[derive(Debug)]
pub(crate) enum Body {
    Detection(outline::Draft),
    Correlation(correlation::Draft),
    Filter(filter::Draft),
    Rollup(Rollup),
    /// It does not load, and what is wrong has been reported. Others may still refer to it.
    Broken,
}

const KINDS: [&str; 4] = ["detection", "correlation", "filter", "rollup"];

/// Reads the rules of a file. Complains about everything wrong in them.
pub(crate) fn read_all(documents: &[Node<'_>], report: &mut Report<'_>) -> Vec<Draft> {
    let mut drafts = Vec::with_capacity(documents.len());
    for document in documents {
        let Some(entries) = document.entries() else {
            let message = format!("a rule is a mapping, and this is {}", document.kind());
            report.add(&codes::NOT_A_RULE, start(document), message);
            continue;
        };
        if let Some(action) = find(entries, "action") {
            let message = "`action` documents are no longer part of Sigma; what follows in this file is not read";
            let help =
                "write every rule out in full; a correlation rule replaces `action: correlation`";
            report.advise(&codes::ACTION, action.key_span, message, help);
            break;
        }
        drafts.extend(read(document, entries, report));
    }
    drafts
}

fn start(document: &Node<'_>) -> Span {
    Span {
        len: 0,
        ..document.span
    }
}

fn read(document: &Node<'_>, entries: &[Entry<'_>], report: &mut Report<'_>) -> Option<Draft> {
    let kinds: Vec<&Entry<'_>> = entries
        .iter()
        .filter(|entry| KINDS.contains(&&*entry.key))
        .collect();
    let kind = match kinds.as_slice() {
        [kind] => *kind,
        [] => {
            let message = "this is not a rule: it has no detection, correlation, filter or rollup";
            report.add(&codes::NOT_A_RULE, start(document), message);
            return None;
        }
        [first, second, ..] => {
            let message = format!("a rule cannot be both `{}` and `{}`", first.key, second.key);
            report.advise(
                &codes::NOT_A_RULE,
                second.key_span,
                message,
                "write two rules, with `---` between them",
            );
            return None;
        }
    };
    let before = report.errors();
    let identity = header::identity(entries, start(document), report);
    let header = header::read(entries, start(document), &identity, report);
    // The body is read even when the header is broken, so that every mistake is reported at once.
    let header = header.unwrap_or_else(|| placeholder(&identity, document, report));
    let body = body(kind, entries, header, report);
    let body = body
        .filter(|_| report.errors() == before)
        .unwrap_or(Body::Broken);
    Some(Draft { identity, body })
}

fn body(
    kind: &Entry<'_>,
    entries: &[Entry<'_>],
    header: RuleHeader,
    report: &mut Report<'_>,
) -> Option<Body> {
    if let Some(entry) = find(entries, "suppress").filter(|_| !can_suppress(&kind.key)) {
        let message = format!("a {} sends no alerts that `suppress` could count", kind.key);
        let help = "detections and correlations may say it";
        report.advise(&codes::BAD_SUPPRESSION, entry.key_span, message, help);
    }
    let keeps = match &*kind.key {
        "correlation" | "rollup" => true,
        "detection" => header.suppress.is_some(),
        _ => false,
    };
    if let Some(entry) = find(entries, "state").filter(|_| !keeps) {
        let message = format!("a {} keeps no groups that `state` could bound", kind.key);
        let help = "correlations and rollups may say it, and detections with `suppress`";
        report.advise(&codes::BAD_BUDGET, entry.key_span, message, help);
    }
    Some(match &*kind.key {
        "correlation" => {
            suppresses_by_group(kind, entries, &header, report);
            Body::Correlation(correlation::read(kind, header, report)?)
        }
        "filter" => Body::Filter(filter::read(kind, entries, header, report)?),
        "rollup" => Body::Rollup(rollup::read(kind, header, report)?),
        _ => {
            let logsource = logsource::read(entries, header.span, report);
            let detection = mapping(kind, report)?;
            let outline = resolve::detection(detection, kind.key_span, &[], report)?;
            Body::Detection(outline::Draft {
                header,
                logsource: logsource?,
                outline,
                attributes: attributes(entries),
            })
        }
    })
}

fn can_suppress(kind: &str) -> bool {
    matches!(kind, "detection" | "correlation")
}

/// A correlation's findings have the values of their group and no other, and those that are told early are told too soon.
fn suppresses_by_group(
    kind: &Entry<'_>,
    entries: &[Entry<'_>],
    header: &RuleHeader,
    report: &mut Report<'_>,
) {
    let Some(suppress) = &header.suppress else {
        return;
    };
    let inside = kind.value.entries().unwrap_or_default();
    let place = find(entries, "suppress").map_or(header.span, |entry| entry.key_span);
    // `field` is there only where its values are to be new, and then they are part of the group.
    let groups: Vec<&str> = ["group-by", "field"]
        .iter()
        .filter_map(|key| find(inside, key))
        .flat_map(|entry| entry.value.items())
        .filter_map(Node::text)
        .collect();
    for name in &suppress.by {
        if !groups.contains(&&**name) {
            let message = format!("the findings have no `{name}`: `group-by` does not name it");
            report.add(&codes::BAD_SUPPRESSION, place, message);
        }
    }
    let early = find(inside, "emit").and_then(|entry| entry.value.text()) == Some("early");
    if early {
        let message =
            "what is told early cannot be suppressed: which alert is the first is not known yet";
        let help = "leave out `emit: early` or `suppress`";
        report.advise(&codes::BAD_SUPPRESSION, place, message, help);
    }
}

/// What a rule says about itself in single values, by key.
fn attributes(entries: &[Entry<'_>]) -> BTreeMap<String, String> {
    let said = entries
        .iter()
        .filter_map(|entry| Some((entry.key.to_string(), entry.value.text()?.to_owned())));
    said.collect()
}

/// A header for reading the body of a rule that has none.
fn placeholder(identity: &Identity, document: &Node<'_>, report: &Report<'_>) -> RuleHeader {
    RuleHeader {
        id: identity.id.clone(),
        name: None,
        title: String::new(),
        description: None,
        level: crate::rule::Level::default(),
        status: None,
        tags: Vec::new(),
        author: None,
        references: Vec::new(),
        falsepositives: Vec::new(),
        suppress: None,
        state: crate::StateBudget::default(),
        file: report.file.clone(),
        span: start(document),
    }
}
