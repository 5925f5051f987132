//! Rows, and what came too late.

use super::*;

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
        part: 0,
        given_up: 0,
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
        part: 0,
        given_up: 0,
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
