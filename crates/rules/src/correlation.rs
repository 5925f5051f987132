//! Correlations: what several events together must look like.

use std::collections::BTreeMap;

use crate::codes;
use crate::detection::CompareOp;
use crate::diagnostic::Span;
use crate::fields::{find, mapping, refuse_others, require, similar, text, texts, wrong_type};
use crate::report::Report;
use crate::rule::RuleHeader;
use crate::scalar::Scalar;
use crate::yaml::Entry;

/// A Sigma correlation rule, its references resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlation {
    /// What the rule says about itself.
    pub header: RuleHeader,
    /// What is computed over the window.
    pub kind: CorrelationKind,
    /// The detections whose matches it counts: indices into [`crate::RuleSet::detections`], distinct, in the order written.
    pub rules: Vec<usize>,
    /// Group names: fields, or names defined in `aliases`. Empty: one group for all events.
    pub group_by: Vec<String>,
    /// Length of the sliding window in nanoseconds; positive.
    pub timespan_ns: i64,
    /// What the computed number must satisfy. All must hold, so two make a range. Not empty; numbers are finite.
    pub condition: Vec<(CompareOp, f64)>,
    /// Group name → detection index → the field of that rule's events to group by. A rule that is not named here groups by the
    /// field called as the group.
    pub aliases: BTreeMap<String, BTreeMap<usize, String>>,
    /// Whether the detections it counts alert by themselves too.
    pub generate: bool,
}

/// What a correlation computes over its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CorrelationKind {
    /// The number of matching events.
    EventCount,
}

/// A rule's id or name, as another rule writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A correlation whose references are still text.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) header: RuleHeader,
    pub(crate) kind: CorrelationKind,
    pub(crate) rules: Vec<Reference>,
    pub(crate) group_by: Vec<String>,
    pub(crate) timespan_ns: i64,
    pub(crate) condition: Vec<(CompareOp, f64)>,
    pub(crate) aliases: BTreeMap<String, Vec<(Reference, String)>>,
    pub(crate) generate: bool,
}

const KEYS: [&str; 7] = [
    "type",
    "rules",
    "group-by",
    "timespan",
    "condition",
    "aliases",
    "generate",
];

/// Types of Sigma v2.1.0 and pySigma that are not supported yet.
const LATER: [&str; 9] = [
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
    "temporal_extended",
    "temporal_ordered_extended",
];

const NANOSECONDS: i64 = 1_000_000_000;

/// Reads the `correlation` of a rule. Complains about everything wrong in it, and gives none when anything is.
pub(crate) fn read(
    entry: &Entry<'_>,
    header: RuleHeader,
    report: &mut Report<'_>,
) -> Option<Draft> {
    let entries = mapping(entry, report)?;
    let inside = entry.key_span;
    let kind = require(entries, "type", inside, report).and_then(|entry| kind(entry, report))?;
    refuse_others(entries, &KEYS, "a correlation", report);
    let rules =
        require(entries, "rules", inside, report).and_then(|entry| references(entry, report));
    let group_by = find(entries, "group-by")
        .map(|entry| texts(entry, report))
        .unwrap_or_default();
    let group_by: Vec<String> = group_by.into_iter().map(|(text, _)| text).collect();
    let timespan =
        require(entries, "timespan", inside, report).and_then(|entry| timespan(entry, report));
    let condition =
        require(entries, "condition", inside, report).and_then(|entry| condition(entry, report));
    let aliases = match find(entries, "aliases") {
        Some(entry) => aliases(entry, &group_by, report),
        None => Some(BTreeMap::new()),
    };
    let generate = match find(entries, "generate") {
        Some(entry) => boolean(entry, report),
        None => Some(false),
    };
    Some(Draft {
        header,
        kind,
        rules: rules?,
        group_by,
        timespan_ns: timespan?,
        condition: condition?,
        aliases: aliases?,
        generate: generate?,
    })
}

