//! The modifiers that turn one text into another: `windash`, `base64`, `base64offset` and the UTF-16 family.
//!
//! What they do with a value follows pySigma, so that rules mean the same here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::detection::Position;
use crate::modifier::Step;
use crate::pattern::{Pattern, Piece};

/// Most texts that `windash` may make of one.
const MAX_VARIANTS: usize = 3125;
/// What a dash of a Windows command line may also be written as: slash, en dash, em dash, horizontal bar.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
/// The byte order mark of UTF-16, little endian.
const MARK: [u8; 2] = [0xff, 0xfe];

/// A pattern between two steps: UTF-16 need not be text any more, until base64 makes it text again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    AnyChar,
    AnyString,
}

/// Applies the steps to a pattern, one after the other. Gives the patterns of which any must match, or says why it cannot.
pub(crate) fn apply(pattern: Pattern, steps: &[Step]) -> Result<Vec<Pattern>, String> {
    if let [] | [Step::At(_)] = steps {
        // The usual case, without the way through bytes.
        let position = steps.first().and_then(|step| match step {
            Step::At(position) => Some(*position),
            _ => None,
        });
        return Ok(vec![
            position.map_or(pattern.clone(), |position| anchor(pattern, position)),
        ]);
    }
    let mut variants = vec![parts(&pattern)];
    for step in steps {
        let mut next = Vec::with_capacity(variants.len());
        for variant in variants {
            match step {
                Step::At(position) => next.push(widen(variant, *position)),
                Step::Windash => next.extend(dashes(&variant)?),
                Step::Base64 => next.push(vec![Part::Bytes(
                    STANDARD.encode(plain(&variant)?).into_bytes(),
                )]),
                Step::Base64Offset => next.extend(
                    shifts(&long_enough(plain(&variant)?)?)
                        .map(|text| vec![Part::Bytes(text.into_bytes())]),
                ),
                Step::Utf16 { big_endian, mark } => next.push(utf16(&variant, *big_endian, *mark)?),
            }
        }
        if next.len() > MAX_VARIANTS {
            return Err(too_many_dashes());
        }
        variants = next;
    }
    variants.iter().map(|variant| finish(variant)).collect()
}

/// The pattern with wildcards where `position` leaves room.
fn anchor(pattern: Pattern, position: Position) -> Pattern {
    match position {
        Position::Whole => pattern,
        Position::Start => pattern.before_anything(),
        Position::End => pattern.after_anything(),
        Position::Contains => pattern.after_anything().before_anything(),
    }
}

fn widen(mut variant: Vec<Part>, position: Position) -> Vec<Part> {
    if matches!(position, Position::End | Position::Contains) {
        variant.insert(0, Part::AnyString);
    }
    if matches!(position, Position::Start | Position::Contains) {
        variant.push(Part::AnyString);
    }
    variant
}

fn parts(pattern: &Pattern) -> Vec<Part> {
    let part = |piece: &Piece| match piece {
        Piece::Literal(text) => Part::Bytes(text.clone().into_bytes()),
        Piece::AnyChar => Part::AnyChar,
        Piece::AnyString => Part::AnyString,
    };
    pattern.pieces.iter().map(part).collect()
}

fn finish(variant: &[Part]) -> Result<Pattern, String> {
    let piece = |part: &Part| {
        Ok(match part {
            Part::AnyChar => Piece::AnyChar,
            Part::AnyString => Piece::AnyString,
            Part::Bytes(bytes) => Piece::Literal(match bytes.strip_prefix(&MARK) {
                // Text shows a byte order mark as the character U+FEFF.
                Some(rest) => format!("\u{feff}{}", text_of(rest)?),
                None => text_of(bytes)?.to_owned(),
            }),
        })
    };
    variant.iter().map(piece).collect()
}

fn text_of(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| {
        "utf-16 of other than ascii is not text, and can only be looked for behind base64"
            .to_owned()
    })
}

/// The bytes of a pattern without wildcards.
fn plain(variant: &[Part]) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for part in variant {
        match part {
            Part::Bytes(bytes) => all.extend_from_slice(bytes),
            Part::AnyChar | Part::AnyString => {
                return Err(
                    "base64 of a wildcard is not known; escape it or leave it out".to_owned(),
                );
            }
        }
    }
    if all.is_empty() {
        return Err("there is nothing to encode".to_owned());
    }
    Ok(all)
}

/// The bytes, unless there is only one: shifted, no character of its base64 is certain, and everything would match.
fn long_enough(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match bytes.len() {
        0 | 1 => {
            Err("one byte is too short for base64offset, which would match anything".to_owned())
        }
        _ => Ok(bytes),
    }
}

/// The base64 of `bytes` at each of the three offsets that they can have in a longer text, without the characters at both
/// ends that depend on their neighbours.
fn shifts(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3usize).map(|shift| {
        let mut padded = vec![b' '; shift];
        padded.extend_from_slice(bytes);
        let encoded = STANDARD.encode(&padded);
        let skip = [0, 2, 3].get(shift).copied().unwrap_or(0);
        let cut = [0, 3, 2].get(padded.len() % 3).copied().unwrap_or(0);
        encoded
            .get(skip..encoded.len().saturating_sub(cut))
            .unwrap_or_default()
            .to_owned()
    })
}

