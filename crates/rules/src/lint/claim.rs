//! What selections say of each other: one follows from another, or excludes it.
//!
//! Everything here is on the safe side: what is answered is certain, and what is not certain is denied.

use std::sync::Arc;

use super::text::Shape;
use crate::detection::{CompareOp, Expr, FieldTest, Test};
use crate::rule::Logsource;

/// Most tests of a claim that is compared with others; beyond, nothing is said of it.
const MOST: usize = 400;

/// A selection's expression, ready to be compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Claim {
    All(Vec<Claim>),
    Any(Vec<Claim>),
    Not(Box<Claim>),
    Field(Leaf),
    Keyword(Shape),
    Const(bool),
    /// Nothing is known of it.
    Opaque,
}

/// A test of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    field: Arc<str>,
    /// Whether the field holds one value at most.
    single: bool,
    want: Want,
}

#[derive(Debug, Clone, PartialEq)]
enum Want {
    Text(Shape),
    Compare(CompareOp, f64),
    Exists(bool),
    Null,
    Other(Test),
}

impl Claim {
    /// What an expression claims of events of a logsource.
    pub(super) fn of(expr: &Expr, logsource: &Logsource) -> Self {
        if expr.size() > MOST {
            return Self::Opaque;
        }
        let all = |parts: &[Expr]| parts.iter().map(|part| Self::of(part, logsource)).collect();
        match expr {
            Expr::And(parts) => Self::All(all(parts)),
            Expr::Or(parts) => Self::Any(all(parts)),
            Expr::Not(inner) => Self::Not(Box::new(Self::of(inner, logsource))),
            Expr::Field(test) => Self::Field(Leaf::of(test, logsource)),
            Expr::Keyword(text) => Self::Keyword(Shape::of(text)),
            Expr::Const(value) => Self::Const(*value),
            Expr::AtLeast(..) => Self::Opaque,
        }
    }

    /// Whether no event can satisfy it.
    pub(super) fn is_impossible(&self) -> bool {
        match self {
            Self::Const(value) => !value,
            Self::Any(parts) => parts.iter().all(Self::is_impossible),
            Self::All(parts) => {
                self.contradiction().is_some() || parts.iter().any(Self::is_impossible)
            }
            Self::Not(_) | Self::Field(_) | Self::Keyword(_) | Self::Opaque => false,
        }
    }

    /// Two parts of which an event cannot satisfy both.
    pub(super) fn contradiction(&self) -> Option<(usize, usize)> {
        let Self::All(parts) = self else {
            return None;
        };
        let pairs = parts.iter().enumerate();
        pairs.into_iter().find_map(|(i, a)| {
            let mut later = parts.iter().enumerate().skip(i + 1);
            later.find(|(_, b)| a.excludes(b)).map(|(j, _)| (i, j))
        })
    }

    /// Whether every event that satisfies it is certain to satisfy the other.
    pub(super) fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Opaque, _) | (_, Self::Opaque) => false,
            (Self::Const(false), _) | (_, Self::Const(true)) => true,
            (_, Self::All(parts)) => parts.iter().all(|part| self.implies(part)),
            (Self::Any(parts), _) => parts.iter().all(|part| part.implies(other)),
            (_, Self::Any(parts)) if parts.iter().any(|part| self.implies(part)) => true,
            (Self::All(parts), _) => parts.iter().any(|part| part.implies(other)),
            (Self::Not(a), Self::Not(b)) => b.implies(a),
            (_, Self::Not(b)) => self.excludes(b),
            (Self::Field(a), Self::Field(b)) => a.implies(b),
            (Self::Keyword(a), Self::Keyword(b)) => a.implies(b),
            _ => false,
        }
    }

    /// Whether no event can satisfy both.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Opaque, _) | (_, Self::Opaque) => false,
            (Self::Const(false), _) | (_, Self::Const(false)) => true,
            (Self::Any(parts), _) => parts.iter().all(|part| part.excludes(other)),
            (_, Self::Any(parts)) => parts.iter().all(|part| self.excludes(part)),
            (Self::All(parts), _) => parts.iter().any(|part| part.excludes(other)),
            (_, Self::All(parts)) => parts.iter().any(|part| self.excludes(part)),
            (Self::Not(_), Self::Not(_)) => false,
            (Self::Not(a), _) => other.implies(a),
            (_, Self::Not(b)) => self.implies(b),
            (Self::Field(a), Self::Field(b)) => a.excludes(b),
            _ => false,
        }
    }
}

impl Leaf {
    fn of(test: &FieldTest, logsource: &Logsource) -> Self {
        // The data of a Windows event have one value each, but for those without a name.
        let windows = logsource.product.as_deref() == Some("windows");
        Self {
            field: Arc::clone(&test.field),
            single: windows && &*test.field != "Data",
            want: match &test.test {
                Test::Text(text) => Want::Text(Shape::of(text)),
                Test::Compare(op, number) => Want::Compare(*op, *number),
                Test::Exists(wanted) => Want::Exists(*wanted),
                Test::Null => Want::Null,
                other => Want::Other(other.clone()),
            },
        }
    }

    fn implies(&self, other: &Self) -> bool {
        if self.field != other.field {
            return false;
        }
        match (&self.want, &other.want) {
            (Want::Text(a), Want::Text(b)) => a.implies(b),
            (Want::Text(_) | Want::Compare(..) | Want::Other(_), Want::Exists(true)) => true,
            (Want::Exists(false), Want::Null) => true,
            (a, b) => a == b,
        }
    }

    fn excludes(&self, other: &Self) -> bool {
        if self.field != other.field {
            return false;
        }
        match (&self.want, &other.want) {
            (Want::Exists(a), Want::Exists(b)) => a != b,
            (Want::Exists(false), Want::Text(_) | Want::Compare(..) | Want::Other(_))
            | (Want::Text(_) | Want::Compare(..) | Want::Other(_), Want::Exists(false)) => true,
            (Want::Text(a), Want::Text(b)) => self.single && a.excludes(b),
            (Want::Null, Want::Text(_) | Want::Compare(..))
            | (Want::Text(_) | Want::Compare(..), Want::Null) => self.single,
            (Want::Compare(a, x), Want::Compare(b, y)) => {
                self.single && (apart((*a, *x), (*b, *y)) || apart((*b, *y), (*a, *x)))
            }
            _ => false,
        }
    }
}

/// Whether the first says "below" and the second "above", with nothing between.
fn apart((below, x): (CompareOp, f64), (above, y): (CompareOp, f64)) -> bool {
    match (below, above) {
        (CompareOp::Lte, CompareOp::Gte) => x < y,
        (CompareOp::Lt | CompareOp::Lte, CompareOp::Gt | CompareOp::Gte) => x <= y,
        _ => false,
    }
}
