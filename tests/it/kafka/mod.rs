//! On a real broker. What the topics hold is read back, committed records only, by a client that is not ours; what they should
//! hold is computed by a plain script, or by `haechi replay` over the same file.

mod crash;
mod dead_letters;
mod delivery;
mod faults;
mod generated;
mod growth;
mod observed;
mod pressure;
mod real_events;
mod reload;
mod rolling;
mod snapshots;
mod time;
mod topics;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use haechi_tests::alerts::{Alert, assert_same};
use haechi_tests::app::App;
use haechi_tests::broker::{Client, Record, python, unique};
use haechi_tests::process::parse_lines;
use haechi_tests::{data, repository, synthetic};
use serde_json::Value;
use tempfile::TempDir;

/// Rules over [`synthetic::logins`].
use crate::replay::RULES;

/// Ids of [`RULES`].
const ROOT_FAILED: &str = "00000000-0000-4000-8000-000000000010";
const GUESSING: &str = "00000000-0000-4000-8000-000000000012";
/// How long a run to the end may take.
const RUN: Duration = Duration::from_secs(180);

/// A topic that several tests read, and the file that it was made from: line i is in partition i % 4 at offset i / 4.
struct Shared {
    topic: String,
    file: PathBuf,
    lines: u64,
    _folder: TempDir,
}

impl Shared {
    fn produce(client: &Client, name: &str, text: &[u8]) -> Self {
        let folder = haechi_tests::scratch();
        let file = folder.path().join("events.ndjson");
        fs::write(&file, text).unwrap();
        let topic = unique(name);
        client.create(&[(&topic, 4)]);
        client.produce(&topic, text);
        let lines = text.iter().filter(|&&byte| byte == b'\n').count() as u64;
        Self {
            topic,
            file,
            lines,
            _folder: folder,
        }
    }

    /// The real Windows events; where they are absent, generated ones.
    fn windows(client: &Client) -> &'static Self {
        static TOPIC: OnceLock<Shared> = OnceLock::new();
        TOPIC.get_or_init(|| Self::produce(client, "windows", &windows_events()))
    }

    /// 300,000 logins, whose windows close while they are read.
    fn logins(client: &Client) -> &'static Self {
        static TOPIC: OnceLock<Shared> = OnceLock::new();
        TOPIC.get_or_init(|| Self::produce(client, "logins", synthetic::logins(300_000).as_bytes()))
    }
}

fn windows_events() -> Vec<u8> {
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
        "--attack-every",
        "2000",
        "--start",
        "2026-03-01T00:00:00Z",
    ];
    haechi_tests::process::Haechi::new(generate)
        .run()
        .succeeded()
        .stdout
}

/// An app with all kinds of rules over the shared logins.
fn logins_app(client: &Client, name: &str) -> App {
    let mut app = App::new(client, name);
    app.topics = vec![Shared::logins(client).topic.clone()];
    app.lateness = synthetic::LATENESS;
    app.rule(RULES);
    app.create_outputs();
    app
}

