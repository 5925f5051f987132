//! Records that are JSON by its grammar but that the parser cannot represent. Refusing them would let
//! an attacker hide an event behind half a surrogate pair (Windows allows those in file names, and shippers
//! escape them), so they are rewritten and parsed again:
//!
//! - an escaped surrogate without its other half becomes `\ufffd`, the replacement character;
//! - a number beyond the range of a double becomes a string of the same spelling.

/// The rewritten record, if there was anything to rewrite. Says nothing about the rest of it.
pub(crate) fn repair(text: &[u8]) -> Option<Vec<u8>> {
    let mut fixed = Vec::new();
    let mut copied = 0;
    let mut replace = |from: usize, to: usize, by: &[&[u8]]| {
        fixed.extend_from_slice(text.get(copied..from).unwrap_or_default());
        by.iter().for_each(|part| fixed.extend_from_slice(part));
        copied = to;
    };
    let mut at = 0;
    let mut in_string = false;
    while let Some(&byte) = text.get(at) {
        match (in_string, byte) {
            (_, b'"') => {
                in_string = !in_string;
                at += 1;
            }
            (true, b'\\') => match surrogate(text, at) {
                Surrogate::None => at += 2,
                Surrogate::Pair => at += 12,
                Surrogate::Lone => {
                    replace(at, at + 6, &[b"\\ufffd"]);
                    at += 6;
                }
            },
            (false, b'-' | b'0'..=b'9') => {
                let number = number(text, at);
                if is_out_of_range(number) {
                    replace(at, at + number.len(), &[b"\"", number, b"\""]);
                }
                at += number.len();
            }
            _ => at += 1,
        }
    }
    (copied > 0).then(|| {
        fixed.extend_from_slice(text.get(copied..).unwrap_or_default());
        fixed
    })
}

enum Surrogate {
    None,
    Pair,
    Lone,
}

/// What the escape at `at` says about surrogates.
fn surrogate(text: &[u8], at: usize) -> Surrogate {
    let unit = |at: usize| -> Option<u16> {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match (unit(at), unit(at + 6)) {
        (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => Surrogate::Pair,
        (Some(0xD800..0xE000), _) => Surrogate::Lone,
        _ => Surrogate::None,
    }
}

/// The run of a number's characters from `at`, at least one byte.
fn number(text: &[u8], at: usize) -> &[u8] {
    let rest = text.get(at..).unwrap_or_default();
    let len = rest
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
        .unwrap_or(rest.len());
    rest.get(..len).unwrap_or_default()
}

/// Whether this is a JSON number too large for a double.
fn is_out_of_range(number: &[u8]) -> bool {
    // Only a JSON number may become a string: `1.e999` stays the error that it is.
    let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(number).is_ok();
    std::str::from_utf8(number)
        .ok()
        .and_then(|number| number.parse::<f64>().ok())
        .is_some_and(f64::is_infinite)
        && is_json()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(text: &str) -> Option<String> {
        repair(text.as_bytes()).map(|fixed| String::from_utf8_lossy(&fixed).into_owned())
    }

    #[test]
    fn lone_surrogates_become_the_replacement_character() {
        for (text, fixed) in [
            (r#""a\ud800b""#, r#""a\ufffdb""#),
            (r#""\udC00""#, r#""\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\\ud800\n""#, r#""\\\ufffd\n""#),
            (r#"{"\ud800":1}"#, r#"{"\ufffd":1}"#),
        ] {
            assert_eq!(repaired(text).as_deref(), Some(fixed));
        }
        for text in [
            r#""\ud83d\ude00""#,
            r#""\\ud800""#,
            r#""\ud80""#,
            r#""\u+800""#,
            "\"\\",
        ] {
            assert_eq!(repaired(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_beyond_a_double_become_strings() {
        assert_eq!(
            repaired(r#"{"a":1e999,"b":[-1E+400 ,1]}"#).as_deref(),
            Some(r#"{"a":"1e999","b":["-1E+400" ,1]}"#)
        );
        for text in ["1e308", "\"1e999\"", "1.e999", "01e999", "-", "1e-999"] {
            assert_eq!(repaired(text), None, "{text}");
        }
    }
}
