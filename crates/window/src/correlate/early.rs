//! Findings that are told before the watermark has passed their windows: those of `emit: early`, and the first alerts of `suppress`.
//!
//! What is open after a record is what would be found if no further event came. The difference to what was told before is told: a
//! finding that is new, one that has changed, one that is none any more. So each finding is told at most once a record.
//! The windows themselves are decided by the watermark, as those of all rules are; that confirms what was told.

use std::collections::BTreeSet;
use std::sync::Arc;

use haechi_rules::Referent;
use hashbrown::HashMap;

use super::Event;
use super::groups::{Group, Moment, Place};
use super::machine::Machine;
use super::parts::Moves;
use super::saved::{DEEPEST, Names, load_event, load_finding, save_event, save_finding};
use super::tally::Held;
use crate::frame::{Bytes, Fingerprint, FrameError, put_count};
use crate::outcome::{Contribution, Correlated, Opening, Phase};
use crate::plan::RuleIds;
use crate::snapshot::{Kind, Writer, put_bytes};
use crate::sources::Sources;

/// What is told before a window is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foretelling {
    /// Every finding, as soon as its condition holds, and whenever it changes.
    All,
    /// Every finding once, when the watermark has passed its first event, so that it is known to be the first.
    First,
}

/// What one correlation has told early in one exchange partition.
#[derive(Debug)]
pub(super) struct Told {
    what: Foretelling,
    /// Groups with a finding that cannot be told before the watermark has passed this time.
    waiting: BTreeSet<(i64, Arc<[u8]>)>,
    groups: HashMap<Arc<[u8]>, Vec<Finding>>,
    /// Groups in which something has happened since it was last told what is open.
    stirred: BTreeSet<Arc<[u8]>>,
    /// Windows that were decided since, by group.
    settled: HashMap<Arc<[u8]>, Vec<Settled>>,
}

/// A finding that was told and is not final.
#[derive(Debug, Clone)]
struct Finding {
    /// The event that its window begins with.
    opener: Event,
    /// How many items its window had.
    items: usize,
    /// As it was told, but with its first event alone and without its parts.
    said: Correlated,
    /// It was withdrawn. It is remembered while it may still come back, so that its revisions go on.
    withdrawn: bool,
}

/// A final finding's window.
#[derive(Debug)]
struct Settled {
    start_ns: i64,
    opening: Opening,
}

impl Told {
    pub(super) fn new(what: Foretelling) -> Self {
        Self {
            what,
            waiting: BTreeSet::new(),
            groups: HashMap::new(),
            stirred: BTreeSet::new(),
            settled: HashMap::new(),
        }
    }

    /// Something has happened in a group.
    pub(super) fn stir(&mut self, key: &[u8]) {
        if !self.stirred.contains(key) {
            self.stirred.insert(key.into());
        }
    }

    /// A window was decided: what was told early of it is now final. Answers whether that is worth telling.
    pub(super) fn settle(&mut self, key: &[u8], opener: &Event, found: &mut Correlated) -> bool {
        let mut is_news = true;
        if let Some(told) = self.groups.get_mut(key)
            && let Some(at) = told.iter().position(|told| told.opener.is_same(opener))
        {
            let told = told.swap_remove(at);
            found.revision = told.said.revision.saturating_add(1);
            let alone = match found.parts.len() {
                0 => found.events.len() <= 1,
                parts => parts == 1,
            };
            is_news = self.what == Foretelling::All || told.withdrawn || !alone;
        }
        self.settled.entry(key.into()).or_default().push(Settled {
            start_ns: opener.time_ns,
            opening: found.opening.clone(),
        });
        is_news
    }

    /// Events of a group were decided: what was told of them has to be looked at.
    pub(super) fn decided(&mut self, key: &[u8]) {
        if self.groups.contains_key(key) {
            self.stir(key);
        }
    }

    /// Whether anything is open that is to be told to its end. The first alerts of suppression stand, whatever comes.
    pub(super) fn is_open(&self) -> bool {
        let mut told = self.groups.values().flatten();
        self.what == Foretelling::All && told.any(|told| !told.withdrawn)
    }

    /// The rules have other numbers now.
    pub(super) fn renumber(&mut self, moves: &Moves, suppresses: Option<Referent>) {
        for told in self.groups.values_mut().flatten() {
            told.said = moves.of(&told.said);
            told.said.suppresses = suppresses;
        }
    }

