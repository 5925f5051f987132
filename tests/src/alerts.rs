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
