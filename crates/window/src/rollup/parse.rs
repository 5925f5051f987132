//! The query of a rollup as a syntax tree: what it may consist of, which columns it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, Spanned, Statement,
    TableFactor, visit_expressions,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{Location, Span};
use haechi_rules::FieldType;

use super::error::SqlError;
use super::rewrite::{called, plain_text, rewrite};
use crate::batch::{RESERVED, TIME};

/// No query that a person writes nests deeper.
const RECURSION_LIMIT: usize = 64;

/// A query that has the form of a rollup, rewritten for planning:
///
/// * every item of the SELECT list has a name: its alias, or its own text;
/// * the table has no alias, and columns are single quoted identifiers (`user.name` is the field `user.name`);
/// * `CAST` is `TRY_CAST`, since a value that cannot be cast must not stop the stream: it is NULL;
/// * `BETWEEN`, `IN` with numbers and unary minus are spelled so that text is read as numbers.
#[derive(Debug)]
pub(super) struct RollupQuery {
    pub(super) statement: Statement,
    pub(super) table: String,
    pub(super) table_span: Span,
    /// The columns that it reads, sorted; `_time` is the event's time.
    pub(super) columns: BTreeSet<String>,
    /// The text of the GROUP BY items, in order.
    pub(super) group_by: Vec<String>,
    /// `min` and `max` over a column, with the place: their arguments may be text.
    pub(super) extremes: Vec<(String, String, Span)>,
}

/// Parses the text of a query.
pub(super) fn parse(
    sql: &str,
    types: &BTreeMap<String, FieldType>,
) -> Result<RollupQuery, SqlError> {
    let dialect = GenericDialect {};
    let parser = Parser::new(&dialect)
        .with_recursion_limit(RECURSION_LIMIT)
        .try_with_sql(sql);
    let statements = parser.and_then(|mut parser| parser.parse_statements());
    let mut statements = statements.map_err(syntax_error)?;
    let one = statements.pop().filter(|_| statements.is_empty());
    let Some(Statement::Query(mut query)) = one else {
        return Err(SqlError::new("a rollup is one SELECT query"));
    };
    let select = select_of(&mut query)?;
    let (table, table_span) = table_of(select)?;
    let called = called(select, &table);
    let aliases = name_projection(select, &called)?;
    let group_by = group_by_of(select, &called)?;
    rewrite(select, &called, types)?;
    let columns = columns_of(select, &aliases)?;
    let extremes = extremes_of(select);
    unalias_table(select, &table);
    Ok(RollupQuery {
        statement: Statement::Query(query),
        table,
        table_span,
        columns,
        group_by,
        extremes,
    })
}

fn syntax_error(error: ParserError) -> SqlError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => "the query is nested too deeply".to_owned(),
    };
    // The parser says where only in its message.
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return SqlError::new(text);
    };
    let location = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location::new(
            line.trim().parse().ok()?,
            column.trim().parse().ok()?,
        ))
    });
    let error = SqlError::new(message);
    match location {
        Some(location) => error.at(Span::new(location, location)),
        None => error,
    }
}

/// The SELECT of a query, when the query has nothing that makes no sense over an endless stream.
fn select_of(query: &mut Query) -> Result<&mut Select, SqlError> {
    let extras = [
        (query.with.is_some(), "WITH"),
        (query.order_by.is_some(), "ORDER BY"),
        (query.limit_clause.is_some(), "LIMIT"),
        (query.fetch.is_some(), "FETCH"),
        (!query.locks.is_empty(), "FOR UPDATE"),
        (query.for_clause.is_some(), "FOR"),
        (query.settings.is_some(), "SETTINGS"),
        (query.format_clause.is_some(), "FORMAT"),
        (!query.pipe_operators.is_empty(), "|>"),
    ];
    refuse(&extras)?;
    let span = query.body.span();
    let SetExpr::Select(select) = &mut *query.body else {
        return Err(SqlError::new("a rollup is one SELECT, without UNION or the like").at(span));
    };
    let extras = [
        (select.distinct.is_some(), "SELECT DISTINCT"),
        (select.top.is_some(), "TOP"),
        (select.exclude.is_some(), "EXCLUDE"),
        (select.into.is_some(), "INTO"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (!select.named_window.is_empty(), "WINDOW"),
        (select.qualify.is_some(), "QUALIFY"),
        (select.value_table_mode.is_some(), "AS VALUE or AS STRUCT"),
    ];
    refuse(&extras)?;
    Ok(select)
}

fn refuse(extras: &[(bool, &str)]) -> Result<(), SqlError> {
    match extras.iter().find(|(present, _)| *present) {
        None => Ok(()),
        Some((_, what)) => Err(SqlError::new(format!("a rollup cannot have {what}")).help(
            "write SELECT … FROM … [WHERE …] GROUP BY tumble(interval '1 minute'), … [HAVING …]",
        )),
    }
}

/// The one table after FROM.
fn table_of(select: &Select) -> Result<(String, Span), SqlError> {
    let [from] = select.from.as_slice() else {
        return Err(SqlError::new("a rollup reads FROM one input or logsource"));
    };
    let span = from.span();
    if !from.joins.is_empty() {
        return Err(SqlError::new("a rollup cannot join").at(span));
    }
    let TableFactor::Table {
        name, args: None, ..
    } = &from.relation
    else {
        return Err(
            SqlError::new("a rollup reads FROM the name of an input or logsource").at(span),
        );
    };
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Ok((name.value.clone(), name.span)),
        _ => Err(SqlError::new(format!("{name} is not the name of an input or logsource"))
            .help("put a name with special characters in double quotes: \"windows/process_creation\"")
            .at(span)),
    }
}

