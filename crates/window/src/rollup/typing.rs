//! What a query may leave unsaid about types.
//!
//! Fields are text unless the rule declares otherwise, and text is compared, added and summed as numbers where that is what
//! the query must mean:
//!
//! * in arithmetic and in comparison with a number, text is read as a number ([`super::number`]);
//! * in comparison with a boolean, text is read as a boolean;
//! * `sum` and `avg` read text as numbers; `min` and `max` compare what they are given;
//! * `bool_and` and `bool_or` read text as booleans;
//! * division by zero is NULL.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::tree_node::TreeNode;
use datafusion_common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr};
use datafusion_expr::{AggregateUDF, Expr, ExprSchemable, cast, lit, try_cast};
use datafusion_functions::core::nullif;
use datafusion_functions_aggregate::sum::sum_udaf;
use datafusion_sql::sqlparser::ast::BinaryOperator;

use super::exact_sum::{EXACT_AVG, EXACT_SUM};
use super::number::NUMBER;
use super::summary;

/// Plans operators and aggregates over the columns of one table.
#[derive(Debug)]
pub(super) struct Typing {
    pub(super) schema: DFSchema,
}

impl ExprPlanner for Typing {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        let types = (left.get_type(schema)?, right.get_type(schema)?);
        let (left, right) = match (&op, &types) {
            (op, (l, r)) if is_arithmetic(op) && !is_temporal(l) && !is_temporal(r) => {
                let (left, right) = (as_number(left, l), as_number(right, r));
                let divides = matches!(op, BinaryOperator::Divide | BinaryOperator::Modulo);
                let right = if divides {
                    without_zero(right, schema)?
                } else {
                    right
                };
                (left, right)
            }
            (op, (l, r)) if is_comparison(op) && is_text(l) && r.is_numeric() => {
                (as_number(left, l), right)
            }
            (op, (l, r)) if is_comparison(op) && l.is_numeric() && is_text(r) => {
                (left, as_number(right, r))
            }
            (op, (l, DataType::Boolean)) if is_comparison(op) && is_text(l) => {
                (try_cast(left, DataType::Boolean), right)
            }
            (op, (DataType::Boolean, r)) if is_comparison(op) && is_text(r) => {
                (left, try_cast(right, DataType::Boolean))
            }
            _ => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }

    fn plan_aggregate(&self, raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        let name = raw.func.name().to_owned();
        #[expect(deprecated, reason = "it is what the SQL planner makes of count(*)")]
        let counts_rows = matches!(raw.args.as_slice(), [] | [Expr::Wildcard { .. }]);
        if name == "count" && counts_rows {
            if raw.distinct {
                return plan_err!("count(DISTINCT *) does not say what to count");
            }
            return Ok(PlannerResult::Original(raw));
        }
        let types = raw
            .args
            .iter()
            .map(|argument| argument.get_type(&self.schema));
        let types = types.collect::<Result<Vec<_>>>()?;
        let different = raw.distinct && matches!(name.as_str(), "sum" | "avg");
        if different || summary::NAMES.contains(&name.as_str()) {
            let planned = summary::plan(&raw, &types)?;
            let call = AggregateFunction::new_udf(
                planned.function,
                planned.arguments.into_iter().map(named).collect(),
                false,
                raw.filter,
                Vec::new(),
                None,
            );
            return Ok(PlannerResult::Planned(Expr::AggregateFunction(call)));
        }
        if !raw.order_by.is_empty() || raw.null_treatment.is_some() {
            return plan_err!("{name} cannot be ordered: its result has no order");
        }
        let ([of], Ok([argument])) = (types.as_slice(), <[Expr; 1]>::try_from(raw.args)) else {
            return plan_err!("{name} takes one argument");
        };
        let (func, argument) = match name.as_str() {
            "sum" if of.is_integer() => (sum_udaf(), argument),
            "sum" => (Arc::clone(&EXACT_SUM), as_double(&name, argument, of)?),
            "avg" => (Arc::clone(&EXACT_AVG), as_double(&name, argument, of)?),
            "bool_and" | "bool_or" => (raw.func, as_boolean(&name, argument, of)?),
            "bit_and" | "bit_or" | "bit_xor" => {
                if !of.is_integer() {
                    return plan_err!("{name} needs whole numbers, not {}", spelled(of));
                }
                (raw.func, argument)
            }
            // Text leaves its batch here: views would keep all of the batch's values.
            _ if is_text(of) => (raw.func, cast(argument, DataType::Utf8)),
            _ if of.is_floating() => (raw.func, as_double(&name, argument, of)?),
            _ => (raw.func, argument),
        };
        // To all but count it does not matter how often a value comes.
        let distinct = raw.distinct && name == "count";
        Ok(PlannerResult::Planned(aggregate(
            func, argument, distinct, raw.filter,
        )))
    }
}

fn aggregate(
    func: Arc<AggregateUDF>,
    argument: Expr,
    distinct: bool,
    filter: Option<Box<Expr>>,
) -> Expr {
    let argument = vec![named(argument)];
    let call = AggregateFunction::new_udf(func, argument, distinct, filter, Vec::new(), None);
    Expr::AggregateFunction(call)
}

/// The argument under a name that tells it from others: to DataFusion, `sum(x)` and `sum(cast(x AS double))` have the same.
fn named(argument: Expr) -> Expr {
    let is_cast = |expr: &Expr| Ok(matches!(expr, Expr::Cast(_) | Expr::TryCast(_)));
    if argument.exists(is_cast).unwrap_or(false) {
        let name = argument.to_string();
        argument.alias(name)
    } else {
        argument
    }
}

/// The argument as floating point numbers.
pub(super) fn as_double(name: &str, argument: Expr, of: &DataType) -> Result<Expr> {
    match of {
        DataType::Float64 => Ok(argument),
        _ if is_text(of) => Ok(as_number(argument, of)),
        _ if of.is_numeric() || of.is_null() => Ok(cast(argument, DataType::Float64)),
        _ => plan_err!("{name} needs numbers, not {}", spelled(of)),
    }
}

fn as_boolean(name: &str, argument: Expr, of: &DataType) -> Result<Expr> {
    match of {
        DataType::Boolean => Ok(argument),
        _ if is_text(of) => Ok(try_cast(argument, DataType::Boolean)),
        _ => plan_err!("{name} needs booleans, not {}", spelled(of)),
    }
}

/// A type as queries call it.
fn spelled(of: &DataType) -> String {
    match of {
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        _ if is_text(of) => "text".to_owned(),
        other => other.to_string(),
    }
}

fn as_number(expr: Expr, of: &DataType) -> Expr {
    if is_text(of) {
        let call = ScalarFunction::new_udf(Arc::clone(&NUMBER), vec![expr]);
        Expr::ScalarFunction(call)
    } else {
        expr
    }
}

/// The expression, NULL where it is zero.
fn without_zero(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let of = expr.get_type(schema)?;
    if let Expr::Literal(value, _) = &expr
        && !value.is_null()
        && *value != ScalarValue::new_zero(&of)?
    {
        return Ok(expr);
    }
    let zero = if of.is_numeric() {
        Expr::Literal(ScalarValue::new_zero(&of)?, None)
    } else {
        lit(0)
    };
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
        nullif(),
        vec![expr, zero],
    )))
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    )
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

pub(super) fn is_text(of: &DataType) -> bool {
    matches!(
        of,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn is_temporal(of: &DataType) -> bool {
    of.is_temporal()
}
