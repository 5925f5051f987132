//! The engine on a simulated log: the real [`Worker`](haechi_engine::Worker), stage 1 and stage 2, with brokers, group, clients and time
//! that are not. A schedule is a seed: what is written, in what order workers have their turns, where they die or are
//! stopped, what the log refuses. At its end nothing goes wrong any more, everything is read, and what the output
//! topics hold is compared with what must have come of the input.
//!
//! ```text
//! HAECHI_SIM_SEED=7 cargo test -p haechi-engine --test sim -- --nocapture   # one schedule, telling what happens
//! HAECHI_SIM_SCHEDULES=100000 cargo test --release -p haechi-engine --test sim
//! make soak MINUTES=60
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod client;
mod cluster;
mod fleet;
mod group;
mod log;
mod oracle;
mod schedule;
mod workload;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use schedule::Passed;

/// Without a number in the environment, so many schedules are run: the same ones on every machine.
const SCHEDULES: u64 = 1000;

fn environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number")),
    )
}

#[test]
fn nothing_lost_and_nothing_twice_whatever_breaks() {
    if let Some(seed) = environment("HAECHI_SIM_SEED") {
        let passed = schedule::run(seed, true).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        println!("seed {seed} passed: {passed:?}");
        return;
    }
    let first = environment("HAECHI_SIM_FIRST").unwrap_or(1);
    let time = environment("HAECHI_SIM_MINUTES").map(|minutes| Duration::from_secs(60 * minutes));
    let most = environment("HAECHI_SIM_SCHEDULES").or(time.is_none().then_some(SCHEDULES));
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    let work = || {
        let mut total = Passed::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let over = time.is_some_and(|time| started.elapsed() >= time)
                || most.is_some_and(|most| number >= most)
                || failed.load(Ordering::Relaxed) >= 5;
            if over {
                return total;
            }
            let seed = first + number;
            match schedule::run(seed, false) {
                Ok(passed) => total += passed,
                Err(why) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    println!(
                        "FAILED: {why}\n  replay: HAECHI_SIM_SEED={seed} cargo test -p haechi-engine --test sim -- --nocapture"
                    );
                }
            }
        }
    };
    let threads = thread::available_parallelism()
        .map_or(2, usize::from)
        .min(8);
    let total = thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut total = Passed::default();
        for one in all {
            total += one.join().expect("a schedule panicked");
        }
        total
    });
    println!("{total:?} in {:?}, seeds from {first}", started.elapsed());
    let failed = failed.into_inner();
    assert!(
        failed == 0,
        "{failed} schedules failed; their seeds are above"
    );
    assert!(
        total.schedules < 100 || (total.cuts > 0 && total.read_back > 0),
        "no snapshot was needed: {total:?}"
    );
    assert!(
        total.schedules > 0 && total.faults > 0,
        "nothing was tried: {total:?}"
    );
}
