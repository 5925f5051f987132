//! The configuration file: what is wrong with it is said with its line, before anything is touched.

use std::fs;

use haechi_tests::process::{Finished, Haechi};
use haechi_tests::{repository, scratch};

const GOOD: &str = "\
app: test
kafka:
  bootstrap.servers: 127.0.0.1:1
rules: [rules.yml]
inputs:
  - name: one
    topics: [logs]
    format: json
";

fn run(text: &str, environment: &[(&str, &str)]) -> Finished {
    let folder = scratch();
    let rule = "title: x\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: test}\ndetection: {sel: {f: x}, condition: sel}\n";
    fs::write(folder.path().join("rules.yml"), rule).unwrap();
    let config = folder.path().join("haechi.yaml");
    fs::write(&config, text).unwrap();
    let command = environment.iter().fold(
        Haechi::new(["run", "-c"]).arg(&config),
        |command, (name, value)| command.env(name, value),
    );
    command.run()
}

/// `line` = where the message points.
fn refused(text: &str, line: u32, says: &[&str]) {
    let place = format!("haechi.yaml:{line}:");
    let finished = run(text, &[]).failed();
    assert!(
        finished.stderr.contains(&place),
        "not at line {line}:\n{text}\n{}",
        finished.stderr
    );
    let _ = finished.said(says);
}

#[test]
fn unknown_keys() {
    refused(&format!("{GOOD}wrokers: 2\n"), 9, &["wrokers"]);
    refused(&format!("{GOOD}    latenes: 5s\n"), 9, &["latenes"]);
    refused(
        &format!("{GOOD}outputs: {{alert: {{topic: x}}}}\n"),
        9,
        &["alert"],
    );
}

#[test]
fn wrong_types_and_values() {
    refused(&format!("{GOOD}workers: many\n"), 9, &[]);
    refused(&format!("{GOOD}workers: 0\n"), 9, &["workers"]);
    refused(
        &format!("{GOOD}    lateness: soon\n"),
        9,
        &["soon", "duration"],
    );
    refused(
        &format!("{GOOD}delivery: maybe\n"),
        9,
        &["maybe", "exactly_once", "at_least_once"],
    );
    refused(
        &format!("{GOOD}limits: {{max_record_bytes: big}}\n"),
        9,
        &["big"],
    );
    refused(
        &GOOD.replace("format: json", "format: xml"),
        8,
        &["xml", "json", "windows"],
    );
    refused(&GOOD.replace("[logs]", "['a topic']"), 7, &["a topic"]);
    refused(&GOOD.replace("app: test", "app: a/b"), 1, &["a/b"]);
    refused(
        &format!("{GOOD}http: {{listen: everywhere}}\n"),
        9,
        &["everywhere"],
    );
    refused(&GOOD.replace("rules: [rules.yml]", "rules: {a: b}"), 4, &[]);
}

#[test]
fn contradictions() {
    refused(
        &format!("{GOOD}    pattern: '^logs'\n"),
        7,
        &["topics", "pattern"],
    );
    refused(
        &GOOD.replace("    topics: [logs]\n", ""),
        6,
        &["topics", "pattern"],
    );
    refused(
        &format!("{GOOD}  - {{name: one, topics: [other], format: json}}\n"),
        9,
        &["one"],
    );
    refused(
        &format!("{GOOD}  - {{name: two, topics: [logs], format: json}}\n"),
        9,
        &["logs", "one"],
    );
    refused(
        &format!("{GOOD}outputs: {{alerts: {{topic: logs}}}}\n"),
        9,
        &["logs", "input"],
    );
    refused(
        &GOOD.replace(
            "  bootstrap.servers: 127.0.0.1:1\n",
            "  bootstrap.servers: 127.0.0.1:1\n  group.id: mine\n",
        ),
        4,
        &["group.id", "app"],
    );
    refused(
        &GOOD.replace("topics: [logs]", "pattern: 'logs.*'"),
        7,
        &["^"],
    );
    refused(
        &GOOD.replace("topics: [logs]", "pattern: '^logs('"),
        7,
        &["regular expression"],
    );
}

