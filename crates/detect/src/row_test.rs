//! Deciding tests of rows.

use haechi_rules::Position;
use memchr::memmem;

use crate::columns::Texts;
use crate::fold::fold_into;
use crate::predicate::{FieldId, RowTest, RowTestId};
use crate::regexes::Regexes;
use crate::stamps::Stamps;

/// Decides tests of rows, each at most once per row.
#[derive(Debug)]
pub(crate) struct RowTests {
    decided: Stamps,
    holding: Stamps,
    folded: Pair,
}

/// Space to fold two values in.
#[derive(Debug, Default)]
struct Pair {
    left: String,
    right: String,
}

/// A row of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'b> {
    pub(crate) columns: &'b [Texts<'b>],
    pub(crate) row: usize,
    pub(crate) regexes: &'b Regexes,
}

impl RowTests {
    /// Space to decide this many tests.
    pub(crate) fn new(tests: usize) -> Self {
        Self {
            decided: Stamps::new(tests),
            holding: Stamps::new(tests),
            folded: Pair::default(),
        }
    }

    /// Begins another row.
    pub(crate) fn begin(&mut self) {
        self.decided.clear();
        self.holding.clear();
    }

    /// Whether a test, the one with this id, holds for the row.
    pub(crate) fn holds(&mut self, id: RowTestId, test: &RowTest, row: Row<'_>) -> bool {
        if self.decided.insert(id) && test.holds(row, &mut self.folded) {
            self.holding.insert(id);
        }
        self.holding.contains(id)
    }
}

impl RowTest {
    fn holds(&self, row: Row<'_>, folded: &mut Pair) -> bool {
        match self {
            Self::Exists { field, wanted } => row.exists(*field) == *wanted,
            Self::Null { field } => {
                !row.exists(*field) || row.all(*field).any(|value| value.is_none())
            }
            Self::Contains { field, text } => row.values(*field).any(|value| {
                fold_into(value, &mut folded.left);
                memmem::find(folded.left.as_bytes(), text.as_bytes()).is_some()
            }),
            Self::Regex { field, index } => {
                let mut values = row.values(*field);
                values.any(|value| row.regexes.is_match(*index, value))
            }
            Self::FieldRef {
                field,
                other,
                position,
                cased,
            } => row.values(*field).any(|left| {
                let mut others = row.values(*other);
                others.any(|right| matches(left, right, *position, *cased, folded))
            }),
        }
    }
}

impl<'b> Row<'b> {
    fn exists(&self, field: FieldId) -> bool {
        let column = self.columns.get(field as usize);
        column.is_some_and(|column| column.exists(self.row))
    }

    /// The values of a field, nulls among them.
    fn all(&self, field: FieldId) -> impl Iterator<Item = Option<&'b str>> + use<'b> {
        let row = self.row;
        let column = self.columns.get(field as usize);
        column.into_iter().flat_map(move |column| column.row(row))
    }

    fn values(&self, field: FieldId) -> impl Iterator<Item = &'b str> + use<'b> {
        self.all(field).flatten()
    }
}

fn matches(left: &str, right: &str, position: Position, cased: bool, folded: &mut Pair) -> bool {
    if cased {
        return stands(left, right, position);
    }
    // Folding may change the length in bytes, so the lengths tell nothing before it.
    fold_into(left, &mut folded.left);
    fold_into(right, &mut folded.right);
    stands(&folded.left, &folded.right, position)
}

fn stands(left: &str, right: &str, position: Position) -> bool {
    match position {
        Position::Whole => left == right,
        Position::Start => left.starts_with(right),
        Position::End => left.ends_with(right),
        Position::Contains => memmem::find(left.as_bytes(), right.as_bytes()).is_some(),
    }
}
