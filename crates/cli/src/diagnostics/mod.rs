//! What can be wrong with rules, as the outside world reads it: all codes, what they mean, and findings as JSON and SARIF.

pub(crate) mod explain;
pub(crate) mod json;
pub(crate) mod sarif;

use haechi_rules::{Code, Severity};

/// A correlation or rollup that is well-formed but cannot run as a stream. The rule language has the other codes.
pub(crate) static UNUSABLE_AGGREGATION: Code = Code {
    id: "HC060",
    severity: Severity::Error,
    meaning: "a correlation or rollup that is well-formed but cannot run as a stream",
};
/// A detection that is well-formed but too large to match with, such as a regular expression beyond the limits.
pub(crate) static UNUSABLE_DETECTION: Code = Code {
    id: "HC061",
    severity: Severity::Error,
    meaning: "a detection that is well-formed but too large to match with",
};
/// A correlation or rollup that runs, but perhaps not as meant.
pub(crate) static DOUBTFUL_AGGREGATION: Code = Code {
    id: "HC160",
    severity: Severity::Warning,
    meaning: "a correlation or rollup that runs, but perhaps not as meant",
};

/// Every code that haechi gives, in order.
pub(crate) fn codes() -> Vec<&'static Code> {
    let own = [
        &UNUSABLE_AGGREGATION,
        &UNUSABLE_DETECTION,
        &DOUBTFUL_AGGREGATION,
    ];
    let mut codes: Vec<&Code> = haechi_rules::CODES.iter().copied().chain(own).collect();
    codes.sort_by_key(|code| code.id);
    codes
}