    /// Writes what was told and is not final, by group, for a snapshot. Between records nothing has happened that was not told.
    pub(super) fn save(
        &self,
        rule: &Fingerprint,
        ids: &RuleIds,
        sources: &Sources,
        writer: &mut Writer<'_>,
    ) {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_unstable_by(|left, right| left.0.cmp(right.0));
        writer.begin(Kind::Told, rule, &[]);
        for (key, told) in groups {
            for finding in told {
                writer.item(|bytes| {
                    put_bytes(bytes, key);
                    save_event(&finding.opener, bytes);
                    put_count(bytes, finding.items);
                    bytes.push(u8::from(finding.withdrawn));
                    save_finding(&finding.said, ids, sources, bytes);
                });
            }
        }
        writer.finish();
        writer.begin(Kind::Waiting, rule, &[]);
        for (time_ns, key) in &self.waiting {
            writer.item(|bytes| {
                bytes.extend(time_ns.to_le_bytes());
                put_bytes(bytes, key);
            });
        }
        writer.finish();
    }

    /// Takes in what [`Self::save`] wrote of groups that wait, of those that are in `own` partition.
    pub(super) fn load_waiting(
        &mut self,
        own: &dyn Fn(&[u8]) -> bool,
        bytes: &mut Bytes<'_>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let time_ns = i64::from_le_bytes(bytes.array("time")?);
            let len = bytes.count("key")?;
            let key = bytes.take(len, "key")?;
            if own(key) {
                self.waiting.insert((time_ns, key.into()));
            }
        }
        Ok(())
    }

    /// Takes in what [`Self::save`] wrote of findings of groups that are in `own` partition, told by a rule that suppresses the alerts of
    /// this one.
    pub(super) fn load(
        &mut self,
        suppresses: Option<Referent>,
        names: &Names<'_>,
        sources: &Sources,
        own: &dyn Fn(&[u8]) -> bool,
        bytes: &mut Bytes<'_>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let len = bytes.count("key")?;
            let key: Arc<[u8]> = bytes.take(len, "key")?.into();
            let mut finding = Finding {
                opener: load_event(bytes)?,
                items: bytes.count("finding")?,
                withdrawn: bytes.array("finding")? != [0],
                said: load_finding(names, sources, bytes, DEEPEST)?,
            };
            finding.said.suppresses = suppresses;
            if own(&key) {
                self.groups.entry(key).or_default().push(finding);
            }
        }
        Ok(())
    }

    /// Approximate bytes held.
    pub(super) fn size(&self) -> usize {
        let one = size_of::<Finding>() + size_of::<Contribution>();
        let told: usize = self.groups.values().map(Vec::len).sum();
        told * one
            + self.waiting.len() * size_of::<(i64, Arc<[u8]>)>()
            + self.groups.len() * size_of::<(Arc<[u8]>, Vec<Finding>)>()
    }
}

/// What is told of a group.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Only findings that begin before.
    before_ns: i64,
    /// Those told before, when they have changed.
    again: bool,
}

impl Finding {
    fn new(opener: Event, items: usize, found: &Correlated) -> Self {
        let said = Correlated {
            events: found.events.first().cloned().into_iter().collect(),
            parts: Vec::new(),
            group: found.group.clone(),
            opening: found.opening.clone(),
            phase: Phase::Open,
            ..*found
        };
        Self {
            opener,
            items,
            said,
            withdrawn: false,
        }
    }

    fn withdraw(&self, by: Option<Opening>) -> Self {
        let mut gone = self.clone();
        gone.withdrawn = true;
        gone.said.revision = gone.said.revision.saturating_add(1);
        gone.said.phase = Phase::Withdrawn(by);
        gone
    }
}

impl<V: Held> Machine<V> {
    /// Tells what has become of the groups in which something has happened, the watermark being here.
    pub(super) fn tell(
        &mut self,
        watermark_ns: Option<i64>,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        let Some(mut told) = self.told.take() else {
            return;
        };
        let own_ns = watermark_ns.map(|watermark_ns| self.node.watermark_ns(watermark_ns));
        // Of findings of which the first event alone is told, it must be the first for sure.
        let before_ns = match told.what {
            Foretelling::All => i64::MAX,
            Foretelling::First => own_ns.unwrap_or(i64::MIN),
        };
        let mut stirred = std::mem::take(&mut told.stirred);
        while let Some((time_ns, _)) = told.waiting.first()
            && *time_ns < before_ns
        {
            stirred.extend(told.waiting.pop_first().map(|(_, key)| key));
        }
        for key in stirred {
            let before = told.groups.remove(&key).unwrap_or_default();
            let settled = told.settled.get(&key).map_or(&[][..], Vec::as_slice);
            let limits = Limits {
                before_ns,
                again: told.what == Foretelling::All,
            };
            let (now, waits_for) = self.tell_group(&key, before, settled, limits, sources, found);
            if let Some(time_ns) = waits_for {
                told.waiting.insert((time_ns, Arc::clone(&key)));
            }
            if !now.is_empty() {
                told.groups.insert(key, now);
            }
        }
        told.settled.clear();
        self.told = Some(told);
    }

