//! `sum` and `avg` of floating point numbers that do not depend on the order of the numbers: see [`super::expansion`].

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, Int64Array, ListBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion_common::{DataFusionError, Result, internal_err, not_impl_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::expansion::Expansion;

/// `sum(double)`; NULL over no value.
pub(super) static EXACT_SUM: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf("sum", false));
/// `avg(double)`; NULL over no value.
pub(super) static EXACT_AVG: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf("avg", true));

fn udaf(name: &'static str, average: bool) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(ExactUdaf {
        name,
        average,
        signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactUdaf {
    name: &'static str,
    average: bool,
    signature: Signature,
}

impl AggregateUDFImpl for ExactUdaf {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} works on groups only", self.name)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let parts = Field::new_list_field(DataType::Float64, true);
        Ok(vec![
            Arc::new(Field::new_list(
                format!("{}[parts]", args.name),
                parts,
                false,
            )),
            Arc::new(Field::new(
                format!("{}[count]", args.name),
                DataType::Int64,
                false,
            )),
        ])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(ExactSums {
            average: self.average,
            groups: Vec::new(),
        }))
    }
}

/// The sum of a group, and of how many numbers.
#[derive(Debug, Clone, Default)]
struct Sum {
    sum: Expansion,
    count: i64,
}

/// One exact sum per group.
struct ExactSums {
    average: bool,
    groups: Vec<Sum>,
}

impl ExactSums {
    fn group(&mut self, index: usize) -> Result<&mut Sum> {
        let missing = || DataFusionError::Internal("no such group".to_owned());
        self.groups.get_mut(index).ok_or_else(missing)
    }
}

impl GroupsAccumulator for ExactSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, Sum::default());
        let [numbers] = values else {
            return internal_err!("a sum has one argument");
        };
        let numbers = numbers.as_primitive::<Float64Type>();
        for (row, (number, &index)) in numbers.iter().zip(group_indices).enumerate() {
            let counts = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let Some(number) = number.filter(|_| counts) {
                let group = self.group(index)?;
                group.sum.add(number);
                group.count += 1;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = emit_to.take_needed(&mut self.groups);
        let value = |group: &Sum| {
            #[allow(clippy::cast_precision_loss, reason = "no window has 2^53 rows")]
            let divisor = if self.average {
                group.count as f64
            } else {
                1.0
            };
            (group.count > 0).then(|| group.sum.round() / divisor)
        };
        let values: Float64Array = groups.iter().map(value).collect();
        Ok(Arc::new(values))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = emit_to.take_needed(&mut self.groups);
        let mut parts = ListBuilder::new(Float64Builder::new());
        for group in &groups {
            parts.values().append_slice(group.sum.parts());
            parts.append(true);
        }
        let counts: Int64Array = groups
            .iter()
            .map(|group| group.count)
            .collect::<Vec<_>>()
            .into();
        Ok(vec![Arc::new(parts.finish()), Arc::new(counts)])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, Sum::default());
        let [parts, counts] = values else {
            return internal_err!("the state of a sum has two columns");
        };
        let (parts, counts) = (parts.as_list::<i32>(), counts.as_primitive::<Int64Type>());
        for (row, &index) in group_indices.iter().enumerate() {
            let parts = parts.value(row);
            let group = self.group(index)?;
            // Whoever wrote the state, what is no usable number would never leave the sum again.
            for part in parts
                .as_primitive::<Float64Type>()
                .iter()
                .flatten()
                .filter(|part| part.is_finite())
            {
                group.sum.add(part);
            }
            group.count = group.count.saturating_add(counts.value(row));
        }
        Ok(())
    }

    fn convert_to_state(&self, _: &[ArrayRef], _: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        not_impl_err!("states come of groups only")
    }

    fn size(&self) -> usize {
        self.groups.capacity() * (size_of::<Sum>() + 2 * size_of::<f64>())
    }
}
