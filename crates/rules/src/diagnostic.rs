//! What is wrong with a rule file, where, and what to do about it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};

use crate::codes::Code;
use crate::place;

/// A place in a rule file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
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
    /// Stable code, `HC` and three digits; [`CODES`](crate::CODES) says what each means.
    pub code: &'static str,
    /// Whether the rule still loads.
    pub severity: Severity,
    /// The file, as it was named to [`load()`](crate::load()).
    pub file: Arc<Path>,
    /// The place in the file.
    pub span: Span,
    /// What is wrong, lower case, without the place.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(
        code: &Code,
        file: Arc<Path>,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code: code.id,
            severity: code.severity,
            file,
            span,
            message: message.into(),
            help: None,
        }
    }

    /// The diagnostic as text for people: with the file's `source`, a snippet with a caret under the place; without, one
    /// line `file:line:column: error[HC012]: message`. `colour` adds ANSI escapes. No line end at the end.
    pub fn render(&self, source: Option<&str>, colour: bool) -> String {
        let Some(source) = source else {
            return self.to_string();
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let path = self.file.to_string_lossy();
        let range = self.bytes_in(source);
        let snippet = Snippet::source(source)
            .path(path)
            .annotation(AnnotationKind::Primary.span(range));
        let mut group: Group<'_> = level
            .primary_title(self.message.as_str())
            .id(self.code)
            .element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&[group])
    }

    /// The span in bytes of `source`, cut to the line it begins on: a caret under a whole block points at nothing.
    fn bytes_in(&self, source: &str) -> std::ops::Range<usize> {
        let Span { line, column, len } = self.span;
        let start = place::offset(source, line, column);
        start..place::offset(source, line, column.saturating_add(len)).max(start)
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
            // Help may show lines to write; here it is one line with the rest.
            Some(help) => write!(
                f,
                " ({})",
                help.split_whitespace().collect::<Vec<_>>().join(" ")
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;

    fn diagnostic(line: u32, column: u32, len: u32) -> Diagnostic {
        Diagnostic {
            code: "HC021",
            severity: Severity::Error,
            file: Path::new("rules/a.yml").into(),
            span: Span { line, column, len },
            message: "`contain` is not a modifier".to_owned(),
            help: Some("write `contains`".to_owned()),
        }
    }

    #[test]
    fn a_snippet_has_its_caret_under_the_place() {
        let source = "title: é\ndetection:\n  sel:\n    Imagé|contain: x\n";
        let expected = "\
error[HC021]: `contain` is not a modifier
 --> rules/a.yml:4:11
  |
4 |     Imagé|contain: x
  |           ^^^^^^^
  |
  = help: write `contains`";
        assert_eq!(diagnostic(4, 11, 7).render(Some(source), false), expected);
        assert!(
            diagnostic(4, 11, 7)
                .render(Some(source), true)
                .contains("\u{1b}[")
        );
    }

    #[test]
    fn without_source_it_is_one_line() {
        assert_eq!(
            diagnostic(4, 11, 7).render(None, false),
            "rules/a.yml:4:11: error[HC021]: `contain` is not a modifier (write `contains`)"
        );
    }

    #[test]
    fn places_outside_the_source_do_no_harm() {
        for source in ["", "a", "é\r\nü\rö\n"] {
            for (line, column, len) in [
                (0, 0, 0),
                (1, 1, 0),
                (2, 9, 9),
                (9, 1, u32::MAX),
                (u32::MAX, u32::MAX, u32::MAX),
            ] {
                assert!(
                    diagnostic(line, column, len)
                        .render(Some(source), false)
                        .contains("HC021")
                );
            }
        }
    }
}
