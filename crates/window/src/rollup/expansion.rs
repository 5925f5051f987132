//! Sums of floating point numbers that do not depend on the order of the numbers.
//!
//! Floating point addition is not associative: added up in another order, or cut into other partials, the same numbers give
//! another sum in the last digits, and a rollup would change with the number of workers. So a group holds its sum exactly, as a few
//! numbers that do not overlap (Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates",
//! 1997, GROW-EXPANSION), and rounds once, at the end. For whole numbers below 2^53 that is one number.

/// The exact sum of some doubles: numbers of growing magnitude that do not overlap.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expansion {
    parts: Vec<f64>,
}

impl Expansion {
    /// Adds a finite number.
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

    /// Adds the exact product of two numbers; exact unless it is smaller than any normal double.
    pub(super) fn add_product(&mut self, left: f64, right: f64) {
        let product = left * right;
        let rest = left.mul_add(right, -product);
        self.add(product);
        if rest != 0.0 {
            self.add(rest);
        }
    }

    /// The exact product of two sums.
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = Self::default();
        for &left in &self.parts {
            for &right in &other.parts {
                product.add_product(left, right);
            }
        }
        product
    }

    /// This sum without another one.
    pub(super) fn minus(mut self, other: &Self) -> Self {
        for &part in &other.parts {
            self.add(-part);
        }
        self
    }

    /// The numbers that add up to it, by growing magnitude.
    pub(super) fn parts(&self) -> &[f64] {
        &self.parts
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

    #[test]
    fn products_are_exact() {
        let x = 1.0 + f64::EPSILON;
        let mut square = Expansion::default();
        square.add_product(x, x);
        let rest = square.clone().minus(&sum([1.0, 2.0 * f64::EPSILON]));
        assert_eq!(rest.round(), f64::EPSILON * f64::EPSILON);
        assert_eq!(sum([x]).times(&sum([x])).minus(&square).round(), 0.0);
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
