//! Stage 2: the records of one exchange partition become findings and rollup rows.

mod saved;

use std::sync::Arc;

use arrow::array::RecordBatch;
use rustc_hash::FxHashMap;

use crate::budget::Budget;
use crate::correlate::{GroupEvents, Machines, ValueKind, decode_section};
use crate::error::WindowError;
use crate::frame::{Fingerprint, Frame, FrameError, Section, SectionKind, corrupt};
use crate::outcome::{Correlated, GivenUp, Keeper, Outcome, RollupRow, in_order};
use crate::plan::{Member, Plan};
use crate::rollup::{RollupWindows, decode_section as decode_partials, rows_of};
use crate::share::Share;
use crate::source::SourceId;
use crate::sources::Sources;
use crate::watermark::Watermark;

/// The state of one exchange partition: a deterministic function of the records applied, in their order.
///
/// It looks at no clock. Replaying the same records into a new merger gives the same outcomes and leaves the same state.
pub struct Merger {
    plan: Arc<Plan>,
    partition: u32,
    watermark: Watermark,
    sources: Sources,
    correlations: Machines,
    rollups: Vec<RollupWindows>,
    unknown_sections: u64,
    budget: Budget,
}

impl Merger {
    /// The empty state of an exchange partition.
    #[must_use]
    pub fn new(plan: Arc<Plan>, partition: u32) -> Self {
        let rollups = plan.rollups.iter().enumerate();
        let rollups = rollups.map(|(index, plan)| RollupWindows::new(Arc::clone(plan), index));
        Self {
            correlations: Machines::new(&plan.nodes),
            rollups: rollups.collect(),
            partition,
            watermark: Watermark::default(),
            sources: Sources::default(),
            unknown_sections: 0,
            budget: Budget::UNLIMITED,
            plan,
        }
    }

    /// From now on rules keep no more than this, where they do not say otherwise themselves.
    #[must_use]
    pub fn within(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// From now on these rules hold. A rule that means what it meant keeps its state, whatever its place in the plan; what others
    /// had open is dropped. Answers how many kept theirs.
    pub fn adopt(&mut self, plan: &Arc<Plan>) -> usize {
        let mut rollups: FxHashMap<Fingerprint, RollupWindows> = std::mem::take(&mut self.rollups)
            .into_iter()
            .map(|windows| (windows.fingerprint(), windows))
            .collect();
        let mut kept = self.correlations.adopt(&plan.nodes);
        for (index, rollup) in plan.rollups.iter().enumerate() {
            self.rollups
                .push(match rollups.remove(&rollup.fingerprint) {
                    Some(windows) => {
                        kept += 1;
                        windows.adopt(Arc::clone(rollup), index)
                    }
                    None => RollupWindows::new(Arc::clone(rollup), index),
                });
        }
        self.plan = Arc::clone(plan);
        kept
    }

    /// What must be told before `plan` takes over: findings that were told early, and whose rules are not in it, are withdrawn, and
    /// first alerts told with the number of those that were suppressed.
    #[must_use]
    pub fn orphans(&self, plan: &Plan) -> Vec<Outcome> {
        self.last_words(|rule| plan.member(rule).is_none())
    }

    /// What must be told before rules go.
    pub(crate) fn last_words(&self, goes: impl Fn(&Fingerprint) -> bool) -> Vec<Outcome> {
        let mut words = self.correlations.last_words(goes);
        in_order(&mut words);
        words.into_iter().map(Outcome::Correlated).collect()
    }

    /// The fingerprints of the rules that have told findings early which are not final yet.
    pub fn open(&self) -> impl Iterator<Item = [u8; 16]> + '_ {
        self.correlations.open()
    }

