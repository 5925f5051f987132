//! What DataFusion's SQL planner gets to see: one table, and the functions of rollups.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DFSchema, Result, TableReference, plan_err};
use datafusion_expr::logical_plan::builder::LogicalTableSource;
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{
    AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, Volatility, WindowUDF,
};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion_functions_aggregate::planner::AggregateFunctionPlanner;
use datafusion_functions_aggregate::{bit_and_or_xor, bool_and_or, count, min_max};

use super::exact_sum::{EXACT_AVG, EXACT_SUM};
use super::number::NUMBER;
use super::summary;
use super::typing::Typing;
use super::window;

/// The scalar functions. Those whose value changes from one call to the next (`now`, `random`) are left out: replaying the
/// same log must give the same rollups.
static SCALARS: LazyLock<HashMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let all = datafusion_functions::all_default_functions().into_iter();
    let fixed = all.filter(|udf| udf.signature().volatility == Volatility::Immutable);
    let mut functions = HashMap::new();
    for udf in fixed
        .chain([Arc::clone(&NUMBER)])
        .chain(window::FUNCTIONS.iter().cloned())
    {
        let names = udf.aliases().iter().map(String::as_str).chain([udf.name()]);
        for name in names {
            functions.insert(name.to_owned(), Arc::clone(&udf));
        }
    }
    functions
});

/// The aggregates. `sum` of integers is planned as DataFusion's own.
static AGGREGATES: LazyLock<HashMap<&'static str, Arc<AggregateUDF>>> = LazyLock::new(|| {
    let own = summary::NAMES.map(|name| (name, summary::Named::udaf(name)));
    let fixed = [
        ("count", count::count_udaf()),
        ("sum", Arc::clone(&EXACT_SUM)),
        ("avg", Arc::clone(&EXACT_AVG)),
        ("mean", Arc::clone(&EXACT_AVG)),
        ("min", min_max::min_udaf()),
        ("max", min_max::max_udaf()),
        ("bool_and", bool_and_or::bool_and_udaf()),
        ("bool_or", bool_and_or::bool_or_udaf()),
        ("bit_and", bit_and_or_xor::bit_and_udaf()),
        ("bit_or", bit_and_or_xor::bit_or_udaf()),
        ("bit_xor", bit_and_or_xor::bit_xor_udaf()),
    ];
    own.into_iter().chain(fixed).collect()
});

/// Whether there is a function of this (lower-case) name.
pub(super) fn has_function(name: &str) -> bool {
    SCALARS.contains_key(name) || AGGREGATES.contains_key(name)
}

/// The names of all functions.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    let scalars = SCALARS.keys().map(String::as_str);
    scalars.chain(AGGREGATES.keys().copied())
}

/// The aggregates there are, for messages.
pub(super) const AGGREGATE_NAMES: &str = "count, sum, min, max, avg, median, percentile_cont, approx_percentile_cont, approx_distinct, stddev, var, covar, corr, \
    regr_…, bool_and, bool_or, bit_and, bit_or, bit_xor, first_value, last_value, nth_value, any_value, array_agg, string_agg, mode and top_k";

/// The planner's view of a rollup's table.
pub(super) struct Context {
    table: String,
    source: Arc<dyn TableSource>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    options: ConfigOptions,
}

impl Context {
    pub(super) fn new(table: &str, schema: SchemaRef) -> Result<Self> {
        let reference = TableReference::bare(table);
        let typing = Typing {
            schema: DFSchema::try_from_qualified_schema(reference, &schema)?,
        };
        Ok(Self {
            table: table.to_owned(),
            source: Arc::new(LogicalTableSource::new(schema)),
            planners: vec![
                Arc::new(typing),
                Arc::new(AggregateFunctionPlanner),
                Arc::new(CoreFunctionPlanner::default()),
                Arc::new(DatetimeFunctionPlanner),
                Arc::new(UnicodeFunctionPlanner),
            ],
            options: ConfigOptions::default(),
        })
    }
}

impl ContextProvider for Context {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        if name.table() == self.table {
            Ok(Arc::clone(&self.source))
        } else {
            plan_err!("there is nothing called {name}")
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        SCALARS.get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        AGGREGATES.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        SCALARS.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        AGGREGATES.keys().map(ToString::to_string).collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
