//! When groups have to be looked at.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::groups::Place;

/// Places of groups by the time at which they are due. A group that was rescheduled, or is gone, leaves its old entry behind: whoever
/// takes one out looks at when the group is due.
///
/// Most groups are due much later: they are kept in buckets, where each costs as much as its place, and only those of the bucket that
/// the watermark has come to are put in order.
#[derive(Debug)]
pub(super) struct Agenda {
    /// Nanoseconds of a bucket, as a power of two.
    bits: u32,
    far: BTreeMap<i64, Vec<Place>>,
    near: BinaryHeap<Reverse<(i64, Place)>>,
    /// All buckets up to this one have been put in order.
    reached: i64,
}

impl Agenda {
    /// For groups that are due a timespan after their events.
    pub(super) fn new(timespan_ns: i64) -> Self {
        // A few thousand buckets to a timespan: few enough to cost nothing, many enough for each to hold a small part of the groups.
        let bits = i64::BITS - (timespan_ns >> 12).leading_zeros();
        Self {
            bits,
            far: BTreeMap::new(),
            near: BinaryHeap::new(),
            reached: i64::MIN,
        }
    }

    /// Adds a group that was due at another time before, or at none.
    pub(super) fn put(&mut self, place: Place, before_ns: Option<i64>, due_ns: i64) {
        let bucket = due_ns >> self.bits;
        if bucket <= self.reached {
            self.near.push(Reverse((due_ns, place)));
        } else if before_ns.is_none_or(|before_ns| before_ns >> self.bits != bucket) {
            self.far.entry(bucket).or_default().push(place);
        }
    }

    /// Takes out the next entry that is due by the watermark. `due` says when the group of a place is.
    pub(super) fn next(
        &mut self,
        watermark_ns: i64,
        due: impl Fn(Place) -> Option<i64>,
    ) -> Option<(i64, Place)> {
        loop {
            if let Some(Reverse((due_ns, _))) = self.near.peek()
                && *due_ns <= watermark_ns
            {
                return self.near.pop().map(|Reverse(next)| next);
            }
            let first = self.far.first_entry()?;
            if *first.key() > watermark_ns >> self.bits {
                return None;
            }
            let (bucket, places) = first.remove_entry();
            self.reached = bucket;
            for place in places {
                if let Some(due_ns) = due(place)
                    && due_ns >> self.bits == bucket
                {
                    self.near.push(Reverse((due_ns, place)));
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However groups are rescheduled, each is given out when it is due, in the order of time, whatever the watermark's steps.
        #[test]
        fn groups_come_when_they_are_due(
            span in prop_oneof![Just(1i64), Just(60_000_000_000), Just(i64::MAX)],
            steps in prop::collection::vec((0u32..20, 0i64..1000, any::<bool>()), 1..200),
        ) {
            let unit = (span / 1000).max(1);
            let mut agenda = Agenda::new(span);
            let mut due: BTreeMap<Place, i64> = BTreeMap::new();
            let mut watermark = i64::MIN;
            for (place, time, moves) in steps {
                let time = time.saturating_mul(unit);
                if moves {
                    watermark = watermark.max(time);
                } else if time > watermark && due.get(&place).is_none_or(|old| time < *old) {
                    let before = due.insert(place, time);
                    agenda.put(place, before, time);
                }
                let mut last = i64::MIN;
                while let Some((at, place)) = agenda.next(watermark, |place| due.get(&place).copied()) {
                    prop_assert!(at <= watermark && last <= at);
                    last = at;
                    if due.get(&place) == Some(&at) {
                        due.remove(&place);
                    }
                }
                prop_assert!(due.values().all(|at| *at > watermark));
            }
        }
    }
}
