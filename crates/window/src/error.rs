//! What can go wrong.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use haechi_rules::Span;

/// Something is wrong, or probably not meant, in a correlation or rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// The rule's id.
    pub rule: Arc<str>,
    /// The file that it stands in.
    pub file: Arc<Path>,
    /// The place in the file: inside the SQL where that is known.
    pub span: Span,
    /// What is wrong, lower case, without the place.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { line, column, .. } = self.span;
        write!(
            f,
            "{}:{line}:{column}: {}",
            self.file.display(),
            self.message
        )?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CompileError {}

/// A batch or the partials made of it are not as the plan expects. Data does not cause it: a value that an expression cannot
/// work with is NULL.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// The batch is not shaped as decoding makes batches.
    #[error(
        "record batch column `{column}`: {reason}; this is a defect of haechi, please report it"
    )]
    Batch {
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An Arrow kernel failed.
    #[error("aggregating a batch: {0}")]
    Arrow(#[from] ArrowError),
    /// An expression or aggregate failed.
    #[error("aggregating a batch: {0}")]
    Aggregate(#[from] DataFusionError),
}
