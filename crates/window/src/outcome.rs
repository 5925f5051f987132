//! What comes out of stage 2.

use std::sync::Arc;

use haechi_rules::Referent;

use crate::source::SourceId;

/// Something that stage 2 has decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A correlation's condition held.
    Correlated(Correlated),
    /// A row of a rollup.
    Rollup(RollupRow),
    /// Something came too late to count.
    Late(Late),
    /// A rule would have kept more than it may.
    GivenUp(GivenUp),
}

/// Groups that were given up, so that their rule keeps no more than it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The rule that they are of.
    pub rule: Keeper,
    /// How many groups went.
    pub groups: u64,
}

/// A rule that keeps groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// A correlation, or a rule whose alerts are to be suppressed.
    Alerting(Referent),
    /// A rollup: index into `RuleSet::rollups`.
    Rollup(usize),
}

/// Events that together satisfied a correlation.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlated {
    /// Index into `RuleSet::correlations`.
    pub rule: usize,
    /// The group: the rule's `group-by` names with this group's values, in the rule's order. `None` is a JSON null.
    pub group: Vec<(String, Option<String>)>,
    /// When the condition first held: the time of the event that completed it or, for conditions that only
    /// the whole window can decide (all but those that more events can only help), the end of the window.
    pub time_ns: i64,
    /// Time of the first contributing event: the window is `[first_ns, first_ns + timespan)`. Where findings contributed, the time of
    /// their first event, which may be earlier than the window.
    pub first_ns: i64,
    /// Time of the last contributing event.
    pub last_ns: i64,
    /// How many events contributed; the length of `events`. 0 where the finding is that there were none.
    pub count: u64,
    /// The number that the condition compares: of events, of distinct values, of rules that matched, or the statistic.
    pub number: f64,
    /// The contributing events in the order of (time, topic, partition, offset); those of contributing findings are among them. Where
    /// the finding is that there were none: the last one before.
    pub events: Vec<Contribution>,
    /// The contributing findings of other correlations, in their order.
    pub parts: Vec<Arc<Correlated>>,
    /// What its window begins with. Together with rule and group it identifies the finding: what comes later may add to it, but
    /// does not make it another.
    pub opening: Opening,
    /// 0 when it is told first; one more each time that it is told again.
    pub revision: u32,
    /// Whether it may still change.
    pub phase: Phase,
    /// It may lack events: the rule, and those below it, had given up this many groups by then. 0: it lacks none.
    pub given_up: u64,
    /// It is no finding of its own but the first alert of this rule in a span of suppression, with those that are only counted: an event
    /// each in `events`, or a finding each in `parts`.
    pub suppresses: Option<Referent>,
    /// That something is new was found without knowing all that was before it; none: all was known. Of a finding of findings, the
    /// least that was known for any of them.
    pub recall: Option<Recall>,
}

/// What was known when a value was found to be new, where there were too many values to know them all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recall {
    /// How many values are known for certain: those seen last.
    pub exactly: u64,
    /// The part of new values that were taken for ones seen before, so that nothing was found: from 0 to 1.
    pub mistaken: f64,
    /// Values seen last up to this time, nanoseconds since the Unix epoch, were forgotten before the timespan was over: they may have
    /// been found to be new when they were not.
    pub forgotten_ns: Option<i64>,
}

impl Recall {
    /// The least that was known in either case.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            exactly: self.exactly.min(other.exactly),
            mistaken: self.mistaken.max(other.mistaken),
            forgotten_ns: self.forgotten_ns.max(other.forgotten_ns),
        }
    }
}

/// Findings in their order; what is withdrawn comes behind what stands in its place.
pub(crate) fn in_order(found: &mut [Correlated]) {
    found.sort_by(|left, right| {
        let key = |of: &Correlated| {
            let withdrawn = matches!(of.phase, Phase::Withdrawn(_));
            (withdrawn, of.time_ns, of.rule)
        };
        (key(left), &left.group, left.first_ns).cmp(&(key(right), &right.group, right.first_ns))
    });
}

