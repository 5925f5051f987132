//! An alert, before it has a shape.

use haechi_rules::{Logsource, RuleHeader};

use crate::key;
use crate::rollup::Rollup;
use crate::uid::{Opening, Uid, correlation_uid, finding_uid};

/// Where an event stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinates<'a> {
    /// The topic; for files, the path as given.
    pub source: &'a str,
    /// The partition; 0 for files.
    pub partition: i32,
    /// The offset; for files, the 0-based line.
    pub offset: i64,
}

/// One event behind a finding.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Where it stands.
    pub at: Coordinates<'a>,
    /// Event time, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The detection that the event matched. For a [`Kind::Detection`] the finding's own rule.
    pub rule: &'a RuleHeader,
    /// That detection also makes findings of its own: they are named as related.
    pub alerts: bool,
    /// The event as it came, where it is at hand.
    pub raw: Option<&'a [u8]>,
    /// How many bytes the event has, where `raw` is only its beginning.
    pub cut_from: Option<u64>,
}

/// What kind of rule found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A detection: one event.
    Detection,
    /// A correlation: several events.
    Correlation,
    /// A rollup: a row.
    Rollup,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Correlation => "correlation",
            Self::Rollup => "rollup",
        }
    }
}

/// What a correlation computed.
#[derive(Debug, Clone, Copy)]
pub struct Computed<'a> {
    /// The type, as Sigma writes it.
    pub r#type: &'static str,
    /// The number that its condition compared: of events, of distinct values, of rules that matched, or the statistic.
    pub number: f64,
    /// The findings of other correlations that contributed, in their order.
    pub parts: &'a [Part<'a>],
    /// What its window begins with; it makes the identity.
    pub opening: Opening<'a>,
    /// Of a rule that emits early, where the finding is in its life.
    pub emission: Option<Emission>,
    /// Where something is new, and not all that was before it is known, what is.
    pub recall: Option<Recall>,
}

/// What was known when a value was found to be new, where there were too many values to know them all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recall {
    /// How many values are known for certain.
    pub exactly: u64,
    /// The part of new values that were taken for ones seen before: from 0 to 1.
    pub mistaken: f64,
    /// Values seen last up to this time, nanoseconds since the Unix epoch, were forgotten before the timespan was over.
    pub forgotten_ns: Option<i64>,
}

/// Where a finding that may be told more than once is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emission {
    /// 0 when it is told first; one more each time that it is told again.
    pub revision: u32,
    /// Whether it may still change.
    pub state: State,
}

/// Whether a finding may still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It may.
    Open,
    /// It stays as it is.
    Final,
    /// It is none: what it was made of belongs to this other finding or, without one, to none.
    Withdrawn(Option<Uid>),
}

/// A finding that contributed to another.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The rule that found it.
    pub rule: &'a RuleHeader,
    /// Its identity.
    pub uid: Uid,
    /// It is an alert of its own too: it is named as related.
    pub alerts: bool,
}

/// What the first alert of a span of suppression stands for.
#[derive(Debug, Clone, Copy)]
pub struct Suppression<'a> {
    /// What the alerts have in common: names and values.
    pub by: &'a [(String, Option<String>)],
    /// Up to when alerts are only counted, nanoseconds since the Unix epoch; exclusive.
    pub until_ns: i64,
    /// How many are known that were not sent.
    pub suppressed: u64,
    /// 0 when it is sent first, 1 when it is sent again with the count.
    pub revision: u32,
    /// Whether it turned out not to be the first.
    pub state: State,
}

/// What a rule found.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'a> {
    /// The rule that found it.
    pub rule: &'a RuleHeader,
    /// What kind of rule.
    pub kind: Kind,
    /// The events that the rule looks at; none for correlations.
    pub logsource: Option<&'a Logsource>,
    /// When it happened, in event time: of a detection the event's time, of a correlation the time at which its condition
    /// first held. Nanoseconds since the Unix epoch, as are the next two.
    pub time_ns: i64,
    /// Time of the first contributing event.
    pub first_ns: i64,
    /// Time of the last contributing event.
    pub last_ns: i64,
    /// A correlation's group: names and values in the rule's order; `None` is a JSON null.
    pub group: &'a [(String, Option<String>)],
    /// How many events contributed; 0 where the finding is that there were none, and the evidence is the last one before.
    pub count: u64,
    /// What a correlation computed; none for detections.
    pub correlation: Option<Computed<'a>>,
    /// The contributing events in the order of (time, source, partition, offset).
    pub evidence: &'a [Evidence<'a>],
    /// Where only the first alerts of the rule are sent, what this one stands for.
    pub suppression: Option<Suppression<'a>>,
    /// It may lack events: the rule kept more than it may, and had given up this many groups by then. 0: it lacks none.
    pub given_up: u64,
    /// Of a rollup, the row that the finding is about; it makes the identity.
    pub row: Option<&'a Rollup<'a>>,
}

impl<'a> Finding<'a> {
    /// What a detection found in one event, `evidence[0]`.
    pub fn detection(
        rule: &'a RuleHeader,
        logsource: &'a Logsource,
        evidence: &'a [Evidence<'a>; 1],
    ) -> Self {
        let [event] = evidence;
        let time_ns = event.time_ns;
        Self {
            rule,
            kind: Kind::Detection,
            logsource: Some(logsource),
            time_ns,
            first_ns: time_ns,
            last_ns: time_ns,
            group: &[],
            count: 1,
            correlation: None,
            evidence,
            suppression: None,
            given_up: 0,
            row: None,
        }
    }

    /// What a rollup of `kind: alert` found: a row. `group` are the values of the row's group as text.
    pub fn rollup(row: &'a Rollup<'a>, group: &'a [(String, Option<String>)]) -> Self {
        Self {
            rule: row.rule,
            kind: Kind::Rollup,
            logsource: None,
            time_ns: row.end_ns,
            first_ns: row.start_ns,
            last_ns: row.end_ns,
            group,
            count: 1,
            correlation: None,
            evidence: &[],
            suppression: None,
            given_up: row.given_up,
            row: Some(row),
        }
    }

    /// The identity: of a detection a hash of its rule and its event's coordinates; of a correlation one of rule, group and what opens the
    /// window, so that it stays the same while events are added.
    pub fn uid(&self) -> Uid {
        if let Some(row) = self.row {
            return row.uid();
        }
        if let Some(computed) = &self.correlation {
            return correlation_uid(&self.rule.id, self.group, computed.opening);
        }
        finding_uid(
            &self.rule.id,
            self.group,
            self.evidence.iter().map(|event| event.at),
        )
    }

    /// Appends the message key. Correlations are keyed by their group, so that all that is found about one entity
    /// stays in order, also by different rules that group by the same fields; where there is no group, by the
    /// rule. A single event is keyed by its source partition: what the input kept in order stays in order.
    pub fn key(&self, out: &mut Vec<u8>) {
        match (self.kind, self.evidence.first()) {
            (Kind::Detection, Some(event)) => key::of_partition(event.at, out),
            _ => key::of_group(&self.rule.id, self.group, out),
        }
    }
}
