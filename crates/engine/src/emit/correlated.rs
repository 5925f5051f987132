//! What stage 2 has found by correlation, as alerts.

use std::sync::Arc;

use haechi_alert as alert;
use haechi_log::{Log, LogError};
use haechi_rules::{DetectionRule, Emission, Referent, RuleHeader, RuleSet};
use haechi_window::{Contribution, Correlated, Opening, Phase, Quoted};

use super::{Emitter, coordinates};

impl Emitter {
    /// Sends what a correlation has found, or the first alert that its suppression lets through.
    pub(super) fn correlated(
        &mut self,
        rules: &RuleSet,
        found: &Correlated,
        log: &mut dyn Log,
    ) -> Result<(), LogError> {
        match (found.suppresses, &found.opening) {
            (None, _) => self.correlation(rules, found, None, log),
            (Some(Referent::Correlation(_)), Opening::Finding(first)) => {
                let header = rules.correlations.get(first.rule);
                let suppression =
                    header.and_then(|rule| suppression(rules, &rule.header, first.time_ns, found));
                let first = Correlated {
                    given_up: first.given_up.max(found.given_up),
                    ..(**first).clone()
                };
                self.correlation(rules, &first, suppression, log)
            }
            (Some(Referent::Correlation(_)), Opening::Event { .. }) => Ok(()),
            (Some(Referent::Detection(rule)), _) => {
                self.first_hit(rules, found, rules.detections.get(rule), log)
            }
        }
    }

    /// The first alert of a detection in a span of suppression.
    fn first_hit(
        &mut self,
        rules: &RuleSet,
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
            suppression: suppression(rules, &rule.header, event.time_ns, found),
            given_up: found.given_up,
            ..alert::Finding::detection(&rule.header, &rule.logsource, &evidence)
        };
        self.finding(&finding, log)
    }

    fn correlation(
        &mut self,
        rules: &RuleSet,
        found: &Correlated,
        suppression: Option<alert::Suppression<'_>>,
        log: &mut dyn Log,
    ) -> Result<(), LogError> {
        let Some(rule) = rules.correlations.get(found.rule) else {
            return Ok(());
        };
        let evidence = |event: &Contribution| {
            let detection = rules.detections.get(event.rule as usize);
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
                let rule = rules.correlations.get(part.rule)?;
                Some(alert::Part {
                    rule: &rule.header,
                    uid: uid(rules, part)?,
                    alerts: rule.alerts,
                })
            })
            .collect();
        let Some(opening) = opening(rules, &found.opening) else {
            return Ok(());
        };
        let state = match &found.phase {
            Phase::Final => alert::State::Final,
            Phase::Open => alert::State::Open,
            Phase::Withdrawn(by) => alert::State::Withdrawn(by.as_ref().and_then(|by| {
                let by = self::opening(rules, by)?;
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