    /// The last words of what is open, the rule being gone: a finding is withdrawn, a first alert is told with those that were
    /// suppressed by then, if any were.
    pub(super) fn last_words(&self) -> Vec<Correlated> {
        let Some(told) = &self.told else {
            return Vec::new();
        };
        let each = |key, findings: &[Finding]| -> Vec<Correlated> {
            let open = findings.iter().filter(|told| !told.withdrawn);
            let last = open.filter_map(|open| match told.what {
                Foretelling::All => Some(open.withdraw(None).said),
                Foretelling::First => self.counted(key, open),
            });
            last.collect()
        };
        let groups = told.groups.iter();
        groups
            .flat_map(|(key, findings)| each(key, findings))
            .collect()
    }

    /// The first alert of a span with all that are in it so far; none when it is alone.
    fn counted(&self, key: &[u8], first: &Finding) -> Option<Correlated> {
        let group = self.groups.get(self.groups.place(key)?)?;
        let span = first.opener.time_ns..self.window_end(first.opener.time_ns);
        let items = group.items.iter();
        let alerts = items.filter(|item| span.contains(&item.event.time_ns));
        let alerts = alerts.count();
        #[allow(clippy::cast_precision_loss, reason = "a number of alerts")]
        (alerts > 1).then(|| Correlated {
            number: alerts as f64,
            revision: first.said.revision.saturating_add(1),
            phase: Phase::Final,
            ..first.said.clone()
        })
    }

    fn tell_group(
        &mut self,
        key: &Arc<[u8]>,
        mut before: Vec<Finding>,
        settled: &[Settled],
        limits: Limits,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) -> (Vec<Finding>, Option<i64>) {
        let place = self.groups.place(key);
        let group = place.and_then(|place| self.take_in_order(place, sources));
        let items = group.as_ref().map_or(&[][..], |group| &group.items);
        let lost_ns = group.as_ref().map_or(Moment::NONE, |group| group.lost_ns);
        let mut now: Vec<Finding> = Vec::new();
        let mut waits_for = None;
        self.scan(items, i64::MAX, &mut |window, number| {
            let Some(opener) = window.first().map(|item| item.event) else {
                return;
            };
            if opener.time_ns >= limits.before_ns && limits.before_ns != i64::MAX {
                waits_for = waits_for.or(Some(opener.time_ns));
                return;
            }
            let at = before.iter().position(|told| told.opener.is_same(&opener));
            let earlier = at.map(|at| before.swap_remove(at));
            let unchanged = |told: &Finding| {
                let same =
                    told.items == window.len() && told.said.number.to_bits() == number.to_bits();
                !told.withdrawn && (same || !limits.again)
            };
            if let Some(told) = earlier.as_ref().filter(|told| unchanged(told)) {
                now.push(told.clone());
            } else if let Some(mut new) = self.finding((key, lost_ns), window, number, sources) {
                new.phase = Phase::Open;
                let revision = |told: &Finding| told.said.revision.saturating_add(1);
                new.revision = earlier.as_ref().map_or(0, revision);
                now.push(Finding::new(opener, window.len(), &new));
                found.push(new);
            }
        });
        let oldest_ns = items.first().map(|item| item.event.time_ns);
        for told in before {
            let gone = if told.withdrawn {
                told
            } else {
                let by = self.instead(&told, &now, settled);
                let gone = told.withdraw(by);
                found.push(gone.said.clone());
                gone
            };
            // It can come back only while its first event is undecided.
            if oldest_ns.is_some_and(|oldest_ns| oldest_ns <= gone.opener.time_ns) {
                now.push(gone);
            }
        }
        if let (Some(place), Some(group)) = (place, group) {
            self.put_back(place, group);
        }
        (now, waits_for)
    }

    /// The finding that a withdrawn one's first event belongs to or, if there is none, the first one that shares its time.
    fn instead(&self, gone: &Finding, now: &[Finding], settled: &[Settled]) -> Option<Opening> {
        let (start_ns, end_ns) = (gone.opener.time_ns, self.window_end(gone.opener.time_ns));
        let open = now.iter().filter(|told| !told.withdrawn);
        let open = open.map(|told| (told.opener.time_ns, &told.said.opening));
        let decided = settled.iter().map(|of| (of.start_ns, &of.opening));
        let overlapping = decided
            .chain(open)
            .filter(|(other_ns, _)| *other_ns < end_ns && start_ns < self.window_end(*other_ns));
        // Windows do not overlap each other, so the earliest is the one that has the first event, if any has.
        let first = overlapping.min_by_key(|(other_ns, _)| *other_ns)?;
        Some(first.1.clone())
    }

    /// Takes a group out, its events in order.
    fn take_in_order(&mut self, place: Place, sources: &Sources) -> Option<Group<V>> {
        let mut group = self.take(place)?;
        self.put_in_order(&mut group, sources);
        Some(group)
    }
}
