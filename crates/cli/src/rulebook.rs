//! Rules from the command line or the configuration: loaded, compiled, and whatever is wrong with them shown.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use haechi_engine::{CompileError, Program};
use haechi_rules::{Diagnostic, Loaded, Severity};

/// Rules as they were loaded, and what there is to say about them.
pub(crate) struct Rulebook {
    pub(crate) loaded: Loaded,
}

/// A correlation or rollup that is well-formed but cannot run as a stream. The rule language has the other codes.
const UNUSABLE_AGGREGATION: &str = "HC060";

/// How many diagnostics there are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
}

impl Rulebook {
    /// Loads files and folders. Broken rules become diagnostics, the rest is loaded.
    pub(crate) fn load(paths: &[PathBuf]) -> Self {
        Self {
            loaded: haechi_rules::load(paths),
        }
    }

    /// Rules that were loaded already.
    pub(crate) fn from_loaded(loaded: Loaded) -> Self {
        Self { loaded }
    }

    /// Compiles what was loaded. Rules that do not compile become diagnostics and are left out.
    ///
    /// # Errors
    /// When what is left does not compile either.
    pub(crate) fn compile(&mut self, inputs: &[Arc<str>]) -> Result<Program, CompileError> {
        let mut rules = self.loaded.rules.clone();
        loop {
            let broken = match Program::compile(rules.clone(), inputs) {
                Ok(program) => return Ok(program),
                Err(CompileError::Aggregations(broken)) => broken,
                Err(error) => return Err(error),
            };
            let before = rules.correlations.len() + rules.rollups.len();
            rules
                .correlations
                .retain(|rule| broken.iter().all(|error| error.rule != rule.header.id));
            rules
                .rollups
                .retain(|rule| broken.iter().all(|error| error.rule != rule.header.id));
            let left = rules.correlations.len() + rules.rollups.len();
            if left == before {
                return Err(CompileError::Aggregations(broken));
            }
            self.loaded
                .diagnostics
                .extend(broken.into_iter().map(diagnostic));
        }
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

fn diagnostic(error: haechi_window::CompileError) -> Diagnostic {
    Diagnostic {
        code: UNUSABLE_AGGREGATION,
        severity: Severity::Error,
        file: error.file,
        span: error.span,
        message: error.message,
        help: error.help,
    }
}
