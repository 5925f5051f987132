//! Stage 2 of a correlation: events in the order of their time, and findings.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Event;
use super::early::Told;
use super::judge::{Pace, Seen};
use super::node::Node;
use super::parts::Parts;
use super::tally::Held;
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
pub(crate) struct Machine<V> {
    pub(super) node: Arc<Node>,
    pub(super) groups: HashMap<Arc<[u8]>, Group<V>>,
    /// When each group must be looked at next. A group that has been rescheduled leaves its old entry behind, which is skipped.
    pub(super) due: BinaryHeap<Reverse<(i64, Arc<[u8]>)>>,
    pub(super) parts: Parts,
    /// Of a rule that emits early, what it has told.
    pub(super) told: Option<Told>,
    pub(super) items: usize,
    /// Bytes of keys and of values that are not part of their items.
    pub(super) bytes: usize,
}

/// An event with what is looked at in it.
#[derive(Debug, Clone)]
pub(super) struct Item<V> {
    pub(super) event: Event,
    pub(super) value: V,
}

#[derive(Debug)]
pub(super) struct Group<V> {
    pub(super) items: Vec<Item<V>>,
    pub(super) sorted: bool,
    /// Events before this time have been used up.
    pub(super) taken_ns: Option<i64>,
    /// When to look at it next; none when it is not scheduled.
    pub(super) due_ns: Option<i64>,
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
            node,
            groups: HashMap::new(),
            due: BinaryHeap::new(),
            parts: Parts::default(),
            items: 0,
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
        let known = self.groups.get(key);
        let taken_ns = known.and_then(|group| group.taken_ns);
        let taken = taken_ns.is_some_and(|taken_ns| event.time_ns < taken_ns);
        if decided || taken {
            return Arrival::Late;
        }
        if known.is_none() {
            self.bytes += key.len();
            self.groups.insert(key.into(), Group::default());
        }
        if let Some(told) = &mut self.told {
            told.stir(key);
        }
        let Some(group) = self.groups.get_mut(key) else {
            return Arrival::Late;
        };
        self.items += 1;
        self.bytes += value.bytes();
        group.sorted = false;
        group.items.push(Item { event, value });
        if group.due_ns.is_none_or(|old| due_ns < old) {
            group.due_ns = Some(due_ns);
            self.due.push(Reverse((due_ns, key.into())));
        }
        Arrival::Counted
    }

    /// Decides everything that the watermark allows to be decided.
    pub(super) fn advance(
        &mut self,
        watermark_ns: i64,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        while let Some(Reverse((due_ns, _))) = self.due.peek()
            && *due_ns <= watermark_ns
        {
            let Some(Reverse((due_ns, key))) = self.due.pop() else {
                break;
            };
            let scheduled = self.groups.get(&key).and_then(|group| group.due_ns);
            if scheduled == Some(due_ns) {
                self.decide(&key, watermark_ns, sources, found);
            }
        }
    }

    /// Approximate bytes held.
    pub(super) fn size(&self) -> usize {
        let group = size_of::<(Arc<[u8]>, Group<V>)>() + size_of::<(i64, Arc<[u8]>)>();
        self.items * size_of::<Item<V>>()
            + self.bytes
            + self.groups.len() * group
            + self.parts.size()
            + self.told.as_ref().map_or(0, Told::size)
    }

    fn decide(
        &mut self,
        key: &Arc<[u8]>,
        watermark_ns: i64,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        let Some(mut group) = self.groups.remove(key) else {
            return;
        };
        self.put_in_order(&mut group, sources);
        let mut told = self.told.take();
        let (decided, taken_ns) = self.scan(&group.items, watermark_ns, &mut |window, number| {
            let Some(mut finding) = self.finding(key, window, number, sources) else {
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
        group.taken_ns = taken_ns.or(group.taken_ns);
        for item in group.items.drain(..decided) {
            self.bytes -= item.value.bytes();
            self.parts.forget(&item.event);
        }
        self.items -= decided;
        group.due_ns = match (group.items.first(), group.taken_ns) {
            (Some(head), _) => Some(self.window_end(head.event.time_ns)),
            // It is remembered for as long as an event of the used-up time could still be mistaken for a new one.
            (None, Some(taken_ns)) => Some(self.window_end(taken_ns)),
            (None, None) => None,
        };
        match group.due_ns {
            Some(due_ns) if due_ns > watermark_ns => {
                self.due.push(Reverse((due_ns, Arc::clone(key))));
                self.groups.insert(Arc::clone(key), group);
            }
            _ => self.bytes -= key.len(),
        }
    }

    /// Puts the events of a group, which is not among the groups at the moment, in order, each once.
    pub(super) fn put_in_order(&mut self, group: &mut Group<V>, sources: &Sources) {
        for gone in group.sort(&self.parts, sources, self.node.one_rule_an_event()) {
            self.items -= 1;
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

    pub(super) fn window_end(&self, start_ns: i64) -> i64 {
        start_ns.saturating_add(self.node.rule.timespan_ns)
    }
}

impl Event {
    /// Whether it is the same event, of whatever rule.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.time_ns, self.source, self.offset) == (other.time_ns, other.source, other.offset)
    }
}

impl<V> Default for Group<V> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            sorted: false,
            taken_ns: None,
            due_ns: None,
        }
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
        let mut kept: Vec<Item<V>> = Vec::with_capacity(self.items.len());
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
