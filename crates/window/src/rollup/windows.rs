//! Stage 2 of a rollup: partial states become windows, and windows become rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, UInt64Type};
use serde_json::Value;

use super::evaluate::{condition, evaluate};
use super::groups::{Groups, Results};
use super::json;
use super::plan::{FIXED_COLUMNS, RollupPlan};
use crate::WindowError;
use crate::frame::Fingerprint;
use crate::outcome::{Late, LateKind, RollupRow};

/// The open windows of one rollup in one exchange partition.
pub(crate) struct RollupWindows {
    plan: Arc<RollupPlan>,
    rule: usize,
    /// By start.
    windows: BTreeMap<i64, Groups>,
}

impl RollupWindows {
    /// For the rollup at this index.
    pub(crate) fn new(plan: Arc<RollupPlan>, rule: usize) -> Self {
        Self {
            plan,
            rule,
            windows: BTreeMap::new(),
        }
    }

    /// What it aggregates, and how.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.plan.fingerprint
    }

    /// The same rollup at another place of the plan.
    pub(crate) fn adopt(self, rule: usize) -> Self {
        Self { rule, ..self }
    }

    /// Approximate bytes held.
    pub(crate) fn size(&self) -> usize {
        self.windows.values().map(Groups::size).sum()
    }

    /// Merges partials, as a section holds them. Those of windows that the watermark has passed are late.
    pub(crate) fn merge(
        &mut self,
        partials: &RecordBatch,
        watermark_ns: Option<i64>,
        late: &mut Vec<Late>,
    ) -> Result<(), WindowError> {
        for (start_ns, rows) in by_window(partials) {
            let partials = take_record_batch(partials, &UInt32Array::from(rows))?;
            let end_ns = start_ns.saturating_add(self.plan.width_ns);
            match watermark_ns.filter(|&watermark_ns| end_ns <= watermark_ns) {
                Some(watermark_ns) => self.late(&partials, start_ns, watermark_ns, late)?,
                None => self.merge_window(&partials, start_ns)?,
            }
        }
        Ok(())
    }

    /// Closes the windows that the watermark has passed: their rows, by window and key.
    pub(crate) fn close(
        &mut self,
        watermark_ns: i64,
        rows: &mut Vec<RollupRow>,
    ) -> Result<(), WindowError> {
        while let Some(window) = self.windows.first_entry() {
            let start_ns = *window.key();
            let end_ns = start_ns.saturating_add(self.plan.width_ns);
            if end_ns > watermark_ns {
                break;
            }
            let results = window.remove().take_results(&self.plan)?;
            self.rows(results, start_ns, end_ns, rows)?;
        }
        Ok(())
    }

    fn merge_window(&mut self, partials: &RecordBatch, start_ns: i64) -> Result<(), WindowError> {
        let groups = match self.windows.entry(start_ns) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Groups::new(&self.plan)?),
        };
        let (fixed, states) = partials
            .columns()
            .split_at_checked(FIXED_COLUMNS + self.plan.keys.len())
            .unwrap_or_default();
        let [start, rows, keys @ ..] = fixed else {
            return Ok(());
        };
        let keys: Vec<ArrayRef> = std::iter::once(start).chain(keys).cloned().collect();
        let indices = groups.intern(&keys, Some(rows.as_primitive::<UInt64Type>()))?;
        groups.merge(&self.plan, &indices, states)
    }

    fn late(
        &self,
        partials: &RecordBatch,
        start_ns: i64,
        watermark_ns: i64,
        late: &mut Vec<Late>,
    ) -> Result<(), WindowError> {
        let keys = partials.columns().get(FIXED_COLUMNS..).unwrap_or_default();
        let groups = self.groups(keys)?;
        let [_, rows, ..] = partials.columns() else {
            return Ok(());
        };
        let rows = rows.as_primitive::<UInt64Type>().values();
        late.extend(groups.into_iter().zip(rows).map(|(group, &rows)| Late {
            what: LateKind::Partial {
                rule: self.rule,
                group,
                end_ns: start_ns.saturating_add(self.plan.width_ns),
                rows,
            },
            time_ns: start_ns,
            watermark_ns,
        }));
        Ok(())
    }

    /// The key values of each row under their names; `keys` has a column per key, and maybe more.
    fn groups(&self, keys: &[ArrayRef]) -> Result<Vec<Vec<(String, Value)>>, WindowError> {
        let rows = keys.first().map_or(1, |column| column.len());
        let mut groups = vec![Vec::with_capacity(self.plan.keys.len()); rows];
        for (key, values) in self.plan.keys.iter().zip(keys) {
            let values = json::values(&cast(values, &key.planned)?)?;
            for (group, value) in groups.iter_mut().zip(values) {
                group.push((key.name.clone(), value));
            }
        }
        Ok(groups)
    }

    fn rows(
        &self,
        results: Results,
        start_ns: i64,
        end_ns: i64,
        rows: &mut Vec<RollupRow>,
    ) -> Result<(), WindowError> {
        let batch = self.group_batch(results)?;
        let batch = match &self.plan.having {
            Some(having) => filter_record_batch(&batch, &condition(having, &batch)?)?,
            None => batch,
        };
        let mut columns = Vec::with_capacity(self.plan.select.len());
        for output in &self.plan.select {
            columns.push(json::values(&evaluate(&output.expr, &batch, &output.of)?)?.into_iter());
        }
        let mut keys = batch.columns().to_vec();
        keys.truncate(self.plan.keys.len() + 1);
        if self.plan.window_position < keys.len() {
            keys.remove(self.plan.window_position);
        }
        let groups = if keys.is_empty() {
            vec![Vec::new(); batch.num_rows()]
        } else {
            self.groups(&keys)?
        };
        for group in groups {
            let names = self.plan.select.iter().map(|output| output.name.clone());
            let values = columns
                .iter_mut()
                .map(|column| column.next().unwrap_or_default());
            rows.push(RollupRow {
                rule: self.rule,
                start_ns,
                end_ns,
                group,
                columns: names.zip(values).collect(),
            });
        }
        Ok(())
    }

    /// The columns that HAVING and SELECT read: the GROUP BY items in their order, then the aggregates.
    fn group_batch(&self, results: Results) -> Result<RecordBatch, WindowError> {
        let Results { keys, values } = results;
        let groups = keys.first().map_or(0, |column| column.len());
        let planned = self.plan.keys.iter().map(|key| &key.planned);
        let window = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let mut columns = Vec::new();
        for (column, of) in keys.iter().zip(std::iter::once(&window).chain(planned)) {
            columns.push(cast(column, of)?);
        }
        if !columns.is_empty() {
            let start = columns.remove(0);
            columns.insert(self.plan.window_position.min(columns.len()), start);
        }
        columns.extend(values);
        let options = RecordBatchOptions::new().with_row_count(Some(groups));
        let schema = Arc::clone(&self.plan.group_schema);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

/// The rows of each window.
fn by_window(partials: &RecordBatch) -> BTreeMap<i64, Vec<u32>> {
    let mut windows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    if let Some(starts) = partials.columns().first() {
        for (&start_ns, row) in starts.as_primitive::<Int64Type>().values().iter().zip(0..) {
            windows.entry(start_ns).or_default().push(row);
        }
    }
    windows
}
