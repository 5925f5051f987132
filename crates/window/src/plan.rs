//! All correlations and rollups, compiled.

use std::collections::BTreeSet;
use std::sync::Arc;

use haechi_rules::{Referent, RuleHeader, RuleSet};
use rustc_hash::FxHashMap;

use crate::correlate::{self, Node};
use crate::error::CompileError;
use crate::frame::Fingerprint;
use crate::rollup::RollupPlan;
use crate::tables::Tables;

/// The correlations and rollups of a rule set, compiled once and shared by all workers.
pub struct Plan {
    /// The correlations that alert, each after those that it refers to.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// Detection → the nodes that look at it, and its position in their `rules`.
    pub(crate) counted: FxHashMap<u32, Vec<(usize, u32)>>,
    pub(crate) rollups: Vec<Arc<RollupPlan>>,
    by_fingerprint: FxHashMap<Fingerprint, Member>,
    pub(crate) ids: RuleIds,
    warnings: Vec<CompileError>,
}

/// The rules' ids, by their index in the [`RuleSet`].
#[derive(Debug, Default)]
pub(crate) struct RuleIds {
    pub(crate) detections: Vec<Arc<str>>,
    pub(crate) correlations: Vec<Arc<str>>,
}

/// A rule of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    /// Index into `Plan::nodes`.
    Correlation(usize),
    /// Index into `Plan::rollups` and `RuleSet::rollups`.
    Rollup(usize),
}

impl Plan {
    /// Compiles all correlations and rollups of a rule set. `tables` are the names that rollups may read `FROM`.
    ///
    /// # Errors
    /// One for each broken rule. Without those rules the set compiles.
    pub fn compile(rules: &RuleSet, tables: &Tables) -> Result<Self, Vec<CompileError>> {
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        let mut rollups = Vec::new();
        let nodes = correlate::compile(rules, &mut errors);
        for rule in &rules.rollups {
            match RollupPlan::compile(rule, tables, &mut warnings) {
                Ok(plan) => rollups.push(Arc::new(plan)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let by_fingerprint = nodes.iter().enumerate();
        let by_fingerprint =
            by_fingerprint.map(|(index, node)| (node.fingerprint, Member::Correlation(index)));
        let mut by_fingerprint: FxHashMap<_, _> = by_fingerprint.collect();
        for (index, plan) in rollups.iter().enumerate() {
            by_fingerprint.insert(plan.fingerprint, Member::Rollup(index));
        }
        let counted = counted(&nodes);
        Ok(Self {
            nodes,
            counted,
            rollups,
            by_fingerprint,
            ids: RuleIds {
                detections: ids(rules.detections.iter().map(|rule| &rule.header)),
                correlations: ids(rules.correlations.iter().map(|rule| &rule.header)),
            },
            warnings,
        })
    }

    /// What compiles, but is probably not what its author meant.
    #[must_use]
    pub fn warnings(&self) -> &[CompileError] {
        &self.warnings
    }

    /// The distinct fields that correlations group by or look at and rollups read, sorted: what decoding has to bring.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        let counted = self.nodes.iter().flat_map(|node| {
            let fields = (0..).zip(node.fields.iter().zip(&node.value_fields));
            let events = fields.filter(|(position, _)| node.takes_events_of(*position));
            events.flat_map(|(_, (fields, values))| fields.iter().chain(values))
        });
        let rolled_up = self.rollups.iter().flat_map(|rollup| rollup.fields());
        let distinct: BTreeSet<&String> = counted.chain(rolled_up).collect();
        distinct.into_iter().cloned().collect()
    }

    /// Whether any correlation quotes its events, and so needs them as they came.
    #[must_use]
    pub fn quotes(&self) -> bool {
        self.nodes.iter().any(|node| node.quoted > 0)
    }

    /// Whether there is neither a correlation nor a rollup.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.rollups.is_empty()
    }

    /// The longest window of any rule in nanoseconds; 0 without rules. The exchange must keep its records for longer than this.
    #[must_use]
    pub fn longest_span_ns(&self) -> i64 {
        let spans = self.nodes.iter().map(|node| node.reach_ns());
        let widths = self.rollups.iter().map(|rollup| rollup.span_ns());
        spans.chain(widths).max().unwrap_or(0)
    }

    /// Identifies the plan: two plans with the same fingerprint aggregate in the same way.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for node in &self.nodes {
            hasher.update(&node.fingerprint);
        }
        for rollup in &self.rollups {
            hasher.update(&rollup.fingerprint);
        }
        let digest = hasher.finalize();
        digest
            .as_bytes()
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The fingerprints of all rules, as they stand in exchange records and snapshots: those of correlations, then those of rollups.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<[u8; 16]> {
        let nodes = self.nodes.iter().map(|node| node.fingerprint);
        let rollups = self.rollups.iter().map(|rollup| rollup.fingerprint);
        nodes.chain(rollups).collect()
    }

    /// The fingerprints of the rules of which a snapshot says what they are: those that tell early.
    pub fn described(&self) -> impl Iterator<Item = [u8; 16]> + '_ {
        let early = self.nodes.iter().filter(|node| node.excerpt.is_some());
        early.map(|node| node.fingerprint)
    }

    /// The rule of a fingerprint; none when it is not of this plan.
    pub(crate) fn member(&self, fingerprint: &Fingerprint) -> Option<Member> {
        self.by_fingerprint.get(fingerprint).copied()
    }
}

fn ids<'a>(headers: impl Iterator<Item = &'a RuleHeader>) -> Vec<Arc<str>> {
    headers.map(|header| Arc::clone(&header.id)).collect()
}

/// Which nodes look at each detection, and its position in their `rules`.
fn counted(nodes: &[Arc<Node>]) -> FxHashMap<u32, Vec<(usize, u32)>> {
    let mut counted: FxHashMap<u32, Vec<(usize, u32)>> = FxHashMap::default();
    for (index, node) in nodes.iter().enumerate() {
        for (referent, position) in node.rule.rules.iter().zip(0..) {
            if let Referent::Detection(detection) = referent
                && let Ok(detection) = u32::try_from(*detection)
            {
                counted
                    .entry(detection)
                    .or_default()
                    .push((index, position));
            }
        }
    }
    counted
}
