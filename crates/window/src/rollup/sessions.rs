//! The windows of `session`: events of a group that are less than a gap apart.
//!
//! A partial holds the events of a group in one pane, which is as long as the gap; so all of them are in one session, from the time of
//! the first to that of the last. A session is the partials that touch. What it consists of follows from the events alone, not
//! from the order in which partials come: two sessions are one as soon as something between them comes.
//!
//! Partials are kept as they come, and are merged when their session ends, or when there are many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::{RowConverter, SortField};
use rustc_hash::FxHashMap;

use super::groups::Groups;
use super::plan::{FIXED_COLUMNS, RollupPlan};
use super::rows::rows;
use super::section::partial_batch;
use super::windows::too_late;
use crate::WindowError;
use crate::frame::Fingerprint;
use crate::outcome::{Late, RollupRow};

/// Partials are merged when there are twice as many as sessions, and this many more.
const SLACK: usize = 4096;

/// The group of a session, and the time of its first event.
type SessionKey = (Arc<[u8]>, i64);

/// The open sessions of one rollup in one exchange partition.
pub(crate) struct Sessions {
    pub(super) plan: Arc<RollupPlan>,
    rule: usize,
    gap_ns: i64,
    /// By group, and by the time of the first event.
    groups: FxHashMap<Arc<[u8]>, BTreeMap<i64, Session>>,
    /// Sessions by the time of the last event.
    last: BTreeMap<i64, BTreeSet<SessionKey>>,
    /// The partials of all sessions, and maybe of some that have ended.
    partials: Vec<RecordBatch>,
    stored: usize,
    open: usize,
}

/// A session, under the time of its first event.
#[derive(Debug, Clone)]
struct Session {
    last_ns: i64,
    /// Its partials: batch and row.
    rows: Vec<(usize, usize)>,
}

/// A session that is taken out.
struct Taken {
    first_ns: i64,
    session: Session,
}

impl Sessions {
    pub(super) fn new(plan: Arc<RollupPlan>, rule: usize, gap_ns: i64) -> Self {
        Self {
            plan,
            rule,
            gap_ns,
            groups: FxHashMap::default(),
            last: BTreeMap::new(),
            partials: Vec::new(),
            stored: 0,
            open: 0,
        }
    }

