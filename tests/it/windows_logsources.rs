//! Which Sigma logsources a Windows event has: both ways, in every shape. From the data folder: the channels and event ids that make
//! each category and service, and the public rules that ask for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use haechi_tests::process::Haechi;
use haechi_tests::{data, scratch};
use serde_json::{Value, json};

/// Logsources that the table of the data folder does not know, and events that make them.
const MORE: [(&str, &str, &str, u64); 8] = [
    // ETW events of the kernel's file provider: Create; Rename and RenamePath.
    (
        "category",
        "file_access",
        "Microsoft-Windows-Kernel-File/Analytic",
        12,
    ),
    (
        "category",
        "file_rename",
        "Microsoft-Windows-Kernel-File/Analytic",
        19,
    ),
    (
        "category",
        "file_rename",
        "Microsoft-Windows-Kernel-File/Analytic",
        27,
    ),
    ("service", "dns-server", "DNS Server", 6004),
    (
        "service",
        "dns-server-analytic",
        "Microsoft-Windows-DNS-Server/Analytical",
        260,
    ),
    (
        "service",
        "driver-framework",
        "Microsoft-Windows-DriverFrameworks-UserMode/Operational",
        2003,
    ),
    (
        "service",
        "microsoft-servicebus-client",
        "Microsoft-ServiceBus-Client/Operational",
        40300,
    ),
    (
        "service",
        "microsoft-servicebus-client",
        "Microsoft-ServiceBus-Client/Admin",
        40301,
    ),
];

/// A condition that makes a category or a service.
#[derive(Debug)]
struct Source {
    kind: String,
    name: String,
    channel: String,
    id: u64,
    event_type: Option<String>,
}

fn sources(table: &str) -> Vec<Source> {
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect();
    let mut channels: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row[0] == "service") {
        channels.insert(row[2], serde_json::from_str(row[4]).unwrap());
    }
    let mut sources = Vec::new();
    let mut add = |kind: &str, name: &str, channel: &str, id: u64, event_type: Option<&str>| {
        sources.push(Source {
            kind: kind.to_owned(),
            name: name.to_owned(),
            channel: channel.to_owned(),
            id,
            event_type: event_type.map(str::to_owned),
        });
    };
    for row in &rows {
        if row[0] == "service" {
            for channel in &channels[row[2]] {
                // An id that makes no category.
                add("service", row[2], channel, 65_000, None);
            }
            continue;
        }
        let conditions: Value = serde_json::from_str(row[4]).unwrap();
        let ids = match &conditions["EventID"] {
            Value::Array(ids) => ids.clone(),
            one => vec![one.clone()],
        };
        for id in ids {
            for channel in &channels[row[3]] {
                let event_type = conditions["EventType"].as_str();
                add(
                    "category",
                    row[2],
                    channel,
                    id.as_u64().unwrap(),
                    event_type,
                );
            }
        }
    }
    for (kind, name, channel, id) in MORE {
        add(kind, name, channel, id, None);
    }
    sources
}

/// The event in every shape in which Windows events are shipped.
fn shapes(source: &Source) -> Vec<Value> {
    let Source {
        channel,
        id,
        event_type,
        ..
    } = source;
    let data = match event_type {
        Some(event_type) => json!({"EventType": event_type}),
        None => json!({"Other": "x"}),
    };
    let mut flat = json!({"Channel": channel, "EventID": id});
    for (key, value) in data.as_object().unwrap() {
        flat[key] = value.clone();
    }
    vec![
        json!({"Event": {"System": {"Channel": channel, "EventID": id}, "EventData": data}}),
        json!({"Event": {"System": {"Channel": channel, "EventID": {"#attributes": {"Qualifiers": 0}, "#text": id}}, "EventData": data}}),
        json!({"Event": {"System": {"Channel": channel, "EventID": id}, "UserData": {"Wrapper": data}}}),
        json!({"System": {"Channel": channel, "EventID": id.to_string()}, "EventData": data}),
        json!({"winlog": {"channel": channel, "event_id": id.to_string(), "event_data": data}}),
        json!({"winlog": {"channel": channel, "event_id": id, "user_data": data}}),
        json!({"log_name": channel, "event_id": id, "event_data": data}),
        flat,
    ]
}

/// Logsources that rules for Windows ask for: `category/name` or `service/name`.
fn asked_for(rules: &std::path::Path, wanted: &mut BTreeSet<String>) {
    for entry in fs::read_dir(rules).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            asked_for(&path, wanted);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            let rule: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let logsource = &rule["logsource"];
            if logsource["product"] == "windows" {
                for key in ["category", "service"] {
                    wanted.extend(logsource[key].as_str().map(|name| format!("{key}/{name}")));
                }
            }
        }
    }
}

#[test]
fn every_windows_logsource_is_reached_in_every_shape_and_no_other() {
    let (Some(table), Some(rules)) = (data::file("windows-logsources.tsv"), data::sigma_rules())
    else {
        return;
    };
    let sources = sources(&fs::read_to_string(table).unwrap());
    let known: BTreeSet<String> = sources
        .iter()
        .map(|source| format!("{}/{}", source.kind, source.name))
        .collect();
    let mut wanted = BTreeSet::new();
    asked_for(&rules, &mut wanted);
    let unmapped: Vec<&String> = wanted.difference(&known).collect();
    assert!(unmapped.is_empty(), "no event makes {unmapped:?}");
    assert!(wanted.len() > 60, "{wanted:?}");

    let folder = scratch();
    let rule = |name: &String| {
        let (key, value) = name.split_once('/').unwrap();
        let rule = json!({
            "title": name, "logsource": {"product": "windows", key: value},
            "detection": {"sel": {"EventID|exists": true}, "condition": "sel"},
        });
        rule.to_string()
    };
    let texts: Vec<String> = known.iter().map(rule).collect();
    let rules = folder.path().join("rules.yml");
    fs::write(&rules, texts.join("\n---\n")).unwrap();
    // One event for each condition and shape, with what it is to be: what all conditions that fit it make, and its channel's service.
    let (mut lines, mut expected) = (String::new(), Vec::new());
    for source in &sources {
        let mut makes: BTreeSet<String> = BTreeSet::new();
        for other in sources
            .iter()
            .filter(|other| other.channel == source.channel)
        {
            let fits = other.id == source.id
                && (other.event_type.is_none() || other.event_type == source.event_type);
            if other.kind == "service" || fits {
                makes.insert(format!("{}/{}", other.kind, other.name));
            }
        }
        for shape in shapes(source) {
            lines.push_str(&format!("{shape}\n"));
            expected.push((makes.clone(), shape));
        }
    }
    let events = folder.path().join("events.ndjson");
    fs::write(&events, lines).unwrap();
    let finished = Haechi::new([
        "replay", "--alerts", "brief", "--preset", "windows", "--rules",
    ])
    .arg(&rules)
    .arg("--")
    .arg(&events)
    .run()
    .succeeded();
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for row in finished.rows() {
        let line = usize::try_from(row["offset"].as_u64().unwrap()).unwrap();
        let title = row["title"].as_str().unwrap().to_owned();
        found.entry(line).or_default().insert(title);
    }
    for (line, (makes, shape)) in expected.iter().enumerate() {
        assert_eq!(found.get(&line), Some(makes), "{shape}");
    }
    println!(
        "{} events of {} conditions, {} logsources",
        expected.len(),
        sources.len(),
        known.len()
    );
}
