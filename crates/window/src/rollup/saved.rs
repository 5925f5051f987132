//! Rollups in a snapshot.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::groups::Groups;
use super::plan::RollupPlan;
use super::revisions::{Revisions, Written};
use super::saved_parts::whole;
use super::section::{cut, rows_of};
use super::windows::{FixedWindows, OpenWindow, RollupWindows};
use crate::WindowError;
use crate::frame::{Bytes, FrameError, corrupt};
use crate::ipc;
use crate::share::Share;
use crate::snapshot::{Chunk, Kind, Writer, put_bytes, put_text};

impl RollupWindows {
    /// Writes all windows. They stay.
    pub(crate) fn save(&mut self, writer: &mut Writer<'_>) -> Result<(), WindowError> {
        match self {
            Self::Fixed(windows) => windows.save(writer),
            Self::Sessions(sessions) => sessions.save(writer),
        }
    }

    /// Takes in a chunk of a snapshot, as far as its groups are in this share.
    pub(crate) fn load(
        &mut self,
        chunk: &mut Chunk<'_>,
        share: Option<Share>,
    ) -> Result<(), FrameError> {
        let bytes = &mut chunk.body;
        match (self, chunk.kind) {
            (Self::Fixed(windows), Kind::Windows) => windows.load(bytes, share),
            (Self::Fixed(windows), Kind::Parts) => windows.load_lost(bytes, share),
            (Self::Fixed(windows), Kind::WrittenRows) => windows.load_written(bytes, share),
            (Self::Sessions(sessions), Kind::WrittenSessions) => sessions.load_written(bytes),
            (Self::Sessions(sessions), Kind::SessionParts) => sessions.load_lost(bytes),
            (Self::Sessions(sessions), Kind::Sessions) => sessions.load(bytes, share),
            _ => Err(corrupt("a chunk that does not fit its rule")),
        }
    }
}

impl FixedWindows {
    fn save(&mut self, writer: &mut Writer<'_>) -> Result<(), WindowError> {
        let plan = Arc::clone(&self.plan);
        writer.begin(Kind::Windows, &plan.fingerprint, &[]);
        for (start_ns, window) in &mut self.windows {
            let states = window.groups.states(&plan)?;
            let states = whole(window, states)?;
            let (end_ns, written) = (window.end_ns, window.written.is_some());
            save_batch(&plan, &states, writer, |bytes| {
                bytes.extend(start_ns.to_le_bytes());
                bytes.extend(end_ns.to_le_bytes());
                bytes.push(u8::from(written));
            })?;
        }
        writer.finish();
        // Before the rows: windows may have no other groups.
        self.save_lost(writer)?;
        writer.begin(Kind::WrittenRows, &plan.fingerprint, &[]);
        for (start_ns, window) in &self.windows {
            let Some(written) = &window.written else {
                continue;
            };
            let rows: BTreeMap<_, _> = written.written.iter().collect();
            for (group, row) in rows {
                writer.item(|bytes| {
                    bytes.extend(start_ns.to_le_bytes());
                    put_text(bytes, group);
                    bytes.extend(row.revision.to_le_bytes());
                    bytes.push(u8::from(row.shown));
                });
            }
        }
        writer.finish();
        Ok(())
    }

    fn load(&mut self, bytes: &mut Bytes<'_>, share: Option<Share>) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let start_ns = i64::from_le_bytes(bytes.array("window")?);
            let end_ns = i64::from_le_bytes(bytes.array("window")?);
            let [written] = bytes.array("window")?;
            let states = load_batch(&self.plan, bytes, share)?;
            if states.num_rows() == 0 {
                continue;
            }
            let plan = Arc::clone(&self.plan);
            let window = self.open(start_ns, end_ns, written != 0)?;
            let merged = window.groups.merge_partials(&plan, &states, Some(start_ns));
            merged.map_err(unfit)?;
        }
        Ok(())
    }

    /// The window that begins then.
    pub(super) fn open(
        &mut self,
        start_ns: i64,
        end_ns: i64,
        written: bool,
    ) -> Result<&mut OpenWindow, FrameError> {
        Ok(match self.windows.entry(start_ns) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(new) => new.insert(OpenWindow {
                groups: Groups::new(&self.plan).map_err(unfit)?,
                end_ns,
                written: written.then(Revisions::default),
            }),
        })
    }

    /// Those of groups that are elsewhere are not asked for here, so they need not be told from the others.
    fn load_written(
        &mut self,
        bytes: &mut Bytes<'_>,
        share: Option<Share>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let start_ns = i64::from_le_bytes(bytes.array("row")?);
            let group = bytes.text("row")?.to_string();
            let revision = u32::from_le_bytes(bytes.array("row")?);
            let shown = bytes.array("row")? != [0];
            let window = self.windows.get_mut(&start_ns);
            let written = window.and_then(|window| window.written.as_mut());
            match written {
                Some(written) => {
                    written.written.insert(group, Written { revision, shown });
                }
                None if share.is_some() => {}
                None => return Err(corrupt("a row of no window")),
            }
        }
        Ok(())
    }
}

/// Writes partials as items that begin with what `opening` writes.
pub(super) fn save_batch(
    plan: &RollupPlan,
    states: &RecordBatch,
    writer: &mut Writer<'_>,
    opening: impl Fn(&mut Vec<u8>),
) -> Result<(), WindowError> {
    if states.num_rows() == 0 {
        return Ok(());
    }
    let mut bodies = Vec::new();
    cut(plan, states, writer.room(), &mut bodies)?;
    for body in bodies {
        writer.item(|bytes| {
            opening(bytes);
            put_bytes(bytes, &body);
        });
    }
    Ok(())
}

/// Reads partials, as far as their groups are in this share.
pub(super) fn load_batch(
    plan: &RollupPlan,
    bytes: &mut Bytes<'_>,
    share: Option<Share>,
) -> Result<RecordBatch, FrameError> {
    let len = bytes.count("partials")?;
    let body = bytes.take(len, "partials")?;
    let states = ipc::decode(body, Arc::clone(&plan.partial_schema));
    let states = states.map_err(FrameError::Corrupt)?;
    match share {
        Some(share) => rows_of(plan, &states, share).map_err(unfit),
        None => Ok(states),
    }
}

/// What was read cannot be merged.
pub(super) fn unfit(error: WindowError) -> FrameError {
    corrupt(&error.to_string())
}
