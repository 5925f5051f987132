//! From a rule's condition to a tree over numbered predicates.

use haechi_rules::{Expr, FieldTest, Test, Text};
use rustc_hash::FxHashMap;
use std::sync::Arc;

use crate::error::CompileErrorReason;
use crate::glob::normal;
use crate::predicate::{FieldId, PredicateId, Predicates, RowTest, RowTestId, ValueTest};

/// The deepest nesting of a condition. Trees are walked recursively.
pub(crate) const MAX_DEPTH: usize = 128;

/// A condition without constants inside, without a chain of equal connectives, and with nothing trivially decidable in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Const(bool),
    Predicate(PredicateId),
    Row(RowTestId),
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Not(Box<Tree>),
    /// 1 < count < the number of trees.
    AtLeast(usize, Vec<Tree>),
}

/// Turns conditions into trees, numbering what they test.
pub(crate) struct Lowering<'a> {
    pub(crate) fields: &'a FxHashMap<Arc<str>, FieldId>,
    /// The pseudo-field of keywords.
    pub(crate) any_value: FieldId,
    pub(crate) predicates: &'a mut Predicates,
    /// The keyword predicates of the conditions lowered, as they come.
    pub(crate) keywords: Vec<PredicateId>,
    /// Whether value tests that are better put off are (see [`ValueTest::put_off`]).
    pub(crate) puts_off: bool,
}

impl Lowering<'_> {
    /// The tree of a condition.
    pub(crate) fn lower(&mut self, condition: &Expr) -> Result<Tree, CompileErrorReason> {
        self.expr(condition, 0)
    }

    fn expr(&mut self, expr: &Expr, depth: usize) -> Result<Tree, CompileErrorReason> {
        if depth > MAX_DEPTH {
            return Err(CompileErrorReason::TooDeep(MAX_DEPTH));
        }
        Ok(match expr {
            Expr::And(parts) => and(self.all(parts, depth)?),
            Expr::Or(parts) => or(self.all(parts, depth)?),
            Expr::Not(inner) => not(self.expr(inner, depth + 1)?),
            Expr::AtLeast(count, parts) => at_least(*count, self.all(parts, depth)?),
            Expr::Field(test) => self.field(test)?,
            Expr::Keyword(text) => {
                let test = text_test(&text.pattern, text.cased);
                let keyword = self.predicates.value(self.any_value, test);
                self.keywords.push(keyword);
                Tree::Predicate(keyword)
            }
            Expr::Const(value) => Tree::Const(*value),
        })
    }

    fn all(&mut self, parts: &[Expr], depth: usize) -> Result<Vec<Tree>, CompileErrorReason> {
        parts
            .iter()
            .map(|part| self.expr(part, depth + 1))
            .collect()
    }

    fn field(&mut self, FieldTest { field, test }: &FieldTest) -> Result<Tree, CompileErrorReason> {
        let id = |name: &str| self.fields.get(name).copied().unwrap_or(self.any_value);
        let field = id(field);
        let value = match test {
            Test::Text(Text { pattern, cased }) => text_test(pattern, *cased),
            Test::Regex(pattern) => self.predicates.regex(pattern),
            Test::Compare(op, number) => ValueTest::Compare(*op, number.to_bits()),
            Test::TimePart(part, op, number) => ValueTest::TimePart(*part, *op, number.to_bits()),
            Test::Cidr(address, length) => ValueTest::Cidr(*address, *length),
            Test::Exists(wanted) => {
                return Ok(self.row(RowTest::Exists {
                    field,
                    wanted: *wanted,
                }));
            }
            Test::Null => return Ok(self.row(RowTest::Null { field })),
            Test::FieldRef {
                other,
                position,
                cased,
            } => {
                let test = RowTest::FieldRef {
                    field,
                    other: id(other),
                    position: *position,
                    cased: *cased,
                };
                return Ok(self.row(test));
            }
        };
        match value.put_off(field).filter(|_| self.puts_off) {
            Some(test) => Ok(self.row(test)),
            None => Ok(Tree::Predicate(self.predicates.value(field, value))),
        }
    }

    fn row(&mut self, test: RowTest) -> Tree {
        Tree::Row(self.predicates.row(test))
    }
}

