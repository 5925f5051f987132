//! The windows of `session`: events of a group that are less than a gap apart.
//!
//! A partial holds the events of a group in one pane, which is as long as the gap; so all of them are in one session, from the time of
//! the first to that of the last. A session is the partials that touch. What it consists of follows from the events alone, not
//! from the order in which partials come: two sessions are one as soon as something between them comes.
//!
//! Partials are kept as they come, and are merged when their session ends, or when there are many.
//!
//! A session is identified by its bounds. With lateness allowed it stays after its row was written: late events within its bounds
//! revise the row; where they extend it, or join it to another, the row is withdrawn and the longer session is another one.

mod ends;
mod give_up;
mod saved;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::{RowConverter, SortField};
use rustc_hash::FxHashMap;

use self::ends::Ends;
use self::give_up::Lost;
use self::saved::Read;
use self::written::{Written, WrittenSessions};
use super::groups::{Groups, grown};
use super::plan::{FIXED_COLUMNS, RollupPlan};
use super::section::partial_batch;
use super::windows::too_late;
use crate::WindowError;
use crate::frame::Fingerprint;
use crate::outcome::Late;

/// Partials are merged when there are twice as many as sessions, and this many more.
const SLACK: usize = 4096;

/// The group of a session, and the time of its first event.
type SessionKey = (Arc<[u8]>, i64);

/// The open sessions of one rollup in one exchange partition.
pub(crate) struct Sessions {
    plan: Arc<RollupPlan>,
    rule: usize,
    gap_ns: i64,
    groups: FxHashMap<Arc<[u8]>, OfGroup>,
    /// Those whose rows were not written, by the time of the last event.
    open_ends: Ends,
    /// Those whose rows were written, and that still take late events.
    written_ends: Ends,
    /// What is to be written of the latter.
    written: WrittenSessions,
    /// The partials of all sessions, and maybe of some that have ended.
    partials: Vec<RecordBatch>,
    stored: usize,
    /// Bytes in the partials of what grows with the values (see [`super::footprint`]).
    grown_bytes: usize,
    open: usize,
    /// Bytes of the groups' keys, once for each session.
    key_bytes: usize,
    /// What was given up in all groups.
    lost: Lost,
    /// What a snapshot says of sessions that are yet to be read from it.
    read: Read,
}

/// The sessions of one group.
#[derive(Debug, Default)]
struct OfGroup {
    /// By the time of the first event.
    sessions: BTreeMap<i64, Session>,
    /// What sessions of it may have been given up.
    lost: Lost,
}

/// A session, under the time of its first event.
#[derive(Debug, Clone)]
struct Session {
    last_ns: i64,
    /// Its partials: batch and row.
    rows: Vec<(usize, usize)>,
    /// What was written of it, once the watermark had passed its end.
    written: Option<Written>,
    /// See [`crate::RollupRow::part`].
    part: u64,
}

/// A session that is taken out.
struct Taken {
    first_ns: i64,
    session: Session,
}

impl Taken {
    /// The times of its first and its last event.
    fn bounds(&self) -> (i64, i64) {
        (self.first_ns, self.session.last_ns)
    }
}

