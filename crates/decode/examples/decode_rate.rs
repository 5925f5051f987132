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
    let mut values = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        values = 0;
        for records in records.chunks(BATCH) {
            let rows = records.iter().map(|record| Row {
                payload: Some(record.as_bytes()),
                timestamp_ns: None,
            });
            let decoded = decoder.decode(rows, i64::MAX / 2);
            values += decoded.batch.get_array_memory_size();
        }
        best = best.min(start.elapsed());
    }
    let seconds = best.as_secs_f64();
    println!(
        "{} events, {:.1} MB, {wanted} wanted fields: {:.0} events/s, {:.0} MB/s, {:.2} µs an event; {:.1} MB of arrays",
        records.len(),
        text.len() as f64 / 1e6,
        records.len() as f64 / seconds,
        text.len() as f64 / 1e6 / seconds,
        seconds * 1e6 / records.len() as f64,
        values as f64 / 1e6,
    );
}
