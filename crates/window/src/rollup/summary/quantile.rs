//! Medians and percentiles: exact while a group has few distinct values, of stated error beyond.
//!
//! Up to [`EXACT`] distinct values of a group are kept with their numbers. With more, values are counted in buckets: one for each
//! 128th of each power of two, so that the middle of a bucket is within 0.4% of every value in it. Both are functions of the
//! set of values, unlike a t-digest, which depends on the order of merging.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::Float64Type;
use datafusion_common::Result;

use super::datum::{double, ordered};
use super::{Summary, varint};

/// Of so many distinct values quantiles are exact.
const EXACT: usize = 4096;
/// How many bits of a double's fraction a bucket does not look at: 7 of 52 remain.
const SHIFT: u32 = 45;
/// Values nearer to zero than this are counted as zero, and those beyond the largest as the largest.
const SMALLEST: f64 = 1.0 / (1u64 << 60) as f64;
/// See [`SMALLEST`].
const LARGEST: f64 = (1u128 << 120) as f64;
/// How many values go into one entry: states are cut between entries.
const PER_ENTRY: usize = 256;

const MILLION: f64 = 1_000_000.0;

/// Kinds of entries.
const VALUES: u8 = 0;
/// See [`VALUES`].
const BUCKETS: u8 = 1;

/// Which quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Quantile {
    /// The bits of a number between 0 and 1.
    at: u64,
}

impl Quantile {
    /// The quantile at this number; none when it is not between 0 and 1.
    pub(super) fn new(at: f64) -> Option<Self> {
        (0.0..=1.0).contains(&at).then(|| Self { at: at.to_bits() })
    }
}

/// The values of a group: how often each value or bucket came, by the value's or bucket's order.
#[derive(Default)]
pub(super) struct Values {
    counts: BTreeMap<i64, u64>,
    sketched: bool,
}

/// The bucket of a value (in the order of [`ordered`]).
fn bucket(value: i64) -> i64 {
    let number = double(value);
    if number.abs() < SMALLEST {
        return 0;
    }
    let size = ordered(number.abs().min(LARGEST)) >> SHIFT;
    if number < 0.0 { -size } else { size }
}

/// The middle of a bucket.
fn middle(bucket: i64) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let half = 1i64 << (SHIFT - 1);
    let size = double((bucket.abs() << SHIFT) | half);
    if bucket < 0 { -size } else { size }
}

impl Values {
    fn count(&mut self, value: i64, times: u64) {
        let key = if self.sketched { bucket(value) } else { value };
        let count = self.counts.entry(key).or_default();
        *count = count.saturating_add(times);
        if !self.sketched && self.counts.len() > EXACT {
            self.sketch();
        }
    }

    fn sketch(&mut self) {
        if !self.sketched {
            self.sketched = true;
            for (value, times) in std::mem::take(&mut self.counts) {
                let count = self.counts.entry(bucket(value)).or_default();
                *count = count.saturating_add(times);
            }
        }
    }

    /// The value at a place (from 0) in the order of all values.
    fn at(&self, place: u64) -> Option<f64> {
        let mut before = 0u64;
        for (&key, &times) in &self.counts {
            before = before.saturating_add(times);
            if before > place {
                return Some(if self.sketched {
                    middle(key)
                } else {
                    double(key)
                });
            }
        }
        None
    }

    /// The quantile, between the two values beside it as far as it is between their places.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no window has 2^53 rows, and places are not negative"
    )]
    fn quantile(&self, quantile: Quantile) -> Option<f64> {
        let total: u64 = self.counts.values().sum();
        let place = f64::from_bits(quantile.at) * total.checked_sub(1)? as f64;
        let below = place.floor();
        let low = self.at(below as u64)?;
        let part = place - below;
        if part == 0.0 {
            return Some(low);
        }
        let high = self.at(below as u64 + 1)?;
        // As DataFusion's percentile_cont has it: in millionths.
        let part = (part * MILLION).floor() / MILLION;
        Some(low + (high - low) * part)
    }
}

impl Summary for Values {
    type Settings = Quantile;

    fn add(&mut self, _: &Quantile, arguments: &[ArrayRef], row: usize) {
        let Some(argument) = arguments.first() else {
            return;
        };
        let values = argument.as_primitive::<Float64Type>();
        if values.is_valid(row) {
            self.count(ordered(values.value(row)), 1);
        }
    }

