//! The conditions themselves: of a rule, of one item of its selections, of a field's name.

use regex::Regex;

use crate::codes;
use crate::detection::Test;
use crate::fields::{find, refuse_others, require, similar, text, texts};
use crate::outline::Draft;
use crate::pattern::{Pattern, Piece};
use crate::pipeline::guard::flag;
use crate::pipeline::run::Progress;
use crate::pipeline::text::{literal_of, spelt};
use crate::report::Report;
use crate::rule::{Level, Logsource};
use crate::tree::{Item, Tree, Value};
use crate::yaml::{Entry, Node};

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
    key: String,
    value: String,
    op: Op,
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

const RULE_TYPES: [&str; 9] = [
    "logsource",
    "contains_field",
    "contains_detection_item",
    "processing_item_applied",
    "processing_state",
    "is_sigma_rule",
    "is_sigma_correlation_rule",
    "rule_attribute",
    "tag",
];
const ITEM_TYPES: [&str; 6] = [
    "match_string",
    "match_value",
    "contains_wildcard",
    "is_null",
    "processing_item_applied",
    "processing_state",
];
const NAME_TYPES: [&str; 4] = [
    "include_fields",
    "exclude_fields",
    "processing_item_applied",
    "processing_state",
];

/// The keys of a condition and its type.
fn typed<'n, 'a>(
    node: &'n Node<'a>,
    known: &[&str],
    report: &mut Report<'_>,
) -> Option<(&'n [Entry<'a>], String, &'n Entry<'a>)> {
    let Some(entries) = node.entries() else {
        let message = format!(
            "a condition is a mapping with a `type`, not {}",
            node.kind()
        );
        report.add(&codes::WRONG_TYPE, node.span, message);
        return None;
    };
    let entry = require(entries, "type", node.span, report)?;
    let name = text(entry, report)?;
    if !known.contains(&name.as_str()) {
        let message = format!("there is no condition of type `{name}` here");
        let help = match similar(&name, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        report.advise(
            &codes::UNKNOWN_TRANSFORMATION,
            entry.value.span,
            message,
            help,
        );
        return None;
    }
    Some((entries, name, entry))
}

fn only(entries: &[Entry<'_>], known: &[&str], name: &str, report: &mut Report<'_>) {
    let known: Vec<&str> = ["type"].into_iter().chain(known.iter().copied()).collect();
    refuse_others(entries, &known, &format!("the condition `{name}`"), report);
}

fn wanted(
    entries: &[Entry<'_>],
    key: &str,
    of: &Entry<'_>,
    report: &mut Report<'_>,
) -> Option<String> {
    let entry = require(entries, key, of.value.span, report)?;
    text(entry, report)
}

fn op(entries: &[Entry<'_>], report: &mut Report<'_>) -> Option<Op> {
    let Some(entry) = find(entries, "op") else {
        return Some(Op::Eq);
    };
    Some(match text(entry, report)?.as_str() {
        "eq" => Op::Eq,
        "ne" => Op::Ne,
        "gte" => Op::Gte,
        "gt" => Op::Gt,
        "lte" => Op::Lte,
        "lt" => Op::Lt,
        "in" => Op::In,
        "not_in" => Op::NotIn,
        other => {
            let message = format!(
                "`{other}` does not compare; write one of eq, ne, gte, gt, lte, lt, in, not_in"
            );
            report.add(&codes::BAD_PIPELINE, entry.value.span, message);
            return None;
        }
    })
}

fn state(entries: &[Entry<'_>], of: &Entry<'_>, report: &mut Report<'_>) -> Option<StateTest> {
    only(entries, &["key", "val", "op"], "processing_state", report);
    Some(StateTest {
        key: wanted(entries, "key", of, report)?,
        value: wanted(entries, "val", of, report)?,
        op: op(entries, report)?,
    })
}

fn applied(entries: &[Entry<'_>], of: &Entry<'_>, report: &mut Report<'_>) -> Option<String> {
    only(
        entries,
        &["processing_item_id"],
        "processing_item_applied",
        report,
    );
    wanted(entries, "processing_item_id", of, report)
}

/// Reads a condition of rules.
pub(super) fn rule(node: &Node<'_>, report: &mut Report<'_>) -> Option<RuleTest> {
    let (entries, name, of) = typed(node, &RULE_TYPES, report)?;
    Some(match name.as_str() {
        "logsource" => {
            only(entries, &["category", "product", "service"], &name, report);
            RuleTest::Logsource(logsource(entries, report)?)
        }
        "contains_field" => {
            only(entries, &["field"], &name, report);
            RuleTest::ContainsField(wanted(entries, "field", of, report)?)
        }
        "contains_detection_item" => {
            only(entries, &["field", "value"], &name, report);
            let field = wanted(entries, "field", of, report)?;
            RuleTest::ContainsItem(field, wanted(entries, "value", of, report)?)
        }
        "processing_item_applied" => RuleTest::Applied(applied(entries, of, report)?),
        "processing_state" => RuleTest::State(state(entries, of, report)?),
        "is_sigma_rule" => RuleTest::IsRule,
        "is_sigma_correlation_rule" => RuleTest::IsCorrelation,
        "rule_attribute" => {
            only(entries, &["attribute", "value", "op"], &name, report);
            let attribute = wanted(entries, "attribute", of, report)?;
            let value = wanted(entries, "value", of, report)?;
            RuleTest::Attribute(attribute, op(entries, report)?, value)
        }
        _ => {
            only(entries, &["tag"], &name, report);
            RuleTest::Tag(wanted(entries, "tag", of, report)?.to_lowercase())
        }
    })
}

/// The keys of a logsource, in lower case.
pub(super) fn logsource(entries: &[Entry<'_>], report: &mut Report<'_>) -> Option<Logsource> {
    let mut sound = true;
    let mut key = |name| {
        let entry = find(entries, name).filter(|entry| entry.value.kind() != "null")?;
        let text = text(entry, report);
        sound &= text.is_some();
        text.map(|text| text.to_lowercase())
    };
    let logsource = Logsource {
        product: key("product"),
        category: key("category"),
        service: key("service"),
    };
    sound.then_some(logsource)
}

/// Reads a condition of items.
pub(super) fn item(node: &Node<'_>, report: &mut Report<'_>) -> Option<ItemTest> {
    let (entries, name, of) = typed(node, &ITEM_TYPES, report)?;
    let any = match find(entries, "cond") {
        None => true,
        Some(entry) => match text(entry, report)?.as_str() {
            "any" => true,
            "all" => false,
            other => {
                let message = format!("`cond: {other}` is none of any and all");
                report.add(&codes::BAD_PIPELINE, entry.value.span, message);
                return None;
            }
        },
    };
    Some(match name.as_str() {
        "match_string" => {
            only(entries, &["cond", "pattern", "negate"], &name, report);
            let pattern = require(entries, "pattern", of.value.span, report)?;
            ItemTest::MatchString {
                any,
                pattern: at_start(&text(pattern, report)?, pattern, report)?,
                negate: match find(entries, "negate") {
                    Some(entry) => flag(entry, report)?,
                    None => false,
                },
            }
        }
        "match_value" => {
            only(entries, &["cond", "value"], &name, report);
            let value = wanted(entries, "value", of, report)?;
            ItemTest::MatchValue { any, value }
        }
        "contains_wildcard" => {
            only(entries, &["cond"], &name, report);
            ItemTest::ContainsWildcard { any }
        }
        "is_null" => {
            only(entries, &["cond"], &name, report);
            ItemTest::IsNull { any }
        }
        "processing_item_applied" => ItemTest::Applied(applied(entries, of, report)?),
        _ => ItemTest::State(state(entries, of, report)?),
    })
}

/// Reads a condition of field names.
pub(super) fn name(node: &Node<'_>, report: &mut Report<'_>) -> Option<NameTest> {
    let (entries, name, of) = typed(node, &NAME_TYPES, report)?;
    Some(match name.as_str() {
        "processing_item_applied" => NameTest::Applied(applied(entries, of, report)?),
        "processing_state" => NameTest::State(state(entries, of, report)?),
        _ => {
            only(entries, &["fields", "mode"], &name, report);
            let fields = require(entries, "fields", of.value.span, report)?;
            let mut names: Vec<String> = texts(fields, report)
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            let mut patterns = Vec::new();
            if let Some(mode) = find(entries, "mode") {
                match text(mode, report)?.as_str() {
                    "plain" => {}
                    "re" => {
                        for name in std::mem::take(&mut names) {
                            patterns.push(at_start(&name, fields, report)?);
                        }
                    }
                    other => {
                        let message = format!("`mode: {other}` is none of plain and re");
                        report.add(&codes::BAD_PIPELINE, mode.value.span, message);
                        return None;
                    }
                }
            }
            NameTest::Among {
                names,
                patterns,
                negate: name == "exclude_fields",
            }
        }
    })
}

/// A regular expression that matches from the start of a text, as Python's `re.match` does.
fn at_start(pattern: &str, entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Regex> {
    regex(&format!(r"\A(?:{pattern})"), entry, report)
}

/// A regular expression. Complains about one that does not compile.
pub(super) fn regex(pattern: &str, entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Regex> {
    match regex::RegexBuilder::new(pattern)
        .size_limit(crate::REGEX_SIZE_LIMIT)
        .build()
    {
        Ok(regex) => Some(regex),
        Err(error) => {
            let error = error.to_string();
            let line = error.lines().last().unwrap_or_default();
            let message = format!("the regular expression does not compile: {}", line.trim());
            report.add(&codes::BAD_REGEX, entry.value.span, message);
            None
        }
    }
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
    use crate::scalar::Scalar;
    Some(match node.scalar()? {
        Scalar::Null => Test::Null,
        Scalar::Bool(value) => literal_of(value.to_string()),
        Scalar::Int(number) => literal_of(number),
        Scalar::Float(number) => Test::Compare(crate::detection::CompareOp::Eq, number),
        Scalar::Text(text) => Test::Text(crate::detection::Text {
            pattern: Pattern::parse(text),
            cased: false,
        }),
    })
}
