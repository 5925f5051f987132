//! One event, from the parser's tape into the columns: a single pass that enters only what
//! [`Paths`] lead to.
//!
//! If a key that leads somewhere stands twice in one object, the pass gives up and is made again with the
//! superseded members known ([`duplicates`](crate::duplicates)): the last one wins.

use arrow::array::make_view;
use rustc_hash::FxHashSet;
use simd_json::{Node, StaticNode};

use crate::block::VIEW_LIMIT;
use crate::column::Column;
use crate::event::Event;
use crate::paths::{Edge, Paths, Place, PlaceId, Role, Target};
use crate::time;
use crate::trails::{Followed, Trails};

/// The rank of a JSON null where it gives way to any value ([`Walk::weak_nulls`]).
const NULL_RANK: u8 = 0;

/// What decides the class of a Windows event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header<'t> {
    pub(crate) channel: Option<&'t str>,
    pub(crate) event_id: Option<u32>,
    pub(crate) event_type: Option<&'t str>,
    /// The ranks of the three.
    pub(crate) ranks: [u8; 3],
}

/// State of the duplicate check, kept from event to event.
#[derive(Default)]
pub(crate) struct Seen {
    /// For every edge, the last object in which it was taken.
    objects: Vec<u64>,
    /// Objects entered so far, in all events.
    count: u64,
}

impl Seen {
    pub(crate) fn new(paths: &Paths) -> Self {
        Self {
            objects: vec![0; paths.edges()],
            count: 0,
        }
    }

    fn enter_object(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Notes that an edge is taken in an object; tells whether it was before.
    fn again(&mut self, edge: Edge, object: u64) -> bool {
        match self.objects.get_mut(edge.id as usize) {
            Some(last) => std::mem::replace(last, object) == object,
            None => false,
        }
    }
}

/// A pass over one event.
pub(crate) struct Walk<'w, 't> {
    pub(crate) paths: &'w Paths,
    pub(crate) event: Event<'w, 't>,
    /// Text to be put behind the record: objects where values are wanted.
    pub(crate) extra: &'w mut Vec<u8>,
    /// Room for a key's other name.
    pub(crate) alias: &'w mut String,
    pub(crate) columns: &'w mut [Column],
    pub(crate) row: u32,
    pub(crate) seen: &'w mut Seen,
    pub(crate) trails: &'w mut Trails,
    /// A null gives way to any value, as an empty element does.
    pub(crate) weak_nulls: bool,
    pub(crate) header: Header<'t>,
    /// The best time read so far, with its rank.
    pub(crate) time: Option<(u8, i64)>,
    /// Whether a key was found twice in an object.
    pub(crate) duplicate: bool,
}

impl<'t> Walk<'_, 't> {
    /// Takes back what the walk has found, to walk again without the superseded keys.
    pub(crate) fn restart(&mut self, superseded: FxHashSet<usize>) {
        for column in self.columns.iter_mut() {
            column.discard(self.row);
        }
        self.extra.clear();
        self.header = Header::default();
        self.time = None;
        self.duplicate = false;
        self.event.superseded = Some(superseded);
    }

    /// Walks the object at tape index `at`, which stands at `place`.
    pub(crate) fn object(&mut self, place_id: PlaceId, at: usize) {
        let Some(Node::Object { len, .. }) = self.event.tape.get(at).copied() else {
            return;
        };
        let paths = self.paths;
        let Some(place) = paths.get(place_id) else {
            return;
        };
        let object = self.seen.enter_object();
        let mut position = self.trails.start(place_id);
        let mut key_at = at + 1;
        for _ in 0..len {
            let Some(Node::String(key)) = self.event.tape.get(key_at).copied() else {
                return;
            };
            let followed = self.trails.follow(&mut position, paths, place_id, key);
            let superseded = self.event.superseded.as_ref();
            if !superseded.is_some_and(|keys| keys.contains(&key_at)) {
                self.member(place, object, (key, followed), key_at + 1);
                if self.duplicate {
                    return;
                }
            }
            key_at += 1 + self.event.width(key_at + 1);
        }
    }

