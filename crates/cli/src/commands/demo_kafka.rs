//! The demo on a real broker: topics of its own, real workers in a consumer group, alerts read back committed.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use haechi_engine::{Program, Run};
use haechi_log::{Event, KafkaAdmin, KafkaConfig, KafkaLog, Log, Output, Start};

use super::demo::{Screen, generator, introduce};
use super::generate::Sink;
use super::{run, topics};
use crate::args::DemoArgs;
use crate::config::Config;
use crate::generate::{MAX_DISORDER_NS, SourceKind, Truth};
use crate::kafka_sink::{KafkaSink, WAIT};
use crate::preflight::{self, longest_span};
use crate::rulebook::Rulebook;
use crate::{report, shipped, stop, topology};

/// How often the reader looks whether the run is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn run(args: &DemoArgs, broker: &str) -> anyhow::Result<ExitCode> {
    let mut app = format!("demo-{}", uuid::Uuid::new_v4().simple());
    app.truncate("demo-".len() + 8);
    let config = Config::parse(Path::new("demo"), &configuration(&app, broker))?;
    let program = program(args, &config)?;
    let admin = KafkaAdmin::open(&config.kafka, WAIT)?;
    introduce(&format!(
        "{} generated events with attacks in them, on {broker}, topics {app}-*",
        report::grouped(args.events)
    ));
    let truth = fill(args, broker, &app)?;
    let wanted = topology::wanted(
        &config,
        longest_span(&program),
        u32::try_from(args.jobs.get())?,
    );
    let plan = topology::plan(&config, wanted, &admin.topics()?, args.jobs.get());
    topics::create(&admin, &plan, None)?;
    let preflight = preflight::check(&config, &program)?;

    let started = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    let reader = read_alerts(&config, &app, Arc::clone(&over))?;
    let summary = run::start(
        &config,
        program,
        &preflight,
        args.jobs.get(),
        Run::UntilEnd,
        None,
        stop::on_signals()?,
    );
    over.store(true, Ordering::SeqCst);
    let screen = reader.join().map_err(|_| {
        anyhow::anyhow!(
            "the reader of the alerts panicked: this is a defect of haechi, please report it"
        )
    })??;
    screen.finish(&truth, &report::summary(&summary?, started.elapsed()))
}

fn program(args: &DemoArgs, config: &Config) -> anyhow::Result<Program> {
    let mut book = Rulebook::from_loaded(shipped::rules(&args.rules));
    let names: Vec<Arc<str>> = config
        .inputs
        .iter()
        .map(|input| Arc::clone(&input.name))
        .collect();
    let program = book.compile(&names)?;
    anyhow::ensure!(
        book.report(false).errors == 0,
        "the rules of the demo have errors"
    );
    Ok(program)
}

/// What a user would write to read the generated topics.
fn configuration(app: &str, broker: &str) -> String {
    let mut text = format!(
        "app: {app}\ninstance: demo\nkafka: {{bootstrap.servers: '{broker}'}}\nrules: [rules]\n\
         outputs: {{alerts: {{schema: brief}}}}\ninputs:\n"
    );
    for source in SourceKind::ALL {
        let (product, category, service) = source.logsource();
        let _ = writeln!(
            text,
            "  - name: {source}\n    topics: [{app}-{source}]\n    format: {}",
            source.format()
        );
        let _ = writeln!(
            text,
            "    timestamp: '{}'\n    lateness: {MAX_DISORDER_NS}ns\n    logsource:",
            source.timestamp_field()
        );
        for (key, value) in [
            ("product", product),
            ("category", category),
            ("service", service),
        ] {
            if let Some(value) = value {
                let _ = writeln!(text, "      {key}: {value}");
            }
        }
    }
    text
}

/// Writes the stream to the broker; one partition per source, so that offsets count the events of the source.
fn fill(args: &DemoArgs, broker: &str, app: &str) -> anyhow::Result<Vec<Truth>> {
    let mut sink = KafkaSink::open(broker, app, &[], 1)?;
    let mut generator = generator(args.seed, args.events);
    let (mut truth, mut event) = (Vec::new(), Vec::new());
    for _ in 0..args.events {
        event.clear();
        let emitted = generator.next(&mut event);
        sink.event(emitted.source, &event)?;
        truth.extend(emitted.truth);
    }
    truth.extend(generator.finish());
    sink.finish()?;
    Ok(truth)
}

/// Shows the alerts as they are committed, until the run is over and all of them have been shown.
fn read_alerts(
    config: &Config,
    app: &str,
    over: Arc<AtomicBool>,
) -> anyhow::Result<thread::JoinHandle<anyhow::Result<Screen>>> {
    let topic = config.outputs.alerts.clone();
    let group = format!("{app}-screen");
    let mut kafka = KafkaConfig::new(config.kafka.clone(), group.clone(), group);
    kafka.delivery = haechi_log::Delivery::AtLeastOnce;
    kafka.sources = vec![topic];
    let mut log = KafkaLog::open(kafka)?;
    let show = move || {
        let mut screen = Screen::new();
        let (mut partitions, mut ends) = (usize::MAX, std::collections::BTreeSet::new());
        loop {
            // Looked at before the poll: what is committed after it was set cannot be missed.
            let last = over.load(Ordering::SeqCst);
            for event in log.poll(LOOK_EVERY)? {
                match event {
                    Event::Assigned(assigned) => {
                        partitions = assigned.len();
                        let starts: Vec<_> = assigned
                            .into_iter()
                            .map(|assignment| (assignment.at, Start::Earliest))
                            .collect();
                        log.begin_at(&starts)?;
                    }
                    Event::Revoked { partitions, .. } => log.release(&partitions)?,
                    Event::CaughtUp { at, .. } => {
                        ends.insert(at);
                    }
                    Event::Records(records) => {
                        ends.remove(&records.at);
                        for record in records.iter() {
                            let payload = record.payload.map(<[u8]>::to_vec);
                            screen.take(&Output {
                                topic: Arc::clone(&records.at.topic),
                                key: None,
                                payload,
                                headers: Vec::new(),
                            })?;
                        }
                    }
                    Event::Idle => {}
                }
            }
            if last && ends.len() == partitions {
                return Ok(screen);
            }
        }
    };
    Ok(thread::Builder::new()
        .name("screen".to_owned())
        .spawn(show)?)
}
