//! Detections and correlations.

use super::*;

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
