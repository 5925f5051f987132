//! The clock of one source partition: how far event time has come in it.

use std::time::Duration;

use crate::source::{SourceId, SourceProgress, SourceState};

/// Marks the layout of [`SourceClock::metadata`].
const METADATA_VERSION: &str = "haechi-clock-1";

/// Derives the watermark of one source partition from the events read from it.
///
/// *Watermark* `W` promises that no event earlier than `W` is still to come: it is the greatest event time seen minus the
/// allowed lateness, and it never goes back.
///
/// *Idle* is a partition that has been read to its end ([`SourceClock::caught_up`]) and in which no event has come for
/// the idle timeout. A partition that merely is not being read (back-pressure, a slow broker) is not idle: its events
/// are on their way. While it is idle its watermark moves on with the worker's clock, by as much time as passes,
/// so that windows close in a quiet log. It moves from where it was, not to the wall clock's time: when somebody loads
/// a log from last year in pieces, a pause between the pieces does not make the rest of it late.
///
/// The clock itself never looks at the time; `now_ns` is passed in (nanoseconds since the Unix epoch).
#[derive(Debug, Clone)]
pub struct SourceClock {
    source: SourceId,
    lateness_ns: i64,
    idle_ns: i64,
    current: State,
    /// What [`SourceClock::rewind`] goes back to.
    committed: State,
    held: bool,
}

#[derive(Debug, Clone, Copy)]
struct State {
    epoch: u64,
    watermark_ns: i64,
    state: SourceState,
    caught_up: bool,
    /// When the last event came or, in an idle partition, up to when its watermark has been moved.
    since_ns: i64,
}

impl SourceClock {
    /// The clock of a partition that has just been taken over, with nothing known about earlier owners.
    ///
    /// `lateness` is how much later than a younger event of the same partition an event may be read and still count; `idle_timeout`
    /// is how long a partition may be silent before others stop waiting for it.
    #[must_use]
    pub fn new(source: SourceId, lateness: Duration, idle_timeout: Duration, now_ns: i64) -> Self {
        let state = State {
            // The wall clock orders the owners when nothing better is known (their offsets were lost or reset).
            epoch: u64::try_from(now_ns).unwrap_or(0).max(1),
            watermark_ns: i64::MIN,
            state: SourceState::Active,
            caught_up: false,
            since_ns: now_ns,
        };
        Self {
            source,
            lateness_ns: nanoseconds(lateness),
            idle_ns: nanoseconds(idle_timeout),
            current: state,
            committed: state,
            held: false,
        }
    }

    /// Continues from what an earlier owner committed with its offset ([`SourceClock::metadata`]): its watermark, and an epoch
    /// above its epoch. Text that is not such metadata (another program's, a later release's) is ignored and answers false.
    pub fn restore(&mut self, metadata: &str) -> bool {
        let Some((epoch, watermark_ns)) = parse(metadata) else {
            return false;
        };
        self.current.epoch = self.current.epoch.max(epoch.saturating_add(1));
        self.current.watermark_ns = self.current.watermark_ns.max(watermark_ns);
        self.committed = self.current;
        true
    }

    /// The state to commit with the partition's offset.
    #[must_use]
    pub fn metadata(&self) -> String {
        let State {
            epoch,
            watermark_ns,
            ..
        } = self.current;
        format!("{METADATA_VERSION} epoch={epoch} watermark={watermark_ns}")
    }

    /// A batch of events was read, the latest of them at `max_time_ns`.
    pub fn observe(&mut self, max_time_ns: i64, now_ns: i64) {
        let watermark = max_time_ns.saturating_sub(self.lateness_ns);
        self.current.watermark_ns = self.current.watermark_ns.max(watermark);
        self.woke(now_ns);
    }

    /// Records were read, but none of them is an event (all were bad). The partition is not silent.
    pub fn woke(&mut self, now_ns: i64) {
        if self.current.state != SourceState::Ended {
            self.current.state = SourceState::Active;
            self.current.caught_up = false;
            self.current.since_ns = now_ns;
        }
    }

