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
    /// What the rows are grouped by, without the window. With rule, window and part it makes the identity.
    pub group: &'a [(String, Value)],
    /// Which part of its window and group it is, where the rule had given groups up before its first event came; else 0.
    pub part: u64,
    /// It may be a part: the rule kept more than it may, and had given up this many groups by then. 0: it is whole.
    pub given_up: u64,
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
    /// It may be a part: how many groups its rule had given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<u64>,
    /// Null when the row is withdrawn.
    row: Option<Entries<'a, Value>>,
}

impl<'a> Rollup<'a> {
    /// The identity: of rule, window and group, and of the part where there are several; all revisions have the same.
    pub fn uid(&self) -> Uid {
        let mut hash = UidHasher::new("haechi rollup 1");
        hash.text(&self.rule.id);
        hash.number(self.start_ns);
        hash.number(self.end_ns);
        hash_values(&mut hash, self.group);
        // Rows that are no later parts keep the identity that they have always had.
        if self.part > 0 {
            hash.bytes(&self.part.to_le_bytes());
        }
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
            given_up: Some(self.given_up).filter(|groups| *groups > 0),
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
