//! Correlations: what several events together must look like.

mod bounds;
mod chain;
mod combination;
mod draft;
mod duration;
mod emission;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::detection::CompareOp;
use crate::rule::RuleHeader;

pub(crate) use chain::{Lookup, resolve};
pub use combination::Combination;
pub(crate) use draft::{Draft, Reference, read, references};
pub(crate) use duration::timespan;
pub use emission::Emission;

/// A Sigma correlation rule, its references resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// What the rule says about itself.
    pub header: RuleHeader,
    /// What is computed over the window.
    pub kind: CorrelationKind,
    /// The rules whose matches and findings it looks at: distinct, in the order written.
    pub rules: Vec<Referent>,
    /// Group names: fields, or names defined in `aliases`. Empty: one group for all events.
    pub group_by: Vec<String>,
    /// Length of the sliding window in nanoseconds; positive.
    pub timespan_ns: i64,
    /// What a window must satisfy.
    pub condition: CorrelationCondition,
    /// Name (of a group, or of a field that is looked at) → position in `rules` → what that rule's events call it. A rule that is
    /// not named here calls it the same. Use [`Correlation::field`].
    pub aliases: BTreeMap<String, BTreeMap<usize, String>>,
    /// Whether the rules it looks at alert by themselves too.
    pub generate: bool,
    /// When a finding is told.
    pub emit: Emission,
    /// How many of its first events a finding quotes; at most 20.
    pub quote: u32,
    /// Whether a finding is an alert. False when the rule only feeds other correlations, none of which says `generate: true`.
    pub alerts: bool,
}

/// A rule that a correlation looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Referent {
    /// A detection: index into [`crate::RuleSet::detections`].
    Detection(usize),
    /// Another correlation, whose findings are the events: index into [`crate::RuleSet::correlations`]. Never in a circle. Its
    /// [`Correlation::names`] have everything that is grouped by or looked at here.
    Correlation(usize),
}

/// What a correlation computes over its window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CorrelationKind {
    /// The number of matching events.
    EventCount,
    /// The number of distinct combinations of these fields' values; at least one field.
    ValueCount(Vec<String>),
    /// Which of the rules matched.
    Temporal,
    /// Which of the rules matched, one after the other as they are listed.
    TemporalOrdered,
    /// The sum of a field.
    ValueSum(String),
    /// The mean of a field.
    ValueAvg(String),
    /// The median of a field.
    ValueMedian(String),
    /// A percentile of a field.
    ValuePercentile {
        /// The field.
        field: String,
        /// Which one: from 0 to 100.
        percentile: f64,
    },
    /// Whether this combination of the fields' values is new to the group: no event with it in the timespan before. At least one field,
    /// and none that is grouped by.
    NewTerms {
        /// The fields.
        fields: Vec<String>,
        /// How many combinations are known exactly, in each exchange partition; those seen least recently are known less well when there
        /// are more. From 1 to 10,000,000.
        remember: u32,
    },
}

/// What a window must satisfy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CorrelationCondition {
    /// The number (of events, of distinct values, of rules that matched, or the statistic) compares so. All must hold, so two
    /// make a range. Not empty; numbers are finite. Of [`CorrelationKind::TemporalOrdered`] never.
    Number(Vec<(CompareOp, f64)>),
    /// The rules that matched, by position in `rules`. Only of temporal correlations. It does not hold of an empty window.
    Rules(Combination),
}

impl Correlation {
    /// What its findings' groups are made of: what it groups by and, of [`CorrelationKind::NewTerms`], what is to be new. Findings
    /// have no other fields.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        let terms: &[String] = match &self.kind {
            CorrelationKind::NewTerms { fields, .. } => fields,
            _ => &[],
        };
        self.group_by.iter().chain(terms)
    }

    /// What the events of the rule at a position of `rules` call a group name or a field that is looked at.
    pub fn field<'a>(&'a self, name: &'a str, position: usize) -> &'a str {
        let alias = self.aliases.get(name).and_then(|of| of.get(&position));
        alias.map_or(name, String::as_str)
    }
}

impl CorrelationKind {
    /// As Sigma writes it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::EventCount => "event_count",
            Self::ValueCount(_) => "value_count",
            Self::Temporal => "temporal",
            Self::TemporalOrdered => "temporal_ordered",
            Self::ValueSum(_) => "value_sum",
            Self::ValueAvg(_) => "value_avg",
            Self::ValueMedian(_) => "value_median",
            Self::ValuePercentile { .. } => "value_percentile",
            Self::NewTerms { .. } => "new_terms",
        }
    }

    /// The fields whose values it looks at.
    pub fn fields(&self) -> &[String] {
        match self {
            Self::EventCount | Self::Temporal | Self::TemporalOrdered => &[],
            Self::ValueCount(fields) | Self::NewTerms { fields, .. } => fields,
            Self::ValueSum(field)
            | Self::ValueAvg(field)
            | Self::ValueMedian(field)
            | Self::ValuePercentile { field, .. } => std::slice::from_ref(field),
        }
    }
}
