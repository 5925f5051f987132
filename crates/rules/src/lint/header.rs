//! What a rule says about itself, in the forms that the specification gives: dates, tags, title, relations.

use crate::codes;
use crate::fields::{find, similar};
use crate::report::Report;
use crate::yaml::{Entry, Node};

/// The longest title, in characters (Sigma specification 2.1, "Title").
const LONGEST_TITLE: usize = 256;

/// How rules may be related (Sigma specification 2.1, "Related").
const RELATIONS: [&str; 6] = [
    "correlation",
    "derived",
    "merged",
    "obsolete",
    "renamed",
    "similar",
];

/// ATT&CK's tactics, enterprise and ICS, as tags spell them.
const TACTICS: [&str; 19] = [
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "stealth",
    "defense-impairment",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
    "evasion",
    "inhibit-response-function",
    "impair-process-control",
];

pub(super) fn check(entries: &[Entry<'_>], report: &mut Report<'_>) {
    for key in ["date", "modified"] {
        if let Some(entry) = find(entries, key) {
            date(entry, report);
        }
    }
    for tag in find(entries, "tags").map_or(&[][..], |entry| entry.value.items()) {
        self::tag(tag, report);
    }
    if let Some(title) = find(entries, "title")
        && let Some(text) = title.value.text()
    {
        let length = text.chars().count();
        if length > LONGEST_TITLE {
            let message =
                format!("the title has {length} characters; Sigma allows {LONGEST_TITLE}");
            report.advise(
                &codes::LONG_TITLE,
                title.value.span,
                message,
                "say the rest in `description`",
            );
        }
    }
    for related in find(entries, "related").map_or(&[][..], |entry| entry.value.items()) {
        relation(related, report);
    }
}

fn date(entry: &Entry<'_>, report: &mut Report<'_>) {
    let Some(text) = entry.value.text() else {
        return;
    };
    if is_date(text) {
        return;
    }
    let message = format!("`{}` is not a date as Sigma writes them", entry.key);
    let dashed = text.replace(['/', '.'], "-");
    let help = if is_date(&dashed) {
        format!("write `{}: {dashed}`", entry.key)
    } else {
        "write it as YYYY-MM-DD".to_owned()
    };
    report.advise(&codes::BAD_DATE, entry.value.span, message, help);
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    let within = |text: &str, most: u8| text.parse::<u8>().is_ok_and(|n| (1..=most).contains(&n));
    digits(year, 4) && digits(month, 2) && digits(day, 2) && within(month, 12) && within(day, 31)
}

fn tag(node: &Node<'_>, report: &mut Report<'_>) {
    let Some(text) = node.text() else {
        return;
    };
    let Some(fault) = fault_of_tag(text) else {
        return;
    };
    let message = format!("`{text}` is not a tag as Sigma writes them");
    report.advise(&codes::BAD_TAG, node.span, message, fault);
}

/// What is wrong with a tag, as what to do about it.
fn fault_of_tag(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    if lower != text {
        return Some(format!("tags are written in lower case: `{lower}`"));
    }
    let Some((namespace, name)) = text.split_once('.') else {
        return Some("write a namespace, a dot and a name, as in `attack.t1059`".to_owned());
    };
    let plain = |text: &str, dots: bool| {
        !text.is_empty()
            && text.bytes().all(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || matches!(b, b'-' | b'_')
                    || (dots && b == b'.')
            })
    };
    if !plain(namespace, false) || !plain(name, true) {
        return Some("a tag holds only lower-case letters, digits, `-`, `_` and dots".to_owned());
    }
    if namespace != "attack" || is_attack_id(name) || TACTICS.contains(&name) {
        return None;
    }
    let dashed = name.replace('_', "-");
    if TACTICS.contains(&dashed.as_str()) {
        return Some(format!("write `attack.{dashed}`"));
    }
    if let Some(meant) = similar(name, &TACTICS) {
        return Some(format!("did you mean `attack.{meant}`?"));
    }
    let looks_like_id = name.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    looks_like_id.then(|| "a technique is `attack.t` and four digits, a sub-technique three more: `attack.t1059.001`".to_owned())
}

/// Whether it is a technique, group, software, mitigation, campaign, tactic or data source of ATT&CK.
fn is_attack_id(name: &str) -> bool {
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(number) = name.strip_prefix("ta").or_else(|| name.strip_prefix("ds")) {
        return digits(number, 4);
    }
    if let Some(technique) = name.strip_prefix('t') {
        return match technique.split_once('.') {
            Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
            None => digits(technique, 4),
        };
    }
    ["g", "s", "m", "c"].into_iter().any(|kind| {
        name.strip_prefix(kind)
            .is_some_and(|number| digits(number, 4))
    })
}

fn relation(node: &Node<'_>, report: &mut Report<'_>) {
    let Some(entry) = node.entries().and_then(|entries| find(entries, "type")) else {
        return;
    };
    let Some(text) = entry.value.text().filter(|text| !RELATIONS.contains(text)) else {
        return;
    };
    let message = format!("`{text}` is not a relation between rules");
    let help = match similar(text, &RELATIONS) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("relations are {}", RELATIONS.join(", ")),
    };
    report.advise(&codes::UNKNOWN_RELATION, entry.value.span, message, help);
}