    /// Follows one member of an object that stands at `place`.
    #[inline]
    fn member(
        &mut self,
        place: &Place,
        object: u64,
        (key, followed): (&str, Followed),
        value_at: usize,
    ) {
        if let Some(edge) = followed.edge {
            // On the second pass it is not the same key again, but another name of the same place.
            if self.seen.again(edge, object) && self.event.superseded.is_none() {
                self.duplicate = true;
                return;
            }
            self.value(edge.to, value_at, 0);
        }
        if let Some(any) = place.any
            && !key.starts_with('#')
        {
            self.value(any, value_at, 0);
        }
        if place.element && key == "#text" {
            self.text(place, value_at);
        }
        if place.spaced && followed.spaced {
            self.aliases(place, key, value_at);
        }
    }

    /// Follows a key with spaces by the names that rules give it: without spaces, or with underscores.
    fn aliases(&mut self, place: &Place, key: &str, value_at: usize) {
        for space in [None, Some('_')] {
            self.alias.clear();
            let parts = key.chars();
            self.alias
                .extend(parts.filter_map(|c| if c == ' ' { space } else { Some(c) }));
            if let Some(edge) = self.paths.follow(place, self.alias) {
                self.value(edge.to, value_at, 1);
            }
        }
    }

    /// Takes the value at a tape index for what is wanted at `place`, and walks on if it is an object there.
    fn value(&mut self, place_id: PlaceId, at: usize, demotion: u8) {
        let paths = self.paths;
        let (Some(&node), Some(place)) = (self.event.tape.get(at), paths.get(place_id)) else {
            return;
        };
        match node {
            Node::Array { len: 0, .. } => self.mark(place, demotion),
            Node::Array { len, .. } => {
                let mut element = at + 1;
                for _ in 0..len {
                    self.value(place_id, element, demotion);
                    element += self.event.width(element);
                }
            }
            Node::Object { .. } => {
                if let Some(names) = place.named {
                    self.named(place, names, at);
                    return;
                }
                if !place.element && !place.targets.is_empty() {
                    self.object_text(place, at, demotion);
                }
                if place.leads_on() {
                    self.object(place_id, at);
                }
            }
            scalar => self.scalar(place, scalar, at, demotion),
        }
    }

    /// The text of an element, which may be several texts.
    fn text(&mut self, place: &Place, at: usize) {
        match self.event.tape.get(at).copied() {
            Some(Node::Array { len, .. }) => {
                let mut element = at + 1;
                for _ in 0..len {
                    self.text(place, element);
                    element += self.event.width(element);
                }
            }
            Some(scalar @ (Node::String(_) | Node::Static(_))) => self.scalar(place, scalar, at, 0),
            _ => {}
        }
    }

    /// A `Data` element: with a name, it is the value of that name; without one, a value of `Data` itself.
    fn named(&mut self, place: &Place, names: PlaceId, at: usize) {
        let mut name = None;
        let mut text_at = None;
        self.each_member(at, |walk, key, value_at| match key {
            "#attributes" | "$" => walk.each_member(value_at, |walk, key, value_at| {
                if key == "Name" {
                    name = walk.string(value_at);
                }
            }),
            "Name" | "@Name" | "_Name" => name = walk.string(value_at),
            "#text" | "_" | "content" | "Value" | "value" => text_at = Some(value_at),
            _ => {}
        });
        let Some(text_at) = text_at else {
            return;
        };
        let paths = self.paths;
        match (name, paths.get(names)) {
            (Some(name), Some(place)) => {
                let object = self.seen.enter_object();
                let followed = Followed::of(paths, names, name);
                self.member(place, object, (name, followed), text_at);
            }
            _ => self.text(place, text_at),
        }
    }

