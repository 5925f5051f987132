//! Which rules are in force, and how a new set takes over.
//!
//! A release is a compiled rule set with a number. Whoever has a new one publishes it; each worker notices at the top of
//! its loop, commits what the old rules found, and goes on with the new ones. So the change falls between two commits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::metrics::{Metrics, RuleCounters};
use crate::program::Program;

/// A compiled rule set in its turn.
pub struct Release {
    /// Counts from 1.
    pub number: u64,
    /// The rules, compiled.
    pub program: Arc<Program>,
    /// What each rule has found.
    pub counters: RuleCounters,
}

/// The release in force; shared by all workers.
pub struct Releases {
    current: RwLock<Arc<Release>>,
    /// Its number, to be looked at without the lock.
    number: AtomicU64,
}

impl Releases {
    /// Begins with the first release.
    #[must_use]
    pub fn new(program: Arc<Program>, metrics: &Metrics) -> Self {
        let counters = metrics.rules(&program.rules);
        Self {
            current: RwLock::new(Arc::new(Release {
                number: 1,
                program,
                counters,
            })),
            number: AtomicU64::new(1),
        }
    }

    /// The release in force.
    #[must_use]
    pub fn current(&self) -> Arc<Release> {
        // A poisoned lock only means that somebody panicked beside an assignment: the release is whole.
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// The release in force when it is not number `number`.
    #[must_use]
    pub fn other_than(&self, number: u64) -> Option<Arc<Release>> {
        (self.number.load(Ordering::Acquire) != number).then(|| self.current())
    }

    /// Puts new rules in force; answers the number of their release.
    pub fn publish(&self, program: Program, metrics: &Metrics) -> u64 {
        let counters = metrics.rules(&program.rules);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let number = current.number + 1;
        *current = Arc::new(Release {
            number,
            program: Arc::new(program),
            counters,
        });
        self.number.store(number, Ordering::Release);
        number
    }
}
