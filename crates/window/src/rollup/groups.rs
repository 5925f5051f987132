//! Groups and the states of their aggregates.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt64Array, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion_expr::{EmitTo, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::GroupsAccumulatorAdapter;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::plan::{Aggregate, FIXED_COLUMNS, RollupPlan};
use crate::WindowError;

/// The groups of a rollup: window start and keys, and the states of the aggregates for each.
pub(super) struct Groups {
    converter: RowConverter,
    /// The groups' keys, by index.
    rows: Rows,
    indices: HashTable<usize>,
    hasher: DefaultHashBuilder,
    /// How many input rows went into each group.
    counts: Vec<u64>,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
}

/// What is taken out of [`Groups`], a row per group.
pub(super) struct States {
    /// Window start and keys.
    pub(super) keys: Vec<ArrayRef>,
    pub(super) counts: UInt64Array,
    pub(super) states: Vec<ArrayRef>,
}

/// What is taken out of [`Groups`] at the end, a row per group, ordered by key.
pub(super) struct Results {
    /// Window start and keys.
    pub(super) keys: Vec<ArrayRef>,
    pub(super) values: Vec<ArrayRef>,
}

/// The arguments of one aggregate for some rows.
pub(super) struct Arguments {
    pub(super) values: Vec<ArrayRef>,
    pub(super) filter: Option<BooleanArray>,
}

impl Groups {
    pub(super) fn new(plan: &RollupPlan) -> Result<Self, WindowError> {
        let keys = plan.keys.iter().map(|key| key.kind.data_type());
        let fields = std::iter::once(DataType::Int64)
            .chain(keys)
            .map(SortField::new);
        let converter = RowConverter::new(fields.collect())?;
        let accumulators = plan.aggregates.iter().map(accumulator);
        Ok(Self {
            rows: converter.empty_rows(0, 0),
            converter,
            indices: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            counts: Vec::new(),
            accumulators: accumulators.collect::<Result<_, _>>()?,
        })
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Approximate bytes held.
    pub(super) fn size(&self) -> usize {
        let states: usize = self
            .accumulators
            .iter()
            .map(|accumulator| accumulator.size())
            .sum();
        let indices = self.indices.capacity() * size_of::<usize>();
        states + self.rows.size() + indices + self.counts.capacity() * size_of::<u64>()
    }

    /// The group of each row of `keys` (window start and keys), and adds `rows` (one by default) to its rows.
    pub(super) fn intern(
        &mut self,
        keys: &[ArrayRef],
        rows: Option<&UInt64Array>,
    ) -> Result<Vec<usize>, WindowError> {
        let converted = self.converter.convert_columns(keys)?;
        let mut groups = Vec::with_capacity(converted.num_rows());
        for (at, row) in converted.iter().enumerate() {
            let bytes = row.as_ref();
            let hash = self.hasher.hash_one(bytes);
            let same = |&group: &usize| self.rows.row(group).as_ref() == bytes;
            let group = match self.indices.find(hash, same) {
                Some(&group) => group,
                None => {
                    let group = self.rows.num_rows();
                    self.rows.push(row);
                    self.counts.push(0);
                    let (rows, hasher) = (&self.rows, &self.hasher);
                    let rehash = |&group: &usize| hasher.hash_one(rows.row(group).as_ref());
                    self.indices.insert_unique(hash, group, rehash);
                    group
                }
            };
            if let Some(count) = self.counts.get_mut(group) {
                *count = count.saturating_add(rows.map_or(1, |rows| rows.value(at)));
            }
            groups.push(group);
        }
        Ok(groups)
    }

    /// Adds input rows to the groups that [`Groups::intern`] gave for them.
    pub(super) fn update(
        &mut self,
        groups: &[usize],
        arguments: &[Arguments],
    ) -> Result<(), WindowError> {
        let total = self.len();
        for (accumulator, arguments) in self.accumulators.iter_mut().zip(arguments) {
            let Arguments { values, filter } = arguments;
            accumulator.update_batch(values, groups, filter.as_ref(), total)?;
        }
        Ok(())
    }

    /// Merges states, all aggregates' side by side, into the groups that [`Groups::intern`] gave for them.
    fn merge(
        &mut self,
        plan: &RollupPlan,
        groups: &[usize],
        mut states: &[ArrayRef],
    ) -> Result<(), WindowError> {
        let total = self.len();
        for (accumulator, aggregate) in self.accumulators.iter_mut().zip(&plan.aggregates) {
            let Some((own, rest)) = states.split_at_checked(aggregate.states.len()) else {
                break;
            };
            accumulator.merge_batch(own, groups, total)?;
            states = rest;
        }
        Ok(())
    }

    /// Merges a batch of partials; `start_ns` is the start of the window, when it is not that of the partials' panes.
    pub(super) fn merge_partials(
        &mut self,
        plan: &RollupPlan,
        partials: &RecordBatch,
        start_ns: Option<i64>,
    ) -> Result<(), WindowError> {
        let (fixed, states) = partials
            .columns()
            .split_at_checked(FIXED_COLUMNS + plan.keys.len())
            .unwrap_or_default();
        let [start, rows, keys @ ..] = fixed else {
            return Ok(());
        };
        let start = match start_ns {
            Some(start_ns) => Arc::new(Int64Array::from(vec![start_ns; partials.num_rows()])),
            None => Arc::clone(start),
        };
        let keys: Vec<ArrayRef> = std::iter::once(start).chain(keys.iter().cloned()).collect();
        let indices = self.intern(&keys, Some(rows.as_primitive::<UInt64Type>()))?;
        self.merge(plan, &indices, states)
    }

    /// Takes all groups out, as states.
    pub(super) fn take_states(mut self, plan: &RollupPlan) -> Result<States, WindowError> {
        let mut states = Vec::new();
        for (accumulator, aggregate) in self.accumulators.iter_mut().zip(&plan.aggregates) {
            let own = accumulator.state(EmitTo::All)?;
            for (state, field) in own.into_iter().zip(&aggregate.states) {
                states.push(retyped(state, field.data_type())?);
            }
        }
        Ok(States {
            keys: self.converter.convert_rows(self.rows.iter())?,
            counts: std::mem::take(&mut self.counts).into(),
            states,
        })
    }

    /// Takes all groups out, as results.
    pub(super) fn take_results(mut self, plan: &RollupPlan) -> Result<Results, WindowError> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by(|&left, &right| self.rows.row(left).cmp(&self.rows.row(right)));
        let keys = order.iter().map(|&group| self.rows.row(group));
        let keys = self.converter.convert_rows(keys)?;
        let order: UInt64Array = order.into_iter().map(|group| group as u64).collect();
        let mut values = Vec::new();
        for (accumulator, aggregate) in self.accumulators.iter_mut().zip(&plan.aggregates) {
            let value = retyped(accumulator.evaluate(EmitTo::All)?, &aggregate.result)?;
            values.push(arrow::compute::take(&value, &order, None)?);
        }
        Ok(Results { keys, values })
    }
}

