//! Stage 1: source records are decoded, matched against the detections and aggregated into partials.
//!
//! It keeps nothing across a commit: partials are drained into the exchange, and the one thing that has to outlive a
//! change of owner, how far event time has come in a partition, is committed as the metadata of its offset.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use haechi_decode::{Decoded, Row};
use haechi_detect::Hits;
use haechi_log::{Assignment, Records, Start, TopicPartition, Topology};
use haechi_window::{
    Partials, Progress, RowOrigins, SourceClock, SourceId, SourceProgress, SourceState,
};

use crate::error::StageError;
use crate::pipeline::Pipeline;
use crate::program::Program;
use crate::settings::{Input, Settings};
use crate::skew::Standing;

/// The source partitions of one worker, and one decoder and detector per input.
pub struct Stage1 {
    program: Arc<Program>,
    settings: Arc<Settings>,
    /// Detectors take note of what rules and fields cost.
    profiled: bool,
    pipelines: BTreeMap<usize, Pipeline>,
    partitions: BTreeMap<TopicPartition, SourcePartition>,
    topology: Topology,
    /// The topology is that of the last assignment.
    knows_topology: bool,
}

struct SourcePartition {
    input: usize,
    clock: SourceClock,
    start: Start,
    position: Option<i64>,
    committed: Option<i64>,
    /// Its owner's epoch was committed, with its offset.
    anchored: bool,
    spoken: Option<SourceProgress>,
    /// Records came since its watermark was last announced.
    moved: bool,
}

/// A batch, with the input it came through.
pub struct DecodedBatch {
    input: usize,
    decoded: Decoded,
}

impl std::ops::Deref for DecodedBatch {
    type Target = Decoded;
    fn deref(&self) -> &Decoded {
        &self.decoded
    }
}

impl Stage1 {
    /// Owning nothing yet. When `profiled`, detection says what its time goes into.
    #[must_use]
    pub fn new(program: &Arc<Program>, settings: &Arc<Settings>, profiled: bool) -> Self {
        Self {
            program: Arc::clone(program),
            settings: Arc::clone(settings),
            profiled,
            pipelines: BTreeMap::new(),
            partitions: BTreeMap::new(),
            topology: Topology::default(),
            knows_topology: false,
        }
    }

    /// From now on these rules hold. Partitions, and how far event time has come in them, stay as they are.
    pub fn adopt(&mut self, program: &Arc<Program>) {
        self.program = Arc::clone(program);
        self.pipelines.clear();
        for partition in self.partitions.values_mut() {
            partition.spoken = None;
        }
    }

    /// How far each partition has been read.
    pub fn positions(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        let partitions = self.partitions.iter();
        partitions
            .filter_map(|(at, partition)| Some((at, partition.position.or(partition.committed)?)))
    }

    /// Takes a partition over; answers where to begin reading.
    pub fn open(&mut self, assignment: &Assignment, now_ns: i64) -> Start {
        let topic = &assignment.at.topic;
        let of_topic = |input: &Arc<Input>| input.topics.iter().any(|filter| filter.matches(topic));
        let index = self.settings.inputs.iter().position(of_topic);
        let Some((index, input)) =
            index.and_then(|index| Some((index, self.settings.inputs.get(index)?)))
        else {
            // The group subscribes to what the inputs name, so this is a topic that two releases disagree about.
            tracing::warn!(partition = %assignment.at, "no input reads this topic: left alone");
            return Start::Latest;
        };
        let source = SourceId {
            topic: Arc::clone(topic),
            partition: assignment.at.partition,
        };
        let mut clock = SourceClock::new(source, input.lateness, input.idle_timeout, now_ns);
        let start = match &assignment.committed {
            Some(committed) => {
                clock.restore(&committed.metadata);
                Start::At(committed.offset)
            }
            None => input.start,
        };
        let partition = SourcePartition {
            input: index,
            clock,
            start: input.start,
            position: None,
            committed: assignment
                .committed
                .as_ref()
                .map(|committed| committed.offset),
            anchored: false,
            spoken: None,
            moved: false,
        };
        self.partitions.insert(assignment.at.clone(), partition);
        start
    }

