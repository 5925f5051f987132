//! The columns and expressions of a query, rewritten for planning.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, ObjectName, ObjectNamePart,
    Select, SelectItem, Spanned, TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::tokenizer::Span;
use haechi_rules::FieldType;

use super::error::SqlError;
use super::{number, refuse, window};
use crate::batch::TIME;

/// How queries call the event's time; `_time` is understood too.
const EVENT_TIME: &str = "event_time";

/// Rewrites the expressions of a query in place, as described at [`super::parse::RollupQuery`]. `table` is what the query calls its
/// table ([`called`]).
pub(super) fn rewrite(
    select: &mut Select,
    table: &str,
    types: &BTreeMap<String, FieldType>,
) -> Result<(), SqlError> {
    let window = WindowNames::of(select);
    let mut rewriting = Rewriting {
        table,
        types,
        window,
    };
    match select.visit(&mut rewriting) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Groups by the end of the window too, so that the query may speak of it.
pub(super) fn add_window_end(select: &mut Select) {
    if let GroupByExpr::Expressions(items, _) = &mut select.group_by {
        items.push(call(window::END, Vec::new()));
    }
}

/// How a query speaks of its window: `window_start` and `window_end`, or `w.start` and `w.end` where the window is selected `AS w`.
#[derive(Default)]
struct WindowNames {
    /// The call of the window function.
    call: Option<Expr>,
    alias: Option<String>,
}

impl WindowNames {
    fn of(select: &Select) -> Self {
        let mut names = Self::default();
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr, alias } = item
                && is_window(expr)
            {
                names.alias = Some(alias.value.clone());
                names.call = Some(expr.clone());
            }
        }
        if let GroupByExpr::Expressions(items, _) = &select.group_by
            && let Some(call) = items.iter().find(|item| is_window(item))
        {
            names.call = Some(call.clone());
        }
        names
    }

    /// What a column stands for when it is a part of the window.
    fn part(&self, path: &[&str]) -> Option<Expr> {
        let call = self.call.as_ref()?;
        let part = match path {
            ["window_start"] => "start",
            ["window_end"] => "end",
            [window, part] if self.alias.as_deref() == Some(window) => part,
            _ => return None,
        };
        match part {
            "start" => Some(call.clone()),
            "end" => Some(self::call(window::END, Vec::new())),
            _ => None,
        }
    }
}

fn is_window(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            window::NAMES.contains(&name.as_str())
        }
        Expr::Nested(inner) => is_window(inner),
        _ => false,
    }
}

/// What the query calls its table.
pub(super) fn called(select: &Select, table: &str) -> String {
    match select.from.first().map(|from| &from.relation) {
        Some(TableFactor::Table {
            alias: Some(alias), ..
        }) => alias.name.value.clone(),
        _ => table.to_owned(),
    }
}

/// An expression as its author would call it: a column without quotes, anything else as SQL.
pub(super) fn plain_text(expr: &Expr, table: &str) -> String {
    path(expr).map_or_else(|| expr.to_string(), |path| column_name(&path, table))
}

struct Rewriting<'a> {
    table: &'a str,
    types: &'a BTreeMap<String, FieldType>,
    window: WindowNames,
}

impl VisitorMut for Rewriting<'_> {
    type Break = SqlError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let span = expr.span();
        if let Some(path) = path(expr) {
            let declared = self.types.contains_key(&path.join("."));
            *expr = match self.window.part(&path).filter(|_| !declared) {
                Some(part) => part,
                None => Expr::Identifier(self.column(&path, span)),
            };
            return ControlFlow::Continue(());
        }
        if let Err(error) = refuse::expression(expr) {
            return ControlFlow::Break(error);
        }
        match expr {
            Expr::Cast { kind, .. } => *kind = CastKind::TryCast,
            _ => self.spell_out(expr),
        }
        ControlFlow::Continue(())
    }
}

impl Rewriting<'_> {
    fn column(&self, path: &[&str], span: Span) -> Ident {
        let name = column_name(path, self.table);
        let is_time = name == EVENT_TIME && !self.types.contains_key(EVENT_TIME);
        let name = if is_time { TIME.to_owned() } else { name };
        Ident::with_quote_and_span('"', span, name)
    }

    /// `BETWEEN` and `-x` as binary operations, and `x IN (1, 2)` as `number(x) IN (1, 2)`.
    fn spell_out(&self, expr: &mut Expr) {
        let spelled = match expr {
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => {
                let low = binary((**expr).clone(), BinaryOperator::GtEq, (**low).clone());
                let high = binary((**expr).clone(), BinaryOperator::LtEq, (**high).clone());
                negate(binary(low, BinaryOperator::And, high), *negated)
            }
            Expr::InList { expr, list, .. } if list.iter().any(is_number) => {
                if !self.is_declared_number(expr) {
                    **expr = call(number::NAME, vec![(**expr).clone()]);
                }
                return;
            }
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } if !is_number(expr) => {
                let zero = Expr::Value(Value::Number("0".to_owned(), false).with_empty_span());
                binary(zero, BinaryOperator::Minus, (**expr).clone())
            }
            _ => return,
        };
        *expr = spelled;
    }

    /// Whether the expression is a column of a declared type other than text.
    fn is_declared_number(&self, expr: &Expr) -> bool {
        let of = path(expr).and_then(|path| self.types.get(&column_name(&path, self.table)));
        of.is_some_and(|of| *of != FieldType::String)
    }
}

/// The name of a column: its parts, without the table's name.
fn column_name(path: &[&str], table: &str) -> String {
    match path {
        [first, rest @ ..] if !rest.is_empty() && *first == table => rest.join("."),
        all => all.join("."),
    }
}

/// The parts of a column's name; none when the expression is no column.
fn path(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Identifier(name) => Some(vec![&name.value]),
        Expr::CompoundIdentifier(parts) => {
            Some(parts.iter().map(|part| part.value.as_str()).collect())
        }
        // `user`, `current_date` and the like are functions to the parser, but to people they are fields of events.
        Expr::Function(Function {
            name,
            args: FunctionArguments::None,
            over: None,
            ..
        }) => {
            let parts = name.0.iter().map(ObjectNamePart::as_ident);
            parts.map(|part| Some(part?.value.as_str())).collect()
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            let mut parts = path(root)?;
            for access in access_chain {
                match access {
                    AccessExpr::Dot(part) => parts.extend(path(part)?),
                    AccessExpr::Subscript(_) => return None,
                }
            }
            Some(parts)
        }
        _ => None,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    let nested = |expr| Box::new(Expr::Nested(Box::new(expr)));
    Expr::BinaryOp {
        left: nested(left),
        op,
        right: nested(right),
    }
}

fn negate(expr: Expr, negated: bool) -> Expr {
    if negated {
        let expr = Box::new(Expr::Nested(Box::new(expr)));
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        }
    } else {
        expr
    }
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::Number(..)),
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => is_number(expr),
        _ => false,
    }
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let arguments = arguments.into_iter().map(FunctionArgExpr::Expr);
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.map(FunctionArg::Unnamed).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
