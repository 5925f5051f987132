//! The same real Windows events in the shapes of several shippers: every public rule finds the same in each.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use haechi_tests::process::Haechi;
use haechi_tests::{data, scratch};
use serde_json::{Map, Value, json};

/// Every so many events one is taken.
const STEP: usize = 4;
/// Members of a flat event that are no event data.
const SYSTEM: [&str; 13] = [
    "EventID",
    "Channel",
    "Provider_Name",
    "SourceName",
    "ProviderGuid",
    "Hostname",
    "Computer",
    "Keywords",
    "Task",
    "Opcode",
    "Version",
    "@timestamp",
    "@version",
];

fn found(rules: &Path, folder: &Path, name: &str, events: &[Value]) -> BTreeSet<(u64, String)> {
    let file = folder.join(name);
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    fs::write(&file, lines).unwrap();
    let finished = Haechi::new(["replay", "--alerts", "brief", "--format", "windows"])
        .args(["--logsource", "product=windows", "-j", "2", "--rules"])
        .arg(rules)
        .arg("--")
        .arg(&file)
        .limit(Duration::from_secs(240))
        .run()
        .succeeded()
        .said(&["dead letters: 0"]);
    let pair = |row: &Value| {
        let rule = row["rule"].as_str().unwrap();
        (row["offset"].as_u64().unwrap(), rule.to_owned())
    };
    finished.rows().iter().map(pair).collect()
}

fn event_data(event: &Value, spell: fn(&Value) -> Value) -> Map<String, Value> {
    let members = event.as_object().unwrap().iter();
    members
        .filter(|(name, _)| !SYSTEM.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), spell(value)))
        .collect()
}

fn provider(event: &Value) -> &Value {
    match &event["Provider_Name"] {
        Value::Null => &event["SourceName"],
        name => name,
    }
}

/// As evtx_dump writes it.
fn nested(event: &Value) -> Value {
    json!({"Event": {
        "#attributes": {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"},
        "System": {
            "Provider": {"#attributes": {"Name": provider(event), "Guid": event["ProviderGuid"]}},
            "EventID": event["EventID"],
            "Channel": event["Channel"],
            "Computer": event["Hostname"],
            "Correlation": null,
            "Security": null,
        },
        "EventData": event_data(event, Clone::clone),
    }})
}

/// As an XML parser writes it, element by element, all of it text.
fn elements(event: &Value) -> Value {
    let data: Vec<Value> = event_data(event, text)
        .into_iter()
        .map(|(name, value)| json!({"@Name": name, "#text": value}))
        .collect();
    json!({"Event": {
        "System": {
            "Provider": {"@Name": provider(event)},
            "EventID": {"#text": text(&event["EventID"])},
            "Channel": event["Channel"],
            "Computer": event["Hostname"],
        },
        "EventData": {"Data": data},
    }})
}

/// As Winlogbeat writes it.
fn winlogbeat(event: &Value) -> Value {
    json!({
        "@timestamp": "2026-03-01T00:00:00Z",
        "message": event["Message"],
        "winlog": {
            "channel": event["Channel"],
            "provider_name": provider(event),
            "event_id": text(&event["EventID"]),
            "computer_name": event["Hostname"],
            "event_data": event_data(event, text),
        },
    })
}

fn text(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.to_string()),
        other => other.clone(),
    }
}

#[test]
fn every_shape_of_an_event_matches_the_same_rules() {
    let (Some(rules), Some(file)) = (data::sigma_rules(), data::file(data::WINDOWS_EVENTS)) else {
        return;
    };
    let lines = zstd::Decoder::new(fs::File::open(file).unwrap()).unwrap();
    let flat: Vec<Value> = BufReader::new(lines)
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .filter(|event: &Value| event.get("Channel").is_some() && event.get("event_data").is_none())
        .step_by(STEP)
        .collect();
    let folder = scratch();
    let in_shape = |name, shape: fn(&Value) -> Value| {
        let events: Vec<Value> = flat.iter().map(shape).collect();
        found(&rules, folder.path(), name, &events)
    };
    let expected = in_shape("flat", Clone::clone);
    assert!(expected.len() > 200, "only {} matches", expected.len());
    for (name, shape) in [
        ("nested", nested as fn(&Value) -> Value),
        ("elements", elements),
        ("winlogbeat", winlogbeat),
    ] {
        let same = in_shape(name, shape);
        let differ: Vec<_> = expected.symmetric_difference(&same).collect();
        assert!(differ.is_empty(), "{name}: {differ:?}");
    }
}
