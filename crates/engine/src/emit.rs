//! Hits, outcomes and bad records as messages on the output topics.
//!
//! Every result carries `haechi-id` and `haechi-time` (event time, nanoseconds) as headers: with
//! `delivery: at_least_once` the id tells a repetition from something new.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampNanosecondType;
use haechi_alert as alert;
use haechi_decode::BadRow;
use haechi_detect::Hits;
use haechi_log::{Log, LogError, Message, Record, Records, TopicPartition};
use haechi_rules::{DetectionRule, Emission, Referent, RollupKind, RuleHeader, RuleSet};
use haechi_window::{
    Contribution, Correlated, Late, LateKind, Opening, Outcome, Phase, Quoted, RollupRow,
};

use crate::error::{StageError, WorkerError};
use crate::program::Program;
use crate::settings::Settings;
use crate::stage1::DecodedBatch;

/// Header with the id of an alert, a rollup row or a late row.
pub const ID_HEADER: &str = "haechi-id";
/// Header with the event time in nanoseconds since the Unix epoch, in decimal.
pub const TIME_HEADER: &str = "haechi-time";
/// Headers of a dead letter: where the record was read.
pub const TOPIC_HEADER: &str = "haechi-topic";
/// See [`TOPIC_HEADER`].
pub const PARTITION_HEADER: &str = "haechi-partition";
/// See [`TOPIC_HEADER`].
pub const OFFSET_HEADER: &str = "haechi-offset";
/// Header of a dead letter: why it is one, and what to do.
pub const REASON_HEADER: &str = "haechi-reason";
/// Header of a dead letter that was cut to fit its topic: how many bytes the record has.
pub const CUT_HEADER: &str = "haechi-original-bytes";

/// Evidence is never cut below this many bytes: less would explain nothing.
const LEAST_EVIDENCE: usize = 1 << 10;
/// Dead letters are first cut to this many bytes when a topic refuses one for its size.
const CUT_DEAD_LETTER: usize = 512 << 10;
/// Dead letters are never cut below this many bytes.
const LEAST_DEAD_LETTER: usize = 4 << 10;

/// Turns what the stages found into messages. Holds the buffers it writes them in.
pub struct Emitter {
    program: Arc<Program>,
    settings: Arc<Settings>,
    renderer: alert::Renderer,
    /// Dead letters above this many bytes are cut; unlimited until a topic refuses one, see [`Emitter::shrink`].
    most_dead_letter: usize,
    document: Vec<u8>,
    key: Vec<u8>,
}

impl Emitter {
    /// For a run of `program`.
    #[must_use]
    pub fn new(program: &Arc<Program>, settings: &Arc<Settings>) -> Self {
        let limits = alert::Limits {
            event_bytes: settings.limits.evidence_bytes,
            ..alert::Limits::default()
        };
        Self {
            program: Arc::clone(program),
            settings: Arc::clone(settings),
            renderer: alert::Renderer::new(settings.outputs.schema, limits),
            most_dead_letter: usize::MAX,
            document: Vec::new(),
            key: Vec::new(),
        }
    }

    /// From now on these rules hold.
    pub fn adopt(&mut self, program: &Arc<Program>) {
        self.program = Arc::clone(program);
    }

    /// Sends the alerts of a batch; answers how many. Rules that only feed a correlation make none, and those that suppress have theirs
    /// from stage 2.
    ///
    /// # Errors
    /// When the log does not take a message.
    pub fn alerts(
        &mut self,
        records: &Records,
        batch: &DecodedBatch,
        hits: &Hits,
        log: &mut dyn Log,
    ) -> Result<usize, LogError> {
        let program = Arc::clone(&self.program);
        let times = batch
            .batch
            .column_by_name("_time")
            .and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
        let mut sent = 0;
        for hit in &hits.hits {
            let Some(rule) = program
                .rules
                .detections
                .get(hit.rule as usize)
                .filter(|rule| rule.alerts && rule.header.suppress.is_none())
            else {
                continue;
            };
            let row = hit.row as usize;
            let source_row = batch
                .source_row
                .get(row)
                .map(|&source_row| source_row as usize);
            let (Some(record), Some(times)) = (source_row.and_then(|row| records.get(row)), times)
            else {
                continue;
            };
            let evidence = [alert::Evidence {
                at: coordinates(&records.at.topic, records.partition, record.offset),
                time_ns: times.values().get(row).copied().unwrap_or_default(),
                rule: &rule.header,
                alerts: true,
                raw: record.payload,
                cut_from: None,
            }];
            self.finding(
                &alert::Finding::detection(&rule.header, &rule.logsource, &evidence),
                log,
            )?;
            sent += 1;
        }
        Ok(sent)
    }

