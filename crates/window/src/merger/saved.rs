//! The state of an exchange partition as a snapshot.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Merger;
use crate::correlate::Names;
use crate::frame::{Bytes, Fingerprint, FrameError, Topics, corrupt, put_count};
use crate::plan::{Member, Plan};
use crate::share::Share;
use crate::snapshot::{Chunk, Gathered, Kind, SnapshotError, Writer, put_text};
use crate::sources::Sources;
use crate::watermark::Watermark;

impl Merger {
    /// Writes the state, which is that after all records before `offset`, as chunks of at most about `limit` bytes; `sink` is given
    /// each with its place in the snapshot. Answers the digest that the snapshot is named by. The state is as before.
    ///
    /// # Errors
    /// When the states of a rollup cannot be written, which is a defect. What `sink` was given is then no snapshot.
    pub fn snapshot(
        &mut self,
        offset: i64,
        limit: usize,
        sink: &mut dyn FnMut(u32, &[u8]),
    ) -> Result<[u8; 32], FrameError> {
        let mut writer = Writer::new(self.partition, offset, limit, sink);
        writer.begin(Kind::Time, &[0; 16], &[]);
        writer.item(|bytes| {
            let mut topics = Topics::default();
            let mut rest = Vec::new();
            self.sources.save(&mut topics, &mut rest);
            self.watermark.save(&mut topics, &mut rest);
            rest.extend(self.unknown_sections.to_le_bytes());
            put_count(bytes, topics.names().len());
            topics
                .names()
                .iter()
                .for_each(|topic| put_text(bytes, topic));
            bytes.extend(rest);
        });
        writer.finish();
        self.correlations
            .save(&self.plan.ids, &self.sources, &mut writer);
        for index in 0..self.rollups.len() {
            if let Some(windows) = self.rollups.get_mut(index) {
                let saved = windows.save(&mut writer);
                saved.map_err(|error| self.defect(index, &error))?;
            }
        }
        Ok(writer.end())
    }

    /// The state that a snapshot holds, under these rules: those that mean what they meant when it was written have what they had,
    /// others are empty. With `partitions`, it was written before the exchange had so many, and what belongs to other partitions now is
    /// left out. Answers also how many rules of the snapshot are not of this plan.
    ///
    /// # Errors
    /// When the snapshot is damaged, or written in another layout.
    pub fn restore(
        plan: Arc<Plan>,
        partition: u32,
        snapshot: Gathered,
        partitions: Option<u32>,
    ) -> Result<(Self, usize), SnapshotError> {
        let mut restoring = Restoring::new(&plan, partition, partitions);
        // Each is dropped as soon as it was taken in: a state is large.
        for chunk in snapshot.chunks {
            restoring.take(&chunk)?;
        }
        Ok(restoring.finish())
    }

    /// As [`Merger::restore`], leaving the snapshot for others.
    pub(crate) fn restore_from(
        plan: &Arc<Plan>,
        partition: u32,
        snapshot: &Gathered,
        partitions: Option<u32>,
    ) -> Result<Self, SnapshotError> {
        let mut restoring = Restoring::new(plan, partition, partitions);
        for chunk in &snapshot.chunks {
            restoring.take(chunk)?;
        }
        Ok(restoring.finish().0)
    }

    fn load_time(&mut self, bytes: &mut Bytes<'_>) -> Result<(), FrameError> {
        let topics = bytes.list("topics", 4, |bytes| bytes.text("topic"))?;
        self.sources = Sources::load(&topics, bytes)?;
        self.watermark = Watermark::load(&topics, bytes)?;
        self.unknown_sections = u64::from_le_bytes(bytes.array("sections")?);
        Ok(())
    }
}

/// A state on its way out of a snapshot.
struct Restoring<'a> {
    plan: &'a Plan,
    names: Names<'a>,
    share: Option<Share>,
    merger: Merger,
    unknown: FxHashSet<Fingerprint>,
}

impl<'a> Restoring<'a> {
    fn new(plan: &'a Arc<Plan>, partition: u32, partitions: Option<u32>) -> Self {
        Self {
            names: Names::of(&plan.ids),
            share: partitions.map(|partitions| Share::new(partition, partitions)),
            merger: Merger::new(Arc::clone(plan), partition),
            unknown: FxHashSet::default(),
            plan,
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), SnapshotError> {
        let mut chunk = Chunk::decode(chunk)?;
        let (merger, member) = (&mut self.merger, self.plan.member(&chunk.rule));
        match (chunk.kind, member) {
            (Kind::Time, _) => merger.load_time(&mut chunk.body)?,
            // The rule is known, and as it was.
            (Kind::End, _) | (Kind::Rule, Some(_)) => return Ok(()),
            (_, None) => {
                self.unknown.insert(chunk.rule);
            }
            (_, Some(Member::Correlation(node))) => {
                let (correlations, sources) = (&mut merger.correlations, &merger.sources);
                correlations.load(node, &mut chunk, &self.names, sources, self.share)?;
            }
            (_, Some(Member::Rollup(index))) => {
                let windows = merger.rollups.get_mut(index);
                windows
                    .ok_or_else(|| corrupt("windows of no rule"))?
                    .load(&mut chunk, self.share)?;
            }
        }
        if !chunk.body.is_empty() && member.is_some() {
            return Err(corrupt("bytes follow the end of a chunk").into());
        }
        Ok(())
    }

    /// The state, and how many rules of the snapshot are not of the plan.
    fn finish(mut self) -> (Merger, usize) {
        if self.share.is_some() {
            self.merger.correlations.forget_unused();
        }
        (self.merger, self.unknown.len())
    }
}
