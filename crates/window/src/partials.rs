//! Stage 1: batches and hits become partial aggregates, which a commit drains into the exchange.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use arrow::array::RecordBatch;
use haechi_rules::Logsource;
use rustc_hash::FxHashMap;

use crate::batch::{self, FieldColumn, First};
use crate::bounded::bounded;
use crate::correlate::{Event, Node, NodePartials, SectionWriters, ValueColumns, group_key};
use crate::error::WindowError;
use crate::frame::{Frame, Section, Topics};
use crate::plan::Plan;
use crate::rollup::{ColumnCache, RollupPartials};
use crate::source::{Progress, SourceId};
use crate::sources::Sources;

/// Exchange records are cut at this many bytes, below Kafka's customary limit of 1 MiB for a record.
const RECORD_LIMIT: usize = 900_000;

/// Where the rows of a batch come from, for coordinates.
#[derive(Debug, Clone, Copy)]
pub struct RowOrigins<'a> {
    /// The topic.
    pub topic: &'a Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset of each row; as many as the batch has rows.
    pub offsets: &'a [i64],
    /// The record of each row as it came, where [`Plan::quotes`] says that they are wanted; else empty.
    pub payloads: &'a [Option<&'a [u8]>],
}

/// The partial aggregates of one worker since its last commit.
pub struct Partials {
    plan: Arc<Plan>,
    partitions: u32,
    record_limit: usize,
    sources: Sources,
    correlations: Vec<NodePartials>,
    rollups: Vec<RollupPartials>,
}

impl Partials {
    /// Empty partials for an exchange of this many partitions.
    #[must_use]
    pub fn new(plan: Arc<Plan>, exchange_partitions: u32) -> Self {
        let correlations = plan
            .nodes
            .iter()
            .map(|node| NodePartials::new(Arc::clone(node)));
        let rollups = plan
            .rollups
            .iter()
            .map(|plan| RollupPartials::new(Arc::clone(plan)));
        Self {
            correlations: correlations.collect(),
            rollups: rollups.collect(),
            partitions: exchange_partitions.max(1),
            record_limit: RECORD_LIMIT,
            sources: Sources::default(),
            plan,
        }
    }

    /// Cuts records at about this many bytes instead of 900,000. A single group's state that is larger still is one record.
    #[must_use]
    pub fn with_record_limit(mut self, bytes: usize) -> Self {
        self.record_limit = bytes;
        self
    }

    /// Adds a batch as decoding made it. `classes` are the logsources of each event class (index: the batch's `_class` column),
    /// `hits` the detections' matches as (index into `RuleSet::detections`, row of the batch), and `input` the name of the input.
    ///
    /// # Errors
    /// When the batch is not shaped as decoding makes batches. No data makes it fail.
    pub fn add(
        &mut self,
        batch: &RecordBatch,
        classes: &[Vec<Logsource>],
        hits: &[(u32, u32)],
        rows: RowOrigins<'_>,
        input: &str,
    ) -> Result<(), WindowError> {
        self.add_hits(batch, hits, rows)?;
        let mut cache = ColumnCache::default();
        for rollup in &mut self.rollups {
            rollup.add(batch, classes, rows, input, &mut cache)?;
        }
        Ok(())
    }

    /// Everything added since the last drain, as (exchange partition, record). A destination gets several records when one
    /// would be too large; the last of them carries the progress, so that no watermark comes before what it covers. Partitions
    /// without data get a record when `progress.announce` says so. Records of one partition must be sent in the order given.
    ///
    /// # Errors
    /// When a partial cannot be encoded, which no data causes.
    pub fn drain(&mut self, progress: &Progress) -> Result<Vec<(u32, Vec<u8>)>, WindowError> {
        let mut topics = Topics::default();
        let sections = self.sections(&mut topics)?;
        self.sources = Sources::default();
        let mut records = Vec::new();
        for (partition, sections) in (0..).zip(sections) {
            let mut frame = Frame::default();
            let mut bytes = 0;
            for section in sections {
                let more = section.encoded_len();
                if bytes + more > self.record_limit && !frame.sections.is_empty() {
                    frame.topics = topics.names().to_vec();
                    records.push((partition, std::mem::take(&mut frame).encode()));
                    bytes = 0;
                }
                bytes += more;
                frame.sections.push(section);
            }
            if !frame.sections.is_empty() || progress.announce {
                frame.topics = topics.names().to_vec();
                frame.progress = progress.clone();
                records.push((partition, frame.encode()));
            }
        }
        Ok(records)
    }

    /// Forgets everything added since the last drain: it will be read again.
    pub fn clear(&mut self) {
        self.correlations.iter_mut().for_each(NodePartials::clear);
        self.rollups.iter_mut().for_each(RollupPartials::clear);
        self.sources = Sources::default();
    }

