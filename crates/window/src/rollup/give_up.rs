//! Giving groups up, where a rollup would keep more than it may.
//!
//! Those with the fewest events go first, so that a flood of keys that come once does not cost the groups that are busy. Nothing is lost:
//! a group that goes is told as it is, and what comes later for its window and key is another part. Which groups go, and when, depends
//! on the records of the exchange partition alone.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::windows::{FixedWindows, take_rows};
use crate::WindowError;
use crate::budget::Allowance;
use crate::outcome::RollupRow;

/// What a rollup has given up in one exchange partition.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// How many groups.
    pub(super) groups: u64,
    /// Windows that have given groups up, by start, until they are decided.
    pub(super) windows: BTreeMap<i64, Mark>,
}

/// That a window has given groups up.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) end_ns: i64,
    /// How many groups had been given up, in all windows, when the last of them went.
    pub(super) groups: u64,
}

impl Lost {
    /// What [`RollupRow::part`] is of a group that a window gets now.
    pub(super) fn part(&self, start_ns: i64) -> u64 {
        self.windows.get(&start_ns).map_or(0, |mark| mark.groups)
    }

    /// Forgets the windows that end up to this time.
    pub(super) fn forget(&mut self, decided_ns: i64) {
        while let Some(first) = self.windows.first_entry()
            && first.get().end_ns <= decided_ns
        {
            first.remove();
        }
    }

    /// Marks the rows that are parts.
    pub(super) fn mark(&self, rows: &mut [RollupRow]) {
        mark_parts(rows, self.groups);
    }
}

/// Marks the rows that are parts with how many groups were given up by now.
pub(super) fn mark_parts(rows: &mut [RollupRow], groups: u64) {
    for row in rows.iter_mut().filter(|row| row.part > 0) {
        row.given_up = groups;
    }
}

/// A group that may go.
pub(super) struct Candidate<G> {
    /// It takes no large part of the bytes, where these are lacking.
    pub(super) is_modest: bool,
    pub(super) events: u64,
    /// Of its window.
    pub(super) start_ns: i64,
    pub(super) bytes: usize,
    pub(super) group: G,
}

/// How much there is.
pub(super) struct Held {
    pub(super) groups: usize,
    pub(super) bytes: usize,
}

/// Those that go, until the rest is within the room: in this order, and of equal ones in that of `tie`.
pub(super) fn chosen<G>(
    mut rest: Vec<Candidate<G>>,
    mut held: Held,
    room: Allowance,
    tie: impl Fn(&Candidate<G>, &Candidate<G>) -> Ordering,
) -> Vec<Candidate<G>> {
    let rank = |of: &Candidate<G>| (of.is_modest, of.events, of.start_ns);
    let order = |left: &Candidate<G>, right: &Candidate<G>| {
        let first = rank(left).cmp(&rank(right));
        first.then_with(|| tie(left, right))
    };
    let mut going = Vec::new();
    while !held.fits(room) && !rest.is_empty() {
        // Only as many are sorted as may have to go.
        let some = room.excess(held.groups);
        let mut later = Vec::new();
        if some < rest.len() {
            rest.select_nth_unstable_by(some, order);
            later = rest.split_off(some);
        }
        rest.sort_unstable_by(order);
        for one in rest {
            if held.fits(room) {
                break;
            }
            held.groups -= 1;
            held.bytes = held.bytes.saturating_sub(one.bytes);
            going.push(one);
        }
        rest = later;
    }
    going
}

impl Held {
    pub(super) fn fits(&self, share: Allowance) -> bool {
        share.fits(self.groups, self.bytes)
    }
}

impl FixedWindows {
    /// Gives groups up until the rest is within the share. Answers how many went; `told` gets their rows, by window and key.
    pub(super) fn give_up(
        &mut self,
        share: Allowance,
        told: &mut Vec<RollupRow>,
    ) -> Result<u64, WindowError> {
        self.count_bytes(share.bytes)?;
        if self.held().fits(share) {
            return Ok(0);
        }
        let going = self.going(share)?;
        let groups: usize = going.values().map(Vec::len).sum();
        self.lost.groups = self.lost.groups.saturating_add(groups as u64);
        for (start_ns, gone) in going {
            self.let_go(start_ns, gone, told)?;
        }
        Ok(groups as u64)
    }

