//! What rollups have given up, in a snapshot.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;

use super::give_up::Mark;
use super::saved::{load_batch, save_batch, unfit};
use super::windows::{FixedWindows, OpenWindow};
use crate::WindowError;
use crate::frame::{Bytes, FrameError, corrupt};
use crate::share::Share;
use crate::snapshot::{Kind, Writer};

/// Kinds of items.
const LOST: u8 = 0;
/// See [`LOST`].
const MARK: u8 = 1;
/// See [`LOST`].
const PARTS: u8 = 2;

/// The groups of a window that are whole.
pub(super) fn whole(window: &OpenWindow, states: RecordBatch) -> Result<RecordBatch, WindowError> {
    if !window.groups.has_parts() {
        return Ok(states);
    }
    let groups = 0..states.num_rows();
    let whole: Vec<bool> = groups.map(|group| window.groups.part(group) == 0).collect();
    Ok(filter_record_batch(&states, &BooleanArray::from(whole))?)
}

impl FixedWindows {
    /// Writes what was given up, and the groups that may be parts; nothing where nothing was given up.
    pub(super) fn save_lost(&mut self, writer: &mut Writer<'_>) -> Result<(), WindowError> {
        let plan = Arc::clone(&self.plan);
        writer.begin(Kind::Parts, &plan.fingerprint, &[]);
        if self.lost.groups > 0 {
            writer.item(|bytes| {
                bytes.push(LOST);
                bytes.extend(self.lost.groups.to_le_bytes());
            });
        }
        for (start_ns, mark) in &self.lost.windows {
            writer.item(|bytes| {
                bytes.push(MARK);
                bytes.extend(start_ns.to_le_bytes());
                bytes.extend(mark.end_ns.to_le_bytes());
                bytes.extend(mark.groups.to_le_bytes());
            });
        }
        for (start_ns, window) in &mut self.windows {
            if !window.groups.has_parts() {
                continue;
            }
            let states = window.groups.states(&plan)?;
            let parts = parts(window, &states)?;
            let (end_ns, written) = (window.end_ns, window.written.is_some());
            save_batch(&plan, &parts, writer, |bytes| {
                bytes.push(PARTS);
                bytes.extend(start_ns.to_le_bytes());
                bytes.extend(end_ns.to_le_bytes());
                bytes.push(u8::from(written));
            })?;
        }
        writer.finish();
        Ok(())
    }

    /// Takes in what [`Self::save_lost`] wrote, the groups as far as they are in this share.
    pub(super) fn load_lost(
        &mut self,
        bytes: &mut Bytes<'_>,
        share: Option<Share>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            match bytes.array("parts")? {
                [LOST] => self.lost.groups = u64::from_le_bytes(bytes.array("number")?),
                [MARK] => {
                    let start_ns = i64::from_le_bytes(bytes.array("window")?);
                    let end_ns = i64::from_le_bytes(bytes.array("window")?);
                    let groups = u64::from_le_bytes(bytes.array("number")?);
                    self.lost.windows.insert(start_ns, Mark { end_ns, groups });
                }
                [PARTS] => self.load_parts(bytes, share)?,
                [other] => return Err(corrupt(&format!("parts of unknown kind {other}"))),
            }
        }
        Ok(())
    }

    fn load_parts(
        &mut self,
        bytes: &mut Bytes<'_>,
        share: Option<Share>,
    ) -> Result<(), FrameError> {
        let start_ns = i64::from_le_bytes(bytes.array("window")?);
        let end_ns = i64::from_le_bytes(bytes.array("window")?);
        let [written] = bytes.array("window")?;
        let states = load_batch(&self.plan, bytes, share)?;
        let Some(parts) = states.columns().first().filter(|parts| !parts.is_empty()) else {
            return Ok(());
        };
        let parts = parts.as_primitive::<Int64Type>().values().iter();
        let parts: Vec<u64> = parts.map(|part| part.cast_unsigned()).collect();
        let plan = Arc::clone(&self.plan);
        let window = self.open(start_ns, end_ns, written != 0)?;
        let before = window.groups.len();
        let merged = window.groups.merge_partials(&plan, &states, Some(start_ns));
        merged.map_err(unfit)?;
        match window.groups.len() - before {
            // A state that was cut goes on.
            0 if parts.len() == 1 => {}
            new if new == parts.len() => window.groups.set_parts(before, &parts),
            _ => return Err(corrupt("a group that is two parts at once")),
        }
        Ok(())
    }
}

/// The groups of a window that may be parts, as partials whose starts say which. All of them are of one window, whose start is known.
fn parts(window: &OpenWindow, states: &RecordBatch) -> Result<RecordBatch, WindowError> {
    let parts = (0..states.num_rows()).map(|group| window.groups.part(group));
    let parts: Vec<i64> = parts.map(u64::cast_signed).collect();
    let is_part: Vec<bool> = parts.iter().map(|part| *part != 0).collect();
    let mut columns: Vec<ArrayRef> = states.columns().to_vec();
    if let Some(start) = columns.first_mut() {
        *start = Arc::new(Int64Array::from(parts));
    }
    let marked = RecordBatch::try_new(states.schema(), columns)?;
    Ok(filter_record_batch(&marked, &BooleanArray::from(is_part))?)
}
