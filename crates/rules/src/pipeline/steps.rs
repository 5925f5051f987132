//! Reading the transformations of a pipeline.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::codes;
use crate::fields::{find, mapping, refuse_others, require, similar, text, texts};
use crate::pipeline::action::{Action, Fill, Step};
use crate::pipeline::guard::{self, Guard, flag};
use crate::pipeline::rename::{Function, Names, Rename};
use crate::pipeline::text::literal_of;
use crate::pipeline::values::{Case, Change, Hashes, Kind, Letters};
use crate::pipeline::{conditions, test};
use crate::report::Report;
use crate::selection;
use crate::yaml::{Entry, Node};

/// Deepest nesting of `nest`.
const MAX_NESTED: usize = 16;

/// What every processing item may have.
const COMMON: [&str; 14] = [
    "id",
    "type",
    "rule_conditions",
    "rule_cond_op",
    "rule_cond_not",
    "rule_cond_expression",
    "detection_item_conditions",
    "detection_item_cond_op",
    "detection_item_cond_not",
    "detection_item_cond_expression",
    "field_name_conditions",
    "field_name_cond_op",
    "field_name_cond_not",
    "field_name_cond_expression",
];

/// Every transformation, and the keys that it has of its own.
const TYPES: [(&str, &[&str]); 27] = [
    ("field_name_mapping", &["mapping"]),
    ("field_name_prefix_mapping", &["mapping"]),
    ("field_name_prefix", &["prefix"]),
    ("field_name_suffix", &["suffix"]),
    ("field_name_transform", &["transform_func", "mapping"]),
    ("drop_detection_item", &[]),
    (
        "hashes_fields",
        &["valid_hash_algos", "field_prefix", "drop_algo_prefix"],
    ),
    ("wildcard_placeholders", &["include", "exclude"]),
    ("value_placeholders", &["include", "exclude"]),
    (
        "query_expression_placeholders",
        &["include", "exclude", "expression", "mapping"],
    ),
    (
        "add_condition",
        &["conditions", "name", "template", "negated"],
    ),
    ("change_logsource", &["category", "product", "service"]),
    ("add_field", &["field"]),
    ("remove_field", &["field"]),
    ("set_field", &["fields"]),
    (
        "replace_string",
        &["regex", "replacement", "skip_special", "interpret_special"],
    ),
    ("map_string", &["mapping"]),
    ("set_state", &["key", "val"]),
    ("regex", &["method"]),
    ("set_value", &["value", "force_type"]),
    ("convert_type", &["target_type"]),
    ("rule_failure", &["message"]),
    ("detection_item_failure", &["message"]),
    ("strict_field_mapping_failure", &[]),
    ("set_custom_attribute", &["attribute", "value"]),
    ("case", &["method"]),
    ("nest", &["items"]),
];

/// Reads processing items, `depth` levels inside `nest`. Complains about everything wrong in them.
pub(super) fn steps(nodes: &[Node<'_>], depth: usize, report: &mut Report<'_>) -> Vec<Step> {
    nodes
        .iter()
        .filter_map(|node| step(node, depth, report))
        .collect()
}

fn step(node: &Node<'_>, depth: usize, report: &mut Report<'_>) -> Option<Step> {
    let Some(entries) = node.entries() else {
        let message = format!(
            "a transformation is a mapping with a `type`, not {}",
            node.kind()
        );
        report.add(&codes::WRONG_TYPE, node.span, message);
        return None;
    };
    let kind = require(entries, "type", node.span, report)?;
    let name = text(kind, report)?;
    let Some((_, own)) = TYPES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        let message = format!("there is no transformation of type `{name}`");
        let help = match similar(&name, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        report.advise(
            &codes::UNKNOWN_TRANSFORMATION,
            kind.value.span,
            message,
            help,
        );
        return None;
    };
    let known: Vec<&str> = COMMON.iter().chain(own.iter()).copied().collect();
    refuse_others(entries, &known, &format!("`{name}`"), report);
    // All is read before any is judged, so that every mistake is reported at once.
    let rule = Guard::read(entries, &guard::RULE, report, conditions::rule);
    let item = Guard::read(entries, &guard::ITEM, report, conditions::item);
    let names = Guard::read(entries, &guard::FIELD, report, conditions::name);
    let action = Args {
        entries,
        kind,
        name: &name,
    }
    .action(depth, report);
    let id = match find(entries, "id") {
        Some(entry) => Some(text(entry, report)?.into()),
        None => None,
    };
    Some(Step {
        id,
        file: Arc::<Path>::clone(&report.file),
        span: kind.value.span,
        rule: rule?,
        item: item?,
        name: names?,
        action: action?,
    })
}

/// What a transformation is told.
struct Args<'n, 'a> {
    entries: &'n [Entry<'a>],
    kind: &'n Entry<'a>,
    name: &'n str,
}

