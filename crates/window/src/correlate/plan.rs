//! A correlation made ready for counting.

use std::sync::Arc;

use haechi_rules::{CompareOp, Correlation};

use crate::batch::RESERVED;
use crate::error::CompileError;
use crate::frame::Fingerprint;
use crate::route::GroupHasher;

/// Changes when the meaning of the events in the exchange changes, so that releases do not misread each other.
const REVISION: &str = "event_count 1";

/// An `event_count` correlation, compiled.
pub(crate) struct CountPlan {
    pub(crate) rule: Arc<Correlation>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) hasher: GroupHasher,
    /// For each of the correlation's rules, by position: the fields whose values are the group.
    pub(crate) fields: Vec<Vec<String>>,
    pub(crate) decision: Decision,
}

/// When the number of events in a window is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// More events never hurt (`gt`, `gte`): it holds from this many events on.
    AtLeast(u64),
    /// Only the number in the whole window tells.
    WholeWindow,
}

impl CountPlan {
    /// Compiles a correlation; `ids` are the ids of all detections.
    pub(crate) fn compile(rule: &Arc<Correlation>, ids: &[&str]) -> Result<Self, CompileError> {
        let field = |group: &String, detection: usize| {
            let alias = rule
                .aliases
                .get(group)
                .and_then(|alias| alias.get(&detection));
            alias.unwrap_or(group).clone()
        };
        let of_rule = |&detection: &usize| {
            rule.group_by
                .iter()
                .map(|group| field(group, detection))
                .collect()
        };
        let fields: Vec<Vec<String>> = rule.rules.iter().map(of_rule).collect();
        let reserved = |field: &&String| RESERVED.contains(&field.as_str());
        if let Some(field) = fields.iter().flatten().find(reserved) {
            return Err(CompileError {
                rule: Arc::clone(&rule.header.id),
                file: Arc::clone(&rule.header.file),
                span: rule.header.span,
                message: format!(
                    "a correlation cannot group by `{field}`: it is no field of the event"
                ),
                help: None,
            });
        }
        Ok(Self {
            fingerprint: fingerprint(rule, &fields, ids),
            hasher: GroupHasher::new(&rule.header.id),
            decision: decision(&rule.condition),
            fields,
            rule: Arc::clone(rule),
        })
    }

    /// Whether this many events in a window satisfy the condition.
    pub(crate) fn holds(&self, count: usize) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
        let count = count as f64;
        self.rule
            .condition
            .iter()
            .all(|&(op, number)| op.holds(count, number))
    }
}

fn decision(condition: &[(CompareOp, f64)]) -> Decision {
    let mut least = 1;
    for &(op, number) in condition {
        // Casts of floats saturate.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let needed = match op {
            CompareOp::Gt => (number.floor() as u64).saturating_add(u64::from(number >= 0.0)),
            CompareOp::Gte => number.ceil() as u64,
            CompareOp::Lt | CompareOp::Lte | CompareOp::Eq | CompareOp::Neq => {
                return Decision::WholeWindow;
            }
        };
        least = least.max(needed);
    }
    Decision::AtLeast(least)
}

/// Two versions of a rule whose events mean the same have the same fingerprint. A changed title does not matter; a changed
/// detection does not either, since its events were found by the rule as it was.
fn fingerprint(rule: &Correlation, fields: &[Vec<String>], ids: &[&str]) -> Fingerprint {
    let detections: Vec<Option<&&str>> = rule.rules.iter().map(|&index| ids.get(index)).collect();
    let condition: Vec<(String, u64)> = rule
        .condition
        .iter()
        .map(|(op, number)| (format!("{op:?}"), number.to_bits()))
        .collect();
    let meaning = serde_json::json!([
        REVISION,
        &*rule.header.id,
        detections,
        rule.group_by,
        fields,
        rule.timespan_ns,
        condition
    ]);
    let digest = blake3::hash(meaning.to_string().as_bytes());
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}
