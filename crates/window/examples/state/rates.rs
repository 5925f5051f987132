//! How fast correlations take events in and decide.

use crate::both::{Both, random};

/// Types of correlation: a name, and the keys that make it one.
pub(crate) const TYPES: [(&str, &str); 8] = [
    (
        "event_count",
        "type: event_count, rules: [a, b], condition: {gte: 20}",
    ),
    (
        "event_count lt",
        "type: event_count, rules: [a, b], condition: {lt: 3}",
    ),
    (
        "value_count",
        "type: value_count, rules: [a, b], condition: {field: user, gte: 20}",
    ),
    ("temporal", "type: temporal, rules: [a, b]"),
    ("temporal_ordered", "type: temporal_ordered, rules: [a, b]"),
    (
        "a and not b",
        "type: temporal, rules: [a, b], condition: a and not b",
    ),
    (
        "value_sum",
        "type: value_sum, rules: [a, b], condition: {field: bytes, gte: 10000}",
    ),
    (
        "value_percentile",
        "type: value_percentile, rules: [a, b], condition: {field: bytes, percentile: 95, gte: 900}",
    ),
];

/// Each type at 1,000 and 100,000 groups.
pub(crate) fn measure_all(events: usize) {
    println!("{events} events, 1 ms apart, timespan 60 s");
    println!(
        "type | groups | stage 1, events/s | stage 2, events/s | state, bytes/group | findings"
    );
    for (name, keys) in TYPES {
        for groups in [1_000, 100_000] {
            let mut both = Both::new(&format!("timespan: 60s, {keys}"));
            let run = both.run(events, true, &|row| random(row, 1) % groups);
            println!(
                "{name} | {groups} | {:.0} | {:.0} | {:.0} | {}",
                run.stage1_rate(),
                run.stage2_rate(),
                run.most_bytes as f64 / groups as f64,
                run.found
            );
        }
    }
}
