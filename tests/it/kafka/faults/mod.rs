//! Several processes on real brokers while a seeded schedule breaks things: they are killed, stopped and gone on with,
//! added and told to stop; their clocks jump; brokers are restarted and killed; the network between them is slow, silent and cut; the
//! input gets partitions, the output topics are deleted and created anew; rubbish is among the events. At the end everything
//! written is found, once.
//!
//! `make faults` runs many seeds for two minutes each, on three brokers.

mod clock;
mod outputs;
mod siege;

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use haechi_tests::app::App;
use haechi_tests::broker::Client;
use haechi_tests::{link, synthetic};

use super::{RULES, RUN};
use outputs::Outputs;
use siege::{Siege, Sink};

/// Events a second: enough that there is always something under way.
const RATE: u64 = 2_000;

/// Beside [`RULES`]: one that tells early, one that suppresses, and one that knows what it has seen.
const MORE_RULES: &str = r"
title: Guessing, told early
id: 00000000-0000-4000-8000-000000000014
correlation: {type: event_count, rules: [failed], group-by: [src], timespan: 5s, condition: {gte: 10}, emit: early}
---
title: Failed, once a user and minute
id: 00000000-0000-4000-8000-000000000015
logsource: {product: test}
detection: {sel: {action: failed}, condition: sel}
suppress: {by: [user], for: 1m}
---
title: From a source new to the user
id: 00000000-0000-4000-8000-000000000016
correlation: {type: new_terms, rules: [failed], field: src, group-by: [user], timespan: 20s}
";

/// Their ids.
const TOLD_EARLY: &str = "00000000-0000-4000-8000-000000000014";
const TOLD_ONCE: &str = "00000000-0000-4000-8000-000000000015";
const NEW_SOURCE: &str = "00000000-0000-4000-8000-000000000016";

fn environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number"))
    })
}

#[test]
#[ignore = "minutes for each seed: make faults"]
fn whatever_breaks_everything_is_found_once() {
    let client = Client::required();
    let first = environment("HAECHI_FAULTS_SEED", 1);
    let seconds = environment("HAECHI_FAULTS_SECONDS", 40);
    for seed in first..first + environment("HAECHI_FAULTS_RUNS", 1) {
        println!(
            "replay: HAECHI_FAULTS_SEED={seed} HAECHI_FAULTS_SECONDS={seconds} make faults RUNS=1"
        );
        let faults = attack(&client, seed, seconds);
        println!("seed {seed}: {faults} faults in {seconds} s; 0 lost, 0 duplicated, 0 different");
    }
}

fn attack(client: &Client, seed: u64, seconds: u64) -> usize {
    let mut app = App::new(client, &format!("faults-{seed}")).created();
    app.lateness = synthetic::LATENESS;
    // Whatever takes longer than this would rightly be taken for silence.
    app.idle_timeout = "120s";
    app.commit_interval = ["50ms", "200ms", "1s"][seed as usize % 3];
    // How soon new partitions are noticed.
    app.properties
        .push(("topic.metadata.refresh.interval.ms", "2000".to_owned()));
    app.rule(RULES).rule(MORE_RULES);
    let text = with_rubbish(&synthetic::logins(seconds * RATE));
    let file = app.folder().join("events.ndjson");
    fs::write(&file, &text).expect("the scratch folder can be written");
    let links = link::to_nodes();
    let addresses: Vec<String> = links.iter().map(|to| to.address.to_string()).collect();
    app.bootstrap = (!links.is_empty()).then(|| addresses.join(","));
    let sink = Mutex::new(Sink {
        partitions: app.partitions,
    });
    let mut siege = Siege::new(&app, &sink, seed, links);
    for _ in 0..3 {
        siege.start();
    }
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(&app, &sink, &text, seconds));
        while !writer.is_finished() {
            siege.wait(1500);
            siege.fault();
        }
        writer.join().expect("everything is written");
    });
    siege.calm();
    let _ = app.run_until_end(RUN);
    let faults = siege.faults;
    let mut outputs = siege.deleted;
    outputs.append(Outputs::of(&app));
    outputs.assert_logins(&file, line_of(&app, &text));
    faults
}

/// Every now and then a line is none.
fn with_rubbish(text: &str) -> String {
    let line = |(number, line): (usize, &str)| match number % 997 {
        500 => format!("{{\"ts\":\"2025-03-01T00:00 {number}\n"),
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').enumerate().map(line).collect()
}

/// Writes a second's events about every second.
fn write(app: &App, sink: &Mutex<Sink>, text: &str, seconds: u64) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let begun = Instant::now();
    for (second, lines) in (0..seconds).zip(lines.chunks(RATE as usize)) {
        let due = Duration::from_secs(second);
        thread::sleep(due.saturating_sub(begun.elapsed()));
        let sink = sink.lock().expect("nobody else fails");
        app.client
            .produce_over(&app.topics[0], sink.partitions, lines.concat().as_bytes());
    }
}

/// Which line of the text a record of the input is, as the independent client sees it.
fn line_of(app: &App, text: &str) -> impl Fn(i32, i64) -> i64 + use<> {
    let lines: HashMap<&str, i64> = text.lines().zip(0..).collect();
    let places: HashMap<(i32, i64), i64> = app
        .client
        .read(&app.topics[0])
        .into_iter()
        .map(|record| {
            let line = record.value.as_deref().and_then(|value| lines.get(value));
            let line = line.expect("nobody else has written");
            ((record.partition, record.offset), *line)
        })
        .collect();
    assert_eq!(places.len(), lines.len(), "every line is written once");
    move |partition, offset| places[&(partition, offset)]
}