    /// The partition is not read for now, though there may be more of it: it is not idle.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// It is read again: what is silence begins only now.
    pub fn release(&mut self, now_ns: i64) {
        self.held = false;
        self.overlooked(now_ns);
    }

    /// Nobody has looked for a while (the process was stopped, a broker did not answer): that was not silence, which
    /// begins only now.
    pub fn overlooked(&mut self, now_ns: i64) {
        self.current.since_ns = self.current.since_ns.max(now_ns);
        self.committed.since_ns = self.committed.since_ns.max(now_ns);
    }

    /// The partition has been read to the end it has now.
    pub fn caught_up(&mut self, now_ns: i64) {
        if !self.current.caught_up && self.current.state == SourceState::Active {
            self.current.caught_up = true;
            self.current.since_ns = self.current.since_ns.max(now_ns);
        }
    }

    /// The input is bounded and over.
    pub fn end(&mut self) {
        self.current.state = SourceState::Ended;
        self.current.watermark_ns = i64::MAX;
    }

    /// What there is to say now. Notices idleness, and moves the watermark of an idle partition.
    pub fn progress(&mut self, now_ns: i64) -> SourceProgress {
        let held = self.held;
        let state = &mut self.current;
        let silent_ns = now_ns.saturating_sub(state.since_ns);
        match state.state {
            SourceState::Active if !held && state.caught_up && silent_ns >= self.idle_ns => {
                state.state = SourceState::Idle;
                state.since_ns = now_ns;
            }
            SourceState::Idle if silent_ns > 0 => {
                if state.watermark_ns != i64::MIN {
                    state.watermark_ns = state.watermark_ns.saturating_add(silent_ns);
                }
                state.since_ns = now_ns;
            }
            SourceState::Active | SourceState::Idle | SourceState::Ended => {}
        }
        SourceProgress {
            source: self.source.clone(),
            epoch: state.epoch,
            watermark_ns: state.watermark_ns,
            state: state.state,
        }
    }

    /// What was read so far, and what [`SourceClock::metadata`] says, is committed.
    pub fn committed(&mut self) {
        self.committed = self.current;
    }

    /// What was read since the last [`SourceClock::committed`] will be read again: forgets it. Without this a watermark
    /// would be announced before the events that it covers. The partition is not idle until it has been read to its end again.
    pub fn rewind(&mut self) {
        self.current = self.committed;
        self.woke(self.committed.since_ns);
    }

    /// Whether others wait for this partition, as of the last [`SourceClock::progress`].
    #[must_use]
    pub fn state(&self) -> SourceState {
        self.current.state
    }

    /// The watermark, as of the last [`SourceClock::progress`]; none while no event has been seen.
    #[must_use]
    pub fn watermark_ns(&self) -> Option<i64> {
        Some(self.current.watermark_ns).filter(|&watermark| watermark != i64::MIN)
    }
}

