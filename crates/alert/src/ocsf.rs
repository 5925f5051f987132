//! OCSF Detection Finding (class 2004), version 1.4.0 of the schema: <https://schema.ocsf.io/1.4.0/classes/detection_finding>.
//!
//! What OCSF has no attribute for (nanoseconds, the group, the rule's tags) goes where OCSF wants such things: to
//! `unmapped`, under `haechi`. `time` is the event's, not the writer's: findings are deterministic, and alerts of a
//! replay carry the time at which things happened.

use haechi_rules::{Level, Logsource};
use serde::Serialize;
use serde_json::Value;

use crate::attack::{Attack, attacks};
use crate::brief::listed;
use crate::finding::{Computed, Evidence, Finding, Kind, Part, State};
use crate::quote::Quote;
use crate::renderer::Limits;
use crate::rollup::Rollup;
use crate::spelling::{Entries, List, Time, millis};
use crate::uid::{Uid, finding_uid};

const SCHEMA_VERSION: &str = "1.4.0";
/// Class 2004, activity 1.
const TYPE_UID: u32 = 200_401;

/// The event class.
#[derive(Serialize)]
pub(crate) struct DetectionFinding<'a, E, R> {
    activity_id: u32,
    activity_name: &'static str,
    category_uid: u32,
    category_name: &'static str,
    class_uid: u32,
    class_name: &'static str,
    type_uid: u32,
    type_name: &'static str,
    time: i64,
    start_time: i64,
    end_time: i64,
    severity_id: u32,
    severity: &'static str,
    status_id: u32,
    status: &'static str,
    is_alert: bool,
    message: String,
    count: u64,
    metadata: Metadata,
    finding_info: FindingInfo<'a, R>,
    evidences: E,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct Metadata {
    version: &'static str,
    uid: Uid,
    original_time: Time,
    product: Product,
}

#[derive(Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct FindingInfo<'a, R> {
    uid: Uid,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    desc: Option<&'a str>,
    types: [&'static str; 1],
    analytic: Analytic<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_analytics: Vec<Analytic<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attacks: Vec<Attack>,
    first_seen_time: i64,
    last_seen_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    related_events: Option<R>,
}

#[derive(Serialize)]
struct Analytic<'a> {
    uid: &'a str,
    name: &'a str,
    type_id: u32,
    r#type: &'static str,
}

/// A finding that one of the contributing events is worth by itself.
#[derive(Serialize)]
struct RelatedEvent {
    uid: Uid,
    type_uid: u32,
    r#type: &'static str,
}

/// An `evidences` object: OCSF leaves the inside of `data` to us.
#[derive(Serialize)]
struct Artifact<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Event(Event<'a>),
    Row(Row<'a>),
}

/// A row of a rollup.
#[derive(Serialize)]
struct Row<'a> {
    window_start: Time,
    window_end: Time,
    revision: u32,
    /// Null when the row is withdrawn.
    row: Option<Entries<'a, Value>>,
}

#[derive(Serialize)]
struct Event<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Quote<'a>>,
    /// The event was cut; this is how long it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated_from_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    haechi: Native<'a>,
}

/// What OCSF has no place for.
#[derive(Serialize)]
struct Native<'a> {
    kind: &'static str,
    time: Time,
    first_time: Time,
    last_time: Time,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    logsource: Option<Source<'a>>,
    group: Option<Entries<'a, Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<Correlation>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    falsepositives: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    references: &'a [String],
    /// Contributing events that are not among the evidences, because there are so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidences_omitted: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emission: Option<Emitted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppression: Option<Suppressed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<u64>,
}

/// How many groups the rule had given up, where the finding may lack events for it.
pub(crate) fn given_up(finding: &Finding<'_>) -> Option<u64> {
    Some(finding.given_up).filter(|groups| *groups > 0)
}

