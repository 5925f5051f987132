//! Findings that are told again, and findings of findings.

use super::*;

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
