//! The grammar of conditions: `selection and not 1 of filter_*`.
//!
//! ```text
//! condition  = and_part { "or" and_part }
//! and_part   = not_part { "and" not_part }
//! not_part   = "not" not_part | "(" condition ")" | quantified | name
//! quantified = ( number | "any" | "all" ) "of" ( "them" | name | pattern )
//! ```
//!
//! The words of the grammar are read in either case. A name runs up to the next blank or parenthesis.

use crate::codes::{self, Code};

/// Deepest nesting of parentheses and `not`.
const MAX_DEPTH: usize = 64;

/// A condition, its names not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Of(Quantifier, Name),
    Name(Name),
}

/// How many of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantifier {
    All,
    AtLeast(usize),
}

/// A selection's name, or a pattern of names, and where it stands in the condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// A part of the condition's text, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// Why a condition cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) code: &'static Code,
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// Reads a condition.
pub(crate) fn parse(text: &str) -> Result<Condition, SyntaxError> {
    let tokens = scan(text)?;
    let end = Place {
        start: text.trim_end().chars().count(),
        len: 0,
    };
    let mut parser = Parser {
        tokens: &tokens,
        end,
        depth: 0,
    };
    let condition = parser.or()?;
    match parser.tokens.first() {
        None => Ok(condition),
        Some(Token {
            kind: Kind::Close,
            place,
            ..
        }) => Err(error(*place, "this `)` closes nothing")),
        Some(Token { text, place, .. }) => Err(error(
            *place,
            format!("`{text}` cannot follow; write `and` or `or` before it"),
        )),
    }
}

/// Whether a name fits a pattern of the condition, where `*` stands for any text.
pub(crate) fn fits(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut rest = rest;
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
    }
    match last {
        Some(last) => rest.ends_with(last),
        None => rest.is_empty(),
    }
}

#[derive(Debug)]
struct Token<'t> {
    kind: Kind,
    text: &'t str,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    And,
    Or,
    Not,
    Of,
    Word,
}

fn error(place: Place, message: impl Into<String>) -> SyntaxError {
    SyntaxError {
        code: &codes::BAD_CONDITION,
        place,
        message: message.into(),
    }
}

fn scan(text: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut start = 0;
    while let Some(first) = rest.chars().next() {
        let word = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|'))
            .unwrap_or(rest.len());
        let (taken, kind) = match first {
            '(' => (1, Some(Kind::Open)),
            ')' => (1, Some(Kind::Close)),
            '|' => {
                let place = Place {
                    start,
                    len: rest.trim_end().chars().count(),
                };
                let message = "aggregations in conditions are no longer part of Sigma".to_owned();
                return Err(SyntaxError {
                    code: &codes::AGGREGATION,
                    place,
                    message,
                });
            }
            c if c.is_whitespace() => (c.len_utf8(), None),
            _ => (word, Some(Kind::Word)),
        };
        let (text, behind) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        let len = text.chars().count();
        if let Some(kind) = kind {
            tokens.push(Token {
                kind: keyword(kind, text),
                text,
                place: Place { start, len },
            });
        }
        start += len;
        rest = behind;
    }
    Ok(tokens)
}

fn keyword(kind: Kind, text: &str) -> Kind {
    match (kind, text.len()) {
        (Kind::Word, 3) if text.eq_ignore_ascii_case("and") => Kind::And,
        (Kind::Word, 3) if text.eq_ignore_ascii_case("not") => Kind::Not,
        (Kind::Word, 2) if text.eq_ignore_ascii_case("or") => Kind::Or,
        (Kind::Word, 2) if text.eq_ignore_ascii_case("of") => Kind::Of,
        _ => kind,
    }
}

struct Parser<'p, 't> {
    /// What is left.
    tokens: &'p [Token<'t>],
    end: Place,
    depth: usize,
}

