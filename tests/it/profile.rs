//! `haechi replay --profile`: where the time goes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use haechi_tests::process::Haechi;
use haechi_tests::{repository, scratch};
use serde_json::Value;

#[test]
fn a_profile_tells_stages_rules_and_fields_and_changes_no_result() {
    let folder = scratch();
    let events = folder.path().join("events.ndjson");
    let generate = [
        "generate",
        "-n",
        "3000",
        "--seed",
        "5",
        "--source",
        "windows",
        "--attack-every",
        "500",
        "--start",
        "2026-03-01T00:00:00Z",
    ];
    fs::write(&events, Haechi::new(generate).run().succeeded().stdout).unwrap();
    let rules = repository().join("rules");
    let replay = |more: &[&Path]| {
        Haechi::new(["replay", "--alerts", "brief", "--format", "windows"])
            .args(more)
            .args([Path::new("--rules"), &rules, Path::new("--"), &events])
            .run()
            .succeeded()
    };
    let plain = replay(&[]);
    let json = folder.path().join("profile.json");
    let profiled = replay(&["--profile".as_ref(), "--profile-json".as_ref(), &json]).said(&[
        "share",
        "looked at",
        "distinct",
        "scanned MB",
    ]);
    assert_eq!(plain.stdout, profiled.stdout);
    assert!(!plain.stderr.contains("looked at"), "only on demand");

    let profile: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let stages: BTreeMap<&str, &Value> = profile["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["stage"].as_str().unwrap(), row))
        .collect();
    let shares = stages.values().filter_map(|row| row["share"].as_f64());
    assert!((shares.sum::<f64>() - 1.0).abs() < 1e-6);
    for stage in ["load", "read", "decode", "detect", "emit"] {
        assert!(stages[stage]["seconds"].as_f64().unwrap() > 0.0, "{stage}");
    }

    let mut alerts: BTreeMap<String, u64> = BTreeMap::new();
    for row in profiled.rows() {
        *alerts
            .entry(row["rule"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    let mut told = 0;
    for rule in profile["rules"].as_array().unwrap() {
        let hits = rule["hits"].as_u64().unwrap();
        assert!(rule["looked_at"].as_u64().unwrap() >= hits);
        if let Some(&alerts) = alerts.get(rule["rule"].as_str().unwrap()) {
            assert_eq!(hits, alerts, "{rule}");
            told += 1;
        }
    }
    assert!(told > 0, "no rule of the profile has alerted");
    for field in profile["fields"].as_array().unwrap() {
        let of = |name: &str| field[name].as_u64().unwrap();
        assert!(of("matched") <= of("values"), "{field}");
    }
}
