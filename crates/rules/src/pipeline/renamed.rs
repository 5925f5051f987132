//! Rules through the pipelines, and what correlations' fields are called behind them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codes;
use crate::correlation::{Correlation, Referent};
use crate::detection::DetectionRule;
use crate::diagnostic::Diagnostic;
use crate::outline::Draft;
use crate::pipeline::Pipelines;
use crate::pipeline::run::Run;

/// The detections that went through, as they were before: a correlation's fields are found anew for each rule that it counts, for
/// each may have gone another way.
pub(crate) struct Renamed<'p> {
    pipelines: &'p Pipelines,
    originals: Vec<Draft>,
}

impl<'p> Renamed<'p> {
    pub(crate) fn new(pipelines: &'p Pipelines) -> Self {
        Self {
            pipelines,
            originals: Vec::new(),
        }
    }

    /// Puts a detection through, or says why it does not come out.
    pub(crate) fn apply(&mut self, draft: Draft) -> Result<Draft, Vec<Diagnostic>> {
        if self.pipelines.is_empty() {
            return Ok(draft);
        }
        self.originals.push(draft.clone());
        let mut run = Run::new(self.pipelines, draft, Vec::new());
        run.run()?;
        Ok(run.draft)
    }

    /// The detection that went through last does not load.
    pub(crate) fn forget(&mut self) {
        self.originals.pop();
    }

    /// What a field is called in the events of a detection, by its index: several names are alternatives.
    pub(crate) fn field(&self, rule: usize, field: &str) -> Vec<String> {
        let own = vec![field.to_owned()];
        let Some(draft) = self.originals.get(rule) else {
            return own;
        };
        let mut run = Run::new(self.pipelines, draft.clone(), vec![own.clone()]);
        // The rule went through before, and does again.
        match run.run() {
            Ok(()) => run.probes.pop().unwrap_or(own),
            Err(_) => own,
        }
    }

    /// Gives the fields by which a detection's alerts are suppressed their names behind the pipelines.
    pub(crate) fn suppression(
        &self,
        index: usize,
        rule: &mut DetectionRule,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let Some(suppress) = &mut rule.header.suppress else {
            return;
        };
        for field in &mut suppress.fields {
            match self.field(index, field).as_slice() {
                [only] => *field = only.clone(),
                [] => {}
                several => {
                    let names = several.join(", ");
                    let message = format!(
                        "the pipelines give `{field}` several names ({names}), and `suppress` can only look at one"
                    );
                    let file = Arc::clone(&rule.header.file);
                    let place = rule.header.span;
                    diagnostics.push(Diagnostic::new(
                        &codes::BAD_FIELD_MAPPING,
                        file,
                        place,
                        message,
                    ));
                }
            }
        }
    }

    /// Gives the fields that a correlation groups by or looks at their names behind the pipelines: as aliases, so that groups are still
    /// called as the correlation calls them.
    pub(crate) fn correlation(
        &self,
        correlation: &mut Correlation,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        if self.pipelines.steps.is_empty() {
            return;
        }
        let mut aliases: BTreeMap<String, BTreeMap<usize, String>> = BTreeMap::new();
        let names = correlation.group_by.iter().chain(correlation.kind.fields());
        for name in names {
            for (position, rule) in correlation.rules.iter().enumerate() {
                // The findings of another correlation have its groups, which are still called as it calls them.
                let &Referent::Detection(rule) = rule else {
                    continue;
                };
                let field = correlation.field(name, position);
                match self.field(rule, field).as_slice() {
                    [only] if only != field => {
                        let fields = aliases.entry(name.clone()).or_default();
                        fields.insert(position, only.clone());
                    }
                    [_] | [] => {}
                    several => diagnostics.push(ambiguous(correlation, field, several)),
                }
            }
        }
        for (name, fields) in aliases {
            correlation.aliases.entry(name).or_default().extend(fields);
        }
    }
}

fn ambiguous(correlation: &Correlation, field: &str, names: &[String]) -> Diagnostic {
    let header = &correlation.header;
    let message = format!(
        "the pipelines give `{field}` several names ({}), and a correlation can only look at one",
        names.join(", ")
    );
    let help =
        "give the field of each rule in `aliases`, by its name behind the pipelines".to_owned();
    Diagnostic {
        help: Some(help),
        ..Diagnostic::new(
            &codes::BAD_FIELD_MAPPING,
            Arc::clone(&header.file),
            header.span,
            message,
        )
    }
}
