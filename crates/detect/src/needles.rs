//! Which of many literals stand somewhere in a value.
//!
//! Each literal gives one of its windows of a few bytes, the rarest, into a table; a value is walked window by window, and
//! where the table knows one, the literals behind it are compared in place. A bitmap in front of the table answers nearly all
//! windows, from the first or second cache. A long literal can give four windows in a row, so that every fourth window of the
//! value suffices. How wide windows are depends on the literals' length, and on how many there are: wide windows are rarer, which
//! matters when the table is full; narrow ones let shorter literals take part in the long stride.
//!
//! The price, compared with an Aho-Corasick automaton, is a worse worst case: a value made so that every window is known costs a
//! comparison per literal behind the window and place. That is still linear in the value, with a factor that the rules' authors set
//! and the values' do not.

use crate::stamps::Stamps;
use crate::window::{Commonness, Place, Short, Windows};

/// With more long literals than this, wide windows are used.
const MANY: usize = 256;

/// Finds literals within values.
#[derive(Debug, Default)]
pub(crate) struct Needles {
    /// All literals, one after the other; literal `i` ends at `ends[i]`.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Every fourth window of eight bytes, for many literals of at least eleven.
    wide: Windows<8, 4>,
    /// Every fourth window of four bytes, for few literals of at least seven.
    narrow: Windows<4, 4>,
    /// Every window, for literals of at least so many bytes that are in none of the above.
    short: Short,
    one: Windows<1, 1>,
}

impl Needles {
    /// Takes distinct literals, none empty; a literal's index is its place among them.
    pub(crate) fn new<'a>(literals: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let literals: Vec<&[u8]> = literals.into_iter().collect();
        let long = literals
            .iter()
            .filter(|literal| literal.len() >= Windows::<4, 4>::SHORTEST)
            .count();
        let strided_from = if long > MANY {
            Windows::<8, 4>::SHORTEST
        } else {
            Windows::<4, 4>::SHORTEST
        };
        let of_length = |lengths: std::ops::Range<usize>| {
            let numbered = literals.iter().copied().zip(0..);
            numbered.filter(move |(literal, _)| lengths.contains(&literal.len()))
        };
        let commonness = Commonness::among(&literals);
        let strided = || of_length(strided_from..usize::MAX);
        let (wide, narrow) = if long > MANY {
            (Windows::new(strided(), &commonness), Windows::default())
        } else {
            (Windows::default(), Windows::new(strided(), &commonness))
        };
        let mut ends = Vec::with_capacity(literals.len());
        let mut bytes = Vec::new();
        for literal in &literals {
            bytes.extend_from_slice(literal);
            ends.push(bytes.len() as u32);
        }
        Self {
            bytes,
            ends,
            wide,
            narrow,
            short: Short::new(
                of_length(4..strided_from),
                of_length(3..4),
                of_length(2..3),
                &commonness,
            ),
            one: Windows::new(of_length(1..2), &commonness),
        }
    }

    /// How many literals there are.
    pub(crate) fn count(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Bytes that all this takes.
    pub(crate) fn size(&self) -> usize {
        let tables = self.wide.size() + self.narrow.size() + self.short.size() + self.one.size();
        self.bytes.len() + self.ends.len() * size_of::<u32>() + tables
    }

    /// Calls `visit` with the index of each literal that stands in `value`, once. `found` is scratch, for as many literals.
    pub(crate) fn each_within(&self, value: &[u8], found: &mut Stamps, mut visit: impl FnMut(u32)) {
        found.clear();
        let mut search = Search {
            needles: self,
            value,
            found,
            visit: &mut visit,
        };
        self.wide
            .each_known(value, |at, places| search.check(at, places));
        self.narrow
            .each_known(value, |at, places| search.check(at, places));
        self.short
            .each_known(value, |at, places| search.check(at, places));
        self.one
            .each_known(value, |at, places| search.check(at, places));
    }

    fn literal(&self, index: u32) -> &[u8] {
        let end_of = |index: u32| self.ends.get(index as usize).map_or(0, |&end| end as usize);
        let start = index.checked_sub(1).map_or(0, end_of);
        self.bytes.get(start..end_of(index)).unwrap_or_default()
    }
}

