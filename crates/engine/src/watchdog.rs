//! Notices workers whose loops do not turn: a call into the client library that ignores its time-out, say. The group has given
//! their partitions to others by then; the worker itself cannot be told to go on, so all that helps is a new process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The longest time between two looks after which what was seen before still counts. A process that was stopped has not turned
/// its loops either, and is not stuck.
const ATTENTIVE: Duration = Duration::from_secs(5);

/// What there is to do about a stuck worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has just been noticed.
    Stuck(usize),
    /// It turns again.
    Turns(usize),
    /// It has been stuck for so long that the process has to end.
    Hopeless(usize),
}

/// Looks at the workers over and over.
#[derive(Debug)]
pub struct Watchdog {
    patience: Duration,
    stuck_since: BTreeMap<usize, Instant>,
    last_look: Option<Instant>,
}

impl Watchdog {
    /// A worker that is seen to be stuck for `patience` is hopeless.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            stuck_since: BTreeMap::new(),
            last_look: None,
        }
    }

    /// `stuck` are the workers that are stuck now. Answers what is new.
    pub fn look(&mut self, stuck: &[usize], now: Instant) -> Vec<Verdict> {
        let last = self.last_look.replace(now);
        if last.is_some_and(|last| now.duration_since(last) > ATTENTIVE) {
            for since in self.stuck_since.values_mut() {
                *since = now;
            }
        }
        let mut verdicts = Vec::new();
        self.stuck_since.retain(|worker, _| {
            let still = stuck.contains(worker);
            if !still {
                verdicts.push(Verdict::Turns(*worker));
            }
            still
        });
        for &worker in stuck {
            match self.stuck_since.get(&worker) {
                None => {
                    self.stuck_since.insert(worker, now);
                    verdicts.push(Verdict::Stuck(worker));
                }
                Some(since) if now.duration_since(*since) >= self.patience => {
                    verdicts.push(Verdict::Hopeless(worker));
                }
                Some(_) => {}
            }
        }
        verdicts
    }

    /// How many are stuck, as of the last look.
    #[must_use]
    pub fn count(&self) -> usize {
        self.stuck_since.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_worker_is_told_of_once_and_given_up_when_patience_ends() {
        let mut watchdog = Watchdog::new(10 * SECOND);
        let begun = Instant::now();
        assert_eq!(watchdog.look(&[], begun), []);
        assert_eq!(watchdog.look(&[1], begun + SECOND), [Verdict::Stuck(1)]);
        for second in 2..11 {
            assert_eq!(watchdog.look(&[1], begun + second * SECOND), []);
        }
        assert_eq!(
            watchdog.look(&[1], begun + 11 * SECOND),
            [Verdict::Hopeless(1)]
        );
    }

    #[test]
    fn a_worker_that_turns_again_begins_anew() {
        let mut watchdog = Watchdog::new(3 * SECOND);
        let begun = Instant::now();
        assert_eq!(watchdog.look(&[0], begun), [Verdict::Stuck(0)]);
        assert_eq!(watchdog.look(&[], begun + 2 * SECOND), [Verdict::Turns(0)]);
        assert_eq!(watchdog.look(&[0], begun + 4 * SECOND), [Verdict::Stuck(0)]);
        assert_eq!(watchdog.count(), 1);
    }

    #[test]
    fn a_process_that_was_stopped_is_not_stuck() {
        let mut watchdog = Watchdog::new(10 * SECOND);
        let begun = Instant::now();
        assert_eq!(watchdog.look(&[0], begun), [Verdict::Stuck(0)]);
        // Nobody looked for an hour: the loops of a stopped process do not turn.
        assert_eq!(watchdog.look(&[0], begun + 3600 * SECOND), []);
        assert_eq!(
            watchdog.look(&[], begun + 3601 * SECOND),
            [Verdict::Turns(0)]
        );
    }
}