/// How far it is certain that something is new.
#[derive(Serialize)]
pub(crate) struct Memory {
    exact_values: u64,
    false_seen_rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    forgotten_until: Option<Time>,
}

impl Memory {
    pub(crate) fn of(finding: &Finding<'_>) -> Option<Self> {
        let recall = finding.correlation?.recall?;
        // Three digits say enough.
        let rate = format!("{:.2e}", recall.mistaken);
        Some(Self {
            exact_values: recall.exactly,
            false_seen_rate: rate.parse().unwrap_or(recall.mistaken),
            forgotten_until: recall.forgotten_ns.map(Time),
        })
    }
}

/// What the first alert of a span of suppression stands for.
#[derive(Serialize)]
pub(crate) struct Suppressed<'a> {
    by: Entries<'a, Option<String>>,
    until: Time,
    suppressed: u64,
    revision: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<Uid>,
}

impl<'a> Suppressed<'a> {
    pub(crate) fn of(finding: &Finding<'a>) -> Option<Self> {
        let suppression = finding.suppression?;
        let (state, superseded_by) = match suppression.state {
            State::Open | State::Final => (None, None),
            State::Withdrawn(by) => (Some("superseded"), by),
        };
        Some(Self {
            by: Entries(suppression.by),
            until: Time(suppression.until_ns),
            suppressed: suppression.suppressed,
            revision: suppression.revision,
            state,
            superseded_by,
        })
    }
}

/// Where a finding of a rule that emits early is in its life.
#[derive(Serialize)]
pub(crate) struct Emitted {
    revision: u32,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<Uid>,
}

impl Emitted {
    pub(crate) fn of(finding: &Finding<'_>) -> Option<Self> {
        let emission = finding.correlation?.emission?;
        let (state, superseded_by) = match emission.state {
            State::Open => ("open", None),
            State::Final => ("final", None),
            State::Withdrawn(None) => ("withdrawn", None),
            State::Withdrawn(by) => ("superseded", by),
        };
        Some(Self {
            revision: emission.revision,
            state,
            superseded_by,
        })
    }
}

/// What a correlation compared with its condition.
#[derive(Serialize)]
struct Correlation {
    r#type: &'static str,
    value: Number,
}

/// A number, without a point where it is whole.
#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Fraction(f64),
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        // Up to here a double says which whole number it is.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() <= EXACT {
            #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
            Self::Whole(number as i64)
        } else {
            Self::Fraction(number)
        }
    }
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
}

impl DetectionFinding<'_, (), ()> {
    pub(crate) fn new<'a>(
        finding: &Finding<'a>,
        limits: Limits,
    ) -> DetectionFinding<'a, impl Serialize + use<'a>, impl Serialize + use<'a>> {
        let rule = finding.rule;
        let (severity_id, severity) = severity(rule.level);
        let uid = finding.uid();
        let kind = finding.kind;
        let activity = activity(finding);
        let (events, omitted) = listed(finding.evidence, limits.events);
        DetectionFinding {
            activity_id: activity.id,
            activity_name: activity.name,
            category_uid: 2,
            category_name: "Findings",
            class_uid: 2004,
            class_name: "Detection Finding",
            type_uid: activity.type_uid,
            type_name: activity.type_name,
            time: millis(finding.time_ns),
            start_time: millis(finding.first_ns),
            end_time: millis(finding.last_ns),
            severity_id,
            severity,
            status_id: activity.status_id,
            status: activity.status,
            is_alert: true,
            message: message(finding),
            count: finding.count,
            metadata: Metadata {
                version: SCHEMA_VERSION,
                uid,
                original_time: Time(finding.time_ns),
                product: Product {
                    name: "Haechi",
                    vendor_name: "Haechi",
                    version: env!("CARGO_PKG_VERSION"),
                },
            },
            finding_info: finding_info(finding, uid, limits),
            evidences: List(
                events
                    .map(move |event| Artifact::of(event, kind, limits.event_bytes))
                    .chain(finding.row.into_iter().map(Artifact::of_row)),
            ),
            unmapped: Unmapped {
                haechi: native(finding, omitted),
            },
        }
    }
}