fn kind(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<CorrelationKind> {
    let name = text(entry, report)?;
    let span = entry.value.span;
    match name.as_str() {
        "event_count" => return Some(CorrelationKind::EventCount),
        later if LATER.contains(&later) => {
            let message = format!("correlations of type `{later}` are not supported yet");
            report.advise(
                &codes::UNSUPPORTED_CORRELATION,
                span,
                message,
                "event_count is",
            );
        }
        other => {
            let known: Vec<&str> = ["event_count"].into_iter().chain(LATER).collect();
            let message = format!("there is no type of correlation `{other}`");
            let help = similar(other, &known).map_or("write event_count".to_owned(), |meant| {
                format!("did you mean `{meant}`?")
            });
            report.advise(&codes::UNSUPPORTED_CORRELATION, span, message, help);
        }
    }
    None
}

/// The rules that an entry refers to; each once. Complains when there are none.
pub(crate) fn references(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Vec<Reference>> {
    let mut found: Vec<Reference> = Vec::new();
    let written = texts(entry, report);
    let sound = written.len() == entry.value.items().len();
    for (text, span) in written {
        if found.iter().any(|earlier| earlier.text == text) {
            report.add(
                &codes::NO_EFFECT,
                span,
                format!("`{text}` is referred to twice"),
            );
        } else {
            found.push(Reference { text, span });
        }
    }
    if sound && found.is_empty() {
        report.add(
            &codes::MISSING_KEY,
            entry.value.span,
            format!("`{}` names no rule", entry.key),
        );
    }
    (sound && !found.is_empty()).then_some(found)
}

fn boolean(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<bool> {
    match entry.value.scalar() {
        Some(Scalar::Bool(value)) => Some(value),
        _ => {
            wrong_type(entry, "true or false", report);
            None
        }
    }
}

/// A duration such as `15m`.
pub(crate) fn timespan(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<i64> {
    let text = text(entry, report)?;
    let span = nanoseconds(&text);
    if span.is_none() {
        let message = format!("`{text}` is not a timespan");
        let help = "write a whole number above 0 and its unit: s, m (minutes), h, d, w, M (months) or y, as in 15m";
        report.advise(&codes::BAD_TIMESPAN, entry.value.span, message, help);
    }
    span
}

/// A timespan of Sigma in nanoseconds; months and years have their mean length in the Gregorian calendar, as pySigma takes them.
fn nanoseconds(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        'M' => 2_629_746,
        'y' => 31_556_952,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: i64 = digits.parse().ok()?;
    count
        .checked_mul(seconds)?
        .checked_mul(NANOSECONDS)
        .filter(|span| *span > 0)
}

fn condition(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Vec<(CompareOp, f64)>> {
    let entries = mapping(entry, report)?;
    let mut bounds = Vec::new();
    for bound in entries {
        let op = match &*bound.key {
            "gt" => CompareOp::Gt,
            "gte" => CompareOp::Gte,
            "lt" => CompareOp::Lt,
            "lte" => CompareOp::Lte,
            "eq" => CompareOp::Eq,
            "neq" => CompareOp::Neq,
            "field" => {
                report.add(
                    &codes::BAD_THRESHOLD,
                    bound.key_span,
                    "`event_count` counts events, whatever a field's value",
                );
                continue;
            }
            other => {
                let message =
                    format!("`{other}` does not compare; write one of gt, gte, lt, lte, eq, neq");
                report.add(&codes::BAD_THRESHOLD, bound.key_span, message);
                continue;
            }
        };
        match bound.value.scalar().and_then(|scalar| scalar.number()) {
            Some(number) => bounds.push((op, number)),
            None => {
                let message = format!(
                    "`{}` compares with a number, not {}",
                    bound.key,
                    bound.value.kind()
                );
                report.add(&codes::BAD_THRESHOLD, bound.value.span, message);
            }
        }
    }
    if entries.is_empty() {
        report.add(
            &codes::BAD_THRESHOLD,
            entry.value.span,
            "the condition compares with nothing; write one as in `gte: 10`",
        );
    }
    (!bounds.is_empty() && bounds.len() == entries.len()).then_some(bounds)
}

type Aliases = BTreeMap<String, Vec<(Reference, String)>>;

fn aliases(entry: &Entry<'_>, group_by: &[String], report: &mut Report<'_>) -> Option<Aliases> {
    let mut found = Aliases::new();
    let mut sound = true;
    for alias in mapping(entry, report)? {
        if !group_by.iter().any(|group| *group == alias.key) {
            let message = format!("`group-by` does not name the alias `{}`", alias.key);
            report.add(&codes::UNUSED_ALIAS, alias.key_span, message);
        }
        let Some(fields) = mapping(alias, report) else {
            sound = false;
            continue;
        };
        for field in fields {
            let reference = Reference {
                text: field.key.clone().into_owned(),
                span: field.key_span,
            };
            match text(field, report) {
                Some(name) => found
                    .entry(alias.key.clone().into_owned())
                    .or_default()
                    .push((reference, name)),
                None => sound = false,
            }
        }
    }
    sound.then_some(found)
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
    fn timespans_are_numbers_with_units() {
        for (text, seconds) in [
            ("10s", Some(10)),
            ("15m", Some(900)),
            ("1h", Some(3_600)),
            ("1d", Some(86_400)),
            ("2w", Some(1_209_600)),
            ("1M", Some(2_629_746)),
            ("1y", Some(31_556_952)),
            ("0s", None),
            ("5", None),
            ("m", None),
            ("", None),
            ("-5m", None),
            ("+5m", None),
            ("1.5h", None),
            ("5 m", None),
            ("5ms", None),
            ("5é", None),
            ("999999y", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(
                nanoseconds(text),
                seconds.map(|s: i64| s * NANOSECONDS),
                "{text}"
            );
        }
    }
}