    /// See [`super::RollupWindows::fingerprint`].
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.plan.fingerprint
    }

    /// See [`super::RollupWindows::adopt`].
    pub(super) fn adopt(self, plan: Arc<RollupPlan>, rule: usize) -> Self {
        Self { plan, rule, ..self }
    }

    pub(super) fn size(&self) -> usize {
        let batches: usize = self
            .partials
            .iter()
            .map(RecordBatch::get_array_memory_size)
            .sum();
        let keys: usize = self.groups.keys().map(|key| key.len()).sum();
        batches + keys + (self.open * 4 + self.stored) * size_of::<(i64, Session)>()
    }

    pub(super) fn merge(
        &mut self,
        partials: &RecordBatch,
        watermark_ns: Option<i64>,
        late: &mut Vec<Late>,
    ) -> Result<(), WindowError> {
        let keys = self.keys(partials)?;
        let (first, last) = self.times(partials)?;
        let batch = self.partials.len();
        for (row, key) in keys.into_iter().enumerate() {
            let (first_ns, last_ns) = (first.value(row), last.value(row));
            let ended_ns = last_ns.saturating_add(self.gap_ns);
            let touching = self.touching(&key, first_ns, last_ns);
            if touching.is_empty()
                && let Some(watermark_ns) = watermark_ns.filter(|&now_ns| ended_ns <= now_ns)
            {
                let index = UInt32Array::from(vec![u32::try_from(row).unwrap_or(u32::MAX)]);
                let partial = take_record_batch(partials, &index)?;
                let window_ns = (first_ns, ended_ns);
                late.extend(too_late(
                    &self.plan,
                    self.rule,
                    &partial,
                    window_ns,
                    watermark_ns,
                )?);
                continue;
            }
            let mut joined = Taken {
                first_ns,
                session: Session {
                    last_ns,
                    rows: vec![(batch, row)],
                },
            };
            for first_ns in touching {
                if let Some(session) = self.take(&key, first_ns) {
                    joined.first_ns = joined.first_ns.min(first_ns);
                    joined.session.last_ns = joined.session.last_ns.max(session.last_ns);
                    joined.session.rows.extend(session.rows);
                }
            }
            self.put(key, joined);
        }
        self.stored += partials.num_rows();
        self.partials.push(partials.clone());
        if self.stored > 2 * self.open + SLACK {
            self.compact()?;
        }
        Ok(())
    }

    pub(super) fn close(
        &mut self,
        watermark_ns: i64,
        found: &mut Vec<RollupRow>,
    ) -> Result<(), WindowError> {
        let mut ended = Vec::new();
        while let Some(entry) = self.last.first_entry()
            && entry.key().saturating_add(self.gap_ns) <= watermark_ns
        {
            for (key, first_ns) in entry.remove() {
                if let Some(session) = self.remove(&key, first_ns) {
                    ended.push(Taken { first_ns, session });
                }
            }
        }
        if ended.is_empty() {
            return Ok(());
        }
        let results = self.merged(&ended)?.take_results(&self.plan)?;
        let ends = match results.values.last() {
            Some(last) => cast(last, &DataType::Int64)?,
            None => Arc::new(Int64Array::from(vec![0; 0])) as ArrayRef,
        };
        let ends = ends.as_primitive::<Int64Type>().values().iter();
        let ends = ends.map(|last_ns| last_ns.saturating_add(self.gap_ns));
        let ends: Int64Array = ends.collect::<Vec<_>>().into();
        found.extend(rows(&self.plan, self.rule, results, ends)?);
        if self.open == 0 {
            self.partials.clear();
            self.stored = 0;
        }
        Ok(())
    }

    /// The group of each partial.
    fn keys(&self, partials: &RecordBatch) -> Result<Vec<Arc<[u8]>>, WindowError> {
        let kinds = self.plan.keys.iter().map(|key| key.kind.data_type());
        let converter = RowConverter::new(kinds.map(SortField::new).collect())?;
        let keys = partials.columns().iter().skip(FIXED_COLUMNS);
        let keys: Vec<ArrayRef> = keys.take(self.plan.keys.len()).cloned().collect();
        if keys.is_empty() {
            return Ok(vec![Arc::from([].as_slice()); partials.num_rows()]);
        }
        let rows = converter.convert_columns(&keys)?;
        Ok(rows.iter().map(|row| Arc::from(row.as_ref())).collect())
    }

    /// The times of the first and the last event of each partial: they are the states of the last two aggregates.
    fn times(&self, partials: &RecordBatch) -> Result<(Int64Array, Int64Array), WindowError> {
        let [.., first, last] = partials.columns() else {
            let none = || Int64Array::from(Vec::<i64>::new());
            return Ok((none(), none()));
        };
        let times = |column| -> Result<Int64Array, WindowError> {
            Ok(cast(column, &DataType::Int64)?
                .as_primitive::<Int64Type>()
                .clone())
        };
        Ok((times(first)?, times(last)?))
    }

    /// The open sessions of a group that events from `first_ns` to `last_ns` belong to.
    fn touching(&self, key: &Arc<[u8]>, first_ns: i64, last_ns: i64) -> Vec<i64> {
        let Some(sessions) = self.groups.get(key) else {
            return Vec::new();
        };
        let before_ns = last_ns.saturating_add(self.gap_ns);
        let sessions = sessions.range(..before_ns).rev();
        sessions
            .take_while(|(_, session)| session.last_ns.saturating_add(self.gap_ns) > first_ns)
            .map(|(&first_ns, _)| first_ns)
            .collect()
    }

    fn put(&mut self, key: Arc<[u8]>, Taken { first_ns, session }: Taken) {
        let last = self.last.entry(session.last_ns).or_default();
        last.insert((Arc::clone(&key), first_ns));
        self.groups
            .entry(key)
            .or_default()
            .insert(first_ns, session);
        self.open += 1;
    }

    fn take(&mut self, key: &Arc<[u8]>, first_ns: i64) -> Option<Session> {
        let session = self.remove(key, first_ns)?;
        if let Some(last) = self.last.get_mut(&session.last_ns) {
            last.remove(&(Arc::clone(key), first_ns));
            if last.is_empty() {
                self.last.remove(&session.last_ns);
            }
        }
        Some(session)
    }

    fn remove(&mut self, key: &Arc<[u8]>, first_ns: i64) -> Option<Session> {
        let sessions = self.groups.get_mut(key)?;
        let session = sessions.remove(&first_ns)?;
        if sessions.is_empty() {
            self.groups.remove(key);
        }
        self.open -= 1;
        Some(session)
    }

    /// Some sessions merged, a group each, in their order.
    fn merged(&self, sessions: &[Taken]) -> Result<Groups, WindowError> {
        let mut groups = Groups::new(&self.plan)?;
        let all = sessions
            .iter()
            .flat_map(|taken| taken.session.rows.iter().map(|row| (*row, taken.first_ns)));
        let (rows, starts): (Vec<(usize, usize)>, Vec<i64>) = all.unzip();
        if rows.is_empty() {
            return Ok(groups);
        }
        let batches: Vec<&RecordBatch> = self.partials.iter().collect();
        let batch = interleave_record_batch(&batches, &rows)?;
        let mut columns = batch.columns().to_vec();
        if let Some(start) = columns.first_mut() {
            *start = Arc::new(Int64Array::from(starts));
        }
        let batch = RecordBatch::try_new(batch.schema(), columns)?;
        groups.merge_partials(&self.plan, &batch, None)?;
        Ok(groups)
    }

    /// All open sessions as partials, one each, by group and time.
    pub(super) fn states(&self) -> Result<RecordBatch, WindowError> {
        if self.open == 0 {
            return Ok(RecordBatch::new_empty(Arc::clone(
                &self.plan.partial_schema,
            )));
        }
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_unstable_by(|left, right| left.0.cmp(right.0));
        let sessions = groups.into_iter().flat_map(|(_, sessions)| sessions);
        let sessions = sessions.map(|(&first_ns, session)| Taken {
            first_ns,
            session: session.clone(),
        });
        let sessions: Vec<Taken> = sessions.collect();
        partial_batch(&self.plan, self.merged(&sessions)?.take_states(&self.plan)?)
    }

    /// Merges the partials of each session into one, and forgets those of sessions that have ended.
    fn compact(&mut self) -> Result<(), WindowError> {
        if self.open == 0 {
            self.partials.clear();
            self.stored = 0;
            return Ok(());
        }
        let mut keys = Vec::with_capacity(self.open);
        let mut sessions = Vec::with_capacity(self.open);
        for (key, of_group) in std::mem::take(&mut self.groups) {
            for (first_ns, session) in of_group {
                keys.push(Arc::clone(&key));
                sessions.push(Taken { first_ns, session });
            }
        }
        // Groups are numbered as they come first: a session's number is its row in the batch.
        let states = self.merged(&sessions)?.take_states(&self.plan)?;
        self.partials = vec![partial_batch(&self.plan, states)?];
        self.stored = sessions.len();
        for (row, (key, mut taken)) in keys.into_iter().zip(sessions).enumerate() {
            taken.session.rows = vec![(0, row)];
            let of_group = self.groups.entry(key).or_default();
            of_group.insert(taken.first_ns, taken.session);
        }
        Ok(())
    }
}
