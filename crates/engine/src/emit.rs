//! Hits, outcomes and bad records as messages on the output topics.
//!
//! Every result carries `haechi-id` and `haechi-time` (event time, nanoseconds) as headers: with
//! `delivery: at_least_once` the id tells a repetition from something new.

mod correlated;

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampNanosecondType;
use haechi_alert as alert;
use haechi_decode::BadRow;
use haechi_detect::Hits;
use haechi_log::{Log, LogError, Message, Record, Records, TopicPartition};
use haechi_rules::{RollupKind, RuleSet};
use haechi_window::{Late, LateKind, Outcome, RollupRow};

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
                Outcome::Correlated(correlated) => {
                    let program = Arc::clone(&self.program);
                    self.correlated(&program.rules, correlated, log)?;
                }
                Outcome::Rollup(row) => self.rollup(row, log)?,
                Outcome::Late(late) => self.late(late, log)?,
                // It is counted and logged; the findings and rows that it concerns say it themselves.
                Outcome::GivenUp(_) => {}
            }
        }
        Ok(())
    }

    /// Sends what rules that hold no longer have still to say.
    ///
    /// # Errors
    /// When the log does not take a message.
    pub fn last_words(
        &mut self,
        rules: &RuleSet,
        outcomes: &[Outcome],
        log: &mut dyn Log,
    ) -> Result<(), LogError> {
        for outcome in outcomes {
            if let Outcome::Correlated(correlated) = outcome {
                self.correlated(rules, correlated, log)?;
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

fn coordinates(source: &str, partition: i32, offset: i64) -> alert::Coordinates<'_> {
    alert::Coordinates {
        source,
        partition,
        offset,
    }
}
