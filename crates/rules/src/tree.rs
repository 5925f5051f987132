//! A selection between the file and the matcher: modifiers are applied, but items still stand each by itself, so that processing
//! pipelines can change them.

use std::sync::Arc;

use crate::detection::{Expr, FieldTest, Test};
use crate::diagnostic::Span;
use crate::template::Template;

/// A selection, or a part of one.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Item(Item),
}

/// A field and what its value must be; without a field, keywords.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) field: Option<Arc<str>>,
    pub(crate) values: Vec<Value>,
    /// All of the values must match, not any.
    pub(crate) all: bool,
    /// The whole item must not match.
    pub(crate) neq: bool,
    pub(crate) span: Span,
    /// Ids of the processing items that changed it.
    pub(crate) applied: Vec<Arc<str>>,
    /// Whether some processing item has named its field anew.
    pub(crate) mapped: bool,
}

/// One value of an item.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Any of these; several where a modifier makes several of one.
    Tests(Vec<Test>),
    /// Text with placeholders that are still to be filled.
    Template(Template),
}

/// A placeholder that nothing filled.
#[derive(Debug, Clone)]
pub(crate) struct Unfilled {
    pub(crate) name: String,
    pub(crate) span: Span,
}

impl Tree {
    /// How many tests it is made of.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::size).sum(),
            Self::Item(item) => item.values.iter().map(Value::size).sum(),
        }
    }

    /// The expression; none when pipelines have left nothing of it.
    pub(crate) fn lower(&self, unfilled: &mut Vec<Unfilled>) -> Option<Expr> {
        let mut lowered = |parts: &[Self]| -> Vec<Expr> {
            parts
                .iter()
                .filter_map(|part| part.lower(unfilled))
                .collect()
        };
        match self {
            Self::All(parts) => Some(lowered(parts))
                .filter(|parts| !parts.is_empty())
                .map(Expr::all),
            Self::Any(parts) => Some(lowered(parts))
                .filter(|parts| !parts.is_empty())
                .map(Expr::any),
            Self::Item(item) => Some(item.lower(unfilled)),
        }
    }

    /// Calls `visit` with every item.
    pub(crate) fn items(&self, visit: &mut impl FnMut(&Item)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.items(visit));
            }
            Self::Item(item) => visit(item),
        }
    }

    /// Puts what `change` makes of it in place of every item; what it makes nothing of goes, and so does what held only that.
    pub(crate) fn rewrite<E>(
        self,
        change: &mut impl FnMut(Item) -> Result<Option<Self>, E>,
    ) -> Result<Option<Self>, E> {
        let mut all = |parts: Vec<Self>| -> Result<Vec<Self>, E> {
            let mut kept = Vec::with_capacity(parts.len());
            for part in parts {
                kept.extend(part.rewrite(change)?);
            }
            Ok(kept)
        };
        Ok(match self {
            Self::All(parts) => Some(all(parts)?)
                .filter(|kept| !kept.is_empty())
                .map(Self::All),
            Self::Any(parts) => Some(all(parts)?)
                .filter(|kept| !kept.is_empty())
                .map(Self::Any),
            Self::Item(item) => change(item)?,
        })
    }
}

impl Item {
    fn lower(&self, unfilled: &mut Vec<Unfilled>) -> Expr {
        let values: Vec<Expr> = self
            .values
            .iter()
            .map(|value| value.lower(self.field.as_ref(), unfilled))
            .collect();
        let item = if self.all {
            Expr::all(values)
        } else {
            Expr::any(values)
        };
        if self.neq {
            Expr::Not(Box::new(item))
        } else {
            item
        }
    }
}

impl Value {
    /// The expression, as a value of this field or a keyword.
    pub(crate) fn lower(&self, field: Option<&Arc<str>>, unfilled: &mut Vec<Unfilled>) -> Expr {
        let tests = match self {
            Self::Tests(tests) => tests,
            Self::Template(template) => {
                unfilled.extend(template.names().map(|name| Unfilled {
                    name: name.to_owned(),
                    span: template.span,
                }));
                return Expr::Const(false);
            }
        };
        Expr::any(tests.iter().map(|test| match (field, test) {
            (Some(field), test) => Expr::Field(FieldTest {
                field: Arc::clone(field),
                test: test.clone(),
            }),
            (None, Test::Text(text)) => Expr::Keyword(text.clone()),
            // Keywords are read as texts, and no pipeline makes them anything else.
            (None, _) => Expr::Const(false),
        }))
    }

    fn size(&self) -> usize {
        match self {
            Self::Tests(tests) => tests.len(),
            Self::Template(_) => 1,
        }
    }
}
