//! The first events of findings, as they came.
//!
//! Which window an event will belong to is not known when it is read, and to send all events through the exchange would cost as much
//! as the log. So the first few of each group are kept in every span of a fixed clock, an eighth of the timespan long. Stage 1 sends
//! those among what it has read since the last drain; the first of all are among them, however the log was cut.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;

use super::Event;
use super::saved::{load_event, save_event};
use crate::frame::{Bytes, Fingerprint, FrameError, corrupt};
use crate::outcome::{Contribution, Quoted};
use crate::snapshot::{Kind, Writer, put_bytes};
use crate::sources::Sources;

/// Spans in a timespan.
const SPANS: i64 = 8;
/// Bytes of a quote beside what is quoted, approximately.
const QUOTE_BYTES: usize = 64;

/// The first events of each group and span.
#[derive(Debug)]
pub(super) struct Quotes {
    most: usize,
    timespan_ns: i64,
    groups: HashMap<Arc<[u8]>, Spans>,
    /// Spans that hold something, the oldest first.
    by_time: BTreeSet<(i64, Arc<[u8]>)>,
    bytes: usize,
}

/// By their numbers on the clock; in each the events in their order.
type Spans = BTreeMap<i64, Vec<Quote>>;

#[derive(Debug)]
pub(super) struct Quote {
    pub(super) event: Event,
    pub(super) quoted: Quoted,
}

impl Quotes {
    /// At most so many of each group and span.
    pub(super) fn new(most: usize, timespan_ns: i64) -> Self {
        Self {
            most,
            timespan_ns,
            groups: HashMap::new(),
            by_time: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// From now on so many.
    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Takes an event in, if it is one of the first; `quote` is asked for it only then.
    pub(super) fn add(
        &mut self,
        key: &[u8],
        event: Event,
        sources: &Sources,
        quote: impl FnOnce() -> Option<Quoted>,
    ) {
        let span = self.span(event.time_ns);
        let known = self.groups.get(key).and_then(|spans| spans.get(&span));
        let known = known.map_or(&[][..], Vec::as_slice);
        let Err(place) = known.binary_search_by(|of| compare(&of.event, &event, sources)) else {
            return;
        };
        if place >= self.most {
            return;
        }
        let Some(quoted) = quote() else {
            return;
        };
        self.bytes += quoted.bytes.len();
        let key: Arc<[u8]> = match self.groups.get_key_value(key) {
            Some((known, _)) => Arc::clone(known),
            None => key.into(),
        };
        let spans = self.groups.entry(Arc::clone(&key)).or_default();
        let quotes = spans.entry(span).or_default();
        if quotes.is_empty() {
            self.by_time.insert((span, key));
        }
        quotes.insert(place, Quote { event, quoted });
        for gone in quotes.drain(self.most.min(quotes.len())..) {
            self.bytes -= gone.quoted.bytes.len();
        }
    }

    /// Forgets what no undecided window can hold when the watermark is here.
    pub(super) fn forget(&mut self, watermark_ns: i64) {
        while let Some((span, _)) = self.by_time.first()
            && self.end_ns(*span).saturating_add(self.timespan_ns) <= watermark_ns
        {
            let Some((span, key)) = self.by_time.pop_first() else {
                return;
            };
            let Some(spans) = self.groups.get_mut(&key) else {
                continue;
            };
            for gone in spans.remove(&span).into_iter().flatten() {
                self.bytes -= gone.quoted.bytes.len();
            }
            if spans.is_empty() {
                self.groups.remove(&key);
            }
        }
    }

    /// Quotes the first of a finding's events, which are in their order.
    pub(super) fn fill(&self, key: &[u8], events: &mut [Contribution], sources: &Sources) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return;
        };
        let range = self.span(first.time_ns)..=self.span(last.time_ns);
        let spans = self.groups.get(key).into_iter();
        let quotes = spans.flat_map(|spans| spans.range(range.clone()));
        for Quote { event, quoted } in quotes.flat_map(|(_, quotes)| quotes) {
            let Some(source) = sources.get(event.source) else {
                continue;
            };
            let at = (event.time_ns, source, event.offset);
            let place = events.binary_search_by(|of| (of.time_ns, &of.source, of.offset).cmp(&at));
            if let Some(event) = place.ok().and_then(|place| events.get_mut(place)) {
                event.quoted = Some(quoted.clone());
            }
        }
        let quoted = events.iter_mut().filter(|event| event.quoted.is_some());
        quoted.skip(self.most).for_each(|event| event.quoted = None);
    }

