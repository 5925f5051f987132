//! Where in an event the wanted fields stand: a graph of places, walked together with the event.
//!
//! A place is a position in a JSON document by the keys that lead to it; its edges are the keys that
//! lead on. Each key of an event is looked up once, at the place where it stands, whatever the number of
//! wanted fields; a key that leads nowhere costs one failed look-up, and all below it is skipped.
//! Several edges may lead to one place: Windows event data means the same under `Event.EventData` and
//! under `winlog.event_data`.

use rustc_hash::FxHashMap;

/// Index of a place in [`Paths`].
pub(crate) type PlaceId = u32;

/// What a value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A value of the column with this index.
    Column(u32),
    /// The event time.
    Time,
    /// The Windows channel, which the event's class depends on …
    Channel,
    /// … with the event id …
    EventId,
    /// … and for some the event type.
    EventType,
}

/// A role of the values at a place. Where values from several places meet, those of the highest rank count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) role: Role,
    pub(crate) rank: u8,
}

/// One key that leads from a place to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// Index of this edge among all.
    pub(crate) id: u32,
    pub(crate) to: PlaceId,
}

/// A position in an event.
#[derive(Debug, Default)]
pub(crate) struct Place {
    edges: FxHashMap<Box<str>, Edge>,
    /// Where every key leads (`UserData` has a wrapper element of whatever name).
    pub(crate) any: Option<PlaceId>,
    /// What a value here is for.
    pub(crate) targets: Vec<Target>,
    /// Keys with spaces are also looked up without them.
    pub(crate) spaced: bool,
    /// An object here is an XML element: its value is its `#text`.
    pub(crate) element: bool,
    /// Objects here carry the name of a value at this other place: `Data` elements with `Name` attributes.
    pub(crate) named: Option<PlaceId>,
}

impl Place {
    /// Whether anything is to be found below this place.
    pub(crate) fn leads_on(&self) -> bool {
        !self.edges.is_empty() || self.any.is_some() || self.element
    }
}

/// All places, the first being the event itself.
#[derive(Debug)]
pub(crate) struct Paths {
    places: Vec<Place>,
    edges: u32,
}

impl Paths {
    /// The event itself.
    pub(crate) const ROOT: PlaceId = 0;

    pub(crate) fn new() -> Self {
        Self {
            places: vec![Place::default()],
            edges: 0,
        }
    }

    /// How many edges there are; their ids are below.
    pub(crate) fn edges(&self) -> usize {
        self.edges as usize
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    #[inline]
    pub(crate) fn get(&self, place: PlaceId) -> Option<&Place> {
        self.places.get(place as usize)
    }

    /// A new place that nothing leads to yet.
    pub(crate) fn add(&mut self) -> PlaceId {
        self.places.push(Place::default());
        (self.places.len() - 1) as PlaceId
    }

    pub(crate) fn edit(&mut self, place: PlaceId, change: impl FnOnce(&mut Place)) {
        if let Some(place) = self.places.get_mut(place as usize) {
            change(place);
        }
    }

    /// Lets `key` lead from one place to another, unless it leads somewhere already; says where.
    pub(crate) fn link(&mut self, from: PlaceId, key: &str, to: PlaceId) -> PlaceId {
        let id = self.edges;
        let Some(place) = self.places.get_mut(from as usize) else {
            return to;
        };
        let edge = place.edges.entry(key.into()).or_insert(Edge { id, to });
        self.edges += u32::from(edge.id == id);
        edge.to
    }

    /// The place that `key` leads to, made if need be.
    pub(crate) fn child(&mut self, from: PlaceId, key: &str) -> PlaceId {
        match self.get(from).and_then(|place| place.edges.get(key)) {
            Some(edge) => edge.to,
            None => {
                let to = self.add();
                self.link(from, key, to)
            }
        }
    }

    /// The place at the end of a dotted path, made if need be.
    pub(crate) fn descend(&mut self, from: PlaceId, path: &str) -> PlaceId {
        path.split('.').fold(from, |at, key| self.child(at, key))
    }

    /// Gives the values at a place a role; if they have it already, the higher rank counts.
    pub(crate) fn want(&mut self, place: PlaceId, role: Role, rank: u8) {
        self.edit(place, |place| {
            let mut targets = place.targets.iter_mut();
            match targets.find(|target| target.role == role) {
                Some(target) => target.rank = target.rank.max(rank),
                None => place.targets.push(Target { role, rank }),
            }
        });
    }

    /// Follows a key; one with dots goes as many steps.
    #[inline]
    pub(crate) fn follow(&self, from: &Place, key: &str) -> Option<Edge> {
        match memchr::memchr(b'.', key.as_bytes()) {
            None => from.edges.get(key).copied(),
            Some(dot) => self.follow_dotted(from, key, dot),
        }
    }

    fn follow_dotted<'a>(
        &'a self,
        mut from: &'a Place,
        mut key: &str,
        mut dot: usize,
    ) -> Option<Edge> {
        loop {
            let edge = from.edges.get(key.get(..dot)?)?;
            from = self.get(edge.to)?;
            key = key.get(dot + 1..)?;
            match memchr::memchr(b'.', key.as_bytes()) {
                None => return from.edges.get(key).copied(),
                Some(next) => dot = next,
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_dots_and_nested_keys_lead_to_the_same_place() {
        let mut paths = Paths::new();
        let end = paths.descend(Paths::ROOT, "a.b.c");
        let a = paths.child(Paths::ROOT, "a");
        let follow = |from, key| {
            paths
                .follow(paths.get(from).unwrap(), key)
                .map(|edge| edge.to)
        };
        assert_eq!(follow(Paths::ROOT, "a.b.c"), Some(end));
        assert_eq!(follow(a, "b.c"), Some(end));
        assert_eq!(follow(Paths::ROOT, "a"), Some(a));
        for miss in ["", ".", "a.", "a..b", "b", "a.b.c.d", "a.c"] {
            assert_eq!(follow(Paths::ROOT, miss), None, "{miss}");
        }
    }

    #[test]
    fn names_with_empty_parts_are_found_as_written() {
        let mut paths = Paths::new();
        for name in [".x", "x.", "a..b", ""] {
            let end = paths.descend(Paths::ROOT, name);
            let root = paths.get(Paths::ROOT).unwrap();
            assert_eq!(paths.follow(root, name).unwrap().to, end, "{name}");
        }
    }

    #[test]
    fn a_place_may_be_reached_by_several_keys() {
        let mut paths = Paths::new();
        let data = paths.descend(Paths::ROOT, "Event.EventData");
        assert_eq!(paths.link(Paths::ROOT, "EventData", data), data);
        let image = paths.child(data, "Image");
        assert_eq!(paths.descend(Paths::ROOT, "EventData.Image"), image);
        assert_eq!(paths.edges(), 4);
    }
}
