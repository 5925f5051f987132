//! The rows of closed windows: HAVING and SELECT over the groups' aggregates.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, TimeUnit, UInt64Type};
use serde_json::Value;

use super::evaluate::{condition, evaluate};
use super::groups::Results;
use super::json;
use super::plan::RollupPlan;
use crate::WindowError;
use crate::outcome::RollupRow;

/// A group: the values of its keys under their names.
pub(super) type Group = Vec<(String, Value)>;

/// The rows of some groups, as if nothing had been given up. `ends` are the ends of their windows, a row each; `keys` of the results
/// begin with the starts.
pub(super) fn rows(
    plan: &RollupPlan,
    rule: usize,
    results: Results,
    ends: Int64Array,
) -> Result<Vec<RollupRow>, WindowError> {
    let Results {
        mut keys,
        values,
        parts,
    } = results;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let starts = keys.remove(0);
    let ends: ArrayRef = Arc::new(ends);
    let batch = group_batch(plan, &starts, &ends, &keys, values)?;
    let parts: ArrayRef = Arc::new(UInt64Array::from(parts));
    let mut times = [starts, ends].map(Some);
    let (batch, parts) = match &plan.having {
        Some(having) => {
            let mask = condition(having, &batch)?;
            for column in times.iter_mut().flatten() {
                *column = arrow::compute::filter(column, &mask)?;
            }
            for key in &mut keys {
                *key = arrow::compute::filter(key, &mask)?;
            }
            let parts = arrow::compute::filter(&parts, &mask)?;
            (filter_record_batch(&batch, &mask)?, parts)
        }
        None => (batch, parts),
    };
    let [starts, ends] =
        times.map(|column| column.map_or_else(Vec::new, |times| nanoseconds(&times)));
    let mut columns = Vec::with_capacity(plan.select.len());
    for output in &plan.select {
        columns.push(json::values(&evaluate(&output.expr, &batch, &output.of)?)?.into_iter());
    }
    let groups = groups(plan, &keys, batch.num_rows())?;
    let mut parts = parts.as_primitive::<UInt64Type>().values().iter().copied();
    let mut rows = Vec::with_capacity(groups.len());
    for ((group, start_ns), end_ns) in groups.into_iter().zip(starts).zip(ends) {
        let names = plan.select.iter().map(|output| output.name.clone());
        let values = columns
            .iter_mut()
            .map(|column| column.next().unwrap_or_default());
        rows.push(RollupRow {
            rule,
            start_ns,
            end_ns,
            revision: 0,
            withdrawn: false,
            group,
            part: parts.next().unwrap_or_default(),
            given_up: 0,
            columns: names.zip(values).collect(),
        });
    }
    Ok(rows)
}

/// That there is no such row any more.
pub(super) fn withdrawn(
    rule: usize,
    (start_ns, end_ns): (i64, i64),
    group: Group,
    revision: u32,
) -> RollupRow {
    RollupRow {
        rule,
        start_ns,
        end_ns,
        revision,
        withdrawn: true,
        group,
        part: 0,
        given_up: 0,
        columns: Vec::new(),
    }
}

fn nanoseconds(times: &ArrayRef) -> Vec<i64> {
    let times = times.as_primitive_opt::<arrow::datatypes::Int64Type>();
    times.map_or_else(Vec::new, |times| times.values().to_vec())
}

/// The key values of some rows under their names; `keys` has a column per key, and maybe more.
pub(super) fn groups(
    plan: &RollupPlan,
    keys: &[ArrayRef],
    rows: usize,
) -> Result<Vec<Group>, WindowError> {
    let mut groups = vec![Vec::with_capacity(plan.keys.len()); rows];
    for (key, values) in plan.keys.iter().zip(keys) {
        let values = json::values(&cast(values, &key.planned)?)?;
        for (group, value) in groups.iter_mut().zip(values) {
            group.push((key.name.clone(), value));
        }
    }
    Ok(groups)
}

/// The columns that HAVING and SELECT read: the GROUP BY items in their order, then the aggregates.
fn group_batch(
    plan: &RollupPlan,
    starts: &ArrayRef,
    ends: &ArrayRef,
    keys: &[ArrayRef],
    values: Vec<ArrayRef>,
) -> Result<RecordBatch, WindowError> {
    let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let mut columns = Vec::new();
    for (column, key) in keys.iter().zip(&plan.keys) {
        columns.push(cast(column, &key.planned)?);
    }
    // The earlier position first, so that the later one is where the plan has it.
    let (start, end) = plan.window_positions;
    let mut times = [(start, starts), (end, ends)];
    times.sort_unstable_by_key(|(position, _)| *position);
    for (position, column) in times {
        columns.insert(position.min(columns.len()), cast(column, &time)?);
    }
    columns.extend(values);
    // Those of sessions end with the times that make the window.
    columns.truncate(plan.group_schema.fields().len());
    let options = RecordBatchOptions::new().with_row_count(Some(starts.len()));
    let schema = Arc::clone(&plan.group_schema);
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}
