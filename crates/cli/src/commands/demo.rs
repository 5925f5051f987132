//! `haechi demo`: generated logs with attacks in them, the shipped rules, alerts as they come, and at the end what was
//! found of what had been hidden.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use haechi_alert::Schema;
use haechi_decode::{Format, Logsource};
use haechi_engine::{Clock, Input, SystemClock, TopicFilter};
use haechi_log::{EmbeddedConfig, EmbeddedLog, MemoryTopic, Output, Start};
use serde::Deserialize;

use crate::args::DemoArgs;
use crate::generate::{Generator, GeneratorConfig, MAX_DISORDER_NS, SourceKind, Truth};
use crate::local::{self, LocalRun};
use crate::rulebook::Rulebook;
use crate::{logging, report, shipped, stop};

/// Events per second of event time.
const RATE: NonZeroU64 = NonZeroU64::MIN.saturating_add(499);
/// An attack about every so many events.
const ATTACK_EVERY: u64 = 10_000;

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    logging::init("warn");
    if let Some(broker) = &args.kafka {
        return super::demo_kafka::run(args, broker);
    }
    let mut book = Rulebook::from_loaded(shipped::rules(&args.rules));
    let inputs: Vec<Arc<Input>> = SourceKind::ALL
        .into_iter()
        .map(|source| Ok(Arc::new(input(source, "")?)))
        .collect::<anyhow::Result<_>>()?;
    let names: Vec<Arc<str>> = inputs.iter().map(|input| Arc::clone(&input.name)).collect();
    let program = book.compile(&names)?;
    anyhow::ensure!(
        book.report(false).errors == 0,
        "the rules of the demo have errors"
    );
    introduce(&format!(
        "{} rules on {} generated events with attacks in them, in this process",
        program.rules.detections.len() + program.rules.correlations.len(),
        report::grouped(args.events)
    ));

    let workers = args.jobs.get();
    let log = EmbeddedLog::new(EmbeddedConfig {
        workers,
        exchange: local::EXCHANGE.to_owned(),
        exchange_partitions: if program.aggregates() {
            i32::try_from(workers)?
        } else {
            0
        },
        ..EmbeddedConfig::default()
    })?;
    let mut topics = BTreeMap::new();
    for source in SourceKind::ALL {
        topics.insert(source, log.add_topic(source.name(), 1)?);
    }
    let run = LocalRun {
        commit_records: None,
        program: Arc::new(program),
        inputs,
        log,
        workers,
        schema: Schema::Brief,
        stop: stop::on_signals()?,
        profiler: None,
    };
    let started = Instant::now();
    let (seed, events) = (args.seed, args.events);
    let writer = thread::Builder::new()
        .name("generator".to_owned())
        .spawn(move || fill(seed, events, topics))?;
    let mut screen = Screen::new();
    let summary = run.run(|output| screen.take(&output))?;
    let truth = writer.join().map_err(|_| {
        anyhow::anyhow!("the generator panicked: this is a defect of haechi, please report it")
    })?;
    screen.finish(&truth, &report::summary(&summary, started.elapsed()))
}

/// How the engine is told to read one of the generated logs.
pub(super) fn input(source: SourceKind, prefix: &str) -> anyhow::Result<Input> {
    let (product, category, service) = source.logsource();
    let owned = |part: Option<&str>| part.map(ToOwned::to_owned);
    Ok(Input {
        name: source.name().into(),
        topics: vec![TopicFilter::Name(
            format!("{prefix}{}", source.name()).into(),
        )],
        format: Format::from_str(source.format()).map_err(|error| anyhow::anyhow!("{error}"))?,
        logsource: Logsource {
            product: owned(product),
            category: owned(category),
            service: owned(service),
        },
        timestamp: Some(source.timestamp_field().to_owned()),
        lateness: Duration::from_nanos(MAX_DISORDER_NS.unsigned_abs()),
        idle_timeout: Duration::from_secs(30),
        max_future: Duration::from_secs(3600),
        start: Start::Earliest,
    })
}

/// The stream of the demo: its last event is of about now.
pub(super) fn generator(seed: u64, events: u64) -> Generator {
    let length_ns =
        i64::try_from(events.saturating_mul(1_000_000_000) / RATE.get()).unwrap_or(i64::MAX);
    let start_ns = SystemClock.now_ns().saturating_sub(length_ns);
    Generator::new(GeneratorConfig {
        seed,
        start_ns,
        events_per_second: RATE,
        sources: Vec::new(),
        attack_every: ATTACK_EVERY,
    })
}

