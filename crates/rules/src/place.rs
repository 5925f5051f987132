//! Places in a text: lines and columns, characters, bytes.

use crate::diagnostic::Span;

/// The place of a byte in a text, as a point. Lines end as YAML ends them: at `\n`, `\r\n` or a lone `\r`.
pub(crate) fn place(text: &str, byte: usize) -> Span {
    let before = text.get(..byte).unwrap_or(text);
    let mut span = Span {
        line: 1,
        column: 1,
        len: 0,
    };
    let mut characters = before.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\n' || (c == '\r' && characters.peek() != Some(&'\n')) {
            span.line = span.line.saturating_add(1);
            span.column = 1;
        } else {
            span.column = span.column.saturating_add(1);
        }
    }
    span
}

/// The byte at which a place stands: the inverse of [`place`]. Places beyond a line's end are at its end.
pub(crate) fn offset(text: &str, line: u32, column: u32) -> usize {
    let start = line_start(text, line);
    let rest = text.get(start..).unwrap_or_default();
    let on_line = rest.find(['\n', '\r']).unwrap_or(rest.len());
    let steps = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let within = rest
        .char_indices()
        .nth(steps)
        .map_or(rest.len(), |(at, _)| at);
    start + within.min(on_line)
}

fn line_start(text: &str, line: u32) -> usize {
    let mut left = line.saturating_sub(1);
    let mut at = 0;
    let bytes = text.as_bytes();
    while left > 0 {
        let Some(found) = bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|b| matches!(b, b'\n' | b'\r')))
        else {
            return text.len();
        };
        at += found;
        at += if bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(b"\r\n"))
        {
            2
        } else {
            1
        };
        left -= 1;
    }
    at
}

/// The text, read from any character: the parser counts characters, not bytes.
#[derive(Default)]
pub(crate) struct Source<'a> {
    text: &'a str,
    ascii: bool,
    /// A character and the byte it begins at, from which later ones are found.
    known: (usize, usize),
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            ascii: text.is_ascii(),
            known: (0, 0),
        }
    }

    /// The text from a character on.
    pub(crate) fn at(&mut self, character: usize) -> &'a str {
        if self.ascii {
            return self.text.get(character..).unwrap_or_default();
        }
        let (at, byte) = if character < self.known.0 {
            (0, 0)
        } else {
            self.known
        };
        let rest = self.text.get(byte..).unwrap_or_default();
        let further = rest
            .char_indices()
            .nth(character - at)
            .map_or(rest.len(), |(further, _)| further);
        self.known = (character, byte + further);
        rest.get(further..).unwrap_or_default()
    }
}

/// How many characters a quoted scalar at the start of `text` takes, its quotes among them. (The parser lets it run on over
/// the blanks and the comment behind it.)
pub(crate) fn quoted_len(text: &str) -> Option<usize> {
    let mut characters = text.chars().enumerate().peekable();
    let (_, quote @ ('"' | '\'')) = characters.next()? else {
        return None;
    };
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote == '"' {
            characters.next();
        } else if c == quote
            && (quote == '"' || characters.next_if(|(_, next)| *next == quote).is_none())
        {
            return Some(at + 1);
        }
    }
    None
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

    proptest! {
        #[test]
        fn a_place_leads_back_to_its_byte(text in "[ab\n\r\u{e9}]{0,20}", nth in 0..20usize) {
            // All bytes at which a character begins, but that between the two of a line end.
            let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).filter(|at| !text[..*at].ends_with('\r') || !text[*at..].starts_with('\n')).collect();
            if let Some(byte) = bytes.get(nth) {
                let Span { line, column, .. } = place(&text, *byte);
                prop_assert_eq!(offset(&text, line, column), *byte);
            }
        }

        #[test]
        fn text_is_found_from_any_character(text in "[ab\u{e9}]{0,12}", asked in proptest::collection::vec(0..14usize, 1..6)) {
            let mut source = Source::new(&text);
            for character in asked {
                prop_assert_eq!(source.at(character), text.chars().skip(character).collect::<String>());
            }
        }
    }

    #[test]
    fn quoted_scalars_end_at_their_quote() {
        for (text, len) in [
            ("'a' # it's", Some(3)),
            ("'it''s'", Some(7)),
            (r#""a\"b" # "c""#, Some(6)),
            (r#""a\\" "#, Some(5)),
            ("'\u{e9}' x", Some(3)),
            ("'open", None),
            ("plain", None),
            ("", None),
        ] {
            assert_eq!(quoted_len(text), len, "{text}");
        }
    }
}
