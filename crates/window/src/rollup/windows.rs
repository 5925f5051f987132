//! Stage 2 of a rollup: partial states become windows, and windows become rows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Int64Type, UInt64Type};

use super::give_up::Lost;
use super::groups::Groups;
use super::plan::{FIXED_COLUMNS, RollupPlan};
use super::revisions::Revisions;
use super::rows::{groups, rows};
use super::sessions::Sessions;
use super::window::Window;
use crate::WindowError;
use crate::budget::Allowance;
use crate::frame::Fingerprint;
use crate::outcome::{Late, LateKind, RollupRow};

/// The windows of one rollup in one exchange partition.
pub(crate) enum RollupWindows {
    /// Of fixed length: `tumble` and `hop`.
    Fixed(FixedWindows),
    /// Of `session`.
    Sessions(Box<Sessions>),
}

impl RollupWindows {
    /// For the rollup at this index.
    pub(crate) fn new(plan: Arc<RollupPlan>, rule: usize) -> Self {
        match plan.window {
            Window::Session { gap_ns } => {
                Self::Sessions(Box::new(Sessions::new(plan, rule, gap_ns)))
            }
            Window::Tumble { .. } | Window::Hop { .. } => Self::Fixed(FixedWindows {
                plan,
                rule,
                windows: BTreeMap::new(),
                lost: Lost::default(),
            }),
        }
    }

    /// What it aggregates, and how.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Fixed(windows) => windows.plan.fingerprint,
            Self::Sessions(sessions) => sessions.fingerprint(),
        }
    }

    /// The same rollup at another place of another plan. What a plan says beyond the meaning, such as the lateness that is allowed,
    /// holds from now on.
    pub(crate) fn adopt(self, plan: Arc<RollupPlan>, rule: usize) -> Self {
        match self {
            Self::Fixed(windows) => Self::Fixed(FixedWindows {
                plan,
                rule,
                ..windows
            }),
            Self::Sessions(sessions) => Self::Sessions(Box::new(sessions.adopt(plan, rule))),
        }
    }

    /// Approximate bytes held.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Fixed(windows) => windows.windows.values().map(OpenWindow::size).sum(),
            Self::Sessions(sessions) => sessions.size(),
        }
    }

    /// Merges partials, as a section holds them. Those of windows that are decided are late.
    pub(crate) fn merge(
        &mut self,
        partials: &RecordBatch,
        watermark_ns: Option<i64>,
        late: &mut Vec<Late>,
    ) -> Result<(), WindowError> {
        match self {
            Self::Fixed(windows) => windows.merge(partials, watermark_ns, late),
            Self::Sessions(sessions) => sessions.merge(partials, watermark_ns, late),
        }
    }

    /// Rows that were written and have changed since, by what came late.
    pub(crate) fn revise(&mut self, rows: &mut Vec<RollupRow>) -> Result<(), WindowError> {
        match self {
            Self::Fixed(windows) => windows.revise(rows),
            Self::Sessions(sessions) => sessions.revise(rows),
        }
    }

    /// Closes the windows that the watermark has passed: their rows, by window and key.
    pub(crate) fn close(
        &mut self,
        watermark_ns: i64,
        rows: &mut Vec<RollupRow>,
    ) -> Result<(), WindowError> {
        match self {
            Self::Fixed(windows) => windows.close(watermark_ns, rows),
            Self::Sessions(sessions) => sessions.close(watermark_ns, rows),
        }
    }

    /// Groups and bytes, by its own account: no more than it may.
    #[cfg(test)]
    pub(crate) fn holds(&self) -> (usize, usize) {
        match self {
            Self::Fixed(windows) => windows.held_at_most(),
            Self::Sessions(sessions) => {
                let held = sessions.held_at_most();
                (held.groups, held.bytes)
            }
        }
    }

    /// Gives groups up where there are more than the share allows: their rows, by window and key. Answers how many went.
    pub(crate) fn give_up(
        &mut self,
        share: Allowance,
        rows: &mut Vec<RollupRow>,
    ) -> Result<u64, WindowError> {
        match self {
            Self::Fixed(windows) => windows.give_up(share, rows),
            Self::Sessions(sessions) => sessions.give_up(share, rows),
        }
    }
}

/// The windows of `tumble` or `hop`.
pub(crate) struct FixedWindows {
    pub(super) plan: Arc<RollupPlan>,
    pub(super) rule: usize,
    /// By start.
    pub(super) windows: BTreeMap<i64, OpenWindow>,
    pub(super) lost: Lost,
}

/// A window that takes events.
pub(super) struct OpenWindow {
    pub(super) groups: Groups,
    pub(super) end_ns: i64,
    /// What was written already: the watermark has passed the end, but not yet the allowed lateness.
    pub(super) written: Option<Revisions>,
}

impl OpenWindow {
    fn size(&self) -> usize {
        self.groups.size() + self.written.as_ref().map_or(0, Revisions::size)
    }

    /// How often the key of each group is held, and bytes that each takes besides: what was written of it is known.
    pub(super) fn per_group(&self) -> (usize, usize) {
        match &self.written {
            Some(_) => (2, Revisions::PER_GROUP),
            None => (1, 0),
        }
    }

    /// Bytes held by contents alone: at most, unless they are counted.
    pub(super) fn bytes(&self, plan: &RollupPlan) -> usize {
        let (per_key, per_group) = self.per_group();
        self.groups.bytes(plan, per_key, per_group)
    }

    /// The rows as they are now. The groups stay.
    fn rows(&mut self, plan: &RollupPlan, rule: usize) -> Result<Vec<RollupRow>, WindowError> {
        take_rows(plan, rule, self.groups.copy(plan)?, self.end_ns)
    }
}

