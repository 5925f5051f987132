//! `haechi run`: the engine on Kafka.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use haechi_engine::settings::{Exchange, Snapshots};
use haechi_engine::supervisor::OpenLog;
use haechi_engine::worker::Shared;
use haechi_engine::{
    Health, Metrics, Program, Releases, Run, Settings, Summary, Supervisor, SystemClock,
};
use haechi_log::{KafkaConfig, KafkaLog, Log};
use tracing::{info, warn};

use crate::args::RunArgs;
use crate::config::Config;
use crate::preflight::{self, Preflight};
use crate::reload::Reload;
use crate::rulebook::Rulebook;
use crate::{http, logging, stop};

/// How often a worker repeats its watermarks when nothing else is to be said.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A loop that has not turned for so long is reported as unhealthy. Longer than a commit may take.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// A loop that has been unhealthy for so long ends the process. The group waits no longer for a member that does not poll
/// (`max.poll.interval.ms`, five minutes).
const GIVE_UP_AFTER: Duration = Duration::from_secs(240);
/// Exit status of a process with a stuck worker: EX_SOFTWARE of sysexits.h.
const EXIT_STUCK: i32 = 70;
/// Records of one poll.
const BATCH_ROWS: usize = 4096;
/// Bytes of one poll.
const BATCH_BYTES: usize = 4 << 20;

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    logging::init("info");
    let config = Config::load(&args.config)?;
    let Compiled { program, faults } = compile(&config)?;
    let mut preflight = preflight::check(&config, &program)?;
    let workers = args
        .workers
        .map_or_else(|| config.worker_count(), usize::from);
    let stop = stop::on_signals()?;
    let (run, reload) = if args.until_end {
        if !program.aggregates() {
            preflight.exchange_partitions = None;
        }
        (Run::UntilEnd, None)
    } else {
        let exchange = preflight.exchange_partitions.is_some();
        (Run::Endless, Some(Reload::new(&config, faults, exchange)?))
    };
    let summary = start(&config, program, &preflight, workers, run, reload, stop)?;
    info!(
        records = summary.records,
        dead_letters = summary.dead_letters,
        late = summary.late,
        "stopped: everything read is committed"
    );
    Ok(ExitCode::SUCCESS)
}

/// Rules, compiled.
pub(crate) struct Compiled {
    pub(crate) program: Program,
    /// What is wrong with rules that were left out, one text per error.
    pub(crate) faults: BTreeSet<String>,
}

/// Loads and compiles the rules. Broken rules are reported and left out: the others must go on.
pub(crate) fn compile(config: &Config) -> anyhow::Result<Compiled> {
    let mut book = Rulebook::load(&config.rules, &config.through.pipelines())?;
    let inputs: Vec<Arc<str>> = config
        .inputs
        .iter()
        .map(|input| Arc::clone(&input.name))
        .collect();
    book.regex_bytes = config.limits.regex_bytes;
    let program = book.compile(&inputs)?;
    let count = book.report(false);
    if count.errors > 0 {
        warn!(
            errors = count.errors,
            "some rules do not load and are left out; `haechi check` shows them with all warnings"
        );
    }
    let rules = &program.rules;
    anyhow::ensure!(
        !rules.detections.is_empty() || !rules.rollups.is_empty(),
        "no rule was loaded: look at `rules` in the configuration"
    );
    info!(
        detections = rules.detections.len(),
        correlations = rules.correlations.len(),
        rollups = rules.rollups.len(),
        fields = program.fields.len(),
        "rules compiled"
    );
    Ok(Compiled {
        program,
        faults: book.faults(),
    })
}

/// Runs the workers until they are done or told to stop; answers what they did.
pub(super) fn start(
    config: &Config,
    program: Program,
    preflight: &Preflight,
    workers: usize,
    run: Run,
    reload: Option<Reload>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Summary> {
    let metrics = Metrics::new()?;
    let health = Arc::new(Health::new(workers, STUCK_AFTER));
    let exchange = preflight.exchange_partitions.map(|partitions| Exchange {
        topic: config.exchange_topic().into(),
        partitions,
    });
    let settings = Settings {
        inputs: config.inputs.clone(),
        outputs: config.outputs.clone(),
        snapshots: preflight.snapshots.then(|| Snapshots {
            topic: config.snapshots_topic.as_str().into(),
            interval: config.snapshots_interval,
            chunk_bytes: Snapshots::CHUNK_BYTES,
        }),
        exchange,
        commit_interval: config.commit_interval,
        commit_records: None,
        heartbeat: HEARTBEAT,
        max_skew: config.max_skew,
        state: config.state,
        limits: config.limits,
        run,
    };
    let open = opener(config, settings.exchange.as_ref());
    let shared = Shared {
        releases: Arc::new(Releases::new(Arc::new(program), &metrics)),
        settings: Arc::new(settings),
        clock: Arc::new(SystemClock),
        health: Arc::clone(&health),
        profiler: None,
    };
    if let Some(address) = config.http {
        let address = http::serve(address, Arc::clone(&metrics), health)?;
        info!(%address, "serving /metrics, /healthz and /readyz");
    }
    let releases = Arc::clone(&shared.releases);
    if let Some(reload) = reload {
        reload.watch(Arc::clone(&releases), Arc::clone(&metrics))?;
    }
    Supervisor::new(shared, Arc::clone(&metrics), open, stop)
        .ending_with(GIVE_UP_AFTER, |_| std::process::exit(EXIT_STUCK))
        .run(workers)?;
    Ok(metrics.summary(&releases.current()))
}

/// How each worker gets its own member of the group and its own transactional producer.
fn opener(config: &Config, exchange: Option<&Exchange>) -> OpenLog {
    // Without a stable name a restarted process cannot be told from a new one: the broker then waits out the session
    // and the open transaction of the old one.
    let instance = config.instance.clone();
    let unique = instance
        .clone()
        .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    let (app, group) = (config.app.clone(), config.group());
    let (properties, sources, delivery) = (
        config.kafka.clone(),
        config.subscriptions(),
        config.delivery,
    );
    let exchange = exchange.map(|exchange| exchange.topic.to_string());
    Arc::new(move |worker| {
        let mut kafka = KafkaConfig::new(
            properties.clone(),
            group.clone(),
            format!("{app}-{unique}-{worker}"),
        );
        kafka.instance = instance
            .as_ref()
            .map(|instance| format!("{instance}-{worker}"));
        kafka.sources.clone_from(&sources);
        kafka.exchange.clone_from(&exchange);
        kafka.delivery = delivery;
        kafka.batch_rows = BATCH_ROWS;
        kafka.batch_bytes = BATCH_BYTES;
        let log = KafkaLog::open(kafka)?;
        Ok(Box::new(log) as Box<dyn Log>)
    })
}
