//! Identities: hashes of what a document is about, never of when or by whom it was written.

use std::fmt;

use serde::ser::{Serialize, Serializer};

use crate::finding::Coordinates;

/// A UUID of version 8 (RFC 9562: custom), made of a BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid([u8; 16]);

impl Uid {
    /// The 36 characters of its spelling.
    #[allow(
        clippy::indexing_slicing,
        reason = "a nibble indexes sixteen digits; 32 digits and 4 dashes fill 36 places"
    )]
    pub fn encode(&self) -> [u8; 36] {
        let mut text = [b'-'; 36];
        let mut place = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                place += 1;
            }
            for nibble in [byte >> 4, byte & 15] {
                text[place] = b"0123456789abcdef"[usize::from(nibble)];
                place += 1;
            }
        }
        text
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.encode()).unwrap_or_default())
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Uid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The identity of a finding: of its rule, its group and the coordinates of the contributing events, in their order.
pub fn finding_uid<'a>(
    rule: &str,
    group: &[(String, Option<String>)],
    events: impl IntoIterator<Item = Coordinates<'a>>,
) -> Uid {
    let mut hash = UidHasher::new("haechi finding 1");
    hash.text(rule);
    hash.group(
        group
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref())),
    );
    for event in events {
        hash.coordinates(event);
    }
    hash.finish()
}

/// What the window of a correlation's finding begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening<'a> {
    /// An event.
    Event(Coordinates<'a>),
    /// A finding of another correlation.
    Finding(Uid),
}

/// The identity of a correlation's finding: of its rule, its group and what opens its window. Windows of a rule and group do not overlap, so
/// this tells them apart, and events that are added later do not change it.
pub fn correlation_uid(
    rule: &str,
    group: &[(String, Option<String>)],
    opening: Opening<'_>,
) -> Uid {
    let mut hash = UidHasher::new("haechi correlation 2");
    hash.text(rule);
    hash.group(
        group
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref())),
    );
    match opening {
        Opening::Event(at) => {
            hash.number(0);
            hash.coordinates(at);
        }
        Opening::Finding(uid) => {
            hash.number(1);
            hash.bytes(uid.as_bytes());
        }
    }
    hash.finish()
}

/// Hashes fields one after the other so that no two different sequences look the same: every field goes in with its
/// length.
pub(crate) struct UidHasher(blake3::Hasher);

impl UidHasher {
    /// `purpose` separates identities of different kinds; the number in it changes when the fields do.
    pub(crate) fn new(purpose: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(purpose))
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as i64);
        self.0.update(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as i64);
        self.0.update(bytes);
    }

    pub(crate) fn number(&mut self, number: i64) {
        self.0.update(&number.to_le_bytes());
    }

    pub(crate) fn group<'a>(
        &mut self,
        group: impl ExactSizeIterator<Item = (&'a str, Option<&'a str>)>,
    ) {
        self.number(group.len() as i64);
        for (name, value) in group {
            self.text(name);
            self.number(i64::from(value.is_some()));
            self.text(value.unwrap_or_default());
        }
    }

    pub(crate) fn coordinates(&mut self, at: Coordinates<'_>) {
        self.text(at.source);
        self.number(i64::from(at.partition));
        self.number(at.offset);
    }

    pub(crate) fn finish(self) -> Uid {
        let mut bytes = [0; 16];
        self.0.finalize_xof().fill(&mut bytes);
        let number = u128::from_be_bytes(bytes);
        // Version 8 in the seventh byte, the variant in the ninth.
        let number = number & !(0xf << 76) | 0x8 << 76;
        let number = number & !(0x3 << 62) | 0x2 << 62;
        Uid(number.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: &str, partition: i32, offset: i64) -> Coordinates<'_> {
        Coordinates {
            source,
            partition,
            offset,
        }
    }

    fn group(name: &str, value: Option<&str>) -> Vec<(String, Option<String>)> {
        vec![(name.to_owned(), value.map(str::to_owned))]
    }

    #[test]
    fn the_spelling_is_a_uuid_of_version_8() {
        let uid = finding_uid("rule", &[], [at("t", 0, 1)]);
        let text = uid.to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(
            text.split('-').map(str::len).collect::<Vec<_>>(),
            [8, 4, 4, 4, 12]
        );
        assert_eq!(text.as_bytes().get(14), Some(&b'8'), "{text}");
        assert!(
            matches!(text.as_bytes().get(19), Some(b'8' | b'9' | b'a' | b'b')),
            "{text}"
        );
    }

    #[test]
    fn an_identity_is_for_ever() {
        // Consumers remember ids across releases: this must not change.
        let uid = finding_uid(
            "5f0a",
            &group("user", Some("ana")),
            [at("auth", 2, 41), at("auth", 0, 7)],
        );
        assert_eq!(uid.to_string(), "57063559-3c84-8638-8c64-3b9a6225f5f6");
    }

    #[test]
    fn whatever_differs_makes_another_identity() {
        let base = finding_uid("r", &group("u", Some("a")), [at("t", 1, 2)]);
        let others = [
            finding_uid("s", &group("u", Some("a")), [at("t", 1, 2)]),
            finding_uid("r", &group("v", Some("a")), [at("t", 1, 2)]),
            finding_uid("r", &group("u", Some("b")), [at("t", 1, 2)]),
            finding_uid("r", &group("u", None), [at("t", 1, 2)]),
            finding_uid("r", &group("u", Some("")), [at("t", 1, 2)]),
            finding_uid("r", &[], [at("t", 1, 2)]),
            finding_uid("r", &group("u", Some("a")), [at("u", 1, 2)]),
            finding_uid("r", &group("u", Some("a")), [at("t", 2, 2)]),
            finding_uid("r", &group("u", Some("a")), [at("t", 1, 3)]),
            finding_uid("r", &group("u", Some("a")), [at("t", 1, 2), at("t", 1, 3)]),
            finding_uid("ru", &group("", Some("a")), [at("t", 1, 2)]),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(*other, base, "case {index}");
        }
        let distinct: std::collections::HashSet<_> = others.iter().collect();
        assert_eq!(distinct.len(), others.len());
    }
}
