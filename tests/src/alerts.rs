//! Alerts in the brief schema, in a form that can be compared between a file and a topic.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// One alert as `--alerts brief` writes it. No key may be missing, none may be new.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brief {
    /// RFC 3339.
    pub time: String,
    /// The rule's id.
    pub rule: String,
    /// The rule's title.
    pub title: String,
    /// The rule's level.
    pub level: String,
    /// Path or topic.
    pub source: String,
    /// Partition; 0 of a file.
    pub partition: i32,
    /// Offset; the 0-based line of a file.
    pub offset: i64,
    /// Of a correlation.
    pub group: Option<BTreeMap<String, Option<String>>>,
    /// How many events contributed.
    pub count: u64,
    /// Of a correlation: all of them.
    pub events: Option<Vec<Place>>,
    /// How many of them are not listed.
    pub events_omitted: Option<u64>,
    /// Of a finding that is told again: its identity.
    pub id: Option<String>,
    /// Of a rule that emits early: where the finding is in its life.
    pub emission: Option<Emission>,
    /// Of a rule that suppresses: what the alert stands for.
    pub suppression: Option<Suppression>,
}

/// Where a finding that is told early is in its life.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emission {
    /// How often it was told before.
    pub revision: u64,
    /// `open`, `final`, `withdrawn` or `superseded`.
    pub state: String,
    /// The finding in its place.
    pub superseded_by: Option<String>,
}

/// What the first alert of a span stands for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// What the alerts of the span have in common.
    pub by: BTreeMap<String, Option<String>>,
    /// RFC 3339: where the span ends.
    pub until: String,
    /// How many alerts were held back.
    pub suppressed: u64,
    /// How often it was told before.
    pub revision: u64,
}

/// Where an event stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Path or topic.
    pub source: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// What an alert says, whatever the log that its events came from: they are named by their lines in the file that was
/// replayed or produced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// The rule's id.
    pub rule: String,
    /// Event time.
    pub time: String,
    /// Names and values; none for a detection.
    pub group: Vec<(String, Option<String>)>,
    /// How many events contributed.
    pub count: u64,
    /// Their lines, sorted; empty when not all are listed.
    pub lines: Vec<i64>,
}

impl Brief {
    /// Parses one.
    ///
    /// # Panics
    /// When it is no alert in the brief schema.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        serde_json::from_value(value.clone())
            .unwrap_or_else(|error| panic!("not a brief alert ({error}): {value}"))
    }

    /// In comparable form; `line` says which line a partition and an offset are.
    ///
    /// # Panics
    /// When the alert contradicts itself.
    #[must_use]
    pub fn alert(&self, line: impl Fn(i32, i64) -> i64) -> Alert {
        let mut lines = match &self.events {
            None => vec![line(self.partition, self.offset)],
            Some(events) => events
                .iter()
                .map(|event| line(event.partition, event.offset))
                .collect(),
        };
        lines.sort_unstable();
        if self.events_omitted.is_some() {
            lines.clear();
        } else {
            assert_eq!(
                lines.len() as u64,
                self.count,
                "an alert's count is the number of its events: {self:?}"
            );
        }
        assert_eq!(
            self.group.is_some(),
            self.events.is_some(),
            "correlations, and only they, have a group and events: {self:?}"
        );
        let group = self.group.clone().unwrap_or_default().into_iter().collect();
        Alert {
            rule: self.rule.clone(),
            time: self.time.clone(),
            group,
            count: self.count,
            lines,
        }
    }
}

/// Of findings that are told again, what was told last, in the order of their ids. No telling is missing, none comes twice, and
/// in the end none is left open.
///
/// # Panics
/// When that is not so.
#[must_use]
pub fn last_told(briefs: impl IntoIterator<Item = Brief>) -> Vec<Brief> {
    let mut told: BTreeMap<String, BTreeMap<u64, Brief>> = BTreeMap::new();
    for brief in briefs {
        let id = brief.id.clone().expect("what is told again has an id");
        let revision = match (&brief.emission, &brief.suppression) {
            (Some(emission), None) => emission.revision,
            (None, Some(suppression)) => suppression.revision,
            _ => panic!("either early or suppressed: {brief:?}"),
        };
        if let Some(twice) = told.entry(id).or_default().insert(revision, brief) {
            panic!("this was told twice: {twice:?}");
        }
    }
    let known: BTreeSet<String> = told.keys().cloned().collect();
    let last = |revisions: BTreeMap<u64, Brief>| {
        assert!(
            revisions.keys().copied().eq(0..revisions.len() as u64),
            "a telling is missing: {revisions:?}"
        );
        for brief in revisions.values() {
            let by = brief
                .emission
                .as_ref()
                .and_then(|of| of.superseded_by.as_ref());
            assert!(
                by.is_none_or(|by| known.contains(by)),
                "superseded by none: {brief:?}"
            );
        }
        let states = revisions
            .values()
            .filter_map(|brief| brief.emission.as_ref());
        let finals = states.filter(|emission| emission.state == "final").count();
        let (_, last) = revisions.into_iter().next_back().expect("one at least");
        let end = last
            .emission
            .as_ref()
            .map(|emission| emission.state.as_str());
        assert_ne!(end, Some("open"), "this was left open: {last:?}");
        assert_eq!(
            finals,
            usize::from(end == Some("final")),
            "the final telling is the last: {last:?}"
        );
        last
    };
    told.into_values().map(last).collect()
}

/// Alerts as a set.
///
/// # Panics
/// When one comes twice.
#[must_use]
pub fn set(alerts: impl IntoIterator<Item = Alert>) -> BTreeSet<Alert> {
    let mut set = BTreeSet::new();
    for alert in alerts {
        assert!(!set.contains(&alert), "this alert came twice: {alert:?}");
        set.insert(alert);
    }
    set
}

/// Compares two sets and shows the first differences.
///
/// # Panics
/// When they differ.
pub fn assert_same<T: Ord + std::fmt::Debug>(found: &BTreeSet<T>, expected: &BTreeSet<T>) {
    let missing: Vec<&T> = expected.difference(found).collect();
    let extra: Vec<&T> = found.difference(expected).collect();
    let first = |some: &[&T]| {
        some.iter()
            .take(3)
            .map(|one| format!("\n  {one:?}"))
            .collect::<String>()
    };
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{} found, {} expected\n{} missing, the first:{}\n{} too many, the first:{}",
        found.len(),
        expected.len(),
        missing.len(),
        first(&missing),
        extra.len(),
        first(&extra)
    );
}
