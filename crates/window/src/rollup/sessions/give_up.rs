//! Giving sessions up, where a rollup would keep more than it may.
//!
//! Those with the fewest events go first. One that goes is told as it is; what comes later and would have touched it begins another
//! session, which is marked. No session that is gone is remembered, only up to when any of them was: of each group that has others,
//! and of all together, for groups that come later.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::UInt64Type;

use super::super::give_up::{Candidate, Held, chosen};
use super::super::groups::grown;
use super::{Session, Sessions, Taken};
use crate::WindowError;
use crate::budget::Allowance;
use crate::outcome::RollupRow;

/// Of a session, besides its key and its aggregates: its places among the sessions of its group and among those that end.
const SESSION: usize = size_of::<(i64, Session)>() + size_of::<super::SessionKey>();
/// How often the key of a session is held: for its group, and in its partial.
const KEYS: usize = 2;

/// Sessions that were given up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    /// What begins then, or later, touches none of them.
    pub(super) until_ns: i64,
    /// How many sessions of the rollup had been given up when the last of them went; 0: these are none.
    pub(super) sessions: u64,
}

impl Lost {
    /// What [`RollupRow::part`] is of a session that begins then.
    pub(super) fn part(self, first_ns: i64) -> u64 {
        if first_ns < self.until_ns {
            self.sessions
        } else {
            0
        }
    }

    /// One more, which nothing touches from then on; it was among the first so many.
    fn add(&mut self, until_ns: i64, sessions: u64) {
        self.until_ns = match self.sessions {
            0 => until_ns,
            _ => self.until_ns.max(until_ns),
        };
        self.sessions = sessions;
    }
}

impl Sessions {
    /// What was given up that a group's sessions may lack.
    pub(super) fn lost_of(&self, key: &Arc<[u8]>) -> Lost {
        let of_group = self.groups.get(key);
        of_group.map_or(self.lost, |of_group| of_group.lost)
    }

    /// Gives sessions up until the rest is within the share. Answers how many went; `told` gets their rows, by time and key.
    pub(in super::super) fn give_up(
        &mut self,
        share: Allowance,
        told: &mut Vec<RollupRow>,
    ) -> Result<u64, WindowError> {
        if self.held_at_most().fits(share) {
            return Ok(0);
        }
        // Only merged states tell what they take; and from here on each session is one partial.
        self.compact()?;
        let held = self.held_at_most();
        if held.fits(share) {
            return Ok(0);
        }
        let all = self.candidates(share.hog(held.bytes));
        let going = chosen(all, held, share.room(), |left, right| {
            left.group.cmp(&right.group)
        });
        let count = going.len() as u64;
        let sessions = self.lost.sessions.saturating_add(count);
        let mut gone = Vec::new();
        for Candidate {
            group, start_ns, ..
        } in going
        {
            let Some(session) = self.take(&group, start_ns) else {
                continue;
            };
            let until_ns = session.last_ns.saturating_add(self.gap_ns);
            self.lost.add(until_ns, sessions);
            if let Some(of_group) = self.groups.get_mut(&group) {
                of_group.lost.add(until_ns, sessions);
            }
            // The row of one that was written stands.
            if session.written.is_none() {
                gone.push(Taken {
                    first_ns: start_ns,
                    session,
                });
            }
        }
        let mut rows = self.rows_of(&gone)?;
        rows.iter_mut().for_each(|row| row.given_up = sessions);
        told.extend(rows);
        // Only now is their memory free.
        self.compact()?;
        Ok(count)
    }

    /// Bytes are at most so many.
    pub(in super::super) fn held_at_most(&self) -> Held {
        let sessions = self.open * self.session_bytes(0);
        Held {
            groups: self.open,
            bytes: sessions + self.key_bytes * KEYS + self.grown_bytes,
        }
    }

    /// Of a session with a key of that length, without what grows with the values.
    fn session_bytes(&self, key: usize) -> usize {
        self.plan.footprint.group + SESSION + key * KEYS
    }

    /// All sessions, which are one partial each.
    fn candidates(&self, hog: usize) -> Vec<Candidate<Arc<[u8]>>> {
        let Some(partials) = self.partials.first() else {
            return Vec::new();
        };
        let grown = grown(&self.plan, partials);
        let counts = partials.columns().get(1);
        let counts = counts.and_then(|counts| counts.as_primitive_opt::<UInt64Type>());
        let mut all = Vec::with_capacity(self.open);
        for (key, of_group) in &self.groups {
            all.extend(of_group.sessions.iter().map(|(&start_ns, session)| {
                let row = session.rows.first().map_or(0, |(_, row)| *row);
                let grown = grown.get(row).copied().unwrap_or(0);
                let bytes = self.session_bytes(key.len()) + grown;
                let counts = counts.filter(|counts| row < counts.len());
                Candidate {
                    is_modest: bytes <= hog,
                    events: counts.map_or(0, |counts| counts.value(row)),
                    start_ns,
                    bytes,
                    group: Arc::clone(key),
                }
            }));
        }
        all
    }
}
