//! The order of events, for aggregates that follow it.
//!
//! Every row has a *place*: event time, topic (by its hash), partition and offset, as bytes that compare as these do. `ORDER BY`
//! inside an aggregate puts its own values before it. So no two rows are equal, and the order does not depend on their arrival.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, BinaryBuilder, TimestampNanosecondArray};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion_common::{Result, exec_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::partials::RowOrigins;

/// The column with the places of rows. It cannot be read by its name.
pub(super) const PLACE: &str = "_place";

/// The places of a batch's rows.
pub(super) fn places(times: &TimestampNanosecondArray, rows: RowOrigins<'_>) -> BinaryArray {
    let topic = blake3::hash(rows.topic.as_bytes());
    let topic: [u8; 8] = topic.as_bytes().first_chunk().copied().unwrap_or_default();
    let mut places = BinaryBuilder::with_capacity(times.len(), times.len() * 28);
    for (row, &time_ns) in times.values().iter().enumerate() {
        let offset = rows.offsets.get(row).copied().unwrap_or_default();
        let mut place = [0; 28];
        let parts: [&[u8]; 4] = [
            &sortable(time_ns),
            &topic,
            &rows.partition.to_be_bytes(),
            &sortable(offset),
        ];
        for (to, from) in place.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        places.append_value(place);
    }
    places.finish()
}

/// Bytes that compare as the number does.
fn sortable(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// The key of a row in this order: the last of `keys` is its place.
pub(super) fn order_key(options: Vec<SortOptions>, keys: Vec<Expr>) -> Expr {
    let udf = ScalarUDF::new_from_impl(OrderKey {
        signature: Signature::any(keys.len(), Volatility::Immutable),
        options,
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), keys))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OrderKey {
    signature: Signature,
    /// For all arguments but the place.
    options: Vec<SortOptions>,
}

impl ScalarUDFImpl for OrderKey {
    fn name(&self) -> &'static str {
        "order_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = args.args.iter().map(|arg| arg.to_array(args.number_rows));
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let options = self.options.iter().copied();
        let options = options.chain(std::iter::repeat(SortOptions::default()));
        let fields = arrays.iter().zip(options).map(|(array, options)| {
            SortField::new_with_options(array.data_type().clone(), options)
        });
        let rows = RowConverter::new(fields.collect())?.convert_columns(&arrays)?;
        if rows.num_rows() != args.number_rows {
            return exec_err!("order_key takes columns");
        }
        let mut keys = BinaryBuilder::with_capacity(args.number_rows, rows.size());
        rows.iter().for_each(|row| keys.append_value(row));
        let keys = keys.finish();
        Ok(ColumnarValue::Array(Arc::new(keys)))
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
    fn places_compare_as_time_partition_and_offset_do() {
        let place = |time: i64, partition: i32, offset: i64| {
            let rows = RowOrigins {
                topic: &"t".into(),
                partition,
                offsets: &[offset],
                payloads: &[],
            };
            places(&vec![time].into(), rows).value(0).to_vec()
        };
        let places = [
            place(i64::MIN, 9, 9),
            place(-1, 1, 0),
            place(0, 0, 7),
            place(0, 1, 0),
            place(0, 1, 300),
            place(256, 0, 0),
        ];
        assert!(places.is_sorted());
    }
}
