//! What a query cannot have, because it runs over a stream that never ends; and why, and what to write instead.

use datafusion_sql::sqlparser::ast::{
    Expr, Function, Ident, Query, Select, SetExpr, SetOperator, Spanned, TableFactor,
};
use datafusion_sql::sqlparser::tokenizer::Span;

use super::context::{AGGREGATE_NAMES, all_names, has_function};
use super::error::SqlError;

const SHAPE: &str =
    "write SELECT … FROM … [WHERE …] GROUP BY tumble(interval '1 minute'), … [HAVING …]";

/// Something that is there, its place, and what is wrong with it.
struct Extra {
    there: bool,
    span: Span,
    what: &'static str,
    why: &'static str,
    instead: &'static str,
}

fn extra(there: bool, span: Option<Span>, what: &'static str) -> Extra {
    Extra {
        there,
        span: span.unwrap_or_else(Span::empty),
        what,
        why: "",
        instead: SHAPE,
    }
}

impl Extra {
    fn because(mut self, why: &'static str, instead: &'static str) -> Self {
        self.why = why;
        self.instead = instead;
        self
    }
}

fn refuse(extras: impl IntoIterator<Item = Extra>) -> Result<(), SqlError> {
    match extras.into_iter().find(|extra| extra.there) {
        None => Ok(()),
        Some(extra) => {
            let colon = if extra.why.is_empty() { "" } else { ": " };
            let message = format!("a rollup cannot have {}{colon}{}", extra.what, extra.why);
            Err(SqlError::new(message).help(extra.instead).at(extra.span))
        }
    }
}

/// The SELECT of a query, when there is nothing around it.
pub(super) fn select_of(query: &mut Query) -> Result<&mut Select, SqlError> {
    let order_by = query.order_by.as_ref().map(Spanned::span);
    let limit = query.limit_clause.as_ref().map(Spanned::span);
    let with = query.with.as_ref().map(Spanned::span);
    refuse([
        extra(with.is_some(), with, "WITH").because(
            "it reads one input or logsource",
            "put the conditions into WHERE, and what is calculated into the expressions",
        ),
        extra(order_by.is_some(), order_by, "ORDER BY").because(
            "its rows come as windows close, and are never all there to be sorted",
            "leave it out: a window's rows come ordered by their keys; sort where they are read",
        ),
        extra(limit.is_some(), limit, "LIMIT").because(
            "its rows never end",
            "leave it out; the most frequent values of a window are top_k(x, 10)",
        ),
        extra(query.fetch.is_some(), None, "FETCH").because(
            "its rows never end",
            "leave it out; the most frequent values of a window are top_k(x, 10)",
        ),
        extra(!query.locks.is_empty(), None, "FOR UPDATE"),
        extra(query.for_clause.is_some(), None, "FOR"),
        extra(query.settings.is_some(), None, "SETTINGS"),
        extra(query.format_clause.is_some(), None, "FORMAT"),
        extra(!query.pipe_operators.is_empty(), None, "|>"),
    ])?;
    let span = query.body.span();
    match &mut *query.body {
        SetExpr::Select(select) => {
            clauses(select)?;
            Ok(select)
        }
        SetExpr::SetOperation { op, .. } => {
            let what = match op {
                SetOperator::Union => "UNION",
                SetOperator::Intersect => "INTERSECT",
                SetOperator::Except | SetOperator::Minus => "EXCEPT",
            };
            let message = format!(
                "a rollup is one SELECT, without {what}: the rows of another one never end"
            );
            Err(SqlError::new(message)
                .help("write two rollups; their rows go to the same topic")
                .at(span))
        }
        _ => Err(SqlError::new("a rollup is one SELECT").help(SHAPE).at(span)),
    }
}

/// Refuses the parts of a SELECT that a rollup cannot have.
fn clauses(select: &Select) -> Result<(), SqlError> {
    let distinct = select.distinct.is_some();
    let select_span = select.projection.first().map(Spanned::span);
    let qualify = select.qualify.as_ref().map(Spanned::span);
    refuse([
        extra(distinct, select_span, "SELECT DISTINCT").because(
            "it would have to remember every row for ever",
            "GROUP BY the columns: a window has one row for each of their combinations",
        ),
        extra(select.top.is_some(), select_span, "TOP").because(
            "its rows never end",
            "the most frequent values of a window are top_k(x, 10)",
        ),
        extra(select.exclude.is_some(), None, "EXCLUDE"),
        extra(select.into.is_some(), None, "INTO").because(
            "its rows go to the topic of `outputs.rollups`",
            "leave it out",
        ),
        extra(!select.lateral_views.is_empty(), None, "LATERAL VIEW"),
        extra(select.prewhere.is_some(), None, "PREWHERE").because("", "write WHERE"),
        extra(!select.connect_by.is_empty(), None, "CONNECT BY"),
        extra(!select.cluster_by.is_empty(), None, "CLUSTER BY"),
        extra(!select.distribute_by.is_empty(), None, "DISTRIBUTE BY"),
        extra(!select.sort_by.is_empty(), None, "SORT BY"),
        extra(!select.named_window.is_empty(), None, "WINDOW").because(
            "a window function looks at rows before and after, and those after have not come yet",
            "the window of a rollup stands in GROUP BY: tumble(interval '1 minute')",
        ),
        extra(qualify.is_some(), qualify, "QUALIFY")
            .because("it selects by window functions", "write HAVING"),
        extra(
            select.value_table_mode.is_some(),
            None,
            "AS VALUE or AS STRUCT",
        ),
    ])
}

