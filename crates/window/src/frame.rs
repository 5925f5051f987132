//! The exchange record: what stage 1 sends to one exchange partition at a commit.
//!
//! Little-endian throughout; `text` is a u32 length and UTF-8 bytes; `count` is a u32.
//!
//! | part | bytes |
//! | --- | --- |
//! | magic | `HXCH` |
//! | version | u16: 3 where a section has quotes, 2 where one has numbers or tuples, else 1 |
//! | reserved | u16, 0 |
//! | checksum | the first 8 bytes of the BLAKE3 digest of all that follows |
//! | topics | count, then text each: the topic names that the rest refers to by index |
//! | roster | count, then (topic u32, partitions i32) each: all source topics |
//! | sources | count, then (topic u32, partition i32, epoch u64, watermark i64, state u8) each |
//! | sections | count, then (kind u8, count of rules, 16-byte fingerprint each, u32 length, that many bytes) each |
//!
//! Sections are data, and count before the progress that travels with them. Their rules are named by fingerprint, so that
//! a reader with other rules leaves alone what it does not know.
//! A record without roster and sources makes no statement about time.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::source::{Progress, SourceId, SourceProgress, SourceState};

const MAGIC: [u8; 4] = *b"HXCH";
/// The latest version of the exchange record. The earlier ones, which lack the sections of quotes and those of numbers and of tuples,
/// are read too, and written where they are enough, so that workers of the release before go on while others are upgraded.
const VERSION: u16 = 3;
/// The version before, without quotes.
const SECOND_VERSION: u16 = 2;
/// The first one.
const FIRST_VERSION: u16 = 1;
const HEADER: usize = 16;
/// No topic has more partitions than this: a larger number is damage.
const MAX_PARTITIONS: i32 = 1_000_000;

/// Identifies a rule in one meaning: two rules with the same fingerprint can merge each other's partials.
pub(crate) type Fingerprint = [u8; 16];

/// Why an exchange record could not be applied. It had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes are no exchange record, or a damaged one.
    #[error("not an intact exchange record: {0}; only haechi should write to the exchange topic")]
    Corrupt(String),
    /// Another release wrote it in a layout that this one does not read.
    #[error(
        "exchange record of version {found}, but this release reads versions up to {VERSION}: finish the upgrade of all workers"
    )]
    Version {
        /// The record's version.
        found: u16,
    },
    /// The record is intact, but its partials cannot be merged into the windows.
    #[error(
        "partials of rule {rule} cannot be merged: {reason}; this is a defect of haechi, please report it"
    )]
    Merge {
        /// The rule's id.
        rule: Arc<str>,
        /// What failed.
        reason: String,
    },
}

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// Events of correlations, of all the section's rules.
    Events,
    /// Grouped aggregate states of the section's one rule.
    Rollup,
    /// Events with a number each. Since version 2.
    Numbers,
    /// Events with a tuple of texts each. Since version 2.
    Tuples,
    /// Events with their records. Since version 3.
    Quotes,
}

impl SectionKind {
    fn since(self) -> u16 {
        match self {
            Self::Events | Self::Rollup => FIRST_VERSION,
            Self::Numbers | Self::Tuples => SECOND_VERSION,
            Self::Quotes => VERSION,
        }
    }
}

/// Data in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) kind: SectionKind,
    pub(crate) rules: Vec<Fingerprint>,
    /// An IPC message.
    pub(crate) body: Vec<u8>,
}

impl Section {
    /// Bytes it takes in a record.
    pub(crate) fn encoded_len(&self) -> usize {
        1 + 4 + self.rules.len() * size_of::<Fingerprint>() + 4 + self.body.len()
    }
}

/// Whether something is a record of the exchange, of this release or another, and undamaged.
#[must_use]
pub fn is_intact(record: &[u8]) -> bool {
    !matches!(Frame::decode(record), Err(FrameError::Corrupt(_)))
}

