//! Collecting what is wrong with a file while it is read.

use std::path::Path;
use std::sync::Arc;

use crate::codes::{self, Code};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::place;
use crate::yaml::{Data, Node, Style};

/// The diagnostics of one file, and what is needed to point into it.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) file: Arc<Path>,
    source: &'a str,
    found: Vec<Diagnostic>,
    errors: usize,
    /// Tests that the rules of the file have expanded to.
    tests: usize,
}

/// Most tests that the rules of one file may expand to, those of selections and their copies in conditions together.
const MAX_TESTS: usize = 1_000_000;

impl<'a> Report<'a> {
    pub(crate) fn new(file: Arc<Path>, source: &'a str) -> Self {
        Self {
            file,
            source,
            found: Vec::new(),
            errors: 0,
            tests: 0,
        }
    }

    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.found
    }

    /// How many errors have been noted.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Counts tests that a value or a name at `span` expands to; none when they are too many for a file.
    pub(crate) fn expand(&mut self, tests: usize, span: Span) -> Option<()> {
        let before = self.tests;
        self.tests = before.saturating_add(tests);
        if self.tests <= MAX_TESTS {
            return Some(());
        }
        // Said once, not of everything that follows.
        if before <= MAX_TESTS {
            let message =
                format!("the rules of this file expand to more than {MAX_TESTS} tests; split it");
            self.add(&codes::TOO_BIG, span, message);
        }
        None
    }

    /// Notes what is wrong at a place.
    pub(crate) fn add(&mut self, code: &'static Code, span: Span, message: impl Into<String>) {
        self.note(code, span, message.into(), None);
    }

    /// Notes what is wrong at a place, and what to write instead.
    pub(crate) fn advise(
        &mut self,
        code: &'static Code,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.note(code, span, message.into(), Some(help.into()));
    }

    fn note(&mut self, code: &'static Code, span: Span, message: String, help: Option<String>) {
        self.errors += usize::from(code.severity == Severity::Error);
        let diagnostic = Diagnostic::new(code, Arc::clone(&self.file), span, message);
        self.found.push(Diagnostic { help, ..diagnostic });
    }

    /// The place of a part of a scalar's text, given in characters from its start. Where the text was written with escapes,
    /// the place of the whole scalar.
    pub(crate) fn within(&self, node: &Node<'_>, start: usize, len: usize) -> Span {
        self.locate(node, start, len).unwrap_or(node.span)
    }

    /// Where the text of a scalar begins in the file. For a literal block (`|`) that is the start of its first line, so that line
    /// `n`, column `c` of the text stands `n - 1` lines and `c - 1` columns further in the file.
    pub(crate) fn text_start(&self, node: &Node<'_>) -> Span {
        let Data::Scalar(text, style) = &node.data else {
            return node.span;
        };
        let lead = match style {
            Style::Literal => text.chars().take_while(|c| c.is_whitespace()).count(),
            _ => 0,
        };
        let first = self.within(node, lead, 1);
        let lead = text.chars().take(lead);
        let (lines, columns) = lead.fold((0u32, 0u32), |(lines, columns), c| match c {
            '\n' => (lines + 1, 0),
            _ => (lines, columns + 1),
        });
        let line = first.line.saturating_sub(lines);
        Span {
            line,
            column: first.column.saturating_sub(columns),
            len: node.span.len,
        }
    }

    fn locate(&self, node: &Node<'_>, start: usize, len: usize) -> Option<Span> {
        let Data::Scalar(text, style) = &node.data else {
            return None;
        };
        let first = place::offset(self.source, node.span.line, node.span.column);
        let written = self.source.get(first..)?;
        let take = usize::try_from(node.span.len).ok()?;
        let written: String = written.chars().take(take).collect();
        // The place of a block begins behind its header, that of a quoted text with the quote.
        let skip = usize::from(*style == Style::Quoted && written.starts_with(['"', '\'']));
        let at = align(text, &written, skip, start)?;
        let end = if len == 0 {
            at
        } else {
            align(text, &written, skip, start + len - 1)? + 1
        };
        let span = place::place(
            self.source,
            first + written.chars().take(at).map(char::len_utf8).sum::<usize>(),
        );
        Some(Span {
            len: u32::try_from(end.saturating_sub(at)).ok()?,
            ..span
        })
    }
}

