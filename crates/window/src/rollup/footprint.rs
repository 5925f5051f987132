//! How many bytes the states of a group take, by what is in them.
//!
//! Which groups are given up depends on it. So it does not depend on allocators, nor on the order in which states were merged: a state
//! that was read back from a snapshot takes what it took.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;

use super::plan::Aggregate;
use super::summary;

/// Of a group, besides its key and its aggregates: its number of events, and its places among the others.
const GROUP: usize = 48;
/// Of a state that is no plain number: the accumulator's own structure.
const STRUCTURE: usize = 64;
/// Of a summary that never grows much.
const SMALL_SUMMARY: usize = 256;
/// Of a value in a list, besides its bytes.
const ITEM: usize = 32;

/// What the states of a rollup's groups take.
#[derive(Debug)]
pub(super) struct Footprint {
    /// Of every group, besides its key.
    pub(super) group: usize,
    /// States that grow with the values: places among all aggregates' states.
    growing: Vec<usize>,
}

impl Footprint {
    pub(super) fn of(aggregates: &[Aggregate]) -> Self {
        let mut footprint = Self {
            group: GROUP,
            growing: Vec::new(),
        };
        let mut place = 0;
        for aggregate in aggregates {
            let is_small = summary::is_small(aggregate.function.fun());
            // Exact sums have two states, of which the list has few numbers; how many depends on the order of merging.
            let is_sum = is_small || aggregate.states.len() > 1;
            for state in &aggregate.states {
                let of = state.data_type();
                footprint.group += match of.primitive_width() {
                    Some(width) => width + 1,
                    None if is_small => SMALL_SUMMARY,
                    None => STRUCTURE,
                };
                let grows = match of {
                    DataType::List(_) => !is_sum,
                    of => of.is_string() || of.is_binary(),
                };
                if grows {
                    footprint.growing.push(place);
                }
                place += 1;
            }
        }
        footprint
    }

    /// Whether all groups take the same, besides their keys.
    pub(super) fn is_fixed(&self) -> bool {
        self.growing.is_empty()
    }

    /// What the growing states of some groups take, a row each. Merged states never take more than they did together.
    pub(super) fn grown(&self, states: &[ArrayRef], rows: usize) -> Vec<usize> {
        let mut grown = vec![0; rows];
        for state in self.growing.iter().filter_map(|&place| states.get(place)) {
            for (row, bytes) in grown.iter_mut().enumerate() {
                *bytes += value_bytes(state, row);
            }
        }
        grown
    }
}

/// The bytes of a value.
fn value_bytes(values: &ArrayRef, row: usize) -> usize {
    if values.is_null(row) {
        return 0;
    }
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value(row).len(),
        DataType::LargeUtf8 => values.as_string::<i64>().value(row).len(),
        DataType::Utf8View => values.as_string_view().value(row).len(),
        DataType::Binary => values.as_binary::<i32>().value(row).len(),
        DataType::LargeBinary => values.as_binary::<i64>().value(row).len(),
        DataType::BinaryView => values.as_binary_view().value(row).len(),
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            let items = list.value(row);
            match items.data_type().primitive_width() {
                Some(width) => items.len() * (ITEM + width),
                None => {
                    let bytes = (0..items.len()).map(|item| ITEM + value_bytes(&items, item));
                    bytes.sum()
                }
            }
        }
        of => of.primitive_width().unwrap_or(1),
    }
}
