//! Stage 2 of a correlation: events in the order of their time, and findings.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Event;
use super::agenda::Agenda;
use super::early::Told;
use super::give_up::Lost;
use super::groups::{Group, Groups, Moment, Place};
use super::judge::{Pace, Seen};
use super::node::Node;
use super::parts::Parts;
use super::quotes::Quotes;
use super::tally::Held;
use super::terms::Terms;
use crate::outcome::Correlated;
use crate::sources::Sources;

/// The groups of one correlation in one exchange partition.
///
/// Nothing is decided before it is final. The oldest undecided event of a group, at time `t`, is looked at when the watermark
/// has reached `t + timespan`: then every event of `[t, t + timespan)` is here, in whatever order they came. If they satisfy the
/// condition, they are a finding and are used up, and all begins anew with the next event after the window.
/// If not, a condition that slides may still hold for a window that begins at the next event, so just
/// the oldest event is dropped; for the other conditions the window is over, with all of its events. So a finding is the
/// one that a reader of the sorted events would open at the first event which completes it, and it has every event of
/// its window.
///
/// Where values are to be new, an event is looked at when the watermark has passed it, and is all of its finding.
pub(crate) struct Machine<V> {
    pub(super) node: Arc<Node>,
    pub(super) groups: Groups<V>,
    due: Agenda,
    pub(super) parts: Parts,
    /// Of a rule that emits early, what it has told.
    pub(super) told: Option<Told>,
    pub(super) lost: Lost,
    /// Of a rule about new values, those that it knows.
    pub(super) terms: Option<Terms>,
    /// The first events, where findings quote them.
    pub(super) quotes: Option<Quotes>,
    /// Items in lists beside their groups.
    pub(super) listed: usize,
    /// Bytes of keys and of values that are not part of their items.
    pub(super) bytes: usize,
}

/// An event with what is looked at in it.
#[derive(Debug, Clone)]
pub(super) struct Item<V> {
    pub(super) event: Event,
    pub(super) value: V,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It counts.
    Counted,
    /// The windows that it could have counted in are decided.
    Late,
}

