//! `suppress`: one alert for a while, instead of many.

use serde::{Deserialize, Serialize};

use crate::codes;
use crate::correlation::timespan;
use crate::fields::{find, mapping, refuse_others, require, texts};
use crate::report::Report;
use crate::yaml::Entry;

/// Of the alerts of a rule that have these values in common, the first one opens a span of time in which the others are only counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppress {
    /// Names as the rule writes them; of a correlation, some of its groups. Empty: all alerts of the rule.
    pub by: Vec<String>,
    /// What events call them, in the same order.
    pub fields: Vec<String>,
    /// Length of the span in nanoseconds; positive.
    pub for_ns: i64,
    /// The first alert is sent as soon as it is known to be the first, and once more with the count when the span is over; otherwise
    /// only then.
    pub at_once: bool,
}

const KEYS: [&str; 2] = ["by", "for"];

/// Reads `suppress`. Complains about everything wrong in it.
pub(crate) fn read(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Suppress> {
    let entries = mapping(entry, report)?;
    refuse_others(entries, &KEYS, "`suppress`", report);
    let by = find(entries, "by").map(|entry| texts(entry, report));
    let for_ns = require(entries, "for", entry.key_span, report)
        .and_then(|entry| timespan(entry, report))?;
    let mut names: Vec<String> = Vec::new();
    for (name, span) in by.unwrap_or_default() {
        if names.contains(&name) {
            let message = format!("`{name}` is named twice");
            report.add(&codes::NO_EFFECT, span, message);
        } else {
            names.push(name);
        }
    }
    Some(Suppress {
        fields: names.clone(),
        by: names,
        for_ns,
        at_once: true,
    })
}
