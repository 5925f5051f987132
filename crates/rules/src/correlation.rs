//! Correlations: what several events together must look like.

use std::collections::BTreeMap;

use crate::detection::CompareOp;
use crate::rule::RuleHeader;

/// A Sigma correlation rule, its references resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlation {
    /// What the rule says about itself.
    pub header: RuleHeader,
    /// What is computed over the window.
    pub kind: CorrelationKind,
    /// The detections whose matches it counts: indices into [`crate::RuleSet::detections`], distinct, in the order written.
    pub rules: Vec<usize>,
    /// Group names: fields, or names defined in `aliases`. Empty: one group for all events.
    pub group_by: Vec<String>,
    /// Length of the sliding window in nanoseconds; positive.
    pub timespan_ns: i64,
    /// What the computed number must satisfy. All must hold, so two make a range. Not empty; numbers are finite.
    pub condition: Vec<(CompareOp, f64)>,
    /// Group name → detection index → the field of that rule's events to group by. A rule that is not named here groups by the
    /// field called as the group.
    pub aliases: BTreeMap<String, BTreeMap<usize, String>>,
    /// Whether the detections it counts alert by themselves too.
    pub generate: bool,
}

/// What a correlation computes over its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CorrelationKind {
    /// The number of matching events.
    EventCount,
}
