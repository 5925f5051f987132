//! `state`: how much a rule may keep.

use serde::{Deserialize, Serialize};

use crate::codes;
use crate::fields::{find, mapping, refuse_others, text};
use crate::report::Report;
use crate::yaml::Entry;

/// How much a rule may keep of what is not decided yet; without a number, what the configuration says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateBudget {
    /// Groups; positive.
    pub groups: Option<u64>,
    /// Bytes, approximately; positive.
    pub bytes: Option<u64>,
}

const KEYS: [&str; 2] = ["groups", "bytes"];

/// Reads `state`. Complains about everything wrong in it.
pub(crate) fn read(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<StateBudget> {
    let entries = mapping(entry, report)?;
    refuse_others(entries, &KEYS, "`state`", report);
    let mut number = |key: &str, read: fn(&str) -> Option<u64>, wanted: &str| {
        let entry = find(entries, key)?;
        let text = text(entry, report)?;
        let number = read(&text).filter(|number| *number > 0);
        if number.is_none() {
            let message = format!("`{text}` is not {wanted}");
            report.add(&codes::BAD_BUDGET, entry.value.span, message);
        }
        number
    };
    Some(StateBudget {
        groups: number("groups", |text| text.parse().ok(), "a whole number above 0"),
        bytes: number(
            "bytes",
            |text| text.parse().ok().map(|size: bytesize::ByteSize| size.0),
            "a size above 0 such as 64MiB",
        ),
    })
}