/// Writes the stream into the embedded log; answers what was hidden in it.
fn fill(seed: u64, events: u64, topics: BTreeMap<SourceKind, MemoryTopic>) -> Vec<Truth> {
    let mut generator = generator(seed, events);
    let (mut truth, mut event) = (Vec::new(), Vec::new());
    for _ in 0..events {
        event.clear();
        let emitted = generator.next(&mut event);
        truth.extend(emitted.truth);
        let pushed = topics
            .get(&emitted.source)
            .map(|topic| topic.push(0, Some(emitted.time_ns), None, Some(&event)));
        if !matches!(pushed, Some(Ok(()))) {
            // Nobody reads any more: the run was stopped.
            break;
        }
    }
    truth.extend(generator.finish());
    truth
}

pub(super) fn introduce(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}\n");
}

/// A brief alert, as far as the screen shows it.
#[derive(Debug, Deserialize)]
struct Alert {
    time: String,
    rule: String,
    title: String,
    level: String,
    source: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    group: Option<BTreeMap<String, Option<String>>>,
    count: u64,
    events: Option<Vec<Place>>,
}

/// Where an event is.
#[derive(Debug, Deserialize)]
struct Place {
    offset: i64,
}

/// Alerts as they come, and the account at the end.
pub(super) struct Screen {
    colour: bool,
    /// Per rule, the offsets of the events of each of its alerts, sorted.
    found: BTreeMap<String, Vec<Vec<i64>>>,
    rollups: u64,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            colour: std::io::stdout().is_terminal(),
            found: BTreeMap::new(),
            rollups: 0,
        }
    }

    /// Shows one committed output.
    pub(super) fn take(&mut self, output: &Output) -> anyhow::Result<()> {
        match (&*output.topic, &output.payload) {
            (topic, Some(payload)) if topic.ends_with("alerts") => {
                self.alert(serde_json::from_slice(payload)?)
            }
            (topic, _) if topic.ends_with("rollups") => self.rollups += 1,
            _ => {}
        }
        Ok(())
    }

    fn alert(&mut self, alert: Alert) {
        let group = alert.group.unwrap_or_default();
        let group: Vec<String> = group
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("null")))
            .collect();
        let at = match (&alert.source, alert.partition, alert.offset) {
            (Some(source), Some(partition), Some(offset)) => {
                format!("{source}/{partition}@{offset}")
            }
            _ => String::new(),
        };
        let what = if alert.count > 1 {
            format!("{} × {}", group.join(" "), alert.count)
        } else {
            at
        };
        let level = match (self.colour, alert.level.as_str()) {
            (true, "critical" | "high") => format!("\x1b[31m{:<8}\x1b[0m", alert.level),
            (true, "medium") => format!("\x1b[33m{:<8}\x1b[0m", alert.level),
            _ => format!("{:<8}", alert.level),
        };
        let time: String = alert.time.chars().take(19).collect();
        // When stdout is gone (`haechi demo | head`) the run still ends with its account.
        let _ = writeln!(
            std::io::stdout(),
            "{time}  {level} {:<48} {what}",
            alert.title
        );
        let mut events: Vec<i64> = match alert.events {
            Some(events) => events.iter().map(|event| event.offset).collect(),
            None => alert.offset.into_iter().collect(),
        };
        events.sort_unstable();
        self.found.entry(alert.rule).or_default().push(events);
    }

    /// The account: what was done, and what was found of what had been hidden.
    pub(super) fn finish(
        mut self,
        truth: &[Truth],
        summary: &[String],
    ) -> anyhow::Result<ExitCode> {
        let mut out = std::io::stderr().lock();
        writeln!(out)?;
        for line in summary {
            writeln!(out, "{line}")?;
        }
        let mut missed = 0;
        let mut scenarios: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for attack in truth {
            let found = attack
                .expected
                .iter()
                .all(|expected| self.matches(expected));
            let (hidden, seen) = scenarios.entry(attack.scenario).or_default();
            *hidden += 1;
            *seen += u64::from(found);
            missed += u64::from(!found);
        }
        writeln!(out, "\nattacks that were hidden in the logs, and found:")?;
        for (scenario, (hidden, seen)) in scenarios {
            writeln!(out, "{seen:>6} of {hidden:<4} {scenario}")?;
        }
        let beyond: usize = self.found.values().map(Vec::len).sum();
        writeln!(out, "alerts on anything else: {beyond}")?;
        Ok(if missed == 0 && beyond == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Whether the alerts contain what was expected; takes them out.
    fn matches(&mut self, expected: &crate::generate::Expected) -> bool {
        let Some(alerts) = self.found.get_mut(expected.rule) else {
            return false;
        };
        let offsets = expected
            .events
            .iter()
            .filter_map(|&event| i64::try_from(event).ok());
        let wanted: Vec<Vec<i64>> = if expected.correlation {
            vec![offsets.collect()]
        } else {
            offsets.map(|offset| vec![offset]).collect()
        };
        wanted.iter().all(|events| {
            let found = alerts.iter().position(|alert| alert == events);
            found.map(|position| alerts.swap_remove(position)).is_some()
        })
    }
}
