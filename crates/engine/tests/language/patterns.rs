//! Values of rules as patterns, one character at a time, and what the modifiers of texts make of them.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;

/// One place of a pattern.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum One {
    Char(char),
    /// Any dash of a command line.
    Dash,
    AnyChar,
    AnyText,
}

const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// A value as Sigma writes it: a backslash makes a wildcard or a backslash behind it plain, and is itself before anything else.
pub(crate) fn read(text: &str) -> Vec<One> {
    let characters: Vec<char> = text.chars().collect();
    let mut pattern = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        match (characters[at], characters.get(at + 1)) {
            ('\\', Some(&next @ ('*' | '?' | '\\'))) => {
                pattern.push(One::Char(next));
                at += 1;
            }
            ('*', _) => pattern.push(One::AnyText),
            ('?', _) => pattern.push(One::AnyChar),
            (other, _) => pattern.push(One::Char(other)),
        }
        at += 1;
    }
    pattern
}

/// The patterns of which one must cover a value.
pub(crate) fn modified(text: &str, modifiers: &[&str]) -> Vec<Vec<One>> {
    let mut patterns = vec![read(text)];
    // Between UTF-16 and base64 a text is bytes.
    let mut bytes: Option<Vec<u8>> = None;
    for modifier in modifiers {
        let plain = || {
            bytes
                .clone()
                .unwrap_or_else(|| spelled(&patterns[0]).into_bytes())
        };
        match *modifier {
            "windash" => patterns.iter_mut().for_each(|pattern| dash(pattern)),
            "wide" | "utf16le" => bytes = Some(utf16(&plain(), false, false)),
            "utf16be" => bytes = Some(utf16(&plain(), true, false)),
            "utf16" => bytes = Some(utf16(&plain(), false, true)),
            "base64" => {
                patterns = vec![chars(&padded(&plain()))];
                bytes = None;
            }
            "base64offset" => {
                let plain = plain();
                patterns = (0..3).map(|shift| chars(&certain(&plain, shift))).collect();
                bytes = None;
            }
            "contains" | "startswith" | "endswith" => {
                if let Some(bytes) = bytes.take() {
                    patterns = vec![chars(&String::from_utf8(bytes).unwrap())];
                }
                for pattern in &mut patterns {
                    if *modifier != "startswith" {
                        pattern.insert(0, One::AnyText);
                    }
                    if *modifier != "endswith" {
                        pattern.push(One::AnyText);
                    }
                }
            }
            _ => {}
        }
    }
    match bytes {
        Some(bytes) => vec![chars(&String::from_utf8(bytes).unwrap())],
        None => patterns,
    }
}

fn chars(text: &str) -> Vec<One> {
    text.chars().map(One::Char).collect()
}

fn spelled(pattern: &[One]) -> String {
    let one = |one: &One| match one {
        One::Char(c) => *c,
        other => panic!("{other:?} cannot be encoded"),
    };
    pattern.iter().map(one).collect()
}

/// Every dash that begins a word may be any dash.
fn dash(pattern: &mut [One]) {
    let word =
        |one: Option<&One>| matches!(one, Some(One::Char(c)) if c.is_alphanumeric() || *c == '_');
    for at in 0..pattern.len() {
        let is_dash = matches!(pattern[at], One::Char(c) if DASHES.contains(&c));
        let before = at.checked_sub(1).and_then(|before| pattern.get(before));
        if is_dash && !word(before) && word(pattern.get(at + 1)) {
            pattern[at] = One::Dash;
        }
    }
}

fn utf16(text: &[u8], big_endian: bool, mark: bool) -> Vec<u8> {
    let mut bytes = if mark { vec![0xff, 0xfe] } else { Vec::new() };
    for unit in std::str::from_utf8(text).unwrap().encode_utf16() {
        bytes.extend(if big_endian {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        });
    }
    bytes
}

/// The six bits from a place on as base64 writes them.
fn sextet(bytes: &[u8], bit: usize) -> char {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let one = |bit: usize| {
        bytes
            .get(bit / 8)
            .map_or(0, |byte| usize::from(byte >> (7 - bit % 8) & 1))
    };
    let index = (bit..bit + 6).fold(0, |index, bit| index * 2 + one(bit));
    char::from(ALPHABET[index])
}

fn padded(bytes: &[u8]) -> String {
    let mut text: String = (0..bytes.len() * 8)
        .step_by(6)
        .map(|bit| sextet(bytes, bit))
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// The characters that lie within the bytes alone when these begin `shift` bytes after a multiple of three.
fn certain(bytes: &[u8], shift: usize) -> String {
    let shifted = [vec![0; shift], bytes.to_vec()].concat();
    (0..shifted.len() * 8)
        .step_by(6)
        .filter(|bit| *bit >= shift * 8 && bit + 6 <= shifted.len() * 8)
        .map(|bit| sextet(&shifted, bit))
        .collect()
}

/// Whether the pattern covers the whole value.
pub(crate) fn covers(pattern: &[One], value: &[char], cased: bool) -> bool {
    match (pattern, value) {
        ([], _) => value.is_empty(),
        ([One::AnyText, rest @ ..], _) => {
            (0..=value.len()).any(|from| covers(rest, &value[from..], cased))
        }
        (_, []) => false,
        ([first, rest @ ..], [c, behind @ ..]) => {
            let fits = match first {
                One::Char(wanted) if cased => wanted == c,
                One::Char(wanted) => alike(*wanted, *c),
                One::Dash => DASHES.contains(c),
                _ => true,
            };
            fits && covers(rest, behind, cased)
        }
    }
}

/// Whether two characters are equal without case; the regex crate is the judge.
fn alike(a: char, b: char) -> bool {
    thread_local! {
        static KNOWN: RefCell<HashMap<(char, char), bool>> = RefCell::default();
    }
    let judge = || {
        let regex = Regex::new(&format!(r"(?i)^\x{{{:x}}}$", u32::from(a))).unwrap();
        regex.is_match(b.encode_utf8(&mut [0; 4]))
    };
    KNOWN.with_borrow_mut(|known| *known.entry((a, b)).or_insert_with(judge))
}
