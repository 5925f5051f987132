//! Correlations in a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::give_up::Lost;
use super::groups::{Group, Moment};
use super::machine::{Item, Machine};
use super::quotes::{load_quoted, save_quoted};
use super::tally::Held;
use super::{Event, group_key};
use crate::frame::{Bytes, FrameError, corrupt, put_count};
use crate::outcome::{Contribution, Correlated, Opening, Phase, Recall};
use crate::plan::RuleIds;
use crate::share::Share;
use crate::snapshot::{Kind, Writer, put_bytes, put_text};
use crate::sources::Sources;

/// A group's events are in order.
const SORTED: u8 = 1;
/// Some of a group's time has been used up.
const TAKEN: u8 = 2;
/// Beside a finding's phase: it may lack events, and how many groups were given up follows.
const LACKS: u8 = 32;
/// What a finding says of what was known follows it.
const RECALL: u8 = 0x10;
/// The records of some of its events follow it.
const QUOTED: u8 = 0x40;
/// Events written in one go; a group of more goes on in a further item.
const RUN: usize = 1024;
/// Bytes of an event without its value.
const EVENT_BYTES: usize = 24;
/// Findings are not nested deeper than correlations can be.
pub(super) const DEEPEST: usize = 64;

impl<V: Held> Machine<V> {
    /// Writes all groups, in the order of their keys, and the findings that they count.
    pub(super) fn save(&self, ids: &RuleIds, sources: &Sources, writer: &mut Writer<'_>) {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_unstable_by_key(|(key, _)| *key);
        writer.begin(V::KIND, &self.node.fingerprint, &[]);
        for (key, group) in groups {
            let mut rest = group.items.as_slice();
            loop {
                let (run, later) = rest.split_at_checked(RUN).unwrap_or((rest, &[]));
                writer.item(|bytes| save_group(key, group, run, bytes));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        }
        writer.finish();
        let next = self.parts.next.to_le_bytes();
        writer.begin(Kind::Findings, &self.node.fingerprint, &next);
        let parts: BTreeMap<_, _> = self.parts.iter().collect();
        for (number, finding) in parts {
            writer.item(|bytes| {
                bytes.extend(number.to_le_bytes());
                save_finding(finding, ids, sources, bytes);
            });
        }
        writer.finish();
        self.save_lost(writer);
        if let Some(excerpt) = &self.node.excerpt {
            writer.begin(Kind::Rule, &self.node.fingerprint, &[]);
            writer.item(|bytes| bytes.extend(excerpt));
            writer.finish();
        }
        if let Some(told) = &self.told {
            told.save(&self.node.fingerprint, ids, sources, writer);
        }
        if let Some(terms) = &self.terms {
            terms.save(&self.node.fingerprint, writer);
        }
        if let Some(quotes) = &self.quotes {
            quotes.save(&self.node.fingerprint, writer);
        }
    }

    /// Takes in what [`Self::save`] wrote of groups, as far as they are in this share.
    pub(super) fn load(
        &mut self,
        bytes: &mut Bytes<'_>,
        share: Option<Share>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let len = bytes.count("key")?;
            let key = bytes.take(len, "key")?;
            if group_key::values(key).count() != self.node.names().count() {
                return Err(corrupt("a group that does not fit its rule"));
            }
            let [flags] = bytes.array("group")?;
            let taken_ns = if flags & TAKEN == 0 {
                None
            } else {
                Some(i64::from_le_bytes(bytes.array("group")?))
            };
            let items = bytes.list("events", EVENT_BYTES, |bytes| {
                let event = load_event(bytes)?;
                if event.position as usize >= self.node.rule.rules.len() {
                    return Err(corrupt("an event of no rule"));
                }
                let value = V::load(bytes)?;
                Ok(Item { event, value })
            })?;
            if self.node.is_in(key, share) {
                self.put(key, items, flags & SORTED != 0, taken_ns);
            }
        }
        Ok(())
    }

    /// Forgets the findings that no group counts.
    pub(super) fn forget_unused(&mut self) {
        let items = self.groups.iter().flat_map(|(_, group)| &group.items);
        self.parts.retain(items.map(|item| &item.event));
    }

