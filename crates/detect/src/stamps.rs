//! Sets of small numbers that empty in no time.

/// A set of indices below a fixed size. Emptying it is one addition: an index is in the set when it bears the current stamp.
#[derive(Debug, Clone)]
pub(crate) struct Stamps {
    stamps: Vec<u32>,
    now: u32,
}

impl Stamps {
    /// An empty set of indices below `size`.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            stamps: vec![0; size],
            now: 1,
        }
    }

    /// Makes the size at least `size`.
    pub(crate) fn grow(&mut self, size: usize) {
        // No index ever bears the stamp 0.
        self.stamps.resize(self.stamps.len().max(size), 0);
    }

    /// Empties the set.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.now = self.now.wrapping_add(1);
        if self.now == 0 {
            self.stamps.fill(0);
            self.now = 1;
        }
    }

    /// Adds an index; whether it was new. An index beyond the size is never in the set.
    #[inline]
    pub(crate) fn insert(&mut self, index: u32) -> bool {
        match self.stamps.get_mut(index as usize) {
            Some(stamp) if *stamp != self.now => {
                *stamp = self.now;
                true
            }
            _ => false,
        }
    }

    /// Whether the index is in the set.
    #[inline]
    pub(crate) fn contains(&self, index: u32) -> bool {
        self.stamps.get(index as usize) == Some(&self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearing_empties_even_when_the_stamp_wraps() {
        let mut set = Stamps::new(2);
        set.now = u32::MAX;
        assert!(set.insert(0));
        assert!(!set.insert(0));
        assert!(!set.insert(2));
        set.clear();
        assert!(!set.contains(0) && !set.contains(1));
        assert!(set.insert(1));
        assert!(set.contains(1));
    }
}
