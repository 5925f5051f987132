//! Text patterns with wildcards, matched in time linear in the value.
//!
//! `*` splits a pattern into segments of fixed length in characters. The first and last are tied to the ends of the
//! value unless a `*` stands there; each one between is taken at its leftmost place after the one before, which loses
//! no match because a segment's length does not vary. Within a segment the longest literal is searched for, and what
//! stands around it is compared in place.

use haechi_rules::{Pattern, Piece};
use memchr::memmem::Finder;

use crate::fold::fold;

/// A pattern by the cheapest way to decide it. Compare folded patterns with folded values, others with values as they are.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// `*`
    Any,
    /// `abc`
    Exact(Box<str>),
    /// `abc*`
    Prefix(Box<str>),
    /// `*abc`
    Suffix(Box<str>),
    /// `*abc*`
    Contains(Box<str>),
    /// Everything else.
    Glob(Box<Glob>),
}

impl Shape {
    /// The shape of a normal pattern (see [`normal`]).
    pub(crate) fn new(pieces: &[Piece]) -> Self {
        use Piece::{AnyString, Literal};
        match pieces {
            [] => Self::Exact(Box::default()),
            [AnyString] => Self::Any,
            [Literal(text)] => Self::Exact(text.as_str().into()),
            [Literal(text), AnyString] => Self::Prefix(text.as_str().into()),
            [AnyString, Literal(text)] => Self::Suffix(text.as_str().into()),
            [AnyString, Literal(text), AnyString] => Self::Contains(text.as_str().into()),
            _ => Self::Glob(Box::new(Glob::new(pieces))),
        }
    }

    /// Whether the pattern covers all of `text`.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(literal) => **literal == *text,
            Self::Prefix(literal) => text.starts_with(&**literal),
            Self::Suffix(literal) => text.ends_with(&**literal),
            Self::Contains(literal) => text.contains(&**literal),
            Self::Glob(glob) => glob.matches(text),
        }
    }
}

/// The pieces of `pattern` (folded unless `cased`) with neighbours merged and empty literals left out, so that equal
/// patterns are equal values.
pub(crate) fn normal(pattern: &Pattern, cased: bool) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(pattern.pieces.len());
    for piece in &pattern.pieces {
        match (pieces.last_mut(), piece) {
            (_, Piece::Literal(text)) if text.is_empty() => {}
            (Some(Piece::Literal(before)), Piece::Literal(text)) => before.push_str(text),
            (Some(Piece::AnyString), Piece::AnyString) => {}
            _ => pieces.push(piece.clone()),
        }
    }
    if !cased {
        for piece in &mut pieces {
            if let Piece::Literal(text) = piece {
                *text = fold(text);
            }
        }
    }
    pieces
}

/// A pattern in segments.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    segments: Box<[Segment]>,
    /// The pattern begins with `*`.
    open_start: bool,
    /// The pattern ends with `*`.
    open_end: bool,
}

impl Glob {
    fn new(pieces: &[Piece]) -> Self {
        let segments = pieces
            .split(|piece| matches!(piece, Piece::AnyString))
            .filter(|pieces| !pieces.is_empty())
            .map(Segment::new)
            .collect();
        Self {
            segments,
            open_start: matches!(pieces.first(), Some(Piece::AnyString)),
            open_end: matches!(pieces.last(), Some(Piece::AnyString)),
        }
    }

    fn matches(&self, text: &str) -> bool {
        let mut segments = &*self.segments;
        // The part of the text that the segments left must be found in.
        let mut rest = text;
        if !self.open_start {
            let Some((first, others)) = segments.split_first() else {
                return text.is_empty();
            };
            let Some(after) = first.strip_start(rest) else {
                return false;
            };
            if others.is_empty() && !self.open_end {
                return after.is_empty();
            }
            (rest, segments) = (after, others);
        }
        if !self.open_end {
            let Some((last, others)) = segments.split_last() else {
                return true;
            };
            let Some(before) = last.strip_end(rest) else {
                return false;
            };
            (rest, segments) = (before, others);
        }
        for segment in segments {
            let Some(after) = segment.strip_through(rest) else {
                return false;
            };
            rest = after;
        }
        true
    }
}

/// What stands between two `*`.
#[derive(Debug, Clone)]
struct Segment {
    /// The parts before the anchor.
    before: Box<[Part]>,
    /// The longest literal, if there is one.
    anchor: Option<Finder<'static>>,
    /// The parts after the anchor; all parts, when there is none.
    after: Box<[Part]>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(Box<str>),
    /// Any one character.
    Char,
}

