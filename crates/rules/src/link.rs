//! From the rules of all files to one set: duplicates left out, references looked up, filters applied.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::codes::{self, Code};
use crate::correlation::{self, Correlation, Lookup, Reference, Referent};
use crate::detection::DetectionRule;
use crate::diagnostic::Diagnostic;
use crate::document::{Body, Draft};
use crate::filter::{self, Scope};
use crate::outline::{self, Outline};
use crate::pipeline::{Pipelines, Renamed};
use crate::rule::RuleSet;

/// A rule and the file it is in.
pub(crate) struct Placed {
    pub(crate) file: Arc<Path>,
    pub(crate) draft: Draft,
}

/// Links the rules of all files, in their order, and puts them through the processing pipelines. What is wrong is added to
/// `diagnostics`.
pub(crate) fn link(
    drafts: Vec<Placed>,
    pipelines: &Pipelines,
    diagnostics: &mut Vec<Diagnostic>,
) -> RuleSet {
    let drafts = without_duplicates(drafts, diagnostics);
    let directory = Directory::of(&drafts, diagnostics);
    let mut rules = RuleSet::default();
    let mut detections: Vec<outline::Draft> = Vec::new();
    let mut correlations = Vec::new();
    let mut filters = Vec::new();
    for Placed { draft, .. } in drafts {
        match draft.body {
            Body::Detection(draft) => detections.push(draft),
            Body::Correlation(draft) => correlations.push(draft),
            Body::Filter(draft) => filters.push(draft),
            Body::Rollup(rollup) => rules.rollups.push(Arc::new(rollup)),
            Body::Broken => {}
        }
    }
    let mut linker = Linker {
        directory,
        diagnostics,
    };
    linker.apply_filters(filters, &mut detections);
    let (mut detections, renamed) = linker.finish(detections, pipelines);
    let directory = linker.directory;
    for (index, detection) in detections.iter_mut().enumerate() {
        renamed.suppression(index, detection, diagnostics);
    }
    let look_up = |text: &str| directory.counted(text);
    let mut correlations = correlation::resolve(correlations, &look_up, diagnostics);
    for correlation in &mut correlations {
        renamed.correlation(correlation, diagnostics);
    }
    silence_parts(&mut correlations, &mut detections);
    rules.correlations = correlations.into_iter().map(Arc::new).collect();
    rules.detections = detections.into_iter().map(Arc::new).collect();
    rules
}

fn without_duplicates(drafts: Vec<Placed>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Placed> {
    let mut first: HashMap<Arc<str>, String> = HashMap::new();
    let mut kept = Vec::with_capacity(drafts.len());
    for placed in drafts {
        let identity = &placed.draft.identity;
        let here = format!("{}:{}", placed.file.display(), identity.id_span.line);
        match first.get(&identity.id) {
            None => {
                first.insert(Arc::clone(&identity.id), here);
                kept.push(placed);
            }
            Some(there) => {
                let message = format!("the id `{}` is taken by the rule at {there}", identity.id);
                let diagnostic =
                    Diagnostic::new(&codes::DUPLICATE_ID, placed.file, identity.id_span, message);
                let help =
                    "give this rule an id of its own, or remove it if it is a copy".to_owned();
                diagnostics.push(Diagnostic {
                    help: Some(help),
                    ..diagnostic
                });
            }
        }
    }
    kept
}

/// A rule feeds correlations instead of alerting, where one looks at it and none of those says `generate: true`.
fn silence_parts(correlations: &mut [Correlation], detections: &mut [DetectionRule]) {
    let looked_at = |wanted: bool| {
        let of = correlations.iter().filter(|c| c.generate == wanted);
        of.flat_map(|c| c.rules.iter().copied())
            .collect::<Vec<Referent>>()
    };
    // Those that a correlation silences first, then those that another one gives their voice back.
    let (silenced, heard) = (looked_at(false), looked_at(true));
    let silenced = silenced.into_iter().map(|rule| (rule, false));
    for (rule, alerts) in silenced.chain(heard.into_iter().map(|rule| (rule, true))) {
        let place = match rule {
            Referent::Detection(index) => detections.get_mut(index).map(|rule| &mut rule.alerts),
            Referent::Correlation(index) => {
                correlations.get_mut(index).map(|rule| &mut rule.alerts)
            }
        };
        place.into_iter().for_each(|place| *place = alerts);
    }
}

/// What an id or a name stands for.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// Its index among the detections.
    Detection(usize),
    /// Its index among the correlations, those that do not link included.
    Correlation(usize),
    Filter,
    Rollup,
    Broken,
}

