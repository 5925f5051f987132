//! Saying that a rule keeps more than it may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haechi_rules::{Referent, RuleHeader, RuleSet};
use haechi_window::{GivenUp, Keeper, Outcome};
use tracing::warn;

/// A rule is warned about once in so long: it may give groups up with every record.
const PAUSE: Duration = Duration::from_secs(60);

/// What has been said of rules that give groups up.
#[derive(Debug, Default)]
pub(crate) struct Complaints(BTreeMap<Arc<str>, Complaint>);

#[derive(Debug, Default)]
struct Complaint {
    last: Option<Instant>,
    /// Groups that were given up and not told of yet.
    groups: u64,
}

impl Complaints {
    /// Warns about the rules that gave groups up, each once in a while.
    pub(crate) fn about(&mut self, outcomes: &[Outcome], rules: &RuleSet, now: Instant) {
        for outcome in outcomes {
            let Outcome::GivenUp(given_up) = outcome else {
                continue;
            };
            let Some(header) = header(rules, given_up) else {
                continue;
            };
            let complaint = self.0.entry(Arc::clone(&header.id)).or_default();
            complaint.groups += given_up.groups;
            let is_due = |last: Instant| now.saturating_duration_since(last) >= PAUSE;
            if complaint.last.is_none_or(is_due) {
                complaint.last = Some(now);
                let groups = std::mem::take(&mut complaint.groups);
                match given_up.rule {
                    Keeper::Rollup(_) => {
                        warn!(rule = %header.id, title = %header.title, groups, "the rollup keeps more than its `state` allows: the {groups} groups with the fewest events were written before their windows were over, and rows that may be parts say so; raise `state` of the rule or the configuration, or let the rollup read or group less")
                    }
                    Keeper::Alerting(_) => {
                        warn!(rule = %header.id, title = %header.title, groups, "the rule keeps more than its `state` allows: the {groups} groups that had been quiet for longest were given up, and alerts that may lack events say so; raise `state` of the rule or the configuration, or let the rule match or group less")
                    }
                }
            }
        }
    }
}

/// The rule that gave groups up.
pub(crate) fn header<'a>(rules: &'a RuleSet, given_up: &GivenUp) -> Option<&'a RuleHeader> {
    match given_up.rule {
        Keeper::Alerting(Referent::Detection(rule)) => {
            rules.detections.get(rule).map(|rule| &rule.header)
        }
        Keeper::Alerting(Referent::Correlation(rule)) => {
            rules.correlations.get(rule).map(|rule| &rule.header)
        }
        Keeper::Rollup(rule) => rules.rollups.get(rule).map(|rule| &rule.header),
    }
}
