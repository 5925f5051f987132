//! The distinct questions that rules ask.

use std::hash::Hash;
use std::net::IpAddr;

use haechi_rules::{CompareOp, Piece, Position, TimePart};
use rustc_hash::FxHashMap;

use crate::mandatory::mandatory;
use crate::regexes::LazyRegex;

/// Index of a distinct predicate: one test of the values of one field.
pub(crate) type PredicateId = u32;
/// Index of a field in [`crate::Plan::fields`]; one more than the last is "any value of the event", for keywords.
pub(crate) type FieldId = u32;
/// Index of a distinct test of a row as a whole.
pub(crate) type RowTestId = u32;

/// A test of a single value. A row satisfies the predicate when any value of the field passes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ValueTest {
    /// The text is covered by a normal pattern, folded unless `cased`.
    Text { pieces: Vec<Piece>, cased: bool },
    /// A regex finds something. `index` is its place in the plan; a match holds one of the folded texts `needed`.
    Regex {
        index: u32,
        needed: Option<Vec<String>>,
    },
    /// The value is a number that compares so with this one (the bits of a double).
    Compare(CompareOp, u64),
    /// The value is a date of which this part compares so with this number (the bits of a double).
    TimePart(TimePart, CompareOp, u64),
    /// The value is an address in this network.
    Cidr(IpAddr, u8),
}

/// A text of up to this many bytes stands in too many values to be worth finding in each.
pub(crate) const SHORT: usize = 3;

impl ValueTest {
    /// The test of a row that says the same of `field`, when the test is better put off until a rule asks: to look for a
    /// short text in every value finds it often for little use, and a regex without a literal would run on every value.
    pub(crate) fn put_off(&self, field: FieldId) -> Option<RowTest> {
        match self {
            Self::Text {
                pieces,
                cased: false,
            } => match pieces.as_slice() {
                [Piece::AnyString, Piece::Literal(text), Piece::AnyString]
                    if text.len() <= SHORT =>
                {
                    Some(RowTest::Contains {
                        field,
                        text: text.as_str().into(),
                    })
                }
                _ => None,
            },
            Self::Regex {
                index,
                needed: None,
            } => Some(RowTest::Regex {
                field,
                index: *index,
            }),
            _ => None,
        }
    }
}

/// A test of a row as a whole, decided only when a rule that is looked at asks. Either it has no value to hang on, as it also speaks of
/// absent fields or of two fields at once; or it is a value test too dear, or too often satisfied, to be decided for every
/// value, in a rule that has rarer things to wait for (see [`ValueTest::put_off`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RowTest {
    /// The field is there, or is not.
    Exists { field: FieldId, wanted: bool },
    /// The field is absent or has a null.
    Null { field: FieldId },
    /// The folded text stands in a value of the field.
    Contains { field: FieldId, text: Box<str> },
    /// The regex with this index finds something in a value of the field.
    Regex { field: FieldId, index: u32 },
    /// A value of `field` holds a value of `other`.
    FieldRef {
        field: FieldId,
        other: FieldId,
        position: Position,
        cased: bool,
    },
}

/// All distinct predicates, row tests and regexes of a plan in the making.
#[derive(Debug)]
pub(crate) struct Predicates {
    /// What a regex may take to work, in bytes.
    regex_bytes: usize,
    values: Numbered<(FieldId, ValueTest)>,
    rows: Numbered<RowTest>,
    regex_tests: FxHashMap<String, ValueTest>,
    regexes: Vec<LazyRegex>,
}

impl Predicates {
    /// None yet. A regex may take `regex_bytes` to work, in each thread.
    pub(crate) fn new(regex_bytes: usize) -> Self {
        Self {
            regex_bytes,
            values: Numbered::default(),
            rows: Numbered::default(),
            regex_tests: FxHashMap::default(),
            regexes: Vec::new(),
        }
    }

    /// The id of a test of the values of `field`.
    pub(crate) fn value(&mut self, field: FieldId, test: ValueTest) -> PredicateId {
        self.values.number((field, test))
    }

    /// The id of a test of a row.
    pub(crate) fn row(&mut self, test: RowTest) -> RowTestId {
        self.rows.number(test)
    }

    /// The test for a regex, the same one however many fields and rules use it.
    pub(crate) fn regex(&mut self, pattern: &str) -> ValueTest {
        if let Some(test) = self.regex_tests.get(pattern) {
            return test.clone();
        }
        let regex = LazyRegex::new(pattern, self.regex_bytes);
        let test = ValueTest::Regex {
            index: self.regexes.len() as u32,
            needed: mandatory(pattern),
        };
        self.regexes.push(regex);
        self.regex_tests.insert(pattern.to_owned(), test.clone());
        test
    }

    /// Every value test with its field, in the order of their ids.
    pub(crate) fn value_tests(&self) -> &[(FieldId, ValueTest)] {
        &self.values.list
    }

    /// The row tests and the regexes, in the order of their ids.
    pub(crate) fn into_rows_and_regexes(self) -> (Vec<RowTest>, Vec<LazyRegex>) {
        (self.rows.list, self.regexes)
    }
}

/// Distinct things and their numbers.
#[derive(Debug)]
struct Numbered<T> {
    ids: FxHashMap<T, u32>,
    list: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            ids: FxHashMap::default(),
            list: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Numbered<T> {
    fn number(&mut self, thing: T) -> u32 {
        if let Some(&id) = self.ids.get(&thing) {
            return id;
        }
        let id = self.list.len() as u32;
        self.list.push(thing.clone());
        self.ids.insert(thing, id);
        id
    }
}
