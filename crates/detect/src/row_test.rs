//! Tests that need a row, not a value.

use haechi_rules::Position;
use memchr::memmem;

use crate::columns::Texts;
use crate::fold::fold_into;
use crate::predicate::{FieldId, RowTest};

/// Space to fold two values in.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    left: String,
    right: String,
}

impl RowTest {
    /// Whether the test holds for a row, given each field's column.
    pub(crate) fn holds(&self, columns: &[Texts<'_>], row: usize, pair: &mut Pair) -> bool {
        let column = |field: FieldId| columns.get(field as usize);
        match self {
            Self::Exists { field, wanted } => {
                column(*field).is_some_and(|column| column.exists(row)) == *wanted
            }
            Self::Null { field } => column(*field).is_none_or(|column| {
                !column.exists(row) || column.values(row).any(|value| value.is_none())
            }),
            Self::FieldRef {
                field,
                other,
                position,
                cased,
            } => {
                let (Some(field), Some(other)) = (column(*field), column(*other)) else {
                    return false;
                };
                field.values(row).flatten().any(|left| {
                    other
                        .values(row)
                        .flatten()
                        .any(|right| matches(left, right, *position, *cased, pair))
                })
            }
        }
    }
}

fn matches(left: &str, right: &str, position: Position, cased: bool, pair: &mut Pair) -> bool {
    if cased {
        return stands(left, right, position);
    }
    // Folding may change the length in bytes, so the lengths tell nothing before it.
    fold_into(left, &mut pair.left);
    fold_into(right, &mut pair.right);
    stands(&pair.left, &pair.right, position)
}

fn stands(left: &str, right: &str, position: Position) -> bool {
    match position {
        Position::Whole => left == right,
        Position::Start => left.starts_with(right),
        Position::End => left.ends_with(right),
        Position::Contains => memmem::find(left.as_bytes(), right.as_bytes()).is_some(),
    }
}
