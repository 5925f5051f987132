//! Which parts of a date a value has.

use haechi_rules::{CompareOp, TimePart};

use crate::moment;
use crate::numbers::Numbers;
use crate::predicate::PredicateId;

/// Comparisons of the parts of one field's dates. A value is read as a date once, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Times {
    parts: Vec<(TimePart, Numbers)>,
}

impl Times {
    /// Sorts the comparisons by part.
    pub(crate) fn new(
        tests: impl IntoIterator<Item = (TimePart, CompareOp, f64, PredicateId)>,
    ) -> Self {
        let mut by_part: Vec<(TimePart, Vec<_>)> = Vec::new();
        for (part, op, number, predicate) in tests {
            let test = (op, number, predicate);
            match by_part.iter_mut().find(|(known, _)| *known == part) {
                Some((_, list)) => list.push(test),
                None => by_part.push((part, vec![test])),
            }
        }
        let numbers = |(part, list)| (part, Numbers::new(list));
        Self {
            parts: by_part.into_iter().map(numbers).collect(),
        }
    }

    /// Whether there is nothing to compare.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Calls `satisfied` with each comparison that holds for the date; none when `value` is no date.
    pub(crate) fn each(&self, value: &str, mut satisfied: impl FnMut(PredicateId)) {
        let Some(moment) = moment::read(value) else {
            return;
        };
        for (part, numbers) in &self.parts {
            if let Some(number) = moment.part(*part) {
                numbers.each_of(f64::from(number), &mut satisfied);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_compared_by_itself() {
        let times = Times::new([
            (TimePart::Hour, CompareOp::Gte, 22.0, 0),
            (TimePart::Hour, CompareOp::Lt, 6.0, 1),
            (TimePart::Week, CompareOp::Eq, 1.0, 2),
            (TimePart::Year, CompareOp::Eq, 2024.0, 3),
        ]);
        let found = |value: &str| {
            let mut found = Vec::new();
            times.each(value, |id| found.push(id));
            found.sort_unstable();
            found
        };
        // The last Monday of 2024 is in the first week of 2025.
        assert_eq!(found("2024-12-30T23:00:00Z"), [0, 2, 3]);
        assert_eq!(found("2024-12-29T05:59:59Z"), [1, 3]);
        assert_eq!(found("2024-12-29"), [3]);
        assert!(found("yesterday").is_empty());
    }
}
