//! Rollups: aggregates in SQL.

use std::collections::BTreeMap;

use crate::diagnostic::Span;
use crate::rule::RuleHeader;

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
