//! The 103,541 real Windows events in 4 partitions, all public rules: what is found on Kafka is what replay finds in the file, and
//! what a plain script counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use haechi_tests::alerts::{self, Alert, Brief, assert_same};
use haechi_tests::app::{App, account};
use haechi_tests::broker::Client;
use haechi_tests::process::Haechi;
use haechi_tests::{data, repository};

use super::{RUN, Shared, assert_all_committed, expected_findings, expected_rows, findings, rows};

const ACCESSES: &str = "00000000-0000-4000-8000-000000000022";

/// Grouped by fields that are not the topic's key: there is none. Only events that carry `@timestamp` count, since the others take
/// the record's time, which a file does not have; and only flat ones, since a plain script does not know Winlogbeat's shape.
const AGGREGATES: &str = r#"
title: Process access
name: process_access
id: 00000000-0000-4000-8000-000000000021
logsource: {product: windows}
detection: {sel: {EventID: 10, '@timestamp|exists': true, SourceImage|exists: true}, other_shape: {log_name|exists: true}, condition: sel and not other_shape}
---
title: Many accesses
id: 00000000-0000-4000-8000-000000000022
correlation: {type: event_count, rules: [process_access], group-by: [SourceImage], timespan: 30s, condition: {gte: 40}}
---
title: Per host
id: 00000000-0000-4000-8000-000000000023
rollup:
  sql: |
    SELECT "Hostname" AS host, count(*) AS events, count(DISTINCT "EventID") AS sources, count("Task") AS numbers,
           sum("Task") AS total, min("Task") AS least, max("Task") AS most, avg("Task") AS mean
    FROM input
    WHERE "@timestamp" IS NOT NULL AND "Hostname" IS NOT NULL
    GROUP BY tumble(interval '1 minute'), "Hostname"
  types: {Task: bigint}
"#;

fn app(client: &Client, name: &str) -> App {
    let mut app = App::new(client, name);
    app.topics = vec![Shared::windows(client).topic.clone()];
    app.format = "windows";
    app.logsource = "{product: windows}";
    app.timestamp = None;
    app.create_outputs();
    app
}

fn all_rules() -> PathBuf {
    data::sigma_rules().unwrap_or_else(|| repository().join("rules"))
}

/// Alerts of single events as (rule, line) with the event's time; where it has none, that is the record's or the file's.
fn by_line(alerts: &BTreeSet<Alert>) -> BTreeMap<(String, i64), Option<String>> {
    let timed = |time: &str| (time < "2026-06").then(|| time.to_owned());
    alerts
        .iter()
        .filter(|alert| alert.group.is_empty())
        .map(|alert| ((alert.rule.clone(), alert.lines[0]), timed(&alert.time)))
        .collect()
}

#[test]
fn all_public_rules_find_what_replay_finds() {
    let client = Client::required();
    let shared = Shared::windows(&client);
    let mut app = app(&client, "real");
    app.rules.push(all_rules());
    let finished = app.run_until_end(RUN);
    let (records, dead_letters, late) = account(&finished);
    assert_eq!(
        (records, dead_letters, late),
        (shared.lines, 0, 0),
        "every event is accounted for"
    );
    assert_all_committed(&app, &shared.topic);

    let replay = Haechi::new([
        "replay",
        "--alerts",
        "brief",
        "--format",
        "windows",
        "--logsource",
        "product=windows",
        "-j",
        "2",
    ])
    .arg("--rules")
    .arg(all_rules())
    .arg("--")
    .arg(&shared.file)
    .limit(RUN)
    .run()
    .succeeded();
    let expected = by_line(&alerts::set(
        replay
            .rows()
            .iter()
            .filter(|row| row.get("level").is_some())
            .map(|row| Brief::of(row).alert(|_, offset| offset)),
    ));
    let found = by_line(&app.alerts(app.line()));
    assert!(
        expected.len() > 20,
        "the rules find something: {}",
        expected.len()
    );
    assert_same(
        &found.into_iter().collect(),
        &expected.into_iter().collect(),
    );
}

#[test]
fn windows_count_what_a_plain_script_counts_with_1_2_and_4_workers() {
    let client = Client::required();
    let shared = Shared::windows(&client);
    let expected_findings = expected_findings(
        &["@timestamp", "EventID=10", "SourceImage", "30", "40"],
        &shared.file,
    );
    let expected_rows = expected_rows(
        &["@timestamp", "Hostname", "EventID", "Task", "60"],
        &shared.file,
    );
    if data::file(data::WINDOWS_EVENTS).is_some() {
        assert!(
            expected_findings.len() > 20 && expected_rows.len() > 100,
            "{} findings, {} rows",
            expected_findings.len(),
            expected_rows.len()
        );
    }
    for workers in [1, 2, 4] {
        let mut app = app(&client, "counted");
        app.timestamp = Some("@timestamp");
        app.rule(AGGREGATES);
        app.workers = workers;
        let finished = app.run_until_end(RUN);
        assert_eq!(
            account(&finished),
            (shared.lines, 0, 0),
            "{workers} workers"
        );
        assert_same(
            &findings(&app.alerts(app.line()), ACCESSES),
            &expected_findings,
        );
        assert_same(&rows(&app.rollups()), &expected_rows);
    }
}

#[test]
fn killed_in_the_middle_and_started_again() {
    let client = Client::required();
    let shared = Shared::windows(&client);
    let mut app = app(&client, "killed-real");
    app.rules.push(all_rules());
    app.rule(AGGREGATES);
    app.timestamp = Some("@timestamp");
    app.instance = Some("one".to_owned());
    app.commit_interval = "100ms";
    let mut process = app.start_until_end();
    haechi_tests::app::wait_for_metric(
        &mut process,
        "haechi_records_total",
        shared.lines as f64 / 4.0,
        Duration::from_secs(120),
    );
    let _ = process.kill();
    let before = app.alerts(app.line());
    let _ = app.run_until_end(RUN);

    let after = app.alerts(app.line());
    assert!(before.is_subset(&after), "what was committed stays");
    let replay = Haechi::new([
        "replay",
        "--alerts",
        "brief",
        "--format",
        "windows",
        "--logsource",
        "product=windows",
        "-j",
        "2",
        "--timestamp",
        "@timestamp",
        "--rules",
    ])
    .args(&app.rules)
    .args(["--input-name", "input", "--"])
    .arg(&shared.file)
    .limit(RUN)
    .run()
    .succeeded();
    let expected = alerts::set(
        replay
            .rows()
            .iter()
            .filter(|row| row.get("level").is_some())
            .map(|row| Brief::of(row).alert(|_, offset| offset)),
    );
    assert_same(
        &by_line(&after).into_iter().collect(),
        &by_line(&expected).into_iter().collect(),
    );
    assert_same(
        &findings(&app.alerts(app.line()), ACCESSES),
        &expected_findings(
            &["@timestamp", "EventID=10", "SourceImage", "30", "40"],
            &shared.file,
        ),
    );
    assert_same(
        &rows(&app.rollups()),
        &expected_rows(
            &["@timestamp", "Hostname", "EventID", "Task", "60"],
            &shared.file,
        ),
    );
    println!(
        "{} alerts were committed before the kill, {} in the end",
        before.len(),
        after.len()
    );
}
