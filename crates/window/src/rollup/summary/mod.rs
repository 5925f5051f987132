//! Aggregates whose partial states DataFusion either does not have, or has in a form that depends on the order of merging.
//!
//! A [`Summary`] is what a group remembers. It is a function of the set of values alone: however they come, and however they are cut
//! into partials, the same values leave the same summary. In the exchange it is a list of *entries*, each of which can be merged by
//! itself, so that a large state can be cut over several records.

mod counted;
mod datum;
mod distinct;
mod function;
mod moments;
mod names;
mod ordered;
mod quantile;
mod varint;

use std::any::Any;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, GenericListArray, ListBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{DataFusionError, Result, exec_err, not_impl_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

pub(super) use function::plan;
pub(super) use names::{NAMES, Named, follows_order};

use function::Function;

/// What a group remembers of the values of its rows.
trait Summary: Default + Send + 'static {
    /// What the query says of the aggregate besides its arguments.
    type Settings: Send + 'static;

    /// Takes in a row of the arguments.
    fn add(&mut self, settings: &Self::Settings, arguments: &[ArrayRef], row: usize);

    /// Takes in an entry of another summary's; none when it is damaged.
    fn absorb(&mut self, settings: &Self::Settings, entry: &[u8]) -> Option<()>;

    /// Says everything that it remembers, in pieces.
    fn entries(&self, put: &mut dyn FnMut(&[u8]));

    /// The aggregates of some groups.
    fn results(settings: &Self::Settings, groups: &[Self]) -> Result<ArrayRef>;

    /// Approximate bytes held.
    fn size(&self) -> usize;
}

/// The summaries of all groups.
struct Summaries<S: Summary> {
    settings: S::Settings,
    groups: Vec<S>,
    /// What the groups hold.
    bytes: usize,
}

impl<S: Summary> Summaries<S> {
    /// Changes a group, and keeps count of what it holds.
    fn change<T>(
        &mut self,
        group: usize,
        change: impl FnOnce(&mut S, &S::Settings) -> T,
    ) -> Result<T> {
        let group = self.groups.get_mut(group).ok_or_else(no_group)?;
        let before = group.size();
        let changed = change(group, &self.settings);
        self.bytes = (self.bytes + group.size()).saturating_sub(before);
        Ok(changed)
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<S> {
        let taken = emit_to.take_needed(&mut self.groups);
        let bytes: usize = taken.iter().map(S::size).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        taken
    }
}

fn boxed<S: Summary>(settings: S::Settings) -> Box<dyn GroupsAccumulator> {
    Box::new(Summaries::<S> {
        settings,
        groups: Vec::new(),
        bytes: 0,
    })
}

fn no_group() -> DataFusionError {
    DataFusionError::Internal("no such group".to_owned())
}

impl<S: Summary> GroupsAccumulator for Summaries<S> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(total_num_groups, S::default);
        for (row, &group) in group_indices.iter().enumerate() {
            if filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                self.change(group, |group, settings| group.add(settings, values, row))?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.take(emit_to);
        S::results(&self.settings, &groups)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.take(emit_to);
        let mut entries = ListBuilder::new(BinaryBuilder::new());
        for group in &groups {
            group.entries(&mut |entry| entries.values().append_value(entry));
            entries.append(true);
        }
        Ok(vec![Arc::new(entries.finish())])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(total_num_groups, S::default);
        let [states] = values else {
            return exec_err!("a summary has one column");
        };
        let states: &GenericListArray<i32> = states.as_list();
        for (row, &group) in group_indices.iter().enumerate() {
            let entries = states.value(row);
            let mut entries = entries.as_binary::<i32>().iter().flatten();
            let merged = self.change(group, |group, settings| {
                entries.try_for_each(|entry| group.absorb(settings, entry))
            })?;
            if merged.is_none() {
                return exec_err!("a summary is damaged");
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, _: &[ArrayRef], _: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        not_impl_err!("states come of groups only")
    }

    fn size(&self) -> usize {
        self.bytes + self.groups.capacity() * size_of::<S>()
    }
}

/// A planned aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SummaryUdaf {
    /// With its settings: aggregates with different ones are different columns.
    name: String,
    function: Function,
    signature: Signature,
}

impl SummaryUdaf {
    fn udaf(name: String, function: Function, arguments: usize) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::new_from_impl(Self {
            name,
            function,
            signature: Signature::any(arguments, Volatility::Immutable),
        }))
    }
}

/// Whether a function is one of this module whose summary never grows much. How large it is depends on the order of merging.
pub(super) fn is_small(function: &AggregateUDF) -> bool {
    let function: &dyn Any = function.inner().as_ref();
    let summary = function.downcast_ref::<SummaryUdaf>();
    summary.is_some_and(|summary| matches!(summary.function, Function::Moment(_)))
}

impl AggregateUDFImpl for SummaryUdaf {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.function.result())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} works on groups only", self.name)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let entry = Field::new_list_field(DataType::Binary, true);
        Ok(vec![Arc::new(Field::new_list(
            format!("{}[entries]", args.name),
            entry,
            false,
        ))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(self.function.accumulator())
    }
}
