//! How fast correlations take events in and decide, on one core: `correlation_rate [EVENTS]`.
//!
//! Stage 1 and stage 2 are timed apart, for each type at 1,000 and 100,000 groups. Memory is what stage 2 holds at the most, by its own account.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring tool, not a part of the product"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, ListBuilder, RecordBatch, StringViewBuilder, TimestampNanosecondArray, UInt16Array,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use haechi_window::{Merger, Partials, Plan, Progress, RowOrigins, SourceClock, SourceId, Tables};

const BATCH: usize = 10_000;
/// Batches between commits.
const COMMIT: usize = 5;
const SECOND: i64 = 1_000_000_000;

fn main() {
    let events: usize = std::env::args().nth(1).map_or(1_000_000, |events| {
        events.parse().expect("a number of events")
    });
    println!("{events} events, 1 ms apart, timespan 60 s");
    println!(
        "type | groups | stage 1, events/s | stage 2, events/s | state, bytes/group | findings"
    );
    for (name, keys) in [
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
    ] {
        for groups in [1_000, 100_000] {
            measure(name, keys, groups, events);
        }
    }
}

fn measure(name: &str, keys: &str, groups: usize, events: usize) {
    let text = format!(
        "title: a\nname: a\nid: a\ndetection: {{s: {{k: a}}, condition: s}}\n---\ntitle: b\nname: b\nid: b\ndetection: {{s: {{k: b}}, condition: s}}\n---\n\
         title: c\nid: c\ncorrelation: {{group-by: [host], timespan: 60s, {keys}}}\n"
    );
    let rules = haechi_rules::load_str(Path::new("rate.yml"), &text).rules;
    assert_eq!(rules.correlations.len(), 1, "{keys}");
    let plan = Arc::new(Plan::compile(&rules, &Tables::default()).expect("sound rules"));
    let source = SourceId {
        topic: "logs".into(),
        partition: 0,
    };
    let mut clock = SourceClock::new(source.clone(), Duration::from_secs(5), Duration::MAX, 0);
    let mut partials = Partials::new(Arc::clone(&plan), 1);
    let mut merger = Merger::new(Arc::clone(&plan), 0);
    let (mut first, mut second) = (Duration::ZERO, Duration::ZERO);
    let (mut most, mut found) = (0, 0);
    let batches = events.div_ceil(BATCH);
    for number in 0..batches {
        let start = number * BATCH;
        let batch = batch(start, groups);
        let offsets: Vec<i64> = (0..BATCH).map(|row| (start + row) as i64).collect();
        let hits: Vec<(u32, u32)> = (0..BATCH as u32)
            .map(|row| (random(start as u64 + u64::from(row), 7) as u32 % 2, row))
            .collect();
        let rows = RowOrigins {
            topic: &source.topic,
            partition: 0,
            offsets: &offsets,
        };
        let began = Instant::now();
        partials
            .add(&batch, &[Vec::new()], &hits, rows, "logs")
            .expect("a sound batch");
        first += began.elapsed();
        clock.observe((start + BATCH) as i64 * SECOND / 1_000, 0);
        if (number + 1) % COMMIT != 0 && number + 1 != batches {
            continue;
        }
        if number + 1 == batches {
            clock.end();
        }
        let progress = Progress {
            roster: vec![("logs".into(), 1)],
            sources: vec![clock.progress(0)],
            announce: true,
        };
        let began = Instant::now();
        let records = partials.drain(&progress).expect("partials that encode");
        first += began.elapsed();
        for (_, record) in records {
            let before = merger.state_bytes();
            let began = Instant::now();
            found += merger.apply(&record).expect("an intact record").len();
            second += began.elapsed();
            most = most.max(before).max(merger.state_bytes());
        }
    }
    let rate = |took: Duration| (batches * BATCH) as f64 / took.as_secs_f64();
    println!(
        "{name} | {groups} | {:.0} | {:.0} | {:.0} | {found}",
        rate(first),
        rate(second),
        most as f64 / groups as f64
    );
}

/// A number that looks random and is the same every time.
fn random(number: u64, salt: u64) -> u64 {
    let mut bits = number
        .wrapping_add(salt)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 31)
}

fn batch(start: usize, groups: usize) -> RecordBatch {
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)));
    let column = |value: &dyn Fn(u64) -> String| -> ArrayRef {
        let mut builder = ListBuilder::new(StringViewBuilder::new());
        for row in start..start + BATCH {
            builder.values().append_value(value(row as u64));
            builder.append(true);
        }
        Arc::new(builder.finish())
    };
    let times: Vec<i64> = (start..start + BATCH)
        .map(|row| row as i64 * SECOND / 1_000)
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampNanosecondArray::from(times)),
        Arc::new(UInt16Array::from(vec![0; BATCH])),
        column(&|row| format!("host-{}", random(row, 1) % groups as u64)),
        column(&|row| format!("user-{}", random(row, 2) % 50)),
        column(&|row| (random(row, 3) % 1_000).to_string()),
    ];
    let schema = vec![
        Field::new(
            "_time",
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            false,
        ),
        Field::new("_class", DataType::UInt16, false),
        Field::new("host", list.clone(), true),
        Field::new("user", list.clone(), true),
        Field::new("bytes", list, true),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(schema)), columns).expect("columns of one length")
}