/// The one table after FROM.
pub(super) fn table_of(select: &Select) -> Result<(String, Span), SqlError> {
    let [from] = select.from.as_slice() else {
        let mut error = SqlError::new("a rollup reads FROM one input or logsource");
        if let Some(second) = select.from.get(1) {
            error = error.at(second.span());
        }
        return Err(error.help("without a window on both sides a join would have to remember every event for ever; count each side by itself, or correlate detections"));
    };
    let span = from.span();
    if !from.joins.is_empty() {
        let error = SqlError::new(
            "a rollup cannot join: it would have to remember the events of both sides for ever",
        );
        return Err(error
            .help(
                "read one input or logsource; what belongs together across events is a correlation",
            )
            .at(span));
    }
    let TableFactor::Table {
        name, args: None, ..
    } = &from.relation
    else {
        let error = SqlError::new("a rollup reads FROM the name of an input or logsource");
        return Err(error
            .help("without a subquery: put its conditions into WHERE, and its expressions where they are used")
            .at(span));
    };
    let parts: Option<Vec<&Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
    match parts.as_deref() {
        Some([name]) => Ok((name.value.clone(), name.span)),
        _ => Err(SqlError::new(format!("{name} is not the name of an input or logsource"))
            .help("put a name with special characters in double quotes: \"windows/process_creation\"")
            .at(span)),
    }
}

/// Refuses expressions that a rollup cannot have.
pub(super) fn expression(expr: &Expr) -> Result<(), SqlError> {
    let error = match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => SqlError::new(
            "a rollup cannot have a subquery: what it reads never ends",
        )
        .help("list the values: IN ('a', 'b'); or group by the value and compare where the rows are read"),
        Expr::Function(Function {
            over: Some(_), ..
        }) => SqlError::new(
            "a rollup cannot have window functions (OVER): rows that come after have not come yet",
        )
        .help("aggregate over the window in GROUP BY; first_value, last_value and nth_value follow event time"),
        _ => return Ok(()),
    };
    Err(error.at(expr.span()))
}

/// Functions that DataFusion has and a rollup has not: why, and what to write instead.
const MISSING: [(&[&str], &str, &str); 4] = [
    (
        &[
            "now",
            "current_timestamp",
            "current_date",
            "current_time",
            "today",
            "random",
            "uuid",
        ],
        "its value depends on when it is called, and reading the same log again would give other rows",
        "the time of an event is `_time`",
    ),
    (
        &[
            "row_number",
            "rank",
            "dense_rank",
            "percent_rank",
            "cume_dist",
            "ntile",
            "lag",
            "lead",
        ],
        "it looks at rows before and after, and those after have not come yet",
        "aggregate over the window in GROUP BY; first_value, last_value and nth_value follow event time",
    ),
    (
        &["approx_percentile_cont_with_weight"],
        "its sketch depends on the order in which partials are merged",
        "write approx_percentile_cont(x, 0.95), which counts each event once",
    ),
    (
        &["grouping", "unnest"],
        "a rollup has one list of groups and one row for each",
        SHAPE,
    ),
];

/// Refuses functions that there are not.
pub(super) fn functions(called: &[(String, Span)]) -> Result<(), SqlError> {
    let Some((name, span)) = called.iter().find(|(name, _)| !has_function(name)) else {
        return Ok(());
    };
    let missing = MISSING
        .iter()
        .find(|(names, ..)| names.contains(&name.as_str()));
    let error = match missing {
        Some((_, why, instead)) => {
            SqlError::new(format!("there is no function {name} in rollups: {why}")).help(*instead)
        }
        None => SqlError::new(format!("there is no function {name} in rollups")).help(
            match similar(name) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!(
                    "aggregates are {AGGREGATE_NAMES}; scalar functions are those of DataFusion for strings, numbers, times and regular expressions"
                ),
            },
        ),
    };
    Err(error.at(*span))
}

/// The function that a name is probably a misspelling of.
fn similar(name: &str) -> Option<&'static str> {
    let mut known: Vec<&'static str> = all_names().collect();
    known.sort_unstable();
    haechi_rules::similar(name, &known)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_function_finds_the_one_meant() {
        assert_eq!(similar("stdev"), Some("stddev"));
        assert_eq!(similar("frobnicate"), None);
    }
}
