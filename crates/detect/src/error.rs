//! What can go wrong.

use std::path::Path;
use std::sync::Arc;

/// A rule that does not fit into a plan.
#[derive(Debug, thiserror::Error)]
#[error("rule {id} ({}): {reason}", file.display())]
pub struct CompileError {
    /// The rule's place in the list given to [`crate::Plan::compile`].
    pub rule: usize,
    /// The rule's id.
    pub id: Arc<str>,
    /// The rule's file.
    pub file: Arc<Path>,
    /// What is wrong with it.
    pub reason: CompileErrorReason,
}

/// Why a rule does not fit into a plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileErrorReason {
    /// The condition is nested too deep.
    #[error("condition is nested more than {0} levels deep, split the rule")]
    TooDeep(usize),
}

/// A batch that the detector cannot read. It says that two parts of the program do not fit together, never that an event is bad.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// The batch lacks a column.
    #[error("batch has no column '{0}', decode the fields that the plan names")]
    MissingColumn(String),
    /// A column has another type than expected.
    #[error("column '{column}' has type {found}, it must be {expected}")]
    ColumnType {
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// The type that it must have.
        expected: &'static str,
    },
    /// A row's class is not bound.
    #[error(
        "event class {class} is not among the {bound} bound ones, bind the classes before detecting"
    )]
    UnboundClass {
        /// The class.
        class: u16,
        /// How many classes are bound.
        bound: usize,
    },
    /// More than 2³² rows or answers in one batch.
    #[error("batch is too large, split it")]
    TooLarge,
}
