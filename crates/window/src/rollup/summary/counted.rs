//! Every different value of a group with the number of its events: the most frequent ones, and aggregates of different values.
//!
//! These are exact, and hold (and send) each different value once, as `count(DISTINCT …)` does.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;
use rustc_hash::FxHashMap;

use super::super::expansion::Expansion;
use super::super::key::KeyKind;
use super::datum::{self, Datum};
use super::{Summary, varint};

/// What is made of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Of {
    /// The so many most frequent ones, with their numbers.
    Top(usize),
    /// The most frequent one.
    Mode,
    /// The sum of the different values.
    Sum,
    /// The average of the different values.
    Average,
}

/// What the query says of the aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Counted {
    pub(super) made: Of,
    pub(super) kind: KeyKind,
    /// The type of the values.
    pub(super) of: DataType,
}

impl Counted {
    /// The type of the result.
    pub(super) fn result(&self) -> DataType {
        match self.made {
            Of::Top(_) => DataType::List(self.item()),
            Of::Mode => self.of.clone(),
            Of::Sum if self.kind == KeyKind::Integer => DataType::Int64,
            Of::Sum | Of::Average => DataType::Float64,
        }
    }

    fn item(&self) -> Arc<Field> {
        let pair = DataType::Struct(self.pair());
        Arc::new(Field::new_list_field(pair, true))
    }

    fn pair(&self) -> Fields {
        let value = Field::new("value", self.of.clone(), true);
        Fields::from(vec![value, Field::new("count", DataType::Int64, true)])
    }
}

#[derive(Default)]
pub(super) struct Counts {
    counts: FxHashMap<Datum, u64>,
    bytes: usize,
}

impl Counts {
    fn count(&mut self, value: Datum, times: u64) {
        if let Some(count) = self.counts.get_mut(&value) {
            *count = count.saturating_add(times);
        } else {
            self.bytes += value.heap_size();
            self.counts.insert(value, times);
        }
    }

    /// The most frequent values, the smaller ones first where their numbers are equal.
    fn top(&self, most: usize) -> Vec<(&Datum, u64)> {
        let mut all: Vec<(&Datum, u64)> = self.counts.iter().map(|(v, &n)| (v, n)).collect();
        all.sort_unstable_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
        all.truncate(most);
        all
    }

    fn sum(&self) -> Option<Expansion> {
        let mut sum = Expansion::default();
        let numbers = self.counts.keys().filter_map(Datum::double);
        numbers.for_each(|number| sum.add(number));
        (!self.counts.is_empty()).then_some(sum)
    }

    fn whole_sum(&self) -> Option<i64> {
        let whole = self.counts.keys().map(|value| match value {
            Datum::Integer(number) => *number,
            _ => 0,
        });
        (!self.counts.is_empty()).then(|| whole.fold(0, i64::wrapping_add))
    }
}

fn tops(settings: &Counted, groups: &[Counts], most: usize) -> Result<ArrayRef> {
    let tops: Vec<Vec<(&Datum, u64)>> = groups.iter().map(|group| group.top(most)).collect();
    let values = tops.iter().flatten().map(|(value, _)| *value);
    let values = cast(&datum::array(settings.kind, values), &settings.of)?;
    let numbers = tops.iter().flatten();
    let numbers = numbers.map(|(_, times)| i64::try_from(*times).ok());
    let numbers: Int64Array = numbers.collect();
    let pairs = StructArray::try_new(settings.pair(), vec![values, Arc::new(numbers)], None)?;
    let offsets = OffsetBuffer::from_lengths(tops.iter().map(Vec::len));
    let lists = ListArray::try_new(settings.item(), offsets, Arc::new(pairs), None)?;
    Ok(Arc::new(lists))
}

impl Summary for Counts {
    type Settings = Counted;

    fn add(&mut self, settings: &Counted, arguments: &[ArrayRef], row: usize) {
        let Some(argument) = arguments.first() else {
            return;
        };
        let value = Datum::of(settings.kind, argument, row);
        if value != Datum::Null {
            self.count(value, 1);
        }
    }

    fn absorb(&mut self, _: &Counted, mut entry: &[u8]) -> Option<()> {
        let times = varint::take(&mut entry)?;
        self.count(Datum::take(entry)?, times);
        Some(())
    }

    fn entries(&self, put: &mut dyn FnMut(&[u8])) {
        for (value, &times) in &self.counts {
            let mut entry = Vec::new();
            varint::put(&mut entry, times);
            value.put(&mut entry);
            put(&entry);
        }
    }

    fn results(settings: &Counted, groups: &[Self]) -> Result<ArrayRef> {
        match settings.made {
            Of::Top(most) => tops(settings, groups, most),
            Of::Mode => {
                let modes: Vec<Vec<_>> = groups.iter().map(|group| group.top(1)).collect();
                let modes = modes.iter();
                let modes = modes.map(|top| top.first().map_or(&Datum::Null, |(value, _)| value));
                Ok(cast(&datum::array(settings.kind, modes), &settings.of)?)
            }
            Of::Sum if settings.kind == KeyKind::Integer => {
                let sums = groups.iter().map(Counts::whole_sum);
                Ok(Arc::new(sums.collect::<Int64Array>()))
            }
            Of::Sum => {
                let sums = groups.iter().map(|group| Some(group.sum()?.round()));
                Ok(Arc::new(sums.collect::<Float64Array>()))
            }
            Of::Average => {
                #[allow(clippy::cast_precision_loss, reason = "memory ends before 2^53 values")]
                let average =
                    |group: &Counts| Some(group.sum()?.round() / group.counts.len() as f64);
                let averages = groups.iter().map(average);
                Ok(Arc::new(averages.collect::<Float64Array>()))
            }
        }
    }

    fn size(&self) -> usize {
        self.bytes + self.counts.capacity() * size_of::<(Datum, u64)>()
    }
}
