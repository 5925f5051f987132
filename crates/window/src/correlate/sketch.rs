//! Values that there is no room for by name: which were seen, roughly when, in a fixed number of bits.
//!
//! A value that the table has no room for is put into the newest of a row of Bloom filters, by the time at which it was seen last.
//! Values come in the order of these times, so each filter is of a span of time, and is dropped as a whole. Own code, because
//! its bits are part of snapshots, and must be the same in every release and on every machine.

use std::collections::VecDeque;

use crate::frame::{Bytes, Fingerprint, FrameError, corrupt, put_count};
use crate::snapshot::{Kind, Writer};

/// Most filters at a time. When another is needed, the oldest is dropped, whose values were not seen for the longest.
pub(super) const MOST_SLICES: usize = 32;
/// A filter spans at most this part of the timespan; so much longer may a value count as seen.
pub(super) const PARTS_OF_TIMESPAN: i64 = 16;
/// Bits for each of the values that a filter is for, and how many of them each value sets: of a full filter, one value in 72,000 that
/// is not in it seems to be.
const BITS_A_VALUE: usize = 24;
const HASHES: usize = 12;
/// The smallest filter, in words of 64 bits.
const LEAST_WORDS: usize = 16;
/// The largest: of ten million values, the most that a rule may ask for.
const MOST_WORDS: usize = (10_000_000 * BITS_A_VALUE).div_ceil(64);
/// Words written in one go.
const RUN: usize = 1024;

const FORGOTTEN: u8 = 0;
const SLICE: u8 = 1;
const WORDS: u8 = 2;

#[derive(Debug, Default)]
pub(super) struct Sketch {
    /// The oldest first.
    slices: VecDeque<Slice>,
    /// Values seen last up to this time were dropped before their time.
    forgotten_ns: Option<i64>,
}

#[derive(Debug)]
struct Slice {
    /// When its values were seen last: the first of them, and the last one.
    first_ns: i64,
    last_ns: i64,
    values: usize,
    ones: usize,
    bits: Vec<u64>,
}

impl Sketch {
    /// Nothing is in it, and nothing was dropped.
    pub(super) fn is_empty(&self) -> bool {
        self.slices.is_empty() && self.forgotten_ns.is_none()
    }

    /// How many values were put into it.
    pub(super) fn len(&self) -> usize {
        self.slices.iter().map(|slice| slice.values).sum()
    }

    /// Up to when values that were seen last are not known any more, though they would still count as seen.
    pub(super) fn forgotten_ns(&self) -> Option<i64> {
        self.forgotten_ns
    }

    /// Puts a value in that was seen last at this time, not before those that are in it already. A filter holds at most `room` values
    /// and a part of `timespan_ns`.
    pub(super) fn add(&mut self, value: &[u8], last_ns: i64, room: usize, timespan_ns: i64) {
        let fits = |slice: &Slice| {
            let span_ns = last_ns.saturating_sub(slice.first_ns);
            slice.values < room.min(slice.room())
                && span_ns < (timespan_ns / PARTS_OF_TIMESPAN).max(1)
        };
        if !self.slices.back().is_some_and(fits) {
            self.slices.push_back(Slice::new(room, last_ns));
            if self.slices.len() > MOST_SLICES
                && let Some(oldest) = self.slices.pop_front()
            {
                self.forgotten_ns = self.forgotten_ns.max(Some(oldest.last_ns));
            }
        }
        if let Some(slice) = self.slices.back_mut() {
            slice.add(value, last_ns);
        }
    }

    /// Whether a value seems to have been put in. Never wrong when it was.
    pub(super) fn has(&self, value: &[u8]) -> bool {
        if self.slices.is_empty() {
            return false;
        }
        let places = Places::of(value);
        self.slices.iter().any(|slice| slice.has(places))
    }

    /// Drops what does not count as seen any more.
    pub(super) fn forget(&mut self, now_ns: i64, timespan_ns: i64) {
        let is_over = |last_ns: i64| last_ns.saturating_add(timespan_ns) <= now_ns;
        while self.slices.front().is_some_and(|of| is_over(of.last_ns)) {
            self.slices.pop_front();
        }
        self.forgotten_ns = self.forgotten_ns.filter(|last_ns| !is_over(*last_ns));
    }

    /// The part of values never put in that seem to have been: from 0 to 1.
    pub(super) fn mistaken(&self) -> f64 {
        self.slices
            .iter()
            .map(Slice::mistaken)
            .sum::<f64>()
            .min(1.0)
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        let words = self.slices.iter().map(|slice| slice.bits.len());
        words.sum::<usize>() * size_of::<u64>()
    }

    /// Writes everything, for a snapshot.
    pub(super) fn save(&self, rule: &Fingerprint, writer: &mut Writer<'_>) {
        writer.begin(Kind::Sketch, rule, &[]);
        if let Some(forgotten_ns) = self.forgotten_ns {
            writer.item(|bytes| {
                bytes.push(FORGOTTEN);
                bytes.extend(forgotten_ns.to_le_bytes());
            });
        }
        for slice in &self.slices {
            writer.item(|bytes| {
                bytes.push(SLICE);
                bytes.extend(slice.first_ns.to_le_bytes());
                bytes.extend(slice.last_ns.to_le_bytes());
                put_count(bytes, slice.values);
                put_count(bytes, slice.bits.len());
            });
            for (run, number) in slice.bits.chunks(RUN).zip(0..) {
                // Filters that time has closed are mostly empty.
                if run.iter().all(|word| *word == 0) {
                    continue;
                }
                writer.item(|bytes| {
                    bytes.push(WORDS);
                    put_count(bytes, number * RUN);
                    put_count(bytes, run.len());
                    bytes.extend(run.iter().flat_map(|word| word.to_le_bytes()));
                });
            }
        }
        writer.finish();
    }

