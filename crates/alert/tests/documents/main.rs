//! The documents as their readers get them: compared with files, byte for byte, and with OCSF's own definition.
//!
//! `HAECHI_BLESS=1 cargo test -p haechi-alert` writes the files anew; look at the difference before you commit it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod definition;
mod findings;
mod lives;
mod rollups;

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