fn group_by_of(select: &Select, table: &str) -> Result<Vec<String>, SqlError> {
    match &select.group_by {
        GroupByExpr::Expressions(items, modifiers) if modifiers.is_empty() && !items.is_empty() => {
            // `GROUP BY 1` is the first item of the SELECT list.
            let position = |item: &Expr| item.to_string().parse::<usize>().ok()?.checked_sub(1);
            let selected = |item| match select.projection.get(position(item)?)? {
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
                _ => None,
            };
            let name = |item| selected(item).unwrap_or_else(|| plain_text(item, table));
            Ok(items.iter().map(name).collect())
        }
        GroupByExpr::Expressions(items, modifiers) if modifiers.is_empty() && items.is_empty() => {
            Err(SqlError::new("a rollup needs a time window to GROUP BY")
                .help("add GROUP BY tumble(interval '1 minute')"))
        }
        other => Err(SqlError::new("a rollup needs a plain list to GROUP BY").at(other.span())),
    }
}

/// Gives every item of the SELECT list a name; returns the names that the query itself gave.
fn name_projection(select: &mut Select, table: &str) -> Result<BTreeSet<String>, SqlError> {
    let mut aliases = BTreeSet::new();
    let mut names = BTreeSet::new();
    for item in &mut select.projection {
        let span = item.span();
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (
                expr.clone(),
                Ident::with_quote('"', plain_text(expr, table)),
            ),
            SelectItem::ExprWithAlias { expr, alias } => {
                aliases.insert(alias.value.clone());
                (expr.clone(), alias.clone())
            }
            _ => {
                let error = SqlError::new("a rollup cannot select *");
                return Err(error.help("name the columns").at(span));
            }
        };
        if !names.insert(alias.value.clone()) {
            let error = SqlError::new(format!("two columns are called `{}`", alias.value));
            return Err(error.help("give one of them another name with AS").at(span));
        }
        *item = SelectItem::ExprWithAlias { expr, alias };
    }
    Ok(aliases)
}

/// The columns that the query reads. SELECT and WHERE see only columns; a name in GROUP BY and HAVING is an alias where
/// there is one and no column of that name is read elsewhere.
fn columns_of(select: &Select, aliases: &BTreeSet<String>) -> Result<BTreeSet<String>, SqlError> {
    let mut columns = BTreeSet::new();
    for item in &select.projection {
        identifiers(item, &mut |name| {
            columns.insert(name.value.clone());
        });
    }
    identifiers(&select.selection, &mut |name| {
        columns.insert(name.value.clone());
    });
    let mut later = BTreeSet::new();
    identifiers(&select.group_by, &mut |name| {
        later.insert(name.value.clone());
    });
    identifiers(&select.having, &mut |name| {
        later.insert(name.value.clone());
    });
    columns.extend(later.into_iter().filter(|name| !aliases.contains(name)));
    let unreadable = |name: &&&str| **name != TIME && columns.contains(**name);
    match RESERVED.iter().find(unreadable) {
        Some(name) => Err(SqlError::new(format!(
            "`{name}` cannot be read in a rollup"
        ))),
        None => Ok(columns),
    }
}

fn identifiers<V: datafusion_sql::sqlparser::ast::Visit>(part: &V, found: &mut impl FnMut(&Ident)) {
    let _ = visit_expressions(part, |expr| {
        if let Expr::Identifier(ident) = expr {
            found(ident);
        }
        ControlFlow::<()>::Continue(())
    });
}

/// `min(column)` and `max(column)`: function, column, place.
fn extremes_of(select: &Select) -> Vec<(String, String, Span)> {
    let mut extremes = Vec::new();
    let _ = visit_expressions(select, |expr| {
        if let Expr::Function(Function {
            name,
            args: FunctionArguments::List(args),
            ..
        }) = expr
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(column)))] =
                args.args.as_slice()
        {
            let function = name.to_string().to_lowercase();
            if function == "min" || function == "max" {
                extremes.push((function, column.value.clone(), column.span));
            }
        }
        ControlFlow::<()>::Continue(())
    });
    extremes
}

fn unalias_table(select: &mut Select, table: &str) {
    if let Some(from) = select.from.first_mut()
        && let TableFactor::Table { name, alias, .. } = &mut from.relation
    {
        *alias = None;
        let span = name.span();
        *name = ObjectName::from(vec![Ident::with_quote_and_span('"', span, table)]);
    }
}

/// The functions that a query calls, with their places.
pub(super) fn functions(statement: &Statement) -> Vec<(String, Span)> {
    let mut functions = Vec::new();
    let _ = visit_expressions(statement, |expr| {
        if let Expr::Function(function) = expr {
            functions.push((
                function.name.to_string().to_lowercase(),
                function.name.span(),
            ));
        }
        ControlFlow::<()>::Continue(())
    });
    functions
}