impl Segment {
    fn new(pieces: &[Piece]) -> Self {
        let parts = |pieces: &[Piece]| -> Box<[Part]> {
            let part = |piece: &Piece| match piece {
                Piece::Literal(text) => Part::Literal(text.as_str().into()),
                Piece::AnyChar | Piece::AnyString => Part::Char,
            };
            pieces.iter().map(part).collect()
        };
        let length = |piece: &Piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::AnyChar | Piece::AnyString => 0,
        };
        let longest = (0..pieces.len()).max_by_key(|&at| pieces.get(at).map_or(0, length));
        if let Some(at) = longest
            && let Some((before, [Piece::Literal(text), after @ ..])) = pieces.split_at_checked(at)
        {
            return Self {
                before: parts(before),
                anchor: Some(Finder::new(text).into_owned()),
                after: parts(after),
            };
        }
        Self {
            before: Box::default(),
            anchor: None,
            after: parts(pieces),
        }
    }

    /// What follows the segment when `text` starts with it.
    fn strip_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = strip_parts_start(&self.before, text)?;
        if let Some(anchor) = &self.anchor {
            rest = strip_bytes_start(anchor.needle(), rest)?;
        }
        strip_parts_start(&self.after, rest)
    }

    /// What precedes the segment when `text` ends with it.
    fn strip_end<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = strip_parts_end(&self.after, text)?;
        if let Some(anchor) = &self.anchor {
            rest = strip_bytes_end(anchor.needle(), rest)?;
        }
        strip_parts_end(&self.before, rest)
    }

    /// What follows the leftmost place of the segment in `text`.
    fn strip_through<'t>(&self, text: &'t str) -> Option<&'t str> {
        let Some(anchor) = &self.anchor else {
            return strip_parts_start(&self.after, text);
        };
        let mut from = 0;
        loop {
            let found = from + anchor.find(text.as_bytes().get(from..)?)?;
            // An anchor is whole characters, so both cuts are at character boundaries.
            let (head, tail) = text.split_at_checked(found)?;
            if strip_parts_end(&self.before, head).is_some()
                && let Some(rest) = strip_bytes_start(anchor.needle(), tail)
                && let Some(rest) = strip_parts_start(&self.after, rest)
            {
                return Some(rest);
            }
            from = found + 1;
        }
    }
}

fn strip_bytes_start<'t>(literal: &[u8], text: &'t str) -> Option<&'t str> {
    let tail = text.get(literal.len()..)?;
    text.as_bytes().starts_with(literal).then_some(tail)
}

fn strip_bytes_end<'t>(literal: &[u8], text: &'t str) -> Option<&'t str> {
    let head = text.get(..text.len().checked_sub(literal.len())?)?;
    text.as_bytes().ends_with(literal).then_some(head)
}

fn strip_parts_start<'t>(parts: &[Part], text: &'t str) -> Option<&'t str> {
    parts.iter().try_fold(text, |rest, part| match part {
        Part::Literal(literal) => rest.strip_prefix(&**literal),
        Part::Char => {
            let mut chars = rest.chars();
            chars.next()?;
            Some(chars.as_str())
        }
    })
}

fn strip_parts_end<'t>(parts: &[Part], text: &'t str) -> Option<&'t str> {
    parts.iter().rev().try_fold(text, |rest, part| match part {
        Part::Literal(literal) => rest.strip_suffix(&**literal),
        Part::Char => {
            let mut chars = rest.chars();
            chars.next_back()?;
            Some(chars.as_str())
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        let pieces = text
            .chars()
            .map(|c| match c {
                '*' => Piece::AnyString,
                '?' => Piece::AnyChar,
                _ => Piece::Literal(c.to_string()),
            })
            .collect();
        Pattern { pieces }
    }

    fn matches(glob: &str, text: &str) -> bool {
        Shape::new(&normal(&pattern(glob), true)).matches(text)
    }

    #[test]
    fn plain_shapes_are_recognised() {
        let shape = |text| Shape::new(&normal(&pattern(text), true));
        assert!(matches!(shape("abc"), Shape::Exact(text) if &*text == "abc"));
        assert!(matches!(shape(""), Shape::Exact(text) if text.is_empty()));
        assert!(matches!(shape("abc**"), Shape::Prefix(text) if &*text == "abc"));
        assert!(matches!(shape("*abc"), Shape::Suffix(text) if &*text == "abc"));
        assert!(matches!(shape("*abc*"), Shape::Contains(text) if &*text == "abc"));
        assert!(matches!(shape("**"), Shape::Any));
        assert!(matches!(shape("a*c"), Shape::Glob(_)));
    }

    #[test]
    fn wildcards_cover_line_ends_and_count_characters() {
        assert!(matches("*a*b*", "xa\r\nbx"));
        assert!(matches("a?b", "a\nb"));
        assert!(matches("?", "é"));
        assert!(!matches("??", "é"));
        assert!(matches("*é?é", "aéxé"));
    }

    #[test]
    fn start_and_end_may_not_overlap() {
        assert!(!matches("aba*aba", "aba"));
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("ab*ba", "abba"));
    }

    /// The classic quadratic case: many places where a segment nearly fits.
    #[test]
    fn near_misses_stay_linear() {
        let value = "ab".repeat(500_000);
        assert!(!matches("*a*b*ab?ab*c", &value));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn agrees_with_the_regex_crate(glob in "[aé?*]{0,7}", text in "[aéb\n]{0,8}") {
            let regex: String = glob
                .chars()
                .map(|c| match c { '*' => ".*".to_owned(), '?' => ".".to_owned(), c => c.to_string() })
                .collect();
            let regex = regex::Regex::new(&format!("(?s)^(?:{regex})$")).unwrap();
            // Without (?m), $ is the very end of the text only.
            prop_assert_eq!(matches(&glob, &text), regex.is_match(&text));
        }
    }
}
