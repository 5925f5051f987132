//! Wall-clock time, passed in so that tests can hold it still.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a worker reads the time. Stage 2 never does (event time comes in band); stage 1 needs it for idleness and
/// for timestamps that claim to be from the future.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the Unix epoch.
    fn now_ns(&self) -> i64;
    /// A monotonic instant, for intervals.
    fn instant(&self) -> Instant;
}

/// The most that one look adds to the time that was watched.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// Who has not looked for longer than this cannot say what happened meanwhile.
const OVERLOOKED: Duration = Duration::from_secs(3);

/// How long a worker has watched its partitions: the time in which their silence means something.
///
/// It begins at the wall clock's time and goes on with the monotonic one, so a clock that is set does not make a
/// partition idle. It stands still while the worker does: a process that was stopped, or that waited for a broker, must not
/// take records that came meanwhile for silence.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    last: Instant,
    watched_ns: i64,
}

impl Attention {
    /// Begins to watch.
    #[must_use]
    pub fn new(clock: &dyn Clock) -> Self {
        Self {
            last: clock.instant(),
            watched_ns: clock.now_ns(),
        }
    }

    /// Looks; answers whether something may have been overlooked since the last time.
    pub fn look(&mut self, now: Instant) -> bool {
        let gap = now.duration_since(self.last);
        self.last = now;
        let counted = i64::try_from(gap.min(LONGEST_LOOK).as_nanos()).unwrap_or(0);
        self.watched_ns = self.watched_ns.saturating_add(counted);
        gap > OVERLOOKED
    }

    /// The time as far as it was watched, nanoseconds. Only differences mean something.
    #[must_use]
    pub fn now_ns(&self) -> i64 {
        self.watched_ns
    }
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ns(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
            })
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wall time that is set, beside an instant that goes on.
    struct Fixed(Instant);

    impl Clock for Fixed {
        fn now_ns(&self) -> i64 {
            1000
        }
        fn instant(&self) -> Instant {
            self.0
        }
    }

    #[test]
    fn time_in_which_nobody_looked_was_not_watched() {
        let began = Instant::now();
        let mut attention = Attention::new(&Fixed(began));
        assert!(!attention.look(began + Duration::from_millis(100)));
        assert_eq!(attention.now_ns(), 1000 + 100_000_000);
        assert!(!attention.look(began + Duration::from_millis(2100)));
        assert_eq!(attention.now_ns(), 1000 + 1_100_000_000);
        assert!(attention.look(began + Duration::from_secs(60)));
        assert_eq!(attention.now_ns(), 1000 + 2_100_000_000);
    }
}
