//! All tests of one field at once: a value in, the predicates that it satisfies out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use haechi_rules::Piece;
use rustc_hash::FxHashMap;

use crate::affix::Affixes;
use crate::fold::{fold, fold_into};
use crate::glob::Shape;
use crate::needles::Needles;
use crate::networks::Networks;
use crate::numbers::Numbers;
use crate::predicate::{PredicateId, SHORT, ValueTest};
use crate::profile::Notes;
use crate::rarity;
use crate::regexes::{LazyRegex, Regexes};
use crate::stamps::Stamps;
use crate::times::Times;

/// Decides all predicates of a field.
///
/// Each test hangs on one folded literal (a regex on several) in the structure that finds it fastest. Where finding the
/// literal is not the whole answer (case matters, there is more to the pattern, it belongs to a regex) a check follows.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// Bytes of the shortest folded value that satisfies anything.
    shortest: usize,
    /// Hold for every text.
    always: Vec<PredicateId>,
    exact: FxHashMap<Box<str>, u32>,
    prefixes: Affixes,
    suffixes: Affixes,
    within: Needles,
    /// What hangs on the literals: first those of `exact`, then those of each other structure in its order.
    hangings: Lists,
    first_prefix: u32,
    first_suffix: u32,
    first_within: u32,
    /// No literal gives these away; they are checked for every value.
    unanchored: Vec<Hanging>,
    checks: Vec<Check>,
    numbers: Numbers,
    networks: Networks,
    times: Times,
}

/// A predicate that hangs on a literal.
#[derive(Debug, Clone, Copy)]
struct Hanging {
    predicate: PredicateId,
    /// Index of what must still be checked, or [`SURE`].
    check: u32,
}

const SURE: u32 = u32::MAX;

/// What finding a literal leaves open.
#[derive(Debug)]
enum Check {
    /// The folded value has this shape.
    Folded(Shape),
    /// The value as it stands has this shape.
    Cased(Shape),
    /// The regex (index in the plan) finds something.
    Regex(u32),
}

/// What a matcher needs at hand to work, so that a value costs no allocation.
#[derive(Debug)]
pub(crate) struct Work {
    folded: String,
    /// Predicates decided for the value.
    seen: Stamps,
    /// Literals found in the value.
    found: Stamps,
    pub(crate) regexes: Regexes,
    /// Takes note of what is done, when somebody wants to know.
    pub(crate) notes: Option<Box<Notes>>,
}

impl Work {
    /// Space for matchers over this many predicates.
    pub(crate) fn new(predicates: usize, regexes: Arc<[LazyRegex]>) -> Self {
        Self {
            folded: String::new(),
            seen: Stamps::new(predicates),
            found: Stamps::new(0),
            regexes: Regexes::new(regexes),
            notes: None,
        }
    }

    /// Makes space for a matcher.
    pub(crate) fn reserve_for(&mut self, matcher: &Matcher) {
        self.found.grow(matcher.within.count() as usize);
    }
}

