//! The documents as their readers get them: compared with files, byte for byte, and with OCSF's own definition.
//!
//! `HAECHI_BLESS=1 cargo test -p haechi-alert` writes the files anew; look at the difference before you commit it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use haechi_alert::{
    Computed, Coordinates, Emission, Evidence, Finding, Kind, Late, LateSubject, Limits, Opening,
    Part, Recall, Renderer, Rollup, Schema, State, correlation_uid, finding_uid,
};
use haechi_rules::{Level, Logsource, RuleHeader, Span};
use serde_json::{Value, json};

/// 2026-01-31T17:05:09.123456789Z
const NOON_NS: i64 = 1_769_879_109_123_456_789;

fn header(id: &str, title: &str, level: Level, tags: &[&str]) -> RuleHeader {
    RuleHeader {
        id: id.into(),
        name: None,
        title: title.to_owned(),
        description: Some(format!("What `{title}` means.")),
        level,
        status: Some("stable".to_owned()),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        author: Some("haechi".to_owned()),
        references: vec!["https://example.org/rule".to_owned()],
        falsepositives: vec!["tests".to_owned()],
        suppress: None,
        state: haechi_rules::StateBudget::default(),
        file: Path::new("rules/a.yml").into(),
        span: Span {
            line: 1,
            column: 1,
            len: 5,
        },
    }
}

fn detection() -> RuleHeader {
    header(
        "89e957de-d893-4bd2-ba8b-74cee1cef4b5",
        "PowerShell Started With An Encoded Command",
        Level::High,
        &["attack.execution", "attack.t1059.001"],
    )
}

fn correlation() -> RuleHeader {
    let tags = [
        "attack.credential-access",
        "attack.stealth",
        "attack.t1110.001",
        "attack.g0016",
    ];
    header(
        "f6b8b060-baeb-4c63-aff3-edaa9f3ea2e6",
        "SSH Brute Force From One Address",
        Level::Medium,
        &tags,
    )
}

fn windows() -> Logsource {
    let own = |text: &str| Some(text.to_owned());
    Logsource {
        product: own("windows"),
        category: own("process_creation"),
        service: None,
    }
}

fn at(source: &str, partition: i32, offset: i64) -> Coordinates<'_> {
    Coordinates {
        source,
        partition,
        offset,
    }
}

fn render(schema: Schema, limits: Limits, finding: &Finding<'_>) -> String {
    let mut out = Vec::new();
    Renderer::new(schema, limits).render(finding, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains(['\n', '\r']), "{text}");
    text
}

/// A detection's finding over one raw event, in both schemas.
fn detected(raw: Option<&[u8]>, limits: Limits) -> [String; 2] {
    let (rule, logsource) = (detection(), windows());
    let evidence = [Evidence {
        at: at("windows", 3, 1_234),
        time_ns: NOON_NS,
        rule: &rule,
        alerts: true,
        raw,
        cut_from: None,
    }];
    let finding = Finding::detection(&rule, &logsource, &evidence);
    [Schema::Ocsf, Schema::Brief].map(|schema| render(schema, limits, &finding))
}

/// A correlation's finding over `count` events, in both schemas.
fn correlated(count: u32, alerts: bool, limits: Limits) -> [String; 2] {
    told(count, alerts, limits, None)
}

/// The same, of a rule that may tell it more than once.
fn told(count: u32, alerts: bool, limits: Limits, emission: Option<Emission>) -> [String; 2] {
    let (rule, base) = (
        correlation(),
        header("1f6b", "SSH Password Refused", Level::Informational, &[]),
    );
    let event = |index: u32| Evidence {
        at: at(
            if index.is_multiple_of(2) {
                "sshd-a"
            } else {
                "sshd-b"
            },
            0,
            i64::from(index) * 10,
        ),
        time_ns: NOON_NS + i64::from(index) * 1_500_000_000,
        rule: &base,
        alerts,
        raw: None,
        cut_from: None,
    };
    let evidence: Vec<Evidence<'_>> = (0..count).map(event).collect();
    let group = [
        ("src_ip".to_owned(), Some("198.18.0.7".to_owned())),
        ("user".to_owned(), None),
    ];
    let finding = Finding {
        rule: &rule,
        kind: Kind::Correlation,
        logsource: None,
        time_ns: NOON_NS + 1_500_000_000,
        first_ns: NOON_NS,
        last_ns: evidence.last().map_or(NOON_NS, |event| event.time_ns),
        group: &group,
        count: u64::from(count),
        correlation: Some(Computed {
            r#type: "event_count",
            number: f64::from(count),
            parts: &[],
            opening: Opening::Event(at("sshd-a", 0, 0)),
            emission,
            recall: None,
        }),
        evidence: &evidence,
        suppression: None,
        given_up: 0,
        row: None,
    };
    [Schema::Ocsf, Schema::Brief].map(|schema| render(schema, limits, &finding))
}

