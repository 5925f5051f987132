//! Chance, repeatable to the bit: a named algorithm and our own sampling, so that a seed means the same stream with
//! every release of every dependency and on every machine.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// A seeded source of chance.
pub(super) struct Dice {
    rng: Xoshiro256PlusPlus,
}

impl Dice {
    /// The same seed gives the same throws.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0. The bias of the multiply-shift is below 2^-32 per value.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(bound) * (self.bits() >> 32)) >> 32) as u32
    }

    /// Uniform in `low..high`; `low` when the range is empty.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high.saturating_sub(low))
    }

    /// True once in `n` throws, on average.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// Any element, all alike.
    #[allow(
        clippy::indexing_slicing,
        reason = "below(len) < len; callers pass tables that are not empty"
    )]
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// Short-tailed, like response times and sizes: mostly small, sometimes up to `bound`.
    pub(super) fn skewed(&mut self, bound: u32) -> u32 {
        let bound = self.below(bound);
        self.below(bound.saturating_add(1))
    }
}

/// Weighted choice in one look-up: every choice owns a share of the slots.
pub(super) struct Deck {
    slots: Vec<u16>,
}

/// Fine enough for weights down to 1 in 4,096; a power of two.
const SLOTS: usize = 4096;

impl Deck {
    /// Draws `i` in proportion to `weights[i]`. Every choice has at least one slot, so none is ever out of reach.
    pub(super) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let weights: Vec<u64> = weights.into_iter().map(u64::from).collect();
        let total: u64 = weights.iter().sum::<u64>().max(1);
        let mut slots = Vec::with_capacity(SLOTS);
        for (choice, weight) in weights.iter().enumerate() {
            let share = (weight * SLOTS as u64 / total).max(1) as usize;
            slots.extend(std::iter::repeat_n(choice as u16, share));
        }
        // What rounding left over goes to the heaviest choices, which come first by convention.
        let mut choice = 0;
        while slots.len() < SLOTS {
            slots.push(choice);
            choice = (choice + 1) % (weights.len().max(1) as u16);
        }
        Self { slots }
    }

    /// `count` choices by rank, the k-th about 1/k as likely as the first: a few busy ones and a long tail.
    pub(super) fn zipf(count: usize) -> Self {
        Self::new((0..count as u32).map(|rank| 1_000_000 / (rank + 2)))
    }

    /// The index of a choice.
    #[allow(
        clippy::indexing_slicing,
        reason = "below(len) < len, and there are always SLOTS slots or more"
    )]
    pub(super) fn draw(&self, dice: &mut Dice) -> usize {
        usize::from(self.slots[dice.below(self.slots.len() as u32) as usize])
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself() {
        let throws = |seed| {
            let mut dice = Dice::new(seed);
            (0..100).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
    }

    #[test]
    fn a_deck_follows_its_weights_and_forgets_nobody() {
        let deck = Deck::new([700, 200, 99, 0]);
        let mut dice = Dice::new(1);
        let mut drawn = [0_u32; 4];
        for _ in 0..40_000 {
            drawn[deck.draw(&mut dice)] += 1;
        }
        assert!(drawn[0] > 3 * drawn[1] && drawn[1] > drawn[2], "{drawn:?}");
        assert!(drawn[3] > 0, "{drawn:?}");
    }

    #[test]
    fn ranges_hold() {
        let mut dice = Dice::new(3);
        for _ in 0..1000 {
            assert!((5..9).contains(&dice.between(5, 9)));
            assert!(dice.skewed(10) < 10);
        }
        assert_eq!(dice.between(5, 5), 5);
        assert_eq!(dice.below(0), 0);
    }
}