/// The rows of a window's groups, as if nothing had been given up.
pub(super) fn take_rows(
    plan: &RollupPlan,
    rule: usize,
    groups: Groups,
    end_ns: i64,
) -> Result<Vec<RollupRow>, WindowError> {
    let ends = Int64Array::from(vec![end_ns; groups.len()]);
    rows(plan, rule, groups.take_results(plan)?, ends)
}

impl FixedWindows {
    fn merge(
        &mut self,
        partials: &RecordBatch,
        watermark_ns: Option<i64>,
        late: &mut Vec<Late>,
    ) -> Result<(), WindowError> {
        let plan = Arc::clone(&self.plan);
        for (pane_ns, rows) in by_pane(partials) {
            let partials = take_record_batch(partials, &UInt32Array::from(rows))?;
            for (start_ns, end_ns) in plan.window.of_pane(pane_ns) {
                let decided_ns = end_ns.saturating_add(plan.rule.allowed_lateness_ns);
                match watermark_ns.filter(|&watermark_ns| decided_ns <= watermark_ns) {
                    Some(watermark_ns) => {
                        let window_ns = (start_ns, end_ns);
                        late.extend(too_late(
                            &plan,
                            self.rule,
                            &partials,
                            window_ns,
                            watermark_ns,
                        )?);
                    }
                    None => self.merge_window(&partials, (start_ns, end_ns), watermark_ns)?,
                }
            }
        }
        Ok(())
    }

    fn merge_window(
        &mut self,
        partials: &RecordBatch,
        (start_ns, end_ns): (i64, i64),
        watermark_ns: Option<i64>,
    ) -> Result<(), WindowError> {
        let plan = &self.plan;
        let window = match self.windows.entry(start_ns) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(new) => {
                // A window whose first event is late has been closed already, with no row.
                let closed = watermark_ns.is_some_and(|watermark_ns| end_ns <= watermark_ns);
                new.insert(OpenWindow {
                    groups: Groups::new(plan)?,
                    end_ns,
                    written: closed.then(Revisions::default),
                })
            }
        };
        let before = window.groups.len();
        let merged = window
            .groups
            .merge_partials(plan, partials, Some(start_ns))?;
        window.groups.begin_part(before, self.lost.part(start_ns));
        if let Some(written) = &mut window.written {
            let keys = partials.columns().get(FIXED_COLUMNS..).unwrap_or_default();
            let groups = groups(plan, keys, partials.num_rows())?.into_iter();
            let parts = merged.into_iter().map(|group| window.groups.part(group));
            written.touch(groups.zip(parts));
        }
        Ok(())
    }

    fn revise(&mut self, rows: &mut Vec<RollupRow>) -> Result<(), WindowError> {
        if self.plan.rule.allowed_lateness_ns == 0 {
            return Ok(());
        }
        for (&start_ns, window) in &mut self.windows {
            if window
                .written
                .as_ref()
                .is_none_or(|written| !written.is_touched())
            {
                continue;
            }
            let now = window.rows(&self.plan, self.rule)?;
            if let Some(written) = &mut window.written {
                let mut revised = written.revise(self.rule, (start_ns, window.end_ns), now);
                self.lost.mark(&mut revised);
                rows.extend(revised);
            }
        }
        Ok(())
    }

    fn close(&mut self, watermark_ns: i64, rows: &mut Vec<RollupRow>) -> Result<(), WindowError> {
        let allowed_ns = self.plan.rule.allowed_lateness_ns;
        while let Some(first) = self.windows.first_entry()
            && first.get().end_ns.saturating_add(allowed_ns) <= watermark_ns
        {
            let window = first.remove();
            if window.written.is_none() {
                let mut now = take_rows(&self.plan, self.rule, window.groups, window.end_ns)?;
                self.lost.mark(&mut now);
                rows.extend(now);
            }
        }
        self.lost.forget(watermark_ns.saturating_sub(allowed_ns));
        if allowed_ns == 0 {
            return Ok(());
        }
        for window in self.windows.values_mut() {
            if window.end_ns > watermark_ns {
                break;
            }
            if window.written.is_none() {
                let mut now = window.rows(&self.plan, self.rule)?;
                self.lost.mark(&mut now);
                window.written = Some(Revisions::of(&now));
                rows.extend(now);
            }
        }
        Ok(())
    }
}

/// What is said of partials that came too late for a window, a group each.
pub(super) fn too_late(
    plan: &RollupPlan,
    rule: usize,
    partials: &RecordBatch,
    (start_ns, end_ns): (i64, i64),
    watermark_ns: i64,
) -> Result<Vec<Late>, WindowError> {
    let keys = partials.columns().get(FIXED_COLUMNS..).unwrap_or_default();
    let groups = groups(plan, keys, partials.num_rows())?;
    let [_, rows, ..] = partials.columns() else {
        return Ok(Vec::new());
    };
    let rows = rows.as_primitive::<UInt64Type>().values();
    let late = groups.into_iter().zip(rows).map(|(group, &rows)| Late {
        what: LateKind::Partial {
            rule,
            group,
            end_ns,
            rows,
        },
        time_ns: start_ns,
        watermark_ns,
    });
    Ok(late.collect())
}

/// The rows of each pane.
fn by_pane(partials: &RecordBatch) -> BTreeMap<i64, Vec<u32>> {
    let mut panes: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    if let Some(starts) = partials.columns().first() {
        for (&pane_ns, row) in starts.as_primitive::<Int64Type>().values().iter().zip(0..) {
            panes.entry(pane_ns).or_default().push(row);
        }
    }
    panes
}
