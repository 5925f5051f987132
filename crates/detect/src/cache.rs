//! What values satisfied when they were last seen.
//!
//! Logs repeat themselves: most values of most fields have been seen before. The cache maps the values of each field to the
//! predicates that they satisfy, within a batch and across batches, exactly (values are compared, not only their hashes).
//!
//! It is bounded by two generations: values are looked up in the young one, then in the old one, from where they are taken
//! over; when the young one has filled its half, it becomes the old one, and the old one is forgotten. Nothing is freed
//! value by value, and values seen often stay. Generations change between batches only; when the young one fills up within
//! a batch, further values are matched anew each time until the batch ends. The hash is seeded at random, so nobody can craft
//! values that collide.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::predicate::PredicateId;

/// Where a set of predicates is kept, valid until the next [`ValueCache::begin_batch`].
pub(crate) type SetId = u32;

/// The set of nothing.
pub(crate) const EMPTY: SetId = 0;

/// The longest text that an Arrow string view holds within itself.
const INLINE: u32 = 12;
/// Rough bytes that an entry takes in a table.
const ENTRY_BYTES: usize = 48;

/// A bounded map from values of fields to the predicates that they satisfy.
#[derive(Debug)]
pub(crate) struct ValueCache {
    hasher: DefaultHashBuilder,
    young: Generation,
    old: Generation,
    /// Bytes that one generation may take.
    limit: usize,
}

/// A value as an Arrow string view gives it: the view, which is the whole value when that is short, and the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'v> {
    pub(crate) view: u128,
    pub(crate) text: &'v str,
}

impl Value<'_> {
    /// Whether the other one is the same text.
    #[inline]
    pub(crate) fn equals(&self, other: Self) -> bool {
        // Length and first bytes, then the rest.
        self.view as u64 == other.view as u64
            && match self.is_inline() {
                true => self.view == other.view,
                false => self.text == other.text,
            }
    }

    /// Whether the value is short enough to stand in its view.
    fn is_inline(&self) -> bool {
        self.view as u32 <= INLINE
    }
}

#[derive(Debug)]
struct Generation {
    /// Per field.
    tables: Vec<HashTable<Entry>>,
    entries: usize,
    /// Bytes of the values that are too long for a view.
    text: Vec<u8>,
    sets: Sets,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// A short value's view; for a long one its length and first bytes as in the view, and in the upper half where in `text` it begins.
    key: u128,
    hash: u64,
    set: SetId,
}

impl ValueCache {
    /// A cache for this many fields that takes about `bytes`.
    pub(crate) fn new(fields: usize, bytes: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            young: Generation::new(fields),
            old: Generation::new(fields),
            limit: bytes / 2,
        }
    }

    /// Forgets the least recently used half if it is time to. Set ids from before are no longer valid.
    pub(crate) fn begin_batch(&mut self) {
        if self.young.bytes() >= self.limit {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
    }

    /// The predicates that a value of `field` satisfies, as `matched` says, unless they are known. `matched` fills a
    /// list that comes empty and says how many at its end are awaited. `None` when there are too many answers for one batch.
    pub(crate) fn set(
        &mut self,
        field: usize,
        value: Value<'_>,
        ids: &mut Vec<PredicateId>,
        matched: impl FnOnce(&str, &mut Vec<PredicateId>) -> usize,
    ) -> Option<SetId> {
        let hash = if value.is_inline() {
            self.hasher.hash_one(value.view)
        } else {
            self.hasher.hash_one(value.text.as_bytes())
        };
        if let Some(entry) = self.young.find(field, value, hash) {
            return Some(entry.set);
        }
        ids.clear();
        let awaited = match self.old.find(field, value, hash) {
            Some(entry) => {
                let set = self.old.sets.get(entry.set);
                ids.extend_from_slice(set.all);
                set.awaited.len()
            }
            None => matched(value.text, ids),
        };
        let set = self.young.sets.push(ids, awaited)?;
        let fits = self.young.bytes() < self.limit && value.text.len() <= self.limit / 8;
        if fits {
            self.young.insert(field, value, hash, set);
        }
        Some(set)
    }

    /// Keeps an answer for this batch only: the predicates, of which the last `awaited` are awaited. `None` when there are too
    /// many answers for one batch.
    pub(crate) fn keep(&mut self, ids: &[PredicateId], awaited: usize) -> Option<SetId> {
        self.young.sets.push(ids, awaited)
    }

    /// A set that [`ValueCache::set`] or [`ValueCache::keep`] gave in this batch.
    pub(crate) fn get(&self, set: SetId) -> Set<'_> {
        self.young.sets.get(set)
    }
}

impl Generation {
    fn new(fields: usize) -> Self {
        let tables = (0..fields).map(|_| HashTable::new()).collect();
        Self {
            tables,
            entries: 0,
            text: Vec::new(),
            sets: Sets::new(),
        }
    }

    fn bytes(&self) -> usize {
        self.text.len()
            + self.entries * ENTRY_BYTES
            + self.sets.ids.len() * size_of::<PredicateId>()
    }

    fn clear(&mut self) {
        self.tables.iter_mut().for_each(HashTable::clear);
        self.entries = 0;
        self.text.clear();
        self.sets.clear();
    }

