//! The correlations of one exchange partition.

use std::sync::Arc;

use haechi_rules::Referent;
use rustc_hash::FxHashMap;

use super::early::Told;
use super::give_up::Lost;
use super::machine::{Arrival, Machine};
use super::node::{Node, Parent};
use super::parts::Moves;
use super::quotes::{self, Quotes};
use super::saved::Names;
use super::section::GroupEvents;
use super::tally::Held;
use super::terms::Terms;
use super::value::{Value, ValueKind, Values};
use crate::budget::Budget;
use crate::frame::{Fingerprint, FrameError, corrupt};
use crate::outcome::{Correlated, GivenUp, Keeper, Late, LateKind, in_order};
use crate::plan::RuleIds;
use crate::share::Share;
use crate::snapshot::{Chunk, Kind, Writer};
use crate::sources::Sources;

/// The state of all nodes, in their order: those below before those above.
pub(crate) struct Machines(Vec<Any>);

/// A machine, by what it looks at in an event.
enum Any {
    Plain(Machine<()>),
    Numbers(Machine<f64>),
    Tuples(Machine<Box<[u8]>>),
}

/// Does the same with a machine of any kind.
macro_rules! with {
    ($any:expr, $machine:ident => $body:expr) => {
        match $any {
            Any::Plain($machine) => $body,
            Any::Numbers($machine) => $body,
            Any::Tuples($machine) => $body,
        }
    };
}

impl Machines {
    /// Empty, for these nodes.
    pub(crate) fn new(nodes: &[Arc<Node>]) -> Self {
        let machine = |node: &Arc<Node>| match node.values {
            ValueKind::None => Any::Plain(Machine::new(Arc::clone(node))),
            ValueKind::Number => Any::Numbers(Machine::new(Arc::clone(node))),
            ValueKind::Tuple => Any::Tuples(Machine::new(Arc::clone(node))),
        };
        Self(nodes.iter().map(machine).collect())
    }

    /// From now on these nodes hold. One that means what it meant keeps its state, whatever its place; what others had open is
    /// dropped. Answers how many alerts kept theirs.
    pub(crate) fn adopt(&mut self, nodes: &[Arc<Node>]) -> usize {
        let old = std::mem::replace(self, Self::new(nodes)).0;
        let fingerprint = |any: &Any| with!(any, of => of.node.fingerprint);
        let mut old: FxHashMap<Fingerprint, Any> = old
            .into_iter()
            .map(|any| (fingerprint(&any), any))
            .collect();
        let mut moves = Moves::default();
        for node in nodes {
            if let Some(any) = old.get(&node.fingerprint) {
                moves.learn(with!(any, of => &of.node.rule), &node.rule);
            }
        }
        let mut kept = 0;
        for (node, place) in nodes.iter().zip(&mut self.0) {
            if let Some(mut any) = old.remove(&node.fingerprint) {
                with!(&mut any, of => of.adopt(Arc::clone(node), &moves));
                *place = any;
                kept += usize::from(node.parent.is_none());
            }
        }
        kept
    }

    /// What nodes that go would leave hanging: what they have told early, told to its end.
    pub(crate) fn last_words(&self, goes: impl Fn(&Fingerprint) -> bool) -> Vec<Correlated> {
        let gone = self
            .0
            .iter()
            .filter(|any| goes(&with!(any, of => of.node.fingerprint)));
        gone.flat_map(|any| with!(any, of => of.last_words()))
            .collect()
    }

