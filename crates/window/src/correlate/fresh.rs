//! Stage 2 of a correlation of new terms: every event is looked at by itself.

use std::sync::Arc;

use super::groups::Moment;
use super::machine::{Item, Machine};
use super::tally::Held;
use crate::outcome::{Correlated, Recall};
use crate::sources::Sources;

/// The key of an event's group, and what the group may lack.
type Whose = (Arc<[u8]>, Moment);

impl<V: Held> Machine<V> {
    /// Decides the events that the watermark has passed: each by itself, in the order of all of them, whatever their groups. So what is
    /// known when an event is looked at does not depend on how far the watermark went at a time.
    pub(super) fn advance_terms(
        &mut self,
        watermark_ns: i64,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        let Some(mut terms) = self.terms.take() else {
            return;
        };
        let mut decided = self.take_decided(watermark_ns, sources);
        decided.sort_unstable_by(|(left, (left_key, _)), (right, (right_key, _))| {
            let by_place = self.parts.compare(&left.event, &right.event, sources);
            by_place.then_with(|| left_key.cmp(right_key))
        });
        for (item, (key, lost_ns)) in decided {
            if let Some(news) = terms.see(&key, item.event.time_ns)
                && let Some(mut finding) =
                    self.finding((&key, lost_ns), std::slice::from_ref(&item), 1.0, sources)
            {
                let known = finding.recall.into_iter().chain(news.recall);
                finding.recall = known.reduce(Recall::and);
                found.push(finding);
            }
            self.parts.forget(&item.event);
        }
        terms.forget(watermark_ns);
        self.terms = Some(terms);
    }

    /// Takes out the events that the watermark has passed, with their groups.
    fn take_decided(&mut self, watermark_ns: i64, sources: &Sources) -> Vec<(Item<V>, Whose)> {
        let mut all = Vec::new();
        while let Some(place) = self.next_due(watermark_ns) {
            let Some(mut group) = self.take(place) else {
                continue;
            };
            self.put_in_order(&mut group, sources);
            let is_decided = |item: &Item<V>| self.window_end(item.event.time_ns) <= watermark_ns;
            let decided = group.items.partition_point(is_decided);
            let key: Arc<[u8]> = self.groups.key(place).unwrap_or_default().into();
            let lost_ns = group.lost_ns;
            for item in group.items.drain(..decided) {
                self.bytes -= item.value.bytes();
                all.push((item, (Arc::clone(&key), lost_ns)));
            }
            if let Some(head) = group.items.first() {
                let due_ns = self.window_end(head.event.time_ns);
                group.items.shrink_to_fit();
                group.due_ns = Moment::NONE;
                self.put_back(place, group);
                self.schedule(place, due_ns);
            } else if let Some(key) = self.groups.remove(place) {
                self.bytes -= key.len();
            }
        }
        self.compact();
        all
    }
}
