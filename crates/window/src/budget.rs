//! How much of what is not decided yet may be kept.

use haechi_rules::StateBudget;

/// How much each rule that does not say otherwise may keep, in all exchange partitions together. Each of them gets an equal share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Groups.
    pub groups: u64,
    /// Bytes, approximately.
    pub bytes: u64,
    /// How many exchange partitions there are.
    pub partitions: u32,
}

/// A part of the share that is free again when groups were given up, so that it need not be done for every event.
const SPARE: usize = 16;
/// Where bytes are lacking, a group that alone takes this part of the share goes first: otherwise all others would go for it.
const HOG: usize = 8;

/// What a rule may keep in one exchange partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) groups: usize,
    pub(crate) bytes: usize,
}

impl Allowance {
    /// Whether so much may be kept.
    pub(crate) fn fits(self, groups: usize, bytes: usize) -> bool {
        groups <= self.groups && bytes <= self.bytes
    }

    /// From how many bytes on a group goes before all others, when so many are held.
    pub(crate) fn hog(self, held_bytes: usize) -> usize {
        if held_bytes > self.bytes {
            self.bytes / HOG
        } else {
            usize::MAX
        }
    }

    /// How many of so many groups to look for at once, until the rest is within this room.
    pub(crate) fn excess(self, groups: usize) -> usize {
        let over = groups.saturating_sub(self.groups);
        over.max(groups / SPARE).max(1)
    }

    /// What is left of it when groups were given up.
    pub(crate) fn room(self) -> Self {
        Self {
            groups: self.groups - self.groups / SPARE,
            bytes: self.bytes - self.bytes / SPARE,
        }
    }
}

impl Budget {
    /// As much as comes.
    pub const UNLIMITED: Self = Self {
        groups: u64::MAX,
        bytes: u64::MAX,
        partitions: 1,
    };

    /// The share of a rule.
    pub(crate) fn share(&self, rule: &StateBudget) -> Allowance {
        let share = |all: u64| {
            let of = all.div_ceil(u64::from(self.partitions.max(1)));
            usize::try_from(of).unwrap_or(usize::MAX)
        };
        Allowance {
            groups: share(rule.groups.unwrap_or(self.groups)),
            bytes: share(rule.bytes.unwrap_or(self.bytes)),
        }
    }
}
