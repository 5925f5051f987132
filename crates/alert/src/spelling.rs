//! How values are spelled in JSON.

use chrono::{DateTime, SecondsFormat};
use serde::ser::{Serialize, Serializer};

/// Appends a document to the buffer.
pub(crate) fn append(out: &mut Vec<u8>, document: &impl Serialize) {
    // Memory does not refuse bytes, and our documents have string keys and no failing parts.
    let written = serde_json::to_writer(out, document);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Nanoseconds since the Unix epoch as RFC 3339 in UTC, with 0, 3, 6 or 9 fractional digits, as many as it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(
            &DateTime::from_timestamp_nanos(self.0).to_rfc3339_opts(SecondsFormat::AutoSi, true),
        )
    }
}

/// Nanoseconds since the Unix epoch as whole milliseconds: OCSF's `timestamp_t`.
pub(crate) fn millis(time_ns: i64) -> i64 {
    time_ns.div_euclid(1_000_000)
}

/// Names and values as an object, in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entries<'a, V>(pub(crate) &'a [(String, V)]);

impl<V: Serialize> Serialize for Entries<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A list that is made while it is written.
pub(crate) struct List<I>(pub(crate) I);

impl<I> Serialize for List<I>
where
    I: Iterator<Item: Serialize> + Clone,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_nanoseconds_and_nothing_else() {
        let spelled = |time_ns| serde_json::to_string(&Time(time_ns)).unwrap();
        assert_eq!(spelled(0), r#""1970-01-01T00:00:00Z""#);
        assert_eq!(
            spelled(1_591_757_457_552_000_000),
            r#""2020-06-10T02:50:57.552Z""#
        );
        assert_eq!(
            spelled(1_591_757_457_552_000_001),
            r#""2020-06-10T02:50:57.552000001Z""#
        );
        assert_eq!(spelled(-1), r#""1969-12-31T23:59:59.999999999Z""#);
        assert_eq!(spelled(i64::MAX), r#""2262-04-11T23:47:16.854775807Z""#);
        assert_eq!(spelled(i64::MIN), r#""1677-09-21T00:12:43.145224192Z""#);
        assert_eq!(millis(-1), -1);
    }
}
