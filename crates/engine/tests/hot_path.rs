//! From bytes to hits nothing is allocated per event or field: only per batch, and per column of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use haechi_decode::{Decoder, DecoderSpec, Format, Logsource, Row, Timestamp};
use haechi_detect::{Detector, Plan};

/// The system's allocator, which counts what the current thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator; counting touches only a thread-local number without a destructor.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from there.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A decoder and a detector for the shipped rules.
struct Pipeline {
    decoder: Decoder,
    detector: Detector,
}

impl Pipeline {
    fn new() -> Self {
        let rules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../rules");
        let loaded = haechi_rules::load(&[rules]);
        assert!(loaded.rules.detections.len() > 10, "the shipped rules load");
        let plan = Arc::new(Plan::compile(&loaded.rules.detections).unwrap());
        let decoder = Decoder::new(DecoderSpec {
            format: Format::Windows,
            fields: plan.fields().iter().map(ToString::to_string).collect(),
            logsource: Logsource::default(),
            timestamp: Timestamp {
                field: None,
                future_ns: i64::MAX,
            },
            // As if a rule with keywords looked at every event.
            values_for: Box::new(|_: &[Logsource]| true),
            max_record_bytes: 1 << 20,
            max_depth: 64,
        });
        Self {
            decoder: decoder.unwrap(),
            detector: Detector::new(plan),
        }
    }

    /// Takes events from bytes to hits; how many allocations that took.
    fn allocations(&mut self, events: &[String]) -> u64 {
        let before = ALLOCATIONS.get();
        let rows = events.iter().map(|event| Row {
            payload: Some(event.as_bytes()),
            timestamp_ns: None,
        });
        let decoded = self.decoder.decode(rows, 1_800_000_000_000_000_000);
        assert_eq!(decoded.source_row.len(), events.len());
        let translate = |logsource: &Logsource| haechi_rules::Logsource {
            product: logsource.product.clone(),
            category: logsource.category.clone(),
            service: logsource.service.clone(),
        };
        let classes = self.decoder.classes().iter();
        let classes: Vec<Vec<_>> = classes
            .map(|class| class.iter().map(translate).collect())
            .collect();
        self.detector.bind_classes(&classes);
        drop(self.detector.detect(&decoded.batch).unwrap());
        ALLOCATIONS.get() - before
    }
}

/// Process starts with values seen before, values that are new, escapes, numbers and an array.
fn events(from: usize, count: usize) -> Vec<String> {
    let event = |n: usize| {
        format!(
            r#"{{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"@timestamp":"2026-03-01T00:00:{:02}Z","Image":"C:\\Windows\\System32\\cmd.exe","CommandLine":"cmd /c \"echo {n} and more that was never said before\"","ParentImage":"C:\\Users\\{}\\x.exe","User":"Ké{}","ProcessId":{n},"Hashes":["a{n}","b"],"Nested":{{"a":null,"b":-1.5e3}}}}"#,
            n % 60,
            n % 7,
            n % 3,
        )
    };
    (from..from + count).map(event).collect()
}

#[test]
fn allocations_are_per_batch_not_per_event_or_field() {
    let mut pipeline = Pipeline::new();
    let (large, small) = (events(0, 8000), events(0, 80));
    // Buffers get their size, and the cache learns the values; each of the batches below is of one of these kinds.
    for _ in 0..3 {
        pipeline.allocations(&large);
    }
    pipeline.allocations(&small);
    let of_small = pipeline.allocations(&small);
    pipeline.allocations(&large);
    let of_large = pipeline.allocations(&large);
    println!("allocations: {of_small} for 80 events, {of_large} for 8,000");
    // A list that grows with what is found doubles now and then: a few more for a hundred times the events.
    assert!(
        of_large <= of_small + 32,
        "80 events: {of_small} allocations, 8,000 events: {of_large}"
    );
}
