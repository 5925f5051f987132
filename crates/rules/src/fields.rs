//! Reading the keys of a mapping, each as the kind it should be.

use crate::codes;
use crate::diagnostic::Span;
use crate::report::Report;
use crate::scalar::Scalar;
use crate::yaml::{Data, Entry, Node};

impl<'a> Node<'a> {
    /// The scalar's meaning; none for lists and mappings.
    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.data {
            Data::Scalar(text, style) => Some(Scalar::read(text, *style)),
            Data::List(_) | Data::Map(_) => None,
        }
    }

    /// The scalar as it is spelt in the file; none for null, lists and mappings.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(text, _) if self.scalar() != Some(Scalar::Null) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn entries(&self) -> Option<&[Entry<'a>]> {
        match &self.data {
            Data::Map(entries) => Some(entries),
            Data::Scalar(..) | Data::List(_) => None,
        }
    }

    /// The items of a list; a single value is a list of one.
    pub(crate) fn items(&self) -> &[Node<'a>] {
        match &self.data {
            Data::List(items) => items,
            Data::Scalar(..) | Data::Map(_) => std::slice::from_ref(self),
        }
    }

    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match (&self.data, self.scalar()) {
            (Data::List(_), _) => "a list",
            (Data::Map(_), _) => "a mapping",
            (_, Some(Scalar::Null)) => "null",
            (_, Some(Scalar::Bool(_))) => "a boolean",
            (_, Some(Scalar::Int(_) | Scalar::Float(_))) => "a number",
            (_, _) => "text",
        }
    }
}

/// The entry of a key.
pub(crate) fn find<'n, 'a>(entries: &'n [Entry<'a>], key: &str) -> Option<&'n Entry<'a>> {
    entries.iter().find(|entry| entry.key == key)
}

/// The entry of a key that must be there; `inside` is the place of the mapping's own key, to point at when it is not.
pub(crate) fn require<'n, 'a>(
    entries: &'n [Entry<'a>],
    key: &str,
    inside: Span,
    report: &mut Report<'_>,
) -> Option<&'n Entry<'a>> {
    let found = find(entries, key);
    if found.is_none() {
        report.add(
            &codes::MISSING_KEY,
            inside,
            format!("the key `{key}` is missing"),
        );
    }
    found
}

/// Complains about a value of the wrong kind.
pub(crate) fn wrong_type(entry: &Entry<'_>, wanted: &str, report: &mut Report<'_>) {
    let message = format!(
        "`{}` must be {wanted}, not {}",
        entry.key,
        entry.value.kind()
    );
    report.add(&codes::WRONG_TYPE, entry.value.span, message);
}

/// The text of an entry, as spelt. Complains when it is something else.
pub(crate) fn text(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = entry.value.text().map(str::to_owned);
    if text.is_none() {
        wrong_type(entry, "text", report);
    }
    text
}

/// The mapping of an entry. Complains when it is something else.
pub(crate) fn mapping<'n, 'a>(
    entry: &'n Entry<'a>,
    report: &mut Report<'_>,
) -> Option<&'n [Entry<'a>]> {
    let entries = entry.value.entries();
    if entries.is_none() {
        wrong_type(entry, "a mapping", report);
    }
    entries
}

/// Texts with their places: of a list, or a single text. Complains about every other item.
pub(crate) fn texts(entry: &Entry<'_>, report: &mut Report<'_>) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    for item in entry.value.items() {
        match item.text() {
            Some(text) => found.push((text.to_owned(), item.span)),
            None => {
                let message = format!(
                    "`{}` must be text or a list of texts, not {}",
                    entry.key,
                    item.kind()
                );
                report.add(&codes::WRONG_TYPE, item.span, message);
            }
        }
    }
    found
}

/// Complains about every key that is not one of `known`.
pub(crate) fn refuse_others(
    entries: &[Entry<'_>],
    known: &[&str],
    what: &str,
    report: &mut Report<'_>,
) {
    for entry in entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
        let message = format!("{what} has no key `{}`", entry.key);
        let help = match similar(&entry.key, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("its keys are {}", known.join(", ")),
        };
        report.advise(&codes::UNKNOWN_KEY, entry.key_span, message, help);
    }
}

/// The word of `known` that `word` is probably a misspelling of: at most two edits away, and fewer than half of its letters.
#[must_use]
pub fn similar<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    const LONGEST: usize = 40;
    if word.chars().count() > LONGEST {
        return None;
    }
    let plain = word.to_lowercase().replace('_', "-");
    known
        .iter()
        .map(|candidate| (edits(&plain, &candidate.replace('_', "-")), *candidate))
        .filter(|(distance, candidate)| *distance <= 2 && distance * 2 < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut corner = i;
        let mut before = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&right) {
            let cost = corner + usize::from(a != *b);
            corner = *cell;
            before = cost.min(before + 1).min(*cell + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
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

    #[test]
    fn edits_count_insertions_deletions_and_changes() {
        for (left, right, distance) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("contain", "contains", 1),
            ("kitten", "sitting", 3),
            ("sum", "sum", 0),
            ("meen", "mean", 1),
            ("stdev", "stddev", 1),
            ("count", "cuont", 2),
        ] {
            assert_eq!(edits(left, right), distance, "{left} {right}");
            assert_eq!(edits(right, left), distance, "{right} {left}");
        }
    }

    #[test]
    fn a_misspelt_word_finds_the_one_meant() {
        let known = ["contains", "startswith", "re", "group-by"];
        assert_eq!(similar("contain", &known), Some("contains"));
        assert_eq!(similar("StartsWith", &known), Some("startswith"));
        assert_eq!(similar("group_by", &known), Some("group-by"));
        assert_eq!(similar("ra", &known), None);
        assert_eq!(similar("unheard", &known), None);
    }
}