impl Args<'_, '_> {
    fn action(&self, depth: usize, report: &mut Report<'_>) -> Option<Action> {
        Some(match self.name {
            "field_name_mapping" => Action::Rename(Rename::Mapping(self.names(true, report)?)),
            "field_name_prefix_mapping" => {
                Action::Rename(Rename::Prefixes(self.names(true, report)?))
            }
            "field_name_prefix" => Action::Rename(Rename::Prefix(self.text("prefix", report)?)),
            "field_name_suffix" => Action::Rename(Rename::Suffix(self.text("suffix", report)?)),
            "field_name_transform" => {
                let function = self.choice(
                    "transform_func",
                    None,
                    &[
                        ("lower", Function::Lower),
                        ("upper", Function::Upper),
                        ("title", Function::Title),
                        ("snake_case", Function::SnakeCase),
                    ],
                    report,
                )?;
                Action::Rename(Rename::Function(function, self.names(false, report)?))
            }
            "drop_detection_item" => Action::Drop,
            "hashes_fields" => Action::Hashes(Hashes {
                algorithms: self.list("valid_hash_algos", report)?,
                prefix: self.optional("field_prefix", report)?.unwrap_or_default(),
                drop_algorithm: self.flag("drop_algo_prefix", report)?,
            }),
            "wildcard_placeholders" | "value_placeholders" => Action::Fill(self.fill(report)?),
            "query_expression_placeholders" => {
                let message = "`query_expression_placeholders` makes queries, and here rules are run as they are";
                report.advise(
                    &codes::QUERY_TRANSFORMATION,
                    self.kind.value.span,
                    message,
                    "use value_placeholders or wildcard_placeholders",
                );
                return None;
            }
            "add_condition" => {
                let conditions = require(self.entries, "conditions", self.kind.value.span, report)?;
                Action::AddCondition {
                    tree: selection::read(&conditions.value, "conditions", report)?,
                    template: self.flag("template", report)?,
                    negated: self.flag("negated", report)?,
                }
            }
            "change_logsource" => {
                Action::ChangeLogsource(conditions::logsource(self.entries, report)?)
            }
            "set_state" => Action::SetState(self.text("key", report)?, self.text("val", report)?),
            "set_custom_attribute" => {
                Action::SetAttribute(self.text("attribute", report)?, self.text("value", report)?)
            }
            "rule_failure" => Action::RuleFailure(self.text("message", report)?),
            "detection_item_failure" => Action::ItemFailure(self.text("message", report)?),
            "strict_field_mapping_failure" => Action::StrictMapping,
            "nest" => {
                let items = require(self.entries, "items", self.kind.value.span, report)?;
                if depth >= MAX_NESTED {
                    let message = format!("`nest` is nested more than {MAX_NESTED} deep");
                    report.add(&codes::TOO_BIG, self.kind.value.span, message);
                    return None;
                }
                Action::Nest(steps(items.value.items(), depth + 1, report))
            }
            "add_field" | "remove_field" | "set_field" => Action::Nothing,
            _ => Action::Change(self.change(report)?),
        })
    }

    /// A transformation of values.
    fn change(&self, report: &mut Report<'_>) -> Option<Change> {
        Some(match self.name {
            "replace_string" => {
                let entry = require(self.entries, "regex", self.kind.value.span, report)?;
                let pattern = text(entry, report)?;
                Change::Replace {
                    regex: conditions::regex(&pattern, entry, report)?,
                    replacement: replacement(&self.text("replacement", report)?),
                    skip_special: self.flag("skip_special", report)?,
                    interpret_special: self.flag("interpret_special", report)?,
                }
            }
            "map_string" => {
                let names = self.names(true, report)?;
                Change::Map(names.into_iter().collect::<BTreeMap<_, _>>())
            }
            "set_value" => Change::Set(self.value(report)?),
            "convert_type" => Change::Convert(self.choice(
                "target_type",
                None,
                &[("str", Kind::Text), ("num", Kind::Number)],
                report,
            )?),
            "case" => Change::Case(self.choice(
                "method",
                Some(Case::Lower),
                &[
                    ("lower", Case::Lower),
                    ("upper", Case::Upper),
                    ("snake_case", Case::Snake),
                ],
                report,
            )?),
            // The only one left of the table: `regex`.
            _ => Change::Regex(self.choice(
                "method",
                Some(Letters::Brackets),
                &[
                    ("plain", Letters::Plain),
                    ("ignore_case_flag", Letters::Flag),
                    ("ignore_case_brackets", Letters::Brackets),
                ],
                report,
            )?),
        })
    }

    fn text(&self, key: &str, report: &mut Report<'_>) -> Option<String> {
        let entry = require(self.entries, key, self.kind.value.span, report)?;
        text(entry, report)
    }

