//! Real events, where the folder that holds them is at hand: `HAECHI_TEST_DATA`, or `shared/data` beside the repository.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::*;

/// 2030-01-01 00:00:00 UTC: after all of the events.
const NOW: i64 = 1_893_456_000_000_000_000;

use serde_json::{Map, Value};

/// The lines of a file of the test data; says so and gives `None` if there is no such file.
fn lines(name: &str) -> Option<Vec<String>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("HAECHI_TEST_DATA").map_or(beside, PathBuf::from);
    let Ok(mut file) = File::open(folder.join(name)) else {
        eprintln!("{name} is not there: set HAECHI_TEST_DATA to the folder that holds it");
        return None;
    };
    let mut text = String::new();
    match name.ends_with(".zst") {
        true => zstd::Decoder::new(file)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap(),
        false => file.read_to_string(&mut text).unwrap(),
    };
    Some(text.lines().map(str::to_owned).collect())
}

/// Fields that rules for Windows ask for.
const FIELDS: &[&str] = &[
    "Image",
    "CommandLine",
    "OriginalFileName",
    "TargetObject",
    "TargetFilename",
    "ParentImage",
    "EventID",
    "Details",
    "ScriptBlockText",
    "ImageLoaded",
    "SourceImage",
    "Provider_Name",
    "Description",
    "Data",
    "ProcessName",
    "User",
    "Hashes",
    "Payload",
    "ServiceName",
    "Signed",
    "Path",
    "ThreatName",
    "Channel",
    "Computer",
    "EventType",
    "Level",
    "param1",
    "Status",
    "SubjectUserName",
    "TimeCreated_SystemTime",
    "Execution_ProcessID",
    "EventID_Qualifiers",
];

/// Checks every row against what `read` finds, batch by batch, and counts the events of each class.
fn compare(
    format: Format,
    fields: &[&str],
    records: &[String],
    read: impl Fn(&Value) -> Vec<Values>,
) -> BTreeMap<String, usize> {
    let mut decoder = Decoder::new(spec(format, fields)).unwrap();
    let mut classes = BTreeMap::new();
    for records in records.chunks(1_000) {
        let decoded = decoder.decode(rows(records), NOW);
        assert_eq!(decoded.bad, []);
        let columns: Vec<_> = fields
            .iter()
            .map(|field| decoded.batch[*field].as_list::<i32>())
            .collect();
        for (row, record) in records.iter().enumerate() {
            let parsed: Value = serde_json::from_str(record).unwrap();
            for ((field, column), expected) in fields.iter().zip(&columns).zip(read(&parsed)) {
                let found: Values = column.is_valid(row).then(|| {
                    let list = column.value(row);
                    list.as_string_view()
                        .iter()
                        .map(|value| value.map(str::to_owned))
                        .collect()
                });
                assert_eq!(found, expected, "{field} of {record}");
            }
            let logsources = &decoder.classes()[usize::from(class(&decoded.batch, row))];
            let name = |part: &Option<String>| part.clone().unwrap_or_default();
            for logsource in logsources {
                let name = format!("{}/{}", name(&logsource.category), name(&logsource.service));
                *classes.entry(name).or_default() += 1;
            }
        }
    }
    classes
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn texts(value: &Value) -> Values {
    Some(match value {
        Value::Array(elements) => elements.iter().map(text).collect(),
        other => vec![text(other)],
    })
}

#[test]
fn flat_windows_events_read_as_their_keys() {
    let Some(records) = lines("windows-events-100k.ndjson.zst") else {
        return;
    };
    let sample: Vec<String> = records.into_iter().step_by(7).collect();
    let aliases = |event: &Map<String, Value>, field: &str| -> Values {
        let names: &[&str] = match field {
            "Provider_Name" => &[
                "SourceName",
                "source_name",
                "EventSourceName",
                "ProviderName",
                "Provider",
            ],
            "Computer" => &["Hostname", "computer_name"],
            "Channel" => &["log_name"],
            "EventID" => &["event_id"],
            "TimeCreated_SystemTime" => &["TimeCreated"],
            "Execution_ProcessID" => &["ExecutionProcessID"],
            _ => &[],
        };
        names
            .iter()
            .find_map(|name| event.get(*name))
            .and_then(texts)
    };
    let read = |event: &Value, field: &str| -> Values {
        let event = event.as_object().unwrap();
        let within = ["event_data", "user_data"]
            .iter()
            .filter_map(|name| event.get(*name))
            .find_map(|data| data.get(field));
        let own = within
            .or(event.get(field))
            .and_then(texts)
            .or_else(|| aliases(event, field));
        let is_process_creation = event
            .get("Channel")
            .and_then(Value::as_str)
            .is_some_and(|c| c.eq_ignore_ascii_case("security"))
            && event["EventID"].to_string().trim_matches('"') == "4688";
        let alternative = match field {
            "Image" if is_process_creation => event.get("NewProcessName"),
            "ParentImage" if is_process_creation => event.get("ParentProcessName"),
            _ => None,
        };
        own.or_else(|| alternative.and_then(texts))
    };
    let classes = compare(Format::Windows, FIELDS, &sample, |event| {
        FIELDS.iter().map(|field| read(event, field)).collect()
    });
    assert!(classes["process_creation/sysmon"] > 0 && classes["process_creation/security"] > 0);
    // Of all events, only those of a channel without a service have no logsource but windows.
    assert!(
        classes["/"] < sample.len() / 100,
        "{} of {}",
        classes["/"],
        sample.len()
    );
}

#[test]
fn every_flat_windows_event_has_a_time() {
    let Some(records) = lines("windows-events-100k.ndjson.zst") else {
        return;
    };
    let mut decoder = Decoder::new(spec(Format::Windows, &["EventID"])).unwrap();
    let mut counts = (0, 0, 0);
    for records in records.chunks(4_096) {
        let decoded = decoder.decode(rows(records), NOW);
        counts.0 += decoded.batch.num_rows();
        counts.1 += decoded.untimed;
        counts.2 += decoded.clamped;
    }
    assert_eq!(counts, (103_541, 1, 0));
}

/// How the gold's evaluator reads a nested event, written plainly.
fn flatten(event: &Value) -> BTreeMap<String, Vec<Option<String>>> {
    let mut fields = BTreeMap::new();
    let event = &event["Event"];
    let mut put = |name: &str, value: &Value| {
        let element = |value: &Value| match value.get("#text") {
            Some(text) => texts(text),
            None if value.is_object() => None,
            None => texts(value),
        };
        if let Some(values) = element(value) {
            fields.insert(name.replace(' ', ""), values.clone());
            fields.insert(name.to_owned(), values);
        }
    };
    let wrapped = event["UserData"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, data)| data);
    for data in [&event["EventData"]].into_iter().chain(wrapped) {
        for (name, value) in data.as_object().into_iter().flatten() {
            put(name, value);
        }
    }
    for (name, value) in event["System"].as_object().unwrap() {
        if value.is_null() {
            continue;
        }
        put(name, value);
        for (attribute, value) in value["#attributes"].as_object().into_iter().flatten() {
            put(&format!("{name}_{attribute}"), value);
        }
    }
    fields
}