/// A decoded record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Frame {
    /// Topic names that sections may refer to by index. Encoding may append to them.
    pub(crate) topics: Vec<Arc<str>>,
    pub(crate) progress: Progress,
    pub(crate) sections: Vec<Section>,
}

impl Frame {
    /// The record's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut topics = Topics::new(&self.topics);
        let mut rest = Vec::new();
        put_count(&mut rest, self.progress.roster.len());
        for (topic, partitions) in &self.progress.roster {
            rest.extend(topics.index(topic).to_le_bytes());
            rest.extend(partitions.to_le_bytes());
        }
        put_count(&mut rest, self.progress.sources.len());
        for said in &self.progress.sources {
            rest.extend(topics.index(&said.source.topic).to_le_bytes());
            rest.extend(said.source.partition.to_le_bytes());
            rest.extend(said.epoch.to_le_bytes());
            rest.extend(said.watermark_ns.to_le_bytes());
            rest.push(state_code(said.state));
        }
        put_count(&mut rest, self.sections.len());
        for section in &self.sections {
            rest.push(match section.kind {
                SectionKind::Events => 1,
                SectionKind::Rollup => 2,
                SectionKind::Numbers => 3,
                SectionKind::Tuples => 4,
                SectionKind::Quotes => 5,
            });
            put_count(&mut rest, section.rules.len());
            section.rules.iter().for_each(|rule| rest.extend(rule));
            put_count(&mut rest, section.body.len());
            rest.extend(&section.body);
        }
        let mut record = Vec::with_capacity(HEADER + rest.len() + 64);
        record.extend(MAGIC);
        let needed = self.sections.iter().map(|section| section.kind.since());
        record.extend(needed.max().unwrap_or(FIRST_VERSION).to_le_bytes());
        record.extend([0; 2 + 8]);
        put_count(&mut record, topics.names.len());
        for topic in &topics.names {
            put_count(&mut record, topic.len());
            record.extend(topic.as_bytes());
        }
        record.extend(rest);
        let sum = checksum(record.get(HEADER..).unwrap_or_default());
        if let Some(place) = record.get_mut(HEADER - sum.len()..HEADER) {
            place.copy_from_slice(&sum);
        }
        record
    }

    /// Reads a record. The announcement flag is not part of it.
    pub(crate) fn decode(record: &[u8]) -> Result<Self, FrameError> {
        let mut bytes = Bytes(record);
        if bytes.array::<4>("magic")? != MAGIC {
            return Err(corrupt("it does not begin as one"));
        }
        let found = u16::from_le_bytes(bytes.array("version")?);
        if !(FIRST_VERSION..=VERSION).contains(&found) {
            return Err(FrameError::Version { found });
        }
        bytes.array::<2>("header")?;
        if bytes.array::<8>("checksum")? != checksum(bytes.0) {
            return Err(corrupt("the checksum does not fit"));
        }
        let topics = bytes.list("topics", 4, |bytes| bytes.text("topic"))?;
        let roster = bytes.list("roster", 8, |bytes| {
            let topic = bytes.topic(&topics)?;
            let partitions = i32::from_le_bytes(bytes.array("roster")?);
            if !(0..=MAX_PARTITIONS).contains(&partitions) {
                return Err(corrupt("a topic has an impossible number of partitions"));
            }
            Ok((topic, partitions))
        })?;
        let sources = bytes.list("sources", 25, |bytes| {
            Ok(SourceProgress {
                source: SourceId {
                    topic: bytes.topic(&topics)?,
                    partition: i32::from_le_bytes(bytes.array("sources")?),
                },
                epoch: u64::from_le_bytes(bytes.array("sources")?),
                watermark_ns: i64::from_le_bytes(bytes.array("sources")?),
                state: state_of(bytes.array("sources")?)?,
            })
        })?;
        let sections = bytes.list("sections", 9, Bytes::section)?;
        if !bytes.0.is_empty() {
            return Err(corrupt("bytes follow its end"));
        }
        let progress = Progress {
            roster,
            sources,
            announce: false,
        };
        Ok(Self {
            topics,
            progress,
            sections,
        })
    }
}

