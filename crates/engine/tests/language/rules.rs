//! Random rules and filters as Sigma writes them.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

use crate::events::{self, FIELDS};

/// Modifiers of texts. `all`, `neq` and `cased` come on top.
const TEXT_CHAINS: [&str; 18] = [
    "",
    "",
    "",
    "|contains",
    "|contains",
    "|startswith",
    "|endswith",
    "|windash",
    "|contains|windash",
    "|windash|startswith",
    "|base64",
    "|base64|contains",
    "|base64offset|contains",
    "|wide|base64offset|contains",
    "|utf16le|base64|contains",
    "|utf16be|base64|startswith",
    "|utf16|base64|contains",
    "|wide",
];
const REGEX_CHAINS: [&str; 9] = [
    "|re",
    "|re|i",
    "|re|m",
    "|re|s",
    "|re|i|s",
    "|re|ignorecase",
    "|re|multiline",
    "|re|dotall",
    "|re|m|i",
];
const REGEXES: [&str; 14] = [
    "a.b", "^a", "b$", "^ab$", "[ab]{2}", "a+b*", "(a|é)b", "^$", "k", r"\\", r"\d+", "a|B", "σ",
    "^[^a]",
];
const NETWORKS: [&str; 8] = [
    "10.0.0.0/8",
    "10.1.2.3",
    "0.0.0.0/0",
    "10.1.0.0/16",
    "fe80::/10",
    "::/0",
    "::1/128",
    "::ffff:10.0.0.0/104",
];
const NAMES: [&str; 6] = ["sel_a", "sel_b", "sel_c", "filter_a", "other", "_hidden"];

/// Documents of a file: detections, and now and then a filter.
pub(crate) fn file(rng: &mut StdRng, rules: usize) -> Vec<Value> {
    let mut documents: Vec<Value> = (0..rules).map(|number| rule(rng, number)).collect();
    for number in 0..rng.random_range(0..3) {
        let rules = match rng.random_range(0..4) {
            0 => json!("any"),
            1 => json!([format!("rule_{number}"), id(number + 5)]),
            _ => json!(id(number)),
        };
        let mut filter = detection(rng);
        filter.insert("rules".to_owned(), rules);
        documents.push(json!({
            "title": format!("filter {number}"), "id": id(100 + number),
            "logsource": logsource(rng), "filter": filter,
        }));
    }
    documents
}

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn rule(rng: &mut StdRng, number: usize) -> Value {
    json!({
        "title": format!("rule {number}"), "name": format!("rule_{number}"), "id": id(number),
        "logsource": logsource(rng), "detection": detection(rng),
    })
}

fn logsource(rng: &mut StdRng) -> Value {
    match rng.random_range(0..8) {
        0 => json!({"product": "q"}),
        1 => json!({"product": "p", "service": "s"}),
        2 => json!({}),
        _ => json!({"product": "p"}),
    }
}

fn detection(rng: &mut StdRng) -> Map<String, Value> {
    let mut detection = Map::new();
    let count = rng.random_range(1..=NAMES.len());
    let mut names: Vec<&str> = NAMES.to_vec();
    while names.len() > count {
        // `sel_a` stays, so that patterns have something to fit.
        let at = rng.random_range(1..names.len());
        names.remove(at);
    }
    for name in &names {
        detection.insert((*name).to_owned(), selection(rng));
    }
    let condition = match rng.random_range(0..12) {
        0 => json!([condition(rng, &names, 0), condition(rng, &names, 1)]),
        _ => json!(condition(rng, &names, 0)),
    };
    detection.insert("condition".to_owned(), condition);
    detection
}

fn condition(rng: &mut StdRng, names: &[&str], depth: usize) -> String {
    let deeper = |rng: &mut StdRng| condition(rng, names, depth + 1);
    let choice = if depth > 2 {
        0
    } else {
        rng.random_range(0..10)
    };
    match choice {
        0..=2 => (*names.choose(rng).unwrap()).to_owned(),
        3 => {
            let shown = names.iter().filter(|name| !name.starts_with('_')).count();
            let few = rng.random_range(1..=shown.min(2)).to_string();
            let quantity = [few.as_str(), "1", "all", "any"]
                .choose(rng)
                .copied()
                .unwrap();
            format!("{quantity} of them")
        }
        4 => format!("{} of sel_*", ["1", "all", "any"].choose(rng).unwrap()),
        5 => format!("not {}", deeper(rng)),
        6 => format!("({})", deeper(rng)),
        7 | 8 => format!("{} and {}", deeper(rng), deeper(rng)),
        _ => format!("{} or {}", deeper(rng), deeper(rng)),
    }
}

fn selection(rng: &mut StdRng) -> Value {
    let map = |rng: &mut StdRng| {
        let mut items = Map::new();
        for _ in 0..rng.random_range(1..3) {
            let (key, value) = item(rng);
            items.insert(key, value);
        }
        Value::Object(items)
    };
    match rng.random_range(0..12) {
        0 => list(rng, keyword),
        1 => {
            let chain = ["|all", "|startswith", "|cased", "|contains|all"]
                .choose(rng)
                .unwrap();
            json!({ *chain: list(rng, keyword) })
        }
        2 | 3 => (0..rng.random_range(1..3)).map(|_| map(rng)).collect(),
        _ => map(rng),
    }
}

