//! The JSON Schemas for editors: what ships and what the world writes passes them, known mistakes do not.

use std::fs;
use std::path::{Path, PathBuf};

use haechi_tests::process::Haechi;
use haechi_tests::repository;
use jsonschema::Validator;
use serde_json::Value;

fn schema(kind: &str) -> Validator {
    let text = Haechi::new(["schema", kind])
        .run()
        .succeeded()
        .text()
        .to_string();
    let file = repository().join(format!("schemas/{kind}.schema.json"));
    assert_eq!(
        text,
        fs::read_to_string(file).unwrap(),
        "the binary carries another {kind} schema"
    );
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert!(
        jsonschema::meta::is_valid(&schema),
        "{kind} is no JSON Schema"
    );
    jsonschema::validator_for(&schema).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_multiple_with_options(text, options)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn rule_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            found.extend(rule_files(&path));
        } else if name.ends_with(".yml") && !name.ends_with(".test.yml") {
            found.push(path);
        }
    }
    found
}

/// What a schema has against documents.
fn complaints(schema: &Validator, file: &Path, text: &str) -> Vec<String> {
    let documents = documents(text);
    let errors = documents
        .iter()
        .flat_map(|document| schema.iter_errors(document));
    errors
        .map(|error| format!("{}: {}: {error}", file.display(), error.instance_path))
        .collect()
}

#[test]
fn rules_that_ship_pass() {
    let schema = schema("rule");
    let folders = ["rules", "examples/rules"].map(|folder| repository().join(folder));
    let files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| rule_files(folder))
        .collect();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let found = complaints(&schema, &file, &fs::read_to_string(&file).unwrap());
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn configurations_that_ship_pass() {
    let schema = schema("config");
    let file = repository().join("examples/haechi.yaml");
    let found = complaints(&schema, &file, &fs::read_to_string(&file).unwrap());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn public_rules_pass() {
    let Some(rules) = haechi_tests::data::sigma_rules() else {
        return;
    };
    let schema = schema("rule");
    let mut found = Vec::new();
    for file in rule_files(&rules) {
        found.extend(complaints(
            &schema,
            &file,
            &fs::read_to_string(&file).unwrap(),
        ));
    }
    assert!(
        found.is_empty(),
        "{} complaints:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn known_mistakes_do_not_pass() {
    let rule = schema("rule");
    let good = "title: x\nlevel: high\ndate: 2024-01-31\ndetection:\n  sel:\n    Image|endswith: [a, b]\n  condition: sel\n";
    let correlation = "title: x\ncorrelation:\n  type: event_count\n  rules: [a]\n  timespan: 5m\n  condition: {gte: 3}\n";
    for text in [good, correlation] {
        assert!(
            complaints(&rule, Path::new("good"), text).is_empty(),
            "{text}"
        );
    }
    for (text, from, to) in [
        (good, "title: x\n", ""),
        (good, "level: high", "level: severe"),
        (good, "2024-01-31", "2024/01/31"),
        (good, "|endswith", "|endwith"),
        (good, "[a, b]", "[]"),
        (good, "[a, b]", "{a: b}"),
        (good, "  condition: sel\n", ""),
        (good, "detection:", "detektion:"),
        (correlation, "event_count", "events"),
        (correlation, "5m", "5 minutes"),
        (correlation, "gte: 3", "atleast: 3"),
        (correlation, "rules: [a]", "rules: []"),
    ] {
        let bad = text.replace(from, to);
        assert_ne!(bad, text);
        assert!(
            !complaints(&rule, Path::new("bad"), &bad).is_empty(),
            "this should not pass:\n{bad}"
        );
    }
    let config = schema("config");
    let good = "app: a\nkafka: {bootstrap.servers: 'b:1'}\nrules: [r]\ninputs: [{name: n, topics: [t], format: json}]\n";
    assert!(complaints(&config, Path::new("good"), good).is_empty());
    for (from, to) in [
        ("app: a\n", ""),
        ("bootstrap.servers", "bootstrap.server"),
        ("topics: [t], ", ""),
        ("rules:", "rulez:"),
        ("name: n", "nam: n"),
    ] {
        let bad = good.replace(from, to);
        assert!(
            !complaints(&config, Path::new("bad"), &bad).is_empty(),
            "this should not pass:\n{bad}"
        );
    }
}
