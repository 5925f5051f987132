//! The names of the functions, and what the SQL planner has to know of them.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

/// The functions of this module, by name.
pub(in super::super) const NAMES: [&str; 41] = [
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "approx_top_k",
    "array_agg",
    "corr",
    "covar",
    "covar_pop",
    "covar_samp",
    "first_value",
    "last_value",
    "listagg",
    "median",
    "mode",
    "nth_value",
    "percentile_cont",
    "quantile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "top_k",
    "var",
    "var_pop",
    "var_population",
    "var_samp",
    "var_sample",
    "variance",
    "variance_pop",
    "variance_samp",
    "quantile",
];

/// Whether the result of a function depends on the order of events, so that it needs to know their places.
pub(in super::super) fn follows_order(name: &str) -> bool {
    matches!(
        name,
        "any_value"
            | "array_agg"
            | "first_value"
            | "last_value"
            | "listagg"
            | "nth_value"
            | "string_agg"
    )
}

/// What the SQL planner takes for the function while it does not know the arguments.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct Named {
    name: &'static str,
    signature: Signature,
}

impl Named {
    /// The function of this name.
    pub(in super::super) fn udaf(name: &'static str) -> Arc<AggregateUDF> {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(Self { name, signature }))
    }
}

impl AggregateUDFImpl for Named {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("{} is not planned", self.name)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        exec_err!("{} is not planned", self.name)
    }

    fn supports_null_handling_clause(&self) -> bool {
        follows_order(self.name)
    }

    fn supports_within_group_clause(&self) -> bool {
        self.name == "listagg" || self.name == "quantile"
    }
}
