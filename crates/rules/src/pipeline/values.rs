//! Transformations of values.

use std::collections::BTreeMap;

use regex::Regex;

use crate::detection::{CompareOp, Test, Text};
use crate::pattern::{Pattern, Piece};
use crate::pipeline::rename::snake_case;
use crate::pipeline::text::{literal_of, marked, reread, spelt};
use crate::tree::{Item, Tree, Value};

/// What a value becomes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Replace {
        regex: Regex,
        /// In the syntax of the `regex` crate.
        replacement: String,
        /// Only between wildcards.
        skip_special: bool,
        /// `*` and `?` of what comes out are wildcards; with `skip_special` only.
        interpret_special: bool,
    },
    Map(BTreeMap<String, Vec<String>>),
    Set(Test),
    Convert(Kind),
    Regex(Letters),
    Case(Case),
}

/// What a value is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
}

/// How a text becomes a regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    Plain,
    Flag,
    Brackets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Upper,
    Snake,
}

impl Change {
    /// Changes the values of an item, or says why it cannot.
    pub(super) fn apply(&self, item: &mut Item) -> Result<(), String> {
        let keyword = item.field.is_none();
        for value in &mut item.values {
            let Value::Tests(tests) = value else { continue };
            let mut changed = Vec::with_capacity(tests.len());
            for test in std::mem::take(tests) {
                changed.extend(self.test(test)?);
            }
            let text_only = |test: &Test| matches!(test, Test::Text(_));
            if keyword && !changed.iter().all(text_only) {
                return Err("keywords can only be texts".to_owned());
            }
            *tests = changed;
        }
        Ok(())
    }

    fn test(&self, test: Test) -> Result<Vec<Test>, String> {
        if let Self::Set(value) = self {
            return Ok(vec![value.clone()]);
        }
        let text = match (self, test) {
            (_, Test::Text(text)) => text,
            (Self::Convert(Kind::Text), Test::Compare(CompareOp::Eq, number)) => {
                return Ok(vec![literal_of(number.to_string())]);
            }
            (_, other) => return Ok(vec![other]),
        };
        let cased = text.cased;
        let again = |pattern| vec![Test::Text(Text { pattern, cased })];
        Ok(match self {
            Self::Replace {
                regex,
                replacement,
                skip_special: false,
                ..
            } => {
                let spelt = marked(&text.pattern);
                again(reread(&regex.replace_all(&spelt, replacement.as_str())))
            }
            Self::Replace {
                regex,
                replacement,
                interpret_special,
                ..
            } => again(between(&text.pattern, |literal| {
                let new = regex.replace_all(literal, replacement.as_str());
                if *interpret_special {
                    reread(&new)
                } else {
                    Pattern::literal(new)
                }
            })),
            Self::Map(mapping) => match mapping.get(&spelt(&text.pattern)) {
                Some(others) => others
                    .iter()
                    .flat_map(|other| again(Pattern::parse(other)))
                    .collect(),
                None => again(text.pattern),
            },
            Self::Convert(Kind::Number) => {
                let spelt = spelt(&text.pattern);
                if spelt.parse::<i128>().is_ok() {
                    again(text.pattern)
                } else {
                    let number = spelt
                        .parse::<f64>()
                        .ok()
                        .filter(|number| number.is_finite());
                    let number = number.ok_or_else(|| format!("`{spelt}` is not a number"))?;
                    vec![Test::Compare(CompareOp::Eq, number)]
                }
            }
            Self::Regex(letters) => {
                let regex = letters.regex(&text.pattern);
                crate::regex::compiles(&regex)?;
                vec![Test::Regex(regex)]
            }
            Self::Case(case) => again(between(&text.pattern, |literal| {
                Pattern::literal(case.apply(literal))
            })),
            Self::Convert(Kind::Text) | Self::Set(_) => again(text.pattern),
        })
    }
}

