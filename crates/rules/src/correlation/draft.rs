//! A correlation as its document says it, its references still text.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{CorrelationKind, Emission, bounds, emission, timespan};
use crate::codes;
use crate::condition::{self, Condition};
use crate::detection::CompareOp;
use crate::diagnostic::Span;
use crate::fields::{find, mapping, refuse_others, require, similar, text, texts, wrong_type};
use crate::report::Report;
use crate::rule::RuleHeader;
use crate::scalar::Scalar;
use crate::yaml::{Entry, Node};

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
    pub(super) kind: CorrelationKind,
    /// Where the condition names the rules, those in the order of their first mention.
    pub(super) rules: Vec<Reference>,
    pub(super) group_by: Vec<(String, Span)>,
    pub(super) timespan_ns: i64,
    pub(super) condition: DraftCondition,
    pub(super) aliases: BTreeMap<String, Vec<(Reference, String)>>,
    pub(super) generate: bool,
    pub(super) emit: Emission,
    pub(super) quote: u32,
}

/// A condition whose rule names are still text.
#[derive(Debug)]
pub(super) enum DraftCondition {
    Number(Vec<(CompareOp, f64)>),
    Rules(Names, Span),
    /// All of the rules.
    All,
}

/// A [`super::Combination`] of names.
#[derive(Debug)]
pub(super) enum Names {
    Rule(Reference),
    Not(Box<Names>),
    And(Vec<Names>),
    Or(Vec<Names>),
}

/// The types of Sigma v2.1.0, and the two that pySigma knows by their condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    EventCount,
    ValueCount,
    Temporal,
    TemporalOrdered,
    ValueSum,
    ValueAvg,
    ValueMedian,
    ValuePercentile,
    TemporalExtended,
    TemporalOrderedExtended,
    /// Beyond Sigma.
    NewTerms,
}

const KEYS: [&str; 9] = [
    "type",
    "rules",
    "group-by",
    "timespan",
    "condition",
    "aliases",
    "generate",
    "emit",
    "quote",
];

/// `new_terms` has no condition, and names its fields beside the type.
const KEYS_OF_NEW_TERMS: [&str; 10] = [
    "type", "rules", "field", "group-by", "timespan", "remember", "aliases", "generate", "emit",
    "quote",
];

/// How many values a correlation of new terms knows exactly, unless it says otherwise; and the most that it may ask for.
const REMEMBERED: u32 = 100_000;
const MOST_REMEMBERED: f64 = 10_000_000.0;
/// Most events that an alert may be asked to quote.
const MOST_QUOTED: f64 = 20.0;

impl Type {
    const ALL: [Self; 11] = [
        Self::EventCount,
        Self::ValueCount,
        Self::Temporal,
        Self::TemporalOrdered,
        Self::ValueSum,
        Self::ValueAvg,
        Self::ValueMedian,
        Self::ValuePercentile,
        Self::TemporalExtended,
        Self::TemporalOrderedExtended,
        Self::NewTerms,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::EventCount => "event_count",
            Self::ValueCount => "value_count",
            Self::Temporal => "temporal",
            Self::TemporalOrdered => "temporal_ordered",
            Self::ValueSum => "value_sum",
            Self::ValueAvg => "value_avg",
            Self::ValueMedian => "value_median",
            Self::ValuePercentile => "value_percentile",
            Self::TemporalExtended => "temporal_extended",
            Self::TemporalOrderedExtended => "temporal_ordered_extended",
            Self::NewTerms => "new_terms",
        }
    }

    /// Whether its condition names a field.
    pub(super) fn has_field(self) -> bool {
        !matches!(self, Self::EventCount) && !self.is_temporal()
    }

    fn is_temporal(self) -> bool {
        self.is_ordered() || matches!(self, Self::Temporal | Self::TemporalExtended)
    }

    fn is_ordered(self) -> bool {
        matches!(self, Self::TemporalOrdered | Self::TemporalOrderedExtended)
    }

    fn is_extended(self) -> bool {
        matches!(self, Self::TemporalExtended | Self::TemporalOrderedExtended)
    }
}

