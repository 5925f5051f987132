//! The columns that a query reads, made from a batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringViewArray, UInt32Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use haechi_rules::FieldType;
use rustc_hash::FxHashMap;

use super::number;
use super::order::{self, PLACE};
use crate::WindowError;
use crate::batch::{self, FieldColumn, TIME};
use crate::partials::RowOrigins;

/// A column of a query's table.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    /// The event's time.
    Time,
    /// Where the row stands in the order of all events.
    Place,
    /// A field of this type: its first value; NULL when it is absent, a JSON null or not of the type.
    Field(String, FieldType),
}

/// The table of a query: exactly the columns that it reads.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl Columns {
    pub(super) fn new(names: &BTreeSet<String>, types: &BTreeMap<String, FieldType>) -> Self {
        let column = |name: &String| {
            if name == TIME {
                return Column::Time;
            }
            if name == PLACE {
                return Column::Place;
            }
            let of = types.get(name).copied().unwrap_or(FieldType::String);
            Column::Field(name.clone(), of)
        };
        let columns: Vec<Column> = names.iter().map(column).collect();
        let fields: Vec<Field> = columns.iter().map(Column::field).collect();
        Self {
            columns,
            schema: Arc::new(Schema::new(fields)),
        }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The fields that decoding has to bring.
    pub(super) fn fields(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().filter_map(|column| match column {
            Column::Time | Column::Place => None,
            Column::Field(name, _) => Some(name),
        })
    }

    /// The table's rows for a batch, one for each of the batch's rows.
    pub(super) fn table<'a>(
        &self,
        batch: &'a RecordBatch,
        rows: RowOrigins<'_>,
        cache: &mut ColumnCache<'a>,
    ) -> Result<RecordBatch, WindowError> {
        let column = |column: &Column| match column {
            Column::Time => Ok(Arc::new(batch::times(batch)?.clone()) as ArrayRef),
            Column::Place => cache.places(batch, rows),
            Column::Field(name, of) => cache.column(batch, name, *of),
        };
        let columns = self
            .columns
            .iter()
            .map(column)
            .collect::<Result<Vec<_>, WindowError>>()?;
        // A query may read no column at all: count(*).
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns,
            &options,
        )?)
    }
}

impl Column {
    fn field(&self) -> Field {
        match self {
            Self::Time => Field::new(TIME, DataType::Timestamp(TimeUnit::Nanosecond, None), false),
            Self::Place => Field::new(PLACE, DataType::Binary, false),
            Self::Field(name, of) => Field::new(name, data_type(*of), true),
        }
    }
}

fn data_type(of: FieldType) -> DataType {
    match of {
        FieldType::String => DataType::Utf8View,
        FieldType::Bigint => DataType::Int64,
        FieldType::Double => DataType::Float64,
        FieldType::Boolean => DataType::Boolean,
    }
}

/// The columns made from one batch, so that several rollups share them.
#[derive(Debug, Default)]
pub(crate) struct ColumnCache<'a> {
    fields: FxHashMap<(&'a str, u8), ArrayRef>,
    places: Option<ArrayRef>,
}

impl<'a> ColumnCache<'a> {
    fn places(
        &mut self,
        batch: &RecordBatch,
        rows: RowOrigins<'_>,
    ) -> Result<ArrayRef, WindowError> {
        if let Some(known) = &self.places {
            return Ok(Arc::clone(known));
        }
        let made: ArrayRef = Arc::new(order::places(batch::times(batch)?, rows));
        self.places = Some(Arc::clone(&made));
        Ok(made)
    }

    fn column(
        &mut self,
        batch: &'a RecordBatch,
        name: &str,
        of: FieldType,
    ) -> Result<ArrayRef, WindowError> {
        let schema = batch.schema_ref();
        let Some((_, field)) = schema.column_with_name(name) else {
            return Ok(new_null_array(&data_type(of), batch.num_rows()));
        };
        let key = (field.name().as_str(), of as u8);
        if let Some(known) = self.fields.get(&key) {
            return Ok(Arc::clone(known));
        }
        let Some(column) = FieldColumn::find(batch, name)? else {
            return Ok(new_null_array(&data_type(of), batch.num_rows()));
        };
        let made = typed(&first_values(&column, batch.num_rows())?, of);
        self.fields.insert(key, Arc::clone(&made));
        Ok(made)
    }
}

fn first_values(column: &FieldColumn<'_>, rows: usize) -> Result<StringViewArray, WindowError> {
    let values = column.values();
    let index = |row| {
        column
            .first_index(row)
            .and_then(|at| u32::try_from(at).ok())
    };
    let indices: UInt32Array = (0..rows).map(index).collect();
    let first = take(values, &indices, None)?;
    let text = first.as_any().downcast_ref::<StringViewArray>();
    Ok(text
        .cloned()
        .unwrap_or_else(|| StringViewArray::new_null(rows)))
}

fn typed(text: &StringViewArray, of: FieldType) -> ArrayRef {
    match of {
        FieldType::String => Arc::new(text.clone()),
        FieldType::Bigint => {
            let values: Int64Array = text.iter().map(|text| number::bigint(text?)).collect();
            Arc::new(values)
        }
        FieldType::Double => {
            let values: Float64Array = text.iter().map(|text| number::double(text?)).collect();
            Arc::new(values)
        }
        FieldType::Boolean => {
            let values: BooleanArray = text.iter().map(|text| number::boolean(text?)).collect();
            Arc::new(values)
        }
    }
}
