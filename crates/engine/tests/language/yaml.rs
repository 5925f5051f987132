//! Documents as YAML, in one of the ways to write them.

use std::fmt::Write;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;

/// A document: as JSON, which is YAML too, or in block style with whatever quotes do.
pub(crate) fn write(rng: &mut StdRng, document: &Value) -> String {
    if rng.random_bool(0.5) {
        return document.to_string();
    }
    let mut text = String::new();
    node(rng, document, 0, &mut text);
    text
}

fn node(rng: &mut StdRng, value: &Value, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                let _ = write!(text, "\n{pad}{}:", scalar(rng, &Value::from(key.as_str())));
                node(rng, value, indent + 2, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(text, "\n{pad}-");
                node(rng, item, indent + 2, text);
            }
        }
        scalar_value => {
            let _ = write!(text, " {}", scalar(rng, scalar_value));
        }
    }
}

fn scalar(rng: &mut StdRng, value: &Value) -> String {
    match value {
        Value::String(text) => {
            let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '|' | '.');
            let plain = text.chars().all(safe)
                && text.starts_with(|c: char| c.is_ascii_alphabetic())
                && !matches!(&*text.to_lowercase(), "null" | "true" | "false");
            if plain && rng.random_bool(0.7) {
                text.clone()
            } else if !text.chars().any(char::is_control) && rng.random_bool(0.7) {
                format!("'{}'", text.replace('\'', "''"))
            } else {
                value.to_string()
            }
        }
        other => other.to_string(),
    }
}
