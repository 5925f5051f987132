//! Message keys: the same entity, the same key, the same partition.

use serde::Serialize;

use crate::finding::Coordinates;
use crate::spelling::{Entries, append};

/// The group as a JSON object; without a group, the rule's id.
pub(crate) fn of_group<V: Serialize>(rule: &str, group: &[(String, V)], out: &mut Vec<u8>) {
    if group.is_empty() {
        out.extend_from_slice(rule.as_bytes());
    } else {
        append(out, &Entries(group));
    }
}

/// `topic/partition`.
pub(crate) fn of_partition(at: Coordinates<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(at.source.as_bytes());
    out.extend_from_slice(format!("/{}", at.partition).as_bytes());
}
