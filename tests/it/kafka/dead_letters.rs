//! Records that are no event: they go to the dead letters as they came, with where and why; the stream goes on.

use std::time::Duration;

use haechi_tests::app::{App, account};
use haechi_tests::broker::{Client, Record};
use haechi_tests::process::Haechi;
use serde_json::{Value, json};

const RULE: &str = "title: x\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: test}\ndetection: {sel: {f: x}, condition: sel}\n";

fn hex(bytes: &[u8]) -> Value {
    Value::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn every_kind_of_bad_record() {
    let client = Client::required();
    let mut app = App::new(&client, "bad");
    app.partitions = 1;
    app.rule(RULE);
    client.create_with(&app.topics[0], 1, &["max.message.bytes=33554432"]);
    // Its own `topics apply`: the dead letters must take what the input takes.
    let _ = Haechi::new(["topics", "apply", "-c"])
        .arg(app.write())
        .run()
        .succeeded();

    let good = b"{\"f\":\"x\"}".to_vec();
    let deep = format!(
        "{{\"f\":\"x\",\"a\":{}{}}}",
        "{\"a\":[".repeat(5000),
        "]}".repeat(5000)
    )
    .into_bytes();
    let huge = format!("{{\"f\":\"x\",\"g\":\"{}\"}}", "y".repeat(20 << 20)).into_bytes();
    let records: Vec<(Option<Vec<u8>>, Option<&str>)> = vec![
        (Some(good.clone()), None),
        (Some(Vec::new()), Some("empty")),
        (None, Some("tombstone")),
        (Some(b"{\"f\":\"\xc3\x28\"}".to_vec()), Some("utf-8")),
        (Some(deep), Some("nested")),
        (Some(huge), Some("limit")),
        (Some(b"{\"f\":\"x\"".to_vec()), Some("json")),
        (Some(b"[]".to_vec()), Some("object")),
        (Some(b"{\"f\":\"y\",\"f\":\"x\"}".to_vec()), None),
        (
            Some(b"{\"f\":\"x\",\"ts\":\"1970-01-01T00:00:00Z\"}".to_vec()),
            None,
        ),
        (
            Some(b"{\"f\":\"x\",\"ts\":\"2199-01-01T00:00:00Z\"}".to_vec()),
            None,
        ),
        (Some(good), None),
    ];
    let produced: Vec<Value> = records
        .iter()
        .map(|(value, _)| json!({"hex": value.as_deref().map_or(Value::Null, hex), "key": "k", "headers": {"sent-by": "a test"}}))
        .collect();
    client.produce_records(&app.topics[0], &produced);
    let finished = app.run_until_end(Duration::from_secs(90));
    let bad = records
        .iter()
        .filter(|(_, reason)| reason.is_some())
        .count() as u64;
    assert_eq!(account(&finished), (records.len() as u64, bad, 0));

    let letters = client.read(&app.topic("dead-letters"));
    assert_eq!(letters.len() as u64, bad);
    for (offset, (value, reason)) in records.iter().enumerate() {
        let letter: Vec<&Record> = letters
            .iter()
            .filter(|letter| letter.headers["haechi-offset"] == offset.to_string())
            .collect();
        let Some(reason) = reason else {
            assert!(letter.is_empty(), "record {offset} is good");
            continue;
        };
        assert_eq!(letter.len(), 1, "record {offset} is bad, once");
        let letter = letter[0];
        assert!(
            letter.bytes() == *value,
            "record {offset} is there as it came"
        );
        assert_eq!(letter.headers["haechi-topic"], app.topics[0]);
        assert_eq!(letter.headers["haechi-partition"], "0");
        let said = letter.headers["haechi-reason"].to_lowercase();
        assert!(
            said.contains(reason),
            "record {offset}: `{said}` does not say {reason}"
        );
        assert_eq!(letter.key.as_deref(), Some("k"), "its key is kept");
    }
    let alerts: Vec<i64> = app
        .alerts(|_, offset| offset)
        .iter()
        .map(|alert| alert.lines[0])
        .collect();
    assert_eq!(alerts.len() as u64, records.len() as u64 - bad);
    assert!(
        alerts
            .iter()
            .all(|&line| records[usize::try_from(line).unwrap()].1.is_none())
    );
}

/// The dead-letter topic of somebody who did not use `topics apply`: the broker refuses more than a megabyte.
#[test]
fn a_dead_letter_that_does_not_fit_is_cut() {
    let client = Client::required();
    let mut app = App::new(&client, "cut");
    app.partitions = 1;
    app.rule(RULE);
    app.create_outputs();
    client.create_with(&app.topics[0], 1, &["max.message.bytes=33554432"]);
    // Compressed, what repeats itself would fit.
    let mut dice = 1u64;
    let huge: Vec<u8> = (0..5 << 20)
        .map(|_| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            dice.to_be_bytes()[0]
        })
        .collect();
    let records = [
        json!({"hex": hex(&huge)}),
        json!({"hex": hex(b"{\"f\":\"x\"}")}),
    ];
    client.produce_records(&app.topics[0], &records);
    let _ = app.run_until_end(Duration::from_secs(120));
    assert_eq!(app.alerts(|_, offset| offset).len(), 1);
    let letters = client.read(&app.topic("dead-letters"));
    assert_eq!(letters.len(), 1);
    assert_eq!(
        letters[0].headers["haechi-original-bytes"],
        huge.len().to_string()
    );
    let kept = letters[0].bytes().unwrap();
    assert!(
        kept.len() > 1000 && huge.starts_with(&kept),
        "its beginning is kept"
    );
}