    /// Approximate bytes held, for committing early when there are many.
    #[must_use]
    pub fn size(&self) -> usize {
        let correlations: usize = self.correlations.iter().map(NodePartials::size).sum();
        let rollups: usize = self.rollups.iter().map(RollupPartials::size).sum();
        correlations + rollups
    }

    fn add_hits(
        &mut self,
        batch: &RecordBatch,
        hits: &[(u32, u32)],
        rows: RowOrigins<'_>,
    ) -> Result<(), WindowError> {
        let mut counted = hits.iter().filter_map(|&(rule, row)| {
            let correlations = self.plan.counted.get(&rule)?;
            Some((row as usize, correlations))
        });
        let Some(first) = counted.next() else {
            return Ok(());
        };
        let times = batch::times(batch)?;
        let source = SourceId {
            topic: Arc::clone(rows.topic),
            partition: rows.partition,
        };
        let source = self.sources.number(&source);
        let mut columns = GroupColumns::default();
        let mut key = Vec::new();
        for (row, correlations) in std::iter::once(first).chain(counted) {
            let (Some(&time_ns), Some(&offset)) = (times.values().get(row), rows.offsets.get(row))
            else {
                return Err(WindowError::Batch {
                    column: batch::TIME.to_owned(),
                    reason: format!("has no row {row}, for which there is a hit"),
                });
            };
            for &(correlation, position) in correlations {
                let columns = columns.of(&self.plan, batch, correlation, position)?;
                let Some(node) = self.plan.nodes.get(correlation) else {
                    continue;
                };
                if !columns.key(row, node, &mut key) {
                    continue;
                }
                let Some(value) = columns.value.value(row) else {
                    continue;
                };
                let event = Event {
                    time_ns,
                    offset,
                    source,
                    position,
                };
                if let Some(partials) = self.correlations.get_mut(correlation) {
                    let payload = rows.payloads.get(row).copied().flatten();
                    partials.quote(&key, event, &self.sources, payload);
                    partials.add(&key, event, value);
                }
            }
        }
        Ok(())
    }

    fn sections(&mut self, topics: &mut Topics) -> Result<Vec<Vec<Section>>, WindowError> {
        let writer = |_| SectionWriters::new(self.record_limit);
        let mut writers: Vec<SectionWriters> = (0..self.partitions).map(writer).collect();
        for partials in &mut self.correlations {
            partials.drain(&self.sources, topics, &mut writers)?;
        }
        let sections = writers.into_iter().map(SectionWriters::finish);
        let mut sections = sections.collect::<Result<Vec<_>, _>>()?;
        for rollup in &mut self.rollups {
            for (partition, section) in rollup.drain(self.partitions, self.record_limit)? {
                if let Some(sections) = sections.get_mut(partition as usize) {
                    sections.push(section);
                }
            }
        }
        Ok(sections)
    }
}

/// The columns that make up the groups of one batch, looked up once.
#[derive(Default)]
struct GroupColumns<'a>(FxHashMap<(usize, u32), KeyColumns<'a>>);

/// The columns of one correlation's events; a field that the batch does not have is absent from all of its events.
struct KeyColumns<'a> {
    group: Vec<Option<FieldColumn<'a>>>,
    value: ValueColumns<'a>,
}

impl<'a> GroupColumns<'a> {
    fn of<'p>(
        &mut self,
        plan: &'p Plan,
        batch: &'a RecordBatch,
        correlation: usize,
        position: u32,
    ) -> Result<&KeyColumns<'a>, WindowError> {
        match self.0.entry((correlation, position)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let node = plan
                    .nodes
                    .get(correlation)
                    .ok_or_else(|| WindowError::Batch {
                        column: "rule".to_owned(),
                        reason: format!("there is no correlation {correlation}"),
                    })?;
                let of = |fields: &'p [Vec<String>]| {
                    fields.get(position as usize).map_or(&[][..], Vec::as_slice)
                };
                let columns = of(&node.fields).iter();
                let columns = columns.map(|field| FieldColumn::find(batch, field));
                Ok(new.insert(KeyColumns {
                    group: columns.collect::<Result<_, _>>()?,
                    value: ValueColumns::find(node.values, of(&node.value_fields), batch)?,
                }))
            }
        }
    }
}

impl KeyColumns<'_> {
    /// Writes the group of a row to `key`; false when a field is absent and that is no value, so that the event is in no group.
    fn key(&self, row: usize, node: &Node, key: &mut Vec<u8>) -> bool {
        key.clear();
        for (at, column) in self.group.iter().enumerate() {
            match column
                .as_ref()
                .map_or(First::Absent, |column| column.first(row))
            {
                First::Absent if !node.takes_absent() => return false,
                First::Absent | First::Null if node.is_term(at) => return false,
                First::Absent | First::Null => group_key::push(key, None),
                First::Text(text) => group_key::push(key, Some(&bounded(text))),
            }
        }
        true
    }
}