    fn put(&mut self, key: &[u8], items: Vec<Item<V>>, sorted: bool, taken_ns: Option<i64>) {
        self.bytes += items.iter().map(|item| item.value.bytes()).sum::<usize>();
        let first_ns = items.iter().map(|item| item.event.time_ns).min();
        // A group without events is kept until none of the used-up time can come any more.
        let due_ns = first_ns.or(taken_ns).map(|ns| self.window_end(ns));
        let (place, is_new) = self.groups.place_or_insert(key);
        self.bytes += if is_new { key.len() } else { 0 };
        if let Some(group) = self.groups.get_mut(place) {
            self.listed -= group.listed();
            group.items.extend(items);
            self.listed += group.listed();
            group.sorted = sorted;
            group.taken_ns = taken_ns.into();
        }
        if let Some(due_ns) = due_ns {
            self.schedule(place, due_ns);
        }
    }

    /// What was given up, and which groups may lack something for it; nothing where nothing was.
    fn save_lost(&self, writer: &mut Writer<'_>) {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.retain(|(_, group)| group.lost_ns != Moment::NONE);
        groups.sort_unstable_by_key(|(key, _)| *key);
        writer.begin(Kind::Lost, &self.node.fingerprint, &[]);
        if self.lost != Lost::NOTHING {
            writer.item(|bytes| {
                bytes.push(0);
                bytes.extend(self.lost.groups.to_le_bytes());
                bytes.extend(self.lost.before_ns.to_le_bytes());
                bytes.extend(self.lost.below_groups.to_le_bytes());
                bytes.extend(self.lost.below_ns.to_le_bytes());
            });
        }
        for (key, group) in groups {
            writer.item(|bytes| {
                bytes.push(1);
                put_bytes(bytes, key);
                bytes.extend(group.lost_ns.to_le_bytes());
            });
        }
        writer.finish();
    }

    /// Takes in what [`Self::save`] wrote of what was given up; the groups are here already, as far as they are in this share.
    pub(super) fn load_lost(
        &mut self,
        bytes: &mut Bytes<'_>,
        share: Option<Share>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if bytes.array("kind")? == [0] {
                self.lost = Lost {
                    groups: u64::from_le_bytes(bytes.array("number")?),
                    before_ns: Moment::from_le_bytes(bytes.array("time")?),
                    below_groups: u64::from_le_bytes(bytes.array("number")?),
                    below_ns: Moment::from_le_bytes(bytes.array("time")?),
                };
                continue;
            }
            let len = bytes.count("key")?;
            let key = bytes.take(len, "key")?;
            let lost_ns = Moment::from_le_bytes(bytes.array("time")?);
            if !self.node.is_in(key, share) {
                continue;
            }
            let place = self.groups.place(key);
            let group = place.and_then(|place| self.groups.get_mut(place));
            let group = group.ok_or_else(|| corrupt("a group that is not there"))?;
            group.lost_ns = lost_ns;
        }
        Ok(())
    }

    /// Takes in what [`Self::save`] wrote of findings.
    pub(super) fn load_findings(
        &mut self,
        names: &Names<'_>,
        sources: &Sources,
        bytes: &mut Bytes<'_>,
    ) -> Result<(), FrameError> {
        self.parts.next = i64::from_le_bytes(bytes.array("findings")?);
        while !bytes.is_empty() {
            let number = i64::from_le_bytes(bytes.array("finding")?);
            let finding = load_finding(names, sources, bytes, DEEPEST)?;
            self.parts.insert(number, finding);
        }
        Ok(())
    }
}

fn save_group<V: Held>(key: &[u8], group: &Group<V>, items: &[Item<V>], bytes: &mut Vec<u8>) {
    put_bytes(bytes, key);
    let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
    let taken_ns = group.taken_ns.get();
    bytes.push(flag(group.sorted, SORTED) | flag(taken_ns.is_some(), TAKEN));
    bytes.extend(taken_ns.iter().flat_map(|ns| ns.to_le_bytes()));
    put_count(bytes, items.len());
    for Item { event, value } in items {
        save_event(event, bytes);
        value.save(bytes);
    }
}

pub(super) fn save_event(event: &Event, bytes: &mut Vec<u8>) {
    bytes.extend(event.time_ns.to_le_bytes());
    bytes.extend(event.offset.to_le_bytes());
    bytes.extend(event.source.to_le_bytes());
    bytes.extend(event.position.to_le_bytes());
}