    fn absorb(&mut self, _: &Quantile, entry: &[u8]) -> Option<()> {
        let (&kind, mut rest) = entry.split_first()?;
        if kind == BUCKETS {
            self.sketch();
        }
        while !rest.is_empty() {
            let (key, after) = rest.split_first_chunk()?;
            rest = after;
            let key = i64::from_le_bytes(*key);
            let times = varint::take(&mut rest)?;
            match kind {
                VALUES => self.count(key, times),
                BUCKETS => {
                    let count = self.counts.entry(key).or_default();
                    *count = count.saturating_add(times);
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn entries(&self, put: &mut dyn FnMut(&[u8])) {
        let kind = if self.sketched { BUCKETS } else { VALUES };
        let mut entry = vec![kind];
        for (index, (key, &times)) in self.counts.iter().enumerate() {
            if index > 0 && index % PER_ENTRY == 0 {
                put(&entry);
                entry.truncate(1);
            }
            entry.extend(key.to_le_bytes());
            varint::put(&mut entry, times);
        }
        if entry.len() > 1 {
            put(&entry);
        }
    }

    fn results(quantile: &Quantile, groups: &[Self]) -> Result<ArrayRef> {
        let values = groups.iter().map(|group| group.quantile(*quantile));
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn size(&self) -> usize {
        self.counts.len() * 2 * size_of::<(i64, u64)>()
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

    fn values(numbers: impl IntoIterator<Item = f64>) -> Values {
        let mut values = Values::default();
        for number in numbers {
            values.count(ordered(number), 1);
        }
        values
    }

    fn at(values: &Values, at: f64) -> Option<f64> {
        values.quantile(Quantile::new(at).unwrap())
    }

    #[test]
    fn few_values_are_exact() {
        let few = values([4.0, 1.0, 3.0, 2.0, 2.0]);
        assert_eq!(at(&few, 0.5), Some(2.0));
        assert_eq!(at(&few, 0.25), Some(2.0));
        assert_eq!(at(&few, 0.9), Some(3.6));
        assert_eq!(at(&few, 1.0), Some(4.0));
        assert_eq!(at(&values([]), 0.5), None);
        assert!(Quantile::new(1.5).is_none() && Quantile::new(f64::NAN).is_none());
    }

    #[test]
    fn many_values_are_near() {
        let many = values((0..100_000).map(|n| f64::from(n - 20_000) / 7.0));
        assert!(many.sketched);
        for percent in [1, 10, 30, 50, 90, 99] {
            let place = f64::from(percent) / 100.0;
            let exact = (place * 99_999.0 - 20_000.0) / 7.0;
            let near = at(&many, place).unwrap();
            assert!(
                (near - exact).abs() <= exact.abs() * 0.004 + 0.2,
                "{percent}: {near} {exact}"
            );
        }
    }

    #[test]
    fn extremes_have_buckets() {
        for number in [0.0, 1e-300, -1e-300, 1e280, -1e280, 1.0, -1.0] {
            let middle = middle(bucket(ordered(number)));
            let expected = if number.abs() < SMALLEST {
                0.0
            } else {
                number.abs().min(LARGEST).copysign(number)
            };
            assert!((middle - expected).abs() <= expected.abs() * 0.004);
        }
    }

    fn entries(values: &Values) -> Vec<Vec<u8>> {
        let mut entries = Vec::new();
        values.entries(&mut |entry| entries.push(entry.to_vec()));
        entries
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Below, at and above the number of values that are kept exactly, cuts do not matter.
        #[test]
        fn order_and_cuts_do_not_matter(
            size in prop::sample::select(vec![10usize, 4095, 4096, 4097, 6000]),
            cut in 0usize..6000,
            factor in 1u64..1000,
        ) {
            let number = |n: usize| (n as u64 * factor % 7919) as f64 - 100.0;
            let whole = values((0..size).map(number));
            let left = values((cut..size).rev().map(number));
            let right = values((0..cut.min(size)).map(number));
            let mut merged = Values::default();
            let settings = Quantile::new(0.5).unwrap();
            for entry in entries(&left).iter().chain(&entries(&right)).rev() {
                merged.absorb(&settings, entry).unwrap();
            }
            prop_assert_eq!(&merged.counts, &whole.counts);
            prop_assert_eq!(merged.sketched, whole.sketched);
        }
    }
}
