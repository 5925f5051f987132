//! A rule on its way through the pipelines.

use std::collections::HashMap;
use std::sync::Arc;

use crate::codes::{self, Code};
use crate::detection::Test;
use crate::diagnostic::{Diagnostic, Span};
use crate::outline::{Draft, Outline, Shape};
use crate::pattern::{Pattern, Piece};
use crate::pipeline::Pipelines;
use crate::pipeline::action::{Action, Fill, Step};
use crate::pipeline::rename::{Rename, other_side, renamed};
use crate::rule::Logsource;
use crate::template::Unfit;
use crate::tree::{Item, Tree, Value};

/// What has happened to a rule so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) state: HashMap<String, String>,
    /// Ids of the processing items that applied.
    pub(super) applied: Vec<Arc<str>>,
    /// By a field's name, the ids of those that gave it that name.
    names: HashMap<String, Vec<Arc<str>>>,
}

impl Progress {
    /// Whether the processing item of this id gave a field this name.
    pub(super) fn named(&self, field: &str, id: &str) -> bool {
        let ids = self.names.get(field);
        ids.is_some_and(|ids| ids.iter().any(|known| **known == *id))
    }

    /// Notes that fields have new names, which keep what is known of the old one.
    fn rename(&mut self, from: &str, to: &[String], step: &Step) {
        let mut ids = self.names.get(from).cloned().unwrap_or_default();
        ids.extend(step.id.clone());
        for name in to {
            let known = self.names.entry(name.clone()).or_default();
            for id in &ids {
                if !known.contains(id) {
                    known.push(Arc::clone(id));
                }
            }
        }
    }
}

/// A rule, and names of fields that go the way that its fields do.
pub(super) struct Run<'p> {
    pipelines: &'p Pipelines,
    pub(super) draft: Draft,
    /// For each name that a correlation uses, what it is called now.
    pub(super) probes: Vec<Vec<String>>,
    progress: Progress,
}

type Wrong = Vec<Diagnostic>;

impl<'p> Run<'p> {
    pub(super) fn new(pipelines: &'p Pipelines, draft: Draft, probes: Vec<Vec<String>>) -> Self {
        Self {
            pipelines,
            draft,
            probes,
            progress: Progress::default(),
        }
    }

    /// The way through all pipelines.
    pub(super) fn run(&mut self) -> Result<(), Wrong> {
        self.steps(&self.pipelines.steps)?;
        if self.pipelines.placeholders.is_empty() {
            return Ok(());
        }
        let placeholders = &self.pipelines.placeholders;
        self.fill(&|name| placeholders.get(name).cloned(), &|_| true, None)
    }