/// Where the `index`th character of a scalar's text stands in the text as written (which may be indented and folded), in
/// characters: the visible characters of both are the same, in the same order. None where an escape breaks that.
fn align(text: &str, written: &str, skip: usize, index: usize) -> Option<usize> {
    let visible = |c: &char| !c.is_whitespace();
    let target = text.chars().take(index).filter(visible).count();
    let wanted = text.chars().nth(index);
    let mut shown = written
        .chars()
        .enumerate()
        .skip(skip)
        .filter(|(_, c)| visible(c));
    let mut last = skip;
    for expected in text.chars().filter(visible).take(target) {
        let (at, c) = shown.next()?;
        if c != expected {
            return None;
        }
        last = at + 1;
    }
    match wanted {
        Some(c) if visible(&c) => shown
            .next()
            .filter(|(_, shown)| *shown == c)
            .map(|(at, _)| at),
        _ => Some(last),
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
    use crate::yaml;

    /// The place of `part` inside the value of the only key of `source`.
    fn place_of(source: &str, part: &str) -> (u32, u32, u32) {
        let (documents, problems) = yaml::parse(source);
        assert!(problems.is_empty(), "{problems:?}");
        let Data::Map(entries) = &documents[0].data else {
            panic!("a mapping is wanted")
        };
        let node = &entries[0].value;
        let Data::Scalar(text, _) = &node.data else {
            panic!("a scalar is wanted")
        };
        let start = text[..text.find(part).expect("the part is in the text")]
            .chars()
            .count();
        let report = Report::new(Path::new("r.yml").into(), source);
        let span = report.within(node, start, part.chars().count());
        (span.line, span.column, span.len)
    }

    #[test]
    fn places_inside_scalars_are_found_however_they_are_written() {
        assert_eq!(place_of("key: one two", "two"), (1, 10, 3));
        assert_eq!(place_of("key: 'one two'", "two"), (1, 11, 3));
        assert_eq!(place_of("ключ: 'één two'", "two"), (1, 12, 3));
        assert_eq!(place_of("key: one\n  two", "two"), (2, 3, 3));
        assert_eq!(place_of("key: |\n  one\n  two\n", "two"), (3, 3, 3));
        assert_eq!(
            place_of("key: >-  # why\n  one\n\n   two three\n", "three"),
            (4, 8, 5)
        );
        assert_eq!(place_of("key: \"one\ttwo\"", "two"), (1, 11, 3));
        assert_eq!(place_of("key: one\r\n  two", "two"), (2, 3, 3));
    }

    #[test]
    fn the_text_of_a_block_begins_behind_its_header() {
        for (source, line, column) in [
            ("key: SELECT 1", 1, 6),
            ("key: 'SELECT 1'", 1, 7),
            ("key: |\n  SELECT 1\n   FROM x\n", 2, 3),
            ("key: |-  # why\n\n    SELECT 1\n", 2, 5),
            ("key: |2\n    SELECT 1\n", 2, 3),
        ] {
            let (documents, _) = yaml::parse(source);
            let entries = documents[0].entries().expect("a mapping");
            let span = Report::new(Path::new("r.yml").into(), source).text_start(&entries[0].value);
            assert_eq!((span.line, span.column), (line, column), "{source:?}");
        }
    }

    #[test]
    fn where_escapes_hide_the_place_the_whole_scalar_is_named() {
        assert_eq!(place_of(r#"key: "a\x20b two""#, "two"), (1, 6, 12));
        assert_eq!(place_of("key: 'it''s two'", "two"), (1, 6, 11));
    }
}
