//! What a detector did and how long it took: per field, per rule.
//!
//! Off unless asked for ([`crate::Detector::profile_from_now`]): then every decision about a rule and every check behind a literal is
//! timed, which costs more than most of them take. So the shares are worth more than the seconds.

use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::predicate::PredicateId;

/// What a detector did since it was asked to take note.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Per field of the plan, in the order of [`Plan::fields`].
    pub fields: Vec<FieldCost>,
    /// Keywords: all values of the events that rules with keywords look at.
    pub keywords: FieldCost,
    /// Per rule, in the order that the plan was compiled from.
    pub rules: Vec<RuleCost>,
}

/// What matching the values of a field took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldCost {
    /// Values that came.
    pub values: u64,
    /// Values that had to be matched, because the cache did not know them: new ones, or forgotten ones.
    pub matched: u64,
    /// Bytes of those.
    pub scanned_bytes: u64,
    /// Time for the field, of all its values.
    pub took: Duration,
}

/// What a rule took by itself; what it shares with others is with the fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleCost {
    /// Events for which it was looked at.
    pub looked_at: u64,
    /// Events that it matched.
    pub hits: u64,
    /// Time to decide it, with the tests that were put off until then, and its share of the checks behind literals (regexes,
    /// patterns with wildcards in the middle): a check that several rules need is split evenly.
    pub took: Duration,
}

impl Profile {
    /// Room for what a plan has.
    fn of(plan: &Plan) -> Self {
        Self {
            fields: vec![FieldCost::default(); plan.fields().len()],
            keywords: FieldCost::default(),
            rules: vec![RuleCost::default(); plan.roots.len()],
        }
    }

    /// Adds what another detector with the same plan did.
    pub fn add(&mut self, other: &Self) {
        let (fields, rules) = (other.fields.len(), other.rules.len());
        self.fields
            .resize(self.fields.len().max(fields), FieldCost::default());
        self.rules
            .resize(self.rules.len().max(rules), RuleCost::default());
        for (field, other) in self.fields.iter_mut().zip(&other.fields) {
            field.add(other);
        }
        self.keywords.add(&other.keywords);
        for (rule, other) in self.rules.iter_mut().zip(&other.rules) {
            rule.looked_at += other.looked_at;
            rule.hits += other.hits;
            rule.took += other.took;
        }
    }
}

impl FieldCost {
    pub(crate) fn add(&mut self, other: &Self) {
        self.values += other.values;
        self.matched += other.matched;
        self.scanned_bytes += other.scanned_bytes;
        self.took += other.took;
    }

    /// Counts a value that has to be matched.
    #[inline]
    pub(crate) fn matches(&mut self, text: &str) {
        self.matched += 1;
        self.scanned_bytes += text.len() as u64;
    }
}

/// Takes note while a detector works.
#[derive(Debug)]
pub(crate) struct Notes {
    profile: Profile,
    /// Per predicate, the time for checking it where its literal was found.
    checks: Vec<Duration>,
}

impl Notes {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            profile: Profile::of(plan),
            checks: vec![Duration::ZERO; plan.predicate_count()],
        }
    }

    /// The fields done: `None` is the keywords.
    pub(crate) fn field(&mut self, field: Option<usize>, cost: &FieldCost, begun: Instant) {
        let known = match field {
            Some(field) => self.profile.fields.get_mut(field),
            None => Some(&mut self.profile.keywords),
        };
        if let Some(known) = known {
            known.add(&FieldCost {
                took: begun.elapsed(),
                ..*cost
            });
        }
    }

    /// Decides a rule.
    pub(crate) fn rule(&mut self, rule: u32, decide: impl FnOnce() -> bool) -> bool {
        let begun = Instant::now();
        let hit = decide();
        if let Some(cost) = self.profile.rules.get_mut(rule as usize) {
            cost.took += begun.elapsed();
            cost.looked_at += 1;
            cost.hits += u64::from(hit);
        }
        hit
    }

    /// Checks a predicate.
    pub(crate) fn check(&mut self, predicate: PredicateId, check: impl FnOnce() -> bool) -> bool {
        let begun = Instant::now();
        let holds = check();
        if let Some(took) = self.checks.get_mut(predicate as usize) {
            *took += begun.elapsed();
        }
        holds
    }

    /// The profile, with the checks shared out to the rules that need them.
    pub(crate) fn profile(&self, plan: &Plan) -> Profile {
        let mut users = vec![0_u32; self.checks.len()];
        let of_rule = |root| plan.programs.predicates_below(root);
        for &root in &plan.roots {
            for predicate in of_rule(root) {
                if let Some(users) = users.get_mut(predicate as usize) {
                    *users += 1;
                }
            }
        }
        let mut profile = self.profile.clone();
        for (rule, &root) in profile.rules.iter_mut().zip(&plan.roots) {
            for predicate in of_rule(root) {
                let took = self
                    .checks
                    .get(predicate as usize)
                    .zip(users.get(predicate as usize));
                if let Some((&took, &users)) = took {
                    rule.took += took / users.max(1);
                }
            }
        }
        profile
    }
}