    /// Lets a partition go.
    pub fn close(&mut self, at: &TopicPartition) {
        self.partitions.remove(at);
    }

    /// All source topics and their partition counts, as the log knows them now.
    pub fn set_topology(&mut self, topology: Topology) {
        self.topology = topology;
        self.knows_topology = true;
    }

    /// The assignment has changed, perhaps because the topics have: what they are now is still to be asked.
    pub fn doubt_topology(&mut self) {
        self.knows_topology = false;
    }

    /// Whether the topology is that of the last assignment.
    #[must_use]
    pub fn knows_topology(&self) -> bool {
        self.knows_topology
    }

    /// Nobody has looked at the partitions for a while: they were not silent, as far as anyone knows.
    pub fn overlooked(&mut self, now_ns: i64) {
        for partition in self.partitions.values_mut() {
            partition.clock.overlooked(now_ns);
        }
    }

    /// Bytes to a record batch with the fields that the rules want. Records of a partition that is not owned
    /// (handed over in the same poll) give an empty batch.
    ///
    /// # Errors
    /// When the input cannot be decoded as declared.
    pub fn decode(
        &mut self,
        records: &Records,
        now_ns: i64,
    ) -> Result<Option<DecodedBatch>, StageError> {
        let Some(input) = self
            .partitions
            .get(&records.at)
            .map(|partition| partition.input)
        else {
            return Ok(None);
        };
        let pipeline = self.pipeline(input)?;
        let rows = records.iter().map(|record| Row {
            payload: record.payload,
            timestamp_ns: record.timestamp_ns,
        });
        let decoded = pipeline.decoder.decode(rows, now_ns);
        pipeline.learn_classes();
        Ok(Some(DecodedBatch { input, decoded }))
    }

    /// Which rules match which rows.
    ///
    /// # Errors
    /// When the batch is not shaped as the plan expects.
    pub fn detect(&mut self, batch: &DecodedBatch) -> Result<Hits, StageError> {
        Ok(self
            .pipeline(batch.input)?
            .detector
            .detect(&batch.decoded.batch)?)
    }

