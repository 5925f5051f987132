//! Quoting an event in a document.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

/// An event as it came, or what is left of it.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Quote<'a> {
    /// Valid JSON, byte for byte.
    Json(Cow<'a, RawValue>),
    /// Anything else, and what was cut: text. Bytes that are no UTF-8 become U+FFFD.
    Text(Cow<'a, str>),
}

impl<'a> Quote<'a> {
    /// Quotes `raw`, cut to `limit` bytes. The second part is the length before the cut, if there was one.
    pub(crate) fn new(raw: &'a [u8], limit: usize) -> (Self, Option<usize>) {
        match raw.get(..limit) {
            Some(head) if head.len() < raw.len() => (
                Self::Text(String::from_utf8_lossy(whole_characters(head))),
                Some(raw.len()),
            ),
            _ => (
                json(raw).map_or_else(|| Self::Text(String::from_utf8_lossy(raw)), Self::Json),
                None,
            ),
        }
    }
}

/// Without the beginning of a character that the cut went through.
fn whole_characters(head: &[u8]) -> &[u8] {
    match std::str::from_utf8(head) {
        // None: the text ends within a character. Otherwise it was no UTF-8 to begin with.
        Err(error) if error.error_len().is_none() => {
            head.get(..error.valid_up_to()).unwrap_or(head)
        }
        _ => head,
    }
}

/// Deeper events are quoted as text. Many readers of JSON stop at 128 levels, and the document around the event has some.
const DEEPEST: usize = 100;

/// The bytes, if any reader takes them for JSON, on one line.
fn json(raw: &[u8]) -> Option<Cow<'_, RawValue>> {
    let text = std::str::from_utf8(raw).ok()?;
    if has_lone_surrogates(text) || depth(raw) > DEEPEST {
        return None;
    }
    if !text.contains(['\n', '\r']) {
        return serde_json::from_str::<&RawValue>(text)
            .ok()
            .map(Cow::Borrowed);
    }
    // In valid JSON a line end is white space between tokens, never inside a string: a space means the same, and keeps
    // one document on one line.
    let one_line = text.replace(['\n', '\r'], " ");
    serde_json::from_str::<&RawValue>(text).ok()?;
    RawValue::from_string(one_line).ok().map(Cow::Owned)
}

/// `"\ud800"` alone is no character, yet passes where strings are skipped rather than read.
fn has_lone_surrogates(text: &str) -> bool {
    text.contains("\\u") && serde_json::from_str::<serde_json::Value>(text).is_err()
}

/// How deep objects and arrays are nested; right for JSON, anything for anything else.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

/// On to what follows the closing quote.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn quoted(raw: &[u8], limit: usize) -> (String, Option<usize>) {
        let (quote, cut) = Quote::new(raw, limit);
        (serde_json::to_string(&quote).unwrap(), cut)
    }

    #[test]
    fn json_is_quoted_as_it_came() {
        for raw in [
            r#"{"b":1.50,"a":[1e3,null],"b":"\u00e9"}"#,
            "  [1] ",
            "17",
            r#""text""#,
        ] {
            assert_eq!(quoted(raw.as_bytes(), 100), (raw.trim().to_owned(), None));
        }
    }

    #[test]
    fn one_document_stays_on_one_line() {
        let (text, _) = quoted(b"{\r\n  \"a\": \"x\\ny\"\n}", 100);
        assert_eq!(text, "{    \"a\": \"x\\ny\" }");
    }

    #[test]
    fn what_is_not_json_is_text() {
        assert_eq!(quoted(b"Failed password", 100).0, r#""Failed password""#);
        assert_eq!(quoted(b"{\"a\":\xff}", 100).0, "\"{\\\"a\\\":\u{fffd}}\"");
        assert_eq!(
            quoted(br#"{"a":"\ud800"}"#, 100).0,
            r#""{\"a\":\"\\ud800\"}""#
        );
        assert_eq!(quoted(b"", 100).0, r#""""#);
        assert_eq!(quoted(b"{\"a\":\n", 100).0, r#""{\"a\":\n""#);
    }

    #[test]
    fn nesting_beyond_reason_is_text() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(quoted(deep.as_bytes(), 1 << 20).0.starts_with('"'));
        let flat = format!(
            r#"{{"a":"{}","b":{}}}"#,
            r#"{[\"{["#.repeat(1000),
            "[1,[2]]"
        );
        assert_eq!(depth(flat.as_bytes()), 3);
        assert_eq!(quoted(flat.as_bytes(), 1 << 20).0, flat);
    }

    #[test]
    fn a_cut_keeps_whole_characters() {
        assert_eq!(quoted("aéb".as_bytes(), 2), (r#""a""#.to_owned(), Some(4)));
        assert_eq!(quoted("aéb".as_bytes(), 3), ("\"aé\"".to_owned(), Some(4)));
        assert_eq!(quoted("aéb".as_bytes(), 4), ("\"aéb\"".to_owned(), None));
        assert_eq!(quoted(b"abc", 0), (r#""""#.to_owned(), Some(3)));
    }
}
