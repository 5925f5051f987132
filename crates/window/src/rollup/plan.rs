//! A rollup's query, planned once: from text to physical expressions and aggregates in two stages.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Column, DFSchema};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{Aggregate as AggregateNode, Expr, Filter, LogicalPlan};
use datafusion_functions_aggregate::min_max;
use datafusion_optimizer::analyzer::AnalyzerRule;
use datafusion_optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion_optimizer::simplify_expressions::SimplifyExpressions;
use datafusion_optimizer::{Optimizer, OptimizerContext};
use datafusion_physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion_sql::planner::{ParserOptions, SqlToRel};
use haechi_rules::{FieldType, Rollup};

use super::columns::Columns;
use super::context::Context;
use super::error::SqlError;
use super::footprint::Footprint;
use super::groups::neutral_states;
use super::key::{Key, KeyKind};
use super::parse::{self, RollupQuery};
use super::window::{self, Window};
use crate::batch::TIME;
use crate::error::CompileError;
use crate::frame::Fingerprint;
use crate::route::GroupHasher;
use crate::tables::{Table, Tables};

/// Changes when the meaning of rollup partials in the exchange changes, so that releases do not misread each other.
const REVISION: &str = "rollup 1";

/// A rollup, compiled.
pub(crate) struct RollupPlan {
    pub(crate) rule: Arc<Rollup>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) window: Window,
    pub(super) hasher: GroupHasher,
    pub(super) table: Table,
    pub(super) columns: Columns,
    /// Stage 1: WHERE, over the columns.
    pub(super) condition: Option<Arc<dyn PhysicalExpr>>,
    /// Stage 1: GROUP BY without the window, over the columns.
    pub(super) keys: Vec<Key>,
    /// Over the columns. Those of sessions end with the times of the first and the last event.
    pub(super) aggregates: Vec<Aggregate>,
    /// The states of a group without rows, all aggregates' side by side.
    pub(super) neutral: Vec<ArrayRef>,
    /// What those of any group take.
    pub(super) footprint: Footprint,
    /// The partials' columns: window start, rows, keys, states.
    pub(super) partial_schema: SchemaRef,
    /// Stage 2: the columns that HAVING and SELECT read.
    pub(super) group_schema: SchemaRef,
    /// Stage 2: where the window's start and end stand among the GROUP BY items; the start comes first.
    pub(super) window_positions: (usize, usize),
    pub(super) having: Option<Arc<dyn PhysicalExpr>>,
    pub(super) select: Vec<Output>,
}

/// An aggregate function, with its arguments.
pub(super) struct Aggregate {
    pub(super) function: Arc<AggregateFunctionExpr>,
    pub(super) arguments: Vec<(Arc<dyn PhysicalExpr>, DataType)>,
    pub(super) filter: Option<Arc<dyn PhysicalExpr>>,
    pub(super) states: Vec<FieldRef>,
    pub(super) result: DataType,
}

/// A column of the result.
pub(super) struct Output {
    pub(super) name: String,
    pub(super) expr: Arc<dyn PhysicalExpr>,
    pub(super) of: DataType,
}

/// Columns of a partial that come before its keys: window start, rows.
pub(super) const FIXED_COLUMNS: usize = 2;

impl RollupPlan {
    /// Compiles a rollup; adds to `warnings` what is probably not meant.
    pub(crate) fn compile(
        rule: &Arc<Rollup>,
        tables: &Tables,
        warnings: &mut Vec<CompileError>,
    ) -> Result<Self, CompileError> {
        let in_file = |error: SqlError| error.in_file(rule);
        let query = parse::parse(&rule.sql, &rule.types).map_err(in_file)?;
        warnings.extend(text_extremes(rule, &query));
        warnings.extend(unread_types(rule, &query));
        compile(rule, tables, &query).map_err(|error| in_file(error.placed(&query.places)))
    }

    /// How long the events of a window have to be kept until its last row is written.
    pub(crate) fn span_ns(&self) -> i64 {
        let lateness_ns = self.rule.allowed_lateness_ns;
        self.window.span_ns().saturating_add(lateness_ns)
    }

