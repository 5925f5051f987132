//! Rules that have told something early, and were taken away while nobody ran.
//!
//! Whoever takes over has other rules, and yet what was told has to be told to its end. So a snapshot says of each rule that tells
//! early what it is. Under those that are gone the state is read back too, beside that of the rules of today, and goes on silently
//! up to where the work was left; what is open there is withdrawn, as it is when rules change in a running worker.

use std::sync::Arc;

use haechi_rules::{Excerpt, RuleSet};
use rustc_hash::FxHashSet;

use crate::budget::Budget;
use crate::frame::{Fingerprint, FrameError};
use crate::merger::Merger;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::snapshot::{Gathered, SnapshotError};
use crate::tables::Tables;

/// What the rules of a snapshot that tell early, and are of the plan no longer, have left open in one exchange partition.
pub struct Retired {
    rules: RuleSet,
    /// Those that are gone. Those that they refer to need not be.
    gone: FxHashSet<Fingerprint>,
    merger: Merger,
}

impl Retired {
    /// Those of a snapshot; none when `plan` has all of its rules that tell early. The rest as for [`Merger::restore`].
    ///
    /// # Errors
    /// When the snapshot is damaged, or written in another layout.
    pub fn of(
        plan: &Plan,
        partition: u32,
        snapshot: &Gathered,
        partitions: Option<u32>,
        budget: Budget,
    ) -> Result<Option<Self>, SnapshotError> {
        let (mut rules, mut gone) = (RuleSet::default(), FxHashSet::default());
        for (fingerprint, excerpt) in &snapshot.rules {
            // One that another release wrote, and that says what this one does not know, cannot be told to its end.
            if plan.member(fingerprint).is_none()
                && let Ok(excerpt) = Excerpt::from_json(excerpt)
            {
                excerpt.add_to(&mut rules);
                gone.insert(*fingerprint);
            }
        }
        if rules.correlations.is_empty() {
            return Ok(None);
        }
        let Ok(old) = Plan::compile(&rules, &Tables::new([])) else {
            return Ok(None);
        };
        let merger = Merger::restore_from(&Arc::new(old), partition, snapshot, partitions)?;
        Ok(Some(Self {
            rules,
            gone,
            merger: merger.within(budget),
        }))
    }

    /// Applies the next record, which was answered for: what comes of it was told. With `partitions` as [`Merger::apply_share`].
    ///
    /// # Errors
    /// As [`Merger::apply`].
    pub fn apply(&mut self, record: &[u8], partitions: Option<u32>) -> Result<(), FrameError> {
        match partitions {
            Some(partitions) => self.merger.apply_share(record, partitions),
            None => self.merger.apply(record),
        }
        .map(|_| ())
    }

    /// The last words, and the rules whose they are.
    #[must_use]
    pub fn leave(self) -> (RuleSet, Vec<Outcome>) {
        let words = self.merger.last_words(|rule| self.gone.contains(rule));
        (self.rules, words)
    }
}
