//! How fast real events decode: `decode_rate FORMAT FILE.ndjson[.zst] [FIELDS.txt]`, where the third file names a
//! wanted field a line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring tool, not a part of the product"
)]

use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use haechi_decode::{Decoder, DecoderSpec, Format, Row};

const BATCH: usize = 4_096;
const ROUNDS: u32 = 5;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let format: Format = arguments
        .next()
        .expect("a format")
        .parse()
        .expect("a format");
    let path = arguments.next().expect("a file of events");
    let mut text = String::new();
    let mut file = File::open(&path).expect("a file that opens");
    match path.ends_with(".zst") {
        true => zstd::Decoder::new(file)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap(),
        false => file.read_to_string(&mut text).unwrap(),
    };
    let fields: Vec<String> = match arguments.next() {
        Some(path) => std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect(),
        None => (0..400).map(|i| format!("Field{i}")).collect(),
    };
    let wanted = fields.len();
    let mut decoder = Decoder::new(DecoderSpec::new(format, fields)).unwrap();
    let records: Vec<&str> = text.lines().collect();
    let mut best = Duration::MAX;
    let mut present = 0;
    for _ in 0..ROUNDS {
        let start = busy();
        present = 0;
        for records in records.chunks(BATCH) {
            let rows = records.iter().map(|record| Row {
                payload: Some(record.as_bytes()),
                timestamp_ns: None,
            });
            let batch = decoder.decode(rows, i64::MAX / 2).batch;
            let absent: usize = batch
                .columns()
                .iter()
                .map(|column| column.null_count())
                .sum();
            present += batch.num_rows() * batch.num_columns() - absent;
        }
        best = best.min(busy() - start);
    }
    let seconds = best.as_secs_f64();
    println!(
        "{} events, {:.1} MB, {wanted} wanted fields, {:.1} of them in an event: {:.0} events/s, {:.0} MB/s, {:.2} µs an event",
        records.len(),
        text.len() as f64 / 1e6,
        // `_time` and `_class` are always there.
        present as f64 / records.len() as f64 - 2.0,
        records.len() as f64 / seconds,
        text.len() as f64 / 1e6 / seconds,
        seconds * 1e6 / records.len() as f64,
    );
}

/// Time that this thread has been running on a core, where Linux tells; else wall time.
fn busy() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(
            || START.get_or_init(Instant::now).elapsed(),
            Duration::from_nanos,
        )
}