impl<'p, 't> Parser<'p, 't> {
    fn next(&mut self) -> Option<&'p Token<'t>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn next_if(&mut self, kind: Kind) -> Option<&'p Token<'t>> {
        if self.tokens.first()?.kind == kind {
            self.next()
        } else {
            None
        }
    }

    fn or(&mut self) -> Result<Condition, SyntaxError> {
        let first = self.and()?;
        let mut parts = vec![first];
        while self.next_if(Kind::Or).is_some() {
            parts.push(self.and()?);
        }
        Ok(if parts.len() > 1 {
            Condition::Or(parts)
        } else {
            parts.swap_remove(0)
        })
    }

    fn and(&mut self) -> Result<Condition, SyntaxError> {
        let first = self.not()?;
        let mut parts = vec![first];
        while self.next_if(Kind::And).is_some() {
            parts.push(self.not()?);
        }
        Ok(if parts.len() > 1 {
            Condition::And(parts)
        } else {
            parts.swap_remove(0)
        })
    }

    fn not(&mut self) -> Result<Condition, SyntaxError> {
        let Some(token) = self.next() else {
            return Err(error(
                self.end,
                "the condition ends where a selection's name is expected",
            ));
        };
        match token.kind {
            Kind::Not => self.nested(token, |parser| Ok(Condition::Not(Box::new(parser.not()?)))),
            Kind::Open => self.nested(token, |parser| {
                let inside = parser.or()?;
                match parser.next_if(Kind::Close) {
                    Some(_) => Ok(inside),
                    None => Err(error(token.place, "this `(` is never closed")),
                }
            }),
            Kind::Word => self.name_or_quantifier(token),
            Kind::Close | Kind::And | Kind::Or | Kind::Of => Err(error(
                token.place,
                format!(
                    "`{}` stands where a selection's name is expected",
                    token.text
                ),
            )),
        }
    }

    fn nested(
        &mut self,
        token: &Token<'_>,
        read: impl FnOnce(&mut Self) -> Result<Condition, SyntaxError>,
    ) -> Result<Condition, SyntaxError> {
        if self.depth >= MAX_DEPTH {
            let message = format!("the condition is nested more than {MAX_DEPTH} levels deep");
            return Err(SyntaxError {
                code: &codes::TOO_BIG,
                place: token.place,
                message,
            });
        }
        self.depth += 1;
        let condition = read(self)?;
        self.depth -= 1;
        Ok(condition)
    }

