//! Text patterns with the wildcards `*` and `?`.

use std::fmt::{self, Write as _};

/// A pattern over a whole value: the pieces, one after the other, must cover it from start to end.
///
/// Adjacent literals and adjacent [`Piece::AnyString`]s are merged, and no literal is empty. No pieces at all match the empty
/// value only. [`fmt::Display`] writes it as Sigma does; [`Pattern::parse`] reads it back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Pattern {
    /// What must follow what.
    pub pieces: Vec<Piece>,
}

/// One piece of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Exactly this text (in either case, unless the test is cased).
    Literal(String),
    /// `?`: any one character, a line end too.
    AnyChar,
    /// `*`: any text, the empty one and one with line ends too.
    AnyString,
}

impl Pattern {
    /// Reads a value as Sigma writes it: `*` and `?` are wildcards; `\*`, `\?` and `\\` are the plain characters; a
    /// backslash before anything else is itself. So `C:\Windows` and `C:\\Windows` are the same, and `\\*` is a backslash
    /// and whatever follows.
    pub fn parse(text: &str) -> Self {
        let mut pattern = Self::default();
        let mut literal = String::new();
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '\\' => {
                    let escaped = characters.next_if(|next| matches!(next, '*' | '?' | '\\'));
                    literal.push(escaped.unwrap_or('\\'));
                }
                '*' | '?' => {
                    pattern.push(Piece::Literal(std::mem::take(&mut literal)));
                    pattern.push(if c == '*' {
                        Piece::AnyString
                    } else {
                        Piece::AnyChar
                    });
                }
                other => literal.push(other),
            }
        }
        pattern.push(Piece::Literal(literal));
        pattern
    }

    /// A pattern that matches exactly `text`, wildcards in it being plain characters.
    pub fn literal(text: impl Into<String>) -> Self {
        [Piece::Literal(text.into())].into_iter().collect()
    }

    /// The same pattern, allowing any text before it.
    #[must_use]
    pub fn after_anything(mut self) -> Self {
        if self.pieces.first() != Some(&Piece::AnyString) {
            self.pieces.insert(0, Piece::AnyString);
        }
        self
    }

    /// The same pattern, allowing any text behind it.
    #[must_use]
    pub fn before_anything(mut self) -> Self {
        self.push(Piece::AnyString);
        self
    }

    /// Whether it matches every value, or every value of some length.
    pub fn is_only_wildcards(&self) -> bool {
        !self.pieces.is_empty()
            && !self
                .pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Literal(_)))
    }

    /// Appends a piece, merging it with the last one where they are of a kind.
    pub fn push(&mut self, piece: Piece) {
        match (self.pieces.last_mut(), piece) {
            (_, Piece::Literal(text)) if text.is_empty() => {}
            (Some(Piece::Literal(last)), Piece::Literal(text)) => last.push_str(&text),
            (Some(Piece::AnyString), Piece::AnyString) => {}
            (_, piece) => self.pieces.push(piece),
        }
    }
}

impl FromIterator<Piece> for Pattern {
    fn from_iter<I: IntoIterator<Item = Piece>>(pieces: I) -> Self {
        let mut pattern = Self::default();
        pieces.into_iter().for_each(|piece| pattern.push(piece));
        pattern
    }
}

impl fmt::Display for Pattern {
    /// As Sigma writes it, with every backslash doubled: [`Pattern::parse`] reads the same pattern from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::AnyChar => f.write_char('?')?,
                Piece::AnyString => f.write_char('*')?,
                Piece::Literal(text) => {
                    for c in text.chars() {
                        if matches!(c, '*' | '?' | '\\') {
                            f.write_char('\\')?;
                        }
                        f.write_char(c)?;
                    }
                }
            }
        }
        Ok(())
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

    /// `.` stands for any character and `…` for any text, so that plain wildcards are seen in what is expected.
    fn shape(text: &str) -> String {
        Pattern::parse(text)
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => format!("<{text}>"),
                Piece::AnyChar => ".".to_owned(),
                Piece::AnyString => "…".to_owned(),
            })
            .collect()
    }

    #[test]
    fn wildcards_and_escapes_follow_the_specification() {
        for (written, meant) in [
            (r"", ""),
            (r"a", "<a>"),
            (r"*", "…"),
            (r"***", "…"),
            (r"a*b?c", "<a>…<b>.<c>"),
            (r"*?*", "….…"),
            (r"\*", "<*>"),
            (r"\?", "<?>"),
            (r"\\*", r"<\>…"),
            (r"\\?", r"<\>."),
            (r"\\\*", r"<\*>"),
            (r"\\\\*", r"<\\>…"),
            (r"\\\\", r"<\\>"),
            (r"\\\", r"<\\>"),
            (r"\\", r"<\>"),
            (r"\", r"<\>"),
            (r"C:\Windows\\System32", r"<C:\Windows\System32>"),
            (r"\n", r"<\n>"),
        ] {
            assert_eq!(shape(written), meant, "{written}");
        }
    }

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let piece = prop_oneof![
            r"[a*?\\ é]{0,4}".prop_map(Piece::Literal),
            Just(Piece::AnyChar),
            Just(Piece::AnyString),
        ];
        proptest::collection::vec(piece, 0..8)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(pieces in pieces()) {
            let pattern: Pattern = pieces.into_iter().collect();
            prop_assert_eq!(Pattern::parse(&pattern.to_string()), pattern);
        }

        #[test]
        fn what_is_read_is_normal(text in r"[a*?\\é]{0,12}") {
            let pattern = Pattern::parse(&text);
            let again: Pattern = pattern.pieces.iter().cloned().collect();
            prop_assert_eq!(&again, &pattern);
            prop_assert!(!pattern.pieces.contains(&Piece::Literal(String::new())));
        }
    }
}
