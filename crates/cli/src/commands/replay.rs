//! `haechi replay`: the same pipeline over files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use haechi_decode::{Format, Logsource};
use haechi_engine::emit::{ID_HEADER, TIME_HEADER};
use haechi_engine::{Input, Summary, TopicFilter};
use haechi_log::{EmbeddedConfig, EmbeddedLog, Output, Start};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::ReplayArgs;
use crate::local::{self, LocalRun};
use crate::presets::{self, Preset};
use crate::profile::{Around, Report};
use crate::rulebook::Rulebook;
use crate::{logging, report, stop, through};

/// How many dead letters are shown on stderr when no file was named for them.
const SHOWN_DEAD_LETTERS: usize = 5;
/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    logging::init("warn");
    let started = Instant::now();
    let preset = match &args.preset {
        Some(name) => {
            Some(presets::find(name).map_err(|error| anyhow::anyhow!("--preset {error}"))?)
        }
        None => None,
    };
    let pipelines = through::read(
        &args.through,
        preset
            .as_ref()
            .and_then(|preset| preset.pipeline.as_deref()),
    )?;
    let input = input(args, preset)?;
    let mut book = Rulebook::load(&args.rules, &pipelines)?;
    if args.commit_every.is_none() {
        // What is told before a window is over depends on when it is looked at; what stands in the end does not.
        book.tell_only_the_end();
    }
    let program = Arc::new(book.compile(&[Arc::clone(&input.name)])?);
    let load = started.elapsed();
    let count = book.report(false);
    anyhow::ensure!(
        !program.rules.detections.is_empty() || !program.rules.rollups.is_empty(),
        "no rule was loaded: name rule files or folders with --rules"
    );
    let workers = args.jobs.get();
    let log = EmbeddedLog::new(EmbeddedConfig {
        workers,
        exchange: local::EXCHANGE.to_owned(),
        exchange_partitions: if program.aggregates() {
            i32::try_from(workers)?
        } else {
            0
        },
        batch_rows: args
            .commit_every
            .map_or(EmbeddedConfig::default().batch_rows, NonZeroUsize::get),
        ..EmbeddedConfig::default()
    })?;
    for file in &args.files {
        log.add_file(file)?;
    }
    let mut sink = Sink::new(args)?;
    let bar = Bar::start(log.clone());
    let profiler = (args.profile || args.profile_json.is_some()).then(Arc::default);
    let run = LocalRun {
        program: Arc::clone(&program),
        inputs: vec![Arc::new(input)],
        log: log.clone(),
        workers,
        schema: args.alerts.into(),
        commit_records: args.commit_every.map(NonZeroUsize::get),
        stop: stop::on_signals()?,
        profiler: profiler.clone(),
    };
    let summary = run.run(|output| sink.take(output));
    bar.finish();
    let summary = summary?;
    let writing = Instant::now();
    let written = sink.finish();
    report(args, &summary, count.errors, started);
    if let Some(profiler) = profiler {
        let around = Around {
            load,
            read: log.progress().reading,
            write: writing.elapsed(),
        };
        show(args, &Report::new(&profiler.profile(), around, &program))?;
    }
    for failure in log.failures() {
        eprint_line(&format!("error: {failure}"));
    }
    match written {
        // `haechi replay … | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other.with_context(|| format!("results cannot be written to {}", target(args)))?,
    }
    Ok(if log.failures().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Tells where the time went, as far as asked.
fn show(args: &ReplayArgs, report: &Report) -> anyhow::Result<()> {
    if args.profile {
        eprint_line("");
        report.lines().iter().for_each(|line| eprint_line(line));
    }
    args.profile_json
        .as_deref()
        .map_or(Ok(()), |path| report.write(path))
}

/// The one input of a replay: all files are of one kind.
fn input(args: &ReplayArgs, preset: Option<Preset>) -> anyhow::Result<Input> {
    let lateness = match &args.lateness {
        Some(text) => humantime::parse_duration(text)
            .with_context(|| format!("--lateness {text} is not a duration such as 30s or 5m"))?,
        // Files end: windows can wait for that, and then nothing is ever late.
        None => Duration::MAX,
    };
    let topics = args
        .files
        .iter()
        .map(|file| TopicFilter::Name(file.to_string_lossy().into()));
    let (format, logsource, timestamp) = match preset {
        Some(preset) => (preset.format, preset.logsource, preset.timestamp),
        None => {
            let format = args.format.as_deref().unwrap_or_default();
            let known = Format::from_str(format)
                .map_err(|error| anyhow::anyhow!("--format {format} is not known: {error}"))?;
            let logsource = logsource(args.logsource.as_deref().unwrap_or_default())?;
            (known, logsource, None)
        }
    };
    Ok(Input {
        name: args.input_name.as_str().into(),
        topics: topics.collect(),
        format,
        logsource,
        timestamp: args.timestamp.clone().or(timestamp),
        lateness,
        idle_timeout: Duration::MAX,
        max_future: Duration::from_secs(3600),
        start: Start::Earliest,
    })
}

/// `product=windows,service=sysmon`.
fn logsource(text: &str) -> anyhow::Result<Logsource> {
    let mut logsource = Logsource::default();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let (key, value) = pair.split_once('=').with_context(|| {
            format!("--logsource {text}: `{pair}` is not KEY=VALUE, e.g. product=linux")
        })?;
        let value = Some(value.trim().to_lowercase());
        match key.trim() {
            "product" => logsource.product = value,
            "category" => logsource.category = value,
            "service" => logsource.service = value,
            other => {
                anyhow::bail!("--logsource {text}: `{other}` is none of product, category, service")
            }
        }
    }
    Ok(logsource)
}

