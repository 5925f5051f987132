//! Rules from the command line or the configuration: loaded, compiled, and whatever is wrong with them shown.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haechi_engine::{CompileError, Limits, Program};
use haechi_rules::{DetectionRule, Diagnostic, Expr, Loaded, Severity, Span};

/// Rules as they were loaded, and what there is to say about them.
pub(crate) struct Rulebook {
    pub(crate) loaded: Loaded,
    /// What a regular expression may take to work, in bytes.
    pub(crate) regex_bytes: usize,
}

/// A correlation or rollup that is well-formed but cannot run as a stream. The rule language has the other codes.
const UNUSABLE_AGGREGATION: &str = "HC060";
/// A correlation or rollup that runs, but perhaps not as meant.
const DOUBTFUL_AGGREGATION: &str = "HC160";
/// A detection that is well-formed but too large to match with, such as a regular expression beyond the limits.
const UNUSABLE_DETECTION: &str = "HC061";

/// How many diagnostics there are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
}

impl Rulebook {
    /// Loads files and folders. Broken rules become diagnostics, the rest is loaded.
    pub(crate) fn load(paths: &[PathBuf]) -> Self {
        Self::from_loaded(haechi_rules::load(paths))
    }

    /// Rules that were loaded already.
    pub(crate) fn from_loaded(loaded: Loaded) -> Self {
        Self {
            loaded,
            regex_bytes: Limits::default().regex_bytes,
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
                        UNUSABLE_DETECTION,
                        place,
                        error.reason.to_string(),
                        None,
                    ));
                }
                Err(CompileError::Aggregations(broken)) => {
                    let is_sound = |id: &Arc<str>| broken.iter().all(|error| error.rule != *id);
                    let before = rules.correlations.len() + rules.rollups.len();
                    rules.correlations.retain(|rule| is_sound(&rule.header.id));
                    rules.rollups.retain(|rule| is_sound(&rule.header.id));
                    if rules.correlations.len() + rules.rollups.len() == before {
                        return Err(CompileError::Aggregations(broken));
                    }
                    let broken = broken.into_iter();
                    self.loaded.diagnostics.extend(broken.map(|error| {
                        unusable(
                            UNUSABLE_AGGREGATION,
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
        self.loaded
            .diagnostics
            .extend(warnings.map(|warning| Diagnostic {
                severity: Severity::Warning,
                ..unusable(
                    DOUBTFUL_AGGREGATION,
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

    /// Shows diagnostics on stderr: errors always, warnings when asked for.
    pub(crate) fn report(&self, warnings: bool) -> Count {
        let mut count = Count::default();
        let mut out = std::io::stderr().lock();
        let colour = out.is_terminal();
        for diagnostic in &self.loaded.diagnostics {
            match diagnostic.severity {
                Severity::Error => count.errors += 1,
                Severity::Warning => count.warnings += 1,
            }
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
        count
    }
}

fn is_silenced(rule: &DetectionRule) -> bool {
    matches!(rule.condition, Expr::Const(false))
}

fn unusable(
    code: &'static str,
    (file, span): (Arc<Path>, Span),
    message: String,
    help: Option<String>,
) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Error,
        file,
        span,
        message,
        help,
    }
}
