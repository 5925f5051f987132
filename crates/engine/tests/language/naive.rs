//! The specification read literally: one rule as it is written, one event as it is written, no plan, no order, no cache.

use std::net::IpAddr;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::patterns::{One, covers, modified};
use crate::{condition, date};

/// Whether a rule, with those filters that apply to it, matches an event of a product.
pub(crate) fn matches(rule: &Value, filters: &[&Value], event: &Value, product: &str) -> bool {
    let sees = |logsource: &Value| {
        let keys = logsource.as_object().unwrap();
        keys.iter()
            .all(|(key, value)| key == "product" && value == product)
    };
    let filtered = |filter: &&&Value| {
        let names = &filter["filter"]["rules"];
        let named = |name: &Value| *name == rule["id"] || *name == rule["name"];
        let chosen = match names {
            Value::Array(names) => names.iter().any(named),
            name => name == "any" || named(name),
        };
        let (outer, inner) = (&filter["logsource"], &rule["logsource"]);
        let keys = outer.as_object().unwrap();
        chosen
            && keys
                .iter()
                .all(|(key, value)| inner.get(key) == Some(value))
    };
    sees(&rule["logsource"])
        && detection(&rule["detection"], event)
        && filters
            .iter()
            .filter(filtered)
            .all(|filter| detection(&filter["filter"], event))
}

fn detection(detection: &Value, event: &Value) -> bool {
    let members = detection.as_object().unwrap();
    let names: Vec<&str> = members
        .keys()
        .map(String::as_str)
        .filter(|name| !matches!(*name, "condition" | "rules"))
        .collect();
    let holds = |name: &str| selection(&members[name], event);
    let condition = |text: &Value| condition::holds(text.as_str().unwrap(), &names, &holds);
    match &members["condition"] {
        Value::Array(list) => list.iter().any(condition),
        one => condition(one),
    }
}

/// A map is AND, a list is OR, plain text is a keyword.
fn selection(selection: &Value, event: &Value) -> bool {
    match selection {
        Value::Object(items) => items.iter().all(|(key, value)| item(key, value, event)),
        Value::Array(list) => list.iter().any(|part| self::selection(part, event)),
        Value::String(text) => keyword(text, &[], event),
        other => panic!("{other}"),
    }
}

fn item(key: &str, value: &Value, event: &Value) -> bool {
    let mut parts = key.split('|');
    let field = parts.next().unwrap();
    let modifiers: Vec<&str> = parts.collect();
    let one = |value: &Value| match field {
        "" => keyword(value.as_str().unwrap(), &modifiers, event),
        _ => test(field, &modifiers, value, event),
    };
    let values = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    let holds = if modifiers.contains(&"all") {
        values.iter().all(one)
    } else {
        values.iter().any(one)
    };
    holds != modifiers.contains(&"neq")
}

fn keyword(text: &str, modifiers: &[&str], event: &Value) -> bool {
    let placed = modifiers
        .iter()
        .any(|m| matches!(*m, "contains" | "startswith" | "endswith"));
    let modifiers = [modifiers, if placed { &[] } else { &["contains"][..] }].concat();
    let mut texts = Vec::new();
    leaves(event, &mut texts);
    texts.iter().any(|value| covered(text, &modifiers, value))
}

fn covered(text: &str, modifiers: &[&str], value: &str) -> bool {
    let value: Vec<char> = value.chars().collect();
    let cased = modifiers.contains(&"cased");
    let patterns = modified(text, modifiers);
    patterns
        .iter()
        .any(|pattern| covers(pattern, &value, cased))
}

/// Every text in an event.
fn leaves(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.values().for_each(|value| leaves(value, texts)),
        Value::Array(items) => items.iter().for_each(|value| leaves(value, texts)),
        Value::Null => {}
        scalar => texts.push(spelled(scalar)),
    }
}

fn spelled(scalar: &Value) -> String {
    match scalar {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a field holds, by its name as it stands or as a path; nulls among it. Nothing when the event does not have it.
fn field_values(event: &Value, field: &str) -> Option<Vec<Option<String>>> {
    fn find(value: &Value, field: &str, found: &mut Vec<Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| find(item, field, found)),
            Value::Object(members) => {
                found.extend(members.get(field).cloned());
                if let Some((outer, inner)) = field.split_once('.')
                    && let Some(value) = members.get(outer)
                {
                    find(value, inner, found);
                }
            }
            _ => {}
        }
    }
    fn flatten(value: &Value, values: &mut Vec<Option<String>>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| flatten(item, values)),
            Value::Null => values.push(None),
            scalar => values.push(Some(spelled(scalar))),
        }
    }
    let mut found = Vec::new();
    find(event, field, &mut found);
    let mut values = Vec::new();
    found.iter().for_each(|value| flatten(value, &mut values));
    (!found.is_empty()).then_some(values)
}

