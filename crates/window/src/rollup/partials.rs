//! Stage 1 of a rollup: rows become grouped partial states.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampNanosecondArray,
};
use arrow::compute::{filter, filter_record_batch};
use haechi_rules::Logsource;

use super::columns::ColumnCache;
use super::evaluate::{condition, evaluate};
use super::groups::{Arguments, Groups};
use super::key::bounded_texts;
use super::number::usable_array;
use super::plan::{Aggregate, RollupPlan};
use super::section::sections;
use super::window;
use crate::WindowError;
use crate::batch;
use crate::frame::Section;
use crate::partials::RowOrigins;
use crate::tables::Table;

/// The partial states of one rollup since the last drain.
pub(crate) struct RollupPartials {
    plan: Arc<RollupPlan>,
    groups: Option<Groups>,
}

impl RollupPartials {
    pub(crate) fn new(plan: Arc<RollupPlan>) -> Self {
        Self { plan, groups: None }
    }

    /// Approximate bytes held.
    pub(crate) fn size(&self) -> usize {
        self.groups.as_ref().map_or(0, Groups::size)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.groups = None;
    }

    /// Adds the rows of a batch that the query reads.
    pub(crate) fn add<'a>(
        &mut self,
        batch: &'a RecordBatch,
        classes: &[Vec<Logsource>],
        rows: RowOrigins<'_>,
        input: &str,
        cache: &mut ColumnCache<'a>,
    ) -> Result<(), WindowError> {
        let plan = Arc::clone(&self.plan);
        let Some(members) = members(&plan.table, batch, classes, input)? else {
            return Ok(());
        };
        let table = plan.columns.table(batch, rows, cache)?;
        let times = batch::times(batch)?;
        // WHERE is evaluated on members only: what it costs on other events' rows would be wasted.
        let (table, times) = select(&table, times, &members)?;
        let (table, times) = match &plan.condition {
            Some(expr) => {
                let mask = condition(expr, &table)?;
                select(&table, &times, &mask)?
            }
            None => (table, times),
        };
        if table.num_rows() == 0 {
            return Ok(());
        }
        let pane_ns = plan.window.pane_ns();
        let start = |&time_ns: &i64| window::floor(time_ns, pane_ns);
        let starts: Int64Array = times.values().iter().map(start).collect::<Vec<_>>().into();
        let mut keys: Vec<ArrayRef> = vec![Arc::new(starts)];
        for key in &plan.keys {
            let values = evaluate(&key.expr, &table, &key.planned)?;
            keys.push(key.kind.canonical(&values)?);
        }
        let arguments = plan
            .aggregates
            .iter()
            .map(|aggregate| arguments(aggregate, &table));
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
        let groups = match &mut self.groups {
            Some(groups) => groups,
            none => none.insert(Groups::new(&plan)?),
        };
        let indices = groups.intern(&keys, None)?;
        groups.update(&indices, &arguments)
    }

    /// Everything, as sections for each of the exchange partitions, none much larger than `limit` bytes.
    pub(crate) fn drain(
        &mut self,
        partitions: u32,
        limit: usize,
    ) -> Result<Vec<(u32, Section)>, WindowError> {
        match self.groups.take() {
            Some(groups) => sections(
                &self.plan,
                groups.take_states(&self.plan)?,
                partitions,
                limit,
            ),
            None => Ok(Vec::new()),
        }
    }
}

/// Which rows belong to the table; none when no row does.
fn members(
    table: &Table,
    batch: &RecordBatch,
    classes: &[Vec<Logsource>],
    input: &str,
) -> Result<Option<BooleanArray>, WindowError> {
    if let Table::Input(_) = table {
        let all = || BooleanArray::from(vec![true; batch.num_rows()]);
        return Ok(table.takes(input, &[]).then(all));
    }
    let takes: Vec<bool> = classes
        .iter()
        .map(|class| table.takes(input, class))
        .collect();
    if !takes.contains(&true) {
        return Ok(None);
    }
    let class_of_row = batch::classes(batch)?.values().iter();
    let member = |&class: &u16| takes.get(usize::from(class)).copied().unwrap_or(false);
    let members: BooleanArray = class_of_row.map(member).collect::<Vec<_>>().into();
    Ok((members.true_count() > 0).then_some(members))
}

fn select(
    table: &RecordBatch,
    times: &TimestampNanosecondArray,
    mask: &BooleanArray,
) -> Result<(RecordBatch, TimestampNanosecondArray), WindowError> {
    if mask.true_count() == mask.len() {
        return Ok((table.clone(), times.clone()));
    }
    let selected = filter(times, mask)?;
    let times = selected.as_any().downcast_ref::<TimestampNanosecondArray>();
    Ok((
        filter_record_batch(table, mask)?,
        times.cloned().unwrap_or_else(|| Vec::<i64>::new().into()),
    ))
}

fn arguments(aggregate: &Aggregate, table: &RecordBatch) -> Result<Arguments, WindowError> {
    let mut values = Vec::with_capacity(aggregate.arguments.len());
    for (expr, of) in &aggregate.arguments {
        values.push(bounded_texts(usable_array(evaluate(expr, table, of)?)));
    }
    let filter = aggregate
        .filter
        .as_ref()
        .map(|expr| condition(expr, table))
        .transpose()?;
    Ok(Arguments { values, filter })
}
