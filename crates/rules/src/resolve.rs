//! From a `detection` mapping to one expression: selections read, the condition's names looked up.

use std::collections::HashSet;

use crate::aggregation;
use crate::codes;
use crate::condition::{self, Condition, Name, Quantifier};
use crate::diagnostic::Span;
use crate::fields::{find, require, similar};
use crate::outline::{Outline, Shape};
use crate::report::Report;
use crate::selection;
use crate::tree::Tree;
use crate::yaml::{Entry, Node};

/// Most tests that one rule may expand to: every mention of a selection copies it.
const MAX_TESTS: usize = 100_000;

/// Keys of a detection that are not selections.
const RESERVED: [&str; 2] = ["condition", "timeframe"];

/// Reads a detection; `inside` is the place of its key and `ignored` names keys that are no selections here. Complains about
/// everything wrong in it, and gives none when anything is.
pub(crate) fn detection(
    entries: &[Entry<'_>],
    inside: Span,
    ignored: &[&str],
    report: &mut Report<'_>,
) -> Option<Outline> {
    let is_selection =
        |entry: &&Entry<'_>| !RESERVED.contains(&&*entry.key) && !ignored.contains(&&*entry.key);
    let selections: Vec<Selection<'_>> = entries
        .iter()
        .filter(is_selection)
        .map(|entry| Selection {
            name: &entry.key,
            span: entry.key_span,
            meaning: selection::read(&entry.value, &entry.key, report),
        })
        .collect();
    let condition = require(entries, "condition", inside, report)?;
    let timeframe = find(entries, "timeframe");
    let mut resolver = Resolver {
        selections: &selections,
        used: HashSet::new(),
        tests: 0,
        report,
    };
    // Every condition of a list is read, so that every mistake is reported at once.
    let mut parts = Vec::new();
    let mut sound = true;
    for text in condition.value.items() {
        match resolver.condition(text, timeframe) {
            Some(expr) => parts.push(expr),
            None => sound = false,
        }
    }
    if condition.value.items().is_empty() {
        report.add(
            &codes::EMPTY_DETECTION,
            condition.value.span,
            "the list of conditions is empty",
        );
        return None;
    }
    if !sound {
        return None;
    }
    let used = resolver.used;
    for unused in selections
        .iter()
        .filter(|selection| !used.contains(selection.name))
    {
        let message = format!("the condition does not use `{}`", unused.name);
        report.add(&codes::UNUSED_SELECTION, unused.span, message);
    }
    if let Some(timeframe) = timeframe {
        let message = "`timeframe` changes nothing without an aggregation";
        report.advise(
            &codes::NO_EFFECT,
            timeframe.key_span,
            message,
            "counting over time is what correlation rules do",
        );
    }
    // A broken selection breaks the rule even where the condition does not use it.
    let selections = selections.into_iter().map(|selection| selection.meaning);
    Some(Outline {
        selections: selections.collect::<Option<Vec<Tree>>>()?,
        shape: Shape::Or(parts),
    })
}

/// A selection by its name. Without a meaning it is broken, which has been reported.
struct Selection<'n> {
    name: &'n str,
    span: Span,
    meaning: Option<Tree>,
}

struct Resolver<'r, 'n, 's> {
    selections: &'n [Selection<'n>],
    used: HashSet<&'n str>,
    /// Tests copied so far.
    tests: usize,
    report: &'r mut Report<'s>,
}

impl<'n> Resolver<'_, 'n, '_> {
    /// One condition, as an expression. A broken selection counts as never, for its mistakes have been reported.
    fn condition(&mut self, node: &Node<'_>, timeframe: Option<&Entry<'_>>) -> Option<Shape> {
        let Some(text) = node.text() else {
            let message = format!("a condition must be text, not {}", node.kind());
            self.report.add(&codes::WRONG_TYPE, node.span, message);
            return None;
        };
        match condition::parse(text) {
            Ok(condition) => self.expression(&condition, node),
            Err(error) => {
                let place = self.report.within(node, error.place.start, error.place.len);
                if error.code == &codes::AGGREGATION {
                    let timeframe = timeframe.and_then(|entry| entry.value.text());
                    self.report.advise(
                        error.code,
                        place,
                        error.message,
                        aggregation::advice(text, timeframe),
                    );
                } else {
                    self.report.add(error.code, place, error.message);
                }
                None
            }
        }
    }