#[test]
fn what_is_missing() {
    refused(&GOOD.replace("    format: json\n", ""), 6, &["format"]);
    let _ = run(
        &GOOD.replace("  bootstrap.servers: 127.0.0.1:1\n", "  client.id: x\n"),
        &[],
    )
    .failed()
    .said(&["haechi.yaml", "bootstrap.servers"]);
    let _ = run(&GOOD.replace("app: test\n", ""), &[])
        .failed()
        .said(&["haechi.yaml", "app"]);
    let _ = run("app: [", &[]).failed().said(&["haechi.yaml"]);
    let _ = run("", &[]).failed().said(&["haechi.yaml"]);
    let _ = Haechi::new(["run", "-c", "/nonexistent/haechi.yaml"])
        .run()
        .failed()
        .said(&["/nonexistent/haechi.yaml"]);
}

#[test]
fn secrets_come_from_the_environment_and_from_files_and_are_not_shown() {
    let with_password = |reference: &str| {
        GOOD.replace(
            "  bootstrap.servers: 127.0.0.1:1\n",
            &format!("  bootstrap.servers: 127.0.0.1:1\n  security.protocol: SASL_PLAINTEXT\n  sasl.mechanisms: PLAIN\n  sasl.username: me\n  sasl.password: {reference}\n"),
        )
    };
    let missing = run(&with_password("${HAECHI_TEST_SECRET}"), &[])
        .failed()
        .said(&["haechi.yaml:7:", "HAECHI_TEST_SECRET"]);
    assert!(missing.status.code().is_some());
    let _ = run(&with_password("'${file:/nonexistent/secret}'"), &[])
        .failed()
        .said(&["haechi.yaml:7:", "/nonexistent/secret"]);
    // With the secret it goes on to the broker, which is not there; nothing shows the secret.
    let finished = run(
        &with_password("${HAECHI_TEST_SECRET}"),
        &[
            ("HAECHI_TEST_SECRET", "hunter2-and-more"),
            ("HAECHI_LOG", "debug"),
        ],
    )
    .failed();
    assert!(
        !finished.stderr.contains("hunter2-and-more"),
        "a secret is shown:\n{}",
        finished.stderr
    );
    let _ = finished.said(&["127.0.0.1:1"]);
}

#[test]
fn a_property_that_librdkafka_does_not_know_is_named() {
    let text = GOOD.replace(
        "  bootstrap.servers: 127.0.0.1:1\n",
        "  bootstrap.servers: 127.0.0.1:1\n  no.such.property: 1\n",
    );
    let _ = run(&text, &[]).failed().said(&["no.such.property"]);
}

#[test]
fn no_rule_at_all_is_an_error() {
    let folder = scratch();
    fs::write(folder.path().join("rules.yml"), "title: broken\n").unwrap();
    let config = folder.path().join("haechi.yaml");
    fs::write(&config, GOOD).unwrap();
    let _ = Haechi::new(["run", "-c"])
        .arg(&config)
        .run()
        .failed()
        .said(&["no rule was loaded"]);
}

/// The example is documentation: every key in it is one, and it says so itself when it is not.
#[test]
fn the_example_is_right() {
    let example = fs::read_to_string(repository().join("examples/haechi.yaml")).unwrap();
    let finished = run(
        &example
            .replace("rules: [rules]", "rules: [rules.yml]")
            .replace("localhost:9092", "127.0.0.1:1"),
        &[],
    )
    .failed();
    assert!(
        !finished.stderr.contains("haechi.yaml:"),
        "{}",
        finished.stderr
    );
    let _ = finished.said(&["127.0.0.1:1"]);
}

#[test]
fn presets_and_what_contradicts_them() {
    let preset = |extra: &str| GOOD.replace("    format: json\n", extra);
    refused(
        &preset("    preset: nothing\n"),
        8,
        &["no preset", "cloudtrail"],
    );
    refused(
        &preset("    preset: okta\n    format: json\n"),
        9,
        &["preset", "format: json", "keep one"],
    );
    refused(
        &preset("    preset: okta\n    logsource: {product: okta}\n"),
        9,
        &["preset", "logsource"],
    );
    refused(&preset("    preset: ocsf\n"), 8, &["pipelines: [ocsf]"]);
    refused(&preset("    lateness: 5s\n"), 6, &["format", "preset"]);
}

#[test]
fn pipelines_and_placeholders() {
    refused(
        &format!("{GOOD}pipelines: [nothing]\n"),
        9,
        &["nothing", "ecs-windows"],
    );
    refused(
        &format!("{GOOD}placeholders: nothing.yml\n"),
        9,
        &["nothing.yml"],
    );
}
