//! One record's text to the parser's tape, in place, with every buffer reused.

use simd_json::{Buffers, ErrorType, Node, Tape};

/// After a record that had more tape nodes (of 24 bytes) or bytes than this, the buffers are given back: one
/// large record must not hold its memory for ever.
const KEEP_NODES: usize = 1 << 18;
const KEEP_BYTES: usize = 1 << 20;

/// Owns the buffers that parsing needs.
pub(crate) struct Parser {
    buffers: Buffers,
    nodes: Tape<'static>,
    max_depth: usize,
    /// The length of the longest record that the buffers have seen.
    longest: usize,
}

impl Parser {
    pub(crate) fn new(max_depth: usize) -> Self {
        Self {
            buffers: Buffers::with_max_depth(4096, max_depth),
            nodes: Tape::null().reset(),
            max_depth,
            longest: 0,
        }
    }

    /// Parses the first `len` bytes of `text`, which has [`PADDING`](crate::block::PADDING) more, and unescapes its strings in place.
    /// Hand the tape back with [`Parser::recycle`].
    pub(crate) fn parse<'t>(
        &mut self,
        text: &'t mut [u8],
        len: usize,
    ) -> Result<Tape<'t>, simd_json::Error> {
        self.longest = self.longest.max(len);
        let mut tape = std::mem::replace(&mut self.nodes, Tape(Vec::new())).reset();
        match simd_json::fill_tape_padded(text, len, &mut self.buffers, &mut tape) {
            Ok(()) => Ok(tape),
            Err(error) => {
                self.recycle(tape);
                Err(error)
            }
        }
    }

    /// Offsets of the structural characters of the last record.
    pub(crate) fn structurals(&self) -> &[u32] {
        self.buffers.structural_indexes()
    }

    /// Takes the room of a tape back for the next record.
    pub(crate) fn recycle(&mut self, tape: Tape<'_>) {
        self.nodes = tape.reset();
        if self.nodes.0.capacity() > KEEP_NODES || self.longest > KEEP_BYTES {
            *self = Self::new(self.max_depth);
        }
    }
}

/// Why a record is not an event, and what to do about it. `skipped` bytes of the record stand before `payload`.
pub(crate) fn reason(
    payload: &[u8],
    skipped: usize,
    error: &simd_json::Error,
    max_depth: usize,
) -> String {
    if let Err(error) = std::str::from_utf8(payload) {
        return format!(
            "invalid utf-8 at byte {}: send the record as utf-8",
            skipped + error.valid_up_to()
        );
    }
    if matches!(error.error(), ErrorType::DepthLimitExceeded) {
        return format!(
            "nested deeper than {max_depth} levels at byte {}: flatten the record or raise the input's depth limit",
            skipped + error.index()
        );
    }
    // A second opinion, because the fast parser often knows no place.
    match serde_json::from_slice::<serde::de::IgnoredAny>(payload) {
        Err(second) => {
            let at = skipped + offset_of(payload, second.line(), second.column());
            let text = second.to_string();
            let text = text
                .rsplit_once(" at line ")
                .map_or(text.as_str(), |(text, _)| text);
            format!("invalid json at byte {at}: {text}; send one json object a record")
        }
        Ok(_) => format!(
            "invalid json near byte {}: {:?}; send one json object a record",
            skipped + error.index(),
            error.error()
        ),
    }
}

/// The reason for a record whose value is no object.
pub(crate) fn not_an_object(root: Option<&Node<'_>>) -> String {
    let found = match root {
        Some(Node::Array { .. }) => "an array",
        Some(Node::String(_)) => "a string",
        Some(Node::Static(value)) => match value {
            simd_json::StaticNode::Null => "null",
            simd_json::StaticNode::Bool(_) => "a boolean",
            _ => "a number",
        },
        _ => "nothing",
    };
    format!("the record is {found}, not a json object: send one json object a record")
}

/// The byte offset of a line and column, both from 1.
fn offset_of(text: &[u8], line: usize, column: usize) -> usize {
    let start = match line {
        0 | 1 => 0,
        _ => memchr::memchr_iter(b'\n', text)
            .nth(line - 2)
            .map_or(0, |newline| newline + 1),
    };
    (start + column.saturating_sub(1)).min(text.len())
}
