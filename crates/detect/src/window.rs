//! A table of byte windows, to walk over values.

use rustc_hash::FxHashMap;

/// Bits of the bitmap per window, at least, so that few others share a window's bit …
const BITS_PER_WINDOW: usize = 16;
/// … where every window of a value is looked up …
const BITS_PER_DENSE_WINDOW: usize = 32;
/// … and where that makes a bitmap of less than so many bits, which stays in the first cache.
const BITS_PER_WINDOW_OF_FEW: usize = 128;
const FEW_BITS: usize = 1 << 16;
/// Up to so many beginnings of short literals, the bitmaps behind are smaller than one that is asked first.
const FEW_SHORT: usize = 1000;
/// Bits for one entry of the table of places.
const BITS_PER_BUCKET: usize = 16;

/// Windows of `WIDTH` bytes from literals, and where in the literals they stand. Values are walked in steps of `STEP`.
#[derive(Debug, Default)]
pub(crate) struct Windows<const WIDTH: usize, const STEP: usize> {
    /// One bit per hash of a window. Empty, or a power of two of bits.
    bitmap: Vec<u64>,
    /// From a product to its upper bits, the hash.
    shift: u32,
    /// Where in `places` those end whose hash, without its lowest bits, is the index.
    ends: Vec<u32>,
    /// In the order of their windows' hashes.
    places: Vec<Place>,
}

/// A window's place in a literal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The literal's index.
    pub(crate) literal: u32,
    /// Bytes before the window.
    offset: u16,
    /// Bytes before the witness; [`NO_WITNESS`] where the literal is shorter than that.
    before_witness: u16,
    /// Four bytes of the literal, of those that the window has not where it can be. They are here, and the literal is not.
    witness: [u8; 4],
}

const NO_WITNESS: u16 = u16::MAX;
/// Windows are taken from so many bytes that a literal begins with.
const BEGINNING: usize = 1 << 15;

impl Place {
    fn new(literal: &[u8], index: u32, offset: usize, width: usize) -> Self {
        let behind = (offset + width).min(literal.len().saturating_sub(4));
        let witness = literal.get(behind..).and_then(|rest| rest.first_chunk());
        Self {
            literal: index,
            offset: offset as u16,
            before_witness: witness.map_or(NO_WITNESS, |_| behind as u16),
            witness: witness.copied().unwrap_or_default(),
        }
    }

    /// Where the literal begins in `value` if this window of it stands at `at`; none where the value is known not to have it there.
    #[inline]
    pub(crate) fn start(&self, value: &[u8], at: usize) -> Option<usize> {
        let start = at.checked_sub(usize::from(self.offset))?;
        if self.before_witness != NO_WITNESS {
            let rest = value.get(start + usize::from(self.before_witness)..)?;
            if rest.first_chunk() != Some(&self.witness) {
                return None;
            }
        }
        Some(start)
    }
}

impl<const WIDTH: usize, const STEP: usize> Windows<WIDTH, STEP> {
    /// The shortest literal that has as many successive windows as a step has places.
    pub(crate) const SHORTEST: usize = WIDTH + STEP - 1;

    /// A table of literals (none shorter than [`Self::SHORTEST`]) with their indices, each by its rarest windows.
    pub(crate) fn new<'a>(
        literals: impl Iterator<Item = (&'a [u8], u32)>,
        commonness: &Commonness,
    ) -> Self {
        let mut windows = Vec::new();
        for (literal, index) in literals {
            let beginning = literal.get(..BEGINNING).unwrap_or(literal);
            let first = commonness.rarest(beginning, WIDTH, STEP);
            let rarest = literal
                .array_windows::<WIDTH>()
                .enumerate()
                .skip(first)
                .take(STEP);
            windows.extend(rarest.map(|(offset, bytes)| {
                let place = Place::new(literal, index, offset, WIDTH);
                (product(bytes), place)
            }));
        }
        if windows.is_empty() {
            return Self::default();
        }
        windows.sort_by_key(|&(product, _)| product);
        let bits_for = |per_window: usize| (windows.len() * per_window).next_power_of_two();
        let least = if STEP == 1 {
            BITS_PER_DENSE_WINDOW
        } else {
            BITS_PER_WINDOW
        };
        let bits = bits_for(least)
            .max(bits_for(BITS_PER_WINDOW_OF_FEW).min(FEW_BITS))
            .max(64);
        let mut table = Self {
            bitmap: vec![0; bits / 64],
            shift: u64::BITS - bits.trailing_zeros(),
            ends: vec![0; bits / BITS_PER_BUCKET],
            places: windows.iter().map(|&(_, place)| place).collect(),
        };
        for ((product, _), end) in windows.into_iter().zip(1..) {
            let hash = (product >> table.shift) as usize;
            if let Some(word) = table.bitmap.get_mut(hash / 64) {
                *word |= 1 << (hash % 64);
            }
            if let Some(last) = table.ends.get_mut(hash / BITS_PER_BUCKET) {
                *last = end;
            }
        }
        // A hash that none has ends where the one before does.
        let mut before = 0;
        for end in &mut table.ends {
            before = before.max(*end);
            *end = before;
        }
        table
    }