    /// Sends records that could not be decoded as they came, with their coordinates and the reason in headers.
    ///
    /// # Errors
    /// When the log does not take a message.
    pub fn dead_letters(
        &mut self,
        records: &Records,
        bad: &[BadRow],
        log: &mut dyn Log,
    ) -> Result<(), LogError> {
        for row in bad {
            if let Some(record) = records.get(row.source_row as usize) {
                let at = TopicPartition {
                    topic: Arc::clone(&records.at.topic),
                    partition: records.partition,
                };
                self.dead_letter(&at, &record, &row.reason, log)?;
            }
        }
        Ok(())
    }

    /// Sends one record to the dead letters.
    ///
    /// # Errors
    /// When the log does not take it.
    pub fn dead_letter(
        &mut self,
        at: &TopicPartition,
        record: &Record<'_>,
        reason: &str,
        log: &mut dyn Log,
    ) -> Result<(), LogError> {
        let (partition, offset) = (at.partition.to_string(), record.offset.to_string());
        let whole = record.payload.map_or(0, <[u8]>::len);
        let bytes = whole.to_string();
        let mut headers: Vec<(&str, &[u8])> = vec![
            (TOPIC_HEADER, at.topic.as_bytes()),
            (PARTITION_HEADER, partition.as_bytes()),
            (OFFSET_HEADER, offset.as_bytes()),
            (REASON_HEADER, reason.as_bytes()),
        ];
        let payload = record
            .payload
            .map(|payload| payload.get(..self.most_dead_letter).unwrap_or(payload));
        if payload.is_some_and(|payload| payload.len() < whole) {
            headers.push((CUT_HEADER, bytes.as_bytes()));
        }
        log.send(&Message {
            topic: &self.settings.outputs.dead_letters,
            partition: None,
            key: record.key,
            payload,
            headers: &headers,
        })
    }

    /// Sends what stage 2 decided.
    ///
    /// # Errors
    /// When the log does not take a message.
    pub fn outcomes(&mut self, outcomes: &[Outcome], log: &mut dyn Log) -> Result<(), LogError> {
        for outcome in outcomes {
            match outcome {
                Outcome::Correlated(correlated) => self.correlated(correlated, log)?,
                Outcome::Rollup(row) => self.rollup(row, log)?,
                Outcome::Late(late) => self.late(late, log)?,
                // It is counted and logged; the findings and rows that it concerns say it themselves.
                Outcome::GivenUp(_) => {}
            }
        }
        Ok(())
    }

    /// Sends a record of stage 1 to its exchange partition.
    ///
    /// # Errors
    /// When the log does not take it.
    pub fn exchange(
        &self,
        topic: &str,
        partition: i32,
        record: &[u8],
        log: &mut dyn Log,
    ) -> Result<(), LogError> {
        log.send(&Message {
            topic,
            partition: Some(partition),
            key: None,
            payload: Some(record),
            headers: &[],
        })
    }

    /// A topic refused a message for its size: what can be cut will be cut from now on.
    ///
    /// # Errors
    /// When nothing is left to cut: the topic's limit has to be raised.
    pub fn shrink(&mut self, topic: &str, error: &LogError) -> Result<(), WorkerError> {
        let limits = &mut self.renderer.limits;
        if topic == self.settings.outputs.dead_letters && self.most_dead_letter > LEAST_DEAD_LETTER
        {
            self.most_dead_letter = (self.most_dead_letter / 2).min(CUT_DEAD_LETTER);
        } else if topic == self.settings.outputs.alerts && limits.event_bytes > LEAST_EVIDENCE {
            limits.event_bytes = (limits.event_bytes / 2).max(LEAST_EVIDENCE);
        } else if topic == self.settings.outputs.alerts && limits.events > 1 {
            limits.events /= 2;
        } else {
            return Err(StageError::TooLarge(format!(
                "{error}; raise max.message.bytes of topic `{topic}`"
            ))
            .into());
        }
        Ok(())
    }

    fn correlated(&mut self, found: &Correlated, log: &mut dyn Log) -> Result<(), LogError> {
        let program = Arc::clone(&self.program);
        match (found.suppresses, &found.opening) {
            (None, _) => self.correlation(&program, found, None, log),
            (Some(Referent::Correlation(_)), Opening::Finding(first)) => {
                let header = program.rules.correlations.get(first.rule);
                let suppression = header.and_then(|rule| {
                    suppression(&program.rules, &rule.header, first.time_ns, found)
                });
                let first = Correlated {
                    given_up: first.given_up.max(found.given_up),
                    ..(**first).clone()
                };
                self.correlation(&program, &first, suppression, log)
            }
            (Some(Referent::Correlation(_)), Opening::Event { .. }) => Ok(()),
            (Some(Referent::Detection(rule)), _) => {
                self.first_hit(&program, found, program.rules.detections.get(rule), log)
            }
        }
    }

