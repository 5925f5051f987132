//! Whether the loops turn, and whether what they own is restored: the answers behind `/healthz` and `/readyz`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a bounded run waits for partitions that none of its workers owns. They are another process's, or on their way from one
/// worker to another: a rebalance hands them over in two steps, and in between nobody has them.
const IN_TRANSIT: Duration = Duration::from_secs(30);

/// One worker's vital signs.
#[derive(Debug, Clone, Copy)]
struct Pulse {
    last_turn: Instant,
    vitals: Vitals,
}

/// The vital signs of all workers of a process.
#[derive(Debug)]
pub struct Health {
    pulses: Mutex<Vec<Pulse>>,
    stuck_after: Duration,
    /// Since when every worker has had nothing left to do, though the process does not own everything.
    waiting_since: Mutex<Option<Instant>>,
}

/// What a worker says of itself once per turn of its loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// The group has given it an assignment, even an empty one.
    pub assigned: bool,
    /// Every exchange partition it owns has been replayed up to its committed offset.
    pub restored: bool,
    /// A bounded run: nothing is left to do of what it owns.
    pub finished: bool,
    /// How many partitions it owns, source and exchange.
    pub owned: usize,
    /// How many the group has to share out, as far as it knows.
    pub partitions: usize,
}

impl Health {
    /// For `workers` workers; one whose loop has not turned for `stuck_after` is unhealthy.
    #[must_use]
    pub fn new(workers: usize, stuck_after: Duration) -> Self {
        let pulse = Pulse {
            last_turn: Instant::now(),
            vitals: Vitals::default(),
        };
        Self {
            pulses: Mutex::new(vec![pulse; workers]),
            stuck_after,
            waiting_since: Mutex::new(None),
        }
    }

    /// A worker's loop has turned.
    pub fn turned(&self, worker: usize, vitals: Vitals) {
        let mut pulses = lock(&self.pulses);
        if let Some(pulse) = pulses.get_mut(worker) {
            *pulse = Pulse {
                last_turn: Instant::now(),
                vitals,
            };
        }
    }

    /// A worker has lost what it owned (fenced, panicked) and begins anew.
    pub fn reset(&self, worker: usize) {
        self.turned(worker, Vitals::default());
    }

    /// The workers whose loops have not turned for too long; empty = healthy.
    #[must_use]
    pub fn stuck(&self) -> Vec<usize> {
        let pulses = lock(&self.pulses);
        pulses
            .iter()
            .enumerate()
            .filter(|(_, p)| p.last_turn.elapsed() > self.stuck_after)
            .map(|(n, _)| n)
            .collect()
    }

    /// Whether every worker has its assignment and has restored it.
    #[must_use]
    pub fn ready(&self) -> bool {
        lock(&self.pulses)
            .iter()
            .all(|pulse| pulse.vitals.assigned && pulse.vitals.restored)
    }

    /// Whether a bounded run is over: every worker has nothing left to do, and together they own every partition, or have
    /// waited in vain for those that they do not own.
    #[must_use]
    pub fn finished(&self) -> bool {
        let pulses = lock(&self.pulses);
        let mut waiting_since = lock(&self.waiting_since);
        if !pulses.iter().all(|pulse| pulse.vitals.finished) {
            *waiting_since = None;
            return false;
        }
        let owned: usize = pulses.iter().map(|pulse| pulse.vitals.owned).sum();
        let partitions = pulses.iter().map(|pulse| pulse.vitals.partitions).max();
        owned >= partitions.unwrap_or(0)
            || waiting_since.get_or_insert_with(Instant::now).elapsed() >= IN_TRANSIT
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock only means that another worker panicked between two plain stores: the data is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(owned: usize) -> Vitals {
        Vitals {
            assigned: true,
            restored: true,
            finished: true,
            owned,
            partitions: 4,
        }
    }

    #[test]
    fn partitions_between_two_workers_are_not_finished() {
        let health = Health::new(2, Duration::from_secs(60));
        assert!(!health.finished(), "no worker has said anything");
        // The first one has handed two over, and the second one has not been given them yet.
        health.turned(0, finished(2));
        health.turned(1, finished(0));
        assert!(!health.finished());
        let working = Vitals {
            finished: false,
            ..finished(2)
        };
        health.turned(1, working);
        assert!(!health.finished());
        health.turned(1, finished(2));
        assert!(health.finished());
    }
}
