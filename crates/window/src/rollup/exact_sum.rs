//! `sum` and `avg` of floating point numbers that do not depend on the order of the numbers.
//!
//! Floating point addition is not associative: added up in another order, or cut into other partials, the same numbers give
//! another sum in the last digits, and a rollup would change with the number of workers. So a group holds its sum exactly, as a few
//! numbers that do not overlap (Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates",
//! 1997, GROW-EXPANSION), and rounds once, at the end. For whole numbers below 2^53 that is one number.

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

/// The exact sum of some doubles: numbers of growing magnitude that do not overlap.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expansion {
    parts: Vec<f64>,
    count: i64,
}

impl Expansion {
    /// Adds a number.
    pub(crate) fn add(&mut self, mut number: f64) {
        let mut kept = 0;
        for at in 0..self.parts.len() {
            let Some(&part) = self.parts.get(at) else {
                break;
            };
            let (large, small) = if number.abs() < part.abs() {
                (part, number)
            } else {
                (number, part)
            };
            let high = large + small;
            let low = small - (high - large);
            if low != 0.0
                && let Some(place) = self.parts.get_mut(kept)
            {
                *place = low;
                kept += 1;
            }
            number = high;
        }
        self.parts.truncate(kept);
        self.parts.push(number);
    }

    /// The double next to the exact sum.
    pub(crate) fn round(&self) -> f64 {
        let mut parts = self.parts.iter().rev();
        let mut high = parts.next().copied().unwrap_or(0.0);
        let mut low = 0.0;
        for &part in parts.by_ref() {
            let before = high;
            high = before + part;
            low = part - (high - before);
            if low != 0.0 {
                break;
            }
        }
        // Half way between two doubles, what is left below decides to which of them it is closer.
        if let Some(&rest) = parts.next()
            && low.abs() > 0.0
            && (low < 0.0) == (rest < 0.0)
        {
            let doubled = low * 2.0;
            let other = high + doubled;
            if doubled == other - high {
                high = other;
            }
        }
        high
    }
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

/// One exact sum per group.
struct ExactSums {
    average: bool,
    groups: Vec<Expansion>,
}

impl ExactSums {
    fn group(&mut self, index: usize) -> Result<&mut Expansion> {
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
        self.groups.resize(total_num_groups, Expansion::default());
        let [numbers] = values else {
            return internal_err!("a sum has one argument");
        };
        let numbers = numbers.as_primitive::<Float64Type>();
        for (row, (number, &index)) in numbers.iter().zip(group_indices).enumerate() {
            let counts = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let Some(number) = number.filter(|_| counts) {
                let group = self.group(index)?;
                group.add(number);
                group.count += 1;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = emit_to.take_needed(&mut self.groups);
        let value = |group: &Expansion| {
            #[allow(clippy::cast_precision_loss, reason = "no window has 2^53 rows")]
            let divisor = if self.average {
                group.count as f64
            } else {
                1.0
            };
            (group.count > 0).then(|| group.round() / divisor)
        };
        let values: Float64Array = groups.iter().map(value).collect();
        Ok(Arc::new(values))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = emit_to.take_needed(&mut self.groups);
        let mut parts = ListBuilder::new(Float64Builder::new());
        for group in &groups {
            parts.values().append_slice(&group.parts);
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
        self.groups.resize(total_num_groups, Expansion::default());
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
                group.add(part);
            }
            group.count = group.count.saturating_add(counts.value(row));
        }
        Ok(())
    }

    fn convert_to_state(&self, _: &[ArrayRef], _: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        not_impl_err!("states come of groups only")
    }

    fn size(&self) -> usize {
        self.groups.capacity() * (size_of::<Expansion>() + 2 * size_of::<f64>())
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(numbers: impl IntoIterator<Item = f64>) -> Expansion {
        let mut sum = Expansion::default();
        for number in numbers {
            sum.add(number);
        }
        sum
    }

    #[test]
    fn it_rounds_once() {
        assert_eq!(sum([0.1; 10]).round(), 1.0);
        assert_eq!(sum([1e100, 1.0, -1e100]).round(), 1.0);
        assert_eq!(sum([1e16, 1.0, 1e-16]).round(), 10_000_000_000_000_002.0);
        assert_eq!(
            sum([9_007_199_254_740_992.0, -0.5, -f64::EPSILON]).round(),
            9_007_199_254_740_991.0
        );
        assert_eq!(sum([]).round(), 0.0);
        assert_eq!(sum((1..=1000).map(f64::from)).parts, [500_500.0]);
    }

    proptest! {
        #[test]
        fn order_and_cuts_do_not_matter(
            mut numbers in prop::collection::vec(prop_oneof![-1e3..1e3, -1e-9..1e-9, -1e200..1e200], 0..40),
            cut in 0usize..40,
        ) {
            let whole = sum(numbers.iter().copied()).round();
            numbers.reverse();
            let (left, right) = numbers.split_at(cut.min(numbers.len()));
            let merged = sum(sum(left.iter().copied()).parts.into_iter().chain(sum(right.iter().copied()).parts));
            prop_assert_eq!(whole.to_bits(), merged.round().to_bits());
        }
    }
}
