//! `haechi replay`: the same results from plain, gzip, zstd and stdin, from one worker and from four.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use haechi_tests::process::Haechi;
use haechi_tests::{scratch, synthetic};
use serde_json::Value;
use tempfile::TempDir;

/// Every kind of rule over [`synthetic::logins`].
pub(crate) const RULES: &str = r#"
title: Root failed
id: 00000000-0000-4000-8000-000000000010
level: high
status: test
description: For the tests.
tags: [attack.credential-access, attack.t1110.001]
references: [https://example.com/x]
falsepositives: [none]
logsource: {product: test}
detection: {sel: {user: u7, action: failed, bytes|gte: 5000}, condition: sel}
---
title: Failed
name: failed
id: 00000000-0000-4000-8000-000000000011
logsource: {product: test}
detection: {sel: {action: failed}, condition: sel}
---
title: Guessing
id: 00000000-0000-4000-8000-000000000012
level: critical
tags: [attack.t1110]
correlation: {type: event_count, rules: [failed], group-by: [src], timespan: 5s, condition: {gte: 10}, quote: 2}
---
title: Per user
id: 00000000-0000-4000-8000-000000000013
rollup:
  sql: |
    SELECT "user", count(*) AS events, count(DISTINCT src) AS sources, count(bytes) AS numbers,
           sum(bytes) AS total, min(bytes) AS least, max(bytes) AS most, avg(bytes) AS mean
    FROM test GROUP BY tumble(interval '1 minute'), "user"
  types: {bytes: bigint}
"#;

/// A file of events and a file of rules.
struct Fixture {
    folder: TempDir,
    rules: PathBuf,
    events: PathBuf,
}

fn fixture(events: u64) -> Fixture {
    let folder = scratch();
    let (rules, file) = (
        folder.path().join("rules.yml"),
        folder.path().join("events.json"),
    );
    fs::write(&rules, RULES).unwrap();
    fs::write(&file, synthetic::logins(events)).unwrap();
    Fixture {
        folder,
        rules,
        events: file,
    }
}

impl Fixture {
    fn replay(&self, arguments: &[&str], file: &Path) -> Vec<u8> {
        self.command(arguments)
            .arg("--rules")
            .arg(&self.rules)
            .arg("--")
            .arg(file)
            .run()
            .succeeded()
            .stdout
    }

    fn command(&self, arguments: &[&str]) -> Haechi {
        Haechi::new([
            "replay",
            "--format",
            "json",
            "--logsource",
            "product=test",
            "--timestamp",
            "ts",
        ])
        .args(arguments)
    }
}

#[test]
fn the_output_does_not_depend_on_the_number_of_workers() {
    let fixture = fixture(60_000);
    for schema in ["ocsf", "brief"] {
        let one = fixture.replay(&["--alerts", schema, "-j", "1"], &fixture.events);
        assert!(
            one.iter().filter(|&&byte| byte == b'\n').count() > 300,
            "the rules find something"
        );
        for jobs in ["1", "2", "4"] {
            let other = fixture.replay(&["--alerts", schema, "-j", jobs], &fixture.events);
            assert!(
                one == other,
                "-j {jobs} gives another output than -j 1, in schema {schema}"
            );
        }
    }
}

#[test]
fn compressed_files_and_stdin_give_what_the_plain_file_gives() {
    let fixture = fixture(5_000);
    let text = fs::read(&fixture.events).unwrap();
    let plain = fixture.replay(&["--alerts", "brief"], &fixture.events);
    // The path is part of what is said.
    let named = |output: Vec<u8>, path: &Path| {
        String::from_utf8(output)
            .unwrap()
            .replace(path.to_str().unwrap(), "FILE")
    };
    let plain = without_ids(&named(plain, &fixture.events));

    let gz = fixture.folder.path().join("events.gz");
    let mut encoder = GzEncoder::new(File::create(&gz).unwrap(), flate2::Compression::fast());
    encoder.write_all(&text).unwrap();
    encoder.finish().unwrap();
    assert_eq!(
        without_ids(&named(fixture.replay(&["--alerts", "brief"], &gz), &gz)),
        plain
    );

    // Logs are rotated and concatenated: several members in one file. And the name says nothing.
    let members = fixture.folder.path().join("members.txt");
    let half = text.len() / 2;
    let mut file = File::create(&members).unwrap();
    for part in [&text[..half], &text[half..]] {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        file.write_all(&encoder.finish().unwrap()).unwrap();
    }
    assert_eq!(
        without_ids(&named(
            fixture.replay(&["--alerts", "brief"], &members),
            &members
        )),
        plain
    );

    let zst = fixture.folder.path().join("events.zst");
    fs::write(&zst, zstd::encode_all(text.as_slice(), 1).unwrap()).unwrap();
    assert_eq!(
        without_ids(&named(fixture.replay(&["--alerts", "brief"], &zst), &zst)),
        plain
    );

    let stdin = fixture
        .command(&["--alerts", "brief"])
        .arg("--rules")
        .arg(&fixture.rules)
        .args(["--", "-"])
        .stdin(text)
        .run()
        .succeeded();
    assert_eq!(
        without_ids(
            &stdin
                .text()
                .replace("\"source\":\"-\"", "\"source\":\"FILE\"")
        ),
        plain
    );
}

/// Lines as a set, without the ids of rollup rows: nothing but the order of rows at the same time hangs on them. (Brief alerts
/// have none.)
fn without_ids(output: &str) -> BTreeSet<String> {
    let without_id = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().unwrap().remove("id");
        row.to_string()
    };
    output.lines().map(without_id).collect()
}