impl Matcher {
    /// A matcher for the tests of one field. [`Work::reserve_for`] it before use.
    pub(crate) fn new<'a>(tests: impl IntoIterator<Item = (PredicateId, &'a ValueTest)>) -> Self {
        let mut draft = Draft::default();
        for (predicate, test) in tests {
            draft.add(predicate, test);
        }
        draft.finish()
    }

    /// Appends the predicates that `value` satisfies to `satisfied`, each once, in no order.
    pub(crate) fn satisfied(&self, value: &str, work: &mut Work, satisfied: &mut Vec<PredicateId>) {
        let Work {
            folded,
            seen,
            found,
            regexes,
            notes,
            ..
        } = work;
        seen.clear();
        fold_into(value, folded);
        let folded = folded.as_str();
        let mut visit = |hangings: &[Hanging]| {
            for hanging in hangings {
                if seen.insert(hanging.predicate)
                    && (hanging.check == SURE || {
                        let check = || self.holds(hanging.check, value, folded, regexes);
                        match notes {
                            None => check(),
                            Some(notes) => notes.check(hanging.predicate, check),
                        }
                    })
                {
                    satisfied.push(hanging.predicate);
                }
            }
        };
        if let Some(&literal) = self.exact.get(folded) {
            visit(self.hangings.list(literal));
        }
        if !self.prefixes.is_empty() {
            let found = |index| visit(self.hangings.list(self.first_prefix + index));
            self.prefixes.each_start(folded.bytes(), found);
        }
        if !self.suffixes.is_empty() {
            let found = |index| visit(self.hangings.list(self.first_suffix + index));
            self.suffixes.each_start(folded.bytes().rev(), found);
        }
        let within = |index| visit(self.hangings.list(self.first_within + index));
        self.within.each_within(folded.as_bytes(), found, within);
        visit(&self.unanchored);
        satisfied.extend_from_slice(&self.always);
        if !self.numbers.is_empty() {
            self.numbers
                .each(value, |predicate| satisfied.push(predicate));
        }
        if !self.networks.is_empty() {
            self.networks
                .each(value, |predicate| satisfied.push(predicate));
        }
        if !self.times.is_empty() {
            self.times
                .each(value, |predicate| satisfied.push(predicate));
        }
    }

    fn holds(&self, check: u32, value: &str, folded: &str, regexes: &Regexes) -> bool {
        match self.checks.get(check as usize) {
            Some(Check::Folded(shape)) => shape.matches(folded),
            Some(Check::Cased(shape)) => shape.matches(value),
            Some(Check::Regex(index)) => regexes.is_match(*index, value),
            None => false,
        }
    }

    /// Whether a value of this many bytes is too short to satisfy anything.
    pub(crate) fn is_too_short(&self, bytes: usize) -> bool {
        // Folding may turn two bytes into three, and never more.
        bytes + bytes / 2 < self.shortest
    }

    /// Bytes that looking for literals within values takes.
    pub(crate) fn needle_bytes(&self) -> usize {
        self.within.size()
    }
}

/// Folded literals of which at least one stands in every value that satisfies any of these tests; `None` when a value may do without.
pub(crate) fn needed_literals<'a>(
    tests: impl IntoIterator<Item = (PredicateId, &'a ValueTest)>,
) -> Option<BTreeSet<Vec<u8>>> {
    let mut draft = Draft::default();
    for (predicate, test) in tests {
        draft.add(predicate, test);
    }
    if draft.passes_without_literal() {
        return None;
    }
    let forwards = draft.exact.into_keys().chain(draft.prefixes.into_keys());
    let forwards = forwards.chain(draft.within.into_keys());
    let mut literals: BTreeSet<Vec<u8>> = forwards.map(String::into_bytes).collect();
    literals.extend(draft.suffixes.into_keys().map(|mut backwards| {
        backwards.reverse();
        backwards
    }));
    (!literals.contains([].as_slice())).then_some(literals)
}

/// A matcher in the making.
#[derive(Default)]
struct Draft {
    always: Vec<PredicateId>,
    exact: BTreeMap<String, Vec<Hanging>>,
    prefixes: BTreeMap<String, Vec<Hanging>>,
    /// Written backwards.
    suffixes: BTreeMap<Vec<u8>, Vec<Hanging>>,
    within: BTreeMap<String, Vec<Hanging>>,
    unanchored: Vec<Hanging>,
    checks: Vec<Check>,
    numbers: Vec<(haechi_rules::CompareOp, f64, PredicateId)>,
    networks: Vec<(std::net::IpAddr, u8, PredicateId)>,
    times: Vec<(
        haechi_rules::TimePart,
        haechi_rules::CompareOp,
        f64,
        PredicateId,
    )>,
}

impl Draft {
    fn add(&mut self, predicate: PredicateId, test: &ValueTest) {
        match test {
            ValueTest::Text { pieces, cased } => self.add_text(predicate, pieces, *cased),
            ValueTest::Regex { index, needed } => {
                let hanging = self.checked(predicate, Check::Regex(*index));
                match needed {
                    Some(texts) => texts
                        .iter()
                        .for_each(|text| self.hang_within(text.clone(), hanging)),
                    None => self.unanchored.push(hanging),
                }
            }
            ValueTest::Compare(op, bits) => {
                self.numbers.push((*op, f64::from_bits(*bits), predicate))
            }
            ValueTest::TimePart(part, op, bits) => {
                self.times
                    .push((*part, *op, f64::from_bits(*bits), predicate));
            }
            ValueTest::Cidr(address, length) => self.networks.push((*address, *length, predicate)),
        }
    }

