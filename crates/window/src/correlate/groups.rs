//! The groups of a correlation in one exchange partition, by key and by place.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;
use smallvec::SmallVec;

use super::machine::Item;

/// Where a group is. A place that its group has left may become another's.
pub(super) type Place = u32;

/// Groups in a row, and a table of their places by key: with tens of millions of groups, what a table keeps free costs more than
/// what it holds, so it holds four bytes each.
#[derive(Debug)]
pub(super) struct Groups<V> {
    table: HashTable<Place>,
    slots: Slab<Slot<V>>,
    /// Seeded anew in each process: keys come from outside, and could be made to collide.
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Slot<V> {
    key: Box<[u8]>,
    group: Group<V>,
}

/// The undecided events of a group. One event has no list beside it.
#[derive(Debug)]
pub(super) struct Group<V> {
    pub(super) items: SmallVec<[Item<V>; 1]>,
    pub(super) sorted: bool,
    /// Events before this time have been used up.
    pub(super) taken_ns: Moment,
    /// When to look at it next; none when it is not scheduled.
    pub(super) due_ns: Moment,
    /// It came when others had been given up, and may have been one of them: windows that begin before may lack events.
    pub(super) lost_ns: Moment,
}

/// A time that may be absent, in eight bytes: the end of a window, which is never the first of all times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(i64);

impl Moment {
    pub(super) const NONE: Self = Self(i64::MIN);

    pub(super) fn to_le_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    pub(super) fn from_le_bytes(bytes: [u8; 8]) -> Self {
        Self(i64::from_le_bytes(bytes))
    }

    pub(super) fn get(self) -> Option<i64> {
        (self != Self::NONE).then_some(self.0)
    }
}

impl From<Option<i64>> for Moment {
    fn from(time_ns: Option<i64>) -> Self {
        time_ns.map_or(Self::NONE, Self)
    }
}

impl<V> Default for Group<V> {
    fn default() -> Self {
        Self {
            items: SmallVec::new(),
            sorted: true,
            taken_ns: Moment::NONE,
            due_ns: Moment::NONE,
            lost_ns: Moment::NONE,
        }
    }
}

impl<V> Group<V> {
    /// How many items are in a list beside the group.
    pub(super) fn listed(&self) -> usize {
        if self.items.len() > 1 {
            self.items.len()
        } else {
            0
        }
    }
}

impl<V> Default for Groups<V> {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            slots: Slab::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<V> Groups<V> {
    /// Approximate bytes of a group of one event beside its key: its slot, its place in the table, and what an allocation costs.
    pub(super) const BYTES: usize =
        size_of::<Slot<V>>() + 2 * size_of::<Place>() + size_of::<[usize; 2]>();

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether most of the memory is that of groups that are gone.
    pub(super) fn is_sparse(&self) -> bool {
        const LEAST: usize = 4096;
        self.slots.capacity() > LEAST && self.slots.len() < self.slots.capacity() / 8
    }

    pub(super) fn place(&self, key: &[u8]) -> Option<Place> {
        let is = |place: &Place| self.key(*place) == Some(key);
        self.table.find(self.hasher.hash_one(key), is).copied()
    }

    /// The place of a group, and whether it is new.
    pub(super) fn place_or_insert(&mut self, key: &[u8]) -> (Place, bool) {
        if let Some(place) = self.place(key) {
            return (place, false);
        }
        let group = Group::default();
        let slot = self.slots.insert(Slot {
            key: key.into(),
            group,
        });
        // Memory ends long before 2^32 groups.
        let place = Place::try_from(slot).unwrap_or(Place::MAX);
        let (slots, hasher) = (&self.slots, &self.hasher);
        let again = |place: &Place| {
            let slot = slots.get(*place as usize);
            slot.map_or(0, |slot| hasher.hash_one(&*slot.key))
        };
        self.table.insert_unique(hasher.hash_one(key), place, again);
        (place, true)
    }

    pub(super) fn key(&self, place: Place) -> Option<&[u8]> {
        let slot = self.slots.get(place as usize)?;
        Some(&slot.key)
    }

    pub(super) fn get(&self, place: Place) -> Option<&Group<V>> {
        let slot = self.slots.get(place as usize)?;
        Some(&slot.group)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Group<V>> {
        let slot = self.slots.get_mut(place as usize)?;
        Some(&mut slot.group)
    }

    /// Removes a group. Answers its key.
    pub(super) fn remove(&mut self, place: Place) -> Option<Box<[u8]>> {
        let slot = self.slots.try_remove(place as usize)?;
        let hash = self.hasher.hash_one(&*slot.key);
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == place) {
            entry.remove();
        }
        Some(slot.key)
    }

    /// All groups with their keys, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Group<V>)> {
        self.slots.iter().map(|(_, slot)| (&*slot.key, &slot.group))
    }

    /// All groups with their places, in no order.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, &Group<V>)> {
        let place = |slot| Place::try_from(slot).unwrap_or(Place::MAX);
        self.slots
            .iter()
            .map(move |(slot, of)| (place(slot), &of.group))
    }

    /// Moves all groups to the first places, and gives memory back. Answers where each is now, and when it is due.
    pub(super) fn compact(&mut self) -> impl Iterator<Item = (Place, Moment)> {
        let slots = std::mem::take(self).slots;
        for (_, slot) in slots {
            let (place, _) = self.place_or_insert(&slot.key);
            if let Some(group) = self.get_mut(place) {
                *group = slot.group;
            }
        }
        let place = |slot| Place::try_from(slot).unwrap_or(Place::MAX);
        self.slots
            .iter()
            .map(move |(slot, of)| (place(slot), of.group.due_ns))
    }
}