fn finding_info<'a>(
    finding: &Finding<'a>,
    uid: Uid,
    limits: Limits,
) -> FindingInfo<'a, impl Serialize + use<'a>> {
    let rule = finding.rule;
    let correlation = finding.kind == Kind::Correlation;
    let (events, _) = listed(finding.evidence, limits.events);
    let related = events
        .filter(|event| event.alerts)
        .map(|event| RelatedEvent {
            uid: finding_uid(&event.rule.id, &[], [event.at]),
            type_uid: TYPE_UID,
            r#type: "Detection Finding: Create",
        });
    let parts: &'a [Part<'a>] = finding.correlation.map_or(&[], |computed| computed.parts);
    let findings = parts.iter().filter(|part| part.alerts);
    let related = related.chain(findings.map(|part| RelatedEvent {
        uid: part.uid,
        type_uid: TYPE_UID,
        r#type: "Detection Finding: Create",
    }));
    let any_related = correlation
        && (finding.evidence.iter().any(|event| event.alerts)
            || parts.iter().any(|part| part.alerts));
    FindingInfo {
        uid,
        title: &rule.title,
        desc: rule.description.as_deref(),
        types: [match finding.kind {
            Kind::Detection => "Sigma Detection",
            Kind::Correlation => "Sigma Correlation",
            Kind::Rollup => "SQL Rollup",
        }],
        analytic: Analytic {
            uid: &rule.id,
            name: &rule.title,
            type_id: 1,
            r#type: "Rule",
        },
        related_analytics: if correlation {
            base_rules(finding.evidence, parts)
        } else {
            Vec::new()
        },
        attacks: attacks(&rule.tags),
        first_seen_time: millis(finding.first_ns),
        last_seen_time: millis(finding.last_ns),
        related_events: any_related.then_some(List(related)),
    }
}