/// What a finding's window begins with.
#[derive(Debug, Clone, PartialEq)]
pub enum Opening {
    /// An event of the log.
    Event {
        /// Where it stands.
        source: SourceId,
        /// Its offset there.
        offset: i64,
    },
    /// A finding of another correlation.
    Finding(Arc<Correlated>),
}

/// Where a finding is in its life. One of a rule that does not emit early is final when it is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// The watermark has passed the end of its window: it stays as it is.
    Final,
    /// Its condition holds, but events may still be added, or show that it is none.
    Open,
    /// It was told as open, and is none: its events belong to the finding that this one opens or, when there is no such finding, to
    /// none.
    Withdrawn(Option<Opening>),
}

/// One event's part in a correlation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contribution {
    /// Event time, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Where the event stands in the log.
    pub source: SourceId,
    /// Its offset there.
    pub offset: i64,
    /// The detection that it matched: index into `RuleSet::detections`. When it matched several of the correlation's rules,
    /// the one that the correlation names first.
    pub rule: u32,
    /// The record as it came, of the first events of a correlation that quotes them.
    pub quoted: Option<Quoted>,
}

/// A record as it came, or the beginning of a long one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quoted {
    /// Its bytes, at most 4 KiB.
    pub bytes: Arc<[u8]>,
    /// How many bytes it has.
    pub whole: u64,
}

impl Quoted {
    /// Bytes that are kept of a record.
    pub const LONGEST: usize = 4 << 10;

    /// Of a whole record.
    #[must_use]
    pub fn of(record: &[u8]) -> Self {
        Self {
            bytes: record.get(..Self::LONGEST).unwrap_or(record).into(),
            whole: record.len() as u64,
        }
    }
}

/// One group of one window of a rollup.
#[derive(Debug, Clone, PartialEq)]
pub struct RollupRow {
    /// Index into `RuleSet::rollups`.
    pub rule: usize,
    /// Start of the window, nanoseconds since the Unix epoch; inclusive.
    pub start_ns: i64,
    /// End of the window; exclusive.
    pub end_ns: i64,
    /// 0 when the row is written first; one more each time that late events have changed it.
    pub revision: u32,
    /// Late events have changed the row so that HAVING no longer lets it through: there is no such row. It has no columns.
    pub withdrawn: bool,
    /// The values of the GROUP BY expressions (without the window), under their SQL text. Together with rule, window and part
    /// they identify the row, also when the SELECT list leaves them out.
    pub group: Vec<(String, serde_json::Value)>,
    /// 0: its window had given nothing up when the group began. Otherwise how many groups the rule had given up when that window last
    /// gave some up, which tells the parts of one window and group apart.
    pub part: u64,
    /// It may be a part of its window and group: the rule had given up this many groups when the row was made. 0: it is whole.
    pub given_up: u64,
    /// The SELECT list: names and values in its order. Whole floating point numbers are written as integers, timestamps as
    /// RFC 3339 text in UTC.
    pub columns: Vec<(String, serde_json::Value)>,
}

/// Something that came when what it belongs to had been decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Late {
    /// What came late.
    pub what: LateKind,
    /// Its event time (of a partial: the start of its window), nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The watermark that it came behind.
    pub watermark_ns: i64,
}

/// What came late.
#[derive(Debug, Clone, PartialEq)]
pub enum LateKind {
    /// An event of a correlation.
    Event {
        /// Index into `RuleSet::correlations`.
        rule: usize,
        /// The group it belongs to, as in [`Correlated::group`].
        group: Vec<(String, Option<String>)>,
        /// The event.
        event: Contribution,
    },
    /// Rows of a rollup, aggregated already: one group of one window.
    Partial {
        /// Index into `RuleSet::rollups`.
        rule: usize,
        /// The group they belong to, as in [`RollupRow::group`].
        group: Vec<(String, serde_json::Value)>,
        /// End of their window, nanoseconds since the Unix epoch.
        end_ns: i64,
        /// How many rows.
        rows: u64,
    },
}