pub(super) fn load_event(bytes: &mut Bytes<'_>) -> Result<Event, FrameError> {
    Ok(Event {
        time_ns: i64::from_le_bytes(bytes.array("event")?),
        offset: i64::from_le_bytes(bytes.array("event")?),
        source: u32::from_le_bytes(bytes.array("event")?),
        position: u32::from_le_bytes(bytes.array("event")?),
    })
}

/// The index of each rule, by its id.
pub(crate) struct Names<'a> {
    detections: FxHashMap<&'a str, u32>,
    correlations: FxHashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    pub(crate) fn of(ids: &'a RuleIds) -> Self {
        let text = |id: &'a Arc<str>| &**id;
        Self {
            detections: ids.detections.iter().map(text).zip(0..).collect(),
            correlations: ids.correlations.iter().map(text).zip(0..).collect(),
        }
    }
}

/// A rule is named by its id: it may stand elsewhere when the snapshot is read. One that is not there any more has no name.
pub(super) fn save_finding(
    finding: &Correlated,
    ids: &RuleIds,
    sources: &Sources,
    bytes: &mut Vec<u8>,
) {
    let text = |id: Option<&Arc<str>>| id.cloned().unwrap_or_default();
    put_text(bytes, &text(ids.correlations.get(finding.rule)));
    put_count(bytes, finding.group.len());
    for (name, value) in &finding.group {
        put_text(bytes, name);
        bytes.push(u8::from(value.is_some()));
        value.iter().for_each(|value| put_text(bytes, value));
    }
    for ns in [finding.time_ns, finding.first_ns, finding.last_ns] {
        bytes.extend(ns.to_le_bytes());
    }
    bytes.extend(finding.count.to_le_bytes());
    bytes.extend(finding.number.to_le_bytes());
    put_count(bytes, finding.events.len());
    for event in &finding.events {
        bytes.extend(event.time_ns.to_le_bytes());
        bytes.extend(event.offset.to_le_bytes());
        let source = sources.find(&event.source).unwrap_or(u32::MAX);
        bytes.extend(source.to_le_bytes());
        put_text(bytes, &text(ids.detections.get(event.rule as usize)));
    }
    put_count(bytes, finding.parts.len());
    for part in &finding.parts {
        save_finding(part, ids, sources, bytes);
    }
    save_opening(&finding.opening, ids, sources, bytes);
    bytes.extend(finding.revision.to_le_bytes());
    let quoted = finding.events.iter().zip(0u32..);
    let quoted = quoted.filter_map(|(event, number)| Some((number, event.quoted.as_ref()?)));
    let quoted: Vec<_> = quoted.collect();
    let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
    let flags = flag(finding.recall.is_some(), RECALL)
        | flag(finding.given_up > 0, LACKS)
        | flag(!quoted.is_empty(), QUOTED);
    match &finding.phase {
        Phase::Final => bytes.push(flags),
        Phase::Open => bytes.push(flags | 1),
        Phase::Withdrawn(None) => bytes.push(flags | 2),
        Phase::Withdrawn(Some(opening)) => {
            bytes.push(flags | 3);
            save_opening(opening, ids, sources, bytes);
        }
    }
    if finding.given_up > 0 {
        bytes.extend(finding.given_up.to_le_bytes());
    }
    if let Some(recall) = &finding.recall {
        bytes.extend(recall.exactly.to_le_bytes());
        bytes.extend(recall.mistaken.to_le_bytes());
        bytes.push(u8::from(recall.forgotten_ns.is_some()));
        bytes.extend(recall.forgotten_ns.iter().flat_map(|ns| ns.to_le_bytes()));
    }
    if !quoted.is_empty() {
        put_count(bytes, quoted.len());
        for (number, quoted) in quoted {
            bytes.extend(number.to_le_bytes());
            save_quoted(quoted, bytes);
        }
    }
}

fn load_quotes(events: &mut [Contribution], bytes: &mut Bytes<'_>) -> Result<(), FrameError> {
    for _ in 0..bytes.count("quotes")? {
        let place = bytes.count("quote")?;
        let quoted = load_quoted(bytes)?;
        let event = events.get_mut(place);
        let event = event.ok_or_else(|| corrupt("a quote of an event that is not there"))?;
        event.quoted = Some(quoted);
    }
    Ok(())
}

fn load_recall(bytes: &mut Bytes<'_>) -> Result<Recall, FrameError> {
    Ok(Recall {
        exactly: u64::from_le_bytes(bytes.array("finding")?),
        mistaken: f64::from_le_bytes(bytes.array("finding")?),
        forgotten_ns: match bytes.array("finding")? {
            [0] => None,
            _ => Some(i64::from_le_bytes(bytes.array("finding")?)),
        },
    })
}

