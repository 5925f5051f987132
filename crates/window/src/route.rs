//! Which exchange partition a group belongs to.

/// One value of a group key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum KeyValue<'a> {
    /// No value.
    Null,
    /// Text.
    Text(&'a str),
    /// An integer of any width.
    Integer(i64),
    /// A floating point number; `-0.0` is `0.0` and all NaN are one.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// Nanoseconds since the Unix epoch.
    Timestamp(i64),
    /// Days since the Unix epoch.
    Date(i32),
}

/// The hash that routes a group: of the rule's id and the group's key values.
///
/// It is part of the exchange's format: workers of different releases and platforms must send a group to the same partition,
/// or its events would be counted in two places. So it is defined here to the byte and must not change:
///
/// BLAKE3 over `len(rule) rule` and, for each value in order, a tag byte and its bytes: `0` null; `1` text as `len text`; `2` integer
/// as i64; `3` double as the bits of an f64; `4` boolean as one byte; `5` timestamp as i64 nanoseconds; `6` date as i32 days. Lengths are
/// u32, everything is little-endian, text is UTF-8. The hash is the first 8 bytes of the digest as a little-endian u64, and
/// the partition is the hash modulo the number of partitions.
pub(crate) struct GroupHasher {
    of_rule: blake3::Hasher,
}

impl GroupHasher {
    /// A hasher for the groups of one rule.
    pub(crate) fn new(rule: &str) -> Self {
        let mut of_rule = blake3::Hasher::new();
        text(&mut of_rule, rule);
        Self { of_rule }
    }

    /// The exchange partition of a group.
    pub(crate) fn partition<'a>(
        &self,
        key: impl IntoIterator<Item = KeyValue<'a>>,
        partitions: u32,
    ) -> u32 {
        let partition = self.hash(key) % u64::from(partitions.max(1));
        u32::try_from(partition).unwrap_or(0)
    }

    fn hash<'a>(&self, key: impl IntoIterator<Item = KeyValue<'a>>) -> u64 {
        let mut hasher = self.of_rule.clone();
        for value in key {
            value.feed(&mut hasher);
        }
        let digest = hasher.finalize();
        digest
            .as_bytes()
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl<'a> KeyValue<'a> {
    /// Text, or no value.
    pub(crate) fn of_text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    fn feed(self, hasher: &mut blake3::Hasher) {
        match self {
            Self::Null => {
                hasher.update(&[0]);
            }
            Self::Text(value) => {
                hasher.update(&[1]);
                text(hasher, value);
            }
            Self::Integer(value) => {
                hasher.update(&[2]);
                hasher.update(&value.to_le_bytes());
            }
            Self::Double(value) => {
                hasher.update(&[3]);
                hasher.update(&canonical(value).to_bits().to_le_bytes());
            }
            Self::Boolean(value) => {
                hasher.update(&[4, u8::from(value)]);
            }
            Self::Timestamp(value) => {
                hasher.update(&[5]);
                hasher.update(&value.to_le_bytes());
            }
            Self::Date(value) => {
                hasher.update(&[6]);
                hasher.update(&value.to_le_bytes());
            }
        }
    }
}

/// The one value that stands for all doubles that SQL calls equal.
pub(crate) fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::from_bits(0x7ff8_0000_0000_0000)
    } else {
        value + 0.0
    }
}

fn text(hasher: &mut blake3::Hasher, value: &str) {
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    hasher.update(&len.to_le_bytes());
    hasher.update(value.as_bytes());
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;

    /// Computed once with Python's `blake3` over the bytes of the definition. If this fails, the exchange of every running
    /// installation would be split: do not adapt the numbers.
    #[test]
    fn routing_does_not_change_between_releases() {
        let rule = GroupHasher::new("5af54681-df95-4c26-854f-2565e13cfab0");
        let key = [
            KeyValue::Text("10.0.0.1"),
            KeyValue::Null,
            KeyValue::Integer(-7),
            KeyValue::Double(0.5),
            KeyValue::Boolean(true),
            KeyValue::Timestamp(1_700_000_000_000_000_000),
            KeyValue::Date(19_675),
        ];
        let golden = [
            rule.hash([]),
            rule.hash([KeyValue::Text("")]),
            rule.hash(key),
        ];
        assert_eq!(
            golden,
            [
                14_416_535_681_132_011_586,
                10_133_346_734_243_606_114,
                7_277_215_827_481_085_188
            ]
        );
        assert_eq!(rule.partition(key, 16), 4);
    }

    #[test]
    fn equal_doubles_go_the_same_way() {
        let rule = GroupHasher::new("r");
        let hash = |value| rule.hash([KeyValue::Double(value)]);
        assert_eq!(hash(0.0), hash(-0.0));
        assert_eq!(hash(f64::NAN), hash(-f64::NAN));
        assert_ne!(hash(1.0), hash(2.0));
    }

    #[test]
    fn keys_that_run_together_are_told_apart() {
        let rule = GroupHasher::new("r");
        let hash = |key: &[&str]| rule.hash(key.iter().map(|text| KeyValue::Text(text)));
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["a"]), hash(&["a", ""]));
    }
}
