//! Sessions in a snapshot.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::super::revisions::text;
use super::super::saved::{load_batch, save_batch, unfit};
use super::super::section::partial_batch;
use super::written::Written;
use super::{SessionKey, Sessions, Taken};
use crate::WindowError;
use crate::frame::{Bytes, FrameError};
use crate::share::Share;
use crate::snapshot::{Kind, Writer, put_text};

impl Sessions {
    /// Writes all sessions. They stay.
    pub(in super::super) fn save(&self, writer: &mut Writer<'_>) -> Result<(), WindowError> {
        let sessions = self.all();
        let fingerprint = &self.plan.fingerprint;
        let names = self.names(&sessions)?;
        // Before the sessions themselves, so that these are known for what they are when they are read.
        writer.begin(Kind::WrittenSessions, fingerprint, &[]);
        for (taken, (group, first_ns)) in sessions.iter().zip(names) {
            let Some(written) = taken.session.written else {
                continue;
            };
            writer.item(|bytes| {
                bytes.extend(first_ns.to_le_bytes());
                put_text(bytes, &text(&group));
                bytes.extend(written.rows.to_le_bytes());
                bytes.push(u8::from(written.shown));
            });
        }
        writer.finish();
        writer.begin(Kind::Sessions, fingerprint, &[]);
        save_batch(&self.plan, &self.states(&sessions)?, writer, |_| {})?;
        writer.finish();
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
            self.written.read.insert((group, first_ns), written);
        }
        Ok(())
    }

    fn restore(&mut self, states: &RecordBatch) -> Result<(), WindowError> {
        // Sessions that are apart stay apart, and before any watermark nothing is late.
        self.merge(states, None, &mut Vec::new())?;
        self.written.nothing_was_late();
        if self.written.read.is_empty() {
            return Ok(());
        }
        let (first, _) = self.times(states)?;
        let keys = self.keys(states)?.into_iter().zip(first.values());
        let keys: Vec<SessionKey> = keys.map(|(key, &first_ns)| (key, first_ns)).collect();
        let mut found = Vec::new();
        for key in keys {
            let Some(session) = self.get(&key).filter(|of| of.written.is_none()) else {
                continue;
            };
            let taken = Taken {
                first_ns: key.1,
                session: session.clone(),
            };
            found.push((key, taken));
        }
        let (keys, sessions): (Vec<SessionKey>, Vec<Taken>) = found.into_iter().unzip();
        let names = self.names(&sessions)?;
        for (key, (group, first_ns)) in keys.into_iter().zip(names) {
            let Some(written) = self.written.read.remove(&(text(&group), first_ns)) else {
                continue;
            };
            if let Some(session) = self.take(&key.0, key.1) {
                let session = super::Session {
                    written: Some(written),
                    ..session
                };
                self.put(key.0, Taken { first_ns, session });
            }
        }
        Ok(())
    }

    /// By group and time.
    fn all(&self) -> Vec<Taken> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_unstable_by(|left, right| left.0.cmp(right.0));
        let sessions = groups.into_iter().flat_map(|(_, sessions)| sessions);
        let sessions = sessions.map(|(&first_ns, session)| Taken {
            first_ns,
            session: session.clone(),
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
