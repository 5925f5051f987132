//! From correlations whose references are text to ones that know each other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::draft::{DraftCondition, Names};
use super::{Combination, Correlation, CorrelationCondition, Draft, Reference, Referent};
use crate::codes::{self, Code};
use crate::diagnostic::{Diagnostic, Span};

/// Most correlations that one of them may be made of, itself included: each is computed anew for every correlation above it.
const MOST_PARTS: usize = 64;
/// Most ways in which a condition over rules may be satisfied.
const MOST_WAYS: usize = 1024;

/// What a reference leads to.
pub(crate) enum Lookup {
    /// A detection, by index.
    Detection(usize),
    /// A correlation, by its place among the drafts.
    Correlation(usize),
    /// Nothing that can be looked at; why.
    Nowhere(&'static Code, String),
}

/// Resolves all correlations; those in which something is wrong, or that refer to such, are left out. Answers them in the
/// order of the drafts, whether they alert not decided yet.
pub(crate) fn resolve(
    drafts: Vec<Draft>,
    look_up: &impl Fn(&str) -> Lookup,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Correlation> {
    let mut chain = Chain {
        drafts: drafts.iter().collect(),
        look_up,
        diagnostics,
    };
    let referents: Vec<Option<Vec<Referent>>> = (0..drafts.len())
        .map(|index| chain.referents(index))
        .collect();
    let order = chain.in_order(&referents);
    let mut resolved: Vec<Option<Correlation>> = drafts.iter().map(|_| None).collect();
    let mut parts: Vec<usize> = vec![1; drafts.len()];
    for index in order {
        let Some(Some(referents)) = referents.get(index) else {
            continue;
        };
        let found = chain.correlation(index, referents, &resolved, &mut parts);
        if let Some(place) = resolved.get_mut(index) {
            *place = found;
        }
    }
    renumber(resolved)
}

/// Leaves out what did not resolve. What is left refers to nothing that is left out.
fn renumber(resolved: Vec<Option<Correlation>>) -> Vec<Correlation> {
    let mut next = 0..;
    let numbers: Vec<Option<usize>> = resolved
        .iter()
        .map(|found| found.as_ref().and_then(|_| next.next()))
        .collect();
    let mut kept: Vec<Correlation> = resolved.into_iter().flatten().collect();
    for correlation in &mut kept {
        for referent in &mut correlation.rules {
            if let Referent::Correlation(index) = referent
                && let Some(Some(number)) = numbers.get(*index)
            {
                *index = *number;
            }
        }
    }
    kept
}

struct Chain<'d, L> {
    drafts: Vec<&'d Draft>,
    look_up: &'d L,
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl<L: Fn(&str) -> Lookup> Chain<'_, L> {
    fn add(&mut self, code: &'static Code, file: &Arc<Path>, span: Span, message: String) {
        let found = Diagnostic::new(code, Arc::clone(file), span, message);
        self.diagnostics.push(found);
    }

    /// What the rules of a draft are; none when one of them leads nowhere. The same rule may be named by its id and by its name.
    fn referents(&mut self, index: usize) -> Option<Vec<Referent>> {
        let draft = *self.drafts.get(index)?;
        let file = Arc::clone(&draft.header.file);
        let mut sound = true;
        let mut found = Vec::with_capacity(draft.rules.len());
        for reference in &draft.rules {
            match (self.look_up)(&reference.text) {
                Lookup::Detection(index) => found.push(Referent::Detection(index)),
                Lookup::Correlation(index) => found.push(Referent::Correlation(index)),
                Lookup::Nowhere(code, message) => {
                    self.add(code, &file, reference.span, message);
                    sound = false;
                }
            }
        }
        sound.then_some(found)
    }

    /// The drafts in an order in which each comes after those that it refers to. Complains about circles and what leads into them.
    fn in_order(&mut self, referents: &[Option<Vec<Referent>>]) -> Vec<usize> {
        let inner = |index: usize| {
            let of = referents.get(index).and_then(Option::as_ref);
            of.into_iter()
                .flatten()
                .filter_map(|referent| match referent {
                    Referent::Correlation(inner) => Some(*inner),
                    Referent::Detection(_) => None,
                })
        };
        let mut outer: Vec<Vec<usize>> = vec![Vec::new(); referents.len()];
        let mut waits: Vec<usize> = vec![0; referents.len()];
        for index in 0..referents.len() {
            for below in inner(index) {
                outer
                    .get_mut(below)
                    .into_iter()
                    .for_each(|of| of.push(index));
                waits
                    .get_mut(index)
                    .into_iter()
                    .for_each(|count| *count += 1);
            }
        }
        let ready = waits.iter().enumerate().filter(|(_, count)| **count == 0);
        let mut order: Vec<usize> = ready.map(|(index, _)| index).collect();
        let mut at = 0;
        while let Some(&index) = order.get(at) {
            at += 1;
            for above in outer.get(index).into_iter().flatten() {
                let Some(count) = waits.get_mut(*above) else {
                    continue;
                };
                *count -= 1;
                if *count == 0 {
                    order.push(*above);
                }
            }
        }
        let waiting = |index: usize| waits.get(index).is_some_and(|count| *count > 0);
        let mut told = vec![false; referents.len()];
        for start in (0..referents.len()).filter(|index| waiting(*index)) {
            // Each that waits refers to one that waits, so this comes round.
            let mut path = vec![start];
            while let Some(next) = path
                .last()
                .and_then(|last| inner(*last).find(|i| waiting(*i)))
            {
                if let Some(from) = path.iter().position(|index| *index == next) {
                    let circle = path.split_off(from);
                    self.circle(&circle, &mut told);
                    break;
                }
                path.push(next);
            }
            if !told.get(start).copied().unwrap_or(true) {
                self.leads_into_one(start, &waiting);
            }
        }
        order
    }

    fn circle(&mut self, circle: &[usize], told: &mut [bool]) {
        let first = circle.iter().min().copied().unwrap_or_default();
        if told.get(first).copied().unwrap_or(true) {
            return;
        }
        for index in circle {
            told.get_mut(*index)
                .into_iter()
                .for_each(|told| *told = true);
        }
        // Told where the first of them, as they stand in the files, refers to the next.
        let from = circle
            .iter()
            .position(|index| *index == first)
            .unwrap_or_default();
        let around: Vec<&Draft> = circle
            .iter()
            .cycle()
            .skip(from)
            .take(circle.len() + 1)
            .filter_map(|index| self.drafts.get(*index).copied())
            .collect();
        let [draft, ..] = around.as_slice() else {
            return;
        };
        let names: Vec<&str> = around.iter().map(|draft| name(draft)).collect();
        let next = circle.get((from + 1) % circle.len()).copied();
        let message = format!("correlations in a circle: {}", names.join(" → "));
        self.add_at(draft, next, &codes::CIRCLE, message);
    }

    fn leads_into_one(&mut self, index: usize, waiting: &impl Fn(usize) -> bool) {
        let Some(draft) = self.drafts.get(index).copied() else {
            return;
        };
        let broken =
            draft
                .rules
                .iter()
                .find_map(|reference| match (self.look_up)(&reference.text) {
                    Lookup::Correlation(inner) if waiting(inner) => Some((inner, &reference.text)),
                    _ => None,
                });
        if let Some((inner, text)) = broken {
            let message = format!("the rule `{text}` does not load; see what is wrong with it");
            self.add_at(draft, Some(inner), &codes::UNKNOWN_RULE, message);
        }
    }

    /// Complains at the draft's reference to another.
    fn add_at(
        &mut self,
        draft: &Draft,
        inner: Option<usize>,
        code: &'static Code,
        message: String,
    ) {
        let leads = |reference: &&Reference| matches!((self.look_up)(&reference.text), Lookup::Correlation(index) if Some(index) == inner);
        let span = draft.rules.iter().find(leads);
        let span = span.map_or(draft.header.span, |reference| reference.span);
        self.add(code, &draft.header.file, span, message);
    }

    /// A draft resolved, those that it refers to being so already.
    fn correlation(
        &mut self,
        index: usize,
        referents: &[Referent],
        resolved: &[Option<Correlation>],
        parts: &mut [usize],
    ) -> Option<Correlation> {
        let draft = *self.drafts.get(index)?;
        let mut sound = true;
        let mut size = 1usize;
        for (reference, referent) in draft.rules.iter().zip(referents) {
            let Referent::Correlation(inner) = referent else {
                continue;
            };
            size = size.saturating_add(parts.get(*inner).copied().unwrap_or(1));
            if resolved.get(*inner).is_none_or(Option::is_none) {
                let text = &reference.text;
                let message = format!("the rule `{text}` does not load; see what is wrong with it");
                self.add(
                    &codes::UNKNOWN_RULE,
                    &draft.header.file,
                    reference.span,
                    message,
                );
                sound = false;
            }
        }
        parts.get_mut(index).into_iter().for_each(|of| *of = size);
        if size > MOST_PARTS {
            let message = format!(
                "with those that it refers to, this is more than {MOST_PARTS} correlations"
            );
            self.add(
                &codes::TOO_BIG,
                &draft.header.file,
                draft.header.span,
                message,
            );
            return None;
        }
        let rules = distinct(referents);
        let condition = self.condition(draft, &rules);
        let aliases = self.aliases(draft, &rules);
        if !sound {
            return None;
        }
        let correlation = Correlation {
            header: draft.header.clone(),
            kind: draft.kind.clone(),
            condition: condition?,
            aliases: aliases?,
            rules,
            group_by: draft
                .group_by
                .iter()
                .map(|(group, _)| group.clone())
                .collect(),
            timespan_ns: draft.timespan_ns,
            generate: draft.generate,
            emit: draft.emit,
            quote: draft.quote,
            alerts: true,
        };
        self.findings_have_fields(draft, &correlation, resolved)
            .then_some(correlation)
    }

    /// The position of a name among a correlation's rules.
    fn position(&self, text: &str, rules: &[Referent]) -> Option<usize> {
        let referent = match (self.look_up)(text) {
            Lookup::Detection(index) => Referent::Detection(index),
            Lookup::Correlation(index) => Referent::Correlation(index),
            Lookup::Nowhere(..) => return None,
        };
        rules.iter().position(|rule| *rule == referent)
    }

    fn condition(&mut self, draft: &Draft, rules: &[Referent]) -> Option<CorrelationCondition> {
        let (names, span) = match &draft.condition {
            DraftCondition::Number(bounds) => {
                return Some(CorrelationCondition::Number(bounds.clone()));
            }
            DraftCondition::All => {
                let all = (0..rules.len()).map(Combination::Rule).collect();
                return Some(CorrelationCondition::Rules(Combination::And(all)));
            }
            DraftCondition::Rules(names, span) => (names, *span),
        };
        let file = &draft.header.file;
        let mut sound = true;
        let mut used = vec![false; rules.len()];
        for mention in names.mentions() {
            match self.position(&mention.text, rules) {
                Some(position) => used
                    .get_mut(position)
                    .into_iter()
                    .for_each(|used| *used = true),
                None => {
                    let message = format!("`rules` does not list `{}`", mention.text);
                    self.add(&codes::BAD_CONDITION, file, mention.span, message);
                    sound = false;
                }
            }
        }
        if !sound {
            return None;
        }
        for reference in &draft.rules {
            let position = self.position(&reference.text, rules);
            if position.is_some_and(|position| used.get(position) == Some(&false)) {
                let message = format!("the condition does not use `{}`", reference.text);
                self.add(&codes::BAD_CONDITION, file, reference.span, message);
                sound = false;
            }
        }
        let combination = self.combination(names, rules)?;
        let undecidable = if combination.holds(&|_| false) {
            Some(
                "it holds when nothing happens, which is always; name a rule that must match, as in `a and not b`",
            )
        } else {
            match combination.ways(MOST_WAYS) {
                None => Some("it can be satisfied in too many ways; take it apart"),
                Some(ways) if ways.is_empty() => {
                    Some("it never holds: it wants a rule to match and not to")
                }
                Some(_) => None,
            }
        };
        if let Some(why) = undecidable {
            let message = format!("no window of events can decide this condition: {why}");
            self.add(&codes::UNDECIDABLE, file, span, message);
            return None;
        }
        sound.then_some(CorrelationCondition::Rules(combination))
    }

    fn combination(&self, names: &Names, rules: &[Referent]) -> Option<Combination> {
        let all = |parts: &[Names]| {
            let parts = parts.iter().map(|part| self.combination(part, rules));
            parts.collect::<Option<Vec<_>>>()
        };
        Some(match names {
            Names::Rule(reference) => Combination::Rule(self.position(&reference.text, rules)?),
            Names::Not(inner) => Combination::Not(Box::new(self.combination(inner, rules)?)),
            Names::And(parts) => Combination::And(all(parts)?),
            Names::Or(parts) => Combination::Or(all(parts)?),
        })
    }

    fn aliases(
        &mut self,
        draft: &Draft,
        rules: &[Referent],
    ) -> Option<BTreeMap<String, BTreeMap<usize, String>>> {
        let mut aliases: BTreeMap<String, BTreeMap<usize, String>> = BTreeMap::new();
        let mut sound = true;
        for (group, fields) in &draft.aliases {
            for (reference, field) in fields {
                if let Some(position) = self.position(&reference.text, rules) {
                    let of = aliases.entry(group.clone()).or_default();
                    of.insert(position, field.clone());
                } else {
                    let text = &reference.text;
                    let message = format!("the correlation does not count the rule `{text}`");
                    self.add(
                        &codes::BAD_ALIAS,
                        &draft.header.file,
                        reference.span,
                        message,
                    );
                    sound = false;
                }
            }
        }
        sound.then_some(aliases)
    }

    /// Whether the findings of the correlations below have all that this one groups by or looks at: they have the values of
    /// their groups and no other.
    fn findings_have_fields(
        &mut self,
        draft: &Draft,
        correlation: &Correlation,
        resolved: &[Option<Correlation>],
    ) -> bool {
        let mut sound = true;
        for (position, referent) in correlation.rules.iter().enumerate() {
            let Referent::Correlation(inner) = referent else {
                continue;
            };
            let Some(Some(inner)) = resolved.get(*inner) else {
                continue;
            };
            let groups = draft.group_by.iter().map(|(group, span)| (group, *span));
            let looked_at = correlation.kind.fields().iter();
            let looked_at = looked_at.map(|field| (field, draft.header.span));
            for (name, span) in groups.chain(looked_at) {
                let field = correlation.field(name, position);
                if inner.names().all(|group| group != field) {
                    let message = format!(
                        "the findings of `{}` have no `{field}`: it does not group by it",
                        inner.header.title
                    );
                    self.add(&codes::MISSING_GROUP, &draft.header.file, span, message);
                    sound = false;
                }
            }
        }
        sound
    }
}

fn distinct(referents: &[Referent]) -> Vec<Referent> {
    let mut rules: Vec<Referent> = Vec::with_capacity(referents.len());
    for referent in referents {
        if !rules.contains(referent) {
            rules.push(*referent);
        }
    }
    rules
}

/// What a rule is called: its name, or else its id.
fn name(draft: &Draft) -> &str {
    draft.header.name.as_deref().unwrap_or(&draft.header.id)
}
