//! Wall-clock time, passed in so that tests can hold it still.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where a worker reads the time. Stage 2 never does (event time comes in band); stage 1 needs it for idleness and
/// for timestamps that claim to be from the future.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the Unix epoch.
    fn now_ns(&self) -> i64;
    /// A monotonic instant, for intervals.
    fn instant(&self) -> Instant;
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