/// Runs the plain script.
fn expected(arguments: &[&str], file: &Path) -> Vec<Value> {
    let script = repository().join("tests/clients/expected.py");
    let output = Command::new(python())
        .arg(script)
        .arg(arguments[0])
        .arg(file)
        .args(&arguments[1..])
        .output()
        .expect("Python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    parse_lines(std::str::from_utf8(&output.stdout).unwrap())
}

/// A finding: group, time in nanoseconds, number of events, their lines.
type Finding = (String, i64, u64, Vec<i64>);

/// Findings of a correlation that the plain script expects.
fn expected_findings(arguments: &[&str], file: &Path) -> BTreeSet<Finding> {
    let lines = |row: &Value| {
        row["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let finding = |row: &Value| {
        let lines = lines(row);
        (
            row["group"].as_str().unwrap().to_owned(),
            row["time"].as_i64().unwrap(),
            lines.len() as u64,
            listed(lines),
        )
    };
    let rows = expected(&[&["count"], arguments].concat(), file);
    let found: BTreeSet<Finding> = rows.iter().map(finding).collect();
    assert_eq!(found.len(), rows.len());
    found
}

/// An alert lists at most 1,000 events; beyond, only their number is compared.
fn listed(lines: Vec<i64>) -> Vec<i64> {
    if lines.len() > 1000 {
        Vec::new()
    } else {
        lines
    }
}

/// Findings of a correlation among alerts.
fn findings(alerts: &BTreeSet<Alert>, rule: &str) -> BTreeSet<Finding> {
    let finding = |alert: &Alert| {
        let group = alert.group[0].1.clone().expect("a group");
        (
            group,
            nanoseconds(&alert.time),
            alert.count,
            alert.lines.clone(),
        )
    };
    alerts
        .iter()
        .filter(|alert| alert.rule == rule)
        .map(finding)
        .collect()
}

/// A row of a rollup in comparable form: start of the window in nanoseconds, group, then the numbers.
type Row = (i64, String, Vec<Option<i64>>, String);

/// Rows that the plain script expects.
fn expected_rows(arguments: &[&str], file: &Path) -> BTreeSet<Row> {
    let row = |row: &Value| {
        let numbers = ["events", "distinct", "numbers", "sum", "min", "max"]
            .map(|name| row[name].as_i64())
            .to_vec();
        let mean = numbers[3].map(|sum| sum as f64 / numbers[2].unwrap() as f64);
        (
            row["start"].as_i64().unwrap(),
            row["group"].as_str().unwrap().to_owned(),
            numbers,
            rounded(mean),
        )
    };
    expected(&[&["rollup"], arguments].concat(), file)
        .iter()
        .map(row)
        .collect()
}

/// Rows of a rollup whose SELECT is: user or host, events, sources, numbers, total, least, most, mean.
fn rows(documents: &[Value]) -> BTreeSet<Row> {
    let row = |document: &Value| {
        let row = &document["row"];
        let numbers = ["events", "sources", "numbers", "total", "least", "most"]
            .map(|name| row[name].as_i64())
            .to_vec();
        let group = row.get("user").or(row.get("host")).unwrap();
        let group = group.as_str().unwrap().to_owned();
        (
            nanoseconds(document["window_start"].as_str().unwrap()),
            group,
            numbers,
            rounded(row["mean"].as_f64()),
        )
    };
    let set: BTreeSet<Row> = documents.iter().map(row).collect();
    assert_eq!(set.len(), documents.len(), "a row came twice");
    set
}

/// Sums of doubles depend on their order in the last digits.
fn rounded(mean: Option<f64>) -> String {
    mean.map_or_else(|| "null".to_owned(), |mean| format!("{mean:.6}"))
}

/// RFC 3339 in UTC, from 1970 on, as haechi writes it.
fn nanoseconds(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from 1970 to a date (Howard Hinnant, https://howardhinnant.github.io/date_algorithms.html#days_from_civil).
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, year_of_era) = (y / 400, y % 400);
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
        + (153 * m + 2) / 5
        + day
        - 1
        - 719_468;
    let seconds = days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    let fraction = time[19..].trim_start_matches('.').trim_end_matches('Z');
    seconds * 1_000_000_000 + format!("{fraction:0<9}").parse::<i64>().unwrap()
}

#[test]
fn times_are_read_right() {
    assert_eq!(nanoseconds("1970-01-01T00:00:00Z"), 0);
    assert_eq!(
        nanoseconds("2020-06-10T02:50:57.552Z"),
        1_591_757_457_552_000_000
    );
    assert_eq!(
        nanoseconds("2024-02-29T23:59:59.000000001Z"),
        1_709_251_199_000_000_001
    );
}

/// An app has found in the shared logins everything that is to be found, exactly once.
fn assert_logins_found(app: &App) {
    assert_logins(app, &app.alerts(app.line()), &app.rollups());
}

/// These alerts and rows are everything that is to be found in the shared logins.
fn assert_logins(app: &App, alerts: &BTreeSet<Alert>, rollups: &[Value]) {
    let logins = Shared::logins(&app.client);
    assert_logins_in(app, &logins.file, alerts, rollups);
}

/// These alerts and rows are everything that is to be found in a file of logins.
fn assert_logins_in(app: &App, file: &Path, alerts: &BTreeSet<Alert>, rollups: &[Value]) {
    let (late, letters) = ("late", "dead-letters");
    let [late, letters] = [late, letters].map(|what| app.client.read(&app.topic(what)));
    assert_all(file, alerts, rollups, &late, &letters, app.line());
}

/// This is everything that [`RULES`] are to find in a file of logins. `line` says which line a partition and an offset are.
fn assert_all(
    file: &Path,
    alerts: &BTreeSet<Alert>,
    rollups: &[Value],
    late: &[Record],
    letters: &[Record],
    line: impl Fn(i32, i64) -> i64,
) {
    let guessing = expected_findings(&["ts", "action=failed", "src", "5", "10"], file);
    assert_same(&findings(alerts, GUESSING), &guessing);
    let per_minute = expected_rows(&["ts", "user", "src", "bytes", "60"], file);
    assert_same(&rows(rollups), &per_minute);
    let roots = alerts.iter().filter(|alert| alert.rule == ROOT_FAILED);
    assert_same(
        &roots.map(|alert| alert.lines[0]).collect(),
        &expected_roots(file),
    );
    assert!(late.is_empty(), "nothing is late");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    let dead: Vec<i64> = letters
        .iter()
        .map(|letter| {
            let header = |name: &str| letter.headers[name].as_str();
            line(
                number(header("haechi-partition")) as i32,
                number(header("haechi-offset")),
            )
        })
        .collect();
    let once: BTreeSet<i64> = dead.iter().copied().collect();
    assert_eq!(once.len(), dead.len(), "a dead letter came twice");
    assert_same(&once, &expected_dead(file));
}

/// Lines that are not JSON.
fn expected_dead(file: &Path) -> BTreeSet<i64> {
    let text = fs::read_to_string(file).unwrap();
    let bad = |line: &&str| serde_json::from_str::<Value>(line).is_err();
    let lines = text.lines().enumerate().filter(|(_, line)| bad(line));
    lines.map(|(number, _)| number as i64).collect()
}

/// Lines that the single-event rule of [`RULES`] matches.
fn expected_roots(file: &Path) -> BTreeSet<i64> {
    let text = fs::read_to_string(file).unwrap();
    let matches = |line: &&str| line.contains("\"u7\"") && line.contains("\"failed\"");
    let bytes = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["bytes"]
            .as_u64()
            .unwrap()
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| matches(line) && bytes(line) >= 5000)
        .map(|(number, _)| number as i64)
        .collect()
}

/// Everything in the topic is committed by the app's group.
fn assert_all_committed(app: &App, topic: &str) {
    for (partition, (committed, end)) in app.client.offsets(&app.name, topic) {
        assert_eq!(committed, Some(end), "partition {partition} of {topic}");
    }
}
