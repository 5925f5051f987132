//! What belongs to one of the partitions that groups are spread over, of what was written when there were fewer.
//!
//! A group is in partition `hash % partitions` ([`crate::route`]). So when the exchange grows from n to m·n partitions, the
//! groups of a new partition p all were in the one old partition `p % n`: p begins with a copy of what that one holds, and both
//! take in only what belongs to them from then on.

/// One of so many partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    partition: u32,
    partitions: u32,
}

impl Share {
    /// Partition `partition` of `partitions`.
    pub(crate) fn new(partition: u32, partitions: u32) -> Self {
        Self {
            partition,
            partitions,
        }
    }

    /// Whether a group is in it. `place` answers the partition of the group when there are so many.
    pub(crate) fn has(self, place: impl FnOnce(u32) -> u32) -> bool {
        place(self.partitions) == self.partition
    }
}
