//! What was written of a window that still takes late events.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use serde_json::Value;

use super::rows::{Group, withdrawn};
use crate::outcome::RollupRow;

/// The rows of a window that were written, by group. The number of revisions depends on how late events came together; what the last
/// one says does not.
#[derive(Debug, Default)]
pub(super) struct Revisions {
    /// By the group's values as text.
    pub(super) written: FxHashMap<String, Written>,
    /// Groups that have changed since.
    touched: BTreeSet<String>,
    /// Each with the part that it is: see [`RollupRow::part`].
    groups: FxHashMap<String, (Group, u64)>,
}

#[derive(Debug)]
pub(super) struct Written {
    pub(super) revision: u32,
    /// HAVING let the row through.
    pub(super) shown: bool,
}

/// A group's values as text.
pub(super) fn text(group: &Group) -> String {
    Value::from_iter(group.iter().map(|(_, value)| value.clone())).to_string()
}

impl Revisions {
    /// These rows were written, for the first time.
    pub(super) fn of(rows: &[RollupRow]) -> Self {
        let written = rows.iter().map(|row| {
            let first = Written {
                revision: 0,
                shown: true,
            };
            (text(&row.group), first)
        });
        Self {
            written: written.collect(),
            ..Self::default()
        }
    }

    /// Bytes of a group that was written, besides its values; about.
    pub(super) const PER_GROUP: usize = 2 * size_of::<(String, Written)>();

    /// Approximate bytes held.
    pub(super) fn size(&self) -> usize {
        let texts: usize = self.written.keys().map(String::len).sum();
        texts + self.written.capacity() * size_of::<(String, Written)>()
    }

    /// These groups have changed; each comes with the part that it is.
    pub(super) fn touch(&mut self, groups: impl Iterator<Item = (Group, u64)>) {
        for group in groups {
            let text = text(&group.0);
            if self.touched.insert(text.clone()) {
                self.groups.insert(text, group);
            }
        }
    }

    /// These groups are not kept any more. What comes for them later is written for the first time.
    pub(super) fn forget(&mut self, groups: &[Group]) {
        for group in groups {
            self.written.remove(&text(group));
        }
    }

    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// What is to be written now that the window's rows are these: a changed row, or, when HAVING no longer lets it through, that it
    /// is withdrawn.
    pub(super) fn revise(
        &mut self,
        rule: usize,
        window_ns: (i64, i64),
        now: Vec<RollupRow>,
    ) -> Vec<RollupRow> {
        let mut touched = std::mem::take(&mut self.touched);
        let mut groups = std::mem::take(&mut self.groups);
        let mut revised = Vec::new();
        for mut row in now {
            let text = text(&row.group);
            if touched.remove(&text) {
                row.revision = self.next(text, true);
                revised.push(row);
            }
        }
        for text in touched {
            if self.written.get(&text).is_some_and(|written| written.shown) {
                let (group, part) = groups.remove(&text).unwrap_or_default();
                let revision = self.next(text, false);
                revised.push(RollupRow {
                    part,
                    ..withdrawn(rule, window_ns, group, revision)
                });
            }
        }
        revised
    }

    fn next(&mut self, text: String, shown: bool) -> u32 {
        match self.written.get_mut(&text) {
            Some(written) => {
                written.revision = written.revision.saturating_add(1);
                written.shown = shown;
                written.revision
            }
            None => {
                self.written.insert(text, Written { revision: 0, shown });
                0
            }
        }
    }
}
