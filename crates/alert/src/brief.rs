//! The brief schema: one small object a line, for scripts and for people.

use serde::Serialize;
use serde_json::Value;

use crate::finding::{Coordinates, Evidence, Finding, Kind};
use crate::ocsf::{Emitted, Memory, Suppressed, given_up};
use crate::renderer::Limits;
use crate::rollup::Rollup;
use crate::spelling::{Entries, List, Time};
use crate::uid::Uid;

/// A finding, briefly.
#[derive(Serialize)]
pub(crate) struct Brief<'a, E> {
    time: Time,
    rule: &'a str,
    title: &'a str,
    level: &'static str,
    source: Option<&'a str>,
    partition: Option<i32>,
    offset: Option<i64>,
    group: Option<Entries<'a, Option<String>>>,
    count: u64,
    /// Of a rollup, the row; null when it is withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<Option<Entries<'a, Value>>>,
    /// Of a correlation, all contributing events; the coordinates above are those of the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<E>,
    /// Contributing events that are not listed, because there are so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_omitted: Option<usize>,
    /// Of a rule that emits early or suppresses, the identity: the finding comes again under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uid>,
    /// And where the finding is in its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    emission: Option<Emitted>,
    /// Where something is new and there are too many values to know them all, what is known of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    /// Where only the first alerts are sent, what this one stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    suppression: Option<Suppressed<'a>>,
    /// It may lack events: how many groups its rule had given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<u64>,
}

/// An event's coordinates as an object.
#[derive(Serialize)]
pub(crate) struct Place<'a> {
    source: &'a str,
    partition: i32,
    offset: i64,
}

impl<'a> Brief<'a, ()> {
    pub(crate) fn new(
        finding: &Finding<'a>,
        limits: Limits,
    ) -> Brief<'a, impl Serialize + use<'a>> {
        let correlation = finding.kind == Kind::Correlation;
        let last = finding.evidence.last().map(|event| event.at);
        let (events, omitted) = listed(finding.evidence, limits.events);
        Brief {
            time: Time(finding.time_ns),
            rule: &finding.rule.id,
            title: &finding.rule.title,
            level: finding.rule.level.as_str(),
            source: last.map(|at| at.source),
            partition: last.map(|at| at.partition),
            offset: last.map(|at| at.offset),
            group: (finding.kind != Kind::Detection).then_some(Entries(finding.group)),
            count: finding.count,
            row: finding.row.map(Rollup::entries),
            events: correlation.then(|| List(events.map(|event| Place::from(event.at)))),
            events_omitted: omitted.filter(|_| correlation),
            id: (finding.suppression.is_some()
                || finding
                    .correlation
                    .is_some_and(|computed| computed.emission.is_some()))
            .then(|| finding.uid()),
            emission: Emitted::of(finding),
            memory: Memory::of(finding),
            suppression: Suppressed::of(finding),
            given_up: given_up(finding),
        }
    }
}

impl<'a> From<Coordinates<'a>> for Place<'a> {
    fn from(at: Coordinates<'a>) -> Self {
        Self {
            source: at.source,
            partition: at.partition,
            offset: at.offset,
        }
    }
}

/// At most so many events, the last one always among them, and how many are left out.
pub(crate) fn listed<'a>(
    evidence: &'a [Evidence<'a>],
    limit: usize,
) -> (
    impl Iterator<Item = &'a Evidence<'a>> + Clone,
    Option<usize>,
) {
    let limit = limit.max(1);
    let omitted = evidence
        .len()
        .checked_sub(limit)
        .filter(|&omitted| omitted > 0);
    let (head, tail) = match omitted {
        None => (evidence.len(), evidence.len()),
        Some(_) => (limit - 1, evidence.len() - 1),
    };
    (
        evidence.iter().take(head).chain(evidence.iter().skip(tail)),
        omitted,
    )
}
