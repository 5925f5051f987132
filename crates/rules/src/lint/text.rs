//! What patterns say of each other: one matches all that another does, or nothing that it does.

use crate::detection::Text;
use crate::pattern::{Pattern, Piece};

/// A text test, taken apart for comparing it with others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    exact: Vec<Unit>,
    folded: Vec<Unit>,
    cased: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Char(char),
    AnyChar,
    AnyString,
}

impl Shape {
    pub(super) fn of(text: &Text) -> Self {
        let exact = units(&text.pattern);
        let fold = |unit: &Unit| match unit {
            Unit::Char(c) => c.to_lowercase().map(Unit::Char).collect::<Vec<_>>(),
            other => vec![*other],
        };
        let folded = exact.iter().flat_map(fold).collect();
        Self {
            exact,
            folded,
            cased: text.cased,
        }
    }

    /// Whether every value that this one matches is certain to match the other.
    pub(super) fn implies(&self, wider: &Self) -> bool {
        match (self.cased, wider.cased) {
            (_, false) => covers(&wider.folded, &self.folded),
            (true, true) => covers(&wider.exact, &self.exact),
            (false, true) => {
                !self
                    .folded
                    .iter()
                    .any(|unit| matches!(unit, Unit::Char(c) if c.is_alphabetic()))
                    && covers(&wider.exact, &self.exact)
            }
        }
    }

    /// Whether no single value can match both.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        let (a, b) = if self.cased && other.cased {
            (&self.exact, &other.exact)
        } else {
            (&self.folded, &other.folded)
        };
        clash(a.iter(), b.iter())
            || clash(a.iter().rev(), b.iter().rev())
            || (is_literal(a) && !covers(b, a))
            || (is_literal(b) && !covers(a, b))
    }
}

fn units(pattern: &Pattern) -> Vec<Unit> {
    let mut units = Vec::new();
    for piece in &pattern.pieces {
        match piece {
            Piece::Literal(text) => units.extend(text.chars().map(Unit::Char)),
            Piece::AnyChar => units.push(Unit::AnyChar),
            Piece::AnyString => units.push(Unit::AnyString),
        }
    }
    units
}

fn is_literal(units: &[Unit]) -> bool {
    units.iter().all(|unit| matches!(unit, Unit::Char(_)))
}

/// Whether the first units, up to a `*` of either, cannot stand at the same place.
fn clash<'u>(mut a: impl Iterator<Item = &'u Unit>, mut b: impl Iterator<Item = &'u Unit>) -> bool {
    loop {
        match (a.next(), b.next()) {
            (Some(Unit::AnyString), _) | (_, Some(Unit::AnyString)) | (None, None) => return false,
            (Some(Unit::Char(x)), Some(Unit::Char(y))) if x != y => return true,
            (Some(_), Some(_)) => {}
            (Some(_), None) | (None, Some(_)) => return true,
        }
    }
}

/// Whether the wide pattern matches the narrow one, read as a value whose wildcards are characters that only wildcards match.
fn covers(wide: &[Unit], narrow: &[Unit]) -> bool {
    let (mut w, mut n) = (0, 0);
    // Where to try again: behind the last `*` of the wide one, and how far that has eaten.
    let mut again: Option<(usize, usize)> = None;
    loop {
        match (wide.get(w), narrow.get(n)) {
            (Some(Unit::AnyString), _) => {
                w += 1;
                again = Some((w, n));
            }
            (None, None) => return true,
            (Some(Unit::Char(x)), Some(Unit::Char(y))) if x == y => {
                w += 1;
                n += 1;
            }
            (Some(Unit::AnyChar), Some(Unit::Char(_) | Unit::AnyChar)) => {
                w += 1;
                n += 1;
            }
            _ => match again.filter(|(_, eaten)| *eaten < narrow.len()) {
                Some((behind, eaten)) => {
                    again = Some((behind, eaten + 1));
                    w = behind;
                    n = eaten + 1;
                }
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(text: &str) -> Shape {
        Shape::of(&Text {
            pattern: Pattern::parse(text),
            cased: false,
        })
    }

    /// Whether a pattern matches a text: a pattern without wildcards implies what matches it.
    fn matches(pattern: &str, value: &str) -> bool {
        shape(value).implies(&shape(pattern))
    }

    #[test]
    fn wider_patterns_are_seen() {
        for (narrow, wide, holds) in [
            ("abc", "abc", true),
            ("ABC", "abc", true),
            ("*abcd*", "*abc*", true),
            ("*abc*", "*abcd*", false),
            ("a?c*", "a*", true),
            ("a*c", "a?c", false),
            ("*ab", "*b", true),
            ("*", "?*", false),
        ] {
            assert_eq!(
                shape(narrow).implies(&shape(wide)),
                holds,
                "{narrow} {wide}"
            );
        }
    }

    #[test]
    fn patterns_that_exclude_each_other_are_seen() {
        for (a, b, holds) in [
            ("a", "b", true),
            ("a*", "b*", true),
            ("*a", "*b", true),
            ("*a*", "*b*", false),
            ("a*", "*b", false),
            ("abc", "*x*", true),
            ("a?", "a", true),
        ] {
            assert_eq!(shape(a).excludes(&shape(b)), holds, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn what_is_said_of_two_patterns_holds_of_every_value(a in "[ab*?]{0,6}", b in "[ab*?]{0,6}", value in "[ab]{0,6}") {
            let (in_a, in_b) = (matches(&a, &value), matches(&b, &value));
            if shape(&a).implies(&shape(&b)) {
                prop_assert!(!in_a || in_b);
            }
            if shape(&a).excludes(&shape(&b)) {
                prop_assert!(!(in_a && in_b));
            }
        }
    }
}