/// A table of topic names.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    names: Vec<Arc<str>>,
    indices: FxHashMap<Arc<str>, u32>,
}

impl Topics {
    pub(crate) fn new(names: &[Arc<str>]) -> Self {
        let mut topics = Self::default();
        for name in names {
            topics.index(name);
        }
        topics
    }

    /// The index of a topic; it is appended when it is new.
    pub(crate) fn index(&mut self, topic: &Arc<str>) -> u32 {
        if let Some(&index) = self.indices.get(topic) {
            return index;
        }
        let index = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(Arc::clone(topic));
        self.indices.insert(Arc::clone(topic), index);
        index
    }

    /// The names, by index.
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }
}

/// What is left to read. Nothing is allocated for more than what is there.
#[derive(Debug)]
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All of these bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8], FrameError> {
        let split = self.0.split_at_checked(len);
        let (taken, rest) = split.ok_or_else(|| corrupt(&format!("{what} cut short")))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], FrameError> {
        let taken = self.take(N, what)?;
        taken.first_chunk().copied().ok_or_else(|| corrupt(what))
    }

    pub(crate) fn count(&mut self, what: &str) -> Result<usize, FrameError> {
        Ok(u32::from_le_bytes(self.array(what)?) as usize)
    }

    pub(crate) fn text(&mut self, what: &str) -> Result<Arc<str>, FrameError> {
        let len = self.count(what)?;
        let text = std::str::from_utf8(self.take(len, what)?);
        Ok(text
            .map_err(|_| corrupt(&format!("{what} is not UTF-8")))?
            .into())
    }

    pub(crate) fn topic(&mut self, topics: &[Arc<str>]) -> Result<Arc<str>, FrameError> {
        let topic = topics.get(self.count("topic")?);
        topic
            .cloned()
            .ok_or_else(|| corrupt("it refers to a topic that it does not name"))
    }

    /// A count and that many items, each of at least `least` bytes.
    pub(crate) fn list<T>(
        &mut self,
        what: &str,
        least: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, FrameError>,
    ) -> Result<Vec<T>, FrameError> {
        let count = self.count(what)?;
        if count > self.0.len() / least {
            return Err(corrupt(&format!("{what} cut short")));
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn section(&mut self) -> Result<Section, FrameError> {
        let kind = match self.array("sections")? {
            [1] => SectionKind::Events,
            [2] => SectionKind::Rollup,
            [3] => SectionKind::Numbers,
            [4] => SectionKind::Tuples,
            [5] => SectionKind::Quotes,
            [other] => return Err(corrupt(&format!("section of unknown kind {other}"))),
        };
        let rules = self.list("fingerprints", size_of::<Fingerprint>(), |bytes| {
            bytes.array("fingerprints")
        })?;
        let len = self.count("section")?;
        let body = self.take(len, "section")?.to_vec();
        Ok(Section { kind, rules, body })
    }
}

pub(crate) fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

pub(crate) fn state_code(state: SourceState) -> u8 {
    match state {
        SourceState::Active => 0,
        SourceState::Idle => 1,
        SourceState::Ended => 2,
    }
}

pub(crate) fn state_of([code]: [u8; 1]) -> Result<SourceState, FrameError> {
    match code {
        0 => Ok(SourceState::Active),
        1 => Ok(SourceState::Idle),
        2 => Ok(SourceState::Ended),
        other => Err(corrupt(&format!("source in unknown state {other}"))),
    }
}

pub(crate) fn checksum(bytes: &[u8]) -> [u8; 8] {
    let digest = blake3::hash(bytes);
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

pub(crate) fn corrupt(reason: &str) -> FrameError {
    FrameError::Corrupt(reason.to_owned())
}