#[track_caller]
fn golden(name: &str, actual: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name]
        .iter()
        .collect();
    // A release changes the product's version and nothing else.
    let version = concat!(
        r#""vendor_name":"Haechi","version":""#,
        env!("CARGO_PKG_VERSION")
    );
    let actual = actual.replace(version, r#""vendor_name":"Haechi","version":"VERSION"#);
    if std::env::var_os("HAECHI_BLESS").is_some() {
        std::fs::write(&path, format!("{actual}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected.trim_end(), "{} differs", path.display());
}

const EVENT: &[u8] = br#"{"EventID":1,"Image":"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe","n":1.50}"#;

#[test]
fn a_detection() {
    let [ocsf, brief] = detected(Some(EVENT), Limits::default());
    golden("detection.ocsf.json", &ocsf);
    golden("detection.brief.json", &brief);
}

#[test]
fn a_correlation() {
    let [ocsf, brief] = correlated(3, true, Limits::default());
    golden("correlation.ocsf.json", &ocsf);
    golden("correlation.brief.json", &brief);
}

#[test]
fn an_event_that_is_cut_says_so() {
    let [ocsf, _] = detected(
        Some(EVENT),
        Limits {
            event_bytes: 20,
            ..Limits::default()
        },
    );
    let ocsf: Value = serde_json::from_str(&ocsf).unwrap();
    let data = &ocsf["evidences"][0]["data"];
    assert_eq!(data["event"], r#"{"EventID":1,"Image""#);
    assert_eq!(data["truncated_from_bytes"], EVENT.len());
}

#[test]
fn an_event_is_quoted_as_it_came() {
    let [ocsf, _] = detected(Some(EVENT), Limits::default());
    let event = std::str::from_utf8(EVENT).unwrap();
    assert!(ocsf.contains(&format!(r#""event":{event}"#)), "{ocsf}");
}

#[test]
fn of_very_many_events_the_first_and_the_last_are_listed() {
    let limits = Limits {
        events: 4,
        ..Limits::default()
    };
    let [ocsf, brief] = correlated(100, false, limits);
    let (ocsf, brief): (Value, Value) = (
        serde_json::from_str(&ocsf).unwrap(),
        serde_json::from_str(&brief).unwrap(),
    );
    let offsets = |list: &Value, key: &str| -> Vec<i64> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|event| event.pointer(key).unwrap().as_i64().unwrap())
            .collect()
    };
    assert_eq!(offsets(&brief["events"], "/offset"), [0, 10, 20, 990]);
    assert_eq!(brief["events_omitted"], 96);
    assert_eq!(brief["count"], 100);
    assert_eq!(
        offsets(&ocsf["evidences"], "/data/offset"),
        [0, 10, 20, 990]
    );
    assert_eq!(ocsf["unmapped"]["haechi"]["evidences_omitted"], 96);
    assert_eq!(ocsf["count"], 100);
    // What is not listed is still part of the identity.
    let [complete, _] = correlated(100, false, Limits::default());
    let complete: Value = serde_json::from_str(&complete).unwrap();
    assert_eq!(complete["finding_info"]["uid"], ocsf["finding_info"]["uid"]);
}

#[test]
fn the_brief_schema_has_the_keys_that_are_promised() {
    let keys = |text: &str| -> Vec<String> {
        let value: Value = serde_json::from_str(text).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    };
    let promised = [
        "count",
        "group",
        "level",
        "offset",
        "partition",
        "rule",
        "source",
        "time",
        "title",
    ];
    assert_eq!(keys(&detected(None, Limits::default())[1]), promised);
    let mut with_events = promised.to_vec();
    with_events.push("events");
    with_events.sort_unstable();
    assert_eq!(
        keys(&correlated(2, false, Limits::default())[1]),
        with_events
    );
}

#[test]
fn a_correlation_names_the_findings_of_its_base_rules() {
    let [ocsf, _] = correlated(2, true, Limits::default());
    let ocsf: Value = serde_json::from_str(&ocsf).unwrap();
    let related = &ocsf["finding_info"]["related_events"];
    assert_eq!(related.as_array().unwrap().len(), 2);
    assert_eq!(
        related[1]["uid"],
        finding_uid("1f6b", &[], [at("sshd-b", 0, 10)]).to_string()
    );
    let [ocsf, _] = correlated(2, false, Limits::default());
    let ocsf: Value = serde_json::from_str(&ocsf).unwrap();
    assert!(ocsf["finding_info"].get("related_events").is_none());
}

#[test]
fn a_finding_told_early_says_where_it_is_in_its_life() {
    let right = correlation_uid("r", &[], Opening::Event(at("sshd-a", 0, 1)));
    let document = |count, revision, state| -> [Value; 2] {
        let emission = Some(Emission { revision, state });
        told(count, false, Limits::default(), emission)
            .map(|text| serde_json::from_str(&text).unwrap())
    };
    let first = document(2, 0, State::Open);
    for (told, activity, status, emission) in [
        (
            document(2, 0, State::Open),
            1,
            "New",
            json!({"revision": 0, "state": "open"}),
        ),
        (
            document(3, 1, State::Open),
            2,
            "New",
            json!({"revision": 1, "state": "open"}),
        ),
        (
            document(3, 2, State::Final),
            3,
            "New",
            json!({"revision": 2, "state": "final"}),
        ),
        (
            document(3, 0, State::Final),
            1,
            "New",
            json!({"revision": 0, "state": "final"}),
        ),
        (
            document(2, 1, State::Withdrawn(None)),
            3,
            "Resolved",
            json!({"revision": 1, "state": "withdrawn"}),
        ),
        (
            document(2, 1, State::Withdrawn(Some(right))),
            3,
            "Resolved",
            json!({"revision": 1, "state": "superseded", "superseded_by": right.to_string()}),
        ),
    ] {
        let [ocsf, brief] = &told;
        assert_eq!(ocsf["activity_id"], activity, "{ocsf}");
        assert_eq!(ocsf["type_uid"], 200_400 + activity);
        assert_eq!(ocsf["status"], status);
        assert_eq!(ocsf["unmapped"]["haechi"]["emission"], emission);
        assert_eq!(brief["emission"], emission);
        // Whatever was added to it, it is the same finding.
        assert_eq!(ocsf["finding_info"]["uid"], first[0]["finding_info"]["uid"]);
    }
    let [ocsf, brief] = correlated(2, false, Limits::default());
    assert!(!ocsf.contains("emission") && !brief.contains("emission"));
}

#[test]
fn a_correlation_of_correlations_names_their_findings() {
    let (rule, inner, base) = (correlation(), correlation(), detection());
    let evidence = [Evidence {
        at: at("sshd-a", 0, 9),
        time_ns: NOON_NS,
        rule: &base,
        alerts: false,
        raw: None,
        cut_from: None,
    }];
    let opening = Opening::Event(at("sshd-a", 0, 9));
    let uid = correlation_uid(&inner.id, &[], opening);
    let document = |alerts: bool, number: f64| -> Value {
        let parts = [Part {
            rule: &inner,
            uid,
            alerts,
        }];
        let finding = Finding {
            rule: &rule,
            kind: Kind::Correlation,
            logsource: None,
            time_ns: NOON_NS,
            first_ns: NOON_NS,
            last_ns: NOON_NS,
            group: &[],
            count: 1,
            correlation: Some(Computed {
                r#type: "value_avg",
                number,
                parts: &parts,
                opening: Opening::Finding(uid),
                emission: None,
                recall: Some(Recall {
                    exactly: 100_000,
                    mistaken: 1.234_567e-5,
                    forgotten_ns: Some(NOON_NS),
                }),
            }),
            evidence: &evidence,
            suppression: None,
            given_up: 0,
            row: None,
        };
        serde_json::from_str(&render(Schema::Ocsf, Limits::default(), &finding)).unwrap()
    };
    let heard = document(true, 1.5);
    let related = heard["finding_info"]["related_events"].as_array().unwrap();
    assert_eq!(related.len(), 1);
    assert_eq!(related[0]["uid"], json!(uid.to_string()));
    let analytics = heard["finding_info"]["related_analytics"]
        .as_array()
        .unwrap();
    let analytics: Vec<&str> = analytics
        .iter()
        .map(|of| of["uid"].as_str().unwrap())
        .collect();
    assert_eq!(analytics, [&*base.id, &*inner.id]);
    let computed = &heard["unmapped"]["haechi"]["correlation"];
    assert_eq!(*computed, json!({"type": "value_avg", "value": 1.5}));
    let memory = json!({"exact_values": 100_000, "false_seen_rate": 1.23e-5, "forgotten_until": heard["unmapped"]["haechi"]["time"]});
    assert_eq!(heard["unmapped"]["haechi"]["memory"], memory);
    let silent = document(false, 1e300);
    assert!(silent["finding_info"].get("related_events").is_none());
    assert_eq!(
        silent["unmapped"]["haechi"]["correlation"]["value"],
        json!(1e300)
    );
}

#[test]
fn keys_keep_an_entity_together() {
    let key = |finding: &Finding<'_>| {
        let mut out = Vec::new();
        finding.key(&mut out);
        String::from_utf8(out).unwrap()
    };
    let (rule, other, logsource) = (detection(), correlation(), windows());
    let evidence = [Evidence {
        at: at("windows", 3, 9),
        time_ns: 0,
        rule: &rule,
        alerts: true,
        raw: None,
        cut_from: None,
    }];
    let single = Finding::detection(&rule, &logsource, &evidence);
    assert_eq!(key(&single), "windows/3");
    let group = [("src_ip".to_owned(), Some("198.18.0.7".to_owned()))];
    let grouped = Finding {
        kind: Kind::Correlation,
        group: &group,
        ..single
    };
    assert_eq!(key(&grouped), r#"{"src_ip":"198.18.0.7"}"#);
    assert_eq!(
        key(&Finding {
            rule: &other,
            ..grouped
        }),
        key(&grouped)
    );
    assert_eq!(
        key(&Finding {
            group: &[],
            ..grouped
        }),
        &*rule.id
    );
}

#[test]
fn a_rollup_row() {
    let rule = header(
        "d49b0ceb-8906-4c8a-a976-03ae55e45c8d",
        "Web Traffic Per Site And Minute",
        Level::Informational,
        &[],
    );
    let columns: Vec<(String, Value)> = [
        ("site", json!("shop.example.com")),
        ("requests", json!(1200)),
        ("mean_ms", json!(12.5)),
        ("rule", json!("a column may be called so")),
        ("nothing", json!(null)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    let (start_ns, end_ns) = (1_769_879_100_000_000_000, 1_769_879_160_000_000_000);
    let row = Rollup {
        rule: &rule,
        start_ns,
        end_ns,
        revision: 0,
        withdrawn: false,
        group: &columns[..1],
        columns: &columns,
    };
    let (mut out, mut key) = (Vec::new(), Vec::new());
    row.render(&mut out);
    row.key(&mut key);
    golden("rollup.json", std::str::from_utf8(&out).unwrap());
    assert_eq!(key, br#"{"site":"shop.example.com"}"#);
    let next = Rollup {
        start_ns: end_ns,
        end_ns: end_ns + 60_000_000_000,
        ..row
    };
    assert_ne!(next.uid(), row.uid());
    let same = Rollup {
        columns: &columns[1..],
        ..row
    };
    assert_eq!(
        same.uid(),
        row.uid(),
        "a row is known by rule, window and group"
    );
    let withdrawn = Rollup {
        revision: 2,
        withdrawn: true,
        columns: &[],
        ..row
    };
    assert_eq!(withdrawn.uid(), row.uid());
    let mut out = Vec::new();
    withdrawn.render(&mut out);
    let document: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&document["revision"], &document["row"]),
        (&json!(2), &Value::Null)
    );
}

#[test]
fn a_rollup_row_as_a_finding() {
    let rule = header(
        "d49b0ceb-8906-4c8a-a976-03ae55e45c8d",
        "Too Many Errors",
        Level::High,
        &["attack.t1110"],
    );
    let group = [
        ("site".to_owned(), json!("shop")),
        ("port".to_owned(), json!(443)),
    ];
    let columns = [("errors".to_owned(), json!(12))];
    let row = |revision, withdrawn| Rollup {
        rule: &rule,
        start_ns: NOON_NS,
        end_ns: NOON_NS + 60_000_000_000,
        revision,
        withdrawn,
        group: &group,
        columns: &columns,
    };
    let document = |row: &Rollup<'_>, schema| -> Value {
        let text = row.group_text();
        let finding = Finding::rollup(row, &text);
        assert_eq!(finding.uid(), row.uid());
        serde_json::from_str(&render(schema, Limits::default(), &finding)).unwrap()
    };
    let first = document(&row(0, false), Schema::Ocsf);
    assert_eq!(first["message"], "Too Many Errors: site=shop port=443");
    assert_eq!(first["severity_id"], 4);
    assert_eq!(first["activity_id"], 1);
    assert_eq!(first["evidences"][0]["data"]["row"], json!({"errors": 12}));
    assert_eq!(
        first["unmapped"]["haechi"]["group"],
        json!({"site": "shop", "port": "443"})
    );
    let second = document(&row(1, false), Schema::Ocsf);
    assert_eq!(second["type_uid"], 200_402);
    assert_eq!(second["finding_info"]["uid"], first["finding_info"]["uid"]);
    let gone = document(&row(2, true), Schema::Ocsf);
    assert_eq!(
        (&gone["activity_name"], &gone["status"]),
        (&json!("Close"), &json!("Resolved"))
    );
    let brief = document(&row(0, false), Schema::Brief);
    assert_eq!(brief["row"], json!({"errors": 12}));
}

#[test]
fn late_rows() {
    let rule = correlation();
    let group = [("src_ip".to_owned(), Some("198.18.0.7".to_owned()))];
    let subject = LateSubject::Event {
        at: at("sshd", 1, 77),
        group: &group,
    };
    let event = Late {
        rule: &rule,
        time_ns: NOON_NS,
        watermark_ns: NOON_NS + 5_000_000_000,
        subject,
    };
    let values = [("\"cs-host\"".to_owned(), json!("shop.example.com"))];
    let end_ns = 1_769_879_160_000_000_000;
    let subject = LateSubject::Rows {
        end_ns,
        group: &values,
        rows: 12,
    };
    let rows = Late {
        time_ns: 1_769_879_100_000_000_000,
        subject,
        ..event
    };
    for (name, late) in [("late-event.json", event), ("late-rows.json", rows)] {
        let mut out = Vec::new();
        late.render(&mut out);
        golden(name, std::str::from_utf8(&out).unwrap());
    }
    let mut key = Vec::new();
    event.key(&mut key);
    assert_eq!(key, br#"{"src_ip":"198.18.0.7"}"#);
    assert_ne!(event.uid(), rows.uid());
    assert_ne!(
        Late {
            watermark_ns: 0,
            ..rows
        }
        .uid(),
        rows.uid()
    );
    assert_eq!(
        Late {
            watermark_ns: 0,
            ..event
        }
        .uid(),
        event.uid()
    );
}

/// Attributes of OCSF 1.4.0 that we use, per object: type, and `!` where the schema requires them.
fn ocsf_objects() -> BTreeMap<&'static str, BTreeMap<&'static str, &'static str>> {
    let objects: [(&str, &[(&str, &str)]); 12] = [
        (
            "detection_finding",
            &[
                ("activity_id", "integer!"),
                ("activity_name", "string"),
                ("category_uid", "integer!"),
                ("category_name", "string"),
                ("class_uid", "integer!"),
                ("class_name", "string"),
                ("type_uid", "integer!"),
                ("type_name", "string"),
                ("time", "integer!"),
                ("start_time", "integer"),
                ("end_time", "integer"),
                ("severity_id", "integer!"),
                ("severity", "string"),
                ("status_id", "integer"),
                ("status", "string"),
                ("is_alert", "boolean"),
                ("message", "string"),
                ("count", "integer"),
                ("metadata", "metadata!"),
                ("finding_info", "finding_info!"),
                ("evidences", "evidences[]"),
                ("unmapped", "any"),
            ],
        ),
        (
            "metadata",
            &[
                ("version", "string!"),
                ("product", "product!"),
                ("uid", "string"),
                ("original_time", "string"),
            ],
        ),
        (
            "product",
            &[
                ("name", "string"),
                ("vendor_name", "string!"),
                ("version", "string"),
            ],
        ),
        (
            "finding_info",
            &[
                ("uid", "string!"),
                ("title", "string!"),
                ("desc", "string"),
                ("types", "string[]"),
                ("analytic", "analytic"),
                ("related_analytics", "analytic[]"),
                ("attacks", "attack[]"),
                ("first_seen_time", "integer"),
                ("last_seen_time", "integer"),
                ("related_events", "related_event[]"),
            ],
        ),
        (
            "analytic",
            &[
                ("type_id", "integer!"),
                ("type", "string"),
                ("uid", "string"),
                ("name", "string"),
            ],
        ),
        (
            "attack",
            &[
                ("tactic", "tactic"),
                ("technique", "technique"),
                ("sub_technique", "technique"),
            ],
        ),
        ("tactic", &[("uid", "string"), ("name", "string")]),
        ("technique", &[("uid", "string"), ("name", "string")]),
        (
            "related_event",
            &[
                ("uid", "string!"),
                ("type_uid", "integer"),
                ("type", "string"),
            ],
        ),
        ("evidences", &[("data", "any")]),
        ("any", &[]),
        ("string", &[]),
    ];
    objects
        .into_iter()
        .map(|(name, attributes)| (name, attributes.iter().copied().collect()))
        .collect()
}

/// Complains about attributes that OCSF does not know, that have the wrong type, or that it requires and are missing.
fn validate(kind: &str, value: &Value, path: &str) {
    if let Some(element) = kind.strip_suffix("[]") {
        let list = value
            .as_array()
            .unwrap_or_else(|| panic!("{path} is no list"));
        return list.iter().for_each(|value| validate(element, value, path));
    }
    match kind {
        "integer" => assert!(value.is_i64() || value.is_u64(), "{path} is {value}"),
        "string" => assert!(value.is_string(), "{path} is {value}"),
        "boolean" => assert!(value.is_boolean(), "{path} is {value}"),
        "any" => {}
        object => {
            let known = &ocsf_objects()[object];
            let fields = value
                .as_object()
                .unwrap_or_else(|| panic!("{path} is no object"));
            for (name, value) in fields {
                let kind = known
                    .get(name.as_str())
                    .unwrap_or_else(|| panic!("OCSF knows no {path}.{name}"));
                validate(kind.trim_end_matches('!'), value, &format!("{path}.{name}"));
            }
            for (name, _) in known.iter().filter(|(_, kind)| kind.ends_with('!')) {
                assert!(fields.contains_key(*name), "{path}.{name} is required");
            }
        }
    }
}

#[test]
fn alerts_are_valid_detection_findings() {
    let documents = [
        detected(Some(EVENT), Limits::default()),
        detected(Some(b"not json"), Limits::default()),
        detected(None, Limits::default()),
        correlated(3, true, Limits::default()),
        correlated(0, false, Limits::default()),
    ];
    for [ocsf, _] in &documents {
        let finding: Value = serde_json::from_str(ocsf).unwrap();
        validate("detection_finding", &finding, "finding");
        let number = |key: &str| finding[key].as_i64().unwrap();
        assert_eq!(
            number("type_uid"),
            number("class_uid") * 100 + number("activity_id")
        );
        assert_eq!(number("class_uid") / 1000, number("category_uid"));
        assert_eq!(number("start_time") / 1000, NOON_NS / 1_000_000_000);
        for attack in finding["finding_info"]["attacks"].as_array().unwrap() {
            assert!(
                !attack.as_object().unwrap().is_empty(),
                "an attack names a tactic or a technique"
            );
        }
    }
}

#[test]
fn severity_follows_the_level() {
    let severity = |level| {
        let rule = header("r", "t", level, &[]);
        let evidence = [Evidence {
            at: at("t", 0, 0),
            time_ns: 0,
            rule: &rule,
            alerts: true,
            raw: None,
            cut_from: None,
        }];
        let logsource = Logsource::default();
        let text = render(
            Schema::Ocsf,
            Limits::default(),
            &Finding::detection(&rule, &logsource, &evidence),
        );
        let finding: Value = serde_json::from_str(&text).unwrap();
        (
            finding["severity_id"].as_i64().unwrap(),
            finding["severity"].as_str().unwrap().to_owned(),
        )
    };
    let names = ["Informational", "Low", "Medium", "High", "Critical"];
    for (index, level) in Level::ALL.into_iter().enumerate() {
        assert_eq!(severity(level), (index as i64 + 1, names[index].to_owned()));
    }
}