/// Where results go: gathered, then sorted by event time and id, so that the output does not depend on `-j`; or as they come.
struct Sink {
    out: Box<dyn Write>,
    dead_letters: Option<BufWriter<File>>,
    shown: usize,
    sorted: bool,
    results: Vec<(i64, Vec<u8>, Vec<u8>)>,
}

impl Sink {
    fn new(args: &ReplayArgs) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            File::create(path).with_context(|| format!("{} cannot be created", path.display()))
        };
        let out: Box<dyn Write> = match &args.output {
            Some(path) => Box::new(BufWriter::new(create(path)?)),
            None => Box::new(BufWriter::new(io::stdout())),
        };
        let dead_letters = args
            .dead_letters
            .as_deref()
            .map(create)
            .transpose()?
            .map(BufWriter::new);
        Ok(Self {
            out,
            dead_letters,
            shown: 0,
            sorted: args.commit_every.is_none(),
            results: Vec::new(),
        })
    }

    fn take(&mut self, output: Output) -> anyhow::Result<()> {
        if *output.topic == *"dead-letters" {
            return self.dead_letter(&output);
        }
        let header = |name: &str| {
            output
                .headers
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_slice())
        };
        let time = header(TIME_HEADER)
            .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
            .unwrap_or(0);
        let id = header(ID_HEADER).unwrap_or_default().to_vec();
        self.results
            .push((time, id, output.payload.unwrap_or_default()));
        Ok(())
    }

    fn dead_letter(&mut self, output: &Output) -> anyhow::Result<()> {
        let record = report::dead_letter(output);
        if let Some(file) = &mut self.dead_letters {
            serde_json::to_writer(&mut *file, &record)?;
            file.write_all(b"\n")
                .context("dead letters cannot be written")?;
        } else if self.shown < SHOWN_DEAD_LETTERS {
            self.shown += 1;
            let text = |key: &str| {
                record.get(key).map_or_else(String::new, |value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), ToOwned::to_owned)
                })
            };
            eprint_line(&format!(
                "dead letter: {} line offset {}: {}",
                text("topic"),
                text("offset"),
                text("reason")
            ));
            if self.shown == SHOWN_DEAD_LETTERS {
                eprint_line(
                    "dead letter: further ones are only counted; --dead-letters FILE keeps them all",
                );
            }
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if self.sorted {
            self.results.sort_unstable();
        }
        for (_, _, line) in &self.results {
            self.out.write_all(line)?;
            self.out.write_all(b"\n")?;
        }
        if let Some(mut file) = self.dead_letters.take() {
            file.flush()?;
        }
        self.out.flush()
    }
}

/// A progress bar over the bytes of the files; nothing when stderr is not a terminal.
struct Bar {
    bar: ProgressBar,
    log: EmbeddedLog,
}

impl Bar {
    fn start(log: EmbeddedLog) -> Self {
        let bar = ProgressBar::new(log.progress().bytes_total.unwrap_or(0));
        let template = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {msg} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let (moving, watched) = (bar.clone(), log.clone());
        thread::spawn(move || {
            while !moving.is_finished() {
                let progress = watched.progress();
                moving.set_position(progress.bytes);
                moving.set_message(format!("{}/{} files", progress.files, progress.files_total));
                thread::sleep(TICK);
            }
        });
        Self { bar, log }
    }

    fn finish(self) {
        self.bar.set_position(self.log.progress().bytes);
        self.bar.finish_and_clear();
    }
}

fn target(args: &ReplayArgs) -> String {
    args.output
        .as_ref()
        .map_or_else(|| "stdout".to_owned(), |path| path.display().to_string())
}

fn report(args: &ReplayArgs, summary: &Summary, broken_rules: usize, started: Instant) {
    let mut lines = report::summary(summary, started.elapsed());
    if broken_rules > 0 {
        lines.push(format!(
            "rules: {broken_rules} error(s) above; those rules were left out"
        ));
    }
    if args.output.is_some() {
        lines.push(format!("results: {}", target(args)));
    }
    for line in lines {
        eprint_line(&line);
    }
}

/// A line on stderr; when stderr is gone there is nobody to tell.
fn eprint_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
