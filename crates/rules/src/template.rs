//! Values with placeholders (`%name%`, behind the modifier `expand`): filled by processing pipelines and placeholder files.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Span};
use crate::modifier::Chain;
use crate::report::Report;
use crate::tree::Value;
use crate::value;
use crate::yaml::{Data, Node, Style};

/// Most values that the placeholders of one value may make of it.
const MAX_FILLED: usize = 100_000;

/// A value with placeholders, and what its modifiers do once it is filled.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    parts: Vec<Part>,
    chain: Chain,
    keyword: bool,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(String),
}

/// Why a template cannot be filled.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// The placeholders make too many values.
    TooMany(Span),
    /// A filled value does not suit its modifiers.
    Wrong(Vec<Diagnostic>),
}

impl Template {
    /// Reads a text behind `expand`. Without placeholders, the text alone: `\%` is a percent sign.
    pub(crate) fn read(
        text: &str,
        chain: &Chain,
        keyword: bool,
        span: Span,
    ) -> Result<Self, String> {
        let parts = parts(text);
        if let [] | [Part::Text(_)] = parts.as_slice() {
            return Err(parts.into_iter().map(Part::into_text).collect());
        }
        let chain = Chain {
            expand: false,
            ..chain.clone()
        };
        Ok(Self {
            parts,
            chain,
            keyword,
            span,
        })
    }

    /// The placeholders that are not filled.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The values that it becomes with what `lookup` knows: one for each combination. What `lookup` does not know stays a
    /// placeholder.
    pub(crate) fn fill(
        &self,
        file: &Arc<Path>,
        lookup: &dyn Fn(&str) -> Option<Vec<String>>,
    ) -> Result<Vec<Value>, Unfit> {
        let mut filled: Vec<Vec<Part>> = vec![Vec::with_capacity(self.parts.len())];
        for part in &self.parts {
            let choices = match part {
                Part::Placeholder(name) => lookup(name)
                    .map(|values| values.into_iter().map(Part::Text).collect())
                    .unwrap_or_else(|| vec![part.clone()]),
                Part::Text(_) => vec![part.clone()],
            };
            if filled.len().saturating_mul(choices.len()) > MAX_FILLED {
                return Err(Unfit::TooMany(self.span));
            }
            filled = filled
                .iter()
                .flat_map(|before| {
                    choices.iter().map(|choice| {
                        let mut parts = before.clone();
                        parts.push(choice.clone());
                        parts
                    })
                })
                .collect();
        }
        filled
            .into_iter()
            .map(|parts| self.value(parts, file))
            .collect()
    }

    fn value(&self, parts: Vec<Part>, file: &Arc<Path>) -> Result<Value, Unfit> {
        if parts
            .iter()
            .any(|part| matches!(part, Part::Placeholder(_)))
        {
            return Ok(Value::Template(Self {
                parts,
                ..self.clone()
            }));
        }
        let text: String = parts.into_iter().map(Part::into_text).collect();
        let node = Node {
            span: self.span,
            data: Data::Scalar(Cow::Owned(text), Style::Quoted),
        };
        // The filled text stands nowhere in the file: what is wrong with it is shown at the value with the placeholder.
        let mut report = Report::new(Arc::clone(file), "");
        let value = if self.keyword {
            value::keyword(&node, &self.chain, &mut report)
        } else {
            value::field(&node, &self.chain, &mut report)
        };
        value.ok_or_else(|| Unfit::Wrong(report.into_diagnostics()))
    }
}

impl Part {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Placeholder(text) => text,
        }
    }
}

/// Text and placeholders in turn. A percent sign that begins no `%name%` is itself.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        let behind = from.strip_prefix('%').unwrap_or(from);
        if let Some(before) = before.strip_suffix('\\') {
            plain.push_str(before);
            plain.push('%');
            rest = behind;
            continue;
        }
        plain.push_str(before);
        match behind.split_once('%').filter(|(name, _)| is_name(name)) {
            Some((name, behind)) => {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Placeholder(name.to_owned()));
                rest = behind;
            }
            None => {
                plain.push('%');
                rest = behind;
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    parts
}

/// Whether a placeholder can be called so.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        parts(text)
            .into_iter()
            .map(|part| match part {
                Part::Text(text) => format!("'{text}'"),
                Part::Placeholder(name) => format!("<{name}>"),
            })
            .collect()
    }

    #[test]
    fn placeholders_stand_between_percent_signs() {
        for (written, meant) in [
            ("", ""),
            ("%a%", "<a>"),
            (r"x%DC-NAME%\y", r"'x'<DC-NAME>'\y'"),
            ("%a%%b%", "<a><b>"),
            (r"\%a\%", "'%a%'"),
            (r"\%a%b%", "'%a'<b>"),
            ("100%", "'100%'"),
            ("%%", "'%%'"),
            ("50% of %a%", "'50% of '<a>"),
        ] {
            assert_eq!(shown(written), meant, "{written}");
        }
    }
}
