//! An item of a selection: a field, its modifiers and its values.

use std::sync::Arc;

use super::claim::Claim;
use super::{field, regex_end};
use crate::codes;
use crate::detection::Position;
use crate::modifier::{self, Chain, Kind, Step};
use crate::pattern::{Pattern, Piece};
use crate::regex;
use crate::report::Report;
use crate::rule::Logsource;
use crate::selection::split_key;
use crate::value;
use crate::yaml::{Data, Entry, Node, Style};

/// Longest list of values that are compared each with each.
const MOST_COMPARED: usize = 150;

pub(super) fn check(entry: &Entry<'_>, logsource: &Logsource, report: &mut Report<'_>) {
    let (name, modifiers) = split_key(entry);
    if !name.is_empty() {
        field::check(name, entry, logsource, report);
    }
    let mut scratch = Report::new(Arc::clone(&report.file), "");
    let Some(chain) = modifier::read(&modifiers, &mut scratch) else {
        return;
    };
    for value in entry.value.items() {
        match chain.kind {
            Kind::Text => text(value, name, &chain, logsource, report),
            Kind::Regex(_) => regex(value, &chain, report),
            Kind::Compare(_) => quoted_number(value, report),
            _ => {}
        }
    }
    if chain.kind == Kind::Text {
        idle_windash(entry, &chain, report);
        covered(entry, name, &chain, &mut scratch, logsource, report);
    }
}

fn position(chain: &Chain) -> Option<Position> {
    chain.steps.iter().find_map(|step| match step {
        Step::At(position) => Some(*position),
        _ => None,
    })
}

/// Lints on one text value.
fn text(
    value: &Node<'_>,
    name: &str,
    chain: &Chain,
    logsource: &Logsource,
    report: &mut Report<'_>,
) {
    let Some(text) = value.text() else {
        return;
    };
    let only_position = chain.steps.iter().all(|step| matches!(step, Step::At(_)));
    if !only_position {
        return;
    }
    let position = position(chain);
    idle_wildcards(value, text, position, name, report);
    escaped_wildcard(value, text, report);
    lost_backslash(value, text, position, name, report);
    unexpanded(value, text, chain, report);
    if position.is_none() && field::holds_paths(name, logsource) {
        bare_file_name(value, text, name, report);
    }
}

fn idle_wildcards(
    value: &Node<'_>,
    text: &str,
    position: Option<Position>,
    name: &str,
    report: &mut Report<'_>,
) {
    let pattern = Pattern::parse(text);
    if pattern.is_only_wildcards() {
        return;
    }
    let first = pattern.pieces.first() == Some(&Piece::AnyString);
    let last = pattern.pieces.last() == Some(&Piece::AnyString);
    // Keywords are looked for anywhere.
    let (word, front, back) = match position {
        Some(Position::Contains) => ("contains", first, last),
        Some(Position::Start) => ("startswith", false, last),
        Some(Position::End) => ("endswith", first, false),
        None if name.is_empty() => ("a keyword", first, last),
        None | Some(Position::Whole) => return,
    };
    let end = match (front, back) {
        (true, true) => "at both ends",
        (true, false) => "at the start",
        (false, true) => "at the end",
        (false, false) => return,
    };
    let message = format!("the `*` {end} changes nothing: {word} allows anything there");
    report.advise(&codes::IDLE_WILDCARD, value.span, message, "leave it out");
}

/// `C:\Windows\*`: the star is a plain one, and file names hold none.
fn escaped_wildcard(value: &Node<'_>, text: &str, report: &mut Report<'_>) {
    let Some(kept) = text
        .strip_suffix(r"\*")
        .or_else(|| text.strip_suffix(r"\?"))
    else {
        return;
    };
    // Three backslashes: whoever writes those means the plain character.
    let escaped = !kept.ends_with('\\');
    let in_path =
        kept.contains('\\') && !kept.contains([' ', '/', '"', '*', '?']) || is_drive(kept);
    if !escaped || !in_path {
        return;
    }
    let wildcard = text.chars().last().unwrap_or('*');
    let message = format!("`\\{wildcard}` is a plain `{wildcard}` here, not a wildcard");
    let help = format!(
        "for a backslash and a wildcard behind it, write `\\\\{wildcard}`: `{kept}\\\\{wildcard}`"
    );
    report.advise(&codes::ESCAPED_WILDCARD, value.span, message, help);
}

fn is_drive(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic())
}

