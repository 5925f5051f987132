//! Random events of few fields and few letters, so that rules find something in them.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

/// Fields that rules name; the last stands inside an object.
pub(crate) const FIELDS: [&str; 6] = ["a", "b", "c d", "e-f", "g.h", "t"];

/// Texts that rules and events share now and then: paths, dashes, encoded words, dates, addresses, numbers.
pub(crate) const TEXTS: [&str; 33] = [
    "",
    r"C:\a\b.exe",
    r"\\a\b",
    r"a\*b",
    r"a\\b",
    "-a /b",
    "\u{2013}a",
    "x \u{2014}ab",
    "-a-b",
    "YWI=",
    "eGFi",
    "YQBiAA==",
    "xx//5hAGIA",
    "AGEAYg==",
    "a\u{0}b\u{0}",
    "10.1.2.3",
    "::ffff:10.1.2.3",
    "fe80::1",
    "10.1.2.3:80",
    "1",
    "1.0",
    "-1",
    "1e1",
    "10",
    "0x1",
    "null",
    "true",
    "2024-12-30T23:59:59Z",
    "2026-03-01 00:30:00,5",
    "2026-03-01T01:30:00+02:00",
    "1772368205",
    "1772368205123",
    "ab\nab",
];

const LETTERS: [char; 18] = [
    'a', 'A', 'b', 'B', 'k', 'K', '\u{212a}', 'é', 'É', 'σ', 'ς', 'Σ', 'ß', 'ẞ', '*', '?', '\\',
    '-',
];

/// A text of few letters.
pub(crate) fn text(rng: &mut StdRng) -> String {
    if rng.random_bool(0.35) {
        return (*TEXTS.choose(rng).unwrap()).to_owned();
    }
    let common = rng.random_bool(0.5);
    let letters = if common { &LETTERS[..4] } else { &LETTERS[..] };
    (0..rng.random_range(0..6))
        .map(|_| *letters.choose(rng).unwrap())
        .collect()
}

/// An event.
pub(crate) fn event(rng: &mut StdRng) -> Value {
    let mut event = Map::new();
    for field in FIELDS.iter().chain(&["other"]) {
        if rng.random_bool(0.35) {
            continue;
        }
        let value = value(rng, 0);
        match field.split_once('.') {
            Some((outer, inner)) if rng.random_bool(0.7) => {
                event.insert(outer.to_owned(), nested(rng, inner, value));
            }
            _ => {
                event.insert((*field).to_owned(), value);
            }
        }
    }
    Value::Object(event)
}

/// An object with the field, or several in a list.
fn nested(rng: &mut StdRng, field: &str, value: Value) -> Value {
    let object = json!({ field: value });
    match rng.random_range(0..4) {
        0 => json!([object, {"z": text(rng)}]),
        1 => json!([object, { field: text(rng) }]),
        _ => object,
    }
}

fn value(rng: &mut StdRng, depth: usize) -> Value {
    match rng.random_range(0..24) {
        0 | 1 => Value::Null,
        2 => Value::Bool(rng.random()),
        3 | 4 => json!([1, 10, 0, -1, 4625, 1_772_368_205_123_i64].choose(rng)),
        5 => json!([0.5, 1.5, -1.25, 10.75].choose(rng)),
        6 | 7 if depth < 2 => {
            let items = 0..rng.random_range(0..4);
            items.map(|_| value(rng, depth + 1)).collect()
        }
        _ => Value::from(text(rng)),
    }
}