fn test(field: &str, modifiers: &[&str], wanted: &Value, event: &Value) -> bool {
    let values = field_values(event, field);
    if modifiers.contains(&"exists") {
        return Value::Bool(values.is_some()) == *wanted;
    }
    if wanted.is_null() {
        return values.is_none_or(|values| values.contains(&None));
    }
    let values: Vec<String> = values.into_iter().flatten().flatten().collect();
    values
        .iter()
        .any(|value| passes(modifiers, wanted, value, event))
}

fn passes(modifiers: &[&str], wanted: &Value, value: &str, event: &Value) -> bool {
    let has = |name: &str| modifiers.contains(&name);
    let part = modifiers
        .iter()
        .find(|m| matches!(**m, "minute" | "hour" | "day" | "week" | "month" | "year"));
    let compare = modifiers
        .iter()
        .find(|m| matches!(**m, "lt" | "lte" | "gt" | "gte"));
    if part.is_some() || compare.is_some() {
        let left = match part {
            Some(part) => date::part(value, part),
            None => number(value),
        };
        let right = number(&spelled(wanted)).unwrap();
        return left.is_some_and(|left| match compare {
            Some(&"lt") => left < right,
            Some(&"lte") => left <= right,
            Some(&"gt") => left > right,
            Some(&"gte") => left >= right,
            _ => left == right,
        });
    }
    if has("re") {
        return RegexBuilder::new(wanted.as_str().unwrap())
            .case_insensitive(has("i") || has("ignorecase"))
            .multi_line(has("m") || has("multiline"))
            .dot_matches_new_line(has("s") || has("dotall"))
            .build()
            .unwrap()
            .is_match(value);
    }
    if has("cidr") {
        return in_network(value, wanted.as_str().unwrap());
    }
    if has("fieldref") {
        let others = field_values(event, wanted.as_str().unwrap());
        return others.into_iter().flatten().flatten().any(|other| {
            let mut pattern: Vec<One> = other.chars().map(One::Char).collect();
            if has("contains") || has("endswith") {
                pattern.insert(0, One::AnyText);
            }
            if has("contains") || has("startswith") {
                pattern.push(One::AnyText);
            }
            covers(&pattern, &value.chars().collect::<Vec<_>>(), has("cased"))
        });
    }
    match wanted {
        Value::Number(fraction) if fraction.is_f64() => number(value) == fraction.as_f64(),
        other => covered(&spelled(other), modifiers, value),
    }
}

fn number(text: &str) -> Option<f64> {
    thread_local! {
        static DECIMAL: Regex =
            Regex::new(r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$").unwrap();
    }
    let decimal = DECIMAL.with(|regex| regex.is_match(text));
    decimal.then(|| text.parse().unwrap())
}

/// Whether an address is in a network: their first bits are the same. IPv4 addresses written as IPv6 ones are IPv4.
fn in_network(address: &str, network: &str) -> bool {
    let bits = |text: &str| -> Option<Vec<bool>> {
        let octets = match text.parse::<IpAddr>().ok()? {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let bit = |octet: u8| (0..8).rev().map(move |bit| octet >> bit & 1 == 1);
        Some(octets.into_iter().flat_map(bit).collect())
    };
    let mapped = |bits: Vec<bool>| {
        let prefix: Vec<bool> = (0..96).map(|bit| bit >= 80).collect();
        if bits.len() == 128 && bits[..96] == prefix {
            bits[96..].to_vec()
        } else {
            bits
        }
    };
    let (base, length) = network.split_once('/').unwrap_or((network, "32"));
    let (base, mut length) = (bits(base).unwrap(), length.parse::<usize>().unwrap());
    let base = {
        let whole = base.len();
        let short = mapped(base);
        length -= if short.len() < whole { 96 } else { 0 };
        short
    };
    bits(address)
        .map(mapped)
        .is_some_and(|address| address.len() == base.len() && address[..length] == base[..length])
}
