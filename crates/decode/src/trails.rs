//! Which key comes next. Events of one kind are written by one program: the same keys in the same order. So where a key leads is remembered
//! by the keys before it in its object, and a key that is as expected costs one comparison instead of a look-up.
//!
//! A trail is a path in a tree whose branches are keys. The tree is bounded; when it is full, it grows anew with the next event.

use crate::paths::{Edge, Paths, PlaceId};

/// Keys that are told apart at one place in the tree.
const BRANCHES: usize = 64;
/// A longer key is not remembered, in bytes.
const LONGEST: usize = 64;
/// Keys in the tree.
const STEPS: usize = 1 << 15;

const NONE: u32 = u32::MAX;

/// Where a key leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Followed {
    pub(crate) edge: Option<Edge>,
    /// There are spaces in the key.
    pub(crate) spaced: bool,
}

impl Followed {
    /// Looks up where a key leads from a place.
    pub(crate) fn of(paths: &Paths, place: PlaceId, key: &str) -> Self {
        Self {
            edge: paths.get(place).and_then(|from| paths.follow(from, key)),
            spaced: memchr::memchr(b' ', key.as_bytes()).is_some(),
        }
    }
}

/// How far an object has been followed: an index in [`Trails::heads`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position(u32);

/// The trails seen so far.
pub(crate) struct Trails {
    places: usize,
    /// First the steps that begin an object at each place, then those that come after each step: the one taken last.
    heads: Vec<u32>,
    steps: Vec<Step>,
    /// The keys of the steps, one after the other.
    keys: Vec<u8>,
}

/// A key that was seen after the ones that lead to it.
#[derive(Clone, Copy, Debug)]
struct Step {
    start: u32,
    len: u32,
    followed: Followed,
    /// Another step from the same position.
    other: u32,
}

impl Trails {
    pub(crate) fn new(paths: &Paths) -> Self {
        let places = paths.len();
        Self {
            places,
            heads: vec![NONE; places],
            steps: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// To be told before each event: no position is held over from before.
    pub(crate) fn begin_event(&mut self) {
        if self.steps.len() >= STEPS {
            self.heads.truncate(self.places);
            self.heads.fill(NONE);
            self.steps.clear();
            self.keys.clear();
        }
    }

    /// The position before the first key of an object that stands at `place`.
    #[inline]
    pub(crate) fn start(&self, place: PlaceId) -> Position {
        Position(place)
    }

    /// Where `key`, the next one of an object at `place`, leads; moves the position on.
    #[inline]
    pub(crate) fn follow(
        &mut self,
        position: &mut Position,
        paths: &Paths,
        place: PlaceId,
        key: &str,
    ) -> Followed {
        let head = self.heads.get(position.0 as usize).copied();
        if let Some(index) = head
            && let Some(step) = self.steps.get(index as usize)
            && self.is_key(step, key)
        {
            *position = self.after(index);
            return step.followed;
        }
        self.branch(position, paths, place, key)
    }

    /// The same, where the key is not the one that stood there last.
    #[inline(never)]
    fn branch(
        &mut self,
        position: &mut Position,
        paths: &Paths,
        place: PlaceId,
        key: &str,
    ) -> Followed {
        let Some(&head) = self.heads.get(position.0 as usize) else {
            return Followed::of(paths, place, key);
        };
        let (mut before, mut index) = (NONE, head);
        let mut branches = 0;
        while let Some(&step) = self.steps.get(index as usize) {
            if self.is_key(&step, key) {
                // To the front: what came once comes again.
                if let Some(before) = self.steps.get_mut(before as usize) {
                    before.other = step.other;
                    self.take_first(position.0, index, head);
                }
                *position = self.after(index);
                return step.followed;
            }
            branches += 1;
            (before, index) = (index, step.other);
        }
        let followed = Followed::of(paths, place, key);
        if branches < BRANCHES && key.len() <= LONGEST && self.steps.len() < STEPS {
            let index = self.steps.len() as u32;
            self.steps.push(Step {
                start: self.keys.len() as u32,
                len: key.len() as u32,
                followed,
                other: NONE,
            });
            self.keys.extend_from_slice(key.as_bytes());
            self.heads.push(NONE);
            self.take_first(position.0, index, head);
            *position = self.after(index);
        } else {
            *position = Position(NONE);
        }
        followed
    }

    fn take_first(&mut self, position: u32, index: u32, head: u32) {
        if let Some(step) = self.steps.get_mut(index as usize) {
            step.other = head;
        }
        if let Some(first) = self.heads.get_mut(position as usize) {
            *first = index;
        }
    }

    #[inline]
    fn after(&self, index: u32) -> Position {
        Position(self.places as u32 + index)
    }

    #[inline]
    fn is_key(&self, step: &Step, key: &str) -> bool {
        step.len as usize == key.len() && {
            let start = step.start as usize;
            let known = self.keys.get(start..start + key.len());
            known.is_some_and(|known| are_equal(known, key.as_bytes()))
        }
    }
}

/// Whether two keys of the same length are equal: nearly always short ones, for which calling a function costs more than comparing.
#[inline]
fn are_equal(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(key: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        Some((key.first_chunk()?, key.last_chunk()?))
    }
    match a.len() {
        8..=16 => ends::<8>(a) == ends::<8>(b),
        17..=32 => ends::<16>(a) == ends::<16>(b),
        4..=7 => ends::<4>(a) == ends::<4>(b),
        _ => a == b,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paths() -> Paths {
        let mut paths = Paths::new();
        for path in ["a", "b.c", "a.b", "b", "d e"] {
            paths.descend(Paths::ROOT, path);
        }
        paths
    }

    fn follow_all(trails: &mut Trails, paths: &Paths, place: PlaceId, keys: &[String]) {
        trails.begin_event();
        let mut position = trails.start(place);
        for key in keys {
            let found = trails.follow(&mut position, paths, place, key);
            let expected = Followed::of(paths, place, key);
            assert_eq!(found.spaced, expected.spaced, "{key}");
            assert_eq!(
                found.edge.map(|edge| (edge.id, edge.to)),
                expected.edge.map(|edge| (edge.id, edge.to)),
                "{key}"
            );
        }
    }

    #[test]
    fn memory_is_bounded() {
        let paths = paths();
        let mut trails = Trails::new(&paths);
        for event in 0..STEPS {
            let keys: Vec<String> = (0..8).map(|key| format!("{event} {key}")).collect();
            follow_all(&mut trails, &paths, Paths::ROOT, &keys);
            follow_all(
                &mut trails,
                &paths,
                Paths::ROOT,
                &["a".to_owned(), "x".repeat(1 << 10)],
            );
        }
        assert!(trails.steps.len() <= STEPS && trails.keys.len() <= STEPS * LONGEST);
        assert_eq!(trails.heads.len(), trails.places + trails.steps.len());
    }

    proptest! {
        #[test]
        fn a_key_leads_where_it_leads_without_memory(
            objects in proptest::collection::vec(
                (0..4_u32, proptest::collection::vec("a|b|c|b\\.c|d e|[x-z]{1,2}|x{60,70}", 0..6)),
                0..60,
            ),
        ) {
            let paths = paths();
            let mut trails = Trails::new(&paths);
            for (place, keys) in objects {
                follow_all(&mut trails, &paths, place, &keys);
            }
        }
    }
}
