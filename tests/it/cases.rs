//! Cases written as data: `tests/cases`, and those beside the rules that ship.

use std::path::Path;

use haechi_tests::cases::{Verdict, run};
use haechi_tests::repository;

fn assert_all(verdict: &Verdict, least: usize) {
    assert!(
        verdict.failures.is_empty(),
        "{} of {} failed:\n\n{}",
        verdict.failures.len(),
        verdict.cases,
        verdict.failures.join("\n\n")
    );
    assert!(
        verdict.cases >= least || std::env::var_os("HAECHI_CASE").is_some(),
        "only {} cases were found",
        verdict.cases
    );
}

fn ours(folder: &str) -> Verdict {
    run(&repository().join("tests/cases").join(folder), ".yml")
}

#[test]
fn detections() {
    assert_all(&ours("detection"), 130);
}

#[test]
fn filters() {
    assert_all(&ours("filter"), 8);
}

#[test]
fn logsources() {
    assert_all(&ours("logsource"), 5);
}

#[test]
fn correlations() {
    assert_all(&ours("correlation"), 10);
}

#[test]
fn rollups() {
    assert_all(&ours("rollup"), 5);
}

#[test]
fn lateness() {
    assert_all(&ours("lateness"), 55);
}

#[test]
fn input() {
    assert_all(&ours("input"), 3);
}

#[test]
fn pipelines() {
    assert_all(&ours("pipeline"), 45);
}

#[test]
fn diagnostics() {
    assert_all(&ours("check"), 50);
}

#[test]
fn rules_that_ship_pass_the_tests_beside_them() {
    assert_all(&run(&repository().join("rules"), ".test.yml"), 10);
}

/// A runner that accepts anything would make all of the above worthless.
#[test]
fn a_wrong_case_fails() {
    let folder = haechi_tests::scratch();
    let fails = |text: &str, why: &str| {
        std::fs::write(folder.path().join("case.yml"), text).unwrap();
        let verdict = run(Path::new(folder.path()), ".yml");
        assert_eq!(verdict.failures.len(), 1, "this should fail:\n{text}");
        assert!(verdict.failures[0].contains(why), "{}", verdict.failures[0]);
    };
    let detection = "detection: {sel: {f: x}, condition: sel}";
    fails(
        &format!("cases: [{{name: n, {detection}, matches: [{{f: y}}]}}]"),
        "missing alert",
    );
    fails(
        &format!("cases: [{{name: n, {detection}, misses: [{{f: x}}]}}]"),
        "unexpected alert",
    );
    fails(
        &format!("cases: [{{name: n, {detection}, misses: ['no json']}}]"),
        "unexpected dead letter",
    );
    fails(
        &format!("cases: [{{name: n, {detection}, mathces: [{{f: y}}]}}]"),
        "mathces",
    );
    fails(
        "cases: [{name: n, detection: {sel: {f: x}, condition: other}, misses: [{f: x}]}]",
        "error[",
    );
    fails(
        &format!("cases: [{{name: n, {detection}, errors: [{{at: '1:1', says: x}}]}}]"),
        "check ended",
    );
}
