//! The query of a rollup as a syntax tree: what it may consist of, which columns it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    ObjectName, Select, SelectItem, SetExpr, Spanned, Statement, TableFactor, Visit,
    visit_expressions,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{Location, Span};
use haechi_rules::FieldType;

use super::error::SqlError;
use super::order::PLACE;
use super::refuse;
use super::refuse::{select_of, table_of};
use super::rewrite::{add_window_end, called, plain_text, rewrite};
use super::summary::follows_order;
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
    /// It calls `session`.
    pub(super) has_session: bool,
    /// The text of the GROUP BY items, in order.
    pub(super) group_by: Vec<String>,
    /// What the query says, without what is added for planning.
    pub(super) meaning: String,
    /// The functions that it calls and the columns that it names, with their places.
    pub(super) places: Vec<(String, Span)>,
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
    let calls = functions(&*select);
    refuse::functions(&calls)?;
    let mut columns = columns_of(select, &aliases)?;
    let has_session = calls.iter().any(|(name, _)| name == "session");
    if calls.iter().any(|(name, _)| follows_order(name)) {
        columns.insert(PLACE.to_owned());
    }
    let extremes = extremes_of(select);
    let mut places = calls;
    identifiers(&*select, &mut |name| {
        places.push((name.value.clone(), name.span))
    });
    unalias_table(select, &table);
    let meaning = query.to_string();
    if let SetExpr::Select(select) = &mut *query.body {
        add_window_end(select);
    }
    Ok(RollupQuery {
        meaning,
        places,
        statement: Statement::Query(query),
        table,
        table_span,
        columns,
        has_session,
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
    match RESERVED.iter().chain(&[PLACE]).find(unreadable) {
        Some(name) => Err(SqlError::new(format!(
            "`{name}` cannot be read in a rollup"
        ))),
        None => Ok(columns),
    }
}

fn identifiers<V: Visit>(part: &V, found: &mut impl FnMut(&Ident)) {
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

/// The functions that a query or a part of it calls, with their places.
pub(super) fn functions<V: Visit>(part: &V) -> Vec<(String, Span)> {
    let mut functions = Vec::new();
    let _ = visit_expressions(part, |expr| {
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
