//! The rows of sessions that have ended, and what late events make of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::{cast, interleave_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use rustc_hash::FxHashMap;

use super::super::give_up::mark_parts;
use super::super::plan::FIXED_COLUMNS;
use super::super::revisions::text;
use super::super::rows::{Group, groups, rows, withdrawn};
use super::{SessionKey, Sessions, Taken};
use crate::WindowError;
use crate::outcome::RollupRow;

/// What was written of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// How many rows, the withdrawn ones among them: the next one's revision.
    pub(super) rows: u32,
    /// The last one stands: HAVING let it through.
    pub(super) shown: bool,
}

/// What late events have done to sessions whose rows were written.
#[derive(Debug, Default)]
pub(super) struct WrittenSessions {
    /// How far time had come when partials were last merged.
    pub(super) watermark_ns: Option<i64>,
    /// Those that have other events now within the same bounds.
    touched: BTreeSet<SessionKey>,
    /// Rows of those that have other bounds now.
    withdrawn: Vec<RollupRow>,
}

impl WrittenSessions {
    pub(super) fn touch(&mut self, session: SessionKey) {
        self.touched.insert(session);
    }

    pub(super) fn forget(&mut self, session: &SessionKey) {
        self.touched.remove(session);
    }

    /// What was merged came from a snapshot, where nothing is late.
    pub(super) fn nothing_was_late(&mut self) {
        self.touched.clear();
    }
}

impl Sessions {
    /// See [`super::super::windows::RollupWindows::close`].
    pub(in super::super) fn close(
        &mut self,
        watermark_ns: i64,
        found: &mut Vec<RollupRow>,
    ) -> Result<(), WindowError> {
        // What a snapshot said of groups that are elsewhere.
        self.read.clear();
        self.write_ended(watermark_ns, found)?;
        let allowed_ns = self.plan.rule.allowed_lateness_ns;
        let wait_ns = self.gap_ns.saturating_add(allowed_ns);
        for (key, first_ns) in self.written_ends.take_until(watermark_ns, wait_ns) {
            self.remove(&key, first_ns);
        }
        self.tidy();
        Ok(())
    }

    /// See [`super::super::windows::RollupWindows::revise`].
    pub(in super::super) fn revise(
        &mut self,
        found: &mut Vec<RollupRow>,
    ) -> Result<(), WindowError> {
        found.append(&mut self.written.withdrawn);
        if self.plan.rule.allowed_lateness_ns == 0 {
            return Ok(());
        }
        if let Some(watermark_ns) = self.written.watermark_ns {
            // What late events have begun or made longer may have ended long ago.
            self.write_ended(watermark_ns, found)?;
        }
        let touched: Vec<SessionKey> = std::mem::take(&mut self.written.touched)
            .into_iter()
            .collect();
        let sessions = self.copies(&touched);
        let names = self.names(&sessions)?;
        let mut rows = self.rows_by_name(&sessions)?;
        for (key, (group, first_ns)) in touched.iter().zip(names) {
            let row = rows.remove(&(text(&group), first_ns));
            let Some(session) = self.get_mut(key) else {
                continue;
            };
            let (bounds, part) = ((first_ns, session.last_ns), session.part);
            let Some(written) = session.written.as_mut() else {
                continue;
            };
            let shown = row.is_some();
            if !shown && !written.shown {
                continue;
            }
            let revision = written.rows;
            written.rows = written.rows.saturating_add(1);
            written.shown = shown;
            found.push(match row {
                Some(row) => RollupRow { revision, ..row },
                None => self.withdrawn(bounds, part, group, revision),
            });
        }
        Ok(())
    }

    /// That the row of a session from its first to its last event does not hold any more.
    fn withdrawn(
        &self,
        (first_ns, last_ns): (i64, i64),
        part: u64,
        group: Group,
        revision: u32,
    ) -> RollupRow {
        let bounds = (first_ns, last_ns.saturating_add(self.gap_ns));
        let mut row = withdrawn(self.rule, bounds, group, revision);
        row.part = part;
        mark_parts(std::slice::from_mut(&mut row), self.lost.sessions);
        row
    }

