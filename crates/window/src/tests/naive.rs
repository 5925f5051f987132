//! The same results, computed from their definitions over the whole log, slowly.

use std::collections::{BTreeMap, BTreeSet};

use super::world::Event;

/// What the rollup in `laws` says, as (window start, key) → row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Row {
    pub(super) rows: i64,
    pub(super) with_bytes: i64,
    pub(super) sum: Option<f64>,
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    pub(super) users: BTreeSet<String>,
}

/// Groups by window and the field `host`; `bytes` are whole numbers, `user` is counted.
pub(super) fn rollup(width_ns: i64, log: &[Event]) -> BTreeMap<(i64, Option<String>), Row> {
    let mut rows: BTreeMap<_, Row> = BTreeMap::new();
    for event in log {
        let text = |field| event.first(field).flatten().map(str::to_owned);
        let start_ns = event.time_ns.div_euclid(width_ns) * width_ns;
        let row = rows.entry((start_ns, text("host"))).or_default();
        row.rows += 1;
        row.users.extend(text("user"));
        if let Some(bytes) = text("bytes").and_then(|bytes| bytes.parse::<i64>().ok()) {
            row.with_bytes += 1;
            row.sum = Some(row.sum.unwrap_or(0.0) + bytes as f64);
            row.min = Some(row.min.map_or(bytes, |min| min.min(bytes)));
            row.max = Some(row.max.map_or(bytes, |max| max.max(bytes)));
        }
    }
    rows
}