    /// The fields that decoding has to bring.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &String> {
        self.columns.fields()
    }
}

fn compile(
    rule: &Arc<Rollup>,
    tables: &Tables,
    query: &RollupQuery,
) -> Result<RollupPlan, SqlError> {
    let table = tables.resolve(&query.table).ok_or_else(|| {
        let error = SqlError::new(format!("no input or logsource is called `{}`", query.table));
        error
            .help(format!("there are: {}", tables.describe()))
            .at(query.table_span)
    })?;
    let mut names = query.columns.clone();
    if query.has_session {
        names.insert(TIME.to_owned());
    }
    let columns = Columns::new(&names, &rule.types);
    let logical = logical_plan(query, columns.schema())?;
    let parts = Parts::of(&logical)?;
    let input = parts.aggregate.input.schema();
    let (window_positions, window) = window(parts.aggregate)?;
    let keys = keys(parts.aggregate, window_positions, &query.group_by)?;
    let mut calls = parts.aggregate.aggr_expr.clone();
    if matches!(window, Window::Session { .. }) {
        let time = || Expr::Column(Column::new(Some(query.table.as_str()), TIME));
        calls.extend([min_max::min(time()), min_max::max(time())]);
    }
    let aggregates = calls.iter().enumerate();
    let aggregates = aggregates.map(|(index, expr)| Aggregate::lower(index, expr, input));
    let aggregates = aggregates.collect::<Result<Vec<_>, _>>()?;
    let neutral = neutral_states(&aggregates).map_err(|error| SqlError::new(error.to_string()))?;
    let partial_schema = partial_schema(&keys, &neutral);
    let grouped = &parts.aggregate.schema;
    let of_groups = |expr: &Expr| physical(expr, grouped);
    let condition = parts
        .condition
        .map(|expr| physical(expr, input))
        .transpose()?;
    Ok(RollupPlan {
        fingerprint: fingerprint(rule, query, &partial_schema),
        hasher: GroupHasher::new(&rule.header.id),
        window,
        table,
        columns,
        condition,
        keys,
        footprint: Footprint::of(&aggregates),
        aggregates,
        neutral,
        partial_schema,
        group_schema: nullable(grouped.as_arrow()),
        window_positions,
        having: parts.having.map(of_groups).transpose()?,
        select: outputs(&parts, grouped)?,
        rule: Arc::clone(rule),
    })
}

/// `min` and `max` of a field whose type is not declared: text, of which `9` is greater than `10`.
fn text_extremes(rule: &Rollup, query: &RollupQuery) -> Vec<CompileError> {
    let undeclared = query
        .extremes
        .iter()
        .filter(|(_, column, _)| column != TIME && !rule.types.contains_key(column));
    undeclared
        .map(|(function, column, span)| {
            let message = format!("{function}({column}) compares text: 9 comes after 10");
            let help = format!(
                "declare the field under `types:` as bigint or double, or as string if text is meant: `{column}: bigint`"
            );
            SqlError::new(message).help(help).at(*span).in_file(rule)
        })
        .collect()
}

/// Types of fields that the query does not read: a misspelled name, most likely.
fn unread_types(rule: &Rollup, query: &RollupQuery) -> Vec<CompileError> {
    let unread = rule
        .types
        .keys()
        .filter(|name| !query.columns.contains(*name));
    unread
        .map(|name| {
            let message = format!("`types` names `{name}`, which the query does not read");
            SqlError::new(message).in_file(rule)
        })
        .collect()
}

fn logical_plan(query: &RollupQuery, schema: &SchemaRef) -> Result<LogicalPlan, SqlError> {
    let context = Context::new(&query.table, Arc::clone(schema))?;
    let options = ParserOptions {
        enable_ident_normalization: false,
        collect_spans: true,
        ..ParserOptions::default()
    };
    let planner = SqlToRel::new_with_options(&context, options);
    let plan = planner.sql_statement_to_plan(query.statement.clone())?;
    let plan = TypeCoercion::new().analyze(plan, &ConfigOptions::default())?;
    // Some functions exist only until they are simplified: coalesce becomes CASE.
    let simplify = Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new())]);
    let context = OptimizerContext::new().without_query_execution_start_time();
    Ok(simplify.optimize(plan, &context, |_, _| {})?)
}

