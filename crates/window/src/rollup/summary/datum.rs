//! One value of a column, to be kept, compared and sent.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampNanosecondArray,
};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampNanosecondType};

use super::super::key::KeyKind;

/// A value. Those of one column are all of one kind, and are ordered as SQL orders them, NULL first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Datum {
    Null,
    Boolean(bool),
    /// Also a date (days) or a time (nanoseconds).
    Integer(i64),
    /// A floating point number: see [`ordered`].
    Double(i64),
    Text(Box<str>),
}

/// A double's bits as an integer of the same order.
pub(super) fn ordered(number: f64) -> i64 {
    let bits = number.to_bits().cast_signed();
    bits ^ (((bits >> 63).cast_unsigned() >> 1).cast_signed())
}

/// The double of [`ordered`].
pub(super) fn double(ordered: i64) -> f64 {
    let bits = ordered ^ (((ordered >> 63).cast_unsigned() >> 1).cast_signed());
    f64::from_bits(bits.cast_unsigned())
}

impl Datum {
    /// A row of an array as [`KeyKind::canonical`] makes them.
    pub(super) fn of(kind: KeyKind, array: &dyn Array, row: usize) -> Self {
        if array.is_null(row) {
            return Self::Null;
        }
        match kind {
            KeyKind::Text => Self::Text(array.as_string::<i32>().value(row).into()),
            KeyKind::Integer => Self::Integer(array.as_primitive::<Int64Type>().value(row)),
            KeyKind::Double => {
                Self::Double(ordered(array.as_primitive::<Float64Type>().value(row)))
            }
            KeyKind::Boolean => Self::Boolean(array.as_boolean().value(row)),
            KeyKind::Timestamp => {
                Self::Integer(array.as_primitive::<TimestampNanosecondType>().value(row))
            }
            KeyKind::Date => {
                Self::Integer(i64::from(array.as_primitive::<Date32Type>().value(row)))
            }
        }
    }

    /// Appends its bytes.
    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Null => bytes.push(0),
            Self::Boolean(value) => bytes.extend([1, u8::from(*value)]),
            Self::Integer(number) => {
                bytes.push(2);
                bytes.extend(number.to_le_bytes());
            }
            Self::Double(number) => {
                bytes.push(3);
                bytes.extend(number.to_le_bytes());
            }
            Self::Text(text) => {
                bytes.push(4);
                bytes.extend(text.as_bytes());
            }
        }
    }

    /// The datum that all of these bytes are; none when they are none.
    pub(super) fn take(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match (tag, rest) {
            (0, []) => Some(Self::Null),
            (1, [value @ (0 | 1)]) => Some(Self::Boolean(*value == 1)),
            (2, rest) => Some(Self::Integer(i64::from_le_bytes(rest.try_into().ok()?))),
            (3, rest) => Some(Self::Double(i64::from_le_bytes(rest.try_into().ok()?))),
            (4, rest) => Some(Self::Text(std::str::from_utf8(rest).ok()?.into())),
            _ => None,
        }
    }

    /// Bytes beside the value itself.
    pub(super) fn heap_size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            _ => 0,
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The number it is; none when it is NULL or no floating point number.
    pub(super) fn double(&self) -> Option<f64> {
        match self {
            Self::Double(number) => Some(double(*number)),
            _ => None,
        }
    }
}

/// Values as an array of a kind.
pub(super) fn array<'a>(kind: KeyKind, values: impl Iterator<Item = &'a Datum>) -> ArrayRef {
    match kind {
        KeyKind::Text => {
            let text = values.map(|value| match value {
                Datum::Text(text) => Some(&**text),
                _ => None,
            });
            Arc::new(text.collect::<StringArray>())
        }
        KeyKind::Integer => Arc::new(values.map(Datum::integer).collect::<Int64Array>()),
        KeyKind::Double => Arc::new(values.map(Datum::double).collect::<Float64Array>()),
        KeyKind::Boolean => {
            let booleans = values.map(|value| match value {
                Datum::Boolean(value) => Some(*value),
                _ => None,
            });
            Arc::new(booleans.collect::<BooleanArray>())
        }
        KeyKind::Timestamp => {
            let times = values.map(Datum::integer);
            Arc::new(times.collect::<TimestampNanosecondArray>())
        }
        KeyKind::Date => {
            let days = values.map(|value| value.integer().and_then(|days| days.try_into().ok()));
            Arc::new(days.collect::<Date32Array>())
        }
    }
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

    #[test]
    fn doubles_keep_their_order() {
        let numbers = [
            f64::MIN,
            -1.5,
            -f64::MIN_POSITIVE,
            0.0,
            f64::MIN_POSITIVE,
            1.0,
            f64::MAX,
        ];
        let mut last = i64::MIN;
        for number in numbers {
            assert!(ordered(number) > last);
            last = ordered(number);
            assert_eq!(double(last).to_bits(), number.to_bits());
        }
    }

    #[test]
    fn what_is_put_is_taken() {
        let all = [
            Datum::Null,
            Datum::Boolean(true),
            Datum::Integer(-7),
            Datum::Double(ordered(-0.5)),
            Datum::Text("ü".into()),
            Datum::Text("".into()),
        ];
        for datum in all {
            let mut bytes = Vec::new();
            datum.put(&mut bytes);
            assert_eq!(Datum::take(&bytes), Some(datum));
        }
        for damaged in [&[][..], &[9], &[0, 0], &[1, 2], &[2, 0], &[4, 0xff]] {
            assert_eq!(Datum::take(damaged), None);
        }
    }
}
