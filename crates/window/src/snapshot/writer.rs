//! Writing a snapshot, chunk by chunk.

use super::{HEADER, Kind, MAGIC, VERSION};
use crate::frame::{Fingerprint, checksum};

/// Cuts a state into chunks, and hands each to `sink` with its place in the snapshot as soon as it is full.
pub(crate) struct Writer<'a> {
    partition: u32,
    offset: i64,
    limit: usize,
    sink: &'a mut dyn FnMut(u32, &[u8]),
    index: u32,
    digest: blake3::Hasher,
    chunk: Vec<u8>,
    /// Bytes of the open chunk before its first item.
    opening: usize,
}

impl<'a> Writer<'a> {
    /// Of chunks of at most about `limit` bytes, unless a single item is larger.
    pub(crate) fn new(
        partition: u32,
        offset: i64,
        limit: usize,
        sink: &'a mut dyn FnMut(u32, &[u8]),
    ) -> Self {
        Self {
            partition,
            offset,
            limit,
            sink,
            index: 0,
            digest: blake3::Hasher::new(),
            chunk: Vec::new(),
            opening: 0,
        }
    }

    /// How large an item may be to fit into a chunk of its own.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(256).max(1)
    }

    /// Begins a run of items of one kind. `opening` stands at the beginning of each of its chunks.
    pub(crate) fn begin(&mut self, kind: Kind, rule: &Fingerprint, opening: &[u8]) {
        self.chunk.clear();
        self.chunk.extend(MAGIC);
        self.chunk.extend(VERSION.to_le_bytes());
        self.chunk.extend([0; 2 + 8]);
        self.chunk.extend(self.partition.to_le_bytes());
        self.chunk.extend(self.offset.to_le_bytes());
        // The index is put in when the chunk is full.
        self.chunk.extend([0; 4]);
        self.chunk.push(kind.code());
        self.chunk.extend(rule);
        self.chunk.extend(opening);
        self.opening = self.chunk.len();
    }

    /// Appends an item, which is not cut.
    pub(crate) fn item(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.chunk.len();
        write(&mut self.chunk);
        if self.chunk.len() > self.limit && before > self.opening {
            let item = self.chunk.split_off(before);
            self.cut();
            self.chunk.truncate(self.opening);
            self.chunk.extend(item);
        }
    }

    /// Ends a run; one without items is left out.
    pub(crate) fn finish(&mut self) {
        if self.chunk.len() > self.opening {
            self.cut();
        }
    }

    /// The end of the snapshot. Answers the digest.
    pub(crate) fn end(mut self) -> [u8; 32] {
        let digest = *self.digest.finalize().as_bytes();
        let count = self.index;
        self.begin(Kind::End, &[0; 16], &[]);
        self.item(|bytes| {
            bytes.extend(count.to_le_bytes());
            bytes.extend(digest);
        });
        self.finish();
        digest
    }

    fn cut(&mut self) {
        const INDEX: usize = HEADER + 4 + 8;
        let index = self.index.to_le_bytes();
        if let Some(place) = self.chunk.get_mut(INDEX..INDEX + index.len()) {
            place.copy_from_slice(&index);
        }
        let sum = checksum(self.chunk.get(HEADER..).unwrap_or_default());
        if let Some(place) = self.chunk.get_mut(HEADER - sum.len()..HEADER) {
            place.copy_from_slice(&sum);
        }
        self.digest.update(&sum);
        (self.sink)(self.index, &self.chunk);
        self.index = self.index.saturating_add(1);
    }
}