    /// The nodes that have told early what is not final yet.
    pub(crate) fn open(&self) -> impl Iterator<Item = Fingerprint> + '_ {
        self.0.iter().filter_map(|any| {
            with!(any, of => {
                let told = of.told.as_ref();
                let is_open = of.node.excerpt.is_some() && told.is_some_and(Told::is_open);
                is_open.then_some(of.node.fingerprint)
            })
        })
    }

    /// Tells what rules that emit early have found so far, as far as it has changed.
    pub(crate) fn tell(
        &mut self,
        watermark_ns: Option<i64>,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        for any in &mut self.0 {
            with!(any, of => of.tell(watermark_ns, sources, found));
        }
    }

    /// Writes everything, for a snapshot.
    pub(crate) fn save(&self, ids: &RuleIds, sources: &Sources, writer: &mut Writer<'_>) {
        for any in &self.0 {
            with!(any, of => of.save(ids, sources, writer));
        }
    }

    /// Takes in a chunk of a snapshot, of the node at this index.
    pub(crate) fn load(
        &mut self,
        node: usize,
        chunk: &mut Chunk<'_>,
        names: &Names<'_>,
        sources: &Sources,
        share: Option<Share>,
    ) -> Result<(), FrameError> {
        match (self.0.get_mut(node), chunk.kind) {
            (Some(Any::Plain(of)), Kind::Groups) => of.load(&mut chunk.body, share),
            (Some(Any::Numbers(of)), Kind::GroupsOfNumbers) => of.load(&mut chunk.body, share),
            (Some(Any::Tuples(of)), Kind::GroupsOfTuples) => of.load(&mut chunk.body, share),
            (Some(any), Kind::Lost) => with!(any, of => of.load_lost(&mut chunk.body, share)),
            (Some(any), Kind::Findings) => {
                with!(any, of => of.load_findings(names, sources, &mut chunk.body))
            }
            (Some(any), Kind::Terms | Kind::Sketch) => {
                let of_node = with!(&*any, of => Arc::clone(&of.node));
                let own = |key: &[u8]| of_node.is_in(key, share);
                let terms = with!(any, of => of.terms.as_mut());
                let terms = terms.ok_or_else(|| corrupt("terms of a rule that has none"))?;
                match chunk.kind {
                    Kind::Terms => terms.load(&own, &mut chunk.body),
                    _ => terms.load_sketch(&mut chunk.body),
                }
            }
            (Some(any), Kind::Quotes) => {
                let of_node = with!(&*any, of => Arc::clone(&of.node));
                let own = |key: &[u8]| of_node.is_in(key, share);
                let quotes = with!(any, of => of.quotes.as_mut());
                // A rule that does not quote any more means the same.
                let mut unused = Quotes::new(0, i64::MAX);
                let quotes = quotes.unwrap_or(&mut unused);
                quotes.load(&own, sources, &mut chunk.body)
            }
            (Some(any), Kind::Told | Kind::Waiting) => {
                let of_node = with!(&*any, of => Arc::clone(&of.node));
                let own = |key: &[u8]| of_node.is_in(key, share);
                let told = with!(any, of => of.told.as_mut());
                let told = told.ok_or_else(|| corrupt("early findings of a rule that has none"))?;
                match chunk.kind {
                    Kind::Told => {
                        let suppresses = of_node.suppresses();
                        told.load(suppresses, names, sources, &own, &mut chunk.body)
                    }
                    _ => told.load_waiting(&own, &mut chunk.body),
                }
            }
            _ => Err(corrupt("a chunk that does not fit its rule")),
        }
    }

    /// Forgets findings that no group counts: their groups are in another partition now.
    pub(crate) fn forget_unused(&mut self) {
        for any in &mut self.0 {
            with!(any, of => of.forget_unused());
        }
    }

    /// How many values correlations of new terms know by name, and how many from a sketch.
    pub(crate) fn terms(&self) -> (usize, usize) {
        let terms = self
            .0
            .iter()
            .filter_map(|any| with!(any, of => of.terms.as_ref()));
        terms
            .map(Terms::len)
            .fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    /// Approximate bytes held.
    pub(crate) fn size(&self) -> usize {
        self.0.iter().map(|any| with!(any, of => of.size())).sum()
    }

    /// Takes the events of a group in. What is late is answered.
    pub(crate) fn add(
        &mut self,
        node: usize,
        group: &GroupEvents,
        watermark_ns: Option<i64>,
        sources: &Sources,
        late: &mut Vec<Late>,
    ) {
        match (self.0.get_mut(node), &group.values) {
            (Some(Any::Plain(of)), Values::None) => {
                of.add_all(group, std::iter::repeat(&()), watermark_ns, sources, late);
            }
            (Some(Any::Numbers(of)), Values::Numbers(values)) => {
                of.add_all(group, values.iter(), watermark_ns, sources, late);
            }
            (Some(Any::Tuples(of)), Values::Tuples(values)) => {
                of.add_all(group, values.iter(), watermark_ns, sources, late);
            }
            _ => {}
        }
    }

    /// Takes in the first events of a group as they came.
    pub(crate) fn add_quotes(&mut self, node: usize, group: &GroupEvents, sources: &Sources) {
        if let Some(any) = self.0.get_mut(node) {
            with!(any, of => of.add_quotes(group, sources));
        }
    }

    /// Decides everything that the watermark allows to be decided. A finding that another correlation counts becomes an event there.
    pub(crate) fn advance(
        &mut self,
        watermark_ns: i64,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) {
        for at in 0..self.0.len() {
            let Some((below, above)) = self.0.split_at_mut_checked(at + 1) else {
                return;
            };
            let Some(any) = below.last_mut() else {
                return;
            };
            let node = with!(&*any, of => Arc::clone(&of.node));
            let Some(parent) = &node.parent else {
                with!(any, of => of.decide_all(node.watermark_ns(watermark_ns), sources, found));
                continue;
            };
            let mut findings = Vec::new();
            with!(any, of => of.decide_all(node.watermark_ns(watermark_ns), sources, &mut findings));
            pass_on(findings, parent, at, above);
        }
    }

    /// Gives groups up where a correlation keeps more than it may. Findings that are told for it come to `found`.
    pub(crate) fn give_up(
        &mut self,
        budget: &Budget,
        sources: &Sources,
        found: &mut Vec<Correlated>,
    ) -> Vec<GivenUp> {
        let mut given_up = Vec::new();
        // What those below have given up just now.
        let mut carried: FxHashMap<usize, u64> = FxHashMap::default();
        for at in 0..self.0.len() {
            let Some((below, above)) = self.0.split_at_mut_checked(at + 1) else {
                break;
            };
            let Some(any) = below.last_mut() else {
                break;
            };
            let node = with!(&*any, of => Arc::clone(&of.node));
            let share = budget.share(&node.rule.header.state);
            let mut findings = Vec::new();
            let groups = with!(any, of => of.give_up(share, sources, &mut findings));
            let news = groups + carried.remove(&at).unwrap_or(0);
            if groups > 0 {
                let rule = node
                    .suppresses()
                    .unwrap_or(Referent::Correlation(node.index));
                given_up.push(GivenUp {
                    rule: Keeper::Alerting(rule),
                    groups,
                });
            }
            match &node.parent {
                None => found.extend(findings),
                Some(parent) => {
                    let lost = with!(&*any, of => of.lost);
                    pass_on(findings, parent, at, above);
                    if news > 0
                        && let Some(any) = parent.above(at, above)
                    {
                        *carried.entry(parent.node).or_default() += news;
                        with!(any, of => of.lacks_below(&node, lost, news));
                    }
                }
            }
        }
        given_up
    }
}

