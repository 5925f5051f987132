//! A rolling restart of processes that have a name: none of the others notices.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use haechi_tests::app::{App, address, wait_until_ready};
use haechi_tests::broker::Client;
use haechi_tests::http::Samples;
use haechi_tests::process::Running;
use haechi_tests::synthetic;

use super::{RULES, RUN, assert_logins_in};

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Events a second.
const RATE: usize = 1_000;

fn start(app: &mut App, name: &str) -> Running {
    app.instance = Some(name.to_owned());
    let mut process = app.run();
    // The next one's configuration is written over this one's.
    process.until(
        Duration::from_secs(60),
        "it has read its configuration",
        address,
    );
    process
}

fn rebalances(process: &Running) -> f64 {
    let samples = Samples::scrape(address(process).expect("it serves"));
    samples.expect("it answers").sum("haechi_rebalances_total")
}

#[test]
fn a_rolling_restart_moves_no_partition() {
    let client = Client::required();
    let mut app = App::new(&client, "rolling").created();
    app.lateness = synthetic::LATENESS;
    app.idle_timeout = "120s";
    app.commit_interval = "100ms";
    // A restart has to be over within a session.
    app.properties
        .retain(|(name, _)| *name != "session.timeout.ms");
    app.properties
        .push(("session.timeout.ms", "45000".to_owned()));
    app.rule(RULES);
    let mut pods: BTreeMap<&str, Running> = BTreeMap::new();
    for name in NAMES {
        let process = start(&mut app, name);
        pods.insert(name, process);
    }
    for process in pods.values_mut() {
        wait_until_ready(process);
    }
    let over = AtomicBool::new(false);
    let (topic, events) = (app.topics[0].clone(), synthetic::logins(120 * RATE as u64));
    let lines: Vec<&str> = events.split_inclusive('\n').collect();
    let (written, restarts) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let begun = Instant::now();
            let mut written = 0;
            for (number, lines) in lines.chunks(RATE / 5).enumerate() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let due = Duration::from_millis(200 * number as u64);
                thread::sleep(due.saturating_sub(begun.elapsed()));
                client.produce(&topic, lines.concat().as_bytes());
                written += lines.len();
            }
            written
        });
        // Joining one after the other has moved partitions; now they are where they stay.
        thread::sleep(Duration::from_secs(5));
        let begun = now_ms();
        for name in NAMES {
            let before: Vec<f64> = others(&pods, name).map(rebalances).collect();
            let process = pods.remove(name).expect("it runs");
            process.terminate();
            let _ = process.wait(Duration::from_secs(30)).succeeded();
            let mut process = start(&mut app, name);
            wait_until_ready(&mut process);
            pods.insert(name, process);
            thread::sleep(Duration::from_secs(2));
            let after: Vec<f64> = others(&pods, name).map(rebalances).collect();
            assert_eq!(
                before, after,
                "the others' partitions moved when {name} was restarted"
            );
        }
        let restarts = begun..now_ms();
        over.store(true, Ordering::SeqCst);
        (writer.join().expect("everything is written"), restarts)
    });
    for process in pods.into_values() {
        process.terminate();
        let _ = process.wait(Duration::from_secs(30)).succeeded();
    }
    // The group still knows them by their names: the last windows are for the same three to close.
    let last: Vec<Running> = NAMES
        .map(|name| {
            app.instance = Some(name.to_owned());
            let mut process = app.start_until_end();
            process.until(
                Duration::from_secs(60),
                "it has read its configuration",
                address,
            );
            process
        })
        .into_iter()
        .collect();
    for process in last {
        let _ = process.wait(RUN).succeeded();
    }
    let file = app.folder().join("events.ndjson");
    fs::write(&file, lines[..written].concat()).expect("the scratch folder can be written");
    assert_logins_in(&app, &file, &app.alerts(app.line()), &app.rollups());
    println!(
        "largest gap between two alerts while pods were restarted: {:?}",
        largest_gap(&app, &restarts)
    );
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn others<'a>(pods: &'a BTreeMap<&str, Running>, name: &str) -> impl Iterator<Item = &'a Running> {
    let name = name.to_owned();
    pods.iter()
        .filter(move |(other, _)| **other != name)
        .map(|(_, process)| process)
}

/// Between two records of the alert topic that were sent `within` these milliseconds, and from its ends to the next.
fn largest_gap(app: &App, within: &Range<i64>) -> Duration {
    let records = app.client.read(&app.topic("alerts"));
    let sent = records.iter().map(|record| record.timestamp);
    let mut times: Vec<i64> = sent.filter(|time| within.contains(time)).collect();
    times.extend([within.start, within.end]);
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    Duration::from_millis(gaps.max().unwrap_or(0).unsigned_abs())
}
