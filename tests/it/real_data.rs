//! The data folder: every public rule against real events, compared with what other engines found in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
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

/// What haechi finds beyond the gold, pair by pair, with the kind of reason: `tests/gold/NAME.extra.tsv`.
fn explained(name: &str) -> BTreeMap<Pair, String> {
    let table = repository().join(format!("tests/gold/{name}.extra.tsv"));
    let text = fs::read_to_string(table).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), 3, "line, rule id and reason, by tabs: {line}");
        let said = text
            .lines()
            .any(|line| line.starts_with(&format!("# {} ", cells[2])));
        assert!(said, "no sentence explains `{}`", cells[2]);
        (
            (cells[0].parse().unwrap(), cells[1].to_owned()),
            cells[2].to_owned(),
        )
    };
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(row).collect()
}

/// Whether an event is of the kind that a reason speaks of.
fn is_of_kind(event: &Value, kind: &str) -> bool {
    let has = |name: &str| event.get(name).is_some();
    match kind {
        "4688" => event["EventID"] == 4688 && has("NewProcessName") && !has("Image"),
        "winlogbeat" => has("event_data") && has("log_name") && !has("Channel"),
        "source-name" => has("SourceName") && has("Channel") && !has("Provider_Name"),
        "dns-server" => event["Event"]["System"]["Channel"] == "DNS Server",
        "4688-fieldref" => {
            let (system, data) = (&event["Event"]["System"], &event["Event"]["EventData"]);
            system["EventID"] == 4688
                && data.get("Image").is_none()
                && data["NewProcessName"].is_string()
                && data["NewProcessName"] == data["ParentProcessName"]
        }
        _ => false,
    }
}

fn compare(name: &str, events: &Path, found: &BTreeSet<Pair>, gold: &BTreeSet<Pair>) {
    let missing: Vec<&Pair> = gold.difference(found).collect();
    let extra: BTreeSet<&Pair> = found.difference(gold).collect();
    println!(
        "{name}: {} pairs in the gold, {} found, {} missing, {} beyond it",
        gold.len(),
        found.len(),
        missing.len(),
        extra.len()
    );
    assert!(missing.is_empty(), "missing: {missing:?}");
    let explained = explained(name);
    let known: BTreeSet<&Pair> = explained.keys().collect();
    let (news, gone): (Vec<_>, Vec<_>) = (
        extra.difference(&known).collect(),
        known.difference(&extra).collect(),
    );
    assert!(
        news.is_empty() && gone.is_empty(),
        "beyond the gold and not in the table: {news:#?}\nin the table and not found: {gone:#?}"
    );
    let events = zstd::Decoder::new(fs::File::open(events).unwrap()).unwrap();
    for (number, line) in (0..).zip(BufReader::new(events).lines()) {
        let line = line.unwrap();
        let of_line = (number, String::new())..(number + 1, String::new());
        for ((_, rule), kind) in explained.range(of_line) {
            let event = serde_json::from_str(&line).unwrap();
            assert!(
                is_of_kind(&event, kind),
                "line {number}, rule {rule}: not {kind}: {line}"
            );
        }
    }
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
    compare("windows-events-100k", &events, &found, &gold(&tsv));
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
        &events,
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
