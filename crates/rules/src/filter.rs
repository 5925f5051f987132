//! Filters: conditions added to other people's rules, most often to leave out what is known to be harmless.

use crate::codes;
use crate::correlation::{Reference, references};
use crate::fields::{mapping, require};
use crate::logsource;
use crate::outline::Outline;
use crate::report::Report;
use crate::resolve;
use crate::rule::{Logsource, RuleHeader};
use crate::yaml::Entry;

/// A filter whose references are still text.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) header: RuleHeader,
    pub(crate) logsource: Logsource,
    pub(crate) rules: Scope,
    /// Joined by `and` to the condition of each rule it applies to, as written: an exclusion says `not selection` itself.
    pub(crate) condition: Outline,
}

/// The rules that a filter is for.
#[derive(Debug)]
pub(crate) enum Scope {
    /// Every rule whose logsource is the filter's or a narrower one.
    Any,
    /// These, where their logsource is the filter's or a narrower one.
    Named(Vec<Reference>),
}

/// Reads the `filter` of a rule. Complains about everything wrong in it, and gives none when anything is.
pub(crate) fn read(
    entry: &Entry<'_>,
    rule: &[Entry<'_>],
    header: RuleHeader,
    report: &mut Report<'_>,
) -> Option<Draft> {
    let entries = mapping(entry, report)?;
    let logsource = logsource::read(rule, header.span, report);
    let rules =
        require(entries, "rules", entry.key_span, report).and_then(|entry| scope(entry, report));
    let condition = resolve::detection(entries, entry.key_span, &["rules"], report);
    Some(Draft {
        header,
        logsource: logsource?,
        rules: rules?,
        condition: condition?,
    })
}

fn scope(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Scope> {
    if entry
        .value
        .text()
        .is_some_and(|text| text.eq_ignore_ascii_case("any"))
    {
        return Some(Scope::Any);
    }
    let rules = references(entry, report)?;
    match rules
        .iter()
        .find(|reference| reference.text.eq_ignore_ascii_case("any"))
    {
        Some(any) if rules.len() > 1 => {
            report.add(
                &codes::NO_EFFECT,
                any.span,
                "`any` takes in the other rules of this list",
            );
            Some(Scope::Any)
        }
        Some(_) => Some(Scope::Any),
        None => Some(Scope::Named(rules)),
    }
}
