//! Correlations: what the events of a group within a sliding window of event time have in common.
//!
//! Stage 1 ([`NodePartials`]) collects the matching events of every group, as coordinates, with the value that the correlation
//! looks at where it looks at one; stage 2 ([`Machines`]) puts them in order behind the watermark and decides. A correlation of
//! correlations is a tree of [`Node`]s, all of which are in the exchange partition of the outermost group.

mod agenda;
mod early;
mod finding;
mod fresh;
mod give_up;
mod groups;
mod judge;
mod machine;
mod machines;
mod node;
mod partials;
mod parts;
mod quotes;
mod saved;
mod section;
mod sketch;
mod tally;
mod terms;
mod value;

pub(crate) use machines::Machines;
pub(crate) use node::{Node, compile};
pub(crate) use partials::NodePartials;
pub(crate) use saved::Names;
pub(crate) use section::{GroupEvents, SectionWriters, decode_section};
pub(crate) use value::{ValueColumns, ValueKind};

/// One matching event. 24 bytes: a noisy rule may hold millions of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    /// Event time, nanoseconds since the Unix epoch.
    pub(crate) time_ns: i64,
    /// Offset in its source.
    pub(crate) offset: i64,
    /// Index of its source in a [`Sources`](crate::sources::Sources) table.
    pub(crate) source: u32,
    /// Position of the matching rule in the correlation's `rules`.
    pub(crate) position: u32,
}

/// The values of a group as bytes: for each value `0` for null, or `1`, a little-endian u32 length and the text.
pub(crate) mod group_key {
    /// Appends one value.
    pub(crate) fn push(key: &mut Vec<u8>, value: Option<&str>) {
        match value {
            None => key.push(0),
            Some(text) => {
                key.push(1);
                key.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                key.extend(text.as_bytes());
            }
        }
    }

    /// The values of a key made by [`push`].
    pub(crate) fn values(mut key: &[u8]) -> impl Iterator<Item = Option<&str>> {
        std::iter::from_fn(move || {
            let (&tag, rest) = key.split_first()?;
            if tag == 0 {
                key = rest;
                return Some(None);
            }
            let (len, rest) = rest.split_first_chunk()?;
            let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            key = rest;
            Some(Some(std::str::from_utf8(text).unwrap_or_default()))
        })
    }
}