/// `\\server\share`: the two backslashes are one.
fn lost_backslash(
    value: &Node<'_>,
    text: &str,
    position: Option<Position>,
    name: &str,
    report: &mut Report<'_>,
) {
    let at_start =
        matches!(position, None | Some(Position::Start | Position::Whole)) && !name.is_empty();
    let Some(rest) = text.strip_prefix(r"\\").filter(|_| at_start) else {
        return;
    };
    let starts_name = rest.starts_with(|c: char| c.is_alphanumeric());
    let device = rest.starts_with(r"?\") || rest.starts_with(r".\");
    // A server's name is followed by a share's.
    if !(starts_name && rest.contains('\\') || device) {
        return;
    }
    let message = "the two backslashes at the start are one: a path such as `\\\\server\\share` never matches this";
    let help = format!(
        "write four of them: `\\\\\\\\{}`",
        rest.replacen(r"?\", r"\?\", usize::from(rest.starts_with('?')))
    );
    report.advise(&codes::LOST_BACKSLASH, value.span, message, help);
}

/// `%admins%` where `expand` was forgotten. Names of environment variables are told apart by where they stand: never alone.
fn unexpanded(value: &Node<'_>, text: &str, chain: &Chain, report: &mut Report<'_>) {
    let name = text
        .strip_prefix('%')
        .and_then(|text| text.strip_suffix('%'));
    let Some(name) = name.filter(|_| chain.steps.is_empty()) else {
        return;
    };
    let is_name = name.len() > 1
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_name {
        let message =
            format!("`{text}` is looked for as it is written: the field has no modifier `expand`");
        report.advise(
            &codes::UNEXPANDED,
            value.span,
            message,
            "for the values that the placeholder stands for, add `|expand` to the field",
        );
    }
}

fn bare_file_name(value: &Node<'_>, text: &str, name: &str, report: &mut Report<'_>) {
    let pattern = Pattern::parse(text);
    let [Piece::Literal(literal)] = pattern.pieces.as_slice() else {
        return;
    };
    let lower = literal.to_ascii_lowercase();
    let is_file = [".exe", ".dll", ".sys", ".com", ".bat", ".ps1"]
        .iter()
        .any(|end| lower.ends_with(end));
    if is_file && !literal.contains(['\\', '/']) {
        let message = format!("`{name}` holds a whole path, which is never just `{literal}`");
        report.advise(
            &codes::BARE_FILE_NAME,
            value.span,
            message,
            format!("write `{name}|endswith: '\\{literal}'`"),
        );
    }
}

fn regex(value: &Node<'_>, chain: &Chain, report: &mut Report<'_>) {
    let Some(text) = value.text().filter(|_| chain.steps.is_empty()) else {
        return;
    };
    // Where plain text would do, that has been said already.
    if regex::plain_alternative(text).is_some() {
        return;
    }
    if let Some(shorter) = regex_end::shorter(text) {
        report.advise(
            &codes::IDLE_REGEX_END,
            value.span,
            "`.*` at the end of a regular expression changes nothing: it is looked for anywhere in the value",
            format!("write `{shorter}`"),
        );
    }
}

fn quoted_number(value: &Node<'_>, report: &mut Report<'_>) {
    if let Data::Scalar(text, Style::Quoted) = &value.data
        && text.parse::<f64>().is_ok()
    {
        report.advise(
            &codes::QUOTED_NUMBER,
            value.span,
            "a number in quotes, where numbers are compared",
            format!("write {text} without quotes; other engines compare it as text"),
        );
    }
}

fn idle_windash(entry: &Entry<'_>, chain: &Chain, report: &mut Report<'_>) {
    let has_dash = |value: &Node<'_>| {
        value
            .text()
            .is_none_or(|text| text.contains(['-', '/', '–', '—', '―']))
    };
    if chain.steps.contains(&Step::Windash) && !entry.value.items().iter().any(has_dash) {
        report.advise(
            &codes::NO_EFFECT,
            entry.key_span,
            "`windash` changes nothing, for no value holds a dash or slash",
            "leave it out, or write the option with its dash",
        );
    }
}

/// Values of a list that another one makes superfluous.
fn covered(
    entry: &Entry<'_>,
    name: &str,
    chain: &Chain,
    scratch: &mut Report<'_>,
    logsource: &Logsource,
    report: &mut Report<'_>,
) {
    let values = entry.value.items();
    if values.len() < 2 || values.len() > MOST_COMPARED {
        return;
    }
    let field: Option<Arc<str>> = Some(name).filter(|name| !name.is_empty()).map(Arc::from);
    let mut claim = |value: &Node<'_>| {
        let read = match field {
            None => value::keyword(value, chain, scratch),
            Some(_) => value::field(value, chain, scratch),
        };
        let mut unfilled = Vec::new();
        let meaning = read.map(|value| value.lower(field.as_ref(), &mut unfilled));
        // What a placeholder stands for is not known here.
        meaning
            .filter(|_| unfilled.is_empty())
            .map_or(Claim::Opaque, |expr| Claim::of(&expr, logsource))
    };
    let claims: Vec<Claim> = values.iter().map(&mut claim).collect();
    for (n, value) in values.iter().enumerate() {
        let Some(own) = claims.get(n) else {
            continue;
        };
        let covers = |(m, other): &(usize, &Claim)| {
            let (narrow, wide) = if chain.all {
                (*other, own)
            } else {
                (own, *other)
            };
            // Of two that say the same the later one is superfluous.
            *m != n && narrow.implies(wide) && (*m < n || !wide.implies(narrow))
        };
        let Some(other) = claims
            .iter()
            .enumerate()
            .find(covers)
            .and_then(|(m, _)| values.get(m))
        else {
            continue;
        };
        let (own, other_text) = (
            value.text().unwrap_or_default(),
            other.text().unwrap_or_default(),
        );
        let line = other.span.line;
        let message = if own == other_text {
            format!("`{own}` is on line {line} already")
        } else if own.to_lowercase() == other_text.to_lowercase() {
            format!(
                "`{own}` differs from `{other_text}` on line {line} only in case, which does not matter"
            )
        } else if chain.all {
            format!(
                "`{own}` adds nothing: what matches `{other_text}` on line {line} matches it too"
            )
        } else {
            format!("`{own}` adds nothing: `{other_text}` on line {line} matches all that it does")
        };
        report.advise(&codes::COVERED_VALUE, value.span, message, "leave it out");
    }
}