fn text_test(pattern: &haechi_rules::Pattern, cased: bool) -> ValueTest {
    ValueTest::Text {
        pieces: normal(pattern, cased),
        cased,
    }
}

fn and(parts: Vec<Tree>) -> Tree {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Tree::Const(true) => {}
            Tree::Const(false) => return part,
            Tree::And(inner) => kept.extend(inner),
            _ => kept.push(part),
        }
    }
    only(kept, Tree::And, true)
}

fn or(parts: Vec<Tree>) -> Tree {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Tree::Const(false) => {}
            Tree::Const(true) => return part,
            Tree::Or(inner) => kept.extend(inner),
            _ => kept.push(part),
        }
    }
    only(kept, Tree::Or, false)
}

/// The connective over `parts`, unless there are fewer than two.
fn only(mut parts: Vec<Tree>, connective: fn(Vec<Tree>) -> Tree, empty: bool) -> Tree {
    match parts.len() {
        0 => Tree::Const(empty),
        1 => parts.swap_remove(0),
        _ => connective(parts),
    }
}

fn not(inner: Tree) -> Tree {
    match inner {
        Tree::Const(value) => Tree::Const(!value),
        Tree::Not(twice) => *twice,
        _ => Tree::Not(Box::new(inner)),
    }
}

fn at_least(count: usize, parts: Vec<Tree>) -> Tree {
    let sure = parts
        .iter()
        .filter(|part| **part == Tree::Const(true))
        .count();
    let Some(count) = count.checked_sub(sure).filter(|&count| count > 0) else {
        return Tree::Const(true);
    };
    let parts: Vec<Tree> = parts
        .into_iter()
        .filter(|part| !matches!(part, Tree::Const(_)))
        .collect();
    match parts.len() {
        len if count > len => Tree::Const(false),
        len if count == len => and(parts),
        _ if count == 1 => or(parts),
        _ => Tree::AtLeast(count, parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(expr: &Expr) -> Result<Tree, CompileErrorReason> {
        let mut predicates = Predicates::new(1 << 20);
        let fields = FxHashMap::from_iter([(Arc::from("f"), 0)]);
        Lowering {
            fields: &fields,
            any_value: 1,
            predicates: &mut predicates,
            keywords: Vec::new(),
            puts_off: true,
        }
        .lower(expr)
    }

    fn null() -> Expr {
        Expr::Field(FieldTest {
            field: "f".into(),
            test: Test::Null,
        })
    }

    #[test]
    fn constants_vanish() {
        let (yes, no) = (Expr::Const(true), Expr::Const(false));
        let tree = |expr| lowered(&expr).ok();
        assert_eq!(
            tree(Expr::And(vec![yes.clone(), null()])),
            Some(Tree::Row(0))
        );
        assert_eq!(
            tree(Expr::And(vec![no.clone(), null()])),
            Some(Tree::Const(false))
        );
        assert_eq!(tree(Expr::And(vec![])), Some(Tree::Const(true)));
        assert_eq!(tree(Expr::Or(vec![])), Some(Tree::Const(false)));
        assert_eq!(
            tree(Expr::AtLeast(0, vec![null()])),
            Some(Tree::Const(true))
        );
        assert_eq!(
            tree(Expr::AtLeast(2, vec![null()])),
            Some(Tree::Const(false))
        );
        assert_eq!(
            tree(Expr::AtLeast(2, vec![yes, null(), no])),
            Some(Tree::Row(0))
        );
        assert_eq!(
            tree(Expr::Not(Box::new(Expr::Not(Box::new(null()))))),
            Some(Tree::Row(0))
        );
    }

    #[test]
    fn nesting_has_a_limit() {
        let mut expr = null();
        for _ in 0..MAX_DEPTH {
            expr = Expr::Not(Box::new(expr));
        }
        assert!(lowered(&expr).is_ok());
        let deeper = Expr::Not(Box::new(expr));
        assert!(matches!(
            lowered(&deeper),
            Err(CompileErrorReason::TooDeep(_))
        ));
    }
}
