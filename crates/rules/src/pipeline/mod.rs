//! Processing pipelines: rules written for one shape of events, made to fit another.
//!
//! The format is [pySigma's](https://sigmahq-pysigma.readthedocs.io/en/latest/Processing_Pipelines.html), without what makes queries. A pipeline's
//! transformations are applied to each rule in turn, after its modifiers: so a value that `contains` was written for is `*value*`
//! to them. Several pipelines are one after the other, the lowest priority first.

mod action;
mod conditions;
mod guard;
mod read;
mod rename;
mod renamed;
mod run;
mod steps;
mod test;
mod text;
mod values;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use action::Step;
pub(crate) use renamed::Renamed;

/// The text of a pipeline or of a placeholder file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name, for diagnostics.
    pub file: Arc<Path>,
    /// What it holds.
    pub text: Arc<str>,
}

/// Processing pipelines, chained, and what placeholders stand for. Rules are loaded through them with
/// [`load_through()`](crate::load_through()).
#[derive(Debug, Clone, Default)]
pub struct Pipelines {
    steps: Vec<Step>,
    /// What `value_placeholders` fills in.
    vars: HashMap<String, Vec<String>>,
    /// What is filled in at the end, whatever the pipelines say.
    placeholders: HashMap<String, Vec<String>>,
    /// What is wrong with them.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The texts that the diagnostics point into.
    pub(crate) sources: HashMap<Arc<Path>, Arc<str>>,
}

impl Pipelines {
    /// Reads pipelines, which are sorted by their priorities, and placeholder files: mappings of a placeholder's name to its value or
    /// values. What is wrong with them is among the diagnostics of every load through them.
    pub fn read(pipelines: &[Source], placeholders: &[Source]) -> Self {
        let mut this = Self::default();
        let mut read: Vec<read::Pipeline> = Vec::with_capacity(pipelines.len());
        for source in pipelines {
            read.extend(read::pipeline(source, &mut this.diagnostics));
        }
        // Stable: of equal priorities, the first named is the first applied.
        read.sort_by_key(|pipeline| pipeline.priority);
        for pipeline in read {
            this.steps.extend(pipeline.steps);
            this.vars.extend(pipeline.vars);
        }
        for source in placeholders {
            let read = read::placeholders(source, &mut this.diagnostics);
            this.placeholders.extend(read);
        }
        // A placeholder file may also serve a pipeline's `value_placeholders`.
        this.vars.extend(this.placeholders.clone());
        for source in pipelines.iter().chain(placeholders) {
            let file = Arc::clone(&source.file);
            this.sources.insert(file, Arc::clone(&source.text));
        }
        this
    }

    /// Whether they can be used: rules must not go through a pipeline that was read in part.
    pub fn is_sound(&self) -> bool {
        self.diagnostics
            .iter()
            .all(|found| found.severity == Severity::Warning)
    }

    /// Whether there are transformations: they may change the logsources and fields of rules.
    pub fn transform(&self) -> bool {
        !self.steps.is_empty()
    }

    /// What is wrong with them.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether they change nothing.
    fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.placeholders.is_empty()
    }
}
