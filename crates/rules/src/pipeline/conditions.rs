//! Reading the conditions of processing items.

use regex::Regex;

use crate::codes;
use crate::fields::{find, refuse_others, require, similar, text, texts};
use crate::pipeline::guard::flag;
use crate::pipeline::test::{ItemTest, NameTest, Op, RuleTest, StateTest};
use crate::report::Report;
use crate::rule::Logsource;
use crate::yaml::{Entry, Node};

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