    /// The row of a session that is part of a longer one now goes.
    pub(super) fn withdraw(
        &mut self,
        before: &Taken,
        written: Written,
        now: &Taken,
    ) -> Result<(), WindowError> {
        if !written.shown {
            return Ok(());
        }
        for (group, _) in self.names(std::slice::from_ref(now))? {
            let part = before.session.part;
            let row = self.withdrawn(before.bounds(), part, group, written.rows);
            self.written.withdrawn.push(row);
        }
        Ok(())
    }

    /// The rows of sessions that the watermark has passed.
    fn write_ended(
        &mut self,
        watermark_ns: i64,
        found: &mut Vec<RollupRow>,
    ) -> Result<(), WindowError> {
        let ended = self.open_ends.take_until(watermark_ns, self.gap_ns);
        if ended.is_empty() {
            return Ok(());
        }
        if self.plan.rule.allowed_lateness_ns == 0 {
            let take = |(key, first_ns): SessionKey| {
                let session = self.remove(&key, first_ns)?;
                Some(Taken { first_ns, session })
            };
            let sessions: Vec<Taken> = ended.into_iter().filter_map(take).collect();
            found.extend(self.rows_of(&sessions)?);
            return Ok(());
        }
        let sessions = self.copies(&ended);
        let rows = self.rows_of(&sessions)?;
        let shown: BTreeSet<(String, i64)> = rows.iter().map(name).collect();
        let names = self.names(&sessions)?;
        for (key, (group, first_ns)) in ended.into_iter().zip(names) {
            let shown = shown.contains(&(text(&group), first_ns));
            if let Some(session) = self.get_mut(&key) {
                let rows = u32::from(shown);
                session.written = Some(Written { rows, shown });
                let last_ns = session.last_ns;
                self.written_ends.insert(last_ns, key);
            }
        }
        found.extend(rows);
        Ok(())
    }

    /// Those of these sessions that there are.
    pub(super) fn copies(&self, keys: &[SessionKey]) -> Vec<Taken> {
        let copy = |key: &SessionKey| {
            let session = self.get(key)?.clone();
            Some(Taken {
                first_ns: key.1,
                session,
            })
        };
        keys.iter().filter_map(copy).collect()
    }

    /// The rows of some sessions that HAVING lets through.
    pub(super) fn rows_of(&self, sessions: &[Taken]) -> Result<Vec<RollupRow>, WindowError> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let results = self.merged(sessions)?.take_results(&self.plan)?;
        let ends = match results.values.last() {
            Some(last) => cast(last, &DataType::Int64)?,
            None => Arc::new(Int64Array::from(vec![0; 0])) as ArrayRef,
        };
        let ends = ends.as_primitive::<Int64Type>().values().iter();
        let ends = ends.map(|last_ns| last_ns.saturating_add(self.gap_ns));
        let ends: Int64Array = ends.collect::<Vec<_>>().into();
        let mut rows = rows(&self.plan, self.rule, results, ends)?;
        mark_parts(&mut rows, self.lost.sessions);
        Ok(rows)
    }

    fn rows_by_name(
        &self,
        sessions: &[Taken],
    ) -> Result<FxHashMap<(String, i64), RollupRow>, WindowError> {
        let rows = self.rows_of(sessions)?.into_iter();
        Ok(rows.map(|row| (name(&row), row)).collect())
    }

    /// The groups of some sessions, and the times of their first events.
    pub(super) fn names(&self, sessions: &[Taken]) -> Result<Vec<(Group, i64)>, WindowError> {
        let some = sessions
            .iter()
            .filter_map(|taken| Some((*taken.session.rows.first()?, taken.first_ns)));
        let (places, firsts): (Vec<(usize, usize)>, Vec<i64>) = some.unzip();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let batches: Vec<_> = self.partials.iter().collect();
        let batch = interleave_record_batch(&batches, &places)?;
        let keys = batch.columns().get(FIXED_COLUMNS..).unwrap_or_default();
        let groups = groups(&self.plan, keys, batch.num_rows())?;
        Ok(groups.into_iter().zip(firsts).collect())
    }
}

fn name(row: &RollupRow) -> (String, i64) {
    (text(&row.group), row.start_ns)
}
