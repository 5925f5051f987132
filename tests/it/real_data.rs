//! The data folder: every public rule against real events, compared with what other engines found in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haechi_tests::process::{Finished, Haechi};
use haechi_tests::{data, repository, scratch};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(240);

/// Line and rule id.
type Pair = (u64, String);

fn replay(rules: &[PathBuf], events: &Path) -> Finished {
    Haechi::new([
        "replay",
        "--alerts",
        "brief",
        "--format",
        "windows",
        "--logsource",
        "product=windows",
        "-j",
        "2",
        "--rules",
    ])
    .args(rules)
    .arg("--")
    .arg(events)
    .limit(LIMIT)
    .run()
    .succeeded()
    .said(&["dead letters: 0"])
}

fn pairs(finished: &Finished) -> BTreeSet<Pair> {
    let pair = |row: &Value| {
        (
            row["offset"].as_u64().unwrap(),
            row["rule"].as_str().unwrap().to_owned(),
        )
    };
    finished.rows().iter().map(pair).collect()
}

fn gold(path: &Path) -> BTreeSet<Pair> {
    let text = fs::read_to_string(path).unwrap();
    let pair = |line: &str| {
        let (line, rule) = line.split_once('\t').unwrap();
        (line.parse().unwrap(), rule.to_owned())
    };
    text.lines().map(pair).collect()
}

/// What haechi finds beyond the gold, rule by rule, with the reason: `tests/gold/NAME.extra.tsv` (rule id, number of events, why).
fn explained(name: &str) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(
        repository()
            .join("tests/gold")
            .join(format!("{name}.extra.tsv")),
    )
    .unwrap_or_default();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        assert!(
            cells.len() == 3 && !cells[2].is_empty(),
            "rule id, number and reason, by tabs: {line}"
        );
        (cells[0].to_owned(), cells[1].parse().unwrap())
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(row)
        .collect()
}

fn compare(name: &str, found: &BTreeSet<Pair>, gold: &BTreeSet<Pair>) {
    let missing: Vec<&Pair> = gold.difference(found).collect();
    let mut extra: BTreeMap<String, u64> = BTreeMap::new();
    for (_, rule) in found.difference(gold) {
        *extra.entry(rule.clone()).or_default() += 1;
    }
    println!(
        "{name}: {} pairs in the gold, {} found, {} missing, {} beyond it from {} rules",
        gold.len(),
        found.len(),
        missing.len(),
        extra.values().sum::<u64>(),
        extra.len()
    );
    assert!(missing.is_empty(), "missing: {missing:?}");
    let explained = explained(name);
    let news: Vec<_> = extra
        .iter()
        .filter(|(rule, count)| explained.get(*rule) != Some(count))
        .collect();
    let gone: Vec<_> = explained
        .iter()
        .filter(|(rule, _)| !extra.contains_key(*rule))
        .collect();
    assert!(
        news.is_empty() && gone.is_empty(),
        "beyond the gold and not in the table: {news:#?}\nin the table and not found: {gone:#?}"
    );
}

#[test]
fn windows_events_and_what_pysigma_finds_in_them() {
    let (Some(rules), Some(events)) = (data::sigma_rules(), data::file(data::WINDOWS_EVENTS))
    else {
        return;
    };
    let (Some(tsv), Some(ids)) = (
        data::file("windows-events-100k.gold.tsv"),
        data::file("windows-events-100k.gold-rules.txt"),
    ) else {
        return;
    };
    let finished = replay(&[rules], &events).said(&["103,541 records"]);
    let known = fs::read_to_string(ids).unwrap();
    let known: BTreeSet<&str> = known.split_whitespace().collect();
    let all = pairs(&finished);
    let found: BTreeSet<Pair> = all
        .iter()
        .filter(|(_, rule)| known.contains(rule.as_str()))
        .cloned()
        .collect();
    println!(
        "{} more pairs of rules that the gold does not cover",
        all.len() - found.len()
    );
    compare("windows-events-100k", &found, &gold(&tsv));
}

#[test]
fn evtx_files_and_what_two_engines_find_in_them() {
    let (Some(rules), Some(events), Some(tsv)) = (
        data::sigma_rules(),
        data::file("evtx-mitre.ndjson.zst"),
        data::file("evtx-mitre.gold.tsv"),
    ) else {
        return;
    };
    let folders = [
        "rules",
        "rules-emerging-threats",
        "rules-threat-hunting",
        "rules-compliance",
    ]
    .map(|folder| rules.join(folder));
    compare(
        "evtx-mitre",
        &pairs(&replay(&folders, &events)),
        &gold(&tsv),
    );
}

#[test]
fn sigmas_own_regression_events() {
    let (Some(rules), Some(cases)) = (
        data::sigma_rules(),
        data::file("sigma-regression-sample.ndjson"),
    ) else {
        return;
    };
    let cases = haechi_tests::process::parse_lines(&fs::read_to_string(cases).unwrap());
    let folder = scratch();
    let file = folder.path().join("events.ndjson");
    let (mut text, mut ranges, mut line) = (String::new(), Vec::new(), 0);
    for case in &cases {
        let first = line;
        for event in case["events"].as_array().unwrap() {
            text.push_str(&format!("{event}\n"));
            line += 1;
        }
        ranges.push(first..line);
    }
    fs::write(&file, text).unwrap();
    let found = pairs(&replay(&[rules], &file));
    let missed: Vec<String> = cases
        .iter()
        .zip(ranges)
        .filter_map(|(case, range)| {
            let rule = case["rule"].as_str().unwrap();
            let count = range
                .clone()
                .filter(|line| found.contains(&(*line, rule.to_owned())))
                .count() as u64;
            let least = case["at_least"].as_u64().unwrap();
            (count < least).then(|| format!("{rule}: {count} of at least {least}, lines {range:?}"))
        })
        .collect();
    assert!(
        missed.is_empty(),
        "{} of {} cases missed: {missed:#?}",
        missed.len(),
        cases.len()
    );
}

/// What the placeholders of the public rules may stand for.
const PLACEHOLDERS: &str = include_str!("../gold/public-rules.placeholders.yml");

/// Everything that SigmaHQ publishes loads, its placeholders filled.
#[test]
fn public_rules_load() {
    let Some(rules) = data::sigma_rules() else {
        return;
    };
    let folder = scratch();
    let placeholders = folder.path().join("placeholders.yml");
    fs::write(&placeholders, PLACEHOLDERS).unwrap();
    let check = |arguments: &[&Path]| {
        let finished = Haechi::new(["check"])
            .args(arguments)
            .arg(&rules)
            .limit(LIMIT)
            .run();
        let summary = finished
            .text()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned();
        println!("{summary}");
        let errors: Vec<String> = finished
            .stderr
            .lines()
            .filter(|line| line.starts_with("error["))
            .map(str::to_owned)
            .collect();
        (summary, errors)
    };
    let (_, without) = check(&[]);
    let unfilled = without
        .iter()
        .filter(|line| line.starts_with("error[HC026]"))
        .count();
    assert!(
        unfilled >= 25,
        "{unfilled} placeholders are not filled without a file"
    );
    let (summary, errors) = check(&[Path::new("--placeholders"), &placeholders]);
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(summary.contains("3780 detection(s)"), "{summary}");
}