/// All rules by what they can be called.
struct Directory {
    ids: HashMap<Arc<str>, Target>,
    names: HashMap<String, Vec<Target>>,
}

impl Directory {
    fn of(drafts: &[Placed], diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut directory = Self {
            ids: HashMap::new(),
            names: HashMap::new(),
        };
        let (mut detections, mut correlations) = (0.., 0..);
        for Placed {
            file,
            draft: Draft { identity, body },
        } in drafts
        {
            let target = match body {
                Body::Detection(_) => Target::Detection(detections.next().unwrap_or_default()),
                Body::Correlation(_) => {
                    Target::Correlation(correlations.next().unwrap_or_default())
                }
                Body::Filter(_) => Target::Filter,
                Body::Rollup(_) => Target::Rollup,
                Body::Broken => Target::Broken,
            };
            directory.ids.insert(Arc::clone(&identity.id), target);
            let Some((name, span)) = &identity.name else {
                continue;
            };
            let same = directory.names.entry(name.clone()).or_default();
            same.push(target);
            if same.len() > 1 {
                let message = format!("another rule has the name `{name}` too");
                diagnostics.push(Diagnostic::new(
                    &codes::DUPLICATE_NAME,
                    Arc::clone(file),
                    *span,
                    message,
                ));
            }
        }
        directory
    }

    /// Follows the detections to their new places; those without one do not load.
    fn renumber(&mut self, places: &[Option<usize>]) {
        let names = self.names.values_mut().flatten();
        for target in self.ids.values_mut().chain(names) {
            if let Target::Detection(index) = target {
                let place = places.get(*index).copied().flatten();
                *target = place.map_or(Target::Broken, Target::Detection);
            }
        }
    }

    fn look_up(&self, text: &str) -> &[Target] {
        match self.ids.get(text) {
            Some(target) => std::slice::from_ref(target),
            None => self.names.get(text).map_or(&[], Vec::as_slice),
        }
    }

    /// What a correlation's reference leads to.
    fn counted(&self, text: &str) -> Lookup {
        match self.look_up(text) {
            [Target::Detection(index)] => Lookup::Detection(*index),
            [Target::Correlation(index)] => Lookup::Correlation(*index),
            other => {
                let (code, message) = nowhere(text, other, "");
                Lookup::Nowhere(code, message)
            }
        }
    }
}

/// Why a reference leads to no detection; `correlations` says why one to a correlation does not do.
fn nowhere(text: &str, targets: &[Target], correlations: &str) -> (&'static Code, String) {
    match targets {
        [] => (
            &codes::UNKNOWN_RULE,
            format!("no rule has the id or name `{text}`"),
        ),
        [Target::Broken] => (
            &codes::UNKNOWN_RULE,
            format!("the rule `{text}` does not load; see what is wrong with it"),
        ),
        [Target::Correlation(_)] => (
            &codes::WRONG_REFERENCE,
            format!("`{text}` is a correlation; {correlations}"),
        ),
        [Target::Filter] => (
            &codes::WRONG_REFERENCE,
            format!("`{text}` is a filter, not a detection"),
        ),
        [Target::Rollup] => (
            &codes::WRONG_REFERENCE,
            format!("`{text}` is a rollup, not a detection"),
        ),
        several => {
            let count = several.len();
            (
                &codes::AMBIGUOUS_RULE,
                format!("{count} rules have the name `{text}`; refer to one by its id"),
            )
        }
    }
}