/// Reads the `correlation` of a rule. Complains about everything wrong in it, and gives none when anything is.
pub(crate) fn read(
    entry: &Entry<'_>,
    header: RuleHeader,
    report: &mut Report<'_>,
) -> Option<Draft> {
    let entries = mapping(entry, report)?;
    let inside = entry.key_span;
    let of = require(entries, "type", inside, report).and_then(|entry| kind(entry, report))?;
    if of == Type::NewTerms {
        refuse_others(
            entries,
            &KEYS_OF_NEW_TERMS,
            "a correlation of new terms",
            report,
        );
    } else {
        refuse_others(entries, &KEYS, "a correlation", report);
    }
    let condition = condition(of, entries, inside, report);
    let rules = match (find(entries, "rules"), &condition) {
        (Some(entry), _) => references(entry, report),
        (None, Some((_, DraftCondition::Rules(names, _)))) => Some(names.distinct()),
        (None, _) => {
            require(entries, "rules", inside, report);
            None
        }
    };
    let mut group_by = find(entries, "group-by")
        .map(|entry| texts(entry, report))
        .unwrap_or_default();
    if let Some((CorrelationKind::NewTerms { fields: terms, .. }, _)) = &condition {
        group_by.retain(|(group, span)| {
            let is_term = terms.contains(group);
            if is_term {
                let message =
                    format!("`field` names `{group}`, so grouping by it too changes nothing");
                report.add(&codes::NO_EFFECT, *span, message);
            }
            !is_term
        });
    }
    let timespan = require(entries, "timespan", inside, report)
        .and_then(|entry| self::timespan(entry, report));
    let known = |name: &str| {
        let looked_at = condition.iter().flat_map(|(kind, _)| kind.fields());
        let groups = group_by.iter().map(|(group, _)| group);
        groups.chain(looked_at).any(|known| known == name)
    };
    let aliases = match find(entries, "aliases") {
        Some(entry) => aliases(entry, &known, report),
        None => Some(BTreeMap::new()),
    };
    let generate = match find(entries, "generate") {
        Some(entry) => boolean(entry, report),
        None => Some(false),
    };
    let emit = match find(entries, "emit") {
        Some(entry) => emission::read(entry, condition.as_ref(), report),
        None => Some(Emission::Final),
    };
    let quote = match find(entries, "quote") {
        Some(entry) => quote(entry, report),
        None => Some(0),
    };
    let (kind, condition) = condition?;
    Some(Draft {
        header,
        kind,
        rules: rules?,
        group_by,
        timespan_ns: timespan?,
        condition,
        aliases: aliases?,
        generate: generate?,
        emit: emit?,
        quote: quote?,
    })
}