/// One walk over a value.
struct Search<'a, V> {
    needles: &'a Needles,
    value: &'a [u8],
    found: &'a mut Stamps,
    visit: &'a mut V,
}

impl<V: FnMut(u32)> Search<'_, V> {
    /// Compares the literals that have these places in windows, one of which may stand at `at` in the value.
    #[inline(never)] // Rare, and six loops call it.
    fn check(&mut self, at: usize, places: &[Place]) {
        for place in places {
            let Some(start) = place.start(self.value, at) else {
                continue;
            };
            if self.found.contains(place.literal) {
                continue;
            }
            let literal = self.needles.literal(place.literal);
            if self.value.get(start..start + literal.len()) == Some(literal) {
                self.found.insert(place.literal);
                (self.visit)(place.literal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn found(literals: &BTreeSet<String>, value: &str) -> BTreeSet<u32> {
        let needles = Needles::new(literals.iter().map(|literal| literal.as_bytes()));
        let mut found = BTreeSet::new();
        let mut scratch = Stamps::new(literals.len());
        needles.each_within(value.as_bytes(), &mut scratch, |index| {
            assert!(found.insert(index))
        });
        found
    }

    fn expected(literals: &BTreeSet<String>, value: &str) -> BTreeSet<u32> {
        let within = literals
            .iter()
            .zip(0..)
            .filter(|(literal, _)| value.contains(literal.as_str()));
        within.map(|(_, index)| index).collect()
    }

    #[test]
    fn no_literals_are_nowhere() {
        assert!(found(&BTreeSet::new(), "").is_empty());
        assert!(found(&BTreeSet::new(), "abcdefgh").is_empty());
    }

    #[test]
    fn literals_of_every_length_are_found_at_every_place() {
        let alphabet = "abcdefghijklmnopqrstuvwxyz";
        for length in 1..12 {
            for start in 0..=26 - length {
                let literals = BTreeSet::from([alphabet[start..start + length].to_owned()]);
                assert_eq!(found(&literals, alphabet).len(), 1, "{literals:?}");
            }
        }
    }

    #[test]
    fn a_literal_may_be_longer_than_what_is_looked_at_first() {
        let literal = "ab".repeat(30_000) + "c";
        let literals = BTreeSet::from([literal.clone(), "xyz".to_owned()]);
        assert_eq!(found(&literals, &literal).len(), 1);
        assert_eq!(found(&literals, &literal.replace('c', "d")).len(), 0);
        assert_eq!(found(&literals, &format!("xyz{literal}")).len(), 2);
    }

    /// Some twelve hundred, of two to five letters.
    fn short_literals(mut seed: u64) -> BTreeSet<String> {
        let mut number = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let letters: Vec<char> = "abcdefghijé".chars().collect();
        let mut literal = || -> String {
            let letters = (0..2 + number(4)).map(|_| letters[number(11) as usize]);
            letters.collect()
        };
        (0..1500).map(|_| literal()).collect()
    }

    proptest! {
        #[test]
        fn few_literals(literals in proptest::collection::btree_set("[ab\0]{1,9}", 0..12), value in "[abc\0]{0,24}") {
            prop_assert_eq!(found(&literals, &value), expected(&literals, &value));
        }

        #[test]
        fn many_short_literals(seed: u64, value in "[a-kéà]{0,40}") {
            let literals = short_literals(seed);
            prop_assert_eq!(found(&literals, &value), expected(&literals, &value));
        }

        #[test]
        fn many_literals(literals in proptest::collection::btree_set("[ab]{7,12}", MANY + 1..MANY + 50), value in "[ab]{0,40}") {
            prop_assert_eq!(found(&literals, &value), expected(&literals, &value));
        }
    }
}