    /// Calls `visit` wherever in `value` a window stands that may be one of the table, with the places in literals that it may have.
    #[inline]
    pub(crate) fn each_known(&self, value: &[u8], mut visit: impl FnMut(usize, &[Place])) {
        if self.places.is_empty() {
            return;
        }
        if STEP == 1 {
            for (at, window) in value.array_windows::<WIDTH>().enumerate() {
                self.look(product(window), |places| visit(at, places));
            }
        } else {
            let mut rest = value;
            let mut at = 0;
            while let Some(window) = rest.first_chunk::<WIDTH>() {
                self.look(product(window), |places| visit(at, places));
                rest = rest.get(STEP..).unwrap_or_default();
                at += STEP;
            }
        }
    }

    /// Calls `visit` with the places of a window, by its product, if the table may have it.
    #[inline]
    fn look(&self, product: u64, visit: impl FnOnce(&[Place])) {
        let hash = product.wrapping_shr(self.shift) as usize;
        let word = self.bitmap.get(hash / 64).copied().unwrap_or(0);
        if word >> (hash % 64) & 1 == 1 {
            visit(self.places(hash / BITS_PER_BUCKET));
        }
    }

    fn places(&self, bucket: usize) -> &[Place] {
        let end_of = |bucket: usize| self.ends.get(bucket).map_or(0, |&end| end as usize);
        let start = bucket.checked_sub(1).map_or(0, end_of);
        self.places.get(start..end_of(bucket)).unwrap_or_default()
    }

    /// Bytes that the table takes.
    pub(crate) fn size(&self) -> usize {
        self.bitmap.len() * size_of::<u64>()
            + self.ends.len() * size_of::<u32>()
            + self.places.len() * size_of::<Place>()
    }
}

/// Literals that are walked step by step, in one walk.
#[derive(Debug, Default)]
pub(crate) struct Short {
    /// What the three bytes at a place say of all that follows; none where there are few literals.
    starts: Option<Box<Starts>>,
    four: Windows<4, 1>,
    three: Windows<3, 1>,
    two: Windows<2, 1>,
    /// Literals of two bytes that are no ASCII, as many letters are: for values that are not either.
    foreign: Windows<2, 1>,
}

