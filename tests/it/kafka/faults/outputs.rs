//! What an app under attack has told, in all lives of its topics, and what it was to tell.

use std::collections::BTreeSet;
use std::path::Path;

use haechi_tests::alerts::{Alert, Brief, assert_same, last_told, set};
use haechi_tests::app::App;
use haechi_tests::broker::Record;
use serde_json::Value;

use super::super::{assert_all, expected, expected_findings, findings, nanoseconds};
use super::{NEW_SOURCE, TOLD_EARLY, TOLD_ONCE};

/// Records of the output topics.
#[derive(Default)]
pub(super) struct Outputs {
    alerts: Vec<Record>,
    rollups: Vec<Record>,
    letters: Vec<Record>,
    late: Vec<Record>,
}

impl Outputs {
    /// The topics.
    pub(super) fn topics(app: &App) -> [String; 4] {
        ["alerts", "rollups", "dead-letters", "late"].map(|what| app.topic(what))
    }

    /// What is in them now.
    pub(super) fn of(app: &App) -> Self {
        let [alerts, rollups, letters, late] =
            Self::topics(app).map(|topic| app.client.read(&topic));
        Self {
            alerts,
            rollups,
            letters,
            late,
        }
    }

    pub(super) fn append(&mut self, later: Self) {
        self.alerts.extend(later.alerts);
        self.rollups.extend(later.rollups);
        self.letters.extend(later.letters);
        self.late.extend(later.late);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.alerts.len() + self.rollups.len() + self.letters.len() + self.late.len()
    }

    /// This is what all rules of the attack are to find in the file. `line` says which line a partition and an offset are.
    pub(super) fn assert_logins(&self, file: &Path, line: impl Fn(i32, i64) -> i64) {
        let briefs = self.alerts.iter().map(|record| Brief::of(&record.json()));
        let (again, once): (Vec<Brief>, Vec<Brief>) = briefs.partition(|brief| brief.id.is_some());
        let alerts = set(once.iter().map(|brief| brief.alert(&line)));
        let rollups: Vec<Value> = self.rollups.iter().map(Record::json).collect();
        assert_all(file, &alerts, &rollups, &self.late, &self.letters, &line);

        let new = alerts.iter().filter(|alert| alert.rule == NEW_SOURCE);
        assert_same(&new.map(new_value).collect(), &expected_new(file));

        let last = last_told(again);
        let is_final = |brief: &&Brief| {
            brief
                .emission
                .as_ref()
                .is_some_and(|of| of.state == "final")
        };
        let early = set(last.iter().filter(is_final).map(|brief| brief.alert(&line)));
        let guessing = expected_findings(&["ts", "action=failed", "src", "5", "10"], file);
        assert_same(&findings(&early, TOLD_EARLY), &guessing);

        let suppressed = last.iter().filter(|brief| brief.rule == TOLD_ONCE);
        let suppressed = suppressed.map(|brief| {
            let of = brief.suppression.as_ref().expect("it suppresses");
            let by = of.by["user"].clone().expect("every event has a user");
            let line = brief.alert(&line).lines[0];
            (by, nanoseconds(&brief.time), line, of.suppressed)
        });
        assert_same(&suppressed.collect(), &expected_first(file));
    }
}

/// A value that is new to its group: user, source, time in nanoseconds, line.
type NewValue = (String, String, i64, i64);

fn new_value(alert: &Alert) -> NewValue {
    let of = |name: &str| {
        let found = alert.group.iter().find(|(key, _)| key == name);
        found.and_then(|(_, value)| value.clone()).expect(name)
    };
    (
        of("user"),
        of("src"),
        nanoseconds(&alert.time),
        alert.lines[0],
    )
}

fn expected_new(file: &Path) -> BTreeSet<NewValue> {
    let new = |row: &Value| {
        let text = |key: &str| row[key].as_str().expect("a text").to_owned();
        let number = |key: &str| row[key].as_i64().expect("a number");
        (text("group"), text("value"), number("time"), number("line"))
    };
    let rows = expected(&["new", "ts", "action=failed", "user", "src", "20"], file);
    rows.iter().map(new).collect()
}

/// The first alert of each span: user, time in nanoseconds, line, how many others there were.
fn expected_first(file: &Path) -> BTreeSet<(String, i64, i64, u64)> {
    let first = |row: &Value| {
        let number = |key: &str| row[key].as_i64().expect("a number");
        let user = row["group"].as_str().expect("a user");
        (
            user.to_owned(),
            number("time"),
            number("line"),
            number("suppressed").unsigned_abs(),
        )
    };
    let rows = expected(&["first", "ts", "action=failed", "user", "60"], file);
    rows.iter().map(first).collect()
}
