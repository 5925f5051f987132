//! Which of many literals a value starts (or ends) with.

/// Literals in the order of their bytes, each linked to the longest other one that it starts with.
///
/// The literals that a value starts with form one chain of such links, and it passes through (or begins above) the last
/// literal that is not greater than the value: one binary search and a short walk find all of them, with no automaton
/// to build or hold. Suffixes are prefixes read backwards.
#[derive(Debug, Default)]
pub(crate) struct Affixes {
    /// All literals, one after the other.
    bytes: Vec<u8>,
    /// Where literal `i` ends in `bytes`; it starts where the one before ends.
    ends: Vec<u32>,
    /// The longest literal that literal `i` starts with, or [`NONE`].
    parents: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Affixes {
    /// Takes literals in strictly ascending order of their bytes (written backwards, to look for suffixes). A literal's
    /// index is its place in that order.
    pub(crate) fn from_sorted<'a>(literals: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut set = Self::default();
        let mut open: Vec<u32> = Vec::new();
        for literal in literals {
            while let Some(&top) = open.last()
                && !literal.starts_with(set.literal(top))
            {
                open.pop();
            }
            let index = set.ends.len() as u32;
            set.parents.push(open.last().copied().unwrap_or(NONE));
            set.bytes.extend_from_slice(literal);
            set.ends.push(set.bytes.len() as u32);
            open.push(index);
        }
        set
    }

    /// Whether there are no literals.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Calls `found` with the index of each literal that the bytes start with, longest first.
    pub(crate) fn each_start<I>(&self, value: I, mut found: impl FnMut(u32))
    where
        I: Iterator<Item = u8> + Clone,
    {
        let mut current = match self.last_not_after(value.clone()) {
            Some(index) => index,
            None => return,
        };
        while current != NONE && !starts_with(value.clone(), self.literal(current)) {
            current = self.parent(current);
        }
        while current != NONE {
            found(current);
            current = self.parent(current);
        }
    }

    /// The index of the last literal that is not greater than the value.
    fn last_not_after(&self, value: impl Iterator<Item = u8> + Clone) -> Option<u32> {
        let (mut low, mut high) = (0, self.ends.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.literal(middle).iter().copied().le(value.clone()) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    fn parent(&self, index: u32) -> u32 {
        self.parents.get(index as usize).copied().unwrap_or(NONE)
    }

    fn literal(&self, index: u32) -> &[u8] {
        let end_of = |index: u32| self.ends.get(index as usize).map_or(0, |&end| end as usize);
        let start = index.checked_sub(1).map_or(0, end_of);
        self.bytes.get(start..end_of(index)).unwrap_or_default()
    }
}

fn starts_with(mut value: impl Iterator<Item = u8>, literal: &[u8]) -> bool {
    literal.iter().all(|&byte| value.next() == Some(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn found(set: &Affixes, value: &str) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        set.each_start(value.bytes(), |index| assert!(found.insert(index)));
        found
    }

    #[test]
    fn nested_literals_are_all_found() {
        let set = Affixes::from_sorted(["", "a", "ab", "abd", "b"].map(str::as_bytes));
        assert_eq!(found(&set, "abc"), BTreeSet::from([0, 1, 2]));
        assert_eq!(found(&set, "zzz"), BTreeSet::from([0]));
        assert_eq!(found(&set, ""), BTreeSet::from([0]));
    }

    proptest! {
        #[test]
        fn agrees_with_starts_with(
            literals in proptest::collection::btree_set("[ab]{0,4}", 0..12),
            value in "[abc]{0,6}",
        ) {
            let set = Affixes::from_sorted(literals.iter().map(|l| l.as_bytes()));
            let expected: BTreeSet<u32> = literals
                .iter()
                .enumerate()
                .filter(|(_, literal)| value.starts_with(literal.as_str()))
                .map(|(index, _)| index as u32)
                .collect();
            prop_assert_eq!(found(&set, &value), expected);
        }
    }
}
