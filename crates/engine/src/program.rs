//! The rules, compiled once and shared by all workers.

use std::collections::BTreeSet;
use std::sync::Arc;

use haechi_detect as detect;
use haechi_rules::RuleSet;
use haechi_window as window;

/// A rule set compiled for running: the shared predicate plan, the aggregation plan, and the fields both want.
pub struct Program {
    /// The rules as written.
    pub rules: RuleSet,
    /// All detections as one plan.
    pub detections: Arc<detect::Plan>,
    /// All correlations and rollups.
    pub aggregations: Arc<window::Plan>,
    /// The distinct fields that any rule reads: what decoding has to bring.
    pub fields: Vec<String>,
}

/// Why a rule set does not compile.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The detections.
    #[error(transparent)]
    Detections(#[from] detect::CompileError),
    /// Correlations or rollups; one entry per broken rule.
    #[error("{} aggregation rule(s) do not compile", .0.len())]
    Aggregations(Vec<window::CompileError>),
}

impl Program {
    /// Compiles `rules`; `inputs` are the names that rollups may read `FROM`, and a regular expression may take `regex_bytes` to work.
    ///
    /// # Errors
    /// When a rule cannot be compiled; the error names the rules.
    pub fn compile(
        rules: RuleSet,
        inputs: &[Arc<str>],
        regex_bytes: usize,
    ) -> Result<Self, CompileError> {
        let detections = detect::Plan::compile_within(&rules.detections, regex_bytes)?;
        let tables = window::Tables::new(inputs.iter().cloned());
        let aggregations =
            window::Plan::compile(&rules, &tables).map_err(CompileError::Aggregations)?;
        let mut fields: BTreeSet<String> = detections
            .fields()
            .iter()
            .map(ToString::to_string)
            .collect();
        fields.extend(aggregations.fields());
        Ok(Self {
            rules,
            detections: Arc::new(detections),
            aggregations: Arc::new(aggregations),
            fields: fields.into_iter().collect(),
        })
    }

    /// Whether any rule aggregates, and so whether the exchange is needed.
    #[must_use]
    pub fn aggregates(&self) -> bool {
        !self.aggregations.is_empty()
    }
}
