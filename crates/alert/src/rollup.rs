//! Rows of rollups.

use haechi_rules::RuleHeader;
use serde::Serialize;
use serde_json::Value;

use crate::key;
use crate::spelling::{Entries, Time, append};
use crate::uid::{Uid, UidHasher};

/// One group of one window of a rollup.
#[derive(Debug, Clone, Copy)]
pub struct Rollup<'a> {
    /// The rollup.
    pub rule: &'a RuleHeader,
    /// Start of the window, nanoseconds since the Unix epoch; inclusive.
    pub start_ns: i64,
    /// End of the window; exclusive.
    pub end_ns: i64,
    /// 0 when the row is written first; one more each time that late events have changed it.
    pub revision: u32,
    /// Late events have changed it so that there is no such row any more; it has no columns.
    pub withdrawn: bool,
    /// What the rows are grouped by, without the window. With rule and window it makes the identity.
    pub group: &'a [(String, Value)],
    /// The row as the SELECT names it.
    pub columns: &'a [(String, Value)],
}

/// The document. Columns have an object of their own: a column may have any name, also one of ours.
#[derive(Serialize)]
struct Document<'a> {
    id: Uid,
    rule: &'a str,
    title: &'a str,
    window_start: Time,
    window_end: Time,
    revision: u32,
    /// Null when the row is withdrawn.
    row: Option<Entries<'a, Value>>,
}

impl<'a> Rollup<'a> {
    /// The identity: of rule, window and group; all revisions have the same.
    pub fn uid(&self) -> Uid {
        let mut hash = UidHasher::new("haechi rollup 1");
        hash.text(&self.rule.id);
        hash.number(self.start_ns);
        hash.number(self.end_ns);
        hash_values(&mut hash, self.group);
        hash.finish()
    }

    /// The group as findings have it: values as text, none for NULL.
    pub fn group_text(&self) -> Vec<(String, Option<String>)> {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let group = self.group.iter();
        group
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// The columns; none when the row is withdrawn.
    pub(crate) fn entries(&self) -> Option<Entries<'a, Value>> {
        (!self.withdrawn).then_some(Entries(self.columns))
    }

    /// Appends the message key: the windows of one group stay in order.
    pub fn key(&self, out: &mut Vec<u8>) {
        key::of_group(&self.rule.id, self.group, out);
    }

    /// Appends the row: one JSON object on one line, without a line end.
    pub fn render(&self, out: &mut Vec<u8>) {
        let document = Document {
            id: self.uid(),
            rule: &self.rule.id,
            title: &self.rule.title,
            window_start: Time(self.start_ns),
            window_end: Time(self.end_ns),
            revision: self.revision,
            row: self.entries(),
        };
        append(out, &document);
    }
}

/// Values by their JSON text, which tells 1 from "1" and null from "null".
pub(crate) fn hash_values(hash: &mut UidHasher, group: &[(String, Value)]) {
    hash.number(group.len() as i64);
    for (name, value) in group {
        hash.text(name);
        hash.text(&value.to_string());
    }
}
