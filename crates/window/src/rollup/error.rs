//! What is wrong with a query.

use datafusion_common::DataFusionError;
use datafusion_sql::sqlparser::tokenizer::{Location, Span};
use haechi_rules::{Rollup, Span as FileSpan};

use crate::error::CompileError;

/// Something wrong in a query, with its place in the query.
#[derive(Debug)]
pub(super) struct SqlError {
    message: String,
    span: Option<Span>,
    help: Option<String>,
    /// Where the place is not known, the first function or column of one of these names is it.
    near: Vec<String>,
}

impl SqlError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: lower_case(message.into()),
            span: None,
            help: None,
            near: Vec::new(),
        }
    }

    /// At a function or column of one of these names.
    pub(super) fn near<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.near.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// With a place, if what it is near is among these.
    pub(super) fn placed(self, names: &[(String, Span)]) -> Self {
        let mut near = names.iter().filter(|(name, _)| self.near.contains(name));
        match near.next() {
            Some((_, span)) if self.span.is_none() => self.at(*span),
            _ => self,
        }
    }

    /// At this place; an empty span says nothing.
    pub(super) fn at(mut self, span: Span) -> Self {
        self.span = (span.start.line > 0).then_some(span);
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With its place in the rule's file; the whole query when the place is not known.
    pub(super) fn in_file(self, rule: &Rollup) -> CompileError {
        CompileError {
            rule: rule.header.id.clone(),
            file: rule.header.file.clone(),
            span: self
                .span
                .map_or(rule.sql_span, |span| place(span, rule.sql_span)),
            message: self.message,
            help: self.help,
        }
    }
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
        let message = match error.diagnostic() {
            Some(diagnostic) => diagnostic.message.clone(),
            None => error.strip_backtrace(),
        };
        let prefixes = [
            "type_coercion\ncaused by\n",
            "Error during planning: ",
            "Schema error: ",
            "This feature is not implemented: ",
        ];
        let mut text = message.as_str();
        while let Some(rest) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            text = rest;
        }
        let mut letters = text.trim_end_matches('.').chars();
        let first = letters
            .next()
            .map(|letter| letter.to_lowercase().to_string());
        let error = Self::new(format!("{}{}", first.unwrap_or_default(), letters.as_str()));
        // Many of its messages say what they are about, and not where.
        let words =
            text.split(|letter: char| !(letter.is_alphanumeric() || "_.-".contains(letter)));
        let words: Vec<&str> = words.map(|word| word.trim_matches('.')).collect();
        let error = error.near(words);
        let location = |line, column| Location::new(line, column);
        match span {
            Some(span) => error.at(Span::new(
                location(span.start.line, span.start.column),
                location(span.end.line, span.end.column),
            )),
            None => error,
        }
    }
}

/// A message as all of ours are: not beginning with a capital, unless the first word is all capitals (SQL).
fn lower_case(message: String) -> String {
    let mut letters = message.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => message,
    }
}

/// A place in the query as a place in the file.
fn place(span: Span, sql: FileSpan) -> FileSpan {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let Location { line, column } = span.start;
    let len = if span.end.line == line {
        small(span.end.column.saturating_sub(column))
    } else {
        0
    };
    FileSpan {
        line: sql.line.saturating_add(small(line).saturating_sub(1)),
        column: sql.column.saturating_add(small(column).saturating_sub(1)),
        len,
    }
}