    /// All of them, in the order of their groups.
    pub(super) fn drain(&mut self) -> Vec<(Arc<[u8]>, Vec<Quote>)> {
        self.by_time.clear();
        self.bytes = 0;
        let groups = std::mem::take(&mut self.groups).into_iter();
        let flat =
            |(key, spans): (Arc<[u8]>, Spans)| (key, spans.into_values().flatten().collect());
        let mut groups: Vec<_> = groups.map(flat).collect();
        groups.sort_unstable_by(|(left, _), (right, _): &(_, Vec<Quote>)| left.cmp(right));
        groups
    }

    /// Approximate bytes held.
    pub(super) fn size(&self) -> usize {
        let spans = self.by_time.len() * (QUOTE_BYTES + self.most * QUOTE_BYTES);
        self.bytes + spans
    }

    /// Writes everything, for a snapshot.
    pub(super) fn save(&self, rule: &Fingerprint, writer: &mut Writer<'_>) {
        writer.begin(Kind::Quotes, rule, &[]);
        for (span, key) in &self.by_time {
            let quotes = self.groups.get(key).and_then(|spans| spans.get(span));
            for Quote { event, quoted } in quotes.into_iter().flatten() {
                writer.item(|bytes| {
                    put_bytes(bytes, key);
                    save_event(event, bytes);
                    save_quoted(quoted, bytes);
                });
            }
        }
        writer.finish();
    }

    /// Takes in what [`Self::save`] wrote, of groups that are in `own` partition.
    pub(super) fn load(
        &mut self,
        own: &dyn Fn(&[u8]) -> bool,
        sources: &Sources,
        bytes: &mut Bytes<'_>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let len = bytes.count("key")?;
            let key = bytes.take(len, "key")?;
            let event = load_event(bytes)?;
            if sources.get(event.source).is_none() {
                return Err(corrupt("an event of a source without name"));
            }
            let quoted = load_quoted(bytes)?;
            if own(key) {
                self.add(key, event, sources, || Some(quoted));
            }
        }
        Ok(())
    }

    fn span_ns(&self) -> i64 {
        (self.timespan_ns / SPANS).max(1)
    }

    fn span(&self, time_ns: i64) -> i64 {
        time_ns.div_euclid(self.span_ns())
    }

    fn end_ns(&self, span: i64) -> i64 {
        span.saturating_add(1).saturating_mul(self.span_ns())
    }
}

/// The order of events, of whatever rules: an event that several of them match is quoted once.
fn compare(left: &Event, right: &Event, sources: &Sources) -> Ordering {
    left.time_ns
        .cmp(&right.time_ns)
        .then_with(|| sources.compare(left.source, right.source))
        .then_with(|| left.offset.cmp(&right.offset))
}

pub(super) fn save_quoted(quoted: &Quoted, bytes: &mut Vec<u8>) {
    bytes.extend(quoted.whole.to_le_bytes());
    put_bytes(bytes, &quoted.bytes);
}

pub(super) fn load_quoted(bytes: &mut Bytes<'_>) -> Result<Quoted, FrameError> {
    let whole = u64::from_le_bytes(bytes.array("quote")?);
    let len = bytes.count("quote")?;
    Ok(Quoted {
        whole,
        bytes: bytes.take(len, "quote")?.into(),
    })
}

/// A quote as a value in the exchange: how long the record is, and its beginning.
pub(super) fn to_value(quoted: &Quoted) -> Box<[u8]> {
    let mut value = Vec::with_capacity(8 + quoted.bytes.len());
    value.extend(quoted.whole.to_le_bytes());
    value.extend(quoted.bytes.iter());
    value.into()
}

/// The quote that a value is.
pub(super) fn of_value(value: &[u8]) -> Option<Quoted> {
    let (whole, bytes) = value.split_first_chunk()?;
    Some(Quoted {
        whole: u64::from_le_bytes(*whole),
        bytes: bytes.into(),
    })
}
