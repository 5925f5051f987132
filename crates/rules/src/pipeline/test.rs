//! The conditions themselves: of a rule, of one item of its selections, of a field's name.

use regex::Regex;

use crate::detection::{CompareOp, Test, Text};
use crate::outline::Draft;
use crate::pattern::{Pattern, Piece};
use crate::pipeline::run::Progress;
use crate::pipeline::text::{literal_of, spelt};
use crate::rule::{Level, Logsource};
use crate::scalar::Scalar;
use crate::tree::{Item, Tree, Value};
use crate::yaml::Node;

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Gte,
    Gt,
    Lte,
    Lt,
    In,
    NotIn,
}

/// What a processing item wants to have been set.
#[derive(Debug, Clone)]
pub(super) struct StateTest {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) op: Op,
}

/// A condition of a rule.
#[derive(Debug, Clone)]
pub(super) enum RuleTest {
    Logsource(Logsource),
    ContainsField(String),
    ContainsItem(String, String),
    Applied(String),
    State(StateTest),
    IsRule,
    IsCorrelation,
    Attribute(String, Op, String),
    Tag(String),
}

/// A condition of an item.
#[derive(Debug, Clone)]
pub(super) enum ItemTest {
    MatchString {
        any: bool,
        pattern: Regex,
        negate: bool,
    },
    MatchValue {
        any: bool,
        value: String,
    },
    ContainsWildcard {
        any: bool,
    },
    IsNull {
        any: bool,
    },
    Applied(String),
    State(StateTest),
}

/// A condition of a field's name.
#[derive(Debug, Clone)]
pub(super) enum NameTest {
    Among {
        names: Vec<String>,
        patterns: Vec<Regex>,
        negate: bool,
    },
    Applied(String),
    State(StateTest),
}

impl Op {
    fn compare(self, left: &str, right: &str) -> bool {
        let order = match (left.parse::<f64>(), right.parse::<f64>()) {
            (Ok(left), Ok(right)) => left.partial_cmp(&right),
            _ => Some(left.cmp(right)),
        };
        self.allows(order)
    }

    fn allows(self, order: Option<std::cmp::Ordering>) -> bool {
        order.is_some_and(|order| match self {
            Self::Eq | Self::In => order.is_eq(),
            Self::Ne | Self::NotIn => order.is_ne(),
            Self::Gte => order.is_ge(),
            Self::Gt => order.is_gt(),
            Self::Lte => order.is_le(),
            Self::Lt => order.is_lt(),
        })
    }
}

impl StateTest {
    fn holds(&self, progress: &Progress) -> bool {
        progress
            .state
            .get(&self.key)
            .is_some_and(|value| self.op.compare(value, &self.value))
    }
}

impl RuleTest {
    /// Whether it holds of a rule; `correlation` where it is asked on behalf of a correlation that counts the rule.
    pub(super) fn holds(&self, draft: &Draft, progress: &Progress, correlation: bool) -> bool {
        let any_item = |fits: &dyn Fn(&Item) -> bool| {
            let mut found = false;
            let look = |tree: &Tree| tree.items(&mut |item| found |= fits(item));
            draft.outline.selections.iter().for_each(look);
            found
        };
        match self {
            Self::Logsource(wanted) => wanted.covers(&draft.logsource),
            Self::ContainsField(name) => any_item(&|item| item.field.as_deref() == Some(name)),
            Self::ContainsItem(name, value) => any_item(&|item| {
                item.field.as_deref() == Some(name)
                    && item.tests().any(|test| is_value(test, value))
            }),
            Self::Applied(id) => progress.applied.iter().any(|known| **known == **id),
            Self::State(state) => state.holds(progress),
            Self::IsRule => !correlation,
            Self::IsCorrelation => correlation,
            Self::Attribute(name, op, value) => attribute(draft, name, *op, value),
            Self::Tag(tag) => draft
                .header
                .tags
                .iter()
                .any(|known| known.eq_ignore_ascii_case(tag)),
        }
    }
}

