//! Decoding allocates per batch and per column, never per event or per field.
#![allow(unsafe_code, reason = "counting allocations takes an allocator")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use haechi_decode::{Decoder, DecoderSpec, Format, Logsource, Row};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations in decoding a batch, once the decoder has settled.
fn allocations(format: Format, record: impl Fn(usize) -> String, events: usize) -> u64 {
    let fields = (0..500).map(|i| format!("Wanted{i}")).collect();
    let mut spec = DecoderSpec::new(format, fields);
    spec.values_for = Box::new(|_: &[Logsource]| true);
    let mut decoder = Decoder::new(spec).expect("a valid spec");
    let records: Vec<String> = (0..events).map(record).collect();
    let mut count = 0;
    for _ in 0..3 {
        let rows = records.iter().map(|record| Row {
            payload: Some(record.as_bytes()),
            timestamp_ns: None,
        });
        let before = COUNT.get();
        let decoded = decoder.decode(rows, 0);
        count = COUNT.get() - before;
        assert_eq!(decoded.batch.num_rows(), events);
    }
    count
}

#[test]
fn nothing_is_allocated_per_event() {
    let json = |i: usize| {
        format!(
            r#"{{"time":{i}.5,"Wanted1":"a \"long enough\" value of event {i}","Wanted2":[1,2.75,true],"Wanted3":{{"an":"object, as text"}},"x":{{"y":[{{}}]}}}}"#
        )
    };
    let windows = |i: usize| {
        format!(
            r##"{{"Event":{{"System":{{"EventID":{},"Channel":"Security","Computer":"host {i}"}},"EventData":{{"Wanted 1":"spaced {i}","Data":[{{"@Name":"Wanted2","#text":"named"}}],"Wanted3":-{i}}}}}}}"##,
            i % 7000
        )
    };
    for (format, record) in [
        (Format::Json, &json as &dyn Fn(usize) -> String),
        (Format::Windows, &windows),
    ] {
        let few = allocations(format, record, 1_000);
        let many = allocations(format, record, 8_000);
        // Eight times the events: the same allocations, but for those that grow by doubling.
        assert!(
            many < few + 64,
            "{format}: {few} for 1,000 events, {many} for 8,000"
        );
    }
}

#[test]
fn absent_fields_cost_nothing_per_batch_either() {
    let count = allocations(Format::Json, |_| "{}".to_owned(), 1_000);
    assert!(count < 40, "{count}");
}
