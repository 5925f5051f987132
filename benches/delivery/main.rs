//! `make bench-delivery`: what exactly once costs beside at least once, at several commit intervals: rate and processor time over a
//! topic that is full, then the time from an event to its alert under steady load. `make steady` is the latter alone, for long:
//! does memory grow?
//!
//! `HAECHI_BENCH_ROUNDS` (default 3) rounds of the first, interleaved; `HAECHI_STEADY_SECONDS` (default 20) of `HAECHI_STEADY_RATE`
//! events a second (default 2,000) of the second.

#![allow(clippy::print_stdout, reason = "the table is the result")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark reports by stopping at the first surprise"
)]

mod steady;

use std::env;
use std::time::Duration;

use haechi_benches::measured::{self, Measured};
use haechi_benches::median;
use haechi_tests::app::App;
use haechi_tests::broker::{Client, unique};
use haechi_tests::synthetic;

/// Events of the topic that is full.
const EVENTS: u64 = 600_000;

/// A detection, a correlation and a rollup: all kinds of output.
const RULES: &str = "
title: Probe
id: 00000000-0000-4000-8000-000000000020
level: high
logsource: {product: test}
detection: {sel: {action: failed, bytes|gte: 9000}, condition: sel}
---
title: Failed
name: failed
id: 00000000-0000-4000-8000-000000000021
logsource: {product: test}
detection: {sel: {action: failed}, condition: sel}
---
title: Guessing
id: 00000000-0000-4000-8000-000000000022
correlation: {type: event_count, rules: [failed], group-by: [src], timespan: 5s, condition: {gte: 10}}
---
title: Per user
id: 00000000-0000-4000-8000-000000000023
rollup:
  sql: SELECT \"user\", count(*) AS events FROM test GROUP BY tumble(interval '1 minute'), \"user\"
";

/// One line of the table.
struct Subject {
    delivery: &'static str,
    interval: &'static str,
    runs: Vec<Measured>,
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number"))
    })
}

fn app(client: &Client, delivery: &'static str, interval: &'static str) -> App {
    let mut app = App::new(client, "delivery");
    app.delivery = delivery;
    app.commit_interval = interval;
    app.lateness = synthetic::LATENESS;
    app.idle_timeout = "120s";
    app.properties.clear();
    app.rule(RULES);
    app
}

fn main() {
    let client = Client::required();
    let load = steady::Load {
        rate: number("HAECHI_STEADY_RATE", 2_000),
        lasts: Duration::from_secs(number("HAECHI_STEADY_SECONDS", 20)),
    };
    if env::var_os("HAECHI_STEADY_ONLY").is_some() {
        let app = app(&client, "exactly_once", "200ms");
        // What has been read is not kept for as long as the load lasts: an hour of it would fill a disk.
        let kept = ["retention.bytes=2147483648", "segment.bytes=268435456"];
        client.create_with(&app.topics[0], app.partitions, &kept);
        app.create_outputs();
        let seen = steady::run(&app, &load, true);
        println!("{}", seen.summary());
        return;
    }
    let mut subjects = Vec::new();
    for delivery in ["exactly_once", "at_least_once"] {
        for interval in ["50ms", "200ms", "1s"] {
            subjects.push(Subject {
                delivery,
                interval,
                runs: Vec::new(),
            });
        }
    }
    let topic = unique("delivery");
    client.create(&[(&topic, 4)]);
    client.produce(&topic, synthetic::logins(EVENTS).as_bytes());
    for _ in 0..number("HAECHI_BENCH_ROUNDS", 3) {
        for subject in &mut subjects {
            let mut app = app(&client, subject.delivery, subject.interval);
            app.topics = vec![topic.clone()];
            app.create_outputs();
            subject.runs.push(measured::run(&app, EVENTS));
        }
    }
    println!(
        "\n{EVENTS} events of a full topic, then {} a second for {:?}; 2 workers\n",
        load.rate, load.lasts
    );
    println!(
        "{:<14} {:>8} {:>10} {:>7} {:>9} {:>8} {:>8} {:>9} {:>10}",
        "delivery",
        "commits",
        "events/s",
        "ratio",
        "CPU s/M",
        "p50 ms",
        "p99 ms",
        "max ms",
        "load CPU %"
    );
    let most = subjects
        .iter()
        .map(|subject| median(subject.runs.iter().map(|run| run.rate)))
        .fold(0.0, f64::max);
    for subject in &subjects {
        let of = |figure: fn(&Measured) -> f64| median(subject.runs.iter().map(figure));
        let seen = steady::run(
            &app(&client, subject.delivery, subject.interval).created(),
            &load,
            false,
        );
        println!(
            "{:<14} {:>8} {:>10.0} {:>7.2} {:>9.2} {:>8.0} {:>8.0} {:>9.0} {:>10.1}",
            subject.delivery,
            subject.interval,
            of(|run| run.rate),
            of(|run| run.rate) / most,
            of(|run| run.cpu_per_million),
            seen.latency_ms(0.5),
            seen.latency_ms(0.99),
            seen.latency_ms(1.0),
            seen.cpu_share * 100.0,
        );
    }
    println!(
        "\nms: from writing an event until a reader of committed records has its alert. ratio: to the fastest."
    );
}