#[test]
fn rules_come_from_several_files_and_folders_and_results_go_to_a_file() {
    let fixture = fixture(2_000);
    let folder = fixture.folder.path();
    fs::create_dir_all(folder.join("more/deep")).unwrap();
    let rule = |id: u32, user: &str| {
        format!(
            "title: of {user}\nid: 00000000-0000-4000-8000-0000000001{id:02}\nlogsource: {{product: test}}\ndetection: {{sel: {{user: {user}}}, condition: sel}}\n"
        )
    };
    fs::write(folder.join("more/deep/one.yaml"), rule(1, "u1")).unwrap();
    fs::write(folder.join("more/two.yml"), rule(2, "u2")).unwrap();
    fs::write(folder.join("more/notes.txt"), "no rule").unwrap();
    fs::write(folder.join("three.yml"), rule(3, "u3")).unwrap();
    let output = folder.join("out.ndjson");
    let finished = fixture
        .command(&["--alerts", "brief", "--output"])
        .arg(&output)
        .arg("--rules")
        .arg(folder.join("more"))
        .arg("--rules")
        .arg(folder.join("three.yml"))
        .arg("--")
        .arg(&fixture.events)
        .run()
        .succeeded()
        .said(&[
            "2,000 records",
            "alerts: ",
            "of u1",
            "of u2",
            "of u3",
            "dead letters: 0",
        ]);
    assert!(
        finished.stdout.is_empty(),
        "with --output nothing goes to stdout"
    );
    let rows = haechi_tests::process::parse_lines(&fs::read_to_string(&output).unwrap());
    let titles: BTreeSet<&str> = rows
        .iter()
        .map(|row| row["title"].as_str().unwrap())
        .collect();
    assert_eq!(titles, BTreeSet::from(["of u1", "of u2", "of u3"]));
    let users = fs::read_to_string(&fixture.events).unwrap();
    let expected = users
        .lines()
        .filter(|line| {
            ["u1", "u2", "u3"]
                .iter()
                .any(|user| line.contains(&format!("\"user\":\"{user}\"")))
        })
        .count();
    assert_eq!(rows.len(), expected);
}