/// The detections that matched the contributing events, each once, in the order of their first event; then the correlations whose
/// findings contributed.
fn base_rules<'a>(evidence: &'a [Evidence<'a>], parts: &'a [Part<'a>]) -> Vec<Analytic<'a>> {
    let mut rules: Vec<Analytic<'a>> = Vec::new();
    let below = parts.iter().map(|part| part.rule);
    for rule in evidence.iter().map(|event| event.rule).chain(below) {
        // A correlation names a handful of rules, mostly one.
        if rules.iter().all(|known| *known.uid != *rule.id) {
            let (uid, name) = (&*rule.id, rule.title.as_str());
            rules.push(Analytic {
                uid,
                name,
                type_id: 1,
                r#type: "Rule",
            });
        }
    }
    rules
}

impl<'a> Artifact<'a> {
    fn of(event: &Evidence<'a>, kind: Kind, limit: usize) -> Self {
        let quote = event.raw.map(|raw| Quote::new(raw, limit));
        let (quote, truncated_from_bytes) = quote.unzip();
        let cut_here = truncated_from_bytes.flatten().map(|bytes| bytes as u64);
        let data = Data::Event(Event {
            topic: event.at.source,
            partition: event.at.partition,
            offset: event.at.offset,
            time: Time(event.time_ns),
            rule: (kind == Kind::Correlation).then_some(&event.rule.id),
            event: quote,
            truncated_from_bytes: event.cut_from.or(cut_here),
        });
        Self { data }
    }

    fn of_row(row: &'a Rollup<'a>) -> Self {
        let data = Data::Row(Row {
            window_start: Time(row.start_ns),
            window_end: Time(row.end_ns),
            revision: row.revision,
            row: row.entries(),
        });
        Self { data }
    }
}

/// What OCSF says of a finding's life: it is new, it has changed, or it is over.
struct Activity {
    id: u32,
    name: &'static str,
    type_uid: u32,
    type_name: &'static str,
    status_id: u32,
    status: &'static str,
}

const CREATE: Activity = Activity {
    id: 1,
    name: "Create",
    type_uid: TYPE_UID,
    type_name: "Detection Finding: Create",
    status_id: 1,
    status: "New",
};
const UPDATE: Activity = Activity {
    id: 2,
    name: "Update",
    type_uid: 200_402,
    type_name: "Detection Finding: Update",
    ..CREATE
};
/// Its row was withdrawn.
const CLOSE: Activity = Activity {
    id: 3,
    name: "Close",
    type_uid: 200_403,
    type_name: "Detection Finding: Close",
    status_id: 4,
    status: "Resolved",
};

/// Its last word, and it stands. That nobody has dealt with it yet is what the status says.
const CONFIRM: Activity = Activity {
    status_id: CREATE.status_id,
    status: CREATE.status,
    ..CLOSE
};

fn activity(finding: &Finding<'_>) -> Activity {
    if let Some(suppression) = &finding.suppression {
        return match suppression.state {
            State::Withdrawn(_) => CLOSE,
            State::Final | State::Open if suppression.revision > 0 => UPDATE,
            State::Final | State::Open => CREATE,
        };
    }
    if let Some(emission) = finding.correlation.and_then(|computed| computed.emission) {
        return match emission.state {
            State::Withdrawn(_) => CLOSE,
            State::Final if emission.revision > 0 => CONFIRM,
            State::Open if emission.revision > 0 => UPDATE,
            State::Final | State::Open => CREATE,
        };
    }
    match finding.row {
        Some(row) if row.withdrawn => CLOSE,
        Some(row) if row.revision > 0 => UPDATE,
        _ => CREATE,
    }
}

fn native<'a>(finding: &Finding<'a>, evidences_omitted: Option<usize>) -> Native<'a> {
    let rule = finding.rule;
    Native {
        kind: finding.kind.as_str(),
        time: Time(finding.time_ns),
        first_time: Time(finding.first_ns),
        last_time: Time(finding.last_ns),
        level: rule.level.as_str(),
        status: rule.status.as_deref(),
        tags: &rule.tags,
        logsource: finding.logsource.map(source),
        group: (finding.kind != Kind::Detection).then_some(Entries(finding.group)),
        correlation: finding
            .correlation
            .map(|Computed { r#type, number, .. }| Correlation {
                r#type,
                value: number.into(),
            }),
        falsepositives: &rule.falsepositives,
        references: &rule.references,
        evidences_omitted,
        emission: Emitted::of(finding),
        memory: Memory::of(finding),
        suppression: Suppressed::of(finding),
        given_up: given_up(finding),
    }
}

fn source(logsource: &Logsource) -> Source<'_> {
    Source {
        product: logsource.product.as_deref(),
        category: logsource.category.as_deref(),
        service: logsource.service.as_deref(),
    }
}

/// One line for people: the title and, of a correlation, whom it is about.
fn message(finding: &Finding<'_>) -> String {
    let title = &finding.rule.title;
    match finding.kind {
        Kind::Detection => title.clone(),
        Kind::Correlation | Kind::Rollup => {
            let name = |(name, value): &(String, Option<String>)| {
                format!(" {name}={}", value.as_deref().unwrap_or("null"))
            };
            let group: String = finding.group.iter().map(name).collect();
            match finding.kind {
                Kind::Correlation => format!("{title}:{group} ({} events)", finding.count),
                _ if group.is_empty() => title.clone(),
                _ => format!("{title}:{group}"),
            }
        }
    }
}

fn severity(level: Level) -> (u32, &'static str) {
    match level {
        Level::Informational => (1, "Informational"),
        Level::Low => (2, "Low"),
        Level::Medium => (3, "Medium"),
        Level::High => (4, "High"),
        Level::Critical => (5, "Critical"),
    }
}
