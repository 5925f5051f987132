//! Sessions in a snapshot.

use std::sync::Arc;

use arrow::array::RecordBatch;
use rustc_hash::FxHashMap;

use super::super::revisions::text;
use super::super::saved::{load_batch, save_batch, unfit};
use super::super::section::partial_batch;
use super::give_up::Lost;
use super::written::Written;
use super::{SessionKey, Sessions, Taken};
use crate::WindowError;
use crate::frame::{Bytes, FrameError, corrupt};
use crate::share::Share;
use crate::snapshot::{Kind, Writer, put_text};

/// Kinds of items of what was given up: in all groups, and in one.
const OF_ALL: u8 = 0;
/// See [`OF_ALL`].
const OF_GROUP: u8 = 1;
/// That a session is a part.
const PART: u8 = 2;

/// A group as text, and the time of a session's first event.
type Name = (String, i64);

/// What a snapshot says of sessions before it has them.
#[derive(Debug, Default)]
pub(super) struct Read {
    written: FxHashMap<Name, Written>,
    parts: FxHashMap<Name, u64>,
    /// By group.
    lost: FxHashMap<String, Lost>,
}

impl Read {
    fn is_empty(&self) -> bool {
        self.written.is_empty() && self.parts.is_empty() && self.lost.is_empty()
    }

    pub(super) fn clear(&mut self) {
        if !self.is_empty() {
            *self = Self::default();
        }
    }
}

impl Sessions {
    /// Writes all sessions. They stay.
    pub(in super::super) fn save(&self, writer: &mut Writer<'_>) -> Result<(), WindowError> {
        let keys = self.in_order();
        let sessions = self.copies(&keys);
        let fingerprint = &self.plan.fingerprint;
        let names = self.names(&sessions)?;
        let names: Vec<Name> = names.iter().map(|(group, at)| (text(group), *at)).collect();
        // Before the sessions themselves, so that these are known for what they are when they are read.
        writer.begin(Kind::WrittenSessions, fingerprint, &[]);
        for (taken, (group, first_ns)) in sessions.iter().zip(&names) {
            let Some(written) = taken.session.written else {
                continue;
            };
            writer.item(|bytes| {
                bytes.extend(first_ns.to_le_bytes());
                put_text(bytes, group);
                bytes.extend(written.rows.to_le_bytes());
                bytes.push(u8::from(written.shown));
            });
        }
        writer.finish();
        writer.begin(Kind::SessionParts, fingerprint, &[]);
        self.save_lost(&keys, &sessions, &names, writer);
        writer.finish();
        writer.begin(Kind::Sessions, fingerprint, &[]);
        save_batch(&self.plan, &self.states(&sessions)?, writer, |_| {})?;
        writer.finish();
        Ok(())
    }

    /// Writes what was given up; nothing where nothing was.
    fn save_lost(
        &self,
        keys: &[SessionKey],
        sessions: &[Taken],
        names: &[Name],
        writer: &mut Writer<'_>,
    ) {
        if self.lost.sessions == 0 {
            return;
        }
        writer.item(|bytes| {
            bytes.push(OF_ALL);
            put_lost(bytes, self.lost);
        });
        let mut before = None;
        for (((key, _), taken), (group, first_ns)) in keys.iter().zip(sessions).zip(names) {
            let lost = self.lost_of(key);
            if before != Some(key) && lost.sessions > 0 {
                writer.item(|bytes| {
                    bytes.push(OF_GROUP);
                    put_text(bytes, group);
                    put_lost(bytes, lost);
                });
            }
            before = Some(key);
            let part = taken.session.part;
            if part > 0 {
                writer.item(|bytes| {
                    bytes.push(PART);
                    put_text(bytes, group);
                    bytes.extend(first_ns.to_le_bytes());
                    bytes.extend(part.to_le_bytes());
                });
            }
        }
    }

