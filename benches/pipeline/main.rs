//! `make bench`: how fast the whole pipeline reads a topic, beside consumers of the same topic that only count its bytes.
//!
//! Everything runs against one broker on this machine, which takes its share of the cores; so the ratio says more than the
//! rate. Runs are interleaved and repeated (`HAECHI_BENCH_ROUNDS`, default 3); the table shows medians.

#![allow(clippy::print_stdout, reason = "the table is the result")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark reports by stopping at the first surprise"
)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use haechi_benches::measured::{self, Measured};
use haechi_benches::{bare, median};
use haechi_tests::app::App;
use haechi_tests::broker::{Client, unique};
use haechi_tests::process::Haechi;
use haechi_tests::{data, repository};

/// Partitions of the topic.
const PARTITIONS: i32 = 4;
/// How often the events are written into it, one after the other.
const COPIES: u64 = 4;

/// One line of the table: how many workers, and which rules.
struct Subject {
    name: String,
    workers: usize,
    rules: Vec<PathBuf>,
    runs: Vec<Measured>,
}

fn main() {
    let rounds: usize = env::var("HAECHI_BENCH_ROUNDS").map_or(3, |rounds| {
        rounds.parse().expect("HAECHI_BENCH_ROUNDS is a number")
    });
    let client = Client::required();
    let topic = unique("bench");
    client.create(&[(&topic, usize::try_from(PARTITIONS).expect("a few"))]);
    let events = events();
    let lines = events.iter().filter(|&&byte| byte == b'\n').count() as u64;
    for _ in 0..COPIES {
        client.produce(&topic, &events);
    }
    let records = lines * COPIES;
    drop(events);

    let mut subjects = subjects();
    let mut rates: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let mut bytes = 0;
    for _ in 0..rounds {
        for consumers in [1, 2] {
            let counted = bare::count(&client.broker, &topic, PARTITIONS, consumers);
            assert_eq!(counted.records, records, "the yardstick reads everything");
            bytes = counted.bytes;
            rates[usize::try_from(consumers - 1).expect("1 or 2")]
                .push(records as f64 / counted.took.as_secs_f64());
        }
        for subject in &mut subjects {
            subject.runs.push(run(&client, &topic, records, subject));
        }
    }

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "\n{records} events of {} bytes in {PARTITIONS} partitions, {cores} cores shared with the broker, medians of {rounds} rounds\n",
        bytes / records
    );
    println!(
        "{:<36} {:>11} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "", "events/s", "MB/s", "ratio", "CPU s/M", "peak MB", "process s", "its CPU s"
    );
    let row = |name: &str, rate: f64, ratio: f64| {
        print!(
            "{name:<36} {:>11.0} {:>8.0} {ratio:>7.2}",
            rate,
            rate * bytes as f64 / records as f64 / 1e6
        );
    };
    let bare = [
        median(rates[0].iter().copied()),
        median(rates[1].iter().copied()),
    ];
    for (consumers, rate) in [(1, bare[0]), (2, bare[1])] {
        row(
            &format!("{consumers} bare consumer(s)"),
            rate,
            rate / bare[consumers - 1],
        );
        println!();
    }
    for subject in &subjects {
        let of = |figure: fn(&Measured) -> f64| median(subject.runs.iter().map(figure));
        let rate = of(|run| run.rate);
        row(&subject.name, rate, rate / bare[subject.workers.min(2) - 1]);
        println!(
            " {:>9.2} {:>9.0} {:>9.1} {:>9.1}",
            of(|run| run.cpu_per_million),
            of(|run| run.peak_bytes as f64 / 1e6),
            of(|run| run.process.as_secs_f64()),
            of(|run| run.process_cpu_seconds)
        );
    }
    println!(
        "\nratio: to as many bare consumers. Rates are between the first and the last record; `process` is from start to exit."
    );
    println!("peak is resident memory, which includes what librdkafka has fetched ahead.");
}

fn run(client: &Client, topic: &str, records: u64, subject: &Subject) -> Measured {
    let mut app = App::new(client, "bench");
    app.topics = vec![topic.to_owned()];
    app.workers = subject.workers;
    app.rules.clone_from(&subject.rules);
    app.format = "windows";
    app.logsource = "{product: windows}";
    app.timestamp = None;
    // As users get it.
    app.schema = "ocsf";
    app.properties.clear();
    app.create_outputs();
    measured::run(&app, records)
}

/// The real Windows events; where they are absent, generated ones.
fn events() -> Vec<u8> {
    if let Some(file) = data::file(data::WINDOWS_EVENTS) {
        return data::read(&file);
    }
    let generate = [
        "generate",
        "-n",
        "100000",
        "--seed",
        "7",
        "--source",
        "windows",
        "--start",
        "2026-03-01T00:00:00Z",
    ];
    Haechi::new(generate).run().succeeded().stdout
}

fn subjects() -> Vec<Subject> {
    let subject = |name: &str, workers: usize, rules: &[PathBuf]| Subject {
        name: format!("{workers} worker(s), {name}"),
        workers,
        rules: rules.to_vec(),
        runs: Vec::new(),
    };
    let Some(all) = data::sigma_rules() else {
        let shipped = [repository().join("rules")];
        return vec![
            subject("shipped rules", 1, &shipped),
            subject("shipped rules", 2, &shipped),
        ];
    };
    let ten = some(&all.join("rules/windows"), 10);
    vec![
        subject("10 rules", 1, &ten),
        subject("10 rules", 2, &ten),
        subject("all public rules", 2, &[all]),
    ]
}

/// So many rule files of a folder, evenly spread over it.
fn some(folder: &Path, wanted: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(folder, &mut found);
    found.sort();
    let step = found.len() / wanted;
    found
        .into_iter()
        .step_by(step.max(1))
        .take(wanted)
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the rules were unpacked") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            found.push(path);
        }
    }
}