    /// The first alert of a detection in a span of suppression.
    fn first_hit(
        &mut self,
        program: &Program,
        found: &Correlated,
        rule: Option<&Arc<DetectionRule>>,
        log: &mut dyn Log,
    ) -> Result<(), LogError> {
        let (Some(rule), Some(event)) = (rule, found.events.first()) else {
            return Ok(());
        };
        let evidence = [alert::Evidence {
            at: coordinates(&event.source.topic, event.source.partition, event.offset),
            time_ns: event.time_ns,
            rule: &rule.header,
            alerts: true,
            raw: None,
            cut_from: None,
        }];
        let finding = alert::Finding {
            suppression: suppression(&program.rules, &rule.header, event.time_ns, found),
            given_up: found.given_up,
            ..alert::Finding::detection(&rule.header, &rule.logsource, &evidence)
        };
        self.finding(&finding, log)
    }

    fn correlation(
        &mut self,
        program: &Program,
        found: &Correlated,
        suppression: Option<alert::Suppression<'_>>,
        log: &mut dyn Log,
    ) -> Result<(), LogError> {
        let Some(rule) = program.rules.correlations.get(found.rule) else {
            return Ok(());
        };
        let evidence = |event: &Contribution| {
            let detection = program.rules.detections.get(event.rule as usize);
            (event.clone(), detection)
        };
        let contributions: Vec<_> = found.events.iter().map(evidence).collect();
        let evidence: Vec<alert::Evidence<'_>> = contributions
            .iter()
            .map(|(event, detection)| alert::Evidence {
                at: coordinates(&event.source.topic, event.source.partition, event.offset),
                time_ns: event.time_ns,
                rule: detection.map_or(&rule.header, |detection| &detection.header),
                alerts: detection.is_some_and(|detection| detection.alerts),
                raw: event.quoted.as_ref().map(|quoted| &*quoted.bytes),
                cut_from: event.quoted.as_ref().and_then(cut_from),
            })
            .collect();
        let parts: Vec<alert::Part<'_>> = found
            .parts
            .iter()
            .filter_map(|part| {
                let rule = program.rules.correlations.get(part.rule)?;
                Some(alert::Part {
                    rule: &rule.header,
                    uid: uid(&program.rules, part)?,
                    alerts: rule.alerts,
                })
            })
            .collect();
        let Some(opening) = opening(&program.rules, &found.opening) else {
            return Ok(());
        };
        let state = match &found.phase {
            Phase::Final => alert::State::Final,
            Phase::Open => alert::State::Open,
            Phase::Withdrawn(by) => alert::State::Withdrawn(by.as_ref().and_then(|by| {
                let by = self::opening(&program.rules, by)?;
                Some(alert::correlation_uid(&rule.header.id, &found.group, by))
            })),
        };
        let emission = (rule.emit == Emission::Early).then_some(alert::Emission {
            revision: found.revision,
            state,
        });
        let finding = alert::Finding {
            rule: &rule.header,
            kind: alert::Kind::Correlation,
            logsource: None,
            time_ns: found.time_ns,
            first_ns: found.first_ns,
            last_ns: found.last_ns,
            group: &found.group,
            count: found.count,
            correlation: Some(alert::Computed {
                r#type: rule.kind.as_str(),
                number: found.number,
                parts: &parts,
                opening,
                emission,
                recall: found.recall.map(|of| alert::Recall {
                    exactly: of.exactly,
                    mistaken: of.mistaken,
                    forgotten_ns: of.forgotten_ns,
                }),
            }),
            evidence: &evidence,
            suppression,
            given_up: found.given_up,
            row: None,
        };
        self.finding(&finding, log)
    }

    fn finding(&mut self, finding: &alert::Finding<'_>, log: &mut dyn Log) -> Result<(), LogError> {
        self.document.clear();
        self.key.clear();
        self.renderer.render(finding, &mut self.document);
        finding.key(&mut self.key);
        self.send(
            &self.settings.outputs.alerts,
            finding.uid(),
            finding.time_ns,
            log,
        )
    }

    fn rollup(&mut self, row: &RollupRow, log: &mut dyn Log) -> Result<(), LogError> {
        let program = Arc::clone(&self.program);
        let Some(rule) = program.rules.rollups.get(row.rule) else {
            return Ok(());
        };
        let rollup = alert::Rollup {
            rule: &rule.header,
            start_ns: row.start_ns,
            end_ns: row.end_ns,
            revision: row.revision,
            withdrawn: row.withdrawn,
            group: &row.group,
            part: row.part,
            given_up: row.given_up,
            columns: &row.columns,
        };
        if rule.kind == RollupKind::Alert {
            let group = rollup.group_text();
            return self.finding(&alert::Finding::rollup(&rollup, &group), log);
        }
        self.document.clear();
        self.key.clear();
        rollup.render(&mut self.document);
        rollup.key(&mut self.key);
        self.send(
            &self.settings.outputs.rollups,
            rollup.uid(),
            rollup.start_ns,
            log,
        )
    }

