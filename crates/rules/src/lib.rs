//! The rule language of haechi: Sigma detections, correlations and filters, and rollups in SQL.
//!
//! [`load`] reads files and folders of YAML into a [`RuleSet`], resolved and ready to be compiled: modifiers are
//! applied, conditions are expression trees over field tests, references between rules are indices. Whatever is
//! wrong becomes a [`Diagnostic`] with a stable code and a place in the file; a broken rule never keeps the
//! others from loading.
//!
//! The language is the Sigma specification v2.1.0 (<https://sigmahq.io/sigma-specification/>). This crate knows
//! nothing of events in memory, of Kafka or of clocks.

/// The most memory a compiled regular expression of a rule may take, in bytes (`regex::RegexBuilder::size_limit`).
pub const REGEX_SIZE_LIMIT: usize = 10 << 20;

mod aggregation;
mod codes;
mod condition;
mod correlation;
mod detection;
mod diagnostic;
mod display;
mod document;
mod encode;
mod fields;
mod filter;
mod header;
mod link;
mod lint;
mod load;
mod logsource;
mod modifier;
mod pattern;
mod regex;
mod report;
mod resolve;
mod rollup;
mod rule;
mod scalar;
mod selection;
mod value;
mod yaml;

pub use codes::{CODES, Code};
pub use correlation::{Correlation, CorrelationKind};
pub use detection::{CompareOp, DetectionRule, Expr, FieldTest, Position, Test, Text};
pub use diagnostic::{Diagnostic, Severity, Span};
pub use lint::lint;
pub use load::{Loaded, load, load_str};
pub use pattern::{Pattern, Piece};
pub use rollup::{FieldType, Rollup};
pub use rule::{Level, Logsource, RuleHeader, RuleSet};
