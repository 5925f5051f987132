//! Starts the workers, restarts one that was fenced off or panicked, and stops them all.
//!
//! A worker that ends badly takes nothing with it: what it had not committed is read again, by itself with a new
//! handle or by whoever gets its partitions. One that does not end but is stuck in a call for good ends the process
//! ([`crate::watchdog`]): a thread cannot be ended from outside.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use haechi_log::{Kind, Log, LogError};
use tracing::{error, info, warn};

use crate::error::WorkerError;
use crate::metrics::Metrics;
use crate::settings::Run;
use crate::watchdog::{Verdict, Watchdog};
use crate::worker::{Shared, Worker};

/// Opens worker `n`'s own handle on the log.
pub type OpenLog = Arc<dyn Fn(usize) -> Result<Box<dyn Log>, LogError> + Send + Sync>;

/// How often the supervisor looks whether a bounded run is over.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A worker that has worked for so long before it panicked has left behind what made it panic before.
const GONE_WELL: Duration = Duration::from_secs(600);
/// How many times in a row a worker may panic before the process gives up: the same record would do it again.
const MOST_PANICS: u32 = 3;
/// The pause before a worker is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// Why a run ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A worker cannot go on.
    #[error("worker {worker}: {error}")]
    Worker {
        /// Its number.
        worker: usize,
        /// What stopped it.
        error: WorkerError,
    },
    /// A worker panicked again and again.
    #[error(
        "worker {worker} panicked {MOST_PANICS} times: {message}; this is a defect of haechi, please report it"
    )]
    Panicked {
        /// Its number.
        worker: usize,
        /// What it said.
        message: String,
    },
    /// A thread could not be started.
    #[error("cannot start a worker thread: {0}")]
    Spawn(#[from] std::io::Error),
}

/// Runs all workers of a process.
pub struct Supervisor {
    shared: Shared,
    metrics: Arc<Metrics>,
    open: OpenLog,
    stop: Arc<AtomicBool>,
    last_resort: Option<LastResort>,
}

/// What ends the process, given the number of a worker that has been stuck for so long.
struct LastResort {
    patience: Duration,
    end: Box<dyn Fn(usize) + Send + Sync>,
}

impl Supervisor {
    /// `open` is called once per worker, and again when its handle was fenced off; `stop` ends the run when set.
    #[must_use]
    pub fn new(
        shared: Shared,
        metrics: Arc<Metrics>,
        open: OpenLog,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            shared,
            metrics,
            open,
            stop,
            last_resort: None,
        }
    }

    /// Watches for workers that are stuck. When one has been unhealthy for `patience`, `end` is to end the process; it is given the
    /// worker's number. Without this nobody watches: where whoever takes the results may let them wait, waiting is no defect.
    #[must_use]
    pub fn ending_with(
        mut self,
        patience: Duration,
        end: impl Fn(usize) + Send + Sync + 'static,
    ) -> Self {
        self.last_resort = Some(LastResort {
            patience,
            end: Box::new(end),
        });
        self
    }

    /// Runs `workers` workers until told to stop or, in a bounded run, until nothing is left to do.
    ///
    /// # Errors
    /// When a worker cannot go on. The others are stopped first; they commit what is done.
    pub fn run(&self, workers: usize) -> Result<(), RunError> {
        let first_error = Mutex::new(None);
        thread::scope(|scope| -> Result<(), RunError> {
            let mut threads = Vec::with_capacity(workers);
            for id in 0..workers {
                let first_error = &first_error;
                threads.push(
                    thread::Builder::new()
                        .name(format!("worker-{id}"))
                        .spawn_scoped(scope, move || {
                            if let Err(error) = self.live(id) {
                                error!(worker = id, %error, "worker cannot go on: stopping all");
                                first_error
                                    .lock()
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .get_or_insert(error);
                                self.stop.store(true, Ordering::SeqCst);
                            }
                        })?,
                );
            }
            let mut watch = self.last_resort.as_ref().map(|last_resort| {
                let watchdog = Watchdog::new(last_resort.patience);
                (watchdog, last_resort)
            });
            while threads.iter().any(|thread| !thread.is_finished()) {
                if let Some((watchdog, last_resort)) = &mut watch {
                    self.watch(watchdog, last_resort);
                }
                if self.shared.settings.run == Run::UntilEnd && self.shared.health.finished() {
                    self.stop.store(true, Ordering::SeqCst);
                }
                thread::sleep(LOOK_EVERY);
            }
            Ok(())
        })?;
        first_error
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .map_or(Ok(()), Err)
    }

    fn watch(&self, watchdog: &mut Watchdog, last_resort: &LastResort) {
        for verdict in watchdog.look(&self.shared.health.stuck(), Instant::now()) {
            match verdict {
                Verdict::Stuck(worker) => warn!(
                    worker,
                    "the worker's loop does not turn: it waits for a call that does not return; if that lasts, the process ends, and what was not committed is read again"
                ),
                Verdict::Turns(worker) => info!(worker, "the worker's loop turns again"),
                Verdict::Hopeless(worker) => {
                    error!(
                        worker,
                        "the worker is stuck for good: ending the process, start it again"
                    );
                    (last_resort.end)(worker);
                }
            }
        }
        self.metrics
            .stuck
            .set(i64::try_from(watchdog.count()).unwrap_or(i64::MAX));
    }

    /// One worker's life, over as many handles as it takes.
    fn live(&self, id: usize) -> Result<(), RunError> {
        let mut panics = 0;
        while !self.stopped() {
            let started = Instant::now();
            let ended = catch_unwind(AssertUnwindSafe(|| self.one_handle(id)));
            self.shared.health.reset(id);
            match ended {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(WorkerError::Log(error))) if error.kind() != Kind::Fatal => {
                    self.metrics.restarts.inc();
                    warn!(worker = id, %error, "starting again with a new handle; what was not committed is read again");
                }
                Ok(Err(error)) => return Err(RunError::Worker { worker: id, error }),
                Err(panic) => {
                    if started.elapsed() >= GONE_WELL {
                        panics = 0;
                    }
                    panics += 1;
                    self.metrics.panics.inc();
                    let message = panic_message(panic.as_ref());
                    error!(
                        worker = id,
                        message, "worker panicked: its uncommitted work is dropped and read again"
                    );
                    if panics >= MOST_PANICS {
                        return Err(RunError::Panicked {
                            worker: id,
                            message,
                        });
                    }
                }
            }
            thread::sleep(RESTART_PAUSE);
        }
        Ok(())
    }

    fn one_handle(&self, id: usize) -> Result<(), WorkerError> {
        let log = (self.open)(id)?;
        info!(worker = id, "worker started");
        let worker = Worker::new(id, self.shared.clone(), log, &self.metrics);
        worker.run(&|| self.stopped())
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
