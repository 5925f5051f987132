//! Where the time of a run goes: by stage, and within detection by field and rule.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use haechi_detect as detect;

/// What a worker does with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for records.
    Wait,
    /// Bytes to batches.
    Decode,
    /// Batches to hits.
    Detect,
    /// Hits and events to partial aggregates, and those to results.
    Aggregate,
    /// Results to messages, and their commit.
    Emit,
}

impl Stage {
    /// All of them, in the order of the pipeline.
    pub const ALL: [Self; 5] = [
        Self::Wait,
        Self::Decode,
        Self::Detect,
        Self::Aggregate,
        Self::Emit,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Decode => "decode",
            Self::Detect => "detect",
            Self::Aggregate => "aggregate",
            Self::Emit => "emit",
        }
    }
}

/// What the workers of a run did.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    stages: [Duration; Stage::ALL.len()],
    /// What the detections cost, of all inputs.
    pub detections: detect::Profile,
}

impl Profile {
    /// The time of a stage, of all workers together.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> Duration {
        self.stages.get(stage as usize).copied().unwrap_or_default()
    }
}

/// Gathers what the workers did as they end.
#[derive(Debug, Default)]
pub struct Profiler {
    profile: Mutex<Profile>,
}

impl Profiler {
    /// What the workers that have ended did.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// One worker's stopwatch; without a profiler it stands still.
#[derive(Debug)]
pub(crate) struct Laps {
    profiler: Option<Arc<Profiler>>,
    stages: [Duration; Stage::ALL.len()],
    last: Instant,
}

impl Laps {
    pub(crate) fn new(profiler: Option<Arc<Profiler>>) -> Self {
        Self {
            profiler,
            stages: [Duration::ZERO; Stage::ALL.len()],
            last: Instant::now(),
        }
    }

    /// What happened since the last call was this.
    pub(crate) fn was(&mut self, stage: Stage) {
        if self.profiler.is_none() {
            return;
        }
        let now = Instant::now();
        if let Some(time) = self.stages.get_mut(stage as usize) {
            *time += now - self.last;
        }
        self.last = now;
    }

    /// The worker ends.
    pub(crate) fn hand_in(&self, detections: impl Iterator<Item = detect::Profile>) {
        let Some(profiler) = &self.profiler else {
            return;
        };
        let mut all = profiler
            .profile
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (time, mine) in all.stages.iter_mut().zip(self.stages) {
            *time += mine;
        }
        for detections in detections {
            all.detections.add(&detections);
        }
    }
}