impl Sessions {
    pub(super) fn new(plan: Arc<RollupPlan>, rule: usize, gap_ns: i64) -> Self {
        Self {
            plan,
            rule,
            gap_ns,
            groups: FxHashMap::default(),
            open_ends: Ends::default(),
            written_ends: Ends::default(),
            written: WrittenSessions::default(),
            partials: Vec::new(),
            stored: 0,
            grown_bytes: 0,
            open: 0,
            key_bytes: 0,
            lost: Lost::default(),
            read: Read::default(),
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
        self.written.watermark_ns = watermark_ns;
        let allowed_ns = self.plan.rule.allowed_lateness_ns;
        let keys = self.keys(partials)?;
        let (first, last) = self.times(partials)?;
        let batch = self.partials.len();
        self.partials.push(partials.clone());
        self.stored += partials.num_rows();
        self.grown_bytes += grown(&self.plan, partials).iter().sum::<usize>();
        for (row, key) in keys.into_iter().enumerate() {
            let (first_ns, last_ns) = (first.value(row), last.value(row));
            let ended_ns = last_ns.saturating_add(self.gap_ns);
            let decided_ns = ended_ns.saturating_add(allowed_ns);
            let touching = self.touching(&key, first_ns, last_ns);
            if touching.is_empty()
                && let Some(watermark_ns) = watermark_ns.filter(|&now_ns| decided_ns <= now_ns)
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
            let own = Taken {
                first_ns,
                session: Session {
                    last_ns,
                    rows: vec![(batch, row)],
                    written: None,
                    part: 0,
                },
            };
            self.join(key, own, touching)?;
        }
        if self.stored > 2 * self.open + SLACK {
            self.compact()?;
        }
        Ok(())
    }

    /// Makes one session of events and the sessions that they touch.
    fn join(
        &mut self,
        key: Arc<[u8]>,
        mut joined: Taken,
        touching: Vec<i64>,
    ) -> Result<(), WindowError> {
        let lost = self.lost_of(&key);
        let mut parts = Vec::with_capacity(touching.len());
        for first_ns in touching {
            if let Some(mut session) = self.take(&key, first_ns) {
                joined.first_ns = joined.first_ns.min(first_ns);
                joined.session.last_ns = joined.session.last_ns.max(session.last_ns);
                joined.session.rows.append(&mut session.rows);
                joined.session.part = joined.session.part.max(session.part);
                parts.push(Taken { first_ns, session });
            }
        }
        // What was given up did not touch a session that stayed, so only one with other bounds may lack some of it.
        if parts.iter().all(|part| part.bounds() != joined.bounds()) {
            let part = lost.part(joined.first_ns);
            joined.session.part = joined.session.part.max(part);
        }
        for part in parts {
            let Some(written) = part.session.written else {
                continue;
            };
            if part.bounds() == joined.bounds() {
                joined.session.written = Some(written);
                self.written.touch((Arc::clone(&key), joined.first_ns));
            } else {
                self.withdraw(&part, written, &joined)?;
            }
        }
        self.put(key, joined, lost);
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
        let Some(of_group) = self.groups.get(key) else {
            return Vec::new();
        };
        let before_ns = last_ns.saturating_add(self.gap_ns);
        let sessions = of_group.sessions.range(..before_ns).rev();
        sessions
            .take_while(|(_, session)| session.last_ns.saturating_add(self.gap_ns) > first_ns)
            .map(|(&first_ns, _)| first_ns)
            .collect()
    }

    /// Adds a session. `lost` is said of its group, where that has no other.
    fn put(&mut self, key: Arc<[u8]>, Taken { first_ns, session }: Taken, lost: Lost) {
        let ends = match session.written {
            Some(_) => &mut self.written_ends,
            None => &mut self.open_ends,
        };
        ends.insert(session.last_ns, (Arc::clone(&key), first_ns));
        self.key_bytes += key.len();
        self.open += 1;
        let of_group = self.groups.entry(key).or_insert_with(|| OfGroup {
            lost,
            ..OfGroup::default()
        });
        of_group.sessions.insert(first_ns, session);
    }

    fn take(&mut self, key: &Arc<[u8]>, first_ns: i64) -> Option<Session> {
        let session = self.remove(key, first_ns)?;
        let of = (Arc::clone(key), first_ns);
        if session.written.is_some() {
            self.written_ends.remove(session.last_ns, &of);
            self.written.forget(&of);
        } else {
            self.open_ends.remove(session.last_ns, &of);
        }
        Some(session)
    }

    fn get(&self, (key, first_ns): &SessionKey) -> Option<&Session> {
        self.groups.get(key)?.sessions.get(first_ns)
    }

    fn get_mut(&mut self, (key, first_ns): &SessionKey) -> Option<&mut Session> {
        self.groups.get_mut(key)?.sessions.get_mut(first_ns)
    }

    fn remove(&mut self, key: &Arc<[u8]>, first_ns: i64) -> Option<Session> {
        let of_group = self.groups.get_mut(key)?;
        let session = of_group.sessions.remove(&first_ns)?;
        if of_group.sessions.is_empty() {
            self.groups.remove(key);
        }
        self.key_bytes -= key.len();
        self.open -= 1;
        Some(session)
    }

    /// Partials that no session needs are let go where that costs nothing.
    fn tidy(&mut self) {
        if self.open == 0 {
            self.partials.clear();
            self.stored = 0;
            self.grown_bytes = 0;
        }
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
        if self.lost.sessions > 0 {
            // Groups are numbered as they come first: a session's number is its place among these.
            let parts: Vec<u64> = sessions.iter().map(|taken| taken.session.part).collect();
            groups.set_parts(0, &parts);
        }
        Ok(groups)
    }

    /// Merges the partials of each session into one, and forgets those of sessions that have ended.
    fn compact(&mut self) -> Result<(), WindowError> {
        if self.open == 0 {
            self.tidy();
            return Ok(());
        }
        let mut sessions = Vec::with_capacity(self.open);
        for of_group in self.groups.values_mut() {
            sessions.extend(of_group.sessions.iter_mut().map(|(&first_ns, session)| {
                let rows = std::mem::take(&mut session.rows);
                let session = Session { rows, ..*session };
                Taken { first_ns, session }
            }));
        }
        let states = self.merged(&sessions)?.take_states(&self.plan)?;
        let states = partial_batch(&self.plan, states)?;
        self.grown_bytes = grown(&self.plan, &states).iter().sum();
        self.partials = vec![states];
        self.stored = sessions.len();
        let of_groups = self.groups.values_mut();
        let sessions = of_groups.flat_map(|of_group| of_group.sessions.values_mut());
        for (session, row) in sessions.zip(0..) {
            session.rows = vec![(0, row)];
        }
        Ok(())
    }
}
