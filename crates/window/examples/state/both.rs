//! Both stages, timed apart, over events that are made up as they go.

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
/// Nanoseconds from one event to the next.
const STEP: i64 = SECOND / 1_000;

/// One rule over two detections, and one source partition.
pub(crate) struct Both {
    pub(crate) plan: Arc<Plan>,
    pub(crate) merger: Merger,
    partials: Partials,
    clock: SourceClock,
    topic: Arc<str>,
    next: usize,
}

/// What became of some events.
#[derive(Default)]
pub(crate) struct Run {
    events: usize,
    first: Duration,
    second: Duration,
    /// The most bytes that stage 2 held between records, by its own account.
    pub(crate) most_bytes: usize,
    pub(crate) found: usize,
}

impl Run {
    pub(crate) fn stage1_rate(&self) -> f64 {
        self.events as f64 / self.first.as_secs_f64()
    }

    pub(crate) fn stage2_rate(&self) -> f64 {
        self.events as f64 / self.second.as_secs_f64()
    }
}

impl Both {
    /// `keys` are those of the correlation, beside `group-by`.
    pub(crate) fn new(keys: &str) -> Self {
        let text = format!(
            "title: a\nname: a\nid: a\ndetection: {{s: {{k: a}}, condition: s}}\n---\ntitle: b\nname: b\nid: b\ndetection: {{s: {{k: b}}, condition: s}}\n---\n\
             title: c\nid: c\ncorrelation: {{group-by: [host], {keys}}}\n"
        );
        let rules = haechi_rules::load_str(Path::new("state.yml"), &text).rules;
        assert_eq!(rules.correlations.len(), 1, "{keys}");
        let plan = Arc::new(Plan::compile(&rules, &Tables::default()).expect("sound rules"));
        let topic: Arc<str> = "logs".into();
        let source = SourceId {
            topic: Arc::clone(&topic),
            partition: 0,
        };
        let lateness = Duration::from_secs(5);
        Self {
            partials: Partials::new(Arc::clone(&plan), 1),
            merger: Merger::new(Arc::clone(&plan), 0),
            clock: SourceClock::new(source, lateness, Duration::MAX, 0),
            topic,
            next: 0,
            plan,
        }
    }

    /// The next events, each of the group that `host` says; `last` when no more will come.
    pub(crate) fn run(&mut self, events: usize, last: bool, host: &dyn Fn(u64) -> u64) -> Run {
        let mut run = Run::default();
        let batches = events.div_ceil(BATCH);
        for number in 1..=batches {
            self.read(host, &mut run);
            if number == batches && last {
                self.clock.end();
            }
            if number % COMMIT == 0 || number == batches {
                self.commit(&mut run);
            }
        }
        run
    }

    fn read(&mut self, host: &dyn Fn(u64) -> u64, run: &mut Run) {
        let start = self.next;
        self.next += BATCH;
        let batch = batch(start, host);
        let offsets: Vec<i64> = (start..self.next).map(|row| row as i64).collect();
        let hits: Vec<(u32, u32)> = (0..BATCH as u32)
            .map(|row| (random(start as u64 + u64::from(row), 7) as u32 % 2, row))
            .collect();
        let rows = RowOrigins {
            topic: &self.topic,
            partition: 0,
            offsets: &offsets,
            payloads: &[],
        };
        let began = Instant::now();
        self.partials
            .add(&batch, &[Vec::new()], &hits, rows, "logs")
            .expect("a sound batch");
        run.first += began.elapsed();
        run.events += BATCH;
        self.clock.observe(self.next as i64 * STEP, 0);
    }

    fn commit(&mut self, run: &mut Run) {
        let progress = Progress {
            roster: vec![(Arc::clone(&self.topic), 1)],
            sources: vec![self.clock.progress(0)],
            announce: true,
        };
        let began = Instant::now();
        let records = self.partials.drain(&progress);
        run.first += began.elapsed();
        for (_, record) in records.expect("partials that encode") {
            let began = Instant::now();
            let outcomes = self.merger.apply(&record).expect("an intact record");
            run.second += began.elapsed();
            run.found += outcomes.len();
            run.most_bytes = run.most_bytes.max(self.merger.state_bytes());
        }
    }
}

/// A number that looks random and is the same every time.
pub(crate) fn random(number: u64, salt: u64) -> u64 {
    let mut bits = number
        .wrapping_add(salt)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 31)
}

fn batch(start: usize, host: &dyn Fn(u64) -> u64) -> RecordBatch {
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
        .map(|row| row as i64 * STEP)
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampNanosecondArray::from(times)),
        Arc::new(UInt16Array::from(vec![0; BATCH])),
        column(&|row| format!("host-{:08}", host(row))),
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