/// The parts of a rollup's logical plan.
struct Parts<'a> {
    select: &'a [Expr],
    names: &'a DFSchema,
    having: Option<&'a Expr>,
    aggregate: &'a AggregateNode,
    condition: Option<&'a Expr>,
}

impl<'a> Parts<'a> {
    fn of(plan: &'a LogicalPlan) -> Result<Self, SqlError> {
        let other = |plan: &LogicalPlan| {
            SqlError::new(format!("a rollup cannot have {}", plan.display())).help(format!(
                "write SELECT … FROM … [WHERE …] GROUP BY {}, … [HAVING …]",
                window::EXAMPLE
            ))
        };
        let LogicalPlan::Projection(projection) = plan else {
            return Err(other(plan));
        };
        let (having, below) = filtered(&projection.input);
        let LogicalPlan::Aggregate(aggregate) = below else {
            return Err(other(below));
        };
        let (condition, below) = filtered(&aggregate.input);
        let LogicalPlan::TableScan(_) = below else {
            return Err(other(below));
        };
        Ok(Self {
            select: &projection.expr,
            names: &projection.schema,
            having,
            aggregate,
            condition,
        })
    }
}

fn filtered(plan: &LogicalPlan) -> (Option<&Expr>, &LogicalPlan) {
    match plan {
        LogicalPlan::Filter(Filter {
            predicate, input, ..
        }) => (Some(predicate), input),
        other => (None, other),
    }
}

/// The positions of the window's start and end among the GROUP BY items, and the window.
fn window(aggregate: &AggregateNode) -> Result<((usize, usize), Window), SqlError> {
    let mut found = None;
    let mut end = None;
    for (position, expr) in aggregate.group_expr.iter().enumerate() {
        match window::asked_for(expr) {
            Some(window) if found.is_none() => found = Some((position, window?)),
            Some(_) => {
                let error = SqlError::new("GROUP BY has two windows; a rollup has one");
                return Err(error.near(window::NAMES));
            }
            None if window::is_end(expr) => end = Some(position),
            None if window::is_inside(expr) => {
                let error = SqlError::new("the window in GROUP BY cannot be part of an expression");
                return Err(error
                    .help(format!("group by {} itself", window::EXAMPLE))
                    .near(window::NAMES));
            }
            None => {}
        }
    }
    let misplaced = aggregate.aggr_expr.iter().any(window::is_inside);
    match (found, end) {
        (Some(_), _) if misplaced => {
            Err(SqlError::new("the window cannot be aggregated").near(window::NAMES))
        }
        (Some((start, window)), Some(end)) => Ok(((start, end), window)),
        _ => Err(SqlError::new("a rollup needs a time window to GROUP BY")
            .help(format!("add {} to GROUP BY", window::EXAMPLE))),
    }
}

fn keys(
    aggregate: &AggregateNode,
    window: (usize, usize),
    names: &[String],
) -> Result<Vec<Key>, SqlError> {
    let input = aggregate.input.schema();
    let mut keys = Vec::new();
    for (position, expr) in aggregate.group_expr.iter().enumerate() {
        if position == window.0 || position == window.1 {
            continue;
        }
        let name = names.get(position).cloned().unwrap_or_default();
        let planned = aggregate.schema.field(position).data_type().clone();
        let kind = KeyKind::of(&planned).ok_or_else(|| {
            let error = SqlError::new(format!("cannot group by {name}: it is of type {planned}"));
            error
                .help("group by text, numbers, booleans, dates or times")
                .near([name.as_str()])
        })?;
        keys.push(Key {
            expr: physical(expr, input)?,
            kind,
            planned,
            name,
        });
    }
    Ok(keys)
}