    fn name_or_quantifier(&mut self, token: &Token<'_>) -> Result<Condition, SyntaxError> {
        let name = |token: &Token<'_>| Name {
            text: token.text.to_owned(),
            place: token.place,
        };
        if self.next_if(Kind::Of).is_none() {
            return if token.text.contains('*') {
                let message = format!("write `1 of {0}` or `all of {0}`", token.text);
                Err(error(token.place, message))
            } else {
                Ok(Condition::Name(name(token)))
            };
        }
        let quantifier = match token.text {
            word if word.eq_ignore_ascii_case("all") => Quantifier::All,
            word if word.eq_ignore_ascii_case("any") => Quantifier::AtLeast(1),
            number => match number.parse() {
                Ok(count) if count > 0 => Quantifier::AtLeast(count),
                _ => {
                    let message = format!(
                        "`{number}` is not a quantity; write a number from 1, `any` or `all`"
                    );
                    return Err(error(token.place, message));
                }
            },
        };
        match self.next_if(Kind::Word) {
            Some(which) => Ok(Condition::Of(quantifier, name(which))),
            None => {
                let place = self.tokens.first().map_or(self.end, |token| token.place);
                Err(error(
                    place,
                    "`of` wants a selection's name, a pattern such as `selection_*`, or `them` behind it",
                ))
            }
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
    use proptest::prelude::*;

    use super::*;

    /// The condition with all its parentheses.
    fn shape(condition: &Condition) -> String {
        let join = |parts: &[Condition], word: &str| {
            format!(
                "({})",
                parts.iter().map(shape).collect::<Vec<_>>().join(word)
            )
        };
        match condition {
            Condition::And(parts) => join(parts, " and "),
            Condition::Or(parts) => join(parts, " or "),
            Condition::Not(inner) => format!("not({})", shape(inner)),
            Condition::Of(Quantifier::All, name) => format!("all[{}]", name.text),
            Condition::Of(Quantifier::AtLeast(count), name) => format!("{count}[{}]", name.text),
            Condition::Name(name) => name.text.clone(),
        }
    }

    #[test]
    fn operators_bind_as_sigma_says() {
        for (text, meant) in [
            ("a", "a"),
            ("a or b and c", "(a or (b and c))"),
            ("a and b or c", "((a and b) or c)"),
            ("not a and b", "(not(a) and b)"),
            ("not (a or b)", "not((a or b))"),
            ("not not a", "not(not(a))"),
            ("((a))", "a"),
            ("1 of them", "1[them]"),
            ("any of sel_* or all of them", "(1[sel_*] or all[them])"),
            ("not 2 of sel* and b", "(not(2[sel*]) and b)"),
            ("a AND NOT b Or c", "((a and not(b)) or c)"),
            ("all and any", "(all and any)"),
            ("a-b_c and(d)", "(a-b_c and d)"),
            ("\n a\n and\tb ", "(a and b)"),
        ] {
            assert_eq!(
                parse(text).map(|condition| shape(&condition)).as_deref(),
                Ok(meant),
                "{text}"
            );
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, code, start, len) in [
            ("", "HC030", 0, 0),
            ("  ", "HC030", 0, 0),
            ("a and", "HC030", 5, 0),
            ("a and or b", "HC030", 6, 2),
            ("a b", "HC030", 2, 1),
            ("(a or b", "HC030", 0, 1),
            ("a)", "HC030", 1, 1),
            ("sel_*", "HC030", 0, 5),
            ("0 of them", "HC030", 0, 1),
            ("-1 of them", "HC030", 0, 2),
            ("some of them", "HC030", 0, 4),
            ("all of", "HC030", 6, 0),
            ("all of (a)", "HC030", 7, 1),
            ("of", "HC030", 0, 2),
            ("sel | count() by x > 5 ", "HC032", 4, 18),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(
                (error.code.id, error.place),
                (code, Place { start, len }),
                "{text}: {}",
                error.message
            );
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            parse(&nested(MAX_DEPTH + 1)).expect_err("too deep").code.id,
            "HC005"
        );
        assert!(parse(&format!("{}a", "not ".repeat(100_000))).is_err());
        assert!(parse(&nested(100_000)).is_err());
        assert!(parse(&vec!["(a)"; 1000].join(" and ")).is_ok());
    }

    #[test]
    fn names_fit_patterns() {
        for (name, pattern, fit) in [
            ("selection_a", "selection_*", true),
            ("selection", "selection_*", false),
            ("selection", "selection", true),
            ("selections", "selection", false),
            ("a_b_c", "a*c", true),
            ("aba", "ab*ba", false),
            ("abba", "ab*ba", true),
            ("a1b2c", "a*b*c", true),
            ("x", "*", true),
            ("", "*", true),
            ("cab", "*ab", true),
            ("aab", "*ab*b", false),
        ] {
            assert_eq!(fits(name, pattern), fit, "{name} {pattern}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"[a-c*()|1 \n]{0,30}|(a |and |or |not |\(|\)|1 |of |them ){0,20}") {
            if let Err(error) = parse(&text) {
                prop_assert!(error.place.start + error.place.len <= text.chars().count());
            }
        }

        #[test]
        fn what_is_written_out_reads_back(text in r"(not )?[ab]( (and|or) (not )?[ab]){0,6}") {
            let condition = parse(&text).expect("this is a condition");
            let again = parse(&shape(&condition)).expect("so is this");
            prop_assert_eq!(shape(&again), shape(&condition));
        }
    }
}
