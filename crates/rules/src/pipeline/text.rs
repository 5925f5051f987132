//! Patterns as texts that people and regular expressions can work on.

use crate::detection::{Test, Text};
use crate::pattern::{Pattern, Piece};

/// Stand for `*` and `?` as plain characters, where a text has wildcards too.
const PLAIN: [(char, char); 2] = [('*', '\u{f8f0}'), ('?', '\u{f8f1}')];

/// The pattern as text: wildcards as `*` and `?`, backslashes as they are.
pub(super) fn spelt(pattern: &Pattern) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::AnyChar => "?".to_owned(),
        Piece::AnyString => "*".to_owned(),
    };
    pattern.pieces.iter().map(piece).collect()
}

/// The same, with plain `*` and `?` told from wildcards, so that [`reread`] finds them again.
pub(super) fn marked(pattern: &Pattern) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => PLAIN.iter().fold(text.clone(), |text, (plain, mark)| {
            text.replace(*plain, &mark.to_string())
        }),
        Piece::AnyChar => "?".to_owned(),
        Piece::AnyString => "*".to_owned(),
    };
    pattern.pieces.iter().map(piece).collect()
}

/// A pattern from text in which every `*` and `?` is a wildcard and every backslash itself.
pub(super) fn reread(text: &str) -> Pattern {
    let piece = |c: char| match c {
        '*' => Piece::AnyString,
        '?' => Piece::AnyChar,
        other => {
            let plain = PLAIN.iter().find(|(_, mark)| *mark == other);
            Piece::Literal(plain.map_or(other, |(plain, _)| *plain).to_string())
        }
    };
    text.chars().map(piece).collect()
}

/// Exactly this text.
pub(super) fn literal_of(text: impl Into<String>) -> Test {
    Test::Text(Text {
        pattern: Pattern::literal(text),
        cased: false,
    })
}