    /// What the detections of each input cost, if this worker takes note of that.
    pub(crate) fn profiles(&self) -> impl Iterator<Item = haechi_detect::Profile> + '_ {
        let pipelines = self.pipelines.values();
        pipelines.filter_map(|pipeline| pipeline.detector.profile())
    }

    /// Adds the batch and its hits to the partial aggregates.
    ///
    /// # Errors
    /// When an expression of a rollup cannot be evaluated over the batch.
    pub fn aggregate(
        &mut self,
        records: &Records,
        batch: &DecodedBatch,
        hits: &Hits,
        partials: &mut Partials,
    ) -> Result<(), StageError> {
        if !self.program.aggregates() {
            return Ok(());
        }
        let name = self
            .settings
            .inputs
            .get(batch.input)
            .map_or("", |input| &input.name);
        let offsets: Vec<i64> = batch
            .source_row
            .iter()
            .filter_map(|&row| Some(records.get(row as usize)?.offset))
            .collect();
        let rows = batch.source_row.iter();
        let payload = |row: &u32| records.get(*row as usize).and_then(|record| record.payload);
        let payloads: Vec<Option<&[u8]>> = match self.program.aggregations.quotes() {
            true => rows.map(payload).collect(),
            false => Vec::new(),
        };
        let origin = RowOrigins {
            topic: &records.at.topic,
            partition: records.partition,
            offsets: &offsets,
            payloads: &payloads,
        };
        let hits: Vec<(u32, u32)> = hits.hits.iter().map(|hit| (hit.rule, hit.row)).collect();
        let pipeline = self.pipelines.get(&batch.input);
        let classes = pipeline.map_or(&[][..], |pipeline| &pipeline.classes);
        Ok(partials.add(&batch.decoded.batch, classes, &hits, origin, name)?)
    }

    /// The batch is done: event time and position move on.
    pub fn advance(&mut self, records: &Records, batch: &DecodedBatch, now_ns: i64) {
        if let Some(partition) = self.partitions.get_mut(&records.at) {
            match batch.frontier_ns {
                Some(frontier) => partition.clock.observe(frontier, now_ns),
                None => partition.clock.woke(now_ns),
            }
            partition.position = Some(records.next_offset());
            partition.moved = true;
        }
    }

    /// A partition has been read to the end it had, `offset` (past the last record there may be transaction markers);
    /// in a bounded run that is the end of it.
    pub fn caught_up(&mut self, at: &TopicPartition, offset: i64, bounded: bool, now_ns: i64) {
        if let Some(partition) = self.partitions.get_mut(at) {
            let position = partition.position.unwrap_or(offset);
            partition.position = Some(position.max(offset));
            partition.clock.caught_up(now_ns);
            if bounded {
                partition.clock.end();
            }
        }
    }

    /// What there is to say about event time. It is announced to all when a partition has moved, changed its state or
    /// not spoken since it was taken over, or when the heartbeat is due.
    ///
    /// A partition speaks only once its epoch has been committed. Otherwise the next owner, whose clock may be behind,
    /// could speak with a lower one and would never be heard.
    pub fn progress(&mut self, now_ns: i64, heartbeat: bool) -> Progress {
        let mut announce = heartbeat && self.can_speak();
        let mut sources = Vec::with_capacity(self.partitions.len());
        let speaking = |partition: &&mut SourcePartition| partition.anchored;
        for partition in self.partitions.values_mut().filter(speaking) {
            let progress = partition.clock.progress(now_ns);
            announce |= partition.moved || !partition.has_said(&progress);
            sources.push(progress);
        }
        if announce {
            let speaking = self.partitions.values_mut().filter(speaking);
            for (partition, progress) in speaking.zip(&sources) {
                partition.spoken = Some(progress.clone());
                partition.moved = false;
            }
        }
        Progress {
            // No roster says nothing; a stale one would take partitions away that others have announced.
            roster: if self.knows_topology {
                self.topology.topics.clone()
            } else {
                Vec::new()
            },
            sources,
            announce,
        }
    }

    /// Whether some partition can speak.
    #[must_use]
    pub fn can_speak(&self) -> bool {
        self.partitions.values().any(|partition| partition.anchored)
    }

    /// Whether a partition has something to say or to commit that cannot wait for the heartbeat.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let aggregates = self.program.aggregates();
        self.partitions.values().any(|partition| {
            let said = |spoken: &SourceProgress| spoken.state == partition.clock.state();
            let silent = aggregates && !partition.spoken.as_ref().is_some_and(said);
            partition.offset().is_some() && (!partition.anchored || silent)
        })
    }

    /// How far each partition has been read and, as metadata, how far event time has come in it: of those that were read
    /// further, and of those that were just taken over.
    pub fn offsets(&self) -> impl Iterator<Item = (TopicPartition, i64, String)> + '_ {
        let changed = |(_, partition): &(&TopicPartition, &SourcePartition)| {
            !partition.anchored || partition.offset() != partition.committed
        };
        let changed = self.partitions.iter().filter(changed);
        changed.filter_map(|(at, partition)| partition.to_commit(at))
    }

    /// Some partition's offset, changed or not. Committed along with what is said, it has the group check that whoever says
    /// it is still a member: nobody shall speak for partitions that are others' now.
    #[must_use]
    pub fn credential(&self) -> Option<(TopicPartition, i64, String)> {
        let mut partitions = self.partitions.iter();
        partitions.find_map(|(at, partition)| partition.to_commit(at))
    }

    /// The offsets of [`Self::offsets`] are now committed.
    pub fn committed(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.committed = partition.offset();
            partition.anchored |= partition.committed.is_some();
            partition.clock.committed();
        }
    }

    /// Forgets what was not committed; answers where to read again.
    pub fn rewind(&mut self) -> Vec<(TopicPartition, Start)> {
        let rewind = |(at, partition): (&TopicPartition, &mut SourcePartition)| {
            partition.position = None;
            partition.spoken = None;
            partition.clock.rewind();
            (
                at.clone(),
                partition.committed.map_or(partition.start, Start::At),
            )
        };
        self.partitions.iter_mut().map(rewind).collect()
    }

    /// Whether every partition has ended and has said so (bounded runs).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let aggregates = self.program.aggregates();
        self.partitions.values().all(|partition| {
            let said = partition
                .spoken
                .as_ref()
                .is_some_and(|spoken| spoken.state == SourceState::Ended);
            partition.clock.state() == SourceState::Ended && (said || !aggregates)
        })
    }

    /// Whether there are partitions and nothing more comes of any of them (bounded runs).
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut states = self
            .partitions
            .values()
            .map(|partition| partition.clock.state());
        !self.partitions.is_empty() && states.all(|state| state == SourceState::Ended)
    }

    /// Event time of each partition, nanoseconds; those not yet known are left out.
    pub fn watermarks(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.partitions
            .iter()
            .filter_map(|(at, partition)| Some((at, partition.clock.watermark_ns()?)))
    }

    /// How far event time has come in each partition.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<TopicPartition, Standing> {
        let standing = |partition: &SourcePartition| match partition.clock.state() {
            SourceState::Active => partition
                .clock
                .watermark_ns()
                .map_or(Standing::Unknown, Standing::At),
            SourceState::Idle => Standing::Idle,
            SourceState::Ended => Standing::Ended,
        };
        let partitions = self.partitions.iter();
        partitions
            .map(|(at, partition)| (at.clone(), standing(partition)))
            .collect()
    }

    /// These partitions are not read for now.
    pub fn hold(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            if let Some(partition) = self.partitions.get_mut(at) {
                partition.clock.hold();
            }
        }
    }

    /// These partitions are read again.
    pub fn release(&mut self, partitions: &[TopicPartition], now_ns: i64) {
        for at in partitions {
            if let Some(partition) = self.partitions.get_mut(at) {
                partition.clock.release(now_ns);
            }
        }
    }

    /// How many partitions are owned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// How many source partitions the group shares out, as the log knew them at the last assignment.
    #[must_use]
    pub fn shared_out(&self) -> usize {
        let counts = self
            .topology
            .topics
            .iter()
            .map(|(_, partitions)| *partitions);
        counts.filter_map(|count| usize::try_from(count).ok()).sum()
    }

    /// Whether none is owned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    fn pipeline(&mut self, input: usize) -> Result<&mut Pipeline, StageError> {
        match self.pipelines.entry(input) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let declared = self
                    .settings
                    .inputs
                    .get(input)
                    .ok_or(StageError::UnknownInput(input))?;
                let mut pipeline = Pipeline::new(declared, &self.program, &self.settings)?;
                if self.profiled {
                    pipeline.detector.profile_from_now();
                }
                Ok(entry.insert(pipeline))
            }
        }
    }
}

impl SourcePartition {
    /// The next offset to read, if it is known.
    fn offset(&self) -> Option<i64> {
        self.position.or(self.committed)
    }

    fn to_commit(&self, at: &TopicPartition) -> Option<(TopicPartition, i64, String)> {
        Some((at.clone(), self.offset()?, self.clock.metadata()))
    }

    /// Whether what is to be said was said already. An idle partition's time passes by itself: that can wait.
    fn has_said(&self, progress: &SourceProgress) -> bool {
        self.spoken.as_ref().is_some_and(|spoken| {
            spoken.state == progress.state
                && (spoken.watermark_ns == progress.watermark_ns
                    || progress.state == SourceState::Idle)
        })
    }
}
