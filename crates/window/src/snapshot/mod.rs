//! Snapshots of stage 2: the state of one exchange partition as bytes, in chunks that fit into messages.
//!
//! Little-endian throughout; `text` is a u32 length and UTF-8 bytes; `count` is a u32. A chunk:
//!
//! | part | bytes |
//! | --- | --- |
//! | magic | `HSNP` |
//! | version | u16: 1 |
//! | reserved | u16, 0 |
//! | checksum | the first 8 bytes of the BLAKE3 digest of all that follows |
//! | partition | u32: the exchange partition |
//! | offset | i64: the state is that after all records of the exchange partition before this offset |
//! | index | u32: the chunk's place in the snapshot, from 0 |
//! | kind | u8: what the body holds |
//! | rule | 16 bytes: the fingerprint of the rule that it belongs to; zeros where it belongs to none |
//! | body | the rest |
//!
//! | kind | body |
//! | --- | --- |
//! | 0: time | topics (count, text each); sources by number (count, then topic u32, partition i32 each); roster (count, then topic u32, partitions i32 each); last words (count, then topic u32, partition i32, epoch u64, watermark i64, state u8 each); watermark (u8 0, or 1 and i64); sections left alone u64. Always the first chunk, and only that |
//! | 1, 2, 3: groups of a correlation, of events without values, with numbers, with tuples | groups until the end: key (u32 length, bytes), flags u8 (1: in order, 2: a time follows), used up until (i64, if flagged), events (count, then time i64, offset i64, source u32, position u32, value each). A group may go on in a later chunk, under the same key |
//! | 4: findings that a correlation counts | next number i64, then findings until the end: number i64 and the finding |
//! | 5: windows of a rollup | windows until the end: start i64, end i64, u8 1 when rows of it were written, partials (u32 length, an IPC message) |
//! | 6: rows written of a rollup's windows | rows until the end: start i64, group (text), revision u32, u8 1 when HAVING let it through |
//! | 7: sessions of a rollup | partials until the end (u32 length, an IPC message) |
//! | 8: findings that a correlation has told early | findings until the end: key (u32 length, bytes), the first event (as in a group), how many items u32, u8 1 when it was withdrawn, the finding as it was told |
//! | 9: groups of a correlation whose findings wait to be told | groups until the end: time i64, key (u32 length, bytes) |
//! | 10: values that a correlation of new terms knows | values until the end, those seen least recently first: last time i64, key (u32 length, bytes: as a group's, or 2 and its BLAKE3 digest where it is longer than 40 bytes) |
//! | 11: values that there was no room for, as filters | parts until the end, each begun by a u8: 0, the time up to which values were forgotten i64; 1, a filter: first and last time i64, values u32, words u32; 2, words of the last filter begun, those left out being zero: the place of the first u32, then count and u64 each. One chunk goes on where the one before ended |
//! | 12: what a correlation has given up; only where it has | items until the end: u8 0, groups u64, time i64, groups below it u64, time i64; or u8 1 and a group that came later: key (u32 length, bytes), time i64. The least of all times stands for none |
//! | 13: first events of a correlation's groups, as they came | events until the end: key (u32 length, bytes), the event (as in a group), the record's length u64, its beginning (u32 length, bytes) |
//! | 14: rows written of a rollup's sessions that are in later chunks | rows until the end: first event i64, group (text), how many rows u32, u8 1 when HAVING let the last one through |
//! | 15: what a rollup has given up; only where it has | items until the end: u8 0, groups u64; u8 1, a window that has given groups up: start i64, end i64, groups by then u64; or u8 2 and groups of such a window that began later, as in 5, but the starts of the partials say how many groups had been given up by then |
//! | 16: what a rollup has given up of its sessions; only where it has, and before them | items until the end: u8 0, groups u64, time i64; u8 1, a group (text) that has given sessions up, groups u64, time i64; or u8 2 and a session of which parts were written: group (text), first event i64, groups by then u64 |
//! | 17: what a correlation that tells early is | the rule and all that it refers to, as JSON (`Excerpt` of haechi-rules) |
//! | 255: end | count of the chunks before it, and the 32-byte BLAKE3 digest of their checksums, in order |
//!
//! Rules are named by fingerprint, and in findings by their ids: a reader with other rules takes what means the same and leaves the
//! rest. A snapshot is named by its offset and digest: whoever commits an offset says beside it which snapshot holds.

mod gather;
mod readdress;
mod writer;

pub use gather::{Gathered, Gathering};
pub use readdress::readdress;
pub(crate) use writer::Writer;

use crate::frame::{Bytes, Fingerprint, FrameError, checksum, corrupt, put_count};

const MAGIC: [u8; 4] = *b"HSNP";
/// The version of the chunks that this release writes and reads.
const VERSION: u16 = 1;
/// Up to and including the checksum.
const HEADER: usize = 16;
/// Marks the layout of [`SnapshotName`] as text.
const NAME_VERSION: &str = "haechi-snapshot-1";