/// The pattern with its literal parts changed.
fn between(pattern: &Pattern, change: impl Fn(&str) -> Pattern) -> Pattern {
    let pieces = pattern.pieces.iter().flat_map(|piece| match piece {
        Piece::Literal(text) => change(text).pieces,
        other => vec![other.clone()],
    });
    pieces.collect()
}

impl Case {
    fn apply(self, text: &str) -> String {
        match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Snake => snake_case(text),
        }
    }
}

impl Letters {
    /// A regular expression that covers what the pattern covers: wildcards cross line ends, and both ends are tied.
    fn regex(self, pattern: &Pattern) -> String {
        let literal = |text: &str| match self {
            Self::Plain | Self::Flag => regex::escape(text),
            Self::Brackets => text
                .chars()
                .map(|c| {
                    let (lower, upper) =
                        (c.to_lowercase().to_string(), c.to_uppercase().to_string());
                    let one_each = lower.chars().count() == 1 && upper.chars().count() == 1;
                    if c.is_alphabetic() && lower != upper && one_each {
                        format!("[{lower}{upper}]")
                    } else {
                        regex::escape(&c.to_string())
                    }
                })
                .collect(),
        };
        let body: String = pattern
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => literal(text),
                Piece::AnyChar => ".".to_owned(),
                Piece::AnyString => ".*".to_owned(),
            })
            .collect();
        let flags = if self == Self::Flag { "(?is)" } else { "(?s)" };
        format!(r"{flags}\A{body}\z")
    }
}

/// What `hashes_fields` is told.
#[derive(Debug, Clone)]
pub(super) struct Hashes {
    pub(super) algorithms: Vec<String>,
    pub(super) prefix: String,
    pub(super) drop_algorithm: bool,
}

impl Hashes {
    /// An item with a field for each algorithm: `Hashes|contains: MD5=…` asks `MD5`. None where it is not of texts.
    pub(super) fn split(&self, item: &Item) -> Result<Option<Tree>, String> {
        let mut fields: Vec<(String, Vec<Value>)> = Vec::new();
        for value in &item.values {
            let Value::Tests(tests) = value else {
                return Ok(None);
            };
            for test in tests {
                let Test::Text(text) = test else {
                    return Ok(None);
                };
                let spelt = spelt(&text.pattern);
                let Some((algorithm, hash)) = self.hash(&spelt) else {
                    continue;
                };
                let name = if self.drop_algorithm { "" } else { &algorithm };
                let field = format!("{}{name}", self.prefix);
                let value = Value::Tests(vec![Test::Text(Text {
                    pattern: Pattern::parse(hash),
                    cased: text.cased,
                })]);
                match fields.iter_mut().find(|(known, _)| *known == field) {
                    Some((_, values)) => values.push(value),
                    None => fields.push((field, vec![value])),
                }
            }
        }
        if fields.is_empty() {
            return Err(format!(
                "no value is a hash of one of {}",
                self.algorithms.join(", ")
            ));
        }
        let all = item.all || item.neq;
        let parts = fields
            .into_iter()
            .map(|(field, values)| {
                Tree::Item(Item {
                    field: Some(field.into()),
                    values,
                    mapped: true,
                    ..item.clone()
                })
            })
            .collect();
        Ok(Some(if all {
            Tree::All(parts)
        } else {
            Tree::Any(parts)
        }))
    }

    /// The algorithm and the hash, without the wildcards around them.
    fn hash<'v>(&self, value: &'v str) -> Option<(String, &'v str)> {
        let value = value.trim_matches('*');
        let (algorithm, hash) = match value.split_once(['|', '=']) {
            Some((algorithm, hash)) => (algorithm.to_uppercase(), hash),
            None => {
                let algorithm = match value.len() {
                    32 => "MD5",
                    40 => "SHA1",
                    64 => "SHA256",
                    128 => "SHA512",
                    _ => return None,
                };
                (algorithm.to_owned(), value)
            }
        };
        self.algorithms
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&algorithm))
            .then_some((algorithm, hash))
    }
}
