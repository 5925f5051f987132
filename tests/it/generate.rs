//! `haechi generate` and `haechi demo`.

use std::collections::BTreeSet;
use std::fs;

use haechi_tests::process::{Haechi, parse_lines};
use haechi_tests::{repository, scratch};
use serde_json::Value;

#[test]
fn the_same_seed_gives_the_same_events() {
    let generate = |seed: &str| {
        Haechi::new([
            "generate",
            "-n",
            "5000",
            "--start",
            "2026-03-01T00:00:00Z",
            "--seed",
            seed,
        ])
        .run()
        .succeeded()
        .stdout
    };
    let one = generate("1");
    assert_eq!(one.iter().filter(|&&byte| byte == b'\n').count(), 5000);
    assert_eq!(one, generate("1"));
    assert_ne!(one, generate("2"));
}

#[test]
fn the_shipped_rules_find_exactly_what_was_hidden() {
    let folder = scratch();
    let output = folder.path().join("logs");
    let _ = Haechi::new([
        "generate",
        "-n",
        "60000",
        "--attack-every",
        "3000",
        "--start",
        "2026-03-01T00:00:00Z",
        "--seed",
        "42",
        "--output",
    ])
    .arg(&output)
    .run()
    .succeeded();
    let truth = parse_lines(&fs::read_to_string(output.join("truth.ndjson")).unwrap());
    assert!(
        truth.len() >= 15,
        "{} attacks in 60,000 events",
        truth.len()
    );
    let inputs = [
        ("windows", "windows", "product=windows", "@timestamp"),
        (
            "windows-nested",
            "windows",
            "product=windows",
            "Event.System.TimeCreated.#attributes.SystemTime",
        ),
        ("sshd", "json", "product=linux,service=sshd", "@timestamp"),
        ("web", "json", "category=webserver", "@timestamp"),
        (
            "cloudtrail",
            "json",
            "product=aws,service=cloudtrail",
            "eventTime",
        ),
    ];
    for (source, format, logsource, timestamp) in inputs {
        let file = fs::read_dir(&output)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_stem().is_some_and(|stem| stem == source))
            .unwrap_or_else(|| panic!("no file of {source}"));
        let finished = Haechi::new([
            "replay",
            "--alerts",
            "brief",
            "--format",
            format,
            "--logsource",
            logsource,
            "--timestamp",
            timestamp,
            "--input-name",
            source,
        ])
        .arg("--rules")
        .arg(repository().join("rules"))
        .arg("--")
        .arg(&file)
        .run()
        .succeeded()
        .said(&["dead letters: 0"]);
        let found: BTreeSet<(String, Vec<i64>)> = finished
            .rows()
            .iter()
            .filter(|row| row.get("level").is_some())
            .map(places)
            .collect();
        let expected: BTreeSet<(String, Vec<i64>)> = truth
            .iter()
            .filter(|attack| attack["source"] == source)
            .flat_map(expected)
            .collect();
        haechi_tests::alerts::assert_same(&found, &expected);
    }
}

/// Rule and events of an alert.
fn places(alert: &Value) -> (String, Vec<i64>) {
    let mut events: Vec<i64> = match alert["events"].as_array() {
        Some(events) => events
            .iter()
            .map(|event| event["offset"].as_i64().unwrap())
            .collect(),
        None => vec![alert["offset"].as_i64().unwrap()],
    };
    events.sort_unstable();
    (alert["rule"].as_str().unwrap().to_owned(), events)
}

/// Alerts that an attack is worth.
fn expected(attack: &Value) -> Vec<(String, Vec<i64>)> {
    let mut alerts = Vec::new();
    for expected in attack["expected"].as_array().unwrap() {
        let rule = expected["rule"].as_str().unwrap();
        let mut events: Vec<i64> = expected["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event.as_i64().unwrap())
            .collect();
        events.sort_unstable();
        if expected["correlation"] == true {
            alerts.push((rule.to_owned(), events));
        } else {
            alerts.extend(
                events
                    .into_iter()
                    .map(|event| (rule.to_owned(), vec![event])),
            );
        }
    }
    alerts
}

#[test]
fn the_demo_finds_what_it_hid() {
    let finished = Haechi::new(["demo", "-n", "60000", "-j", "2"])
        .run()
        .succeeded();
    assert!(
        finished.text().lines().count() > 5,
        "alerts as they come:\n{}",
        finished.text()
    );
    let _ = finished.said(&[
        "60,000 records",
        "attacks that were hidden",
        "alerts on anything else: 0",
    ]);
}
