//! Both engines find the same, or it is known what differs and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use haechi_tests::process::parse_lines;
use haechi_tests::{repository, scratch};

use crate::inputs::Inputs;
use crate::processes;

/// Event and rule id.
type Found = BTreeSet<(u64, String)>;

/// Compares what both find in the real events with the table of differences (`benches/detect/differences.tsv`).
pub(crate) fn check(inputs: &Inputs) {
    let folder = scratch();
    let (ours, theirs) = (folder.path().join("haechi"), folder.path().join("peer"));
    processes::replay(&inputs.rules, &inputs.events, &ours);
    processes::peer(&inputs.rules, &inputs.events, &theirs, &[]);
    let (ours, theirs) = (of_haechi(&ours), of_peer(&theirs));
    let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (side, only) in [("haechi", &ours - &theirs), ("rsigma", &theirs - &ours)] {
        for (_, rule) in only {
            *found.entry((side.to_owned(), rule)).or_default() += 1;
        }
    }
    let differences: u64 = found.values().sum();
    assert_eq!(
        found,
        known(),
        "left: found, right: in benches/detect/differences.tsv"
    );
    println!(
        "both find {} alerts; {differences} more are found by one alone, each explained in benches/detect/differences.tsv\n",
        (&ours & &theirs).len(),
    );
}

fn of_haechi(path: &Path) -> Found {
    let rows = parse_lines(&fs::read_to_string(path).unwrap());
    let pair = |row: &serde_json::Value| {
        (
            row["offset"].as_u64().unwrap(),
            row["rule"].as_str().unwrap().to_owned(),
        )
    };
    rows.iter().map(pair).collect()
}

fn of_peer(path: &Path) -> Found {
    let text = fs::read_to_string(path).unwrap();
    let pair = |line: &str| {
        let (event, rule) = line.split_once('\t').unwrap();
        (event.parse().unwrap(), rule.to_owned())
    };
    text.lines().map(pair).collect()
}

/// Who alone finds a rule, and how many times.
fn known() -> BTreeMap<(String, String), u64> {
    let path = repository().join("benches/detect/differences.tsv");
    let text = fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        assert!(
            cells.len() == 4 && !cells[3].is_empty(),
            "who alone, rule, number and reason, by tabs: {line}"
        );
        (
            (cells[0].to_owned(), cells[1].to_owned()),
            cells[2].parse().unwrap(),
        )
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(row)
        .collect()
}
