//! Conditions of a processing item, and how they are joined.

use crate::codes;
use crate::condition::{self, Condition};
use crate::fields::{find, text, wrong_type};
use crate::report::Report;
use crate::scalar::Scalar;
use crate::yaml::{Data, Entry, Node};

/// Tests, joined. Without tests it holds.
#[derive(Debug, Clone)]
pub(super) struct Guard<T> {
    tests: Vec<T>,
    logic: Logic,
    negate: bool,
}

#[derive(Debug, Clone)]
enum Logic {
    All,
    Any,
    Expression(Formula),
}

/// An expression over tests, by their index.
#[derive(Debug, Clone)]
enum Formula {
    And(Vec<Formula>),
    Or(Vec<Formula>),
    Not(Box<Formula>),
    Test(usize),
}

/// The keys of one kind of conditions.
pub(super) struct Keys {
    pub(super) conditions: &'static str,
    pub(super) op: &'static str,
    pub(super) not: &'static str,
    pub(super) expression: &'static str,
}

pub(super) const RULE: Keys = Keys {
    conditions: "rule_conditions",
    op: "rule_cond_op",
    not: "rule_cond_not",
    expression: "rule_cond_expression",
};
pub(super) const ITEM: Keys = Keys {
    conditions: "detection_item_conditions",
    op: "detection_item_cond_op",
    not: "detection_item_cond_not",
    expression: "detection_item_cond_expression",
};
pub(super) const FIELD: Keys = Keys {
    conditions: "field_name_conditions",
    op: "field_name_cond_op",
    not: "field_name_cond_not",
    expression: "field_name_cond_expression",
};

impl<T> Guard<T> {
    /// Reads the conditions of a processing item; `test` reads one of them.
    pub(super) fn read(
        entries: &[Entry<'_>],
        keys: &Keys,
        report: &mut Report<'_>,
        mut test: impl FnMut(&Node<'_>, &mut Report<'_>) -> Option<T>,
    ) -> Option<Self> {
        let (mut names, mut tests) = (Vec::new(), Vec::new());
        let mut sound = true;
        let mut take = |node: &Node<'_>, report: &mut Report<'_>| match test(node, report) {
            Some(test) => tests.push(test),
            None => sound = false,
        };
        match find(entries, keys.conditions) {
            None => {}
            Some(entry) => match &entry.value.data {
                Data::List(nodes) => nodes.iter().for_each(|node| take(node, report)),
                Data::Map(named) => {
                    for entry in named {
                        names.push(entry.key.to_string());
                        take(&entry.value, report);
                    }
                }
                Data::Scalar(..) => {
                    wrong_type(
                        entry,
                        "a list of conditions, or a mapping of names to conditions",
                        report,
                    );
                    return None;
                }
            },
        }
        let logic = match (find(entries, keys.op), find(entries, keys.expression)) {
            (Some(op), Some(_)) => {
                let message = format!(
                    "`{}` and `{}` say two different things about how conditions are joined",
                    keys.op, keys.expression
                );
                report.advise(
                    &codes::BAD_PIPELINE,
                    op.key_span,
                    message,
                    "keep one of them",
                );
                return None;
            }
            (Some(op), None) => joined(op, report)?,
            (None, Some(entry)) => Logic::Expression(formula(entry, &names, report)?),
            (None, None) => Logic::All,
        };
        let negate = match find(entries, keys.not) {
            Some(entry) => flag(entry, report)?,
            None => false,
        };
        sound.then_some(Self {
            tests,
            logic,
            negate,
        })
    }

    /// Whether it holds, where `holds` says so of a test.
    pub(super) fn holds(&self, holds: impl Fn(&T) -> bool) -> bool {
        if self.tests.is_empty() {
            return true;
        }
        let joined = match &self.logic {
            Logic::All => self.tests.iter().all(holds),
            Logic::Any => self.tests.iter().any(holds),
            Logic::Expression(formula) => {
                formula.holds(&|index| self.tests.get(index).is_some_and(&holds))
            }
        };
        joined != self.negate
    }
}

impl Formula {
    fn holds(&self, test: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(test)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(test)),
            Self::Not(inner) => !inner.holds(test),
            Self::Test(index) => test(*index),
        }
    }

    /// A condition, its names looked up; or the name that is not known.
    fn of(condition: &Condition, names: &[String]) -> Result<Self, String> {
        let all = |parts: &[Condition]| -> Result<Vec<Self>, String> {
            parts.iter().map(|part| Self::of(part, names)).collect()
        };
        Ok(match condition {
            Condition::And(parts) => Self::And(all(parts)?),
            Condition::Or(parts) => Self::Or(all(parts)?),
            Condition::Not(inner) => Self::Not(Box::new(Self::of(inner, names)?)),
            Condition::Name(name) | Condition::Of(_, name) => {
                let index = names.iter().position(|known| *known == name.text);
                Self::Test(index.ok_or_else(|| name.text.clone())?)
            }
        })
    }
}

fn joined(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Logic> {
    match text(entry, report)?.as_str() {
        "and" => Some(Logic::All),
        "or" => Some(Logic::Any),
        other => {
            let message = format!("`{}: {other}` joins nothing; write and or or", entry.key);
            report.add(&codes::BAD_PIPELINE, entry.value.span, message);
            None
        }
    }
}

fn formula(entry: &Entry<'_>, names: &[String], report: &mut Report<'_>) -> Option<Formula> {
    let text = text(entry, report)?;
    let refuse = |message: String, report: &mut Report<'_>| {
        let help = format!(
            "conditions that an expression joins have names: {}",
            match names {
                [] => "write them as a mapping of names to conditions".to_owned(),
                _ => names.join(", "),
            }
        );
        report.advise(&codes::BAD_PIPELINE, entry.value.span, message, help);
        None
    };
    match condition::parse(&text) {
        Err(error) => refuse(error.message, report),
        Ok(condition) => match Formula::of(&condition, names) {
            Ok(formula) => Some(formula),
            Err(name) => refuse(format!("there is no condition `{name}`"), report),
        },
    }
}

/// True or false.
pub(super) fn flag(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<bool> {
    match entry.value.scalar() {
        Some(Scalar::Bool(value)) => Some(value),
        _ => {
            wrong_type(entry, "true or false", report);
            None
        }
    }
}