impl<V: Held> Machine<V> {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self {
            told: node.foretells().map(Told::new),
            terms: node
                .remembers()
                .map(|room| Terms::new(node.rule.timespan_ns, room)),
            quotes: node.quotes(),
            due: Agenda::new(node.rule.timespan_ns),
            node,
            groups: Groups::default(),
            parts: Parts::default(),
            lost: Lost::NOTHING,
            listed: 0,
            bytes: 0,
        }
    }

    /// Takes an event in. Behind the watermark it still counts while a window that begins at it is undecided and its time
    /// is not within a finding's window.
    pub(super) fn add(
        &mut self,
        key: &[u8],
        event: Event,
        value: V,
        watermark_ns: Option<i64>,
    ) -> Arrival {
        let due_ns = self.window_end(event.time_ns);
        let decided = watermark_ns.is_some_and(|watermark_ns| due_ns <= watermark_ns);
        if decided {
            return Arrival::Late;
        }
        let (place, is_new) = self.groups.place_or_insert(key);
        let Some(group) = self.groups.get_mut(place) else {
            return Arrival::Late;
        };
        let taken_ns = group.taken_ns.get();
        if taken_ns.is_some_and(|taken_ns| event.time_ns < taken_ns) {
            return Arrival::Late;
        }
        if is_new {
            group.lost_ns = self.lost.before_ns;
        }
        self.bytes += value.bytes() + if is_new { key.len() } else { 0 };
        let later = |last: &Item<V>| last.event.time_ns < event.time_ns;
        group.sorted = group
            .items
            .last()
            .is_none_or(|last| group.sorted && later(last));
        self.listed -= group.listed();
        group.items.push(Item { event, value });
        self.listed += group.listed();
        self.schedule(place, due_ns);
        if let Some(told) = &mut self.told {
            told.stir(key);
        }
        Arrival::Counted
    }

    /// Looks at a group at this time at the latest.
    pub(super) fn schedule(&mut self, place: Place, due_ns: i64) {
        let Some(group) = self.groups.get_mut(place) else {
            return;
        };
        let before_ns = group.due_ns.get();
        if before_ns.is_none_or(|before_ns| due_ns < before_ns) {
            group.due_ns = Some(due_ns).into();
            self.due.put(place, before_ns, due_ns);
        }
    }

    /// Decides everything that the watermark allows to be decided.
    pub(super) fn advance(
        &mut self,
        watermark_ns: i64,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        while let Some(place) = self.next_due(watermark_ns) {
            self.decide(place, watermark_ns, sources, found);
        }
        self.compact();
    }

    /// The next group that has to be looked at by the watermark.
    pub(super) fn next_due(&mut self, watermark_ns: i64) -> Option<Place> {
        loop {
            let groups = &self.groups;
            let due = |place| groups.get(place).and_then(|group| group.due_ns.get());
            let (due_ns, place) = self.due.next(watermark_ns, due)?;
            if due(place) == Some(due_ns) {
                return Some(place);
            }
        }
    }

    /// Gives the memory of groups that are gone back, if there is much of it.
    pub(super) fn compact(&mut self) {
        if !self.groups.is_sparse() {
            return;
        }
        self.due = Agenda::new(self.node.rule.timespan_ns);
        for (place, due_ns) in self.groups.compact() {
            if let Some(due_ns) = due_ns.get() {
                self.due.put(place, None, due_ns);
            }
        }
    }

    /// Approximate bytes held.
    pub(super) fn size(&self) -> usize {
        self.kept_bytes()
            + self.told.as_ref().map_or(0, Told::size)
            + self.terms.as_ref().map_or(0, Terms::size)
            + self.quotes.as_ref().map_or(0, Quotes::size)
    }

    /// Approximate bytes of groups, with the findings that are counted in them. It depends on nothing but what is in them.
    pub(super) fn kept_bytes(&self) -> usize {
        // Each has a place in the agenda.
        let group = Groups::<V>::BYTES + 2 * size_of::<Place>();
        self.listed * size_of::<Item<V>>()
            + self.bytes
            + self.groups.len() * group
            + self.parts.size()
    }

    /// Takes a group's events out, to be put back: its place stays its own.
    pub(super) fn take(&mut self, place: Place) -> Option<Group<V>> {
        let group = std::mem::take(self.groups.get_mut(place)?);
        self.listed -= group.listed();
        Some(group)
    }

    /// Puts back what [`Self::take`] took out.
    pub(super) fn put_back(&mut self, place: Place, group: Group<V>) {
        if let Some(empty) = self.groups.get_mut(place) {
            self.listed += group.listed();
            *empty = group;
        }
    }

    fn decide(
        &mut self,
        place: Place,
        watermark_ns: i64,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        let Some(mut group) = self.take(place) else {
            return;
        };
        self.put_in_order(&mut group, sources);
        let mut told = self.told.take();
        let key = self.groups.key(place).unwrap_or_default();
        let (decided, taken_ns) = self.scan(&group.items, watermark_ns, &mut |window, number| {
            let Some(mut finding) = self.finding((key, group.lost_ns), window, number, sources)
            else {
                return;
            };
            let is_news = match (&mut told, window.first()) {
                (Some(told), Some(opener)) => told.settle(key, &opener.event, &mut finding),
                _ => true,
            };
            if is_news {
                found.push(finding);
            }
        });
        if let Some(told) = &mut told {
            told.decided(key);
        }
        self.told = told;
        for item in group.items.drain(..decided) {
            self.bytes -= item.value.bytes();
            self.parts.forget(&item.event);
        }
        let taken_ns = taken_ns.or(group.taken_ns.get());
        let due_ns = match (group.items.first(), taken_ns) {
            (Some(head), _) => Some(self.window_end(head.event.time_ns)),
            // It is remembered for as long as an event of the used-up time could still be mistaken for a new one.
            (None, Some(taken_ns)) => Some(self.window_end(taken_ns)),
            (None, None) => None,
        };
        let later_ns = due_ns.filter(|due_ns| *due_ns > watermark_ns);
        if let Some(due_ns) = later_ns {
            group.items.shrink_to_fit();
            group.taken_ns = taken_ns.into();
            group.due_ns = Moment::NONE;
            self.put_back(place, group);
            self.schedule(place, due_ns);
        } else if let Some(key) = self.groups.remove(place) {
            self.bytes -= key.len();
        }
    }

    /// Puts the events of a group, which has been taken out, in order, each once.
    pub(super) fn put_in_order(&mut self, group: &mut Group<V>, sources: &Sources) {
        for gone in group.sort(&self.parts, sources, self.node.one_rule_an_event()) {
            self.bytes -= gone.value.bytes();
            self.parts.forget(&gone.event);
        }
    }

    /// Looks at all windows of a group's items that end by the watermark, and hands those that are findings to `found`, with the number
    /// that was compared. Answers how many of the items are decided, and up to when time is used up.
    pub(super) fn scan(
        &self,
        items: &[Item<V>],
        watermark_ns: i64,
        found: &mut dyn FnMut(&[Item<V>], f64),
    ) -> (usize, Option<i64>) {
        let judge = &self.node.judge;
        let (mut decided, mut stop, mut known) = (0, 0, 0);
        let mut taken_ns = None;
        let mut seen = Seen::new(judge);
        while let Some(head) = items.get(decided) {
            let end_ns = self.window_end(head.event.time_ns);
            if end_ns > watermark_ns {
                break;
            }
            stop = stop.max(decided);
            let later = items.get(stop..).unwrap_or_default();
            stop += later.partition_point(|item| item.event.time_ns < end_ns);
            let window = items.get(decided..stop).unwrap_or_default();
            // The items of the first event: it may be one of several rules.
            let same = |item: &&Item<V>| item.event.is_same(&head.event);
            let first = window.iter().take_while(same).count().max(1);
            let opens = |item: &Item<V>| judge.opens(item.event.position);
            let mut verdict = None;
            if window.len() >= judge.least_events() && window.iter().take(first).any(opens) {
                let unknown = items.get(known.max(decided)..stop).unwrap_or_default();
                unknown.iter().for_each(|item| seen.add(item));
                known = known.max(stop);
                verdict = judge.verdict(window, &seen);
            }
            if let Some(number) = verdict {
                found(window, number);
            } else if judge.pace != Pace::Tile {
                for item in items
                    .get(decided..(decided + first).min(known))
                    .unwrap_or_default()
                {
                    seen.remove(item);
                }
                decided += first;
                continue;
            }
            taken_ns = Some(end_ns);
            // At the end of time the window may not reach past its first event.
            decided += window.len().max(1);
            seen = Seen::new(judge);
            known = decided;
        }
        (decided, taken_ns)
    }

    /// When everything is known that decides about an event at this time.
    pub(super) fn window_end(&self, start_ns: i64) -> i64 {
        if self.node.judge.pace == Pace::Fresh {
            return start_ns.saturating_add(1);
        }
        start_ns.saturating_add(self.node.rule.timespan_ns)
    }
}

