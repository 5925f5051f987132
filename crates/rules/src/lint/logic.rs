//! Conditions that come to nothing: never true, always true, or with selections that make no difference.

use super::claim::Claim;
use super::truth::{Formula, MOST_SELECTIONS, Outcome, outcome};
use crate::codes;
use crate::condition::{self, Condition, Name, Quantifier};
use crate::report::Report;
use crate::rule::Logsource;
use crate::selection;
use crate::yaml::{Entry, Node};

/// A selection that the condition uses.
struct Selection<'n, 'a> {
    entry: &'n Entry<'a>,
    claim: Claim,
}

pub(super) fn check(
    selections: &[&Entry<'_>],
    condition: &Node<'_>,
    logsource: &Logsource,
    report: &mut Report<'_>,
) {
    let Some(formula) = formula(selections, condition) else {
        return;
    };
    // Only what the condition uses is looked at; what it does not has been said already.
    let used: Vec<usize> = (0..selections.len())
        .filter(|n| formula.names() >> n & 1 == 1)
        .collect();
    let formula = renumbered(&formula, &used);
    let mut scratch = Report::new(report.file.clone(), "");
    let read = |index: &usize| -> Option<Selection<'_, '_>> {
        let entry = *selections.get(*index)?;
        let meaning = selection::read(&entry.value, &entry.key, &mut scratch)?;
        let mut unfilled = Vec::new();
        let meaning = meaning.lower(&mut unfilled);
        // What a placeholder stands for is not known here.
        let claim = meaning
            .filter(|_| unfilled.is_empty())
            .map_or(Claim::Opaque, |expr| Claim::of(&expr, logsource));
        Some(Selection { entry, claim })
    };
    let Some(used) = used.iter().map(read).collect::<Option<Vec<_>>>() else {
        // A selection that does not load has been complained about.
        return;
    };
    let mut impossible = false;
    for selection in used
        .iter()
        .filter(|selection| selection.claim.is_impossible())
    {
        impossible = true;
        say_impossible(selection, report);
    }
    if impossible || used.len() > MOST_SELECTIONS {
        return;
    }
    let rules = relations(&used);
    let possible = |set: u32| rules.iter().all(|rule| rule.allows(set));
    match outcome(&formula, used.len(), possible) {
        Outcome::Never => say_never(&used, &rules, condition, report),
        Outcome::Always => report.advise(
            &codes::ALWAYS_TRUE,
            condition.span,
            "this condition holds for every event, so the rule always matches",
            "name what an event must look like",
        ),
        Outcome::Depends { inert } => {
            if let Some(n) = (0..used.len()).rev().find(|n| inert >> n & 1 == 1) {
                say_inert(n, &formula, &used, &rules, report);
            }
        }
    }
}

/// The condition over selections by their index; none where it cannot be read or names what is not there.
fn formula(selections: &[&Entry<'_>], condition: &Node<'_>) -> Option<Formula> {
    if selections.len() >= 32 {
        return None;
    }
    let of = |node: &Node<'_>| {
        let condition = condition::parse(node.text()?).ok()?;
        translate(&condition, selections)
    };
    let parts = condition
        .items()
        .iter()
        .map(of)
        .collect::<Option<Vec<_>>>()?;
    Some(Formula::Any(parts))
}

fn translate(condition: &Condition, selections: &[&Entry<'_>]) -> Option<Formula> {
    let all = |parts: &[Condition]| {
        parts
            .iter()
            .map(|part| translate(part, selections))
            .collect::<Option<Vec<_>>>()
    };
    Some(match condition {
        Condition::And(parts) => Formula::All(all(parts)?),
        Condition::Or(parts) => Formula::Any(all(parts)?),
        Condition::Not(inner) => Formula::Not(Box::new(translate(inner, selections)?)),
        Condition::Name(name) => {
            Formula::Selection(selections.iter().position(|entry| entry.key == name.text)?)
        }
        Condition::Of(quantifier, pattern) => {
            let chosen = chosen(pattern, selections);
            match quantifier {
                _ if chosen.is_empty() => return None,
                Quantifier::All => Formula::AtLeast(chosen.len(), chosen),
                Quantifier::AtLeast(wanted) => Formula::AtLeast(*wanted, chosen),
            }
        }
    })
}

/// The selections that a pattern means, as [`crate::resolve`] takes them.
fn chosen(pattern: &Name, selections: &[&Entry<'_>]) -> Vec<usize> {
    let them = pattern.text.eq_ignore_ascii_case("them");
    let fits = |name: &str| match pattern.text.starts_with('_') {
        true => condition::fits(name, &pattern.text),
        false => !name.starts_with('_') && (them || condition::fits(name, &pattern.text)),
    };
    let names = selections.iter().enumerate();
    names
        .filter(|(_, entry)| fits(&entry.key))
        .map(|(n, _)| n)
        .collect()
}

fn renumbered(formula: &Formula, used: &[usize]) -> Formula {
    let new = |n: &usize| used.iter().position(|old| old == n).unwrap_or_default();
    let all = |parts: &[Formula]| parts.iter().map(|part| renumbered(part, used)).collect();
    match formula {
        Formula::All(parts) => Formula::All(all(parts)),
        Formula::Any(parts) => Formula::Any(all(parts)),
        Formula::Not(inner) => Formula::Not(Box::new(renumbered(inner, used))),
        Formula::AtLeast(wanted, parts) => {
            Formula::AtLeast(*wanted, parts.iter().map(new).collect())
        }
        Formula::Selection(n) => Formula::Selection(new(n)),
    }
}

/// What is known of two selections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Implies(usize, usize),
    Excludes(usize, usize),
}

impl Relation {
    /// Whether these may be the selections that match.
    fn allows(self, set: u32) -> bool {
        let has = |n: usize| set >> n & 1 == 1;
        match self {
            Self::Implies(a, b) => !has(a) || has(b),
            Self::Excludes(a, b) => !(has(a) && has(b)),
        }
    }
}

fn relations(used: &[Selection<'_, '_>]) -> Vec<Relation> {
    let mut found = Vec::new();
    for (i, a) in used.iter().enumerate() {
        for (j, b) in used.iter().enumerate().filter(|(j, _)| *j != i) {
            if a.claim.implies(&b.claim) {
                found.push(Relation::Implies(i, j));
            } else if i < j && a.claim.excludes(&b.claim) {
                found.push(Relation::Excludes(i, j));
            }
        }
    }
    found
}

fn say_impossible(selection: &Selection<'_, '_>, report: &mut Report<'_>) {
    let Entry {
        key,
        key_span,
        value,
    } = selection.entry;
    // Where the two parts are items of a mapping, they can be named.
    let names = selection.claim.contradiction().and_then(|(a, b)| {
        let items = value.entries()?;
        let name = |n: usize| items.get(n).map(|item| item.key.as_ref());
        (items.len() > b).then_some((name(a)?, name(b)?))
    });
    let message = match names {
        Some((a, b)) => format!("`{key}` can never match: `{a}` and `{b}` exclude each other"),
        None => format!("`{key}` can never match: its parts exclude each other"),
    };
    let help = "items of a mapping must all hold; where one of several is enough, write a list of mappings, or a list of values without `all`";
    report.advise(&codes::CONTRADICTION, *key_span, message, help);
}

fn name<'s>(used: &'s [Selection<'_, '_>], n: usize) -> &'s str {
    used.get(n).map_or("", |selection| &selection.entry.key)
}

