//! What must hold for a rule to match: the reason that most rules are never looked at.
//!
//! For most conditions there are predicates of which at least one holds whenever the condition does: of an `and`, those of
//! any one part; of an `or`, those of all parts together; of "at least `n` of `k`", those of any `k - n + 1` parts,
//! since fewer than `n` would be left without them; of a negation, those of its negated parts. Where there is a choice the
//! set taken is the one that the fewest events are expected to satisfy.

use crate::predicate::PredicateId;
use crate::program::{Node, NodeId, Programs};

/// A set of predicates of which a condition needs one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Necessary {
    /// The predicates, ascending.
    pub(crate) predicates: Vec<PredicateId>,
    /// The expected share of events that satisfy one of them; above 1 when many overlap.
    pub(crate) share: f32,
}

/// The rarest necessary predicates of a condition, or `None` when it can hold without any: it is purely negative, or rests on row
/// tests. No predicates at all are necessary for a condition that never holds. `share` says how many events satisfy a predicate.
pub(crate) fn necessary(
    programs: &Programs,
    root: NodeId,
    share: &impl Fn(PredicateId) -> f32,
) -> Option<Necessary> {
    let mut found = Search { programs, share }.node(root, true)?;
    found.predicates.sort_unstable();
    found.predicates.dedup();
    Some(found)
}

struct Search<'a, F> {
    programs: &'a Programs,
    share: &'a F,
}

impl<F: Fn(PredicateId) -> f32> Search<'_, F> {
    /// What is necessary for the node to be `wanted`.
    fn node(&self, id: NodeId, wanted: bool) -> Option<Necessary> {
        match (self.programs.node(id), wanted) {
            (Node::Const(value), _) => (*value != wanted).then(Necessary::default),
            (Node::Row(_), _) | (Node::Any(_) | Node::All(_), false) => None,
            (Node::Any(range), true) => {
                let single = self
                    .programs
                    .predicates(range)
                    .iter()
                    .map(|&p| self.single(p));
                Some(union(single))
            }
            (Node::All(range), true) => {
                let single = self
                    .programs
                    .predicates(range)
                    .iter()
                    .map(|&p| self.single(p));
                rarest(single)
            }
            (Node::Not(child), _) => self.node(*child, !wanted),
            (Node::And(range), true) | (Node::Or(range), false) => {
                let parts = self.programs.children(range).iter();
                rarest(parts.filter_map(|&child| self.node(child, wanted)))
            }
            (Node::And(range), false) | (Node::Or(range), true) => {
                let parts = self.programs.children(range).iter();
                let parts: Option<Vec<_>> = parts.map(|&child| self.node(child, wanted)).collect();
                parts.map(union)
            }
            (Node::AtLeast(count, range), _) => {
                let children = self.programs.children(range);
                // "Not at least n of k" is "at least k - n + 1 are not".
                let count = *count as usize;
                let enough = if wanted {
                    count
                } else {
                    (children.len() + 1).checked_sub(count)?
                };
                let mut parts: Vec<Necessary> = children
                    .iter()
                    .filter_map(|&child| self.node(child, wanted))
                    .collect();
                parts.sort_by(|a, b| a.share.total_cmp(&b.share));
                let covering = (children.len() + 1).checked_sub(enough)?;
                (parts.len() >= covering).then(|| union(parts.into_iter().take(covering)))
            }
        }
    }

    fn single(&self, predicate: PredicateId) -> Necessary {
        Necessary {
            predicates: vec![predicate],
            share: (self.share)(predicate),
        }
    }
}

fn union(parts: impl IntoIterator<Item = Necessary>) -> Necessary {
    parts
        .into_iter()
        .fold(Necessary::default(), |mut all, part| {
            all.predicates.extend(part.predicates);
            all.share += part.share;
            all
        })
}

fn rarest(parts: impl Iterator<Item = Necessary>) -> Option<Necessary> {
    parts.min_by(|a, b| a.share.total_cmp(&b.share))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lower::Tree;
    use crate::stamps::Stamps;
    use proptest::prelude::*;

    const PREDICATES: u32 = 6;

    fn find(tree: &Tree) -> Option<Vec<PredicateId>> {
        let mut programs = Programs::default();
        let root = programs.add(tree);
        necessary(&programs, root, &|p| p as f32 + 1.0).map(|found| found.predicates)
    }

    #[test]
    fn the_rarest_set_is_chosen() {
        use Tree::{And, AtLeast, Not, Or, Predicate};
        let p = Predicate;
        assert_eq!(find(&And(vec![p(3), p(1), p(2)])), Some(vec![1]));
        assert_eq!(
            find(&And(vec![Or(vec![p(0), p(1), p(2)]), p(3)])),
            Some(vec![3])
        );
        assert_eq!(
            find(&Or(vec![p(2), And(vec![p(0), p(1)])])),
            Some(vec![0, 2])
        );
        assert_eq!(find(&And(vec![p(4), Not(Box::new(p(0)))])), Some(vec![4]));
        assert_eq!(find(&AtLeast(2, vec![p(0), p(1), p(2)])), Some(vec![0, 1]));
        assert_eq!(find(&Not(Box::new(p(0)))), None);
        assert_eq!(find(&Or(vec![p(0), Tree::Row(0)])), None);
        assert_eq!(find(&Tree::Const(false)), Some(vec![]));
        assert_eq!(find(&Tree::Const(true)), None);
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            6 => (0..PREDICATES).prop_map(Tree::Predicate),
            1 => Just(Tree::Row(0)),
            1 => any::<bool>().prop_map(Tree::Const),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let parts = || proptest::collection::vec(inner.clone(), 2..5);
            prop_oneof![
                parts().prop_map(Tree::And),
                parts().prop_map(Tree::Or),
                (parts(), 1..5_usize)
                    .prop_map(|(parts, n)| Tree::AtLeast(n.min(parts.len()), parts)),
                inner.clone().prop_map(|inner| Tree::Not(Box::new(inner))),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_matches_without_a_necessary_predicate(tree in tree()) {
            let mut programs = Programs::default();
            let root = programs.add(&tree);
            let Some(found) = necessary(&programs, root, &|p| p as f32) else { return Ok(()) };
            for mask in 0_u32..1 << PREDICATES {
                let mut satisfied = Stamps::new(PREDICATES as usize);
                (0..PREDICATES).filter(|p| mask & 1 << p != 0).for_each(|p| { satisfied.insert(p); });
                for row in [false, true] {
                    if programs.holds(root, &satisfied, &mut |_| row) {
                        prop_assert!(found.predicates.iter().any(|&p| satisfied.contains(p)));
                    }
                }
            }
        }
    }
}
