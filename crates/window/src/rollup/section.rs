//! Partial states of rollups in the exchange.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take_record_batch;
use arrow::datatypes::DataType;

use super::groups::States;
use super::plan::{FIXED_COLUMNS, RollupPlan};
use super::window::Window;
use crate::WindowError;
use crate::frame::{FrameError, Section, SectionKind};
use crate::ipc;
use crate::share::Share;

/// The states as sections for the exchange partitions that the groups belong to. A section takes at most about `limit` bytes, unless
/// a single group cannot be cut to fit.
pub(super) fn sections(
    plan: &RollupPlan,
    states: States,
    partitions: u32,
    limit: usize,
) -> Result<Vec<(u32, Section)>, WindowError> {
    let mut rows_of: Vec<Vec<u32>> = vec![Vec::new(); partitions as usize];
    for row in 0..states.counts.len() {
        // The first key is the window: a group stays in one partition for all of them.
        let partition = partition(plan, states.keys.iter().skip(1), row, partitions) as usize;
        if let (Some(rows), Ok(row)) = (rows_of.get_mut(partition), u32::try_from(row)) {
            rows.push(row);
        }
    }
    let batch = partial_batch(plan, states)?;
    let mut sections = Vec::new();
    for (partition, rows) in (0..).zip(rows_of) {
        if rows.is_empty() {
            continue;
        }
        let batch = take_record_batch(&batch, &UInt32Array::from(rows))?;
        let mut bodies = Vec::new();
        cut(plan, &batch, limit, &mut bodies)?;
        let section = |body| Section {
            kind: SectionKind::Rollup,
            rules: vec![plan.fingerprint],
            body,
        };
        sections.extend(bodies.into_iter().map(|body| (partition, section(body))));
    }
    Ok(sections)
}

/// The rows of a batch of partials whose groups are in this share.
pub(crate) fn rows_of(
    plan: &RollupPlan,
    partials: &RecordBatch,
    share: Share,
) -> Result<RecordBatch, WindowError> {
    let own = |row: &usize| {
        let keys = partials.columns().iter().skip(FIXED_COLUMNS);
        share.has(|partitions| partition(plan, keys, *row, partitions))
    };
    let rows = (0..partials.num_rows()).filter(own);
    let rows: UInt64Array = rows.map(|row| row as u64).collect();
    Ok(take_record_batch(partials, &rows)?)
}

/// The exchange partition of the group in a row; `keys` are the group's, without the window.
fn partition<'a>(
    plan: &RollupPlan,
    keys: impl Iterator<Item = &'a ArrayRef>,
    row: usize,
    partitions: u32,
) -> u32 {
    let key = plan.keys.iter().zip(keys);
    let key = key.map(|(key, values)| key.kind.value(values, row));
    plan.hasher.partition(key, partitions)
}

/// States as a batch of partials.
pub(super) fn partial_batch(plan: &RollupPlan, states: States) -> Result<RecordBatch, WindowError> {
    let mut columns = states.keys;
    columns.insert(1, Arc::new(states.counts));
    columns.extend(states.states);
    let schema = Arc::clone(&plan.partial_schema);
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Encodes the batch, in pieces when it is larger than `limit`.
pub(super) fn cut(
    plan: &RollupPlan,
    batch: &RecordBatch,
    limit: usize,
    bodies: &mut Vec<Vec<u8>>,
) -> Result<(), WindowError> {
    let body = ipc::encode(batch)?;
    let rows = batch.num_rows();
    if body.len() <= limit {
        bodies.push(body);
    } else if rows > 1 {
        cut(plan, &batch.slice(0, rows / 2), limit, bodies)?;
        cut(plan, &batch.slice(rows / 2, rows - rows / 2), limit, bodies)?;
    } else {
        match cut_group(plan, batch, body.len().div_ceil(limit.max(1)) + 1)? {
            Some(pieces) => {
                for piece in pieces {
                    bodies.push(ipc::encode(&piece)?);
                }
            }
            None => bodies.push(body),
        }
    }
    Ok(())
}

/// Cuts the state of one group: the values that `count(DISTINCT …)` has seen, or the entries of a summary, may be many, and can
/// be merged piece by piece.
/// The other aggregates' states go with the first piece; the rest has the states of no rows at all. None when there is nothing to cut.
fn cut_group(
    plan: &RollupPlan,
    batch: &RecordBatch,
    pieces: usize,
) -> Result<Option<Vec<RecordBatch>>, WindowError> {
    let mut distinct = vec![false; FIXED_COLUMNS + plan.keys.len()];
    for aggregate in &plan.aggregates {
        let [state] = aggregate.states.as_slice() else {
            distinct.extend(aggregate.states.iter().map(|_| false));
            continue;
        };
        // The values seen by count(DISTINCT …), or the entries of a summary.
        distinct.push(matches!(state.data_type(), DataType::List(_)));
    }
    let cuttable = |column: &ArrayRef| column.as_list_opt::<i32>().cloned();
    let lists: Vec<Option<ListArray>> = batch
        .columns()
        .iter()
        .zip(&distinct)
        .map(|(column, &distinct)| if distinct { cuttable(column) } else { None })
        .collect();
    if lists.iter().flatten().all(|list| list.values().len() < 2) {
        return Ok(None);
    }
    // Each piece of a session says when the session was: these states, the last two, may be merged twice.
    let times = match plan.window {
        Window::Session { .. } => batch.num_columns().saturating_sub(2),
        Window::Tumble { .. } | Window::Hop { .. } => batch.num_columns(),
    };
    let mut batches = Vec::with_capacity(pieces);
    for piece in 0..pieces {
        let mut columns = Vec::with_capacity(lists.len());
        for (at, (column, list)) in batch.columns().iter().zip(&lists).enumerate() {
            let column = match list {
                Some(list) => Arc::new(slice_of(list, piece, pieces)?),
                None if piece == 0
                    || at >= times
                    || (at != 1 && at < FIXED_COLUMNS + plan.keys.len()) =>
                {
                    Arc::clone(column)
                }
                None => neutral(plan, at, column),
            };
            columns.push(column);
        }
        batches.push(RecordBatch::try_new(batch.schema(), columns)?);
    }
    Ok(Some(batches))
}

/// One of several equal parts of a list's only row.
fn slice_of(list: &ListArray, piece: usize, pieces: usize) -> Result<ListArray, WindowError> {
    let values = list.value(0);
    let (from, to) = (
        values.len() * piece / pieces,
        values.len() * (piece + 1) / pieces,
    );
    let (DataType::List(item), values) = (list.data_type(), values.slice(from, to - from)) else {
        return Ok(list.clone());
    };
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Ok(ListArray::try_new(Arc::clone(item), offsets, values, None)?)
}

/// What a column holds for a group without rows.
fn neutral(plan: &RollupPlan, column: usize, otherwise: &ArrayRef) -> ArrayRef {
    let states = FIXED_COLUMNS + plan.keys.len();
    match column
        .checked_sub(states)
        .and_then(|state| plan.neutral.get(state))
    {
        Some(state) => Arc::clone(state),
        None if column == 1 => Arc::new(UInt64Array::from(vec![0])),
        None => Arc::clone(otherwise),
    }
}

/// Reads a section of a rollup's partials.
pub(crate) fn decode_section(
    plan: &RollupPlan,
    section: &Section,
) -> Result<RecordBatch, FrameError> {
    ipc::decode(&section.body, Arc::clone(&plan.partial_schema)).map_err(FrameError::Corrupt)
}