/// Why a snapshot cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is damaged, or not all of it is there.
    #[error("not an intact snapshot: {0}")]
    Corrupt(String),
    /// Another release wrote it in a layout that this one does not read.
    #[error("snapshot of version {found}, but this release reads version {VERSION}")]
    Version {
        /// The snapshot's version.
        found: u16,
    },
}

impl From<FrameError> for SnapshotError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Corrupt(reason) => Self::Corrupt(reason),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

/// Which snapshot: what is committed beside the offset that it is in force with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotName {
    /// The state is that after all records before this offset of the exchange partition.
    pub offset: i64,
    /// Of all of its bytes.
    pub digest: [u8; 32],
    /// Of the two places that snapshots take turns in, the one that it is in: 0 or 1.
    pub slot: u8,
    /// No chunk of it stands before this offset of the snapshots' partition.
    pub from: i64,
}

impl SnapshotName {
    /// As text, to be committed beside an offset.
    #[must_use]
    pub fn text(&self) -> String {
        let digest = blake3::Hash::from_bytes(self.digest).to_hex();
        let Self {
            offset, slot, from, ..
        } = self;
        format!("{NAME_VERSION} {offset} {digest} {slot} {from}")
    }

    /// Reads what [`Self::text`] wrote; none when it is something else.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != NAME_VERSION {
            return None;
        }
        let offset = words.next()?.parse().ok()?;
        let digest = blake3::Hash::from_hex(words.next()?).ok()?;
        let slot = words.next()?.parse().ok().filter(|slot| *slot < 2)?;
        let from = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Self {
            offset,
            digest: *digest.as_bytes(),
            slot,
            from,
        })
    }
}

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Time,
    Groups,
    GroupsOfNumbers,
    GroupsOfTuples,
    Findings,
    Windows,
    WrittenRows,
    Sessions,
    Told,
    Waiting,
    Terms,
    Sketch,
    Lost,
    Quotes,
    WrittenSessions,
    Parts,
    SessionParts,
    Rule,
    End,
}

impl Kind {
    const ALL: [(Self, u8); 19] = [
        (Self::Time, 0),
        (Self::Groups, 1),
        (Self::GroupsOfNumbers, 2),
        (Self::GroupsOfTuples, 3),
        (Self::Findings, 4),
        (Self::Windows, 5),
        (Self::WrittenRows, 6),
        (Self::Sessions, 7),
        (Self::Told, 8),
        (Self::Waiting, 9),
        (Self::Terms, 10),
        (Self::Sketch, 11),
        (Self::Lost, 12),
        (Self::Quotes, 13),
        (Self::WrittenSessions, 14),
        (Self::Parts, 15),
        (Self::SessionParts, 16),
        (Self::Rule, 17),
        (Self::End, 255),
    ];

    fn code(self) -> u8 {
        let found = Self::ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or(0, |(_, code)| *code)
    }

    fn of(code: u8) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == code);
        found.map(|(kind, _)| *kind)
    }
}

/// A chunk, read.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) index: u32,
    pub(crate) kind: Kind,
    pub(crate) rule: Fingerprint,
    pub(crate) body: Bytes<'a>,
    sum: [u8; 8],
}

impl<'a> Chunk<'a> {
    pub(crate) fn decode(chunk: &'a [u8]) -> Result<Self, SnapshotError> {
        let mut bytes = Bytes::new(chunk);
        if bytes.array::<4>("magic")? != MAGIC {
            return Err(corrupt("it does not begin as one").into());
        }
        let found = u16::from_le_bytes(bytes.array("version")?);
        if found != VERSION {
            return Err(SnapshotError::Version { found });
        }
        bytes.array::<2>("header")?;
        let sum = bytes.array::<8>("checksum")?;
        if sum != checksum(bytes.rest()) {
            return Err(corrupt("the checksum does not fit").into());
        }
        let partition = u32::from_le_bytes(bytes.array("partition")?);
        let offset = i64::from_le_bytes(bytes.array("offset")?);
        let index = u32::from_le_bytes(bytes.array("index")?);
        let [code] = bytes.array("kind")?;
        let kind =
            Kind::of(code).ok_or_else(|| corrupt(&format!("chunk of unknown kind {code}")))?;
        Ok(Self {
            partition,
            offset,
            index,
            kind,
            rule: bytes.array("rule")?,
            body: bytes,
            sum,
        })
    }
}

/// Appends a text.
pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_bytes(bytes, text.as_bytes());
}

/// Appends bytes with their length.
pub(crate) fn put_bytes(bytes: &mut Vec<u8>, some: &[u8]) {
    put_count(bytes, some.len());
    bytes.extend(some);
}
