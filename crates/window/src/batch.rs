//! Batches as decoding makes them, read by column name.

use arrow::array::{
    Array, AsArray, ListArray, RecordBatch, StringViewArray, TimestampNanosecondArray, UInt16Array,
};
use arrow::datatypes::{TimestampNanosecondType, UInt16Type};

use crate::WindowError;

/// The column with the event time: nanoseconds since the Unix epoch, not null.
pub(crate) const TIME: &str = "_time";
/// The column with the index of the event's class.
pub(crate) const CLASS: &str = "_class";

/// Columns that are no fields of the event.
pub(crate) const RESERVED: [&str; 3] = [TIME, CLASS, "_values"];

/// The first value of a field in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First<'a> {
    /// The event has no such field, or it is an empty array.
    Absent,
    /// It is a JSON null.
    Null,
    /// Text; a number or boolean as spelled.
    Text(&'a str),
}

/// A field of all events of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldColumn<'a> {
    lists: &'a ListArray,
    values: &'a StringViewArray,
}

impl<'a> FieldColumn<'a> {
    /// The field's column; none when the batch does not have it (its input's decoder was not asked for it).
    pub(crate) fn find(batch: &'a RecordBatch, field: &str) -> Result<Option<Self>, WindowError> {
        let Some(column) = batch.column_by_name(field) else {
            return Ok(None);
        };
        let lists = column.as_list_opt::<i32>();
        let both = lists.and_then(|lists| Some((lists, lists.values().as_string_view_opt()?)));
        let (lists, values) = both.ok_or_else(|| wrong_type(field, column, "List(Utf8View)"))?;
        Ok(Some(Self { lists, values }))
    }

    /// The field's first value in an event.
    pub(crate) fn first(&self, row: usize) -> First<'a> {
        match self.first_index(row) {
            None => First::Absent,
            Some(at) if self.values.is_null(at) => First::Null,
            Some(at) => First::Text(self.values.value(at)),
        }
    }

    /// Where the field's first value stands in [`FieldColumn::values`].
    pub(crate) fn first_index(&self, row: usize) -> Option<usize> {
        if row >= self.lists.len() || self.lists.is_null(row) {
            return None;
        }
        let &[start, end] = self.lists.value_offsets().get(row..row + 2)? else {
            return None;
        };
        usize::try_from(start).ok().filter(|_| start < end)
    }

    /// The values of all rows.
    pub(crate) fn values(&self) -> &'a StringViewArray {
        self.values
    }
}

/// The event times of a batch.
pub(crate) fn times(batch: &RecordBatch) -> Result<&TimestampNanosecondArray, WindowError> {
    let column = batch.column_by_name(TIME).ok_or_else(|| missing(TIME))?;
    let times = column.as_primitive_opt::<TimestampNanosecondType>();
    times.ok_or_else(|| wrong_type(TIME, column, "Timestamp(ns)"))
}

/// The event classes of a batch.
pub(crate) fn classes(batch: &RecordBatch) -> Result<&UInt16Array, WindowError> {
    let column = batch.column_by_name(CLASS).ok_or_else(|| missing(CLASS))?;
    let classes = column.as_primitive_opt::<UInt16Type>();
    classes.ok_or_else(|| wrong_type(CLASS, column, "UInt16"))
}

fn missing(column: &str) -> WindowError {
    WindowError::Batch {
        column: column.to_owned(),
        reason: "is missing".to_owned(),
    }
}

fn wrong_type(column: &str, found: &dyn Array, expected: &str) -> WindowError {
    WindowError::Batch {
        column: column.to_owned(),
        reason: format!("is {}, not {expected}", found.data_type()),
    }
}