    /// Bytes are at most so many, unless they are counted.
    pub(super) fn held_at_most(&self) -> (usize, usize) {
        let groups = self.windows.values().map(|window| window.groups.len());
        let bytes = self.windows.values();
        let bytes = bytes.map(|window| window.bytes(&self.plan));
        (groups.sum(), bytes.sum())
    }

    fn held(&self) -> Held {
        let (groups, bytes) = self.held_at_most();
        Held { groups, bytes }
    }

    /// Counts what windows hold until it is known whether together it is more than so many bytes. That costs reading states, so it is
    /// done only where what was merged might be too much; how often does not change what is found.
    fn count_bytes(&mut self, bytes: usize) -> Result<(), WindowError> {
        let mut held = self.held().bytes;
        for window in self.windows.values_mut().rev() {
            if held <= bytes {
                break;
            }
            if !window.groups.is_counted() {
                let before = window.bytes(&self.plan);
                window.groups.count_bytes(&self.plan)?;
                held = (held + window.bytes(&self.plan)).saturating_sub(before);
            }
        }
        Ok(())
    }

    /// The groups that have to go, by window.
    fn going(&mut self, share: Allowance) -> Result<BTreeMap<i64, Vec<usize>>, WindowError> {
        let room = share.room();
        self.count_bytes(room.bytes)?;
        let held = self.held();
        let hog = share.hog(held.bytes);
        let all = self.candidates(held.bytes > room.bytes, hog)?;
        let key = |of: &Candidate<usize>| {
            let window = self.windows.get(&of.start_ns);
            window.map(|window| window.groups.key(of.group))
        };
        let mut going: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        // Where there is a tie, they are of the same window.
        for one in chosen(all, held, room, |left, right| key(left).cmp(&key(right))) {
            going.entry(one.start_ns).or_default().push(one.group);
        }
        Ok(going)
    }

    /// All groups. What each holds is only counted where bytes are lacking.
    fn candidates(
        &mut self,
        lacking: bool,
        hog: usize,
    ) -> Result<Vec<Candidate<usize>>, WindowError> {
        let plan = Arc::clone(&self.plan);
        let mut all = Vec::with_capacity(self.held().groups);
        for (&start_ns, window) in &mut self.windows {
            let grown = if lacking {
                window.groups.count_bytes(&plan)?
            } else {
                Vec::new()
            };
            let (per_key, per_group) = window.per_group();
            let groups = &window.groups;
            all.extend((0..groups.len()).map(|group| {
                let fixed = plan.footprint.group + per_group;
                let grown = grown.get(group).copied().unwrap_or(0);
                let bytes = fixed + groups.key(group).len() * per_key + grown;
                Candidate {
                    is_modest: bytes <= hog,
                    events: groups.count(group),
                    start_ns,
                    bytes,
                    group,
                }
            }));
        }
        Ok(all)
    }

    /// Takes groups out of a window. What was not written yet is told.
    fn let_go(
        &mut self,
        start_ns: i64,
        mut gone: Vec<usize>,
        told: &mut Vec<RollupRow>,
    ) -> Result<(), WindowError> {
        let Some(window) = self.windows.get_mut(&start_ns) else {
            return Ok(());
        };
        gone.sort_unstable();
        let gone = window.groups.split_off(&self.plan, &gone)?;
        let (end_ns, groups) = (window.end_ns, self.lost.groups);
        match &mut window.written {
            Some(written) => written.forget(&gone.names(&self.plan)?),
            None => {
                let mut rows = take_rows(&self.plan, self.rule, gone, end_ns)?;
                rows.iter_mut().for_each(|row| row.given_up = groups);
                told.extend(rows);
            }
        }
        self.lost.windows.insert(start_ns, Mark { end_ns, groups });
        if window.groups.len() == 0 {
            self.windows.remove(&start_ns);
        }
        Ok(())
    }
}