    /// The fingerprints of the rules of which a snapshot says what they are: those that tell early.
    pub fn described(&self) -> impl Iterator<Item = [u8; 16]> + '_ {
        self.plan.described()
    }

    /// Applies the next record of the partition: first its data, judged by the watermark as it stands, then its progress. Answers
    /// what that decided, in an order that depends on nothing but what is decided.
    ///
    /// # Errors
    /// When the record is damaged or of another version; it then has had no effect.
    pub fn apply(&mut self, record: &[u8]) -> Result<Vec<Outcome>, FrameError> {
        self.take(record, None)
    }

    /// Applies a record that was written before the exchange had `partitions` partitions: of its data, what belongs to this one now.
    /// The rest is another's.
    ///
    /// # Errors
    /// As [`Merger::apply`].
    pub fn apply_share(
        &mut self,
        record: &[u8],
        partitions: u32,
    ) -> Result<Vec<Outcome>, FrameError> {
        self.take(record, Some(Share::new(self.partition, partitions)))
    }

    fn take(&mut self, record: &[u8], share: Option<Share>) -> Result<Vec<Outcome>, FrameError> {
        let frame = Frame::decode(record)?;
        let mut decoded = Vec::new();
        for section in &frame.sections {
            self.decode(section, &frame.topics, &mut decoded)?;
        }
        if let Some(share) = share {
            self.retain(share, &mut decoded)?;
        }
        let mut outcomes = Vec::new();
        for data in &decoded {
            match data {
                Decoded::Events(index, group) => self.add_events(*index, group, &mut outcomes),
                Decoded::Quotes(index, group) => {
                    self.correlations.add_quotes(*index, group, &self.sources);
                }
                Decoded::Partials(index, partials) => {
                    self.merge(*index, partials, &mut outcomes)?;
                }
            }
        }
        self.revise(&mut outcomes)?;
        let before = self.watermark.get();
        self.watermark.hear(frame.progress);
        let now = self.watermark.get().filter(|now| before != Some(*now));
        self.correlate(now, &mut outcomes);
        if let Some(watermark_ns) = now {
            self.close(watermark_ns, &mut outcomes)?;
        }
        self.give_up(&mut outcomes)?;
        Ok(outcomes)
    }

    /// The exchange partition.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// Event time up to which everything is decided, nanoseconds since the Unix epoch; none while it is not known.
    #[must_use]
    pub fn watermark_ns(&self) -> Option<i64> {
        self.watermark
            .get()
            .filter(|&watermark_ns| watermark_ns != i64::MIN)
    }

    /// Whether every source has ended, and so everything is decided.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.watermark.is_finished()
    }

    /// Approximate bytes of state.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        let rollups: usize = self.rollups.iter().map(RollupWindows::size).sum();
        self.correlations.size() + rollups + self.watermark.size()
    }

    /// How many values correlations of new terms know for certain, and how many they know from a sketch, because there were too many.
    #[must_use]
    pub fn terms(&self) -> (usize, usize) {
        self.correlations.terms()
    }

    /// How many pieces of data were left alone because their rules are not of this plan: they were written under other rules.
    #[must_use]
    pub fn unknown_sections(&self) -> u64 {
        self.unknown_sections
    }

    /// Leaves what belongs to other partitions out.
    fn retain(&self, share: Share, decoded: &mut Vec<Decoded>) -> Result<(), FrameError> {
        decoded.retain(|data| match data {
            Decoded::Events(index, group) | Decoded::Quotes(index, group) => {
                self.plan.nodes.get(*index).is_some_and(|node| {
                    share.has(|partitions| node.partition(&group.key, partitions))
                })
            }
            Decoded::Partials(..) => true,
        });
        for data in decoded.iter_mut() {
            if let Decoded::Partials(index, partials) = data
                && let Some(plan) = self.plan.rollups.get(*index)
            {
                let own = rows_of(plan, partials, share);
                *partials = own.map_err(|error| self.defect(*index, &error))?;
            }
        }
        decoded.retain(
            |data| !matches!(data, Decoded::Partials(_, partials) if partials.num_rows() == 0),
        );
        Ok(())
    }

    fn decode(
        &mut self,
        section: &Section,
        topics: &[Arc<str>],
        decoded: &mut Vec<Decoded>,
    ) -> Result<(), FrameError> {
        match section.kind {
            SectionKind::Events
            | SectionKind::Numbers
            | SectionKind::Tuples
            | SectionKind::Quotes => {
                let quotes = section.kind == SectionKind::Quotes;
                let values = match section.kind {
                    SectionKind::Numbers => ValueKind::Number,
                    SectionKind::Tuples | SectionKind::Quotes => ValueKind::Tuple,
                    _ => ValueKind::None,
                };
                let sources = &mut self.sources;
                let groups = decode_section(section, values, |topic, partition| {
                    let topic = topics.get(topic as usize);
                    let topic = topic.ok_or_else(|| corrupt("an event of a topic without name"))?;
                    let topic = Arc::clone(topic);
                    Ok(sources.number(&SourceId { topic, partition }))
                })?;
                for group in groups {
                    match self.plan.member(&group.rule) {
                        Some(Member::Correlation(index)) => {
                            self.check(index, (!quotes).then_some(values), &group)?;
                            decoded.push(match quotes {
                                true => Decoded::Quotes(index, group),
                                false => Decoded::Events(index, group),
                            });
                        }
                        Some(Member::Rollup(_)) => return Err(corrupt("events of a rollup")),
                        None => self.unknown_sections += 1,
                    }
                }
            }
            SectionKind::Rollup => {
                let [rule] = section.rules.as_slice() else {
                    return Err(corrupt("partials of several rules in one section"));
                };
                match self.plan.member(rule) {
                    Some(Member::Rollup(index)) => {
                        let plan = self.plan.rollups.get(index);
                        let plan = plan.ok_or_else(|| corrupt("partials of no rule"))?;
                        decoded.push(Decoded::Partials(index, decode_partials(plan, section)?));
                    }
                    Some(Member::Correlation(_)) => {
                        return Err(corrupt("partials of a correlation"));
                    }
                    None => self.unknown_sections += 1,
                }
            }
        }
        Ok(())
    }

    fn check(
        &self,
        index: usize,
        values: Option<ValueKind>,
        group: &GroupEvents,
    ) -> Result<(), FrameError> {
        let fits = self.plan.nodes.get(index).is_some_and(|node| {
            group.key_values == node.names().count()
                && values.is_none_or(|values| values == node.values)
                && group
                    .events
                    .iter()
                    .all(|event| node.takes_events_of(event.position))
        });
        if fits {
            Ok(())
        } else {
            Err(corrupt("events that do not fit their rule"))
        }
    }

    fn add_events(&mut self, index: usize, group: &GroupEvents, outcomes: &mut Vec<Outcome>) {
        let mut late = Vec::new();
        self.correlations
            .add(index, group, self.watermark.get(), &self.sources, &mut late);
        outcomes.extend(late.into_iter().map(Outcome::Late));
    }

    fn merge(
        &mut self,
        index: usize,
        partials: &RecordBatch,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), FrameError> {
        let Some(windows) = self.rollups.get_mut(index) else {
            return Ok(());
        };
        let mut late = Vec::new();
        let merged = windows.merge(partials, self.watermark.get(), &mut late);
        outcomes.extend(late.into_iter().map(Outcome::Late));
        merged.map_err(|error| self.defect(index, &error))
    }

    /// Rows of rollups that late data of this record has changed.
    fn revise(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), FrameError> {
        let mut rows: Vec<RollupRow> = Vec::new();
        for index in 0..self.rollups.len() {
            if let Some(windows) = self.rollups.get_mut(index) {
                let revised = windows.revise(&mut rows);
                revised.map_err(|error| self.defect(index, &error))?;
            }
        }
        outcomes.extend(rows.into_iter().map(Outcome::Rollup));
        Ok(())
    }

    /// What correlations have found by the record and, if it has moved the watermark, by where that is now.
    fn correlate(&mut self, watermark_ns: Option<i64>, outcomes: &mut Vec<Outcome>) {
        let mut found: Vec<Correlated> = Vec::new();
        if let Some(watermark_ns) = watermark_ns {
            self.correlations
                .advance(watermark_ns, &self.sources, &mut found);
        }
        let given_up = self
            .correlations
            .give_up(&self.budget, &self.sources, &mut found);
        self.correlations
            .tell(self.watermark.get(), &self.sources, &mut found);
        in_order(&mut found);
        outcomes.extend(found.into_iter().map(Outcome::Correlated));
        outcomes.extend(given_up.into_iter().map(Outcome::GivenUp));
    }

    /// Closes the windows of rollups that the watermark has passed.
    fn close(&mut self, watermark_ns: i64, outcomes: &mut Vec<Outcome>) -> Result<(), FrameError> {
        let mut rows: Vec<RollupRow> = Vec::new();
        for index in 0..self.rollups.len() {
            if let Some(windows) = self.rollups.get_mut(index) {
                let closed = windows.close(watermark_ns, &mut rows);
                closed.map_err(|error| self.defect(index, &error))?;
            }
        }
        // Each rollup's rows are in the order of their keys already.
        rows.sort_by_key(|row| (row.start_ns, row.rule));
        outcomes.extend(rows.into_iter().map(Outcome::Rollup));
        Ok(())
    }

    /// Gives groups of rollups up where one keeps more than it may.
    fn give_up(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), FrameError> {
        let mut rows: Vec<RollupRow> = Vec::new();
        let mut given_up = Vec::new();
        for index in 0..self.rollups.len() {
            if let (Some(windows), Some(plan)) =
                (self.rollups.get_mut(index), self.plan.rollups.get(index))
            {
                let share = self.budget.share(&plan.rule.header.state);
                let gone = windows.give_up(share, &mut rows);
                let groups = gone.map_err(|error| self.defect(index, &error))?;
                if groups > 0 {
                    let rule = Keeper::Rollup(index);
                    given_up.push(GivenUp { rule, groups });
                }
            }
        }
        rows.sort_by_key(|row| (row.start_ns, row.rule));
        outcomes.extend(rows.into_iter().map(Outcome::Rollup));
        outcomes.extend(given_up.into_iter().map(Outcome::GivenUp));
        Ok(())
    }

    /// Groups and bytes of each rollup, by its own account.
    #[cfg(test)]
    pub(crate) fn rollups_hold(&self) -> Vec<(usize, usize)> {
        self.rollups.iter().map(RollupWindows::holds).collect()
    }

    fn defect(&self, index: usize, error: &WindowError) -> FrameError {
        let rule = self
            .plan
            .rollups
            .get(index)
            .map(|plan| Arc::clone(&plan.rule.header.id));
        FrameError::Merge {
            rule: rule.unwrap_or_default(),
            reason: error.to_string(),
        }
    }
}

/// Data of a record, ready to be merged.
enum Decoded {
    /// Of a correlation.
    Events(usize, GroupEvents),
    /// The first of them, as they came.
    Quotes(usize, GroupEvents),
    /// Of a rollup.
    Partials(usize, RecordBatch),
}