impl Short {
    /// Literals with their indices: of at least four bytes, of three and of two.
    pub(crate) fn new<'a>(
        four: impl Iterator<Item = (&'a [u8], u32)> + Clone,
        three: impl Iterator<Item = (&'a [u8], u32)> + Clone,
        two: impl Iterator<Item = (&'a [u8], u32)> + Clone,
        commonness: &Commonness,
    ) -> Self {
        let ascii = |wanted: bool| {
            two.clone()
                .filter(move |(literal, _)| literal.is_ascii() == wanted)
        };
        let mut starts = Starts::default();
        for (literal, _) in four.clone() {
            let beginning = literal.get(..BEGINNING).unwrap_or(literal);
            let first = commonness.rarest(beginning, 4, 1);
            starts.add(literal.get(first..).unwrap_or_default());
        }
        for (literal, _) in three.clone() {
            starts.add(literal);
        }
        for (literal, _) in ascii(true) {
            (0..=u8::MAX).for_each(|next| starts.add(&[literal, &[next]].concat()));
        }
        Self {
            starts: (starts.count > FEW_SHORT).then(|| Box::new(starts)),
            four: Windows::new(four, commonness),
            three: Windows::new(three, commonness),
            two: Windows::new(ascii(true), commonness),
            foreign: Windows::new(ascii(false), commonness),
        }
    }

    /// As [`Windows::each_known`].
    pub(crate) fn each_known(&self, value: &[u8], mut visit: impl FnMut(usize, &[Place])) {
        if let Some(starts) = &self.starts {
            for (at, window) in value.array_windows::<4>().enumerate() {
                if starts.have(window) {
                    self.look(value, at, &mut visit);
                }
            }
            // The narrower ones fit in where four bytes no longer do.
            for at in value.len().saturating_sub(3)..value.len() {
                self.look(value, at, &mut visit);
            }
        } else {
            self.four.each_known(value, &mut visit);
            self.three.each_known(value, &mut visit);
            self.two.each_known(value, &mut visit);
        }
        if !self.foreign.places.is_empty() && !value.is_ascii() {
            self.foreign.each_known(value, visit);
        }
    }

    /// Looks a place up at which something may begin.
    #[inline(never)] // Rare; and the walk is as fast as it is short.
    fn look(&self, value: &[u8], at: usize, visit: &mut impl FnMut(usize, &[Place])) {
        let rest = value.get(at..).unwrap_or_default();
        if let Some(window) = rest.first_chunk::<4>() {
            self.four.look(product(window), |places| visit(at, places));
        }
        if let Some(window) = rest.first_chunk::<3>() {
            self.three.look(product(window), |places| visit(at, places));
        }
        if let Some(window) = rest.first_chunk::<2>() {
            self.two.look(product(window), |places| visit(at, places));
        }
    }

    /// Bytes that the tables take.
    pub(crate) fn size(&self) -> usize {
        let starts = self
            .starts
            .as_ref()
            .map_or(0, |starts| size_of_val(&**starts));
        let twos = self.two.size() + self.foreign.size();
        self.four.size() + self.three.size() + twos + starts
    }
}

/// Three bytes that something begins with, a bit for each hash of them: in the first cache, and of a size that needs no looking up.
#[derive(Debug)]
struct Starts {
    bits: [u64; 1 << (Self::BITS - 6)],
    count: usize,
}

impl Default for Starts {
    fn default() -> Self {
        Self {
            bits: [0; 1 << (Self::BITS - 6)],
            count: 0,
        }
    }
}

impl Starts {
    /// Literals of a field begin with some thousand different ones at most: about one bit in fifty is set.
    const BITS: u32 = 17;

    fn add(&mut self, literal: &[u8]) {
        if let Some(&[a, b, c]) = literal.first_chunk() {
            let hash = Self::hash(&[a, b, c, 0]);
            if let Some(word) = self.bits.get_mut(hash / 64) {
                *word |= 1 << (hash % 64);
            }
            self.count += 1;
        }
    }

    /// Whether something may begin with the first three of these bytes.
    #[inline]
    fn have(&self, window: &[u8; 4]) -> bool {
        let hash = Self::hash(window);
        let word = self.bits.get(hash / 64).copied().unwrap_or(0);
        word >> (hash % 64) & 1 == 1
    }

    /// Of the first three bytes. All four are loaded, for that is one instruction, and the last one is shifted out.
    #[inline]
    fn hash(window: &[u8; 4]) -> usize {
        let three = u64::from(u32::from_le_bytes(*window) << 8);
        (multiplied(three) >> (u64::BITS - Self::BITS)) as usize
    }
}

/// A number whose upper bits depend on all bytes of a window.
#[inline]
fn product<const WIDTH: usize>(window: &[u8; WIDTH]) -> u64 {
    // Written so that it compiles to one load.
    let mut bytes = [0; 8];
    if let Some(start) = bytes.first_chunk_mut() {
        *start = *window;
    }
    multiplied(u64::from_le_bytes(bytes))
}

#[inline]
fn multiplied(bytes: u64) -> u64 {
    bytes.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// How common windows are expected to be in values: those that many literals share are, and so are those of common letters.
pub(crate) struct Commonness {
    /// How many times four bytes stand in literals.
    shared: FxHashMap<[u8; 4], u32>,
}

impl Commonness {
    /// Learns from literals.
    pub(crate) fn among(literals: &[&[u8]]) -> Self {
        let mut shared = FxHashMap::default();
        for bytes in literals.iter().flat_map(|literal| literal.array_windows()) {
            *shared.entry(*bytes).or_insert(0) += 1;
        }
        Self { shared }
    }

    /// Where the `count` successive windows of `width` bytes begin that are the rarest in sum.
    fn rarest(&self, literal: &[u8], width: usize, count: usize) -> usize {
        // A wide window is as rare as its rarest four bytes; of narrower ones nothing is known.
        let Some(fours_in_window) = width.checked_sub(3).filter(|&fours| fours > 0) else {
            return 0;
        };
        let fours: Vec<f32> = literal.array_windows().map(|four| self.of(four)).collect();
        let rarest_four = |fours: &[f32]| fours.iter().copied().fold(f32::INFINITY, f32::min);
        let windows: Vec<f32> = fours.windows(fours_in_window).map(rarest_four).collect();
        let sums = windows.windows(count).map(|sums| sums.iter().sum::<f32>());
        let rarest = sums.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        rarest.map_or(0, |(offset, _)| offset)
    }

    fn of(&self, four: &[u8; 4]) -> f32 {
        let shared = self.shared.get(four).copied().unwrap_or(1);
        let letters: f32 = four.iter().map(|&byte| frequency(byte)).product();
        shared as f32 + 1e5 * letters
    }
}

/// About how often a byte occurs in folded log text.
fn frequency(byte: u8) -> f32 {
    match byte {
        b'e' | b' ' | b'0' => 0.06,
        b't' | b's' | b'o' | b'i' | b'r' | b'n' | b'a' => 0.05,
        b'c' | b'd' | b'l' | b'm' | b'p' | b'u' | b'\\' | b'.' | b'1'..=b'9' => 0.03,
        b'b' | b'f' | b'g' | b'h' | b'v' | b'w' | b'x' | b'y' | b'k' | b'-' | b':' | b'/'
        | b'_' => 0.015,
        _ => 0.005,
    }
}
