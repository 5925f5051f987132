//! Guesses at how many values satisfy a test, to choose what to look for first.
//!
//! Only speed depends on them, never an answer: a rule is looked at when its rarest necessary predicates hold, and a
//! pattern of several literals waits for its rarest one. Shares are between 0 and 1.

use crate::predicate::ValueTest;
use haechi_rules::{CompareOp, Piece};

/// The share of values that hold `literal` (folded) somewhere.
pub(crate) fn within(literal: &str) -> f32 {
    // Texts that most command lines, paths or addresses hold say little, however long they are.
    const COMMON: [&str; 14] = [
        "\\windows\\system32\\",
        "c:\\windows\\",
        "\\program files",
        "http://",
        "https://",
        "powershell",
        "cmd.exe",
        "\\users\\",
        "\\appdata\\",
        "\\microsoft\\",
        "\\software\\",
        ".exe",
        ".dll",
        "system",
    ];
    // Digits and punctuation are rarer in text than letters: count them for more.
    let told: f32 = literal
        .chars()
        .map(|c| match c {
            'e' | 't' | 'a' | 'o' | 'i' | 'n' | 's' | 'r' | ' ' | '.' | '-' | '\\' | '/' => 0.8,
            'a'..='z' => 1.0,
            _ => 1.3,
        })
        .sum();
    let known = COMMON.iter().any(|common| common.contains(literal));
    (2.0 * (-0.7 * told).exp()).clamp(if known { 0.4 } else { 0.0005 }, 0.9)
}

/// The share of values that satisfy `test`.
pub(crate) fn satisfying(test: &ValueTest) -> f32 {
    match test {
        ValueTest::Text { pieces, .. } => pattern(pieces),
        ValueTest::Regex {
            needed: Some(texts),
            ..
        } => texts.iter().map(|text| within(text)).sum::<f32>().min(0.5),
        ValueTest::Regex { needed: None, .. } => 0.3,
        ValueTest::Compare(op, _) | ValueTest::TimePart(_, op, _) => match op {
            CompareOp::Eq => 0.05,
            CompareOp::Neq => 0.95,
            _ => 0.4,
        },
        ValueTest::Cidr(_, length) => 1.0 / f32::from(*length).max(1.0),
    }
}

fn pattern(pieces: &[Piece]) -> f32 {
    match pieces {
        [] => 0.1,
        [Piece::AnyString] => 1.0,
        // Whole values: short ones are codes, flags and ids, of which a field has few.
        [Piece::Literal(text)] => match text.chars().count() {
            0..=1 => 0.3,
            2..=5 => 0.05,
            _ => 0.005,
        },
        _ => {
            let literal = |piece: &Piece| match piece {
                Piece::Literal(text) => Some(within(text)),
                Piece::AnyChar | Piece::AnyString => None,
            };
            pieces.iter().filter_map(literal).fold(1.0, f32::min)
        }
    }
}
