//! When a correlation tells what it has found.

use serde::{Deserialize, Serialize};

use super::CorrelationKind;
use super::draft::DraftCondition;
use crate::codes;
use crate::detection::CompareOp;
use crate::fields::text;
use crate::report::Report;
use crate::yaml::Entry;

/// When a correlation tells what it has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Emission {
    /// Once, when the watermark has passed the end of the window.
    #[default]
    Final,
    /// As soon as the condition holds, and again whenever the finding changes, until the watermark has passed the end of the window.
    /// Only of conditions that more events can only help.
    Early,
}

/// Reads `emit`. Complains when it is neither, and when the condition is not one that can be told early.
pub(super) fn read(
    entry: &Entry<'_>,
    condition: Option<&(CorrelationKind, DraftCondition)>,
    report: &mut Report<'_>,
) -> Option<Emission> {
    match text(entry, report)?.as_str() {
        "final" => Some(Emission::Final),
        "early" => {
            let (kind, condition) = condition?;
            if matches!(kind, CorrelationKind::NewTerms { .. }) {
                let message = "what is new is known only when no earlier event can come any more";
                let help = "leave `emit` out: the alert comes when the watermark has passed the event, not the timespan";
                report.advise(&codes::BAD_EMISSION, entry.value.span, message, help);
                return None;
            }
            let Some(why) = decided_late(kind, condition) else {
                return Some(Emission::Early);
            };
            let message = format!("only a whole window decides this condition: {why}");
            let help =
                "leave `emit` out: the alert comes when the watermark has passed the window's end";
            report.advise(&codes::BAD_EMISSION, entry.value.span, message, help);
            None
        }
        other => {
            let message = format!("there is no emission `{other}`");
            let help = "write `final` or `early`";
            report.advise(&codes::BAD_EMISSION, entry.value.span, message, help);
            None
        }
    }
}

/// Why a condition that holds now may not hold any more when further events come; none when it still will.
fn decided_late(kind: &CorrelationKind, condition: &DraftCondition) -> Option<&'static str> {
    match (kind, condition) {
        (
            CorrelationKind::ValueAvg(_)
            | CorrelationKind::ValueMedian(_)
            | CorrelationKind::ValuePercentile { .. },
            _,
        ) => Some("further events may raise or lower the number"),
        (_, DraftCondition::Number(bounds)) => {
            let grows = |(op, _): &(CompareOp, f64)| matches!(op, CompareOp::Gt | CompareOp::Gte);
            (!bounds.iter().all(grows)).then_some("further events may make the number too large")
        }
        (_, DraftCondition::Rules(names, _)) if names.has_absence() => {
            Some("a rule under `not` may still match")
        }
        (_, DraftCondition::Rules(..) | DraftCondition::All) => None,
    }
}
