//! The rule language of haechi: Sigma detections, correlations and filters, and rollups in SQL.
//!
//! [`load()`] reads files and folders of YAML into a [`RuleSet`], resolved and ready to be compiled: modifiers are
//! applied, conditions are expression trees over field tests, references between rules are indices. Whatever is
//! wrong becomes a [`Diagnostic`] with a stable code and a place in the file; a broken rule never keeps the
//! others from loading.
//!
//! The language is the Sigma specification v2.1.0 (<https://sigmahq.io/sigma-specification/>). This crate knows
//! nothing of events in memory, of Kafka or of clocks.
//!
//! # Where Sigma leaves a choice
//!
//! - `neq` turns the whole item round, its list of values too; so it matches events that lack the field.
//! - Keywords are looked for anywhere in a value, as if `contains` were written, unless `startswith` or `endswith` is.
//! - Whole numbers are compared as text with their decimal spelling. Fractions are compared as numbers, for `1.5` and `1.50` are the
//!   same; with `contains` and its like a number is the text that it is spelt with.
//! - `re` may stand before `startswith` and `endswith`, which tie it to that end of the value; `contains` adds nothing to it.
//! - A network's bits beyond its prefix are dropped with a warning, and IPv4 networks written as IPv6 ones are IPv4.
//! - `_names` take part in `1 of` and `all of` only where the pattern begins with `_` too.
//! - A number of several selections (`2 of sel*`) and the words of conditions in capitals are taken as meant.
//! - Names of rules need not be unique until something refers to one; ids must be, and the first rule with an id is kept.

/// The most memory a compiled regular expression of a rule may take, in bytes (`regex::RegexBuilder::size_limit`).
pub const REGEX_SIZE_LIMIT: usize = 10 << 20;

mod aggregation;
mod budget;
mod codes;
mod condition;
mod correlation;
mod detection;
mod diagnostic;
mod display;
mod document;
mod encode;
mod excerpt;
mod fields;
mod filter;
mod header;
mod link;
mod lint;
mod load;
mod logsource;
mod modifier;
mod outline;
mod pattern;
mod pipeline;
mod place;
mod regex;
mod report;
mod resolve;
mod rollup;
mod rule;
mod scalar;
mod selection;
mod suppress;
mod template;
mod tree;
mod value;
mod walk;
mod yaml;

pub use budget::StateBudget;
pub use codes::{CODES, Code};
pub use correlation::{
    Combination, Correlation, CorrelationCondition, CorrelationKind, Emission, Referent,
};
pub use detection::{CompareOp, DetectionRule, Expr, FieldTest, Position, Test, Text, TimePart};
pub use diagnostic::{Diagnostic, Severity, Span};
pub use excerpt::Excerpt;
pub use fields::similar;
pub use lint::{Provided, Surroundings, inspect, lint};
pub use load::{Loaded, load, load_str, load_str_through, load_through};
pub use pattern::{Pattern, Piece};
pub use pipeline::{Pipelines, Source};
pub use rollup::{FieldType, Rollup, RollupKind};
pub use rule::{Level, Logsource, RuleHeader, RuleSet};
pub use suppress::Suppress;
pub use walk::files;
