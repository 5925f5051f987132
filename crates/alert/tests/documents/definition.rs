//! OCSF's own definition, and whether findings keep to it.

use super::*;

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
