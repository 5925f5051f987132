//! Groups and the states of their aggregates.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt64Array, new_null_array,
};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, UInt64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion_expr::{EmitTo, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::GroupsAccumulatorAdapter;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::plan::{Aggregate, FIXED_COLUMNS, RollupPlan};
use super::rows::{Group, groups};
use super::section::partial_batch;
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
    /// Bytes of the keys.
    key_bytes: usize,
    /// Bytes of what grows with the values (see [`super::footprint`]): at most, as some of what was merged may have been there before.
    grown_bytes: usize,
    /// Nothing was merged since that was counted.
    counted: bool,
    /// What [`crate::RollupRow::part`] is of each group; for groups behind its end 0.
    parts: Vec<u64>,
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
    /// See [`crate::RollupRow::part`].
    pub(super) parts: Vec<u64>,
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
            key_bytes: 0,
            grown_bytes: 0,
            counted: true,
            parts: Vec::new(),
        })
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// How many input rows went into a group.
    pub(super) fn count(&self, group: usize) -> u64 {
        self.counts.get(group).copied().unwrap_or(0)
    }

    /// A group's key, as bytes that compare as keys do.
    pub(super) fn key(&self, group: usize) -> &[u8] {
        if group < self.rows.num_rows() {
            self.rows.row(group).data()
        } else {
            &[]
        }
    }

    /// See [`crate::RollupRow::part`].
    pub(super) fn part(&self, group: usize) -> u64 {
        self.parts.get(group).copied().unwrap_or(0)
    }

    /// Whether some groups are parts.
    pub(super) fn has_parts(&self) -> bool {
        self.parts.iter().any(|&part| part > 0)
    }

    /// The groups from this one on are this part.
    pub(super) fn begin_part(&mut self, from: usize, part: u64) {
        if part > 0 || !self.parts.is_empty() {
            self.parts.resize(from, 0);
            self.parts.resize(self.len(), part);
        }
    }

    /// The parts of the groups from this one on.
    pub(super) fn set_parts(&mut self, from: usize, parts: &[u64]) {
        self.parts.resize(from, 0);
        self.parts.extend(parts);
    }

    /// Bytes held by contents alone: at most, unless they are counted. `per_key` is how often a key is held, and `per_group` what each
    /// group takes besides.
    pub(super) fn bytes(&self, plan: &RollupPlan, per_key: usize, per_group: usize) -> usize {
        let groups = self.len() * (plan.footprint.group + per_group);
        groups + self.key_bytes * per_key + self.grown_bytes
    }

    /// Whether [`Self::bytes`] is exact.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    /// Counts what each group holds besides what all do. Answers nothing where all hold the same.
    pub(super) fn count_bytes(&mut self, plan: &RollupPlan) -> Result<Vec<usize>, WindowError> {
        if plan.footprint.is_fixed() {
            return Ok(Vec::new());
        }
        let states = self.states(plan)?;
        Ok(grown(plan, &states))
    }

    /// Approximate bytes held.
    pub(super) fn size(&self) -> usize {
        let states: usize = self
            .accumulators
            .iter()
            .map(|accumulator| accumulator.size())
            .sum();
        let indices = self.indices.capacity() * size_of::<usize>();
        let numbers = self.counts.capacity() + self.parts.capacity();
        states + self.rows.size() + indices + numbers * size_of::<u64>()
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
                    self.key_bytes += bytes.len();
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

    /// Merges a batch of partials; `start_ns` is the start of the window, when it is not that of the partials' panes. Answers the group of
    /// each.
    pub(super) fn merge_partials(
        &mut self,
        plan: &RollupPlan,
        partials: &RecordBatch,
        start_ns: Option<i64>,
    ) -> Result<Vec<usize>, WindowError> {
        let (fixed, states) = partials
            .columns()
            .split_at_checked(FIXED_COLUMNS + plan.keys.len())
            .unwrap_or_default();
        let [start, rows, keys @ ..] = fixed else {
            return Ok(Vec::new());
        };
        let start = match start_ns {
            Some(start_ns) => Arc::new(Int64Array::from(vec![start_ns; partials.num_rows()])),
            None => Arc::clone(start),
        };
        let keys: Vec<ArrayRef> = std::iter::once(start).chain(keys.iter().cloned()).collect();
        let indices = self.intern(&keys, Some(rows.as_primitive::<UInt64Type>()))?;
        self.merge(plan, &indices, states)?;
        if !plan.footprint.is_fixed() {
            self.grown_bytes += grown(plan, partials).iter().sum::<usize>();
            self.counted = false;
        }
        Ok(indices)
    }

    /// All groups as partials. They stay.
    pub(super) fn states(&mut self, plan: &RollupPlan) -> Result<RecordBatch, WindowError> {
        if self.len() == 0 {
            return Ok(RecordBatch::new_empty(Arc::clone(&plan.partial_schema)));
        }
        // Taking states out of accumulators empties them; states can be merged twice.
        let parts = std::mem::take(&mut self.parts);
        let groups = std::mem::replace(self, Self::new(plan)?);
        let states = partial_batch(plan, groups.take_states(plan)?)?;
        self.merge_partials(plan, &states, None)?;
        self.parts = parts;
        self.counted = true;
        Ok(states)
    }

    /// The same groups once more.
    pub(super) fn copy(&mut self, plan: &RollupPlan) -> Result<Self, WindowError> {
        let states = self.states(plan)?;
        let mut copy = Self::new(plan)?;
        copy.merge_partials(plan, &states, None)?;
        copy.parts.clone_from(&self.parts);
        Ok(copy)
    }

    /// Takes these groups out, which are named in their order.
    pub(super) fn split_off(
        &mut self,
        plan: &RollupPlan,
        gone: &[usize],
    ) -> Result<Self, WindowError> {
        let states = self.states(plan)?;
        let mut gone = gone.iter().peekable();
        let is_gone = |group: &usize| gone.next_if_eq(&group).is_some();
        let (gone, kept): (Vec<usize>, Vec<usize>) = (0..self.len()).partition(is_gone);
        let some = |groups: Vec<usize>| -> Result<Self, WindowError> {
            let rows: UInt64Array = groups.iter().map(|&group| group as u64).collect();
            let mut some = Self::new(plan)?;
            some.merge_partials(plan, &take_record_batch(&states, &rows)?, None)?;
            some.counted = true;
            if !self.parts.is_empty() {
                some.parts = groups.iter().map(|&group| self.part(group)).collect();
            }
            Ok(some)
        };
        let (gone, kept) = (some(gone)?, some(kept)?);
        *self = kept;
        Ok(gone)
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

    /// The key values of all groups under their names.
    pub(super) fn names(&self, plan: &RollupPlan) -> Result<Vec<Group>, WindowError> {
        let keys = self.converter.convert_rows(self.rows.iter())?;
        groups(plan, keys.get(1..).unwrap_or_default(), self.len())
    }

    /// Takes all groups out, as results.
    pub(super) fn take_results(mut self, plan: &RollupPlan) -> Result<Results, WindowError> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by(|&left, &right| self.rows.row(left).cmp(&self.rows.row(right)));
        let keys = order.iter().map(|&group| self.rows.row(group));
        let keys = self.converter.convert_rows(keys)?;
        let parts = order.iter().map(|&group| self.part(group)).collect();
        let order: UInt64Array = order.into_iter().map(|group| group as u64).collect();
        let mut values = Vec::new();
        for (accumulator, aggregate) in self.accumulators.iter_mut().zip(&plan.aggregates) {
            let value = retyped(accumulator.evaluate(EmitTo::All)?, &aggregate.result)?;
            values.push(arrow::compute::take(&value, &order, None)?);
        }
        Ok(Results {
            keys,
            values,
            parts,
        })
    }
}

/// What the growing states of some partials take; nothing where there are none.
pub(super) fn grown(plan: &RollupPlan, partials: &RecordBatch) -> Vec<usize> {
    if plan.footprint.is_fixed() {
        return Vec::new();
    }
    let states = partials.columns().get(FIXED_COLUMNS + plan.keys.len()..);
    let states = states.unwrap_or_default();
    plan.footprint.grown(states, partials.num_rows())
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