fn attribute(draft: &Draft, name: &str, op: Op, value: &str) -> bool {
    const STATUSES: [&str; 5] = [
        "unsupported",
        "deprecated",
        "experimental",
        "test",
        "stable",
    ];
    let header = &draft.header;
    let list = match name {
        "tags" => &header.tags,
        "references" => &header.references,
        "falsepositives" => &header.falsepositives,
        _ => {
            let rank = |name: &str, names: &[&str]| names.iter().position(|known| *known == name);
            let levels = Level::ALL.map(Level::as_str);
            return match (name, draft.attributes.get(name)) {
                ("level", _) => {
                    op.allows(rank(&value.to_lowercase(), &levels).and_then(|value| {
                        rank(header.level.as_str(), &levels)?.partial_cmp(&value)
                    }))
                }
                ("status", Some(status)) => op.allows(
                    rank(&value.to_lowercase(), &STATUSES)
                        .and_then(|value| rank(status, &STATUSES)?.partial_cmp(&value)),
                ),
                ("date" | "modified", Some(date)) => {
                    op.compare(&date.replace('/', "-"), &value.replace('/', "-"))
                }
                (_, Some(known)) => op.compare(known, value),
                (_, None) => false,
            };
        }
    };
    match op {
        Op::In => list.iter().any(|known| known == value),
        Op::NotIn => !list.iter().any(|known| known == value),
        Op::Ne => true,
        _ => false,
    }
}

impl Item {
    fn tests(&self) -> impl Iterator<Item = &Test> {
        self.values.iter().flat_map(|value| match value {
            Value::Tests(tests) => tests.as_slice(),
            Value::Template(_) => &[],
        })
    }
}

fn is_value(test: &Test, value: &str) -> bool {
    match test {
        Test::Text(text) => text.pattern == Pattern::parse(value),
        Test::Compare(_, number) => value.parse() == Ok(*number),
        Test::Exists(wanted) => value.parse() == Ok(*wanted),
        Test::Null => value == "null",
        _ => false,
    }
}

impl ItemTest {
    pub(super) fn holds(&self, item: &Item, progress: &Progress) -> bool {
        let values = |any: bool, fits: &dyn Fn(&Test) -> bool| {
            if any {
                item.tests().any(fits)
            } else {
                item.tests().next().is_some() && item.tests().all(fits)
            }
        };
        match self {
            Self::MatchString {
                any,
                pattern,
                negate,
            } => {
                let fits = |test: &Test| matches!(test, Test::Text(text) if pattern.is_match(&spelt(&text.pattern)));
                values(*any, &fits) != *negate
            }
            Self::MatchValue { any, value } => values(*any, &|test| is_value(test, value)),
            Self::ContainsWildcard { any } => values(*any, &|test| match test {
                Test::Text(text) => text
                    .pattern
                    .pieces
                    .iter()
                    .any(|piece| !matches!(piece, Piece::Literal(_))),
                _ => false,
            }),
            Self::IsNull { any } => values(*any, &|test| matches!(test, Test::Null)),
            Self::Applied(id) => item.applied.iter().any(|known| **known == **id),
            Self::State(state) => state.holds(progress),
        }
    }
}

impl NameTest {
    pub(super) fn holds(&self, field: Option<&str>, progress: &Progress) -> bool {
        match self {
            Self::Among {
                names,
                patterns,
                negate,
            } => {
                let among = field.is_some_and(|field| {
                    names.iter().any(|name| name == field)
                        || patterns.iter().any(|pattern| pattern.is_match(field))
                });
                among != *negate
            }
            Self::Applied(id) => field.is_some_and(|field| progress.named(field, id)),
            Self::State(state) => state.holds(progress),
        }
    }
}

/// The value that a scalar of a pipeline stands for.
pub(super) fn test_of(node: &Node<'_>) -> Option<Test> {
    Some(match node.scalar()? {
        Scalar::Null => Test::Null,
        Scalar::Bool(value) => literal_of(value.to_string()),
        Scalar::Int(number) => literal_of(number),
        Scalar::Float(number) => Test::Compare(CompareOp::Eq, number),
        Scalar::Text(text) => Test::Text(Text {
            pattern: Pattern::parse(text),
            cased: false,
        }),
    })
}
