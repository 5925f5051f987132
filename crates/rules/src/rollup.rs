//! Rollups: aggregates in SQL.

use std::collections::BTreeMap;

use crate::codes;
use crate::correlation::timespan;
use crate::diagnostic::Span;
use crate::fields::{find, mapping, refuse_others, require, similar, text};
use crate::report::Report;
use crate::rule::RuleHeader;
use crate::yaml::Entry;

/// A rollup rule. The SQL is text here; the crate that runs it parses it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollup {
    /// What the rule says about itself.
    pub header: RuleHeader,
    /// The query.
    pub sql: String,
    /// Where the text of `sql` begins in the file. Where it is written as a literal block (`|`) or on one line, line `n`,
    /// column `c` of the query is line `line + n - 1`, column `column + c - 1` of the file.
    pub sql_span: Span,
    /// The types of fields that are not text.
    pub types: BTreeMap<String, FieldType>,
    /// How long after the watermark has passed a window's end late events still change its rows, in nanoseconds; 0 for not at all.
    pub allowed_lateness_ns: i64,
    /// What becomes of the rows.
    pub kind: RollupKind,
}

/// What becomes of a rollup's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RollupKind {
    /// They are written as rows.
    #[default]
    Rows,
    /// Each of them is a finding, with the rule's level and tags.
    Alert,
}

/// The type of a field in a rollup's query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Text; what a field is when nothing is said.
    String,
    /// 64-bit signed integer.
    Bigint,
    /// 64-bit floating point number.
    Double,
    /// True or false.
    Boolean,
}

const KEYS: [&str; 4] = ["sql", "types", "allowed_lateness", "kind"];
const KINDS: [&str; 2] = ["rows", "alert"];
const TYPES: [&str; 4] = ["string", "bigint", "double", "boolean"];

/// Reads the `rollup` of a rule. Complains about everything wrong in it, and gives none when anything is.
pub(crate) fn read(
    entry: &Entry<'_>,
    header: RuleHeader,
    report: &mut Report<'_>,
) -> Option<Rollup> {
    let entries = mapping(entry, report)?;
    refuse_others(entries, &KEYS, "a rollup", report);
    let sql = require(entries, "sql", entry.key_span, report).and_then(|entry| {
        let sql = text(entry, report)?;
        if sql.trim().is_empty() {
            report.add(&codes::MISSING_KEY, entry.value.span, "`sql` is empty");
            return None;
        }
        Some((sql, report.text_start(&entry.value)))
    });
    let types = match find(entries, "types") {
        Some(entry) => types(entry, report),
        None => Some(BTreeMap::new()),
    };
    let allowed_lateness_ns = match find(entries, "allowed_lateness") {
        Some(entry) => timespan(entry, report),
        None => Some(0),
    };
    let kind = match find(entries, "kind") {
        Some(entry) => kind(entry, report),
        None => Some(RollupKind::Rows),
    };
    let (sql, sql_span) = sql?;
    Some(Rollup {
        header,
        sql,
        sql_span,
        types: types?,
        allowed_lateness_ns: allowed_lateness_ns?,
        kind: kind?,
    })
}

fn kind(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<RollupKind> {
    match text(entry, report)?.as_str() {
        "rows" => Some(RollupKind::Rows),
        "alert" => Some(RollupKind::Alert),
        other => {
            report.advise(
                &codes::BAD_ROLLUP_KIND,
                entry.value.span,
                format!("there is no kind `{other}` of rollup"),
                format!("kinds are {}", KINDS.join(", ")),
            );
            None
        }
    }
}

fn types(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, FieldType>> {
    let fields = mapping(entry, report)?;
    let mut types = BTreeMap::new();
    for field in fields {
        let Some(name) = text(field, report) else {
            continue;
        };
        let kind = match name.as_str() {
            "string" => FieldType::String,
            "bigint" => FieldType::Bigint,
            "double" => FieldType::Double,
            "boolean" => FieldType::Boolean,
            other => {
                let help = match similar(other, &TYPES) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("types are {}", TYPES.join(", ")),
                };
                report.advise(
                    &codes::BAD_FIELD_TYPE,
                    field.value.span,
                    format!("there is no type `{other}`"),
                    help,
                );
                continue;
            }
        };
        types.insert(field.key.clone().into_owned(), kind);
    }
    (types.len() == fields.len()).then_some(types)
}