    /// Takes in what [`Self::save`] wrote.
    pub(super) fn load(&mut self, bytes: &mut Bytes<'_>) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            match bytes.array("sketch")? {
                [FORGOTTEN] => {
                    self.forgotten_ns = Some(i64::from_le_bytes(bytes.array("sketch")?));
                }
                [SLICE] => self.load_slice(bytes)?,
                [WORDS] => {
                    let from = bytes.count("words")?;
                    let words = bytes.list("words", size_of::<u64>(), |bytes| {
                        Ok(u64::from_le_bytes(bytes.array("words")?))
                    })?;
                    let slice = self.slices.back_mut();
                    let place = slice.and_then(|slice| slice.room_for(from, &words));
                    let place = place.ok_or_else(|| corrupt("words beyond their filter"))?;
                    place.copy_from_slice(&words);
                }
                [other] => return Err(corrupt(&format!("a sketch with unknown part {other}"))),
            }
        }
        Ok(())
    }

    fn load_slice(&mut self, bytes: &mut Bytes<'_>) -> Result<(), FrameError> {
        let first_ns = i64::from_le_bytes(bytes.array("sketch")?);
        let last_ns = i64::from_le_bytes(bytes.array("sketch")?);
        let values = bytes.count("sketch")?;
        let words = bytes.count("sketch")?;
        if self.slices.len() >= MOST_SLICES || !(LEAST_WORDS..=MOST_WORDS).contains(&words) {
            return Err(corrupt("a sketch that is too large"));
        }
        self.slices.push_back(Slice {
            first_ns,
            last_ns,
            values,
            ones: 0,
            bits: vec![0; words],
        });
        Ok(())
    }
}

impl Slice {
    fn new(room: usize, first_ns: i64) -> Self {
        let words = room
            .saturating_mul(BITS_A_VALUE)
            .div_ceil(64)
            .clamp(LEAST_WORDS, MOST_WORDS);
        Self {
            first_ns,
            last_ns: first_ns,
            values: 0,
            ones: 0,
            bits: vec![0; words],
        }
    }

    /// How many values it is for. It may have been made when fewer were asked for.
    fn room(&self) -> usize {
        self.bits.len() * 64 / BITS_A_VALUE
    }

    fn add(&mut self, value: &[u8], last_ns: i64) {
        self.last_ns = self.last_ns.max(last_ns);
        self.values = self.values.saturating_add(1);
        for (word, bit) in Places::of(value).within(self.bits.len()) {
            if let Some(word) = self.bits.get_mut(word) {
                self.ones += usize::from(*word & bit == 0);
                *word |= bit;
            }
        }
    }

    fn has(&self, places: Places) -> bool {
        let is_set = |(word, bit)| self.bits.get(word).is_some_and(|word| word & bit != 0);
        places.within(self.bits.len()).all(is_set)
    }

    /// The part of other values that seem to be in it: that all of their bits happen to be set.
    fn mistaken(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "below 2^28 bits")]
        let full = self.ones as f64 / (self.bits.len() * 64) as f64;
        // Multiplied one by one: the result has to be the same on every machine.
        (0..HASHES).fold(1.0, |product, _| product * full)
    }

    /// Where words that were read belong. They count as set from here on.
    fn room_for(&mut self, from: usize, words: &[u64]) -> Option<&mut [u64]> {
        let place = self.bits.get_mut(from..from.checked_add(words.len())?)?;
        let ones = |words: &[u64]| -> usize { words.iter().map(|w| w.count_ones() as usize).sum() };
        self.ones = (self.ones + ones(words)).saturating_sub(ones(place));
        Some(place)
    }
}

/// Where a value's bits are, in a filter of any size.
#[derive(Debug, Clone, Copy)]
struct Places {
    at: u64,
    step: u64,
}

impl Places {
    fn of(value: &[u8]) -> Self {
        let hash = blake3::hash(value);
        let (at, rest) = hash
            .as_bytes()
            .split_first_chunk()
            .unwrap_or((&[0; 8], &[]));
        let step = rest.first_chunk().copied().unwrap_or_default();
        Self {
            at: u64::from_le_bytes(*at),
            step: u64::from_le_bytes(step) | 1,
        }
    }

    /// Words and their bits, in a filter of so many words.
    fn within(self, words: usize) -> impl Iterator<Item = (usize, u64)> {
        let bits = words as u128 * 64;
        (0..HASHES as u64).map(move |number| {
            let hash = self.at.wrapping_add(number.wrapping_mul(self.step));
            // The upper half of the product: even over all bits, without a division.
            #[allow(clippy::cast_possible_truncation, reason = "below the number of bits")]
            let bit = ((u128::from(hash) * bits) >> 64) as usize;
            (bit / 64, 1 << (bit % 64))
        })
    }
}
