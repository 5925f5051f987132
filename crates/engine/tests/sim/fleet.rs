//! The processes: one worker each, started, killed, stopped in order, and started again.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haechi_engine::worker::Shared;
use haechi_engine::{Health, Settings, Worker, WorkerError};
use haechi_log::Kind;
use rand::RngExt;

use crate::log::SimLog;
use crate::workload::{metrics, program};
use crate::world::{MILLISECOND, SECOND, SimClock, world};

struct Process {
    worker: Option<(Worker, u64)>,
    /// It has its turn, further up on the stack.
    busy: bool,
    /// When it may have its next turn.
    rests_until: i64,
    /// It is not to be started again.
    retired: bool,
    starts: u32,
    shared: Shared,
    clock: Arc<SimClock>,
}

thread_local! {
    static FLEET: RefCell<Vec<Process>> = const { RefCell::new(Vec::new()) };
}

fn fleet<T>(look: impl FnOnce(&mut Vec<Process>) -> T) -> T {
    FLEET.with_borrow_mut(look)
}

/// The first processes.
pub(crate) fn begin() {
    fleet(Vec::clear);
    for _ in 0..world(|world| world.plan.workers) {
        recruit();
    }
}

/// All processes are gone.
pub(crate) fn end() {
    let processes = fleet(std::mem::take);
    drop(processes);
}

fn recruit() {
    let (settings, skew): (Settings, i64) = world(|world| {
        let skew = world.rng.random_range(-3600..=3600) * SECOND;
        (world.plan.settings(), skew)
    });
    let clock = Arc::new(SimClock::default());
    clock.skew.store(skew, Ordering::Relaxed);
    let shared = Shared {
        releases: Arc::new(haechi_engine::Releases::new(program(), &metrics())),
        profiler: None,
        settings: Arc::new(settings),
        clock: Arc::clone(&clock) as _,
        health: Arc::new(Health::new(1, Duration::from_secs(60))),
    };
    fleet(|fleet| {
        fleet.push(Process {
            worker: None,
            busy: false,
            rests_until: 0,
            retired: false,
            starts: 0,
            shared,
            clock,
        });
    });
}

/// Something happens: time passes, the world does something, and some process has its turn.
pub(crate) fn turn() {
    let (roll, recruits, retires, jumps) = world(|world| {
        let how_long = world.rng.random_range(1..40) * MILLISECOND;
        world.pass(how_long);
        world.outside();
        let roll = world.rng.random_range(0..1024_usize);
        (
            roll,
            world.strikes(0.004),
            world.strikes(0.003),
            world.strikes(0.01),
        )
    });
    if recruits && fleet(|fleet| fleet.iter().filter(|it| !it.retired).count()) < 4 {
        recruit();
    }
    let now = world(|world| world.now);
    let ready: Vec<usize> = fleet(|fleet| {
        let ready = |process: &Process| {
            !process.busy
                && process.rests_until <= now
                && (process.worker.is_some() || !process.retired)
        };
        let ready = fleet.iter().enumerate().filter(|(_, it)| ready(it));
        ready.map(|(index, _)| index).collect()
    });
    let Some(&index) = ready.get(roll % ready.len().max(1)) else {
        return;
    };
    if jumps {
        let by = world(|world| world.rng.random_range(-3600..=3600)) * SECOND;
        fleet(|fleet| fleet[index].clock.skew.fetch_add(by, Ordering::Relaxed));
    }
    if retires && fleet(|fleet| fleet.iter().filter(|it| !it.retired).count()) > 1 {
        leave(index);
    } else {
        step(index);
    }
}

/// Every process has a turn; nothing else happens.
pub(crate) fn round() {
    for index in 0..fleet(|fleet| fleet.len()) {
        let now = world(|world| world.now);
        let ready = fleet(|fleet| {
            let process = &fleet[index];
            !process.busy && process.rests_until <= now && !process.retired
        });
        if ready {
            step(index);
        }
    }
}

fn step(index: usize) {
    let (worker, shared, starts) = fleet(|fleet| {
        let process = &mut fleet[index];
        process.busy = true;
        (
            process.worker.take(),
            process.shared.clone(),
            process.starts,
        )
    });
    let outcome = match worker {
        Some(it) => Ok(it),
        None => open(index, starts, shared),
    };
    let (worker, rest) = match outcome {
        Err(error) => (None, judge(index, None, &error)),
        Ok((mut worker, client)) => match worker.step() {
            Ok(pause) => (Some((worker, client)), pause.unwrap_or_default()),
            Err(error) => {
                let rest = judge(index, Some(client), &error);
                drop(worker);
                (None, rest)
            }
        },
    };
    let is_dead = |client: &u64| world(|world| world.clients.get(client).is_none_or(|it| it.dead));
    let worker = worker.filter(|(_, client)| !is_dead(client));
    let now = world(|world| world.now);
    fleet(|fleet| {
        let process = &mut fleet[index];
        process.busy = false;
        process.rests_until = now + i64::try_from(rest.as_nanos()).unwrap_or(0);
        process.starts += u32::from(worker.is_none());
        process.worker = worker;
    });
}

fn open(index: usize, starts: u32, shared: Shared) -> Result<(Worker, u64), WorkerError> {
    let named = world(|world| world.plan.named);
    let id = if named {
        format!("app-{index}")
    } else {
        format!("app-{index}-{starts}")
    };
    let log = SimLog::open(&id)?;
    let client = log.client();
    world(|world| world.note(|| format!("process {index} starts as client {client}, {id}")));
    let worker = Worker::new(0, shared, Box::new(log), &metrics());
    Ok((worker, client))
}

/// What the supervisor does when a worker ends: it is started again, unless the log or a stage refuses for good.
fn judge(index: usize, client: Option<u64>, error: &WorkerError) -> Duration {
    world(|world| {
        let dead = client.is_some_and(|client| world.clients.get(&client).is_none_or(|it| it.dead));
        let passes = matches!(error, WorkerError::Log(error) if error.kind() != Kind::Fatal);
        if !dead && !passes {
            world.fail(format!("process {index} cannot go on: {error}"));
        }
        world.note(|| format!("process {index} ends: {error}"));
    });
    Duration::from_millis(500)
}

/// A process is told to stop and does so in order.
fn leave(index: usize) {
    let worker = fleet(|fleet| {
        let process = &mut fleet[index];
        process.busy = true;
        process.retired = true;
        process.worker.take()
    });
    if let Some((worker, client)) = worker {
        world(|world| world.note(|| format!("process {index} is told to stop")));
        if let Err(error) = worker.leave() {
            judge(index, Some(client), &error);
        }
    }
    fleet(|fleet| fleet[index].busy = false);
}
