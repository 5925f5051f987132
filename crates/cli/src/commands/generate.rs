//! `haechi generate`: events with attacks woven in, to stdout, to files or to a broker.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::DateTime;
use haechi_engine::{Clock, SystemClock};

use crate::args::GenerateArgs;
use crate::generate::{Generator, GeneratorConfig, SourceKind, Truth};
use crate::{kafka_sink, logging, report, stop};

/// How many events are written between two looks at the clock and the signals.
const STRIDE: u64 = 256;

/// Where events go.
pub(crate) trait Sink {
    /// One event of a source.
    fn event(&mut self, source: SourceKind, event: &[u8]) -> anyhow::Result<()>;
    /// One attack, complete.
    fn truth(&mut self, truth: &Truth) -> anyhow::Result<()>;
    /// Everything must be where it belongs when this returns.
    fn finish(&mut self) -> anyhow::Result<()>;
}

pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    logging::init("warn");
    let sources = args
        .sources
        .iter()
        .map(|name| SourceKind::from_str(name).map_err(anyhow::Error::msg))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let start_ns = match &args.start {
        Some(text) => DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|time| time.timestamp_nanos_opt())
            .with_context(|| {
                format!("--start {text} is not a time such as 2026-01-31T12:00:00Z")
            })?,
        None => SystemClock.now_ns(),
    };
    let generator = Generator::new(GeneratorConfig {
        seed: args.seed,
        start_ns,
        events_per_second: args.rate,
        sources: sources.clone(),
        attack_every: args.attack_every,
    });
    let mut sink: Box<dyn Sink> = match (&args.output, &args.kafka) {
        (Some(folder), _) => Box::new(Files::create(folder, &sources)?),
        (None, Some(broker)) => Box::new(kafka_sink::KafkaSink::open(
            broker,
            &args.prefix,
            &sources,
            args.partitions,
        )?),
        (None, None) => Box::new(Stdout {
            out: BufWriter::new(io::stdout().lock()),
        }),
    };
    match pour(args, generator, sink.as_mut()) {
        // `haechi generate | head` is no failure.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(ExitCode::SUCCESS)
        }
        other => other.map(|()| ExitCode::SUCCESS),
    }
}

fn pour(args: &GenerateArgs, mut generator: Generator, sink: &mut dyn Sink) -> anyhow::Result<()> {
    let stop = stop::on_signals()?;
    let started = Instant::now();
    let (mut written, mut bytes, mut attacks) = (0u64, 0u64, 0u64);
    let mut event = Vec::new();
    while args.events.is_none_or(|most| written < most) {
        if written % STRIDE == 0 {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            hold_back(args, written, started);
        }
        event.clear();
        let emitted = generator.next(&mut event);
        sink.event(emitted.source, &event)?;
        if let Some(truth) = &emitted.truth {
            attacks += 1;
            sink.truth(truth)?;
        }
        written += 1;
        bytes += event.len() as u64;
    }
    for truth in generator.finish() {
        attacks += 1;
        sink.truth(&truth)?;
    }
    sink.finish()?;
    let seconds = started.elapsed().as_secs_f64().max(1e-9);
    writeln!(
        io::stderr(),
        "{} events, {:.1} MB, {attacks} attack(s) in {seconds:.2} s: {} events/s",
        report::grouped(written),
        bytes as f64 / 1e6,
        report::grouped((written as f64 / seconds) as u64)
    )?;
    Ok(())
}

/// Waits until so many events are due.
fn hold_back(args: &GenerateArgs, written: u64, started: Instant) {
    if let Some(rate) = args.throttle {
        let due = Duration::from_secs_f64(written as f64 / rate.get() as f64);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
}

/// The kinds that were asked for; none named means all.
pub(crate) fn chosen(sources: &[SourceKind]) -> Vec<SourceKind> {
    if sources.is_empty() {
        SourceKind::ALL.to_vec()
    } else {
        sources.to_vec()
    }
}

/// All events on stdout; the truth stays untold.
struct Stdout<'a> {
    out: BufWriter<io::StdoutLock<'a>>,
}

impl Sink for Stdout<'_> {
    fn event(&mut self, _: SourceKind, event: &[u8]) -> anyhow::Result<()> {
        self.out.write_all(event)?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn truth(&mut self, _: &Truth) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

/// A file per source, and the truth.
struct Files {
    events: BTreeMap<SourceKind, BufWriter<File>>,
    truth: BufWriter<File>,
    line: Vec<u8>,
}

impl Files {
    fn create(folder: &Path, sources: &[SourceKind]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("folder {} cannot be created", folder.display()))?;
        let create = |name: &str| {
            let path = folder.join(format!("{name}.ndjson"));
            File::create(&path)
                .map(BufWriter::new)
                .with_context(|| format!("{} cannot be created", path.display()))
        };
        let events = chosen(sources)
            .into_iter()
            .map(|source| Ok((source, create(source.name())?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            events,
            truth: create("truth")?,
            line: Vec::new(),
        })
    }
}

impl Sink for Files {
    fn event(&mut self, source: SourceKind, event: &[u8]) -> anyhow::Result<()> {
        if let Some(file) = self.events.get_mut(&source) {
            file.write_all(event)
                .and_then(|()| file.write_all(b"\n"))
                .with_context(|| format!("{source} events cannot be written"))?;
        }
        Ok(())
    }

    fn truth(&mut self, truth: &Truth) -> anyhow::Result<()> {
        self.line.clear();
        truth.write_json(&mut self.line);
        self.line.push(b'\n');
        self.truth
            .write_all(&self.line)
            .context("the ground truth cannot be written")
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        for (source, file) in &mut self.events {
            file.flush()
                .with_context(|| format!("{source} events cannot be written"))?;
        }
        self.truth
            .flush()
            .context("the ground truth cannot be written")
    }
}
