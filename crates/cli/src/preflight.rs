//! What has to hold before a worker starts: the broker answers, and every topic is there.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use haechi_engine::{Program, layout};
use haechi_log::{KafkaAdmin, LogError};
use tracing::warn;

use crate::config::{self, Config};
use crate::kafka_sink::WAIT;
use crate::topology::{self, Plan};

/// What was found out on the way.
#[derive(Debug)]
pub(crate) struct Preflight {
    /// Partitions of the exchange as it exists; `None` when there is none, and then no rule aggregates.
    pub(crate) exchange_partitions: Option<u32>,
    /// Whether there is a topic for snapshots.
    pub(crate) snapshots: bool,
}

/// Checks a configuration against its broker.
///
/// # Errors
/// When no broker answers, or topics are missing; the message lists them all and says how to create them.
pub(crate) fn check(config: &Config, program: &Program) -> anyhow::Result<Preflight> {
    let admin = KafkaAdmin::open(&config.kafka, WAIT)?;
    let existing = topics(&admin, config)?;
    let wanted = topology::wanted(
        config,
        longest_span(program),
        u32::try_from(config::cores())?,
    );
    let mut plan = topology::plan(config, wanted, &existing, config.worker_count());
    for warning in &plan.warnings {
        warn!("{warning}");
    }
    // Without it windows are restored all the same, only not as quickly.
    let snapshots = existing.contains_key(&config.snapshots_topic);
    let before = plan.missing.len();
    plan.missing
        .retain(|topic| topic.name != config.snapshots_topic);
    if plan.missing.len() < before {
        warn!(
            "topic `{}` does not exist: windows are restored from the whole of the exchange; create it with `haechi topics apply`",
            config.snapshots_topic
        );
    }
    if let Some(message) = missing(&plan) {
        anyhow::bail!(message);
    }
    let exchange_partitions = existing.get(&config.exchange_topic()).copied();
    if let Some(partitions) = exchange_partitions {
        check_spread(&admin, config, u32::try_from(partitions)?)?;
    }
    let snapshots = snapshots && !config.snapshots_interval.is_zero();
    if let Some(span) = longest_span(program) {
        match retention(&admin, config, span, snapshots) {
            Ok(warnings) => warnings.iter().for_each(|warning| warn!("{warning}")),
            // No reason not to begin.
            Err(error) => warn!(%error, "not known whether the exchange is kept for long enough"),
        }
    }
    Ok(Preflight {
        exchange_partitions: exchange_partitions.map(u32::try_from).transpose()?,
        snapshots,
    })
}

/// What is wrong with how long the exchange and the snapshots are kept.
fn retention(
    admin: &KafkaAdmin,
    config: &Config,
    span: Duration,
    snapshots: bool,
) -> Result<Vec<String>, LogError> {
    let Some(exchange) = admin.topic(&config.exchange_topic())? else {
        return Ok(Vec::new());
    };
    let kept = match snapshots {
        true => admin.topic(&config.snapshots_topic)?,
        false => None,
    };
    let kept = kept.as_ref().map(|topic| &topic.config);
    Ok(topology::retention(config, span, &exchange.config, kept))
}

/// The windows are spread over as many partitions as the exchange has.
fn check_spread(admin: &KafkaAdmin, config: &Config, partitions: u32) -> anyhow::Result<()> {
    let topic = config.exchange_topic();
    match admin.committed(&config.group(), &topic, partitions) {
        Ok(committed) => {
            let said = committed
                .values()
                .map(|committed| committed.metadata.as_str());
            Ok(layout::check_layout(&topic, partitions, said)?)
        }
        // Every worker looks again at what it is given.
        Err(error) => {
            warn!(%error, "not known yet whether the windows are spread over as many partitions as the exchange has");
            Ok(())
        }
    }
}

/// Every topic and its partition count.
///
/// # Errors
/// When no broker answers; the message says where one was looked for.
pub(crate) fn topics(admin: &KafkaAdmin, config: &Config) -> anyhow::Result<BTreeMap<String, i32>> {
    let brokers = config
        .kafka
        .get("bootstrap.servers")
        .map_or("", String::as_str);
    admin.topics().with_context(|| {
        format!("no answer from `{brokers}`: is the broker up, and are `kafka.bootstrap.servers` and its security settings right?")
    })
}

/// The longest window of the rules; `None` when no rule aggregates.
pub(crate) fn longest_span(program: &Program) -> Option<Duration> {
    program
        .aggregates()
        .then(|| Duration::from_nanos(program.aggregations.longest_span_ns().unsigned_abs()))
}

fn missing(plan: &Plan) -> Option<String> {
    let mut lines = Vec::new();
    if !plan.missing_inputs.is_empty() {
        lines.push(format!(
            "input topic(s) {} do not exist: create them, or mend `inputs` in the configuration",
            quoted(plan.missing_inputs.iter())
        ));
    }
    if !plan.missing.is_empty() {
        lines.push(format!(
            "topic(s) {} do not exist: create them with `haechi topics apply`",
            quoted(plan.missing.iter().map(|topic| &topic.name))
        ));
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn quoted<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
