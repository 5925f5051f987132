//! Input presets on real logs: every record is an event, and what a rule finds is what plain counting finds.

use std::fs;

use haechi_tests::process::Haechi;
use haechi_tests::{data, scratch};
use serde_json::{Value, json};

/// How many events of a real log a rule finds, and how many records there are by `plain` counting that it should.
fn counted(
    file: &str,
    preset: &str,
    logsource: Value,
    detection: Value,
    plain: impl Fn(&str) -> bool,
) -> Option<(usize, usize)> {
    let path = data::file(file)?;
    let text = String::from_utf8(data::read(&path)).unwrap();
    let folder = scratch();
    let rule = folder.path().join("rule.yml");
    let rule_text = json!({
        "title": "counted", "id": "00000000-0000-4000-8000-000000000001",
        "logsource": logsource, "detection": {"sel": detection, "condition": "sel"},
    });
    fs::write(&rule, rule_text.to_string()).unwrap();
    let finished = Haechi::new(["replay", "--alerts", "brief", "--preset", preset, "--rules"])
        .arg(&rule)
        .arg("--")
        .arg(&path)
        .run()
        .succeeded()
        .said(&["dead letters: 0"]);
    assert!(
        !finished.stderr.contains("without a readable time"),
        "{}",
        finished.stderr
    );
    let wanted = text.lines().filter(|line| plain(line)).count();
    Some((finished.rows().len(), wanted))
}

#[test]
fn an_access_log_by_its_preset() {
    let found = counted(
        "elastic-apache-access.log.zst",
        "apache",
        json!({"category": "webserver"}),
        json!({"sc-status": 404, "cs-method": "GET"}),
        |line| line.contains("\"GET ") && line.contains("\" 404 "),
    );
    if let Some((found, wanted)) = found {
        assert_eq!(found, wanted);
        assert!(wanted > 100, "{wanted}");
    }
}

#[test]
fn an_auth_log_by_its_preset() {
    let found = counted(
        "elastic-auth.log.zst",
        "auth-log",
        json!({"product": "linux"}),
        json!({"program": "sshd", "message|startswith": "Invalid user"}),
        |line| line.contains(" sshd[") && line.contains("]: Invalid user"),
    );
    if let Some((found, wanted)) = found {
        assert_eq!(found, wanted);
        assert!(wanted > 100, "{wanted}");
    }
}

#[test]
fn cloudtrail_by_its_preset() {
    for file in [
        "invictus-cloudtrail.ndjson.zst",
        "stratus-cloudtrail.ndjson.zst",
    ] {
        let found = counted(
            file,
            "cloudtrail",
            json!({"product": "aws", "service": "cloudtrail"}),
            json!({"eventSource": "iam.amazonaws.com"}),
            |line| {
                let event: Value = serde_json::from_str(line).unwrap();
                event["eventSource"] == "iam.amazonaws.com"
            },
        );
        if let Some((found, wanted)) = found {
            assert_eq!(found, wanted, "{file}");
            assert!(wanted > 0, "{file}");
        }
    }
}
