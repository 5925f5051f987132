//! `haechi topics plan|apply`: the topics that a configuration needs.

use std::io::Write;
use std::process::ExitCode;

use haechi_log::{KafkaAdmin, NewTopic};

use crate::args::TopicsAction;
use crate::config::{self, Config};
use crate::kafka_sink::WAIT;
use crate::preflight::{self, longest_span};
use crate::topology::{self, Plan, Wanted};
use crate::{commands, logging};

use super::grow_exchange;

pub(crate) fn run(action: &TopicsAction) -> anyhow::Result<ExitCode> {
    let (options, apply) = match action {
        TopicsAction::Plan(options) => (options, false),
        TopicsAction::Apply(options) => (options, true),
        TopicsAction::GrowExchange(options) => return grow_exchange::run(options),
    };
    logging::init("warn");
    let config = Config::load(&options.config)?;
    let program = commands::run::compile(&config)?.program;
    let admin = KafkaAdmin::open(&config.kafka, WAIT)?;
    let cores = options
        .cores
        .map_or_else(|| u32::try_from(config::cores()), |cores| Ok(cores.get()))?;
    let wanted = topology::wanted(&config, longest_span(&program), cores);
    let workers = config.workers.unwrap_or(usize::try_from(cores)?);
    let plan = topology::plan(
        &config,
        wanted,
        &preflight::topics(&admin, &config)?,
        workers,
    );
    show(&plan, apply)?;
    if apply {
        create(&admin, &plan, options.replication)?;
    }
    Ok(if plan.missing_inputs.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(plan: &Plan, apply: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let verb = if apply { "create" } else { "would create" };
    for topic in &plan.missing {
        writeln!(
            out,
            "{verb:<12}  {:<32} {:>3} partition(s)  {}{}",
            topic.name,
            topic.partitions,
            topic.role,
            settings(topic)
        )?;
    }
    for (topic, partitions) in &plan.present {
        writeln!(
            out,
            "{:<12}  {:<32} {partitions:>3} partition(s)  {}",
            "exists", topic.name, topic.role
        )?;
    }
    for name in &plan.missing_inputs {
        writeln!(
            out,
            "{:<12}  {name:<32} an input: create it where its records come from, or mend `inputs`",
            "missing"
        )?;
    }
    for warning in &plan.warnings {
        writeln!(out, "{:<12}  {warning}", "warning")?;
    }
    Ok(())
}

fn settings(topic: &Wanted) -> String {
    let settings: Vec<String> = topic
        .settings
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if settings.is_empty() {
        String::new()
    } else {
        format!(" ({})", settings.join(", "))
    }
}

/// Creates what is missing, with so many copies of each partition (`None`: the broker's default).
pub(super) fn create(admin: &KafkaAdmin, plan: &Plan, replicas: Option<i32>) -> anyhow::Result<()> {
    let topics = plan.missing.iter().map(|topic| NewTopic {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replicas,
        config: topic
            .settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
    });
    let topics: Vec<NewTopic> = topics.collect();
    Ok(admin.create(&topics)?)
}