    /// Takes in what was given up.
    pub(in super::super) fn load_lost(&mut self, bytes: &mut Bytes<'_>) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            match bytes.array("parts")? {
                [OF_ALL] => self.lost = read_lost(bytes)?,
                [OF_GROUP] => {
                    let group = bytes.text("group")?.to_string();
                    self.read.lost.insert(group, read_lost(bytes)?);
                }
                [PART] => {
                    let group = bytes.text("session")?.to_string();
                    let first_ns = i64::from_le_bytes(bytes.array("session")?);
                    let part = u64::from_le_bytes(bytes.array("session")?);
                    self.read.parts.insert((group, first_ns), part);
                }
                [other] => return Err(corrupt(&format!("parts of unknown kind {other}"))),
            }
        }
        Ok(())
    }

    /// Takes in sessions, as far as their groups are in this share.
    pub(in super::super) fn load(
        &mut self,
        bytes: &mut Bytes<'_>,
        share: Option<Share>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let states = load_batch(&self.plan, bytes, share)?;
            if states.num_rows() > 0 {
                self.restore(&states).map_err(unfit)?;
            }
        }
        Ok(())
    }

    /// Takes in what was written of sessions that follow.
    pub(in super::super) fn load_written(
        &mut self,
        bytes: &mut Bytes<'_>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let first_ns = i64::from_le_bytes(bytes.array("session")?);
            let group = bytes.text("session")?.to_string();
            let rows = u32::from_le_bytes(bytes.array("session")?);
            let shown = bytes.array("session")? != [0];
            let written = Written { rows, shown };
            self.read.written.insert((group, first_ns), written);
        }
        Ok(())
    }

    fn restore(&mut self, states: &RecordBatch) -> Result<(), WindowError> {
        // Sessions that are apart stay apart, and before any watermark nothing is late.
        self.merge(states, None, &mut Vec::new())?;
        self.written.nothing_was_late();
        if self.read.is_empty() && self.lost.sessions == 0 {
            return Ok(());
        }
        let (first, _) = self.times(states)?;
        let keys = self.keys(states)?.into_iter().zip(first.values());
        let keys: Vec<SessionKey> = keys.map(|(key, &first_ns)| (key, first_ns)).collect();
        let names = self.names(&self.copies(&keys))?;
        for (key, (group, first_ns)) in keys.into_iter().zip(names) {
            let name = (text(&group), first_ns);
            let part = self.read.parts.get(&name).copied().unwrap_or(0);
            let written = self.read.written.get(&name).copied();
            let lost = self.read.lost.get(&name.0).copied().unwrap_or_default();
            if let Some(session) = self.take(&key.0, key.1) {
                let session = super::Session {
                    // A session that was cut comes in several pieces.
                    written: session.written.or(written),
                    part,
                    ..session
                };
                self.put(Arc::clone(&key.0), Taken { first_ns, session }, lost);
            }
            if let Some(of_group) = self.groups.get_mut(&key.0) {
                of_group.lost = lost;
            }
        }
        Ok(())
    }

    /// All sessions, by group and time.
    fn in_order(&self) -> Vec<SessionKey> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_unstable_by(|left, right| left.0.cmp(right.0));
        let sessions = groups.into_iter().flat_map(|(key, of_group)| {
            let firsts = of_group.sessions.keys();
            firsts.map(|&first_ns| (Arc::clone(key), first_ns))
        });
        sessions.collect()
    }

    /// Sessions as partials, one each.
    fn states(&self, sessions: &[Taken]) -> Result<RecordBatch, WindowError> {
        if sessions.is_empty() {
            let schema = Arc::clone(&self.plan.partial_schema);
            return Ok(RecordBatch::new_empty(schema));
        }
        partial_batch(&self.plan, self.merged(sessions)?.take_states(&self.plan)?)
    }
}

fn put_lost(bytes: &mut Vec<u8>, lost: Lost) {
    bytes.extend(lost.until_ns.to_le_bytes());
    bytes.extend(lost.sessions.to_le_bytes());
}

fn read_lost(bytes: &mut Bytes<'_>) -> Result<Lost, FrameError> {
    Ok(Lost {
        until_ns: i64::from_le_bytes(bytes.array("time")?),
        sessions: u64::from_le_bytes(bytes.array("number")?),
    })
}
