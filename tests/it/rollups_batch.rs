//! Rollups against DataFusion: the same queries over the same events, in one batch and by another build of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use haechi_tests::broker::python;
use haechi_tests::process::{Haechi, parse_lines};
use haechi_tests::{data, repository, scratch};
use serde_json::{Value, json};

/// The rows of each query by name, in a fixed order.
type Rows = BTreeMap<String, Vec<String>>;

/// Queries by name, and the types of their columns as YAML.
fn queries(text: &str) -> (Vec<(String, String)>, String) {
    let types = text
        .lines()
        .find_map(|line| line.strip_prefix("-- types: "))
        .unwrap();
    let types = types.replace(' ', ": ").replace(",:", ",");
    let mut queries = Vec::new();
    for part in text.split(";\n") {
        let Some((head, sql)) = part.split_once("\nSELECT ") else {
            continue;
        };
        let name = head.lines().last().unwrap();
        let name = name.strip_prefix("-- ").unwrap().to_owned();
        queries.push((name, format!("SELECT {sql}")));
    }
    (queries, format!("{{{types}}}"))
}

/// A value as it is compared: numbers by what they are worth.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9e15 => {
                json!(float as i64)
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

fn line(window_start_ns: i64, row: &Value) -> String {
    let row: BTreeMap<&String, Value> = row
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name, canonical(value)))
        .collect();
    format!("{window_start_ns} {}", json!(row))
}

fn sorted(rows: impl Iterator<Item = (String, String)>) -> Rows {
    let mut by_query = Rows::new();
    for (query, line) in rows {
        by_query.entry(query).or_default().push(line);
    }
    by_query.values_mut().for_each(|lines| lines.sort());
    by_query
}

fn ours(queries: &[(String, String)], types: &str, events: &Path) -> Rows {
    let folder = scratch();
    let rules = folder.path().join("rules.yml");
    let mut text = String::new();
    for (number, (name, sql)) in queries.iter().enumerate() {
        let sql = sql.replace('\n', "\n    ");
        writeln!(
            text,
            "---\ntitle: {name}\nid: 00000000-0000-4000-8000-{number:012}\nrollup:\n  types: {types}\n  sql: |\n    {sql}"
        )
        .unwrap();
    }
    fs::write(&rules, text).unwrap();
    let finished = Haechi::new([
        "replay",
        "--format",
        "json",
        "--timestamp",
        "@timestamp",
        "-j",
        "2",
        "--rules",
    ])
    .arg(&rules)
    .arg("--")
    .arg(events)
    .limit(Duration::from_secs(240))
    .run()
    .succeeded();
    sorted(finished.rows().iter().map(|row| {
        let start = row["window_start"].as_str().unwrap();
        let name = row["title"].as_str().unwrap().to_owned();
        (name, line(nanoseconds(start), &row["row"]))
    }))
}

/// A time in whole seconds, as windows begin.
fn nanoseconds(text: &str) -> i64 {
    let number = |from: usize, to: usize| -> i64 { text[from..to].parse().unwrap() };
    assert_eq!(&text[19..], "Z", "{text}");
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Days from 1970 in the Gregorian calendar, years beginning in March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let seconds = number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19);
    (days * 86_400 + seconds) * 1_000_000_000
}

fn theirs(queries: &Path, events: &Path) -> Rows {
    let python = python();
    let output = Command::new(&python)
        .arg(repository().join("tests/clients/datafusion_rollups.py"))
        .args([queries, events])
        .output()
        .unwrap_or_else(|error| panic!("{} does not start ({error})", python.display()));
    assert!(
        output.status.success(),
        "HAECHI_PYTHON is to be a Python with datafusion, see dev/setup: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    sorted(parse_lines(&text).iter().map(|row| {
        let name = row["rule"].as_str().unwrap().to_owned();
        (
            name,
            line(row["window_start"].as_i64().unwrap(), &row["row"]),
        )
    }))
}

/// Compares every query's rows; answers how many there were.
fn compare(events: &Path) -> usize {
    let path = repository().join("tests/gold/rollups.sql");
    let (queries, types) = queries(&fs::read_to_string(&path).unwrap());
    assert!(queries.len() >= 30, "{}", queries.len());
    let (ours, theirs) = (ours(&queries, &types, events), theirs(&path, events));
    let mut complaints = String::new();
    for (name, _) in &queries {
        let (ours, theirs) = (ours.get(name), theirs.get(name));
        if ours != theirs {
            let (ours, theirs) = (
                ours.map_or(&[][..], Vec::as_slice),
                theirs.map_or(&[][..], Vec::as_slice),
            );
            let only = |one: &[String], other: &[String]| {
                one.iter().find(|line| !other.contains(line)).cloned()
            };
            writeln!(
                complaints,
                "{name}: {} rows, DataFusion {}; ours alone: {:?}; DataFusion's: {:?}",
                ours.len(),
                theirs.len(),
                only(ours, theirs),
                only(theirs, ours)
            )
            .unwrap();
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
    ours.values().map(Vec::len).sum()
}

#[test]
fn rollups_are_datafusions_batch_answer_over_made_up_events() {
    let folder = scratch();
    let events = folder.path().join("events.json");
    let mut text = String::new();
    for n in 0u64..4000 {
        // Spread by numbers that have no common factors; out of order by up to a minute.
        let second = n * 37 / 10 + n * 7919 % 61;
        let event = json!({
            "@timestamp": format!("2026-02-{:02}T{:02}:{:02}:{:02}.{:03}Z", second / 86_400 + 27, second / 3600 % 24, second / 60 % 60, second % 60, n % 1000),
            "Hostname": (n % 11 != 0).then(|| format!("Host{}.example.com", n % 7)),
            "Channel": (["Security", "Sysmon/Operational", "System"][(n % 3) as usize]),
            "EventID": ([1, 3, 7, 10, 12, 4624, 4688, 5156][(n * 13 % 8) as usize]),
            "RecordNumber": n * 31 % 4001,
            "ThreadID": n * 17 % 251,
            "port": (n % 5 == 0).then(|| (1000 + n * 97 % 64_000).to_string()),
            "Signed": (["true", "false", "unknown"][(n * 5 % 3) as usize]),
            "Severity": (["INFO", "ERROR"][(n / 3 % 2) as usize]),
            "SeverityValue": n % 6,
            "Image": (n % 4 != 3).then(|| format!("C:\\Windows\\System32\\{}.exe", ["powershell", "cmd", "svchost"][(n % 3) as usize])),
            "SourceImage": "C:\\windows\\system32\\svchost.exe",
            "GrantedAccess": (["0x1000", "0x1410", "0x40"][(n * 7 % 3) as usize]),
            "User": (n % 9 < 4).then_some("SYSTEM"),
            "AccountName": (n % 9 == 5).then_some("bob"),
            "RuleName": (["-", "T1059"][(n % 2) as usize]),
        });
        writeln!(text, "{event}").unwrap();
    }
    fs::write(&events, text).unwrap();
    assert!(compare(&events) > 1000);
}

#[test]
fn rollups_are_datafusions_batch_answer_over_real_events() {
    if let Some(events) = data::file(data::WINDOWS_EVENTS) {
        let rows = compare(&events);
        assert!(rows > 5000, "{rows}");
        println!("{rows} rows are the same");
    }
}
