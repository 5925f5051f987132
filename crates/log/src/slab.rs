//! The bytes of a block of records, in buffers that go round: large allocations come fresh from the system page by page, which
//! costs as much as reading into them.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers kept for use again. As many go round as blocks are under way at once; more than these are not kept.
const KEPT: usize = 8;

/// Bytes that records lie in. When it is dropped, its buffer goes back to where it came from.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    buffer: Vec<u8>,
    len: usize,
    home: Option<Arc<Pool>>,
}

impl Slab {
    /// The first `len` bytes of a buffer of `home`.
    pub(crate) fn of(buffer: Vec<u8>, len: usize, home: &Arc<Pool>) -> Self {
        Self {
            len: len.min(buffer.len()),
            buffer,
            home: Some(Arc::clone(home)),
        }
    }

    /// Adds bytes at the end.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.buffer.truncate(self.len);
        self.buffer.extend_from_slice(bytes);
        self.len = self.buffer.len();
    }
}

impl From<Vec<u8>> for Slab {
    fn from(buffer: Vec<u8>) -> Self {
        Self {
            len: buffer.len(),
            buffer,
            home: None,
        }
    }
}

impl Deref for Slab {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Clone for Slab {
    fn clone(&self) -> Self {
        self.to_vec().into()
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.put(std::mem::take(&mut self.buffer));
        }
    }
}

/// Buffers of one size, all of whose bytes are initialised.
#[derive(Debug)]
pub(crate) struct Pool {
    bytes: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// A pool of buffers of this size.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            free: Mutex::default(),
        })
    }

    /// The size of a buffer.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A buffer with whatever bytes in it.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop().unwrap_or_else(|| vec![0; self.bytes])
    }

    /// Takes a buffer back, if it is still of the pool's size.
    pub(crate) fn put(&self, buffer: Vec<u8>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() == self.bytes && free.len() < KEPT {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_go_round_unless_they_have_grown() {
        let pool = Pool::new(16);
        let mut buffer = pool.take();
        let address = buffer.as_ptr();
        buffer[..2].copy_from_slice(b"ab");
        let slab = Slab::of(buffer, 2, &pool);
        assert_eq!(&*slab, b"ab");
        let copy = slab.clone();
        drop(slab);
        assert_eq!(&*copy, b"ab");
        let mut slab = Slab::of(pool.take(), 1, &pool);
        assert_eq!(slab.as_ptr(), address);
        slab.extend(b"c");
        assert_eq!(&*slab, b"ac");
        drop((slab, copy));
        assert_eq!(pool.take().len(), 16);
        assert!(pool.free.lock().unwrap().is_empty());
    }
}
