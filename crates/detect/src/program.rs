//! Rule conditions in a form that is quick to decide.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::lower::Tree;
use crate::predicate::{PredicateId, RowTestId};
use crate::stamps::Stamps;

/// Index of a node in [`Programs`].
pub(crate) type NodeId = u32;

/// A condition's node. Trees are flat in memory: children and predicates are ranges of shared lists.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Const(bool),
    /// Any of these predicates holds.
    Any(Range<u32>),
    /// All of these predicates hold.
    All(Range<u32>),
    Row(RowTestId),
    And(Range<u32>),
    Or(Range<u32>),
    Not(NodeId),
    AtLeast(u32, Range<u32>),
}

/// The conditions of all rules.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    nodes: Vec<Node>,
    predicates: Vec<PredicateId>,
    children: Vec<NodeId>,
}

impl Programs {
    /// Adds a condition; its root.
    pub(crate) fn add(&mut self, tree: &Tree) -> NodeId {
        let node = match tree {
            Tree::Const(value) => Node::Const(*value),
            Tree::Predicate(predicate) => Node::Any(self.predicate_range([*predicate])),
            Tree::Row(test) => Node::Row(*test),
            Tree::Not(inner) => Node::Not(self.add(inner)),
            Tree::And(parts) => self.connect(parts, Node::All, Node::And),
            Tree::Or(parts) => self.connect(parts, Node::Any, Node::Or),
            Tree::AtLeast(count, parts) => {
                let nodes = parts.iter().map(|part| self.add(part)).collect();
                Node::AtLeast(*count as u32, self.child_range(nodes))
            }
        };
        self.push(node)
    }

    /// The plain predicates among `parts` make one node, which comes first as it is the cheapest to decide; row tests come last.
    fn connect(
        &mut self,
        parts: &[Tree],
        of_predicates: fn(Range<u32>) -> Node,
        of_nodes: fn(Range<u32>) -> Node,
    ) -> Node {
        let plain = parts.iter().filter_map(|part| match part {
            Tree::Predicate(predicate) => Some(*predicate),
            _ => None,
        });
        let plain = self.predicate_range(plain);
        if plain.len() == parts.len() {
            return of_predicates(plain);
        }
        let mut nodes = Vec::with_capacity(parts.len());
        if !plain.is_empty() {
            nodes.push(self.push(of_predicates(plain)));
        }
        let is_row = |part: &Tree| match part {
            Tree::Row(_) => true,
            Tree::Not(inner) => matches!(**inner, Tree::Row(_)),
            _ => false,
        };
        let is_rest = |part: &&Tree| !matches!(part, Tree::Predicate(_)) && !is_row(part);
        nodes.extend(parts.iter().filter(is_rest).map(|part| self.add(part)));
        nodes.extend(
            parts
                .iter()
                .filter(|part| is_row(part))
                .map(|part| self.add(part)),
        );
        of_nodes(self.child_range(nodes))
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeId
    }

    fn predicate_range(&mut self, predicates: impl IntoIterator<Item = PredicateId>) -> Range<u32> {
        let start = self.predicates.len() as u32;
        self.predicates.extend(predicates);
        start..self.predicates.len() as u32
    }

    fn child_range(&mut self, nodes: Vec<NodeId>) -> Range<u32> {
        let start = self.children.len() as u32;
        self.children.extend(nodes);
        start..self.children.len() as u32
    }

    /// The node with this id.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::Const(false))
    }

    /// The predicates of a [`Node::Any`] or [`Node::All`].
    pub(crate) fn predicates(&self, range: &Range<u32>) -> &[PredicateId] {
        let range = range.start as usize..range.end as usize;
        self.predicates.get(range).unwrap_or_default()
    }

    /// The children of a connective.
    pub(crate) fn children(&self, range: &Range<u32>) -> &[NodeId] {
        let range = range.start as usize..range.end as usize;
        self.children.get(range).unwrap_or_default()
    }

    /// The distinct predicates of a condition, ascending.
    pub(crate) fn predicates_below(&self, root: NodeId) -> BTreeSet<PredicateId> {
        let mut found = BTreeSet::new();
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            match self.node(id) {
                Node::Const(_) | Node::Row(_) => {}
                Node::Any(range) | Node::All(range) => found.extend(self.predicates(range)),
                Node::And(range) | Node::Or(range) | Node::AtLeast(_, range) => {
                    open.extend(self.children(range));
                }
                Node::Not(child) => open.push(*child),
            }
        }
        found
    }

    /// Whether a condition holds for a row, given the predicates that do and a way to decide row tests.
    pub(crate) fn holds(
        &self,
        id: NodeId,
        satisfied: &Stamps,
        row_test: &mut impl FnMut(RowTestId) -> bool,
    ) -> bool {
        match self.node(id) {
            Node::Const(value) => *value,
            Node::Any(range) => self
                .predicates(range)
                .iter()
                .any(|&p| satisfied.contains(p)),
            Node::All(range) => self
                .predicates(range)
                .iter()
                .all(|&p| satisfied.contains(p)),
            Node::Row(test) => row_test(*test),
            Node::And(range) => {
                let mut children = self.children(range).iter();
                children.all(|&child| self.holds(child, satisfied, row_test))
            }
            Node::Or(range) => {
                let mut children = self.children(range).iter();
                children.any(|&child| self.holds(child, satisfied, row_test))
            }
            Node::Not(child) => !self.holds(*child, satisfied, row_test),
            Node::AtLeast(count, range) => {
                let children = self.children(range).iter();
                let holding = children.filter(|&&child| self.holds(child, satisfied, row_test));
                holding.take(*count as usize).count() == *count as usize
            }
        }
    }
}