    fn add_text(&mut self, predicate: PredicateId, pieces: &[Piece], cased: bool) {
        let shape = Shape::new(pieces);
        let hanging = match (&shape, cased) {
            (Shape::Any, _) => return self.always.push(predicate),
            (_, true) => self.checked(predicate, Check::Cased(shape.clone())),
            (Shape::Glob(_), false) => self.checked(predicate, Check::Folded(shape.clone())),
            (_, false) => Hanging {
                predicate,
                check: SURE,
            },
        };
        match &shape {
            Shape::Any => {}
            Shape::Exact(literal) => self.exact.entry(fold(literal)).or_default().push(hanging),
            Shape::Prefix(literal) => self
                .prefixes
                .entry(fold(literal))
                .or_default()
                .push(hanging),
            Shape::Suffix(literal) => {
                let backwards = fold(literal).bytes().rev().collect();
                self.suffixes.entry(backwards).or_default().push(hanging);
            }
            Shape::Contains(literal) => self.hang_within(fold(literal), hanging),
            Shape::Glob(_) => match rarest_literal(pieces) {
                Some(literal) => self.hang_within(literal, hanging),
                None => self.unanchored.push(hanging),
            },
        }
    }

    fn checked(&mut self, predicate: PredicateId, check: Check) -> Hanging {
        let index = self.checks.len() as u32;
        self.checks.push(check);
        Hanging {
            predicate,
            check: index,
        }
    }

    fn hang_within(&mut self, literal: String, hanging: Hanging) {
        self.within.entry(literal).or_default().push(hanging);
    }

    /// Whether a value that holds no literal may satisfy something.
    fn passes_without_literal(&self) -> bool {
        !self.always.is_empty()
            || !self.unanchored.is_empty()
            || !self.numbers.is_empty()
            || !self.networks.is_empty()
            || !self.times.is_empty()
    }

    fn finish(self) -> Matcher {
        // A test without a literal may pass on any value, however short.
        let any_length = self.passes_without_literal();
        let mut hangings = Lists::default();
        let lengths: Vec<usize> = self.exact.keys().map(String::len).collect();
        let exact = self
            .exact
            .into_iter()
            .map(|(literal, list)| (literal.into(), hangings.push(&list)))
            .collect();
        let first_prefix = hangings.len();
        self.prefixes.values().for_each(|list| {
            hangings.push(list);
        });
        let first_suffix = hangings.len();
        self.suffixes.values().for_each(|list| {
            hangings.push(list);
        });
        let first_within = hangings.len();
        self.within.values().for_each(|list| {
            hangings.push(list);
        });
        let texts = self
            .prefixes
            .keys()
            .chain(self.within.keys())
            .map(String::len);
        let texts = texts
            .chain(self.suffixes.keys().map(Vec::len))
            .chain(lengths);
        let shortest = if any_length {
            0
        } else {
            texts.min().unwrap_or(usize::MAX)
        };
        Matcher {
            shortest,
            always: self.always,
            exact,
            prefixes: Affixes::from_sorted(self.prefixes.keys().map(String::as_bytes)),
            suffixes: Affixes::from_sorted(self.suffixes.keys().map(Vec::as_slice)),
            within: Needles::new(self.within.keys().map(String::as_bytes)),
            hangings,
            first_prefix,
            first_suffix,
            first_within,
            unanchored: self.unanchored,
            checks: self.checks,
            numbers: Numbers::new(self.numbers),
            networks: Networks::new(self.networks),
            times: Times::new(self.times),
        }
    }
}

/// The literal of a pattern to wait for, if one is long enough for that.
fn rarest_literal(pieces: &[Piece]) -> Option<String> {
    let literals = pieces.iter().filter_map(|piece| match piece {
        Piece::Literal(text) => Some(fold(text)).filter(|text| text.len() > SHORT),
        Piece::AnyChar | Piece::AnyString => None,
    });
    literals.min_by(|a, b| rarity::within(a).total_cmp(&rarity::within(b)))
}

/// Lists one after the other in one piece of memory.
#[derive(Debug, Default)]
struct Lists {
    items: Vec<Hanging>,
    ends: Vec<u32>,
}

impl Lists {
    fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Adds a list; its index.
    fn push(&mut self, list: &[Hanging]) -> u32 {
        self.items.extend_from_slice(list);
        self.ends.push(self.items.len() as u32);
        self.len() - 1
    }

    fn list(&self, index: u32) -> &[Hanging] {
        let end_of = |index: u32| self.ends.get(index as usize).map_or(0, |&end| end as usize);
        let start = index.checked_sub(1).map_or(0, end_of);
        self.items.get(start..end_of(index)).unwrap_or_default()
    }
}