    fn expression(&mut self, condition: &Condition, node: &Node<'_>) -> Option<Shape> {
        let parts = |resolver: &mut Self, parts: &[Condition]| -> Option<Vec<Shape>> {
            let read: Vec<Option<Shape>> = parts
                .iter()
                .map(|part| resolver.expression(part, node))
                .collect();
            read.into_iter().collect()
        };
        Some(match condition {
            Condition::And(inner) => Shape::And(parts(self, inner)?),
            Condition::Or(inner) => Shape::Or(parts(self, inner)?),
            Condition::Not(inner) => Shape::Not(Box::new(self.expression(inner, node)?)),
            Condition::Name(name) => self.name(name, node)?,
            Condition::Of(quantifier, pattern) => self.quantified(*quantifier, pattern, node)?,
        })
    }

    fn name(&mut self, name: &Name, node: &Node<'_>) -> Option<Shape> {
        match self
            .selections
            .iter()
            .position(|selection| selection.name == name.text)
        {
            Some(index) => self.copy(index, name, node),
            None => {
                self.unknown(name, node);
                None
            }
        }
    }

    fn quantified(
        &mut self,
        quantifier: Quantifier,
        pattern: &Name,
        node: &Node<'_>,
    ) -> Option<Shape> {
        let them = pattern.text.eq_ignore_ascii_case("them");
        // Selections that begin with `_` take part only where the pattern says so.
        let fits = |name: &str| match pattern.text.starts_with('_') {
            true => condition::fits(name, &pattern.text),
            false => !name.starts_with('_') && (them || condition::fits(name, &pattern.text)),
        };
        let chosen: Vec<usize> = self
            .selections
            .iter()
            .enumerate()
            .filter(|(_, selection)| fits(selection.name))
            .map(|(index, _)| index)
            .collect();
        if chosen.is_empty() {
            self.unknown(pattern, node);
            return None;
        }
        let count = chosen.len();
        let parts: Vec<Option<Shape>> = chosen
            .into_iter()
            .map(|index| self.copy(index, pattern, node))
            .collect();
        let parts = parts.into_iter().collect::<Option<Vec<Shape>>>()?;
        Some(match quantifier {
            Quantifier::All => Shape::And(parts),
            Quantifier::AtLeast(1) => Shape::Or(parts),
            Quantifier::AtLeast(wanted) if wanted == count => Shape::And(parts),
            Quantifier::AtLeast(wanted) if wanted < count => Shape::AtLeast(wanted, parts),
            Quantifier::AtLeast(wanted) => {
                let place = self
                    .report
                    .within(node, pattern.place.start, pattern.place.len);
                let message = format!(
                    "`{}` is only {count} of the {wanted} selections asked for",
                    pattern.text
                );
                self.report.add(&codes::UNKNOWN_SELECTION, place, message);
                return None;
            }
        })
    }

    fn copy(&mut self, index: usize, name: &Name, node: &Node<'_>) -> Option<Shape> {
        let selection = self.selections.get(index)?;
        self.used.insert(selection.name);
        let Some(meaning) = &selection.meaning else {
            return Some(Shape::Nothing);
        };
        let tests = meaning.size();
        self.report.expand(tests, node.span)?;
        let before = self.tests;
        self.tests = before.saturating_add(tests);
        if self.tests > MAX_TESTS {
            // Said once, not at every name that follows.
            if before <= MAX_TESTS {
                let place = self.report.within(node, name.place.start, name.place.len);
                let message = format!("the condition expands to more than {MAX_TESTS} tests");
                self.report.add(&codes::TOO_BIG, place, message);
            }
            return None;
        }
        Some(Shape::Selection(index))
    }

    fn unknown(&mut self, name: &Name, node: &Node<'_>) {
        let place = self.report.within(node, name.place.start, name.place.len);
        let names: Vec<&str> = self
            .selections
            .iter()
            .map(|selection| selection.name)
            .collect();
        let message = match name.text.contains('*') {
            true => format!("no selection fits `{}`", name.text),
            false => format!("there is no selection `{}`", name.text),
        };
        match similar(&name.text, &names) {
            Some(meant) => self.report.advise(
                &codes::UNKNOWN_SELECTION,
                place,
                message,
                format!("did you mean `{meant}`?"),
            ),
            None => self.report.add(&codes::UNKNOWN_SELECTION, place, message),
        }
    }
}