    fn each_member(&self, at: usize, mut member: impl FnMut(&Self, &'t str, usize)) {
        let Some(Node::Object { len, .. }) = self.event.tape.get(at).copied() else {
            return;
        };
        let mut key_at = at + 1;
        for _ in 0..len {
            if let Some(key) = self.string(key_at) {
                member(self, key, key_at + 1);
            }
            key_at += 1 + self.event.width(key_at + 1);
        }
    }

    fn string(&self, at: usize) -> Option<&'t str> {
        match self.event.tape.get(at) {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Gives a scalar to everybody who wants the values at `place`.
    #[inline]
    fn scalar(&mut self, place: &Place, node: Node<'t>, at: usize, demotion: u8) {
        let null = matches!(node, Node::Static(StaticNode::Null));
        for target in &place.targets {
            let rank = match null && self.weak_nulls {
                true => NULL_RANK,
                false => target.rank.saturating_sub(demotion),
            };
            match target.role {
                Role::Column(index) => {
                    let view = self.event.view(node, at);
                    if let Some(column) = self.columns.get_mut(index as usize) {
                        column.write(self.row, rank, view);
                    }
                }
                Role::Time => self.offer_time(node, at, rank),
                role => self.offer_header(role, node, rank),
            }
        }
    }

    /// Gives an object's text, put behind the record, to the columns that want the values at `place`.
    fn object_text(&mut self, place: &Place, at: usize, demotion: u8) {
        let is_column = |target: &Target| matches!(target.role, Role::Column(_));
        if !place.targets.iter().any(is_column) {
            return;
        }
        let Some((_, text)) = self.event.spelling.object(at) else {
            return;
        };
        let offset = self.event.location.start + self.event.location.len + self.extra.len();
        if offset + text.len() > VIEW_LIMIT {
            // Only with records near the largest limit: present, but without its text.
            return self.mark(place, demotion);
        }
        let view = make_view(text, self.event.location.block, offset as u32);
        self.extra.extend_from_slice(text);
        for target in &place.targets {
            if let Role::Column(index) = target.role
                && let Some(column) = self.columns.get_mut(index as usize)
            {
                column.write(self.row, target.rank.saturating_sub(demotion), Some(view));
            }
        }
    }

    /// Makes the columns that want the values at `place` present without a value.
    fn mark(&mut self, place: &Place, demotion: u8) {
        for target in &place.targets {
            if let Role::Column(index) = target.role
                && let Some(column) = self.columns.get_mut(index as usize)
            {
                column.mark(self.row, target.rank.saturating_sub(demotion));
            }
        }
    }

    /// Considers a value as the event's time: the first one of the highest rank that can be read.
    fn offer_time(&mut self, node: Node<'t>, at: usize, rank: u8) {
        if self.time.is_some_and(|(best, _)| best >= rank) {
            return;
        }
        let time = match node {
            Node::String(text) => time::parse(text),
            Node::Static(StaticNode::U64(_) | StaticNode::I64(_) | StaticNode::F64(_)) => self
                .event
                .spelling
                .number(at)
                .and_then(|(_, text)| std::str::from_utf8(text).ok())
                .and_then(time::parse_number),
            _ => None,
        };
        if let Some(time) = time {
            self.time = Some((rank, time));
        }
    }

    /// Considers a value for the header: the first one of the highest rank.
    fn offer_header(&mut self, role: Role, node: Node<'t>, rank: u8) {
        let header = &mut self.header;
        let [channel, event_id, event_type] = &mut header.ranks;
        match (role, node) {
            (Role::Channel, Node::String(text)) if rank > *channel => {
                header.channel = Some(text);
                *channel = rank;
            }
            (Role::EventType, Node::String(text)) if rank > *event_type => {
                header.event_type = Some(text);
                *event_type = rank;
            }
            (Role::EventId, node) if rank > *event_id => {
                let id = match node {
                    Node::String(text) => text.trim_ascii().parse().ok(),
                    Node::Static(StaticNode::U64(id)) => u32::try_from(id).ok(),
                    _ => None,
                };
                if id.is_some() {
                    header.event_id = id;
                    *event_id = rank;
                }
            }
            _ => {}
        }
    }
}