fn say_never(
    used: &[Selection<'_, '_>],
    rules: &[Relation],
    condition: &Node<'_>,
    report: &mut Report<'_>,
) {
    let help = match rules.first() {
        Some(Relation::Implies(a, b)) => format!(
            "whatever `{0}` matches, `{1}` matches too: leave out the `not` before `{1}`, or make `{1}` narrower",
            name(used, *a),
            name(used, *b)
        ),
        Some(Relation::Excludes(a, b)) => {
            format!(
                "no event matches both `{}` and `{}`: join them with `or`",
                name(used, *a),
                name(used, *b)
            )
        }
        None => "a selection is wanted and unwanted at once; look at its `not`".to_owned(),
    };
    report.advise(
        &codes::NEVER_TRUE,
        condition.span,
        "no event can satisfy this condition, so the rule never matches",
        help,
    );
}

fn say_inert(
    n: usize,
    formula: &Formula,
    used: &[Selection<'_, '_>],
    rules: &[Relation],
    report: &mut Report<'_>,
) {
    let Some(selection) = used.get(n) else {
        return;
    };
    let key = &selection.entry.key;
    // The one relation that explains it by itself, where there is one.
    let explains = |rule: &&Relation| {
        let alone = outcome(formula, used.len(), |set| rule.allows(set));
        matches!(alone, Outcome::Depends { inert } if inert >> n & 1 == 1)
    };
    let help = match rules.iter().find(explains) {
        None => {
            format!("the condition is the same without `{key}`: look at how it is put together")
        }
        Some(Relation::Implies(a, b)) => {
            let (a, b) = (name(used, *a), name(used, *b));
            format!(
                "whatever `{a}` matches, `{b}` matches too; leave `{key}` out, or change what it matches"
            )
        }
        Some(Relation::Excludes(a, b)) => {
            let other = name(used, if *a == n { *b } else { *a });
            format!(
                "no event matches both `{key}` and `{other}`, so there is nothing for it to change"
            )
        }
    };
    let message =
        format!("`{key}` changes nothing: with and without it the rule matches the same events");
    report.advise(
        &codes::INERT_SELECTION,
        selection.entry.key_span,
        message,
        help,
    );
}
