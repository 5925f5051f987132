//! The engine on the embedded log: what `replay` and `demo` share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use haechi_engine::settings::{Exchange, State};
use haechi_engine::supervisor::OpenLog;
use haechi_engine::worker::Shared;
use haechi_engine::{
    Health, Input, Limits, Metrics, Outputs, Profiler, Program, Releases, Run, Settings, Summary,
    Supervisor, SystemClock,
};
use haechi_log::{EmbeddedLog, Log, Output};

/// Name of the exchange topic; no input is named like that.
pub(crate) const EXCHANGE: &str = "haechi exchange";
/// How much is gathered before it is committed: only memory speaks for less.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// How often watermarks are repeated.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Nobody asks for the health of a process on a terminal; it must only be long.
const STUCK_AFTER: Duration = Duration::from_secs(3600);

/// Names of the outputs of a local run.
pub(crate) fn outputs(schema: haechi_alert::Schema) -> Outputs {
    Outputs {
        alerts: "alerts".to_owned(),
        schema,
        rollups: "rollups".to_owned(),
        dead_letters: "dead-letters".to_owned(),
        late: "late".to_owned(),
    }
}

/// One run over an embedded log.
pub(crate) struct LocalRun {
    pub(crate) program: Arc<Program>,
    pub(crate) inputs: Vec<Arc<Input>>,
    pub(crate) log: EmbeddedLog,
    pub(crate) workers: usize,
    pub(crate) schema: haechi_alert::Schema,
    /// Commit after so many records, and not by the clock.
    pub(crate) commit_records: Option<usize>,
    pub(crate) stop: Arc<AtomicBool>,
    /// Where to hand in what workers did, if that is wanted.
    pub(crate) profiler: Option<Arc<Profiler>>,
}

impl LocalRun {
    /// Runs until every source is read to its end, handing outputs to `take` as they are committed.
    ///
    /// # Errors
    /// When a worker cannot go on, or `take` fails; then the run is stopped.
    pub(crate) fn run(
        self,
        mut take: impl FnMut(Output) -> anyhow::Result<()>,
    ) -> anyhow::Result<Summary> {
        let metrics = Metrics::new()?;
        let partitions = u32::try_from(self.workers)?;
        let settings = Settings {
            inputs: self.inputs,
            outputs: outputs(self.schema),
            exchange: self.program.aggregates().then(|| Exchange {
                topic: EXCHANGE.into(),
                partitions,
            }),
            // What is replayed from files is read once: nobody takes its state over.
            snapshots: None,
            commit_interval: COMMIT_INTERVAL,
            commit_records: self.commit_records,
            heartbeat: HEARTBEAT,
            // Files are as they are: a year of one and a day of another are read side by side.
            max_skew: Duration::MAX,
            state: State::default(),
            limits: Limits::default(),
            run: Run::UntilEnd,
        };
        let shared = Shared {
            releases: Arc::new(Releases::new(self.program, &metrics)),
            settings: Arc::new(settings),
            clock: Arc::new(SystemClock),
            health: Arc::new(Health::new(self.workers, STUCK_AFTER)),
            profiler: self.profiler,
        };
        let releases = Arc::clone(&shared.releases);
        let log = self.log.clone();
        let open: OpenLog =
            Arc::new(move |worker| Ok(Box::new(log.worker(worker)?) as Box<dyn Log>));
        let committed = self.log.outputs();
        let supervisor =
            Supervisor::new(shared, Arc::clone(&metrics), open, Arc::clone(&self.stop));
        let taken = thread::scope(|scope| {
            let run = scope.spawn(|| supervisor.run(self.workers));
            let taken = committed.flatten().try_for_each(&mut take);
            if taken.is_err() {
                self.stop.store(true, Ordering::SeqCst);
            }
            let ran = run.join().map_err(|_| {
                anyhow::anyhow!(
                    "the supervisor panicked: this is a defect of haechi, please report it"
                )
            })?;
            taken?;
            Ok::<_, anyhow::Error>(ran?)
        });
        taken?;
        Ok(metrics.summary(&releases.current()))
    }
}