fn utf16(variant: &[Part], big_endian: bool, mark: bool) -> Result<Vec<Part>, String> {
    let mut encoded = Vec::with_capacity(variant.len() + 1);
    if mark {
        encoded.push(Part::Bytes(MARK.to_vec()));
    }
    for part in variant {
        let Part::Bytes(bytes) = part else {
            encoded.push(part.clone());
            continue;
        };
        let units = text_of(bytes)?.encode_utf16();
        let bytes: Vec<u8> = if big_endian {
            units.flat_map(u16::to_be_bytes).collect()
        } else {
            units.flat_map(u16::to_le_bytes).collect()
        };
        match encoded.last_mut() {
            Some(Part::Bytes(last)) => last.extend(bytes),
            _ => encoded.push(Part::Bytes(bytes)),
        }
    }
    Ok(encoded)
}

/// Every way to write the dashes of a command line: each of [`DASHES`] that begins a word (no word character before it, one
/// behind it) as any other of them.
fn dashes(variant: &[Part]) -> Result<Vec<Vec<Part>>, String> {
    let mut ways: Vec<Vec<Part>> = vec![Vec::new()];
    for part in variant {
        let Part::Bytes(bytes) = part else {
            ways.iter_mut().for_each(|way| way.push(part.clone()));
            continue;
        };
        let texts = dashed(text_of(bytes)?)?;
        if ways.len().saturating_mul(texts.len()) > MAX_VARIANTS {
            return Err(too_many_dashes());
        }
        ways = ways
            .iter()
            .flat_map(|way| {
                texts.iter().map(|text| {
                    let mut longer = way.clone();
                    longer.push(Part::Bytes(text.clone().into_bytes()));
                    longer
                })
            })
            .collect();
    }
    Ok(ways)
}

fn dashed(text: &str) -> Result<Vec<String>, String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut ways = vec![String::with_capacity(text.len())];
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let begins_word = DASHES.contains(&c)
            && !before.is_some_and(is_word)
            && characters.peek().copied().is_some_and(is_word);
        if begins_word {
            if ways.len() * DASHES.len() > MAX_VARIANTS {
                return Err(too_many_dashes());
            }
            ways = ways
                .iter()
                .flat_map(|way| DASHES.iter().map(move |dash| format!("{way}{dash}")))
                .collect();
        } else {
            ways.iter_mut().for_each(|way| way.push(c));
        }
        before = Some(c);
    }
    Ok(ways)
}

fn too_many_dashes() -> String {
    format!(
        "windash makes more than {MAX_VARIANTS} texts of this one; split it into several values with |all"
    )
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

    const WIDE: Step = Step::Utf16 {
        big_endian: false,
        mark: false,
    };

    fn texts(value: &str, steps: &[Step]) -> Vec<String> {
        apply(Pattern::parse(value), steps)
            .expect("these steps apply")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn windash_changes_the_dashes_that_begin_words() {
        assert_eq!(
            texts("-param-name", &[Step::Windash]),
            [
                "-param-name",
                "/param-name",
                "\u{2013}param-name",
                "\u{2014}param-name",
                "\u{2015}param-name"
            ]
        );
        assert_eq!(texts("\u{2014}a", &[Step::Windash]).len(), 5);
        assert_eq!(texts(" -a /b", &[Step::Windash]).len(), 25);
        assert_eq!(texts("a - b", &[Step::Windash]), ["a - b"]);
        assert_eq!(texts("*-f*", &[Step::Windash]).len(), 5);
        assert!(apply(Pattern::literal(" -a -b -c -d -e -f"), &[Step::Windash]).is_err());
    }

    #[test]
    fn base64_encodes_the_whole_value() {
        assert_eq!(texts("foobar", &[Step::Base64]), ["Zm9vYmFy"]);
        assert_eq!(
            texts("foobar", &[Step::Base64, Step::At(Position::Contains)]),
            ["*Zm9vYmFy*"]
        );
        assert_eq!(texts("Ωx", &[WIDE, Step::Base64]), ["qQN4AA=="]);
        assert!(apply(Pattern::parse("foo*"), &[Step::Base64]).is_err());
        assert!(apply(Pattern::parse(""), &[Step::Base64]).is_err());
        assert!(apply(Pattern::parse("a"), &[Step::Base64Offset]).is_err());
        assert!(apply(Pattern::parse("ab"), &[Step::Base64Offset]).is_ok());
    }

    #[test]
    fn utf_16_is_text_for_ascii_only() {
        assert_eq!(texts("ab", &[WIDE]), ["a\0b\0"]);
        assert_eq!(texts("a*b", &[WIDE]), ["a\0*b\0"]);
        assert_eq!(
            texts(
                "ab",
                &[Step::Utf16 {
                    big_endian: true,
                    mark: false
                }]
            ),
            ["\0a\0b"]
        );
        assert_eq!(
            texts(
                "ab",
                &[Step::Utf16 {
                    big_endian: false,
                    mark: true
                }]
            ),
            ["\u{feff}a\0b\0"]
        );
        assert_eq!(
            texts(
                "ab",
                &[
                    Step::Utf16 {
                        big_endian: false,
                        mark: true
                    },
                    Step::Base64
                ]
            ),
            ["//5hAGIA"]
        );
        assert!(apply(Pattern::parse("é"), &[WIDE]).is_err());
    }

    proptest! {
        /// Whatever stands around a text, one of its three shifts is in the base64 of it all.
        #[test]
        fn base64offset_finds_the_text_anywhere(
            text in proptest::collection::vec(any::<u8>(), 3..20),
            before in proptest::collection::vec(any::<u8>(), 0..7),
            behind in proptest::collection::vec(any::<u8>(), 0..7),
        ) {
            let shifts: Vec<String> = shifts(&text).collect();
            let hay = STANDARD.encode([before.as_slice(), &text, &behind].concat());
            prop_assert!(shifts.iter().any(|shift| !shift.is_empty() && hay.contains(shift)), "{hay} {shifts:?}");
        }
    }
}