impl Event {
    /// Whether it is the same event, of whatever rule.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.time_ns, self.source, self.offset) == (other.time_ns, other.source, other.offset)
    }
}

impl<V> Group<V> {
    /// Puts the events in order, each once: `one_rule` says whether an event that several of the rules matched is one event, of
    /// the rule named first. Answers what was too many.
    fn sort(&mut self, parts: &Parts, sources: &Sources, one_rule: bool) -> Vec<Item<V>> {
        if self.sorted {
            return Vec::new();
        }
        self.sorted = true;
        self.items
            .sort_unstable_by(|left, right| parts.compare(&left.event, &right.event, sources));
        let again = |left: &Event, right: &Event| {
            left.is_same(right) && (one_rule || left.position == right.position)
        };
        let any = self
            .items
            .windows(2)
            .any(|pair| matches!(pair, [left, right] if again(&left.event, &right.event)));
        if !any {
            return Vec::new();
        }
        let mut gone = Vec::new();
        let mut kept: SmallVec<[Item<V>; 1]> = SmallVec::with_capacity(self.items.len());
        for item in std::mem::take(&mut self.items) {
            match kept.last() {
                Some(last) if again(&last.event, &item.event) => gone.push(item),
                _ => kept.push(item),
            }
        }
        self.items = kept;
        gone
    }
}
