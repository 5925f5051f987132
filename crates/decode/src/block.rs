//! The bytes of a batch: every payload copied once, back to back, into few large blocks. Payloads are
//! parsed and unescaped where they lie, and the blocks become the data buffers of the batch's views.

use std::sync::Arc;

use arrow::buffer::Buffer;

/// No block grows past this many bytes by payloads (a view's offset has 31 bits; what a record adds behind
/// its payload is bounded by [`VIEW_LIMIT`]).
pub(crate) const BLOCK_LIMIT: usize = 1 << 30;
/// No view may begin or end past this offset.
pub(crate) const VIEW_LIMIT: usize = i32::MAX as usize;
/// A block that outlived its batch is kept for the next one only up to this size.
const KEEP_LIMIT: usize = 64 << 20;
/// What the parser may read (and leaves unchanged) behind a payload.
pub(crate) const PADDING: usize = simd_json::INPUT_PADDING;

/// The blocks of the batch under construction.
pub(crate) struct Blocks {
    full: Vec<Buffer>,
    open: Vec<u8>,
    limit: usize,
    /// The first block of the last batch, which is kept from being freed: reusable as soon as that batch has been dropped.
    last: Option<Buffer>,
    last_len: usize,
}

impl Blocks {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            full: Vec::new(),
            open: Vec::new(),
            limit,
            last: None,
            last_len: 0,
        }
    }

    /// Begins a batch. Large allocations come fresh from the system, page by page, which costs as much as
    /// copying into them: so the last batch's block is taken again if nobody holds it any more.
    pub(crate) fn begin(&mut self) {
        self.full.clear();
        self.open = match self.last.take().map(Buffer::into_vec::<u8>) {
            Some(Ok(mut block)) if block.capacity() <= KEEP_LIMIT => {
                block.clear();
                block
            }
            _ => Vec::with_capacity(self.last_len.min(self.limit)),
        };
    }

    /// Appends a payload and the parser's padding; gives its offset in [`Blocks::index`].
    pub(crate) fn append(&mut self, payload: &[u8]) -> usize {
        if !self.open.is_empty() && self.open.len() + payload.len() + PADDING > self.limit {
            self.full
                .push(Buffer::from_vec(std::mem::take(&mut self.open)));
        }
        let start = self.open.len();
        self.write_at(start, payload);
        start
    }

    /// Replaces the last payload, which began at `start`.
    pub(crate) fn write_at(&mut self, start: usize, payload: &[u8]) {
        self.open.truncate(start);
        self.open.reserve(payload.len() + PADDING);
        self.open.extend_from_slice(payload);
        self.open.resize(start + payload.len() + PADDING, 0);
    }

    /// The index of the block being filled.
    pub(crate) fn index(&self) -> u32 {
        u32::try_from(self.full.len()).unwrap_or(u32::MAX)
    }

    /// The last payload and its padding, to parse in place.
    pub(crate) fn payload_mut(&mut self, start: usize) -> &mut [u8] {
        self.open.get_mut(start..).unwrap_or_default()
    }

    /// Keeps `len` bytes of the last payload and puts `extra` right behind them.
    pub(crate) fn keep(&mut self, start: usize, len: usize, extra: &[u8]) {
        self.open.truncate(start + len);
        self.open.extend_from_slice(extra);
    }

    /// Forgets the last payload.
    pub(crate) fn discard(&mut self, start: usize) {
        self.open.truncate(start);
    }

    /// Ends the batch.
    pub(crate) fn finish(&mut self) -> Arc<[Buffer]> {
        self.last_len = self.open.len();
        self.full
            .push(Buffer::from_vec(std::mem::take(&mut self.open)));
        self.last = self.full.first().cloned();
        self.full.drain(..).collect()
    }
}
