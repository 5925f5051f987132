//! Values of arrays as JSON.

use arrow::array::{Array, AsArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, UInt64Type};
use arrow::util::display::array_value_to_string;
use serde_json::{Map, Value};

use crate::WindowError;

/// Integers up to this size are the same as doubles and as integers.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// All values of an array; lists are arrays, structs are objects. Floating point numbers without a fraction are written as integers, timestamps as RFC 3339 text in UTC,
/// and what JSON has no notation for as text.
pub(super) fn values(array: &dyn Array) -> Result<Vec<Value>, WindowError> {
    let rows = 0..array.len();
    let present = |row: usize| array.is_valid(row);
    Ok(match array.data_type() {
        DataType::Null => vec![Value::Null; array.len()],
        DataType::Boolean => {
            let values = array.as_boolean();
            rows.map(|row| present(row).then(|| values.value(row)).into())
                .collect()
        }
        of if of.is_unsigned_integer() => {
            let wide = cast(array, &DataType::UInt64)?;
            let values = wide.as_primitive::<UInt64Type>();
            rows.map(|row| present(row).then(|| values.value(row)).into())
                .collect()
        }
        of if of.is_integer() => {
            let wide = cast(array, &DataType::Int64)?;
            let values = wide.as_primitive::<Int64Type>();
            rows.map(|row| present(row).then(|| values.value(row)).into())
                .collect()
        }
        of if of.is_floating() => {
            let wide = cast(array, &DataType::Float64)?;
            let values = wide.as_primitive::<Float64Type>();
            rows.map(|row| {
                if present(row) {
                    number(values.value(row))
                } else {
                    Value::Null
                }
            })
            .collect()
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let list = |row: usize| {
                if !present(row) {
                    return Ok(Value::Null);
                }
                values(&lists.value(row)).map(Value::Array)
            };
            rows.map(list).collect::<Result<_, _>>()?
        }
        DataType::Struct(_) => objects(array.as_struct())?,
        DataType::Timestamp(_, _) => {
            let utc = cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
            texts(&utc, "Z")?
        }
        _ => texts(array, "")?,
    })
}

fn objects(array: &StructArray) -> Result<Vec<Value>, WindowError> {
    let mut objects = vec![Map::new(); array.len()];
    for (name, column) in array.column_names().into_iter().zip(array.columns()) {
        for (object, value) in objects.iter_mut().zip(values(column)?) {
            object.insert(name.to_owned(), value);
        }
    }
    let present = (0..array.len()).map(|row| array.is_valid(row));
    let objects = objects.into_iter().zip(present);
    Ok(objects
        .map(|(object, present)| if present { object.into() } else { Value::Null })
        .collect())
}

fn texts(array: &dyn Array, suffix: &str) -> Result<Vec<Value>, WindowError> {
    let text = |row| {
        if array.is_null(row) {
            return Ok(Value::Null);
        }
        Ok(Value::String(array_value_to_string(array, row)? + suffix))
    };
    (0..array.len()).map(text).collect()
}

fn number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < WHOLE {
        #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
        return Value::from(number as i64);
    }
    // JSON has no infinity and no NaN: they become null.
    Value::from(number)
}