    fn find(&self, field: usize, value: Value<'_>, hash: u64) -> Option<Entry> {
        let is_value = |entry: &Entry| {
            if value.is_inline() {
                return entry.key == value.view;
            }
            entry.hash == hash && entry.key as u64 == value.view as u64 && {
                let start = (entry.key >> 64) as usize;
                self.text.get(start..start + value.text.len()) == Some(value.text.as_bytes())
            }
        };
        self.tables.get(field)?.find(hash, is_value).copied()
    }

    fn insert(&mut self, field: usize, value: Value<'_>, hash: u64, set: SetId) {
        let Some(table) = self.tables.get_mut(field) else {
            return;
        };
        let key = if value.is_inline() {
            value.view
        } else {
            let start = self.text.len() as u128;
            self.text.extend_from_slice(value.text.as_bytes());
            u128::from(value.view as u64) | start << 64
        };
        table.insert_unique(hash, Entry { key, hash, set }, |entry| entry.hash);
        self.entries += 1;
    }
}

/// Sets of predicates, one after the other, each led by how many there are and how many of them, at the end, are awaited.
#[derive(Debug)]
struct Sets {
    ids: Vec<u32>,
}

/// Predicates that hold together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set<'s> {
    /// All of them.
    pub(crate) all: &'s [PredicateId],
    /// Those that some rule waits for.
    pub(crate) awaited: &'s [PredicateId],
}

impl Sets {
    fn new() -> Self {
        Self { ids: vec![0, 0] }
    }

    fn clear(&mut self) {
        self.ids.truncate(2);
    }

    fn push(&mut self, ids: &[PredicateId], awaited: usize) -> Option<SetId> {
        if ids.is_empty() {
            return Some(EMPTY);
        }
        let set = SetId::try_from(self.ids.len()).ok()?;
        self.ids.push(u32::try_from(ids.len()).ok()?);
        self.ids.push(u32::try_from(awaited).ok()?);
        self.ids.extend_from_slice(ids);
        Some(set)
    }

    fn get(&self, set: SetId) -> Set<'_> {
        let found = || {
            let (head, rest) = self.ids.get(set as usize..)?.split_first_chunk::<2>()?;
            let [count, awaited] = head.map(|number| number as usize);
            let all = rest.get(..count)?;
            Some(Set {
                all,
                awaited: all.get(count.checked_sub(awaited)?..)?,
            })
        };
        found().unwrap_or(Set {
            all: &[],
            awaited: &[],
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::array::StringViewArray;
    use proptest::prelude::*;

    /// Looks values up; how often each had to be matched.
    fn matched(cache: &mut ValueCache, field: usize, texts: &[&str]) -> usize {
        let array = StringViewArray::from_iter_values(texts);
        let mut matched = 0;
        for (&view, &text) in array.views().iter().zip(texts) {
            let answer = |text: &str, ids: &mut Vec<PredicateId>| {
                matched += 1;
                ids.extend(text.bytes().map(u32::from));
                text.len().min(2)
            };
            let set = cache
                .set(field, Value { view, text }, &mut Vec::new(), answer)
                .unwrap();
            let expected: Vec<u32> = text.bytes().map(u32::from).collect();
            assert_eq!(cache.get(set).all, expected);
            assert_eq!(
                cache.get(set).awaited,
                &expected[expected.len() - text.len().min(2)..]
            );
        }
        matched
    }

    #[test]
    fn a_value_is_matched_once_per_field() {
        let mut cache = ValueCache::new(2, 1 << 20);
        let long = "a long value that does not fit into a view";
        let longer = "a long value that does not fit into a vieW";
        let texts = [
            "",
            "a",
            "b",
            "a",
            long,
            longer,
            long,
            "twelve bytes",
            "twelve bytes",
        ];
        assert_eq!(matched(&mut cache, 0, &texts), 6);
        assert_eq!(matched(&mut cache, 1, &texts), 6);
        cache.begin_batch();
        assert_eq!(matched(&mut cache, 0, &texts), 0);
    }

    #[test]
    fn memory_is_bounded_and_values_in_use_stay() {
        let limit = 64 << 10;
        let mut cache = ValueCache::new(1, limit);
        for batch in 0..200 {
            cache.begin_batch();
            assert_eq!(
                matched(&mut cache, 0, &["seen in every batch"]),
                usize::from(batch == 0)
            );
            let values: Vec<String> = (0..50).map(|i| format!("only once {batch} {i}")).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            assert_eq!(matched(&mut cache, 0, &values), 50);
            assert!(cache.young.bytes() + cache.old.bytes() < 2 * limit);
        }
    }

    #[test]
    fn a_value_too_large_is_answered_all_the_same() {
        let mut cache = ValueCache::new(1, 1 << 10);
        let large = "x".repeat(1000);
        assert_eq!(matched(&mut cache, 0, &[&large, &large]), 2);
    }

    proptest! {
        #[test]
        fn answers_do_not_depend_on_what_was_seen(
            batches in proptest::collection::vec(proptest::collection::vec("[ab]{0,3}|[ab]{12,14}", 0..20), 0..10),
        ) {
            let mut cache = ValueCache::new(1, 4 << 10);
            for batch in batches {
                cache.begin_batch();
                let texts: Vec<&str> = batch.iter().map(String::as_str).collect();
                matched(&mut cache, 0, &texts);
            }
        }
    }
}
