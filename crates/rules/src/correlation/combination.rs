//! Which of a correlation's rules must match, and which must not.

use serde::{Deserialize, Serialize};

/// A condition over the rules of a correlation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Combination {
    /// The rule at this position of the correlation's `rules` matched.
    Rule(usize),
    /// Not this.
    Not(Box<Combination>),
    /// All of these.
    And(Vec<Combination>),
    /// At least one of these.
    Or(Vec<Combination>),
}

impl Combination {
    /// Whether it holds where `matched` says which rules matched.
    pub fn holds(&self, matched: &impl Fn(usize) -> bool) -> bool {
        match self {
            Self::Rule(position) => matched(*position),
            Self::Not(inner) => !inner.holds(matched),
            Self::And(parts) => parts.iter().all(|part| part.holds(matched)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(matched)),
        }
    }

    /// Calls `visit` with the position of every mention of a rule and whether an even number of `not` stands before it, in the
    /// order written.
    pub fn mentions(&self, visit: &mut impl FnMut(usize, bool)) {
        self.walk(true, visit);
    }

    /// Whether some rule must not match.
    pub fn has_absence(&self) -> bool {
        let mut absence = false;
        self.mentions(&mut |_, positive| absence |= !positive);
        absence
    }

    /// The ways to satisfy it, as (rules that must match, rules that must not), each sorted and without repetition; none when
    /// there are more than `limit`. A way that asks a rule both to match and not to is left out.
    pub fn ways(&self, limit: usize) -> Option<Vec<(Vec<usize>, Vec<usize>)>> {
        let mut ways = self.expand(true, limit)?;
        for (present, absent) in &mut ways {
            present.sort_unstable();
            present.dedup();
            absent.sort_unstable();
            absent.dedup();
        }
        ways.retain(|(present, absent)| present.iter().all(|rule| !absent.contains(rule)));
        ways.sort();
        ways.dedup();
        Some(ways)
    }

    fn walk(&self, positive: bool, visit: &mut impl FnMut(usize, bool)) {
        match self {
            Self::Rule(position) => visit(*position, positive),
            Self::Not(inner) => inner.walk(!positive, visit),
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().for_each(|part| part.walk(positive, visit));
            }
        }
    }

    fn expand(&self, positive: bool, limit: usize) -> Option<Vec<(Vec<usize>, Vec<usize>)>> {
        let (parts, all) = match self {
            Self::Rule(position) if positive => return Some(vec![(vec![*position], Vec::new())]),
            Self::Rule(position) => return Some(vec![(Vec::new(), vec![*position])]),
            Self::Not(inner) => return inner.expand(!positive, limit),
            Self::And(parts) => (parts, positive),
            Self::Or(parts) => (parts, !positive),
        };
        let mut ways = if all {
            vec![(Vec::new(), Vec::new())]
        } else {
            Vec::new()
        };
        for part in parts {
            let more = part.expand(positive, limit)?;
            if !all {
                ways.extend(more);
            } else if ways.len().saturating_mul(more.len()) > limit {
                return None;
            } else {
                let both = |way: &(Vec<usize>, Vec<usize>)| {
                    let (present, absent) = way.clone();
                    more.iter().map(move |(also, neither)| {
                        let present = present.iter().chain(also).copied().collect();
                        let absent = absent.iter().chain(neither).copied().collect();
                        (present, absent)
                    })
                };
                ways = ways.iter().flat_map(both).collect();
            }
            if ways.len() > limit {
                return None;
            }
        }
        Some(ways)
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
    use proptest::prelude::*;

    use super::*;

    fn combination() -> impl Strategy<Value = Combination> {
        let leaf = (0usize..5).prop_map(Combination::Rule);
        leaf.prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|of| Combination::Not(Box::new(of))),
                prop::collection::vec(inner.clone(), 1..4).prop_map(Combination::And),
                prop::collection::vec(inner, 1..4).prop_map(Combination::Or),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_ways_to_satisfy_it_are_all_of_them(combination in combination()) {
            let Some(ways) = combination.ways(1000) else { return Ok(()) };
            for bits in 0u32..32 {
                let matched = |rule: usize| bits >> rule & 1 == 1;
                let way = |(present, absent): &(Vec<usize>, Vec<usize>)| {
                    present.iter().all(|rule| matched(*rule)) && !absent.iter().any(|rule| matched(*rule))
                };
                prop_assert_eq!(combination.holds(&matched), ways.iter().any(way));
            }
        }
    }

    #[test]
    fn too_many_ways_are_none() {
        let pair = |n| Combination::Or(vec![Combination::Rule(n), Combination::Rule(n + 1)]);
        let pairs = Combination::And((0..20).map(|n| pair(n * 2)).collect());
        assert_eq!(pairs.ways(1000), None);
    }
}