/// Gives the findings of a correlation to the one that counts them. `above` are those behind it.
fn pass_on(mut findings: Vec<Correlated>, parent: &Parent, at: usize, above: &mut [Any]) {
    let Some(any) = parent.above(at, above) else {
        return;
    };
    // They are numbered there.
    in_order(&mut findings);
    for finding in findings {
        if let Some((key, value)) = parent.event_of(&finding) {
            with!(any, of => of.add_finding(&key, finding, parent.position, value));
        }
    }
}

impl Parent {
    /// The machine of the parent, among those behind the one at this place.
    fn above<'a>(&self, at: usize, above: &'a mut [Any]) -> Option<&'a mut Any> {
        above.get_mut(self.node.checked_sub(at + 1)?)
    }
}

impl<V: Held> Machine<V> {
    /// A correlation below has given groups up: windows that their findings could have been in, or begun before, lack them.
    fn lacks_below(&mut self, below: &Node, lost: Lost, groups: u64) {
        let ends_ns = lost.before_ns.get().max(lost.below_ns.get());
        let ends_ns = ends_ns.map(|ns| self.window_end(ns.saturating_add(below.rule.timespan_ns)));
        self.lost.below_ns = ends_ns.max(self.lost.below_ns.get()).into();
        self.lost.below_groups = self.lost.below_groups.saturating_add(groups);
    }

    /// The same correlation in another plan: its rules may stand elsewhere there.
    fn adopt(&mut self, node: Arc<Node>, moves: &Moves) {
        if let (Some(terms), Some(room)) = (&mut self.terms, node.remembers()) {
            terms.set_room(room);
        }
        match (&mut self.quotes, node.quoted) {
            (Some(quotes), most) if most > 0 => quotes.set_most(most),
            (quotes, _) => *quotes = node.quotes(),
        }
        self.node = node;
        self.parts.renumber(moves);
        if let Some(told) = &mut self.told {
            told.renumber(moves, self.node.suppresses());
        }
    }

    fn decide_all(&mut self, watermark_ns: i64, sources: &Sources, found: &mut Vec<Correlated>) {
        match self.terms {
            Some(_) => self.advance_terms(watermark_ns, sources, found),
            None => self.advance(watermark_ns, sources, found),
        }
        if let Some(quotes) = &mut self.quotes {
            quotes.forget(watermark_ns);
        }
    }

    fn add_quotes(&mut self, group: &GroupEvents, sources: &Sources) {
        let (Some(quotes), Values::Tuples(values)) = (&mut self.quotes, &group.values) else {
            return;
        };
        for (event, value) in group.events.iter().zip(values) {
            quotes.add(&group.key, *event, sources, || quotes::of_value(value));
        }
    }

    fn add_all<'a>(
        &mut self,
        group: &GroupEvents,
        values: impl Iterator<Item = &'a V>,
        watermark_ns: Option<i64>,
        sources: &Sources,
        late: &mut Vec<Late>,
    ) {
        let own_ns = watermark_ns.map(|watermark_ns| self.node.watermark_ns(watermark_ns));
        for (event, value) in group.events.iter().zip(values) {
            if self.add(&group.key, *event, value.clone(), own_ns) == Arrival::Counted {
                continue;
            }
            if let Some(contribution) = self.contribution(event, sources) {
                late.push(Late {
                    time_ns: event.time_ns,
                    watermark_ns: watermark_ns.unwrap_or(i64::MIN),
                    what: LateKind::Event {
                        rule: self.node.index,
                        group: self.group(&group.key),
                        event: contribution,
                    },
                });
            }
        }
    }

    /// Takes a finding of a correlation below in. It is never late: this one's watermark lags behind by as much as those below may
    /// take to find something.
    fn add_finding(&mut self, key: &[u8], finding: Correlated, position: u32, value: Value) {
        if let Some(value) = V::of(value) {
            let event = self.parts.put(finding, position);
            if self.add(key, event, value, None) == Arrival::Late {
                self.parts.forget(&event);
            }
        }
    }
}
