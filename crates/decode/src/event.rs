//! One event as it was parsed: its tape, and views of the texts of its scalars.

use arrow::array::make_view;
use rustc_hash::FxHashSet;
use simd_json::{Node, StaticNode};

use crate::column::Column;
use crate::spelling::Spelling;

/// Where the text of the event under way lies, to make views of it.
#[derive(Clone, Copy)]
pub(crate) struct Location {
    /// The block's index among the batch's buffers.
    pub(crate) block: u32,
    /// Offset of the record in the block.
    pub(crate) start: usize,
    /// Address of the record's first byte: the tape's strings are slices of the record.
    pub(crate) address: usize,
    /// Bytes of the record; behind them goes what the walk adds.
    pub(crate) len: usize,
}

/// The event under way.
pub(crate) struct Event<'w, 't> {
    pub(crate) tape: &'w [Node<'t>],
    pub(crate) spelling: Spelling<'w>,
    pub(crate) location: Location,
    /// Tape indices of keys that stand again later in their object.
    pub(crate) superseded: Option<FxHashSet<usize>>,
}

impl<'t> Event<'_, 't> {
    /// How many tape nodes the value at `at` takes.
    #[inline]
    pub(crate) fn width(&self, at: usize) -> usize {
        match self.tape.get(at) {
            Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
            _ => 1,
        }
    }

    /// The view of a scalar's text; `None` for null.
    #[inline]
    pub(crate) fn view(&mut self, node: Node<'t>, at: usize) -> Option<u128> {
        match node {
            Node::String(text) => Some(self.view_of_string(text)),
            Node::Static(StaticNode::Bool(true)) => Some(make_view(b"true", 0, 0)),
            Node::Static(StaticNode::Bool(false)) => Some(make_view(b"false", 0, 0)),
            Node::Static(StaticNode::U64(number)) if number < 1_000_000_000_000 => Some(make_view(
                itoa::Buffer::new().format(number).as_bytes(),
                0,
                0,
            )),
            Node::Static(StaticNode::Null) => None,
            Node::Static(_) => self.view_of_number(at),
            Node::Object { .. } | Node::Array { .. } => None,
        }
    }

    fn view_of_string(&self, text: &'t str) -> u128 {
        // Wrapping, because Arrow checks every view: a wrong one fails the batch, and panics nothing.
        let within = text.as_ptr().addr().wrapping_sub(self.location.address);
        let offset = self.location.start.wrapping_add(within);
        make_view(text.as_bytes(), self.location.block, offset as u32)
    }

    fn view_of_number(&mut self, at: usize) -> Option<u128> {
        let (offset, text) = self.spelling.number(at)?;
        let offset = self.location.start + offset;
        Some(make_view(text, self.location.block, offset as u32))
    }

    /// Writes every scalar of the event but nulls to `column`; gives the tape index after the value at `at`.
    pub(crate) fn all_values(&mut self, column: &mut Column, row: u32, at: usize) -> usize {
        match self.tape.get(at).copied() {
            Some(Node::Object { len, .. }) => {
                let mut key_at = at + 1;
                for _ in 0..len {
                    let superseded = self.superseded.as_ref();
                    key_at = match superseded.is_some_and(|keys| keys.contains(&key_at)) {
                        true => key_at + 1 + self.width(key_at + 1),
                        false => self.all_values(column, row, key_at + 1),
                    };
                }
                key_at
            }
            Some(Node::Array { len, .. }) => {
                (0..len).fold(at + 1, |element, _| self.all_values(column, row, element))
            }
            Some(scalar) => {
                if let Some(view) = self.view(scalar, at) {
                    column.write(row, 0, Some(view));
                }
                at + 1
            }
            None => at + 1,
        }
    }
}