impl Aggregate {
    fn lower(index: usize, expr: &Expr, input: &DFSchema) -> Result<Self, SqlError> {
        let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let schema = input.as_arrow();
        let lowered = LoweredAggregateBuilder::new(expr, input, schema, &props, &context)
            .with_name(format!("a{index}"))
            .build()?;
        let function = lowered.aggregate;
        for expr in function.expressions().iter().chain(&lowered.filter) {
            try_out(expr, input)?;
        }
        let arguments = function.expressions().into_iter().map(|argument| {
            let of = argument.data_type(schema)?;
            Ok((argument, of))
        });
        Ok(Self {
            arguments: arguments.collect::<Result<_, SqlError>>()?,
            filter: lowered.filter,
            states: function.state_fields()?,
            result: function.field().data_type().clone(),
            function,
        })
    }
}

fn outputs(parts: &Parts<'_>, grouped: &DFSchema) -> Result<Vec<Output>, SqlError> {
    let mut outputs = Vec::new();
    for (expr, name) in parts.select.iter().zip(parts.names.fields()) {
        let name = name.name().clone();
        let expr = physical(expr, grouped)?;
        let of = expr.data_type(grouped.as_arrow())?;
        outputs.push(Output { name, expr, of });
    }
    Ok(outputs)
}

/// An expression ready to be evaluated over rows of this schema.
fn physical(expr: &Expr, input: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, SqlError> {
    if window::is_inside(expr) {
        let error = SqlError::new(
            "the window can stand in GROUP BY, and in SELECT as it stands in GROUP BY",
        );
        return Err(error
            .help("use `_time` for the time of an event")
            .near(window::NAMES));
    }
    let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
    let expr = create_physical_expr(expr, input, &props, &context)?;
    try_out(&expr, input)?;
    Ok(expr)
}

/// Evaluates an expression over no rows. While running, a failure is a row's, and makes NULL; what fails without rows would fail on
/// each of them, and its author must hear of it now.
fn try_out(expr: &Arc<dyn PhysicalExpr>, input: &DFSchema) -> Result<(), SqlError> {
    let none = RecordBatch::new_empty(nullable(input.as_arrow()));
    match expr.evaluate(&none).and_then(|value| value.into_array(0)) {
        Ok(_) => Ok(()),
        Err(error) => Err(SqlError::from(error)),
    }
}

fn partial_schema(keys: &[Key], neutral: &[ArrayRef]) -> SchemaRef {
    let mut fields = vec![
        Field::new("start", DataType::Int64, false),
        Field::new("rows", DataType::UInt64, false),
    ];
    for (index, key) in keys.iter().enumerate() {
        fields.push(Field::new(format!("k{index}"), key.kind.data_type(), true));
    }
    for (index, state) in neutral.iter().enumerate() {
        // A state that is something even without rows is never null: merging relies on it.
        let nullable = state.null_count() > 0;
        fields.push(Field::new(
            format!("s{index}"),
            state.data_type().clone(),
            nullable,
        ));
    }
    Arc::new(Schema::new(fields))
}

fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.map(|field| Field::new(field.name(), field.data_type().clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Two versions of a rule whose partials can be merged have the same fingerprint. It covers the layout of the states too, which is
/// DataFusion's: a release with another layout does not misread them.
fn fingerprint(rule: &Rollup, query: &RollupQuery, partials: &Schema) -> Fingerprint {
    let of = |of: &FieldType| match of {
        FieldType::String => "string",
        FieldType::Bigint => "bigint",
        FieldType::Double => "double",
        FieldType::Boolean => "boolean",
    };
    let types: Vec<(&String, &str)> = rule.types.iter().map(|(name, ty)| (name, of(ty))).collect();
    let layout = partials
        .fields()
        .iter()
        .map(|field| field.data_type().to_string());
    let layout: Vec<String> = layout.collect();
    let meaning = serde_json::json!([REVISION, &*rule.header.id, query.meaning, types, layout]);
    let digest = blake3::hash(meaning.to_string().as_bytes());
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}
