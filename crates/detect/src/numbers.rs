//! Which numeric comparisons a value satisfies.

use haechi_rules::CompareOp;

use crate::predicate::PredicateId;

/// Comparisons of one field, sorted by threshold, so that those satisfied are a range.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    below: Vec<(f64, PredicateId)>,
    at_most: Vec<(f64, PredicateId)>,
    above: Vec<(f64, PredicateId)>,
    at_least: Vec<(f64, PredicateId)>,
    equal: Vec<(f64, PredicateId)>,
    unequal: Vec<(f64, PredicateId)>,
}

impl Numbers {
    /// Sorts the comparisons. One with NaN never holds, and is left out.
    pub(crate) fn new(tests: impl IntoIterator<Item = (CompareOp, f64, PredicateId)>) -> Self {
        let mut numbers = Self::default();
        for (op, threshold, predicate) in tests {
            if threshold.is_nan() {
                continue;
            }
            match op {
                CompareOp::Lt => &mut numbers.below,
                CompareOp::Lte => &mut numbers.at_most,
                CompareOp::Gt => &mut numbers.above,
                CompareOp::Gte => &mut numbers.at_least,
                CompareOp::Eq => &mut numbers.equal,
                CompareOp::Neq => &mut numbers.unequal,
            }
            .push((threshold, predicate));
        }
        for list in [
            &mut numbers.below,
            &mut numbers.at_most,
            &mut numbers.above,
            &mut numbers.at_least,
            &mut numbers.equal,
            &mut numbers.unequal,
        ] {
            list.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        }
        numbers
    }

    /// Whether there is nothing to compare.
    pub(crate) fn is_empty(&self) -> bool {
        self.below.is_empty()
            && self.at_most.is_empty()
            && self.above.is_empty()
            && self.at_least.is_empty()
            && self.equal.is_empty()
            && self.unequal.is_empty()
    }

    /// Calls `satisfied` with each comparison that holds for `value`; none when it is no number.
    pub(crate) fn each(&self, value: &str, satisfied: impl FnMut(PredicateId)) {
        if let Some(number) = parse(value) {
            self.each_of(number, satisfied);
        }
    }

    /// Calls `satisfied` with each comparison that holds for `number`.
    pub(crate) fn each_of(&self, number: f64, mut satisfied: impl FnMut(PredicateId)) {
        let lower = |list: &[(f64, PredicateId)]| list.partition_point(|&(t, _)| t < number);
        let upper = |list: &[(f64, PredicateId)]| list.partition_point(|&(t, _)| t <= number);
        let mut range = |list: &[(f64, PredicateId)], from: usize, to: usize| {
            let within = list.get(from..to).unwrap_or_default();
            within
                .iter()
                .for_each(|&(_, predicate)| satisfied(predicate));
        };
        range(&self.below, upper(&self.below), self.below.len());
        range(&self.at_most, lower(&self.at_most), self.at_most.len());
        range(&self.above, 0, lower(&self.above));
        range(&self.at_least, 0, upper(&self.at_least));
        range(&self.equal, lower(&self.equal), upper(&self.equal));
        range(&self.unequal, 0, lower(&self.unequal));
        range(&self.unequal, upper(&self.unequal), self.unequal.len());
    }
}

/// Reads a decimal number: an optional sign, digits with an optional point, an optional exponent, nothing around them. Not
/// `inf`, `nan` or hexadecimal, and nothing too large for a double.
pub(crate) fn parse(value: &str) -> Option<f64> {
    let decimal = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    if value.is_empty() || !value.bytes().all(decimal) {
        return None;
    }
    value.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use CompareOp::{Eq, Gt, Gte, Lt, Lte, Neq};

    #[test]
    fn only_decimal_numbers_are_numbers() {
        for text in ["0", "-1", "+2", "3.25", ".5", "5.", "1e3", "1E-3"] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in [
            "", " 1", "1 ", "0x10", "inf", "-inf", "nan", "1e999", "e", ".", "-", "1,5", "٣",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn each_comparison_is_what_its_operator_says() {
        let thresholds = [-1.5, -0.0, 0.0, 1.0, 10.0];
        let tests: Vec<_> = [Lt, Lte, Gt, Gte, Eq, Neq]
            .into_iter()
            .flat_map(|op| thresholds.map(|threshold| (op, threshold)))
            .enumerate()
            .map(|(id, (op, threshold))| (op, threshold, id as PredicateId))
            .collect();
        let numbers = Numbers::new(tests.iter().copied());
        for value in [
            "-2", "-1.5", "-0", "0", "0.0", "1", "1.0", "2", "10", "11", "ten",
        ] {
            let mut found = Vec::new();
            numbers.each(value, |id| found.push(id));
            found.sort_unstable();
            let expected: Vec<_> = tests
                .iter()
                .filter(|(op, t, _)| parse(value).is_some_and(|number| op.holds(number, *t)))
                .map(|&(_, _, id)| id)
                .collect();
            assert_eq!(found, expected, "{value}");
        }
    }
}