    /// The outer none: it is there and broken.
    fn optional(&self, key: &str, report: &mut Report<'_>) -> Option<Option<String>> {
        match find(self.entries, key) {
            Some(entry) => text(entry, report).map(Some),
            None => Some(None),
        }
    }

    fn flag(&self, key: &str, report: &mut Report<'_>) -> Option<bool> {
        match find(self.entries, key) {
            Some(entry) => flag(entry, report),
            None => Some(false),
        }
    }

    fn list(&self, key: &str, report: &mut Report<'_>) -> Option<Vec<String>> {
        let entry = require(self.entries, key, self.kind.value.span, report)?;
        let items = texts(entry, report);
        (items.len() == entry.value.items().len())
            .then(|| items.into_iter().map(|(text, _)| text).collect())
    }

    fn choice<T: Copy>(
        &self,
        key: &str,
        default: Option<T>,
        choices: &[(&str, T)],
        report: &mut Report<'_>,
    ) -> Option<T> {
        if let (None, Some(default)) = (find(self.entries, key), default) {
            return Some(default);
        }
        let entry = require(self.entries, key, self.kind.value.span, report)?;
        let chosen = text(entry, report)?;
        let found = choices.iter().find(|(name, _)| *name == chosen);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let message = format!("`{key}: {chosen}` is none of {}", names.join(", "));
            report.add(&codes::BAD_PIPELINE, entry.value.span, message);
        }
        found.map(|(_, value)| *value)
    }

    /// A `mapping` of texts to one text or several.
    fn names(&self, required: bool, report: &mut Report<'_>) -> Option<Names> {
        let entry = match find(self.entries, "mapping") {
            None if !required => return Some(Names::new()),
            _ => require(self.entries, "mapping", self.kind.value.span, report)?,
        };
        let mut names = Names::new();
        let mut sound = true;
        for entry in mapping(entry, report)? {
            let others = texts(entry, report);
            if others.is_empty() || others.len() != entry.value.items().len() {
                sound = false;
                if entry.value.items().is_empty() {
                    let message = format!("`{}` is mapped to nothing", entry.key);
                    report.add(&codes::BAD_PIPELINE, entry.value.span, message);
                }
                continue;
            }
            let others = others.into_iter().map(|(text, _)| text).collect();
            names.push((entry.key.to_string(), others));
        }
        sound.then_some(names)
    }

    fn fill(&self, report: &mut Report<'_>) -> Option<Fill> {
        let list = |key: &str, report: &mut Report<'_>| match find(self.entries, key) {
            Some(_) => self.list(key, report).map(Some),
            None => Some(None),
        };
        let (include, exclude) = (list("include", report)?, list("exclude", report)?);
        if include.is_some() && exclude.is_some() {
            let message = "`include` and `exclude` cannot stand together";
            report.add(&codes::BAD_PIPELINE, self.kind.value.span, message);
            return None;
        }
        Some(Fill {
            wildcard: self.name == "wildcard_placeholders",
            include,
            exclude,
        })
    }

    fn value(&self, report: &mut Report<'_>) -> Option<crate::detection::Test> {
        let entry = require(self.entries, "value", self.kind.value.span, report)?;
        let force = self.optional("force_type", report)?;
        let found = match (force.as_deref(), entry.value.text()) {
            (None, _) => test::test_of(&entry.value),
            (Some("str"), Some(text)) => Some(literal_of(text)),
            (Some("num"), Some(text)) if text.parse::<f64>().is_ok() => Some(literal_of(text)),
            _ => None,
        };
        if found.is_none() {
            let message = "`set_value` takes a text, a number, a boolean or null; `force_type` is str or num, and the value must be one";
            report.add(&codes::BAD_PIPELINE, entry.value.span, message);
        }
        found
    }
}

/// A replacement as Python writes it (`\1`, `\g<name>`), as the `regex` crate does.
fn replacement(python: &str) -> String {
    let mut out = String::with_capacity(python.len());
    let mut rest = python;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '$' => out.push_str("$$"),
            '\\' => {
                let digits =
                    rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let (name, behind) = if digits > 0 {
                    rest.split_at(digits)
                } else if let Some((name, behind)) = rest
                    .strip_prefix("g<")
                    .and_then(|named| named.split_once('>'))
                {
                    (name, behind)
                } else {
                    out.push('\\');
                    rest = rest.strip_prefix('\\').unwrap_or(rest);
                    continue;
                };
                out.push_str(&format!("${{{name}}}"));
                rest = behind;
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_written_as_in_python() {
        for (python, ours) in [
            ("plain", "plain"),
            (r"\1-\12", "${1}-${12}"),
            (r"\g<name>\g<0>", "${name}${0}"),
            (r"C:\\Users\x", r"C:\Users\x"),
            ("$1", "$$1"),
        ] {
            assert_eq!(replacement(python), ours, "{python}");
        }
    }
}