fn kind(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Type> {
    let name = text(entry, report)?;
    let found = Type::ALL.into_iter().find(|of| of.as_str() == name);
    if found.is_none() {
        let known = Type::ALL.map(Type::as_str);
        let message = format!("there is no type of correlation `{name}`");
        let help = match similar(&name, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the types are {}", known.join(", ")),
        };
        report.advise(&codes::UNKNOWN_CORRELATION, entry.value.span, message, help);
    }
    found
}

/// What is computed and what it must satisfy. Complains about everything wrong with it.
fn condition(
    of: Type,
    entries: &[Entry<'_>],
    inside: Span,
    report: &mut Report<'_>,
) -> Option<(CorrelationKind, DraftCondition)> {
    if of == Type::NewTerms {
        let field = require(entries, "field", inside, report);
        let fields = field.and_then(|field| bounds::fields(field, report));
        let remember = match find(entries, "remember") {
            Some(entry) => remember(entry, report),
            None => Some(REMEMBERED),
        };
        let (fields, remember) = (fields?, remember?);
        let once = vec![(CompareOp::Gte, 1.0)];
        return Some((
            CorrelationKind::NewTerms { fields, remember },
            DraftCondition::Number(once),
        ));
    }
    let temporal = match of {
        of if of.is_ordered() => CorrelationKind::TemporalOrdered,
        _ => CorrelationKind::Temporal,
    };
    let Some(entry) = find(entries, "condition") else {
        if of.is_temporal() && !of.is_extended() {
            return Some((temporal, DraftCondition::All));
        }
        require(entries, "condition", inside, report);
        return None;
    };
    match (entry.value.entries(), entry.value.text()) {
        (Some(_), _) if of.is_extended() => {
            wrong_type(entry, "a condition over the names of rules", report);
            None
        }
        (Some(bounds), _) => {
            let (kind, bounds) = bounds::read(of, entry, bounds, report)?;
            if of.is_ordered() {
                return ordered(entries, entry, &bounds, report)
                    .then_some((temporal, DraftCondition::All));
            }
            Some((kind, DraftCondition::Number(bounds)))
        }
        (None, Some(written)) if of.is_temporal() => {
            let names = names(written, &entry.value, report)?;
            Some((temporal, DraftCondition::Rules(names, entry.value.span)))
        }
        (None, _) if of.is_temporal() => {
            wrong_type(
                entry,
                "a condition over the names of rules, or a mapping",
                report,
            );
            None
        }
        (None, _) => {
            wrong_type(entry, "a mapping", report);
            None
        }
    }
}

/// How many values are to be known exactly.
fn remember(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<u32> {
    let found = whole(entry, 1.0..=MOST_REMEMBERED);
    if found.is_none() {
        let message =
            "`remember` is how many values are known exactly: a whole number from 1 to 10,000,000";
        report.add(&codes::BAD_MEMORY, entry.value.span, message);
    }
    found
}

/// How many events are to be quoted.
fn quote(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<u32> {
    let found = whole(entry, 0.0..=MOST_QUOTED);
    if found.is_none() {
        let message =
            "`quote` is how many of its first events an alert quotes: a whole number from 0 to 20";
        report.add(&codes::BAD_QUOTE, entry.value.span, message);
    }
    found
}

/// A whole number within bounds that `u32` holds.
fn whole(entry: &Entry<'_>, bounds: RangeInclusive<f64>) -> Option<u32> {
    let number = entry.value.scalar()?.number()?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and within bounds"
    )]
    (number.fract() == 0.0 && bounds.contains(&number)).then_some(number as u32)
}

/// A number of rules in their order makes sense only where it is all of them.
fn ordered(
    entries: &[Entry<'_>],
    condition: &Entry<'_>,
    bounds: &[(CompareOp, f64)],
    report: &mut Report<'_>,
) -> bool {
    let count = find(entries, "rules").map_or(0, |rules| rules.value.items().len());
    #[allow(clippy::cast_precision_loss, reason = "a list of rules is short")]
    let count = count as f64;
    let all = matches!(bounds, [(CompareOp::Gte | CompareOp::Eq, number)] if *number == count);
    if !all {
        let message = "`temporal_ordered` is about all of its rules, one after the other";
        let help = "leave the condition out, or write one over the names of the rules, as in `a and (b or c)`";
        report.advise(&codes::BAD_THRESHOLD, condition.value.span, message, help);
    }
    all
}

fn names(written: &str, node: &Node<'_>, report: &mut Report<'_>) -> Option<Names> {
    let parsed = match condition::parse(written) {
        Ok(parsed) => parsed,
        Err(error) => {
            let place = report.within(node, error.place.start, error.place.len);
            report.add(&codes::BAD_CONDITION, place, error.message);
            return None;
        }
    };
    Names::of(&parsed, node, report)
}

impl Names {
    fn of(condition: &Condition, node: &Node<'_>, report: &mut Report<'_>) -> Option<Self> {
        let all = |parts: &[Condition], report: &mut Report<'_>| {
            let parts: Vec<Option<Self>> = parts
                .iter()
                .map(|part| Self::of(part, node, report))
                .collect();
            parts.into_iter().collect::<Option<Vec<Self>>>()
        };
        Some(match condition {
            Condition::And(parts) => Self::And(all(parts, report)?),
            Condition::Or(parts) => Self::Or(all(parts, report)?),
            Condition::Not(inner) => Self::Not(Box::new(Self::of(inner, node, report)?)),
            Condition::Name(name) => Self::Rule(Reference {
                text: name.text.clone(),
                span: report.within(node, name.place.start, name.place.len),
            }),
            Condition::Of(_, name) => {
                let place = report.within(node, name.place.start, name.place.len);
                let message = "a correlation's condition names each rule; it has no `of`";
                report.add(&codes::BAD_CONDITION, place, message);
                return None;
            }
        })
    }

    /// All mentions of rules, in the order written.
    pub(super) fn mentions(&self) -> Vec<&Reference> {
        match self {
            Self::Rule(reference) => vec![reference],
            Self::Not(inner) => inner.mentions(),
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::mentions).collect(),
        }
    }

    /// Whether some rule must not match.
    pub(super) fn has_absence(&self) -> bool {
        self.lacks(false)
    }

    /// Whether some rule must not match, `turned` being whether an odd number of `not` stands before.
    fn lacks(&self, turned: bool) -> bool {
        match self {
            Self::Rule(_) => turned,
            Self::Not(inner) => inner.lacks(!turned),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.lacks(turned)),
        }
    }

    fn distinct(&self) -> Vec<Reference> {
        let mut found: Vec<Reference> = Vec::new();
        for reference in self.mentions() {
            if found.iter().all(|known| known.text != reference.text) {
                found.push(reference.clone());
            }
        }
        found
    }
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

type Aliases = BTreeMap<String, Vec<(Reference, String)>>;

fn aliases(
    entry: &Entry<'_>,
    known: &impl Fn(&str) -> bool,
    report: &mut Report<'_>,
) -> Option<Aliases> {
    let mut found = Aliases::new();
    let mut sound = true;
    for alias in mapping(entry, report)? {
        if !known(&alias.key) {
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
