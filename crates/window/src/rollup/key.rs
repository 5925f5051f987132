//! The keys of a rollup's groups.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType,
};
use datafusion_physical_expr::PhysicalExpr;

use crate::WindowError;
use crate::bounded::bounded;
use crate::route::{KeyValue, canonical};

/// A GROUP BY expression.
pub(super) struct Key {
    pub(super) expr: Arc<dyn PhysicalExpr>,
    pub(super) kind: KeyKind,
    /// The type that the query expects it to be of.
    pub(super) planned: DataType,
    /// Its text in the query.
    pub(super) name: String,
}

/// The kinds of values that keys are of in the exchange. Each type of a query is one of them, without loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum KeyKind {
    Text,
    Integer,
    Double,
    Boolean,
    Timestamp,
    Date,
}

impl KeyKind {
    /// The kind of a type; none when it cannot be grouped by.
    pub(super) fn of(of: &DataType) -> Option<Self> {
        match of {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                Some(Self::Text)
            }
            DataType::UInt64 => None,
            of if of.is_integer() => Some(Self::Integer),
            of if of.is_floating() => Some(Self::Double),
            DataType::Boolean => Some(Self::Boolean),
            DataType::Timestamp(_, _) => Some(Self::Timestamp),
            DataType::Date32 => Some(Self::Date),
            _ => None,
        }
    }

    /// The type of a key of this kind.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Self::Date => DataType::Date32,
        }
    }

    /// An array as keys of this kind: values that are equal in SQL are the same bits, and text is kept within bounds.
    pub(super) fn canonical(self, array: &ArrayRef) -> Result<ArrayRef, WindowError> {
        let array = cast(array, &self.data_type())?;
        Ok(match self {
            Self::Double => {
                let values = array.as_primitive::<Float64Type>();
                let values: Float64Array =
                    values.iter().map(|value| value.map(canonical)).collect();
                Arc::new(values)
            }
            Self::Text => bounded_texts(array),
            Self::Integer | Self::Boolean | Self::Timestamp | Self::Date => array,
        })
    }

    /// A row of an array made by [`KeyKind::canonical`], for routing.
    pub(super) fn value(self, array: &dyn Array, row: usize) -> KeyValue<'_> {
        if array.is_null(row) {
            return KeyValue::Null;
        }
        match self {
            Self::Text => KeyValue::Text(array.as_string::<i32>().value(row)),
            Self::Integer => KeyValue::Integer(array.as_primitive::<Int64Type>().value(row)),
            Self::Double => KeyValue::Double(array.as_primitive::<Float64Type>().value(row)),
            Self::Boolean => KeyValue::Boolean(array.as_boolean().value(row)),
            Self::Timestamp => {
                KeyValue::Timestamp(array.as_primitive::<TimestampNanosecondType>().value(row))
            }
            Self::Date => KeyValue::Date(array.as_primitive::<Date32Type>().value(row)),
        }
    }
}

/// Texts kept within bounds; other arrays are left as they are.
pub(super) fn bounded_texts(array: ArrayRef) -> ArrayRef {
    let Some(texts) = array.as_string_opt::<i32>() else {
        return array;
    };
    let mut all = texts.iter().flatten();
    if all.all(|text| matches!(bounded(text), std::borrow::Cow::Borrowed(_))) {
        return array;
    }
    let texts: StringArray = texts.iter().map(|text| text.map(bounded)).collect();
    Arc::new(texts)
}