fn compare_nested(records: &[String]) -> BTreeMap<String, usize> {
    compare(Format::Windows, FIELDS, records, |event| {
        let fields = flatten(event);
        let get = |name: &str| fields.get(name).cloned();
        let is_4688 = get("Channel") == Some(vec![Some("Security".into())])
            && get("EventID") == Some(vec![Some("4688".into())]);
        let alternative = |field: &str| match field {
            "Image" if is_4688 => get("NewProcessName"),
            "ParentImage" if is_4688 => get("ParentProcessName"),
            _ => None,
        };
        let read = |field: &&str| get(field).or_else(|| alternative(field));
        FIELDS.iter().map(read).collect()
    })
}

#[test]
fn nested_windows_events_read_as_a_plain_reader_reads_them() {
    let Some(records) = lines("evtx-mitre.ndjson.zst") else {
        return;
    };
    assert_eq!(records.len(), 10_015);
    let classes = compare_nested(&records);
    assert!(classes["antivirus/windefend"] > 0, "{classes:?}");
}

#[test]
fn regression_samples_read_as_a_plain_reader_reads_them() {
    let Some(cases) = lines("sigma-regression-sample.ndjson") else {
        return;
    };
    let events: Vec<String> = cases
        .iter()
        .flat_map(|case| {
            let case: Value = serde_json::from_str(case).unwrap();
            case["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect::<Vec<_>>()
        })
        .collect();
    compare_nested(&events);
}

#[test]
fn cloudtrail_reads_as_its_paths() {
    let fields = [
        "eventName",
        "eventSource",
        "userIdentity.type",
        "userIdentity.sessionContext.sessionIssuer.type",
        "requestParameters",
        "responseElements",
        "errorCode",
        "requestParameters.tagSpecificationSet.items.tags.key",
        "readOnly",
    ];
    for name in [
        "invictus-cloudtrail.ndjson.zst",
        "stratus-cloudtrail.ndjson.zst",
    ] {
        let Some(records) = lines(name) else { continue };
        // Written anew, so that objects are spelled as the plain reader spells them.
        let records: Vec<String> = records
            .iter()
            .map(|record| serde_json::from_str::<Value>(record).unwrap().to_string())
            .collect();
        compare(Format::Json, &fields, &records, |event| {
            let read = |field: &&str| {
                let path: Vec<&str> = field.split('.').collect();
                let mut found = Vec::new();
                super::laws::plainly(event, &path, &mut found).then_some(found)
            };
            fields.iter().map(read).collect()
        });
        let decoded = Decoder::new(spec(Format::Json, &[]))
            .unwrap()
            .decode(rows(&records), NOW);
        assert_eq!((decoded.untimed, decoded.clamped), (0, 0));
    }
}