fn keyword(rng: &mut StdRng) -> Value {
    // Enough letters not to be everywhere.
    Value::from(format!(
        "{}{}",
        ["a", "b", "k", "1"].choose(rng).unwrap(),
        pattern(rng)
    ))
}

fn list(rng: &mut StdRng, mut item: impl FnMut(&mut StdRng) -> Value) -> Value {
    (0..rng.random_range(1..4)).map(|_| item(rng)).collect()
}

/// One value, or a list of them with `all` now and then.
fn values(rng: &mut StdRng, key: String, one: fn(&mut StdRng) -> Value) -> (String, Value) {
    let neq = if rng.random_bool(0.1) { "|neq" } else { "" };
    match rng.random_range(0..5) {
        0 => (format!("{key}{neq}|all"), list(rng, one)),
        1 | 2 => (format!("{key}{neq}"), list(rng, one)),
        _ => (format!("{key}{neq}"), one(rng)),
    }
}

fn item(rng: &mut StdRng) -> (String, Value) {
    let field = *FIELDS.choose(rng).unwrap();
    match rng.random_range(0..20) {
        0 => (format!("{field}|exists"), json!(rng.random::<bool>())),
        1 => {
            let chain = ["|lt", "|lte", "|gt", "|gte"].choose(rng).unwrap();
            values(rng, format!("{field}{chain}"), number)
        }
        2 => values(rng, format!("{field}|cidr"), |rng| {
            Value::from(*NETWORKS.choose(rng).unwrap())
        }),
        3 | 4 => {
            let chain = REGEX_CHAINS.choose(rng).unwrap();
            values(rng, format!("{field}{chain}"), |rng| {
                Value::from(*REGEXES.choose(rng).unwrap())
            })
        }
        5 => {
            let place = ["", "", "|startswith", "|endswith", "|contains"]
                .choose(rng)
                .unwrap();
            let cased = if rng.random_bool(0.3) { "|cased" } else { "" };
            values(rng, format!("{field}|fieldref{place}{cased}"), |rng| {
                Value::from(*FIELDS.choose(rng).unwrap())
            })
        }
        6 => time(rng, field),
        7 => values(rng, field.to_owned(), plain),
        _ => text(rng, field),
    }
}

fn time(rng: &mut StdRng, field: &str) -> (String, Value) {
    let compare = ["", "|lt", "|lte", "|gt", "|gte"].choose(rng).unwrap();
    let (part, one): (&str, fn(&mut StdRng) -> Value) = match rng.random_range(0..6) {
        0 => ("minute", |rng| json!([0, 30, 50, 59].choose(rng))),
        1 => ("hour", |rng| json!([0, 12, 23].choose(rng))),
        2 => ("day", |rng| json!([1, 28, 30].choose(rng))),
        3 => ("week", |rng| json!([1, 9, 53].choose(rng))),
        4 => ("month", |rng| json!([1, 2, 3, 12].choose(rng))),
        _ => ("year", |rng| json!([1970, 2024, 2026].choose(rng))),
    };
    values(rng, format!("{field}|{part}{compare}"), one)
}

fn text(rng: &mut StdRng, field: &str) -> (String, Value) {
    let chain = *TEXT_CHAINS.choose(rng).unwrap();
    let cased = if rng.random_bool(0.2) { "|cased" } else { "" };
    let encoded = ["base64", "wide", "utf16"]
        .iter()
        .any(|name| chain.contains(name));
    let one: fn(&mut StdRng) -> Value = if encoded {
        |rng| Value::from(*["ab", "aB", "abc", r"a\*b", "xab"].choose(rng).unwrap())
    } else if chain.contains("windash") {
        |rng| {
            let texts = [
                "-a",
                "/b",
                "*-a",
                "\u{2014}ab",
                "-a -b",
                "a-b",
                "-a*",
                " -a",
            ];
            Value::from(*texts.choose(rng).unwrap())
        }
    } else {
        |rng| Value::from(pattern(rng))
    };
    values(rng, format!("{field}{chain}{cased}"), one)
}

/// A text with wildcards and escapes.
fn pattern(rng: &mut StdRng) -> String {
    let mut text = events::text(rng);
    if rng.random_bool(0.4) {
        let cut = text
            .char_indices()
            .map(|(at, _)| at)
            .nth(rng.random_range(0..3));
        let what = ["*", "?", r"\*", r"\\*", r"\?", r"\\", r"\", r"\\\*"]
            .choose(rng)
            .unwrap();
        text.insert_str(cut.unwrap_or(text.len()), what);
    }
    text
}

fn number(rng: &mut StdRng) -> Value {
    match rng.random_range(0..4) {
        0 => json!(["1", "0.5", "-1"].choose(rng)),
        1 => json!([0.5, 1.5, -1.25].choose(rng)),
        _ => json!([0, 1, 10, -1, 4625].choose(rng)),
    }
}

/// What stands in YAML without quotes: numbers, booleans, null.
fn plain(rng: &mut StdRng) -> Value {
    match rng.random_range(0..6) {
        0 | 1 => Value::Null,
        2 => json!(rng.random::<bool>()),
        _ => match number(rng) {
            Value::String(text) => Value::from(text),
            number => number,
        },
    }
}