struct Linker<'d> {
    directory: Directory,
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl Linker<'_> {
    fn add(
        &mut self,
        code: &'static Code,
        file: &Arc<Path>,
        reference: &Reference,
        message: String,
    ) {
        self.diagnostics.push(Diagnostic::new(
            code,
            Arc::clone(file),
            reference.span,
            message,
        ));
    }

    /// The detections that a filter of `file` refers to, by reference. Complains about every one that leads to none.
    fn detections(&mut self, references: &[Reference], file: &Arc<Path>) -> Vec<Option<usize>> {
        let mut found = Vec::with_capacity(references.len());
        for reference in references {
            found.push(match self.directory.look_up(&reference.text) {
                [Target::Detection(index)] => Some(*index),
                other => {
                    let (code, message) =
                        nowhere(&reference.text, other, "filters are for detections");
                    self.add(code, file, reference, message);
                    None
                }
            });
        }
        found
    }

    /// Adds each filter's condition to the rules that it is for.
    fn apply_filters(&mut self, filters: Vec<filter::Draft>, detections: &mut [outline::Draft]) {
        let mut added: BTreeMap<usize, Vec<Outline>> = BTreeMap::new();
        for filter in filters {
            for index in self.filtered(&filter, detections) {
                added
                    .entry(index)
                    .or_default()
                    .push(filter.condition.clone());
            }
        }
        for (index, conditions) in added {
            if let Some(rule) = detections.get_mut(index) {
                conditions
                    .into_iter()
                    .for_each(|condition| rule.outline.require(condition));
            }
        }
    }

    /// Puts the detections through the pipelines. Those that do not come out are left out, and what refers to them is told so.
    fn finish<'p>(
        &mut self,
        drafts: Vec<outline::Draft>,
        pipelines: &'p Pipelines,
    ) -> (Vec<DetectionRule>, Renamed<'p>) {
        let mut renamed = Renamed::new(pipelines);
        let mut places = Vec::with_capacity(drafts.len());
        let mut detections = Vec::with_capacity(drafts.len());
        for draft in drafts {
            match renamed.apply(draft).and_then(outline::Draft::finish) {
                Ok(rule) => {
                    places.push(Some(detections.len()));
                    detections.push(rule);
                }
                Err(wrong) => {
                    places.push(None);
                    renamed.forget();
                    self.diagnostics.extend(wrong);
                }
            }
        }
        self.directory.renumber(&places);
        (detections, renamed)
    }

    /// The detections that a filter is for. A reference that leads nowhere takes the filter from no other rule.
    fn filtered(&mut self, filter: &filter::Draft, detections: &[outline::Draft]) -> Vec<usize> {
        let file = &filter.header.file;
        let inside = |index: usize| {
            detections
                .get(index)
                .is_some_and(|rule| filter.logsource.covers(&rule.logsource))
        };
        let Scope::Named(references) = &filter.rules else {
            let chosen: Vec<usize> = (0..detections.len())
                .filter(|index| inside(*index))
                .collect();
            if chosen.is_empty() {
                let message = format!(
                    "no rule has a logsource in {}, so the filter applies to none",
                    filter.logsource
                );
                let found = Diagnostic::new(
                    &codes::UNUSED_FILTER,
                    Arc::clone(file),
                    filter.header.span,
                    message,
                );
                self.diagnostics.push(found);
            }
            return chosen;
        };
        let found = self.detections(references, file);
        let mut chosen = Vec::with_capacity(found.len());
        for (reference, index) in references.iter().zip(found) {
            let Some(index) = index else { continue };
            if !inside(index) {
                let message = format!(
                    "the filter does not apply to `{}`, whose logsource is not in {}",
                    reference.text, filter.logsource
                );
                self.add(&codes::UNUSED_FILTER, file, reference, message);
            } else if !chosen.contains(&index) {
                chosen.push(index);
            }
        }
        chosen
    }
}