fn save_opening(opening: &Opening, ids: &RuleIds, sources: &Sources, bytes: &mut Vec<u8>) {
    match opening {
        Opening::Event { source, offset } => {
            bytes.push(0);
            bytes.extend(sources.find(source).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        Opening::Finding(finding) => {
            bytes.push(1);
            save_finding(finding, ids, sources, bytes);
        }
    }
}

pub(super) fn load_finding(
    names: &Names<'_>,
    sources: &Sources,
    bytes: &mut Bytes<'_>,
    depth: usize,
) -> Result<Correlated, FrameError> {
    let depth = depth.checked_sub(1);
    let depth = depth.ok_or_else(|| corrupt("findings that are nested too deeply"))?;
    let id = bytes.text("rule")?;
    let rule = names.correlations.get(&*id).copied().unwrap_or(usize::MAX);
    let group = bytes.list("group", 5, |bytes| {
        let name = bytes.text("group")?.to_string();
        let value = match bytes.array("group")? {
            [0] => None,
            _ => Some(bytes.text("group")?.to_string()),
        };
        Ok((name, value))
    })?;
    let mut time =
        || -> Result<i64, FrameError> { Ok(i64::from_le_bytes(bytes.array("finding")?)) };
    let (time_ns, first_ns, last_ns) = (time()?, time()?, time()?);
    let count = u64::from_le_bytes(bytes.array("finding")?);
    let number = f64::from_le_bytes(bytes.array("finding")?);
    let mut events = bytes.list("events", EVENT_BYTES, |bytes| {
        let time_ns = i64::from_le_bytes(bytes.array("event")?);
        let offset = i64::from_le_bytes(bytes.array("event")?);
        let source = sources.get(u32::from_le_bytes(bytes.array("event")?));
        let source = source.ok_or_else(|| corrupt("an event of a source without name"))?;
        let id = bytes.text("rule")?;
        Ok(Contribution {
            time_ns,
            source: source.clone(),
            offset,
            rule: names.detections.get(&*id).copied().unwrap_or(u32::MAX),
            quoted: None,
        })
    })?;
    let parts = bytes.list("findings", 60, |bytes| {
        load_finding(names, sources, bytes, depth).map(Arc::new)
    })?;
    let opening = load_opening(names, sources, bytes, depth)?;
    let revision = u32::from_le_bytes(bytes.array("finding")?);
    let [flags] = bytes.array("finding")?;
    let phase = match flags & !(RECALL | LACKS | QUOTED) {
        0 => Phase::Final,
        1 => Phase::Open,
        2 => Phase::Withdrawn(None),
        3 => Phase::Withdrawn(Some(load_opening(names, sources, bytes, depth)?)),
        other => return Err(corrupt(&format!("a finding in unknown phase {other}"))),
    };
    let given_up = match flags & LACKS {
        0 => 0,
        _ => u64::from_le_bytes(bytes.array("finding")?),
    };
    let recall = match flags & RECALL {
        0 => None,
        _ => Some(load_recall(bytes)?),
    };
    if flags & QUOTED != 0 {
        load_quotes(&mut events, bytes)?;
    }
    Ok(Correlated {
        rule,
        group,
        time_ns,
        first_ns,
        last_ns,
        count,
        number,
        events,
        parts,
        opening,
        revision,
        phase,
        given_up,
        // A finding that is kept is counted by another correlation; what is told early says it itself.
        suppresses: None,
        recall,
    })
}

fn load_opening(
    names: &Names<'_>,
    sources: &Sources,
    bytes: &mut Bytes<'_>,
    depth: usize,
) -> Result<Opening, FrameError> {
    match bytes.array("opening")? {
        [0] => {
            let source = sources.get(u32::from_le_bytes(bytes.array("opening")?));
            let source = source.ok_or_else(|| corrupt("an event of a source without name"))?;
            Ok(Opening::Event {
                source: source.clone(),
                offset: i64::from_le_bytes(bytes.array("opening")?),
            })
        }
        [1] => load_finding(names, sources, bytes, depth).map(|of| Opening::Finding(Arc::new(of))),
        [other] => Err(corrupt(&format!(
            "a window that opens with unknown kind {other}"
        ))),
    }
}