fn accumulator(aggregate: &Aggregate) -> Result<Box<dyn GroupsAccumulator>, WindowError> {
    let function = &aggregate.function;
    if function.groups_accumulator_supported() {
        return Ok(function.create_groups_accumulator()?);
    }
    let function = Arc::clone(function);
    let adapter = GroupsAccumulatorAdapter::new(move || function.create_accumulator());
    Ok(Box::new(adapter))
}

/// The states of a group without rows, all aggregates' side by side.
pub(super) fn neutral_states(aggregates: &[Aggregate]) -> Result<Vec<ArrayRef>, WindowError> {
    let mut states = Vec::new();
    for aggregate in aggregates {
        let mut accumulator = accumulator(aggregate)?;
        // One row that does not count. No row at all would not do: some accumulators then take the group as seen.
        let nulls = aggregate.arguments.iter();
        let nulls: Vec<ArrayRef> = nulls.map(|(_, of)| new_null_array(of, 1)).collect();
        let none = BooleanArray::from(vec![false]);
        accumulator.update_batch(&nulls, &[0], Some(&none), 1)?;
        for (state, field) in accumulator
            .state(EmitTo::All)?
            .into_iter()
            .zip(&aggregate.states)
        {
            states.push(retyped(state, field.data_type())?);
        }
    }
    Ok(states)
}

fn retyped(array: ArrayRef, of: &DataType) -> Result<ArrayRef, WindowError> {
    if array.data_type() == of {
        Ok(array)
    } else {
        Ok(cast(&array, of)?)
    }
}
