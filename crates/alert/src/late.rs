//! What came when its window had been decided: not lost without a word.

use haechi_rules::RuleHeader;
use serde::Serialize;
use serde_json::Value;

use crate::finding::Coordinates;
use crate::key;
use crate::rollup::hash_values;
use crate::spelling::{Entries, Time, append};
use crate::uid::{Uid, UidHasher};

/// Something that came too late to count.
#[derive(Debug, Clone, Copy)]
pub struct Late<'a> {
    /// The correlation or rollup that it missed.
    pub rule: &'a RuleHeader,
    /// Its event time; of rows, the start of their window. Nanoseconds since the Unix epoch, as all times here.
    pub time_ns: i64,
    /// How far event time had come.
    pub watermark_ns: i64,
    /// What it is.
    pub subject: LateSubject<'a>,
}

/// What came late.
#[derive(Debug, Clone, Copy)]
pub enum LateSubject<'a> {
    /// One event of a correlation.
    Event {
        /// Where it stands.
        at: Coordinates<'a>,
        /// The group it belongs to.
        group: &'a [(String, Option<String>)],
    },
    /// Rows of one group and window of a rollup, aggregated already.
    Rows {
        /// End of the window.
        end_ns: i64,
        /// The group they belong to.
        group: &'a [(String, Value)],
        /// How many rows.
        rows: u64,
    },
}

#[derive(Serialize)]
struct Document<'a> {
    id: Uid,
    what: &'static str,
    rule: &'a str,
    title: &'a str,
    watermark: Time,
    #[serde(flatten)]
    subject: Subject<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Subject<'a> {
    Event {
        time: Time,
        source: &'a str,
        partition: i32,
        offset: i64,
        group: Entries<'a, Option<String>>,
    },
    Rows {
        window_start: Time,
        window_end: Time,
        rows: u64,
        group: Entries<'a, Value>,
    },
}

impl Late<'_> {
    /// The identity: of the rule and the event, or of the rule, the window, the group and how far time had come (the same
    /// group can be late several times).
    pub fn uid(&self) -> Uid {
        let mut hash = UidHasher::new("haechi late 1");
        hash.text(&self.rule.id);
        match self.subject {
            LateSubject::Event { at, group } => {
                hash.group(
                    group
                        .iter()
                        .map(|(name, value)| (name.as_str(), value.as_deref())),
                );
                hash.coordinates(at);
            }
            LateSubject::Rows {
                end_ns,
                group,
                rows,
            } => {
                hash_values(&mut hash, group);
                for number in [
                    self.time_ns,
                    end_ns,
                    self.watermark_ns,
                    i64::try_from(rows).unwrap_or(i64::MAX),
                ] {
                    hash.number(number);
                }
            }
        }
        hash.finish()
    }

    /// Appends the message key: that of the finding or row that it would have been part of.
    pub fn key(&self, out: &mut Vec<u8>) {
        match self.subject {
            LateSubject::Event { group, .. } => key::of_group(&self.rule.id, group, out),
            LateSubject::Rows { group, .. } => key::of_group(&self.rule.id, group, out),
        }
    }

    /// Appends the document: one JSON object on one line, without a line end.
    pub fn render(&self, out: &mut Vec<u8>) {
        let (what, subject) = match self.subject {
            LateSubject::Event { at, group } => {
                let Coordinates {
                    source,
                    partition,
                    offset,
                } = at;
                let group = Entries(group);
                (
                    "event",
                    Subject::Event {
                        time: Time(self.time_ns),
                        source,
                        partition,
                        offset,
                        group,
                    },
                )
            }
            LateSubject::Rows {
                end_ns,
                group,
                rows,
            } => {
                let (window_start, window_end) = (Time(self.time_ns), Time(end_ns));
                (
                    "rows",
                    Subject::Rows {
                        window_start,
                        window_end,
                        rows,
                        group: Entries(group),
                    },
                )
            }
        };
        let document = Document {
            id: self.uid(),
            what,
            rule: &self.rule.id,
            title: &self.rule.title,
            watermark: Time(self.watermark_ns),
            subject,
        };
        append(out, &document);
    }
}
