//! Rules from the command line or the configuration: loaded, compiled, and whatever is wrong with them shown.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haechi_engine::{CompileError, Limits, Program};
use haechi_rules::{
    Code, DetectionRule, Diagnostic, Emission, Expr, Loaded, Pipelines, RuleHeader, Severity, Span,
    Surroundings,
};

use crate::diagnostics::{DOUBTFUL_AGGREGATION, UNUSABLE_AGGREGATION, UNUSABLE_DETECTION};

/// Rules as they were loaded, and what there is to say about them.
pub(crate) struct Rulebook {
    pub(crate) loaded: Loaded,
    /// What a regular expression may take to work, in bytes.
    pub(crate) regex_bytes: usize,
}

/// How many diagnostics there are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
}

impl Rulebook {
    /// Loads files and folders through pipelines. Broken rules become diagnostics, the rest is loaded.
    ///
    /// # Errors
    /// When a pipeline is broken: rules that went through half of one would look at the wrong fields, so none is loaded.
    pub(crate) fn load(paths: &[PathBuf], pipelines: &Pipelines) -> anyhow::Result<Self> {
        if !pipelines.is_sound() {
            let book = Self::from_loaded(haechi_rules::load_through(&[], pipelines));
            let count = book.report(true);
            anyhow::bail!(
                "{} error(s) in processing pipelines or placeholder files: no rule was loaded",
                count.errors
            );
        }
        Ok(Self::from_loaded(haechi_rules::load_through(
            paths, pipelines,
        )))
    }

    /// Rules that were loaded already.
    pub(crate) fn from_loaded(loaded: Loaded) -> Self {
        Self {
            loaded,
            regex_bytes: Limits::default().regex_bytes,
        }
    }

    /// Rules tell what they find once, when it is final, whatever they say.
    pub(crate) fn tell_only_the_end(&mut self) {
        for rule in &mut self.loaded.rules.correlations {
            if rule.emit != Emission::Final {
                Arc::make_mut(rule).emit = Emission::Final;
            }
            if rule.header.suppress.is_some() {
                at_the_end(&mut Arc::make_mut(rule).header);
            }
        }
        for rule in &mut self.loaded.rules.detections {
            if rule.header.suppress.is_some() {
                at_the_end(&mut Arc::make_mut(rule).header);
            }
        }
    }

    /// Compiles what was loaded. Rules that do not compile become diagnostics and are left out.
    ///
    /// # Errors
    /// When what is left does not compile either.
    pub(crate) fn compile(&mut self, inputs: &[Arc<str>]) -> Result<Program, CompileError> {
        let mut rules = self.loaded.rules.clone();
        loop {
            match Program::compile(rules.clone(), inputs, self.regex_bytes) {
                Ok(program) => {
                    self.warn(&program);
                    return Ok(program);
                }
                Err(CompileError::Detections(error)) => {
                    let Some(rule) = rules
                        .detections
                        .get_mut(error.rule)
                        .filter(|rule| !is_silenced(rule))
                    else {
                        return Err(error.into());
                    };
                    // Correlations refer to detections by position: it stays, and never matches.
                    *rule = Arc::new(DetectionRule {
                        condition: Expr::Const(false),
                        ..DetectionRule::clone(rule)
                    });
                    let header = &rule.header;
                    let place = (Arc::clone(&header.file), header.span);
                    self.loaded.diagnostics.push(unusable(
                        &UNUSABLE_DETECTION,
                        place,
                        error.reason.to_string(),
                        None,
                    ));
                }
                Err(CompileError::Aggregations(broken)) => {
                    let is_sound = |id: &Arc<str>| broken.iter().all(|error| error.rule != *id);
                    let before = rules.correlations.len() + rules.rollups.len();
                    let broken_id = |id: &str| broken.iter().any(|error| *error.rule == *id);
                    let dependent = rules.remove_correlations(broken_id);
                    rules.rollups.retain(|rule| is_sound(&rule.header.id));
                    if rules.correlations.len() + rules.rollups.len() == before {
                        return Err(CompileError::Aggregations(broken));
                    }
                    self.loaded.diagnostics.extend(dependent.iter().map(|rule| {
                        unusable(
                            &UNUSABLE_AGGREGATION,
                            (Arc::clone(&rule.header.file), rule.header.span),
                            "a correlation that it refers to cannot run".to_owned(),
                            None,
                        )
                    }));
                    let broken = broken.into_iter();
                    self.loaded.diagnostics.extend(broken.map(|error| {
                        unusable(
                            &UNUSABLE_AGGREGATION,
                            (error.file, error.span),
                            error.message,
                            error.help,
                        )
                    }));
                }
            }
        }
    }

    /// What a query says that its author may not mean.
    fn warn(&mut self, program: &Program) {
        let warnings = program.aggregations.warnings().iter().cloned();
        self.loaded.diagnostics.extend(warnings.map(|warning| {
            unusable(
                &DOUBTFUL_AGGREGATION,
                (warning.file, warning.span),
                warning.message,
                warning.help,
            )
        }));
    }

    /// The errors, one text each: the rules that have them were left out.
    pub(crate) fn faults(&self) -> BTreeSet<String> {
        let errors = self.loaded.diagnostics.iter();
        let errors = errors.filter(|diagnostic| diagnostic.severity == Severity::Error);
        errors
            .map(|diagnostic| {
                let (file, message) = (diagnostic.file.display(), &diagnostic.message);
                format!("{} in {file}: {message}", diagnostic.code)
            })
            .collect()
    }

    /// Adds what only checking is for: lints. Afterwards everything stands by file and place.
    pub(crate) fn lint(&mut self, surroundings: &Surroundings) {
        let found = haechi_rules::inspect(&self.loaded, surroundings);
        self.loaded.diagnostics.extend(found);
        self.loaded
            .diagnostics
            .sort_by(|a, b| (&a.file, a.span).cmp(&(&b.file, b.span)));
    }

    /// How many diagnostics there are.
    pub(crate) fn count(&self) -> Count {
        let mut count = Count::default();
        for diagnostic in &self.loaded.diagnostics {
            match diagnostic.severity {
                Severity::Error => count.errors += 1,
                Severity::Warning => count.warnings += 1,
            }
        }
        count
    }

    /// Shows diagnostics on stderr: errors always, warnings when asked for.
    pub(crate) fn report(&self, warnings: bool) -> Count {
        let mut out = std::io::stderr().lock();
        let colour = out.is_terminal();
        for diagnostic in &self.loaded.diagnostics {
            if warnings || diagnostic.severity == Severity::Error {
                let source = self
                    .loaded
                    .sources
                    .get(&diagnostic.file)
                    .map(|text| &**text);
                // Nothing sensible is left to do when stderr is gone.
                let _ = writeln!(out, "{}\n", diagnostic.render(source, colour));
            }
        }
        self.count()
    }
}

fn at_the_end(header: &mut RuleHeader) {
    if let Some(suppress) = &mut header.suppress {
        suppress.at_once = false;
    }
}

fn is_silenced(rule: &DetectionRule) -> bool {
    matches!(rule.condition, Expr::Const(false))
}

fn unusable(
    code: &Code,
    (file, span): (Arc<Path>, Span),
    message: String,
    help: Option<String>,
) -> Diagnostic {
    Diagnostic {
        code: code.id,
        severity: code.severity,
        file,
        span,
        message,
        help,
    }
}
