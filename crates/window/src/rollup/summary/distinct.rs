//! `approx_distinct`: how many different values there are; exact while there are few, within 1.6% (one standard error) beyond.
//!
//! Up to [`EXACT`] different values a group keeps a hash of each. Beyond that it keeps the registers of a HyperLogLog (Flajolet et
//! al. 2007) with Ertl's estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017). Both are functions of
//! the set of values. DataFusion's own sketch takes hashes that may differ from one processor to another.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use datafusion_common::Result;

use super::super::key::KeyKind;
use super::Summary;
use super::datum::Datum;

/// Up to so many values are counted exactly.
const EXACT: usize = 1024;
/// Bits of a hash that choose a register.
const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;
/// Bits of a hash that are left for the rank.
const REST: u32 = 64 - BITS;
/// How many hashes go into one entry.
const PER_ENTRY: usize = 256;

const HASHES: u8 = 0;
const SKETCH: u8 = 1;

#[derive(Default)]
pub(super) struct Distinct {
    hashes: BTreeSet<u64>,
    /// For each register the greatest rank; the hashes are then empty.
    registers: Option<Box<[u8; REGISTERS]>>,
}

impl Distinct {
    fn insert(&mut self, hash: u64) {
        match &mut self.registers {
            Some(registers) => raise(registers, hash),
            None => {
                self.hashes.insert(hash);
                if self.hashes.len() > EXACT {
                    self.sketch();
                }
            }
        }
    }

    fn sketch(&mut self) -> &mut [u8; REGISTERS] {
        let hashes = std::mem::take(&mut self.hashes);
        let registers = self
            .registers
            .get_or_insert_with(|| Box::new([0; REGISTERS]));
        for hash in hashes {
            raise(registers, hash);
        }
        registers
    }

    fn estimate(&self) -> i64 {
        match &self.registers {
            None => i64::try_from(self.hashes.len()).unwrap_or(i64::MAX),
            Some(registers) => estimate(registers),
        }
    }
}

fn raise(registers: &mut [u8; REGISTERS], hash: u64) {
    let index = usize::try_from(hash >> REST).unwrap_or(0);
    // The place of the first one among the bits that did not choose the register, from 1.
    let rank = ((hash << BITS).leading_zeros() + 1).min(REST + 1);
    if let (Some(register), Ok(rank)) = (registers.get_mut(index), u8::try_from(rank)) {
        *register = (*register).max(rank);
    }
}

/// Ertl's improved raw estimator, algorithm 6. It multiplies, divides and takes square roots only: the same everywhere.
fn estimate(registers: &[u8; REGISTERS]) -> i64 {
    let mut ranks = [0u32; REST as usize + 2];
    for &rank in registers {
        if let Some(count) = ranks.get_mut(usize::from(rank)) {
            *count += 1;
        }
    }
    let size = f64::from(1u32 << BITS);
    let part = |rank: usize| f64::from(ranks.get(rank).copied().unwrap_or(0)) / size;
    let last = REST as usize + 1;
    let mut z = size * tau(1.0 - part(last));
    for rank in (1..last).rev() {
        z = 0.5 * (z + size * part(rank));
    }
    z += size * sigma(part(0));
    let scale = 0.5 / std::f64::consts::LN_2;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "it is rounded and positive"
    )]
    let estimate = (scale * size * size / z).round() as i64;
    estimate
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

impl Summary for Distinct {
    type Settings = KeyKind;

    fn add(&mut self, kind: &KeyKind, arguments: &[ArrayRef], row: usize) {
        let Some(argument) = arguments.first() else {
            return;
        };
        let value = Datum::of(*kind, argument, row);
        if value != Datum::Null {
            let mut bytes = Vec::new();
            value.put(&mut bytes);
            let hash = blake3::hash(&bytes);
            self.insert(
                hash.as_bytes()
                    .first_chunk()
                    .map_or(0, |bytes| u64::from_le_bytes(*bytes)),
            );
        }
    }

    fn absorb(&mut self, _: &KeyKind, entry: &[u8]) -> Option<()> {
        let (&kind, rest) = entry.split_first()?;
        match kind {
            HASHES => {
                let (hashes, []) = rest.as_chunks() else {
                    return None;
                };
                for hash in hashes {
                    self.insert(u64::from_le_bytes(*hash));
                }
            }
            SKETCH if rest.len() == REGISTERS => {
                for (register, &rank) in self.sketch().iter_mut().zip(rest) {
                    *register = (*register).max(rank.min(REST as u8 + 1));
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn entries(&self, put: &mut dyn FnMut(&[u8])) {
        if let Some(registers) = &self.registers {
            let mut entry = vec![SKETCH];
            entry.extend(registers.iter());
            put(&entry);
        }
        let hashes: Vec<u64> = self.hashes.iter().copied().collect();
        for some in hashes.chunks(PER_ENTRY) {
            let mut entry = vec![HASHES];
            entry.extend(some.iter().flat_map(|hash| hash.to_le_bytes()));
            put(&entry);
        }
    }

    fn results(_: &KeyKind, groups: &[Self]) -> Result<ArrayRef> {
        let counts = groups.iter().map(|group| Some(group.estimate()));
        Ok(Arc::new(counts.collect::<Int64Array>()))
    }

    fn size(&self) -> usize {
        let registers = self.registers.as_ref().map_or(0, |_| REGISTERS);
        registers + self.hashes.len() * 2 * size_of::<u64>()
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

    fn of(numbers: impl IntoIterator<Item = u32>) -> Distinct {
        let mut distinct = Distinct::default();
        for number in numbers {
            let hash = blake3::hash(&number.to_le_bytes());
            distinct.insert(u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap()));
        }
        distinct
    }

    #[test]
    fn few_are_exact_and_many_are_near() {
        assert_eq!(of(0..0).estimate(), 0);
        assert_eq!(of((0..1024).chain(0..1024)).estimate(), 1024);
        for many in [1025u32, 5_000, 12_000, 20_000, 100_000, 1_000_000] {
            let error = of(0..many).estimate() as f64 / f64::from(many) - 1.0;
            assert!(error.abs() < 0.04, "{many}: {error}");
        }
    }

    #[test]
    fn order_and_cuts_do_not_matter() {
        for size in [100, 1023, 1024, 1025, 5000] {
            let whole = of(0..size);
            let mut merged = Distinct::default();
            for part in [of(size / 2..size), of(0..size / 3), of(size / 3..size)] {
                part.entries(&mut |entry| merged.absorb(&KeyKind::Text, entry).unwrap());
            }
            assert_eq!(merged.hashes, whole.hashes);
            assert_eq!(merged.registers, whole.registers);
        }
    }
}