    fn late(&mut self, late: &Late, log: &mut dyn Log) -> Result<(), LogError> {
        let program = Arc::clone(&self.program);
        let rules = &program.rules;
        let (rule, subject) = match &late.what {
            LateKind::Event { rule, group, event } => {
                let at = coordinates(&event.source.topic, event.source.partition, event.offset);
                let correlation = rules.correlations.get(*rule).map(|rule| &rule.header);
                // Where there is no correlation, an alert of the detection itself was to be counted.
                let detection = rules.detections.get(event.rule as usize);
                let header = correlation.or(detection.map(|rule| &rule.header));
                let Some(header) = header else {
                    return Ok(());
                };
                (header, alert::LateSubject::Event { at, group })
            }
            LateKind::Partial {
                rule,
                group,
                end_ns,
                rows,
            } => {
                let Some(rule) = rules.rollups.get(*rule) else {
                    return Ok(());
                };
                (
                    &rule.header,
                    alert::LateSubject::Rows {
                        end_ns: *end_ns,
                        group,
                        rows: *rows,
                    },
                )
            }
        };
        let late = alert::Late {
            rule,
            time_ns: late.time_ns,
            watermark_ns: late.watermark_ns,
            subject,
        };
        self.document.clear();
        self.key.clear();
        late.render(&mut self.document);
        late.key(&mut self.key);
        self.send(&self.settings.outputs.late, late.uid(), late.time_ns, log)
    }

    /// Sends what is in the buffers.
    fn send(
        &self,
        topic: &str,
        uid: alert::Uid,
        time_ns: i64,
        log: &mut dyn Log,
    ) -> Result<(), LogError> {
        let (id, time) = (uid.encode(), time_ns.to_string());
        let headers: [(&str, &[u8]); 2] = [(ID_HEADER, &id), (TIME_HEADER, time.as_bytes())];
        log.send(&Message {
            topic,
            partition: None,
            key: Some(&self.key),
            payload: Some(&self.document),
            headers: &headers,
        })
    }
}

/// The identity of a correlation's finding; none when its rule is gone.
fn uid(rules: &RuleSet, found: &Correlated) -> Option<alert::Uid> {
    let rule = rules.correlations.get(found.rule)?;
    let opening = opening(rules, &found.opening)?;
    Some(alert::correlation_uid(
        &rule.header.id,
        &found.group,
        opening,
    ))
}

/// What the first alert of a span of suppression, at this time, stands for.
fn suppression<'a>(
    rules: &RuleSet,
    rule: &RuleHeader,
    first_ns: i64,
    found: &'a Correlated,
) -> Option<alert::Suppression<'a>> {
    let suppress = rule.suppress.as_ref()?;
    let identity = |of: &Opening| match of {
        Opening::Event { source, offset } => {
            let at = coordinates(&source.topic, source.partition, *offset);
            Some(alert::finding_uid(&rule.id, &[], [at]))
        }
        Opening::Finding(part) => uid(rules, part),
    };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of alerts"
    )]
    let alerts = found.number as u64;
    Some(alert::Suppression {
        by: &found.group,
        until_ns: first_ns.saturating_add(suppress.for_ns),
        suppressed: alerts.saturating_sub(1),
        revision: found.revision,
        state: match &found.phase {
            Phase::Final => alert::State::Final,
            Phase::Open => alert::State::Open,
            Phase::Withdrawn(by) => alert::State::Withdrawn(by.as_ref().and_then(identity)),
        },
    })
}

/// How long a record was of which only the beginning is quoted.
fn cut_from(quoted: &Quoted) -> Option<u64> {
    (quoted.whole > quoted.bytes.len() as u64).then_some(quoted.whole)
}

fn opening<'a>(rules: &RuleSet, of: &'a Opening) -> Option<alert::Opening<'a>> {
    Some(match of {
        Opening::Event { source, offset } => {
            alert::Opening::Event(coordinates(&source.topic, source.partition, *offset))
        }
        Opening::Finding(part) => alert::Opening::Finding(uid(rules, part)?),
    })
}

fn coordinates(source: &str, partition: i32, offset: i64) -> alert::Coordinates<'_> {
    alert::Coordinates {
        source,
        partition,
        offset,
    }
}
