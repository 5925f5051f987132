//! Giving groups up, where a correlation would keep more than it may.
//!
//! Which groups go, and when, depends on the records of the exchange partition alone, and a group that stays does not notice. What
//! may lack something for it says so.

use super::groups::{Moment, Place};
use super::judge::Pace;
use super::machine::Machine;
use super::tally::Held;
use crate::budget::Allowance;
use crate::outcome::Correlated;
use crate::sources::Sources;

/// What a correlation has given up in one exchange partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    /// How many groups.
    pub(super) groups: u64,
    /// Windows that begin before may lack events, in groups that have come since. The end of the last window that was given up.
    pub(super) before_ns: Moment,
    /// How many groups the correlations below it have given up.
    pub(super) below_groups: u64,
    /// Windows that begin before may lack findings of those, in any group.
    pub(super) below_ns: Moment,
}

impl Lost {
    pub(super) const NOTHING: Self = Self {
        groups: 0,
        before_ns: Moment::NONE,
        below_groups: 0,
        below_ns: Moment::NONE,
    };

    /// How many groups were given up that a window may lack events for; `before_ns` is what its group came after.
    pub(super) fn of_window(&self, start_ns: i64, before_ns: Moment) -> u64 {
        let lacks = |ns: Moment| ns.get().is_some_and(|ns| start_ns < ns);
        let own = if lacks(before_ns) { self.groups } else { 0 };
        let below = if lacks(self.below_ns) {
            self.below_groups
        } else {
            0
        };
        own.saturating_add(below)
    }
}

impl<V: Held> Machine<V> {
    /// Gives groups up until the rest is within the share. Those whose condition holds already are told first, when more events could
    /// only help. Answers how many went.
    pub(super) fn give_up(
        &mut self,
        share: Allowance,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) -> u64 {
        if share.fits(self.groups.len(), self.kept_bytes()) {
            return 0;
        }
        // What only waits for the watermark is not given up: it would be taken for new when it comes again. What is known has a bound of
        // its own.
        if self.terms.is_some() {
            return 0;
        }
        let before = self.lost.groups;
        let room = share.room();
        let hog = share.hog(self.kept_bytes());
        let fits = |of: &Self| room.fits(of.groups.len(), of.kept_bytes());
        while !fits(self) && self.groups.len() > 0 {
            let some = room.excess(self.groups.len());
            for place in self.quiet_for_longest(some, hog) {
                if fits(self) {
                    break;
                }
                self.let_go(place, sources, found);
            }
        }
        self.lost.groups - before
    }

    /// So many groups, in the order in which they go.
    fn quiet_for_longest(&self, some: usize, hog: usize) -> Vec<Place> {
        let timespan_ns = self.node.rule.timespan_ns;
        let rank = |(place, of): (Place, &super::groups::Group<V>)| {
            let times = of.items.iter().map(|item| item.event.time_ns);
            let last_ns = if of.sorted { times.last() } else { times.max() };
            let used_ns = of.taken_ns.get().map(|ns| ns.saturating_sub(timespan_ns));
            let values: usize = of.items.iter().map(|item| item.value.bytes()).sum();
            let bytes = of.items.len() * size_of::<super::machine::Item<V>>() + values;
            (bytes <= hog, last_ns.or(used_ns), place)
        };
        let mut all: Vec<_> = self.groups.places().map(rank).collect();
        let order = |left: &(bool, Option<i64>, Place), right: &(bool, Option<i64>, Place)| {
            let key = |place| self.groups.key(place);
            (left.0, left.1)
                .cmp(&(right.0, right.1))
                .then_with(|| key(left.2).cmp(&key(right.2)))
        };
        if some < all.len() {
            all.select_nth_unstable_by(some, order);
            all.truncate(some);
        }
        all.sort_unstable_by(order);
        all.into_iter().map(|(_, _, place)| place).collect()
    }

    fn let_go(&mut self, place: Place, sources: &Sources, found: &mut Vec<Correlated>) {
        let Some(mut group) = self.take(place) else {
            return;
        };
        self.put_in_order(&mut group, sources);
        self.lost.groups = self.lost.groups.saturating_add(1);
        let last = group.items.last();
        let mut ends_ns = last.map(|last| self.window_end(last.event.time_ns));
        ends_ns = ends_ns.max(group.taken_ns.get());
        let mut told = self.told.take();
        let key = self.groups.key(place).unwrap_or_default();
        if self.node.judge.pace == Pace::Slide {
            let (_, taken_ns) = self.scan(&group.items, i64::MAX, &mut |window, number| {
                let whose = (key, group.lost_ns);
                if let Some(mut finding) = self.finding(whose, window, number, sources) {
                    finding.given_up = finding.given_up.max(self.lost.groups);
                    let is_news = match (&mut told, window.first()) {
                        (Some(told), Some(opener)) => told.settle(key, &opener.event, &mut finding),
                        _ => true,
                    };
                    if is_news {
                        found.push(finding);
                    }
                }
            });
            ends_ns = ends_ns.max(taken_ns);
        }
        // What else was told of it early is withdrawn.
        if let Some(told) = &mut told {
            told.decided(key);
        }
        self.told = told;
        self.lost.before_ns = ends_ns.max(self.lost.before_ns.get()).into();
        for item in group.items {
            self.bytes -= item.value.bytes();
            self.parts.forget(&item.event);
        }
        if let Some(key) = self.groups.remove(place) {
            self.bytes -= key.len();
        }
    }
}
