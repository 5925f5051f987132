//! Whether the loops turn, and whether what they own is restored: the answers behind `/healthz` and `/readyz`.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One worker's vital signs.
#[derive(Debug, Clone, Copy)]
struct Pulse {
    last_turn: Instant,
    assigned: bool,
    restored: bool,
    finished: bool,
}

/// The vital signs of all workers of a process.
#[derive(Debug)]
pub struct Health {
    pulses: Mutex<Vec<Pulse>>,
    stuck_after: Duration,
}

/// What a worker says of itself once per turn of its loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// The group has given it an assignment, even an empty one.
    pub assigned: bool,
    /// Every exchange partition it owns has been replayed up to its committed offset.
    pub restored: bool,
    /// A bounded run: nothing is left to do.
    pub finished: bool,
}

impl Health {
    /// For `workers` workers; one whose loop has not turned for `stuck_after` is unhealthy.
    #[must_use]
    pub fn new(workers: usize, stuck_after: Duration) -> Self {
        let pulse = Pulse {
            last_turn: Instant::now(),
            assigned: false,
            restored: false,
            finished: false,
        };
        Self {
            pulses: Mutex::new(vec![pulse; workers]),
            stuck_after,
        }
    }

    /// A worker's loop has turned.
    pub fn turned(&self, worker: usize, vitals: Vitals) {
        let mut pulses = self.lock();
        if let Some(pulse) = pulses.get_mut(worker) {
            *pulse = Pulse {
                last_turn: Instant::now(),
                assigned: vitals.assigned,
                restored: vitals.restored,
                finished: vitals.finished,
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
        let pulses = self.lock();
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
        self.lock()
            .iter()
            .all(|pulse| pulse.assigned && pulse.restored)
    }

    /// Whether every worker of a bounded run has nothing left to do.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.lock().iter().all(|pulse| pulse.finished)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Pulse>> {
        // A poisoned lock only means that another worker panicked between two plain stores: the data is whole.
        self.pulses
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
