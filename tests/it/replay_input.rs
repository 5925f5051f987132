//! Input that is broken, hostile or huge: each record's fate is said, and the rest of the stream goes on.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use haechi_tests::process::{Finished, Haechi, parse_lines};
use haechi_tests::scratch;
use serde_json::Value;
use std::io::Write;
use tempfile::TempDir;

const RULE: &str = "title: x\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: test}\ndetection: {sel: {f: x}, condition: sel}\n";

struct Fixture {
    folder: TempDir,
    rules: PathBuf,
}

fn fixture() -> Fixture {
    let folder = scratch();
    let rules = folder.path().join("rules.yml");
    fs::write(&rules, RULE).unwrap();
    Fixture { folder, rules }
}

impl Fixture {
    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("events");
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Replays a file; also answers the dead letters.
    fn replay(&self, file: &Path) -> (Finished, Vec<Value>) {
        let dead = self.folder.path().join("dead.json");
        let finished = Haechi::new([
            "replay",
            "--format",
            "json",
            "--logsource",
            "product=test",
            "--timestamp",
            "t",
            "--alerts",
            "brief",
            "--dead-letters",
        ])
        .arg(&dead)
        .arg("--rules")
        .arg(&self.rules)
        .arg("--")
        .arg(file)
        .run();
        let dead = parse_lines(&fs::read_to_string(&dead).unwrap_or_default());
        (finished, dead)
    }
}

/// Lines of alerts.
fn alerts(finished: &Finished) -> Vec<i64> {
    let mut lines: Vec<i64> = finished
        .rows()
        .iter()
        .map(|row| row["offset"].as_i64().unwrap())
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn every_kind_of_broken_record() {
    let fixture = fixture();
    let deep = format!(
        "{{\"f\":\"x\",\"a\":{}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let good = b"{\"f\":\"x\"}".to_vec();
    let records: Vec<Vec<u8>> = vec![
        good.clone(),
        // No record: files end with such lines. On a topic it is one, and a dead letter.
        Vec::new(),
        b"{\"f\":\"x\",\"g\":\"\xff\xfe\"}".to_vec(),
        deep.clone().into_bytes(),
        b"{\"f\":\"x\",".to_vec(),
        b"{\"f\":\"y\",\"f\":\"x\"}".to_vec(),
        b"[1]".to_vec(),
        b"{\"f\":\"x\\u0000\"}".to_vec(),
        good.clone(),
    ];
    let (finished, dead) = fixture.replay(&fixture.file(&records.join(&b'\n')));
    let finished = finished.succeeded();
    assert_eq!(alerts(&finished), [0, 5, 8]);
    let letter = |offset: i64| {
        dead.iter()
            .find(|letter| letter["offset"] == offset)
            .unwrap_or_else(|| panic!("no dead letter of line {offset}: {dead:?}"))
    };
    assert_eq!(
        dead.len(),
        4,
        "{:?}",
        dead.iter()
            .map(|letter| &letter["reason"])
            .collect::<Vec<_>>()
    );
    for (offset, reason) in [(2, "utf-8"), (3, "nested"), (4, "json"), (6, "object")] {
        let said = letter(offset)["reason"].as_str().unwrap();
        assert!(
            said.to_lowercase().contains(reason),
            "line {offset} is `{said}`, not {reason}"
        );
    }
    assert_eq!(letter(3)["payload"], deep, "the record as it came");
    assert!(
        letter(2)["payload_base64"].is_string(),
        "bytes that are no text are kept too"
    );
    let _ = finished.said(&["8 records", "dead letters: 4"]);
}

#[test]
fn a_record_of_twenty_megabytes() {
    let fixture = fixture();
    let huge = format!("{{\"f\":\"x\",\"g\":\"{}\"}}", "y".repeat(20 << 20));
    let file = fixture.file(format!("{{\"f\":\"x\"}}\n{huge}\n{{\"f\":\"x\"}}\n").as_bytes());
    let (finished, dead) = fixture.replay(&file);
    assert_eq!(alerts(&finished.succeeded()), [0, 2]);
    assert_eq!(dead.len(), 1);
    let reason = dead[0]["reason"].as_str().unwrap();
    assert!(reason.contains("limit"), "it says what to do: {reason}");
    assert_eq!(
        dead[0]["payload"].as_str().unwrap().len(),
        huge.len(),
        "all of it"
    );
}

#[test]
fn a_record_just_below_the_limit_is_an_event() {
    let fixture = fixture();
    let large = format!("{{\"f\":\"x\",\"g\":\"{}\"}}", "y".repeat(15 << 20));
    let (finished, dead) = fixture.replay(&fixture.file(large.as_bytes()));
    assert_eq!(alerts(&finished.succeeded()), [0]);
    assert_eq!(dead.len(), 0);
}

#[test]
fn times_from_1970_and_2199() {
    let fixture = fixture();
    let file = fixture.file(b"{\"f\":\"x\",\"t\":\"1970-01-01T00:00:00Z\"}\n{\"f\":\"x\",\"t\":\"2199-12-31T23:59:59Z\"}\n{\"f\":\"x\",\"t\":\"2025-06-01T00:00:00Z\"}\n{\"f\":\"x\",\"t\":\"9999-12-31T23:59:59Z\"}\n");
    let (finished, dead) = fixture.replay(&file);
    let finished = finished.succeeded().said(&["future times clamped: 1"]);
    assert_eq!(dead.len(), 0);
    let rows = finished.rows();
    let times: Vec<&str> = rows
        .iter()
        .map(|row| row["time"].as_str().unwrap())
        .collect();
    assert_eq!(times[0], "1970-01-01T00:00:00Z");
    assert_eq!(times[1], "2025-06-01T00:00:00Z");
    assert_eq!(times.len(), 4);
    assert!(
        times[2..]
            .iter()
            .all(|time| ("2026".."2100").contains(time)),
        "the file's own time stands in: {times:?}"
    );
}

#[test]
fn line_ends_of_every_system_and_a_last_line_without_one() {
    let fixture = fixture();
    let (finished, dead) =
        fixture.replay(&fixture.file(b"{\"f\":\"x\"}\r\n{\"f\":\"x\"}\n{\"f\":\"x\"}"));
    assert_eq!(alerts(&finished.succeeded()), [0, 1, 2]);
    assert_eq!(dead.len(), 0);
    let (finished, dead) = fixture.replay(&fixture.file(b""));
    assert_eq!(alerts(&finished.succeeded().said(&["0 records"])), [0; 0]);
    assert_eq!(dead.len(), 0);
}

#[test]
fn a_file_whose_compression_is_broken() {
    let fixture = fixture();
    let mut text = String::new();
    for number in 0..200_000 {
        text.push_str(&format!(
            "{{\"f\":\"x\",\"n\":{}}}\n",
            number * 7919 % 100_003
        ));
    }
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let gz = encoder.finish().unwrap();

    let cut = &gz[..gz.len() / 2];
    let (finished, _) = fixture.replay(&fixture.file(cut));
    let finished = finished.failed().said(&["events", "gzip"]);
    assert!(
        finished.rows().len() > 1000,
        "what could be read was looked at"
    );

    let mut flipped = gz.clone();
    let middle = flipped.len() / 2;
    for byte in &mut flipped[middle..middle + 64] {
        *byte ^= 0xff;
    }
    let (finished, _) = fixture.replay(&fixture.file(&flipped));
    let _ = finished.failed().said(&["events", "gzip"]);

    let zst = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let (finished, _) = fixture.replay(&fixture.file(&zst[..zst.len() / 2]));
    let _ = finished.failed().said(&["events", "zstd"]);
}
