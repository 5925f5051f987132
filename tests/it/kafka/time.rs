//! Event time while the stream goes on: windows close by themselves, silent partitions do not hold them open, and what comes too
//! late is not lost without a word.

use std::time::Duration;

use haechi_tests::app::{App, wait_until_ready};
use haechi_tests::broker::Client;
use serde_json::{Value, json};

const RULES: &str = r#"
title: failed
name: failed
id: 00000000-0000-4000-8000-000000000001
logsource: {product: test}
detection: {sel: {action: failed}, condition: sel}
---
title: three
id: 00000000-0000-4000-8000-000000000002
correlation: {type: event_count, rules: [failed], group-by: [user], timespan: 10s, condition: {gte: 3}}
---
title: per minute
id: 00000000-0000-4000-8000-000000000003
rollup: {sql: "SELECT \"user\", count(*) AS n FROM test GROUP BY tumble(interval '1 minute'), \"user\""}
"#;

/// A record of a failed login at a second of 1970-01-02, in a partition.
fn failed(second: u32, user: &str, partition: i32) -> Value {
    let event = json!({"ts": 86_400 + second, "user": user, "action": "failed"}).to_string();
    let hex: String = event.bytes().map(|byte| format!("{byte:02x}")).collect();
    json!({"hex": hex, "partition": partition})
}

#[test]
fn windows_close_while_the_stream_goes_on_and_late_events_are_kept() {
    let client = Client::required();
    let mut app = App::new(&client, "late");
    app.lateness = "5s";
    app.idle_timeout = "2s";
    app.rule(RULES);
    let app = app.created();
    let mut process = app.run();
    wait_until_ready(&mut process);

    // Three partitions are silent, and never spoke. Event time passes 00:01:00 + lateness with the last event.
    let events = [
        failed(1, "eve", 0),
        failed(2, "eve", 0),
        failed(3, "eve", 0),
        failed(70, "bob", 0),
    ];
    client.produce_records(&app.topics[0], &events);
    client.wait_for(&app.topic("alerts"), 1, Duration::from_secs(40));
    client.wait_for(&app.topic("rollups"), 1, Duration::from_secs(40));
    let alerts = app.alerts(app.line());
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts.first().map(|alert| alert.count), Some(3));
    let rows = app.rollups();
    assert_eq!(rows[0]["row"], json!({"user": "eve", "n": 3}));

    // Now one for a window that is closed, in a partition that has not spoken yet.
    client.produce_records(&app.topics[0], &[failed(4, "eve", 1)]);
    client.wait_for(&app.topic("late"), 2, Duration::from_secs(40));
    process.terminate();
    let _ = process.wait(Duration::from_secs(30)).succeeded();
    let late: Vec<Value> = client
        .read(&app.topic("late"))
        .iter()
        .map(haechi_tests::broker::Record::json)
        .collect();
    let of_rule = |rule: &str| {
        late.iter()
            .find(|row| row["title"] == rule)
            .unwrap_or_else(|| panic!("no late row of {rule}: {late:?}"))
    };
    assert_eq!(late.len(), 2);
    assert_eq!(of_rule("three")["offset"], 0);
    assert_eq!(of_rule("three")["partition"], 1);
    assert_eq!(of_rule("per minute")["rows"], 1);
    assert_eq!(
        app.alerts(app.line()).len(),
        1,
        "the closed window says nothing new"
    );
}

#[test]
fn an_event_from_the_future_neither_closes_windows_nor_hides_in_one() {
    let client = Client::required();
    let mut app = App::new(&client, "future");
    app.lateness = "5s";
    app.idle_timeout = "60s";
    app.rule(RULES);
    let app = app.created();
    // All partitions speak; one event claims to be from 2199.
    let mut events: Vec<Value> = (0..4)
        .map(|partition| failed(1, "eve", partition))
        .collect();
    let future =
        json!({"ts": "2199-01-01T00:00:00Z", "user": "mallory", "action": "failed"}).to_string();
    let hex: String = future.bytes().map(|byte| format!("{byte:02x}")).collect();
    // Its record is as old as the others.
    events.push(json!({"hex": hex, "partition": 0, "timestamp": 86_401_000}));
    events.extend((0..4).map(|partition| failed(3, "eve", partition)));
    client.produce_records(&app.topics[0], &events);
    let finished = app.run_until_end(Duration::from_secs(60));
    let alerts = app.alerts(app.line());
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts.first().map(|alert| alert.count), Some(8));
    assert!(client.read(&app.topic("late")).is_empty());
    assert_eq!(haechi_tests::app::account(&finished), (9, 0, 0));
    let rows = app.rollups();
    assert!(
        rows.iter()
            .any(|row| row["row"] == json!({"user": "mallory", "n": 1})
                && row["window_start"] == "1970-01-02T00:00:00Z"),
        "{rows:?}"
    );
}

#[test]
fn a_partition_that_is_hours_ahead_waits_and_nothing_becomes_late() {
    let client = Client::required();
    let mut app = App::new(&client, "skew");
    app.workers = 1;
    app.lateness = "5s";
    app.max_skew = "1h";
    app.idle_timeout = "60s";
    app.rule(RULES);
    let app = app.created();
    let mut process = app.run();
    let address = wait_until_ready(&mut process);

    // Partition 0 is at the beginning and goes on to be read; the others are ten hours ahead, and have more to come.
    let ahead = [1, 2, 3].map(|partition| failed(36_000, "bob", partition));
    client.produce_records(&app.topics[0], &ahead);
    client.produce_records(&app.topics[0], &[failed(1, "eve", 0)]);
    let held = |least: f64| {
        move |_: &haechi_tests::process::Running| {
            let held = haechi_tests::http::Samples::scrape(address)?.sum("haechi_held_partitions");
            (held == least).then_some(())
        }
    };
    process.until(Duration::from_secs(30), "three wait", held(3.0));
    let more = [1, 2, 3].map(|partition| failed(36_001, "bob", partition));
    client.produce_records(&app.topics[0], &more);
    // In its own time the slow one has two more of eve's, and they count.
    client.produce_records(&app.topics[0], &[failed(2, "eve", 0), failed(3, "eve", 0)]);
    haechi_tests::app::wait_for_metric(
        &mut process,
        "haechi_records_total",
        6.0,
        Duration::from_secs(30),
    );
    std::thread::sleep(Duration::from_secs(2));
    let read = haechi_tests::http::Samples::scrape(address).map(|s| s.sum("haechi_records_total"));
    assert_eq!(read, Some(6.0), "those who wait are not read");
    client.produce_records(&app.topics[0], &[failed(36_100, "eve", 0)]);
    process.until(Duration::from_secs(30), "nobody waits", held(0.0));
    let last = [1, 2, 3].map(|partition| failed(36_100, "zed", partition));
    client.produce_records(&app.topics[0], &last);
    client.wait_for(&app.topic("alerts"), 2, Duration::from_secs(40));
    process.terminate();
    let _ = process.wait(Duration::from_secs(30)).succeeded();
    let alerts = app.alerts(app.line());
    let mut counts: Vec<u64> = alerts.iter().map(|alert| alert.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [3, 6], "eve's three, bob's six");
    assert!(client.read(&app.topic("late")).is_empty());
}
