//! Expressions over batches whose failures stay with the rows that cause them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::DataType;
use datafusion_common::cast::as_boolean_array;
use datafusion_physical_expr::PhysicalExpr;

use crate::WindowError;

/// Evaluates an expression; on a row where it fails (an argument out of range, text that is no date) it is NULL there.
///
/// The result for a row depends on that row alone: a batch that fails as a whole is evaluated in halves, down to the rows that
/// fail. So it does not matter in which batch a row comes.
pub(super) fn evaluate(
    expr: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
    of: &DataType,
) -> Result<ArrayRef, WindowError> {
    let rows = batch.num_rows();
    let whole = expr
        .evaluate(batch)
        .and_then(|value| value.into_array(rows));
    match whole {
        Ok(array) if array.data_type() == of => Ok(array),
        Ok(array) => Ok(cast(&array, of)?),
        Err(_) if rows <= 1 => Ok(new_null_array(of, rows)),
        Err(_) => {
            let (left, right) = (
                batch.slice(0, rows / 2),
                batch.slice(rows / 2, rows - rows / 2),
            );
            let left = evaluate(expr, &left, of)?;
            let right = evaluate(expr, &right, of)?;
            Ok(concat(&[&left, &right])?)
        }
    }
}

/// Evaluates a condition. Rows where it is NULL do not satisfy it.
pub(super) fn condition(
    expr: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
) -> Result<BooleanArray, WindowError> {
    let mask = evaluate(expr, batch, &DataType::Boolean)?;
    let mask = as_boolean_array(&mask)?;
    Ok(match mask.nulls() {
        Some(_) => arrow::compute::prep_null_mask_filter(mask),
        None => mask.clone(),
    })
}