#[test]
fn several_files_are_told_apart_and_one_output_comes_of_them() {
    let fixture = fixture(3_000);
    let text = fs::read_to_string(&fixture.events).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (first, second) = (
        fixture.folder.path().join("a.json"),
        fixture.folder.path().join("b.json"),
    );
    fs::write(&first, lines[..1000].join("\n")).unwrap();
    fs::write(&second, lines[1000..].join("\n")).unwrap();
    let rows = |files: [&Path; 2], jobs: &str| {
        fixture
            .command(&["--alerts", "brief", "-j", jobs])
            .arg("--rules")
            .arg(&fixture.rules)
            .arg("--")
            .args(files)
            .run()
            .succeeded()
            .stdout
    };
    let forwards = rows([&first, &second], "1");
    assert_eq!(
        forwards,
        rows([&second, &first], "2"),
        "neither the order of the files nor the workers matter"
    );
    // Detections and rollups are the same as of one file; each alert says where its event is.
    let whole: Vec<Value> = haechi_tests::process::parse_lines(
        std::str::from_utf8(&fixture.replay(&["--alerts", "brief"], &fixture.events)).unwrap(),
    );
    let parts = haechi_tests::process::parse_lines(std::str::from_utf8(&forwards).unwrap());
    let place = |row: &Value| {
        let offset = row["offset"].as_i64()?;
        let shift = if row["source"] == second.to_str().unwrap() {
            1000
        } else {
            0
        };
        Some((
            row["rule"].to_string(),
            row["time"].to_string(),
            row["count"].to_string(),
            offset + shift,
        ))
    };
    let places = |rows: &[Value]| rows.iter().filter_map(place).collect::<BTreeSet<_>>();
    assert_eq!(places(&whole), places(&parts));
    let numbers = |rows: &[Value]| {
        rows.iter()
            .filter_map(|row| Some(format!("{} {}", row["window_start"], row.get("row")?)))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(numbers(&whole), numbers(&parts));
}

#[test]
fn an_alert_is_an_ocsf_detection_finding() {
    let fixture = fixture(20_000);
    let rows = fixture.replay(&[], &fixture.events);
    let rows = haechi_tests::process::parse_lines(std::str::from_utf8(&rows).unwrap());
    let findings: Vec<&Value> = rows.iter().filter(|row| row.get("row").is_none()).collect();
    let mut ids = BTreeSet::new();
    for finding in &findings {
        // Required by the class, https://schema.ocsf.io/1.4.0/classes/detection_finding.
        assert_eq!(finding["class_uid"], 2004);
        assert_eq!(finding["category_uid"], 2);
        assert_eq!(finding["activity_id"], 1);
        assert_eq!(finding["type_uid"], 200_401);
        assert!(
            (0..=6).contains(&finding["severity_id"].as_i64().unwrap())
                || finding["severity_id"] == 99
        );
        assert!(finding["time"].is_i64());
        assert!(
            finding["metadata"]["version"].is_string()
                && finding["metadata"]["product"]["vendor_name"].is_string()
        );
        let uid = finding["finding_info"]["uid"].as_str().unwrap();
        assert_eq!(uid.len(), 36, "shaped like a UUID: {uid}");
        assert!(ids.insert(uid.to_owned()), "two findings have the id {uid}");
        assert!(finding["finding_info"]["title"].is_string());
        assert!(!finding["evidences"].as_array().unwrap().is_empty());
    }

    let detection = findings
        .iter()
        .find(|finding| finding["finding_info"]["title"] == "Root failed")
        .expect("a detection");
    assert_eq!(detection["severity_id"], 4);
    assert_eq!(
        detection["finding_info"]["analytic"]["uid"],
        "00000000-0000-4000-8000-000000000010"
    );
    let attacks = detection["finding_info"]["attacks"].to_string();
    assert!(attacks.contains("T1110.001"), "{attacks}");
    let tags = detection["unmapped"]["haechi"]["tags"].to_string();
    assert!(tags.contains("attack.credential-access"), "{tags}");
    let evidence = &detection["evidences"][0]["data"];
    assert_eq!(evidence["topic"], fixture.events.to_str().unwrap());
    assert_eq!(evidence["partition"], 0);
    let line = evidence["offset"].as_u64().unwrap();
    let text = fs::read_to_string(&fixture.events).unwrap();
    let event: Value =
        serde_json::from_str(text.lines().nth(usize::try_from(line).unwrap()).unwrap()).unwrap();
    assert_eq!(evidence["event"], event, "the event itself is the evidence");
    assert_eq!(event["user"], "u7");
    let seconds = detection["time"].as_i64().unwrap();
    assert!(
        event["ts"].as_str().unwrap().starts_with("2025-03-01T00:0"),
        "{seconds}"
    );

    let guessing = findings
        .iter()
        .find(|finding| finding["finding_info"]["title"] == "Guessing")
        .expect("a correlation");
    assert_eq!(guessing["severity_id"], 5);
    let count = guessing["count"].as_u64().unwrap();
    assert!(count >= 10);
    assert_eq!(
        guessing["evidences"].as_array().unwrap().len() as u64,
        count
    );
    assert!(guessing["unmapped"]["haechi"]["group"]["src"].is_string());
    let mut quoted = 0;
    for evidence in guessing["evidences"].as_array().unwrap() {
        let line = evidence["data"]["offset"].as_u64().unwrap();
        let text = text.lines().nth(usize::try_from(line).unwrap()).unwrap();
        let event: Value = serde_json::from_str(text).unwrap();
        if !evidence["data"]["event"].is_null() {
            assert_eq!(evidence["data"]["event"], event);
            quoted += 1;
        }
    }
    assert_eq!(quoted, 2, "as many as the rule says");
    assert!(
        findings
            .iter()
            .all(|finding| finding["finding_info"]["title"] != "Failed"),
        "what only feeds a correlation does not alert"
    );
}

#[test]
fn ids_are_the_same_in_every_run() {
    let fixture = fixture(5_000);
    let ids = |output: Vec<u8>| {
        let rows = haechi_tests::process::parse_lines(std::str::from_utf8(&output).unwrap());
        rows.iter()
            .map(|row| {
                row["finding_info"]["uid"]
                    .as_str()
                    .or(row["id"].as_str())
                    .unwrap()
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    let first = ids(fixture.replay(&["-j", "2"], &fixture.events));
    assert!(first.len() > 30);
    assert_eq!(first, ids(fixture.replay(&["-j", "4"], &fixture.events)));
}

#[test]
fn a_broken_rule_is_reported_and_the_others_run() {
    let fixture = fixture(1_000);
    let broken = fixture.folder.path().join("broken.yml");
    fs::write(&broken, "title: x\nid: 00000000-0000-4000-8000-000000000099\nlogsource: {product: test}\ndetection:\n  sel:\n    f|nosuch: x\n  condition: sel\n").unwrap();
    let finished = fixture
        .command(&[])
        .arg("--rules")
        .args([&fixture.rules, &broken])
        .arg("--")
        .arg(&fixture.events)
        .run()
        .succeeded();
    assert!(!finished.stdout.is_empty());
    let _ = finished.said(&["nosuch", "broken.yml:6:", "left out"]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let fixture = fixture(10);
    let missing = fixture.folder.path().join("missing.json");
    let with_rules = |command: Haechi| command.arg("--rules").arg(&fixture.rules);
    let _ = with_rules(fixture.command(&[]))
        .arg("--")
        .arg(&missing)
        .run()
        .failed()
        .said(&["missing.json"]);
    let _ = with_rules(fixture.command(&["--output", "/nonexistent/out"]))
        .arg("--")
        .arg(&fixture.events)
        .run()
        .failed()
        .said(&["/nonexistent/out"]);
    let _ = with_rules(fixture.command(&["--lateness", "soon"]))
        .arg("--")
        .arg(&fixture.events)
        .run()
        .failed()
        .said(&["soon", "duration"]);
    let _ = fixture
        .command(&["--rules", "/nonexistent/rules", "--"])
        .arg(&fixture.events)
        .run()
        .failed()
        .said(&["/nonexistent/rules"]);
    let format = Haechi::new(["replay", "--format", "xml", "--rules"])
        .arg(&fixture.rules)
        .arg("--")
        .arg(&fixture.events)
        .run();
    let _ = format.failed().said(&["xml", "json", "windows"]);
    let logsource = Haechi::new([
        "replay",
        "--format",
        "json",
        "--logsource",
        "linux",
        "--rules",
    ])
    .arg(&fixture.rules)
    .arg("--")
    .arg(&fixture.events)
    .run();
    let _ = logsource.failed().said(&["linux", "product"]);
}

#[test]
fn help_teaches() {
    let help = Haechi::new(["--help"]).run().succeeded();
    for command in ["run", "replay", "check", "topics", "generate", "demo"] {
        assert!(help.text().contains(command), "--help names {command}");
        let help = Haechi::new([command, "--help"]).run().succeeded();
        assert!(
            help.text().lines().count() > 5,
            "{command} --help says what it does"
        );
    }
    let version = Haechi::new(["--version"]).run().succeeded();
    assert!(version.text().starts_with("haechi "));
}