fn parse(metadata: &str) -> Option<(u64, i64)> {
    let mut words = metadata.split(' ');
    if words.next()? != METADATA_VERSION {
        return None;
    }
    let epoch = words.next()?.strip_prefix("epoch=")?.parse().ok()?;
    let watermark = words.next()?.strip_prefix("watermark=")?.parse().ok()?;
    words.next().is_none().then_some((epoch, watermark))
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn clock() -> SourceClock {
        let source = SourceId {
            topic: "logs".into(),
            partition: 3,
        };
        SourceClock::new(
            source,
            Duration::from_secs(5),
            Duration::from_secs(60),
            1000 * SECOND,
        )
    }

    #[test]
    fn the_watermark_trails_the_latest_event_by_the_lateness_and_never_goes_back() {
        let mut clock = clock();
        assert_eq!(clock.watermark_ns(), None);
        clock.observe(100 * SECOND, 1000 * SECOND);
        assert_eq!(clock.watermark_ns(), Some(95 * SECOND));
        clock.observe(50 * SECOND, 1001 * SECOND);
        assert_eq!(clock.watermark_ns(), Some(95 * SECOND));
    }

    #[test]
    fn only_a_partition_read_to_its_end_becomes_idle() {
        let mut clock = clock();
        clock.observe(100 * SECOND, 1000 * SECOND);
        assert_eq!(clock.progress(5000 * SECOND).state, SourceState::Active);
        clock.caught_up(5000 * SECOND);
        assert_eq!(clock.progress(5059 * SECOND).state, SourceState::Active);
        assert_eq!(clock.progress(5060 * SECOND).state, SourceState::Idle);
    }

    #[test]
    fn an_idle_partition_moves_by_the_time_that_passes_until_an_event_comes() {
        let mut clock = clock();
        clock.observe(100 * SECOND, 1000 * SECOND);
        clock.caught_up(1000 * SECOND);
        assert_eq!(clock.progress(1060 * SECOND).watermark_ns, 95 * SECOND);
        assert_eq!(clock.progress(1070 * SECOND).watermark_ns, 105 * SECOND);
        clock.observe(90 * SECOND, 1080 * SECOND);
        let progress = clock.progress(1080 * SECOND);
        assert_eq!(progress.state, SourceState::Active);
        assert_eq!(progress.watermark_ns, 105 * SECOND);
        assert_eq!(clock.progress(9000 * SECOND).watermark_ns, 105 * SECOND);
    }

    #[test]
    fn an_idle_partition_without_events_has_no_watermark() {
        let mut clock = clock();
        clock.caught_up(1000 * SECOND);
        clock.progress(2000 * SECOND);
        let progress = clock.progress(3000 * SECOND);
        assert_eq!(progress.state, SourceState::Idle);
        assert_eq!(progress.watermark_ns, i64::MIN);
    }

    #[test]
    fn a_backward_wall_clock_changes_nothing() {
        let mut clock = clock();
        clock.observe(100 * SECOND, 1000 * SECOND);
        clock.caught_up(1000 * SECOND);
        clock.progress(1100 * SECOND);
        assert_eq!(clock.progress(900 * SECOND).watermark_ns, 95 * SECOND);
    }

    #[test]
    fn a_new_owner_continues_where_the_old_one_committed_with_a_later_epoch() {
        let mut old = clock();
        old.observe(100 * SECOND, 1000 * SECOND);
        let mut new = SourceClock::new(old.source.clone(), Duration::ZERO, Duration::ZERO, 0);
        assert!(new.restore(&old.metadata()));
        assert_eq!(new.watermark_ns(), Some(95 * SECOND));
        assert!(new.progress(0).epoch > old.progress(1000 * SECOND).epoch);
    }

    #[test]
    fn foreign_metadata_is_ignored() {
        for text in [
            "",
            "x",
            "haechi-clock-2 epoch=1 watermark=2",
            "haechi-clock-1 epoch=1",
            "haechi-clock-1 epoch=1 watermark=2 more",
        ] {
            let mut clock = clock();
            assert!(!clock.restore(text), "{text}");
            assert_eq!(clock.watermark_ns(), None);
        }
    }

    #[test]
    fn rewinding_forgets_what_was_not_committed() {
        let mut clock = clock();
        clock.observe(100 * SECOND, 1000 * SECOND);
        clock.committed();
        clock.observe(500 * SECOND, 1001 * SECOND);
        clock.rewind();
        assert_eq!(clock.watermark_ns(), Some(95 * SECOND));
        clock.end();
        assert_eq!(clock.watermark_ns(), Some(i64::MAX));
        clock.rewind();
        assert_eq!(clock.state(), SourceState::Active);
    }

    #[test]
    fn a_rewound_partition_is_not_idle_until_it_is_read_to_its_end_again() {
        let mut clock = clock();
        clock.observe(100 * SECOND, 1000 * SECOND);
        clock.caught_up(1000 * SECOND);
        assert_eq!(clock.progress(1100 * SECOND).state, SourceState::Idle);
        clock.committed();
        clock.rewind();
        let progress = clock.progress(1200 * SECOND);
        assert_eq!(
            (progress.state, progress.watermark_ns),
            (SourceState::Active, 95 * SECOND)
        );
        clock.caught_up(1200 * SECOND);
        assert_eq!(clock.progress(1300 * SECOND).state, SourceState::Idle);
    }
}