    fn steps(&mut self, steps: &[Step]) -> Result<(), Wrong> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), Wrong> {
        let applies = |correlation| {
            step.rule
                .holds(|test| test.holds(&self.draft, &self.progress, correlation))
        };
        let (to_rule, to_probes) = (applies(false), !self.probes.is_empty() && applies(true));
        if let (Action::Rename(rename), true) = (&step.action, to_probes) {
            self.rename_probes(step, rename);
        }
        // Steps inside look at their own conditions.
        if let (Action::Nest(inner), true) = (&step.action, to_rule || to_probes) {
            self.note(step);
            return self.steps(inner);
        }
        if !to_rule {
            return Ok(());
        }
        self.act(step)?;
        self.note(step);
        Ok(())
    }

    fn note(&mut self, step: &Step) {
        self.progress.applied.extend(step.id.clone());
    }

    fn act(&mut self, step: &Step) -> Result<(), Wrong> {
        match &step.action {
            Action::Rename(rename) => self.rename(step, rename),
            Action::Change(change) => self.each_item(step, |mut item| {
                change.apply(&mut item)?;
                Ok(Some(Tree::Item(item)))
            }),
            Action::Hashes(hashes) => self.each_item(step, |item| {
                Ok(Some(hashes.split(&item)?.unwrap_or(Tree::Item(item))))
            }),
            Action::Drop => self.each_item(step, |_| Ok(None)),
            Action::ItemFailure(message) => {
                let message = message.clone();
                self.each_item(step, move |_| Err(message.clone()))
            }
            Action::Fill(fill) => self.fill_from(step, fill),
            Action::StrictMapping => self.refuse_unmapped(step),
            Action::AddCondition {
                tree,
                template,
                negated,
            } => {
                self.add_condition(step, tree, *template, *negated);
                Ok(())
            }
            Action::ChangeLogsource(logsource) => {
                self.draft.logsource = logsource.clone();
                Ok(())
            }
            Action::SetState(key, value) => {
                self.progress.state.insert(key.clone(), value.clone());
                Ok(())
            }
            Action::SetAttribute(key, value) => {
                self.draft.attributes.insert(key.clone(), value.clone());
                Ok(())
            }
            Action::RuleFailure(message) => Err(vec![self.refusal(
                &codes::REFUSED_BY_PIPELINE,
                step,
                self.draft.header.span,
                message,
            )]),
            Action::Nest(inner) => self.steps(inner),
            Action::Nothing => Ok(()),
        }
    }

    /// Replaces every item that the step's conditions choose.
    fn each_item(
        &mut self,
        step: &Step,
        mut change: impl FnMut(Item) -> Result<Option<Tree>, String>,
    ) -> Result<(), Wrong> {
        let selections = std::mem::take(&mut self.draft.outline.selections);
        let progress = &self.progress;
        let mut changed = Vec::with_capacity(selections.len());
        let mut failure = None;
        for tree in selections {
            let result = tree.rewrite(&mut |item| {
                if !chosen(step, &item, progress) {
                    return Ok(Some(Tree::Item(item)));
                }
                let span = item.span;
                let marked = Item {
                    applied: item
                        .applied
                        .iter()
                        .cloned()
                        .chain(step.id.clone())
                        .collect(),
                    ..item
                };
                change(marked).map_err(|message| (span, message))
            });
            match result {
                // Conditions name selections by their place, so an empty one stays.
                Ok(tree) => changed.push(tree.unwrap_or(Tree::All(Vec::new()))),
                Err(wrong) => {
                    failure = Some(wrong);
                    break;
                }
            }
        }
        self.draft.outline.selections = changed;
        match failure {
            None => Ok(()),
            Some((span, message)) => Err(vec![self.refusal(
                &codes::REFUSED_BY_PIPELINE,
                step,
                span,
                &message,
            )]),
        }
    }

    fn rename(&mut self, step: &Step, rename: &Rename) -> Result<(), Wrong> {
        let mut noted: Vec<(String, Vec<String>)> = Vec::new();
        self.each_item(step, |mut item| {
            other_side(&mut item, |name| rename.of(name));
            let names = item.field.as_deref().and_then(|field| rename.of(field));
            let (Some(field), Some(names)) = (item.field.clone(), names) else {
                return Ok(Some(Tree::Item(item)));
            };
            noted.push((field.to_string(), names.clone()));
            Ok(Some(renamed(item, &names)))
        })?;
        for (from, to) in noted {
            self.progress.rename(&from, &to, step);
        }
        Ok(())
    }

    fn rename_probes(&mut self, step: &Step, rename: &Rename) {
        let mut probes = std::mem::take(&mut self.probes);
        for names in &mut probes {
            let mut changed: Vec<String> = Vec::with_capacity(names.len());
            for name in std::mem::take(names) {
                let fits = step
                    .name
                    .holds(|test| test.holds(Some(&name), &self.progress));
                let others = if fits { rename.of(&name) } else { None };
                if let Some(others) = &others {
                    self.progress.rename(&name, others, step);
                }
                changed.extend(others.unwrap_or_else(|| vec![name]));
            }
            *names = changed;
        }
        self.probes = probes;
    }

    fn fill_from(&mut self, step: &Step, fill: &Fill) -> Result<(), Wrong> {
        let vars = &self.pipelines.vars;
        let lookup = |name: &str| {
            if !fill.handles(name) {
                None
            } else if fill.wildcard {
                Some(vec!["*".to_owned()])
            } else {
                vars.get(name).cloned()
            }
        };
        let progress = std::mem::take(&mut self.progress);
        let result = self.fill(
            &lookup,
            &|item| chosen(step, item, &progress),
            step.id.as_ref(),
        );
        self.progress = progress;
        result
    }

    fn fill(
        &mut self,
        lookup: &dyn Fn(&str) -> Option<Vec<String>>,
        chosen: &dyn Fn(&Item) -> bool,
        id: Option<&Arc<str>>,
    ) -> Result<(), Wrong> {
        let file = Arc::clone(&self.draft.header.file);
        let mut change = |mut item: Item| -> Result<Option<Tree>, Unfit> {
            let has_template = item
                .values
                .iter()
                .any(|value| matches!(value, Value::Template(_)));
            if !has_template || !chosen(&item) {
                return Ok(Some(Tree::Item(item)));
            }
            let mut values = Vec::with_capacity(item.values.len());
            for value in std::mem::take(&mut item.values) {
                match value {
                    Value::Template(template) => values.extend(template.fill(&file, lookup)?),
                    value => values.push(value),
                }
            }
            item.values = values;
            item.applied.extend(id.cloned());
            Ok(Some(Tree::Item(item)))
        };
        for tree in &mut self.draft.outline.selections {
            let old = std::mem::replace(tree, Tree::All(Vec::new()));
            match old.rewrite(&mut change) {
                Ok(Some(new)) => *tree = new,
                Ok(None) => {}
                Err(Unfit::Wrong(wrong)) => return Err(wrong),
                Err(Unfit::TooMany(span)) => {
                    let message = "the placeholders make too many values of this one";
                    return Err(vec![Diagnostic::new(&codes::TOO_BIG, file, span, message)]);
                }
            }
        }
        Ok(())
    }

    fn refuse_unmapped(&self, step: &Step) -> Result<(), Wrong> {
        let mut unmapped: Vec<(String, Span)> = Vec::new();
        for tree in &self.draft.outline.selections {
            tree.items(&mut |item| {
                if let Some(field) = item.field.as_deref().filter(|_| !item.mapped)
                    && chosen(step, item, &self.progress)
                {
                    unmapped.push((field.to_owned(), item.span));
                }
            });
        }
        let wrong: Wrong = unmapped
            .into_iter()
            .map(|(field, span)| {
                let message = format!("no pipeline maps the field `{field}`");
                self.refusal(&codes::REFUSED_BY_PIPELINE, step, span, &message)
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn add_condition(&mut self, step: &Step, tree: &Tree, template: bool, negated: bool) {
        let logsource = self.draft.logsource.clone();
        let mut change = |mut item: Item| -> Result<Option<Tree>, std::convert::Infallible> {
            if template {
                item.values
                    .iter_mut()
                    .for_each(|value| insert(value, &logsource));
            }
            item.applied.extend(step.id.clone());
            item.span = self.draft.header.span;
            Ok(Some(Tree::Item(item)))
        };
        let Ok(Some(tree)) = tree.clone().rewrite(&mut change) else {
            return;
        };
        let shape = match negated {
            true => Shape::Not(Box::new(Shape::Selection(0))),
            false => Shape::Selection(0),
        };
        self.draft.outline.require(Outline {
            selections: vec![tree],
            shape,
        });
    }

    fn refusal(&self, code: &'static Code, step: &Step, span: Span, message: &str) -> Diagnostic {
        let at = format!(
            "{}:{}:{}",
            step.file.display(),
            step.span.line,
            step.span.column
        );
        let help = format!("the pipeline says so at {at}");
        Diagnostic {
            help: Some(help),
            ..Diagnostic::new(code, Arc::clone(&self.draft.header.file), span, message)
        }
    }
}

fn chosen(step: &Step, item: &Item, progress: &Progress) -> bool {
    step.item.holds(|test| test.holds(item, progress))
        && step
            .name
            .holds(|test| test.holds(item.field.as_deref(), progress))
}

/// Puts the logsource's keys where a template names them.
fn insert(value: &mut Value, logsource: &Logsource) {
    let Value::Tests(tests) = value else { return };
    let keys = [
        ("category", &logsource.category),
        ("product", &logsource.product),
        ("service", &logsource.service),
    ];
    for test in tests {
        let Test::Text(text) = test else { continue };
        let pieces = std::mem::take(&mut text.pattern).pieces.into_iter();
        text.pattern = pieces
            .map(|piece| match piece {
                Piece::Literal(literal) => {
                    Piece::Literal(keys.iter().fold(literal, |literal, (name, value)| {
                        let value = value.as_deref().unwrap_or_default();
                        literal
                            .replace(&format!("${{{name}}}"), value)
                            .replace(&format!("${name}"), value)
                    }))
                }
                other => other,
            })
            .collect::<Pattern>();
    }
}
