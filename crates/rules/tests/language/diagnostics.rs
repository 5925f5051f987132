//! What is wrong with rules, and where: `diagnostics.yml`, and YAML that cannot stand in a file with others.

use std::collections::BTreeSet;
use std::path::Path;

use haechi_rules::{CODES, Diagnostic, Loaded, Severity, load_str};

const CASES: &str = include_str!("diagnostics.yml");

/// What a `#!` of the file announces.
#[derive(Debug)]
struct Expected {
    line: u32,
    column: u32,
    code: String,
    message: String,
}

fn expected(text: &str) -> Vec<Expected> {
    let mut found = Vec::new();
    for (nth, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with("# "))
    {
        for note in line.split("#!").skip(1) {
            let (back, rest) = note.split_once(' ').unwrap_or((note, ""));
            let Some((code, rest)) = rest.trim().split_once('@') else {
                continue;
            };
            let (column, message) = rest.split_once(' ').expect("a column, then a message");
            let back: usize = back
                .strip_prefix('-')
                .map_or(0, |back| back.parse().expect("a number of lines"));
            found.push(Expected {
                line: u32::try_from(nth + 1 - back).expect("a short file"),
                column: column.parse().expect("a column"),
                code: code.to_owned(),
                message: message.trim().to_owned(),
            });
        }
    }
    found.sort_by_key(|expected| (expected.line, expected.column));
    found
}

fn explains(found: &Diagnostic, expected: &Expected) -> bool {
    found.code == expected.code
        && (found.span.line, found.span.column) == (expected.line, expected.column)
        && found.message.contains(&expected.message)
}

#[test]
fn every_mistake_is_found_where_it_is() {
    let Loaded { diagnostics, .. } = load_str(Path::new("diagnostics.yml"), CASES);
    let expected = expected(CASES);
    let mut missing: Vec<&Expected> = expected.iter().collect();
    let mut surplus: Vec<String> = Vec::new();
    for found in &diagnostics {
        match missing
            .iter()
            .position(|expected| explains(found, expected))
        {
            Some(at) => drop(missing.remove(at)),
            None => surplus.push(found.to_string()),
        }
    }
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "not found: {missing:#?}\nnot expected: {surplus:#?}"
    );
}

#[test]
fn every_code_is_seen_here_but_those_of_the_disk_and_of_limits() {
    let seen: BTreeSet<String> = expected(CASES)
        .into_iter()
        .map(|expected| expected.code)
        .collect();
    let elsewhere = ["HC001", "HC002", "HC003", "HC005", "HC007", "HC116"];
    // From HC120 on are lints, which loading does not look for: `docs/diagnostics.md` shows each, and a test holds it to that.
    // Those of pipelines are in pipelines.rs.
    for code in CODES.iter().filter(|code| !code.id.starts_with("HC07")) {
        let is_lint = code.id >= "HC120";
        assert_ne!(
            seen.contains(code.id),
            is_lint || elsewhere.contains(&code.id),
            "{}",
            code.id
        );
    }
}

/// The code, place and message of the only diagnostic of a text that is an error.
fn only_error(text: &str) -> (&'static str, u32, u32, String) {
    let loaded = load_str(Path::new("r.yml"), text);
    let errors: Vec<&Diagnostic> = loaded
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .collect();
    let [error] = errors.as_slice() else {
        panic!("one error is wanted: {errors:#?}")
    };
    (
        error.code,
        error.span.line,
        error.span.column,
        error.message.clone(),
    )
}

#[test]
fn text_that_is_not_yaml_is_refused_at_its_place() {
    for (text, line, column) in [
        ("title: a: b\n", 1, 9),
        ("title: x\n\tkey: y\n", 1, 8),
        ("title: 'x\n", 1, 8),
        ("a: [1, 2\nb: 3\n", 2, 2),
        ("ok: 1\nnul: \0\n", 2, 6),
        ("a: *nobody\n", 1, 4),
        ("%YAML", 1, 1),
    ] {
        let (code, at, column_at, message) = only_error(text);
        assert_eq!(
            (code, at, column_at),
            ("HC003", line, column),
            "{text:?}: {message}"
        );
    }
}

#[test]
fn documents_before_broken_yaml_are_loaded() {
    let text = "title: x\ndetection: {sel: {A: x}, condition: sel}\n---\ntitle: a: b\n";
    let loaded = load_str(Path::new("r.yml"), text);
    assert_eq!(loaded.rules.detections.len(), 1);
    assert_eq!(only_error(text).0, "HC003");
}

#[test]
fn nesting_and_expansion_have_limits() {
    let nested = |depth: usize| format!("title: {}{}\n", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(only_error(&nested(70)).0, "HC005");
    assert_eq!(only_error(&nested(100_000)).0, "HC003");
    let laughs: String = (1..10)
        .map(|n| {
            format!(
                "a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}]\n",
                n - 1
            )
        })
        .collect();
    assert_eq!(only_error(&format!("a0: &a0 x\n{laughs}")).0, "HC005");
    let values = vec!["x"; 2_000].join(", ");
    let condition = vec!["sel"; 60].join(" or ");
    let (code, line, column, _) = only_error(&format!(
        "title: x\ndetection:\n  sel: {{A: [{values}]}}\n  condition: {condition}\n"
    ));
    assert_eq!((code, line, column), ("HC005", 4, 364));
}

#[test]
fn aliases_stay_in_their_document() {
    let loaded = load_str(
        Path::new("r.yml"),
        "title: &x a\nrollup: {sql: *x}\n---\ntitle: *x\n",
    );
    assert_eq!(loaded.rules.rollups[0].sql, "a");
    assert!(
        loaded
            .diagnostics
            .iter()
            .any(|found| found.code == "HC006" && found.span.line == 4)
    );
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_not_move_places() {
    let text = "\u{feff}title: x\r\ndetection:\r\n  sel: {A|contain: x}\r\n  condition: sel\r\n";
    let (code, line, column, _) = only_error(text);
    assert_eq!((code, line, column), ("HC021", 3, 11));
}

#[test]
fn empty_files_and_documents_are_no_mistake() {
    for text in ["", "\n", "# nothing\n", "---\n---\n", "--- ~\n"] {
        let loaded = load_str(Path::new("r.yml"), text);
        assert_eq!(
            loaded.diagnostics.len(),
            usize::from(text.contains('~')),
            "{text:?}: {:?}",
            loaded.diagnostics
        );
    }
}

#[test]
fn an_aggregation_is_answered_with_the_correlation_to_write() {
    let text = "title: x\ndetection:\n  sel: {A: x}\n  timeframe: 10m\n  condition: sel | count() by user > 5\n";
    let loaded = load_str(Path::new("r.yml"), text);
    let found = loaded
        .diagnostics
        .iter()
        .find(|found| found.code == "HC032")
        .expect("it is refused");
    assert_eq!(
        found.render(Some(text), false),
        "\
error[HC032]: aggregations in conditions are no longer part of Sigma
 --> r.yml:5:18
  |
5 |   condition: sel | count() by user > 5
  |                  ^^^^^^^^^^^^^^^^^^^^^
  |
  = help: give this rule the part before the `|` as its condition, and write a correlation rule:
          correlation:
            type: event_count
            rules: [the id of this rule]
            group-by: [user]
            timespan: 10m
            condition:
              gt: 5"
    );
}
