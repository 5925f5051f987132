//! The selections of a detection: mappings (all must hold), lists (any), keywords.

use std::sync::Arc;

use crate::codes;
use crate::diagnostic::Span;
use crate::modifier::{self, Chain, Kind};
use crate::report::Report;
use crate::tree::{Item, Tree, Value};
use crate::value;
use crate::yaml::{Data, Entry, Node};

/// What a selection stands for. Complains about everything wrong in it, and gives none when anything is.
///
/// A mapping is all of its items; a list is any of its own; a scalar is a keyword.
pub(crate) fn read(node: &Node<'_>, name: &str, report: &mut Report<'_>) -> Option<Tree> {
    match &node.data {
        Data::Scalar(..) => {
            let value = value::keyword(node, &keyword_chain(), report)?;
            Some(Tree::Item(bare(None, vec![value], node.span)))
        }
        Data::List(items) if items.is_empty() => empty(node.span, name, report),
        Data::Map(entries) if entries.is_empty() => empty(node.span, name, report),
        Data::List(items) => {
            // All are read before any is judged, so that every mistake is reported at once.
            let parts: Vec<Option<Tree>> =
                items.iter().map(|item| read(item, name, report)).collect();
            parts
                .into_iter()
                .collect::<Option<Vec<Tree>>>()
                .map(Tree::Any)
        }
        Data::Map(entries) => {
            let parts: Vec<Option<Tree>> =
                entries.iter().map(|entry| item(entry, report)).collect();
            parts
                .into_iter()
                .collect::<Option<Vec<Tree>>>()
                .map(Tree::All)
        }
    }
}

fn empty(span: Span, name: &str, report: &mut Report<'_>) -> Option<Tree> {
    report.add(
        &codes::EMPTY_DETECTION,
        span,
        format!("there is nothing in `{name}`"),
    );
    None
}

fn keyword_chain() -> Chain {
    Chain {
        kind: Kind::Text,
        steps: Vec::new(),
        all: false,
        neq: false,
        cased: false,
        expand: false,
    }
}

/// An item whose values are alternatives.
fn bare(field: Option<Arc<str>>, values: Vec<Value>, span: Span) -> Item {
    Item {
        field,
        values,
        all: false,
        neq: false,
        span,
        applied: Vec::new(),
        mapped: false,
    }
}

/// One item of a mapping: `Field|modifier|…: value or list of values`. Without a field's name, keywords.
fn item(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Tree> {
    let (name, modifiers) = split_key(entry);
    let chain = modifier::read(&modifiers, report)?;
    let values = entry.value.items();
    if values.is_empty() {
        let message = format!("`{}` has no values", entry.key);
        report.advise(
            &codes::EMPTY_DETECTION,
            entry.value.span,
            message,
            "for a field that is absent, write `null`",
        );
        return None;
    }
    warn_of_idle_all(&chain, values, entry, report);
    if chain.kind == Kind::Exists && values.len() > 1 {
        report.add(
            &codes::BAD_VALUE,
            entry.value.span,
            "`exists` takes one value, true or false",
        );
        return None;
    }
    let read = |value| match name {
        "" => value::keyword(value, &chain, report),
        _ => value::field(value, &chain, report),
    };
    let read: Vec<Option<Value>> = values.iter().map(read).collect();
    let values = read.into_iter().collect::<Option<Vec<Value>>>()?;
    let field = (!name.is_empty()).then(|| name.into());
    Some(Tree::Item(Item {
        all: chain.all,
        neq: chain.neq,
        ..bare(field, values, entry.key_span)
    }))
}

/// A key's field name and its modifiers, each with its place. In a key that was written with escapes or over several lines the
/// places are only near.
pub(crate) fn split_key<'e>(entry: &'e Entry<'_>) -> (&'e str, Vec<(&'e str, Span)>) {
    let mut parts = entry.key.split('|');
    let name = parts.next().unwrap_or_default();
    let width = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let quote = u32::from(entry.key_span.len == width(&entry.key).saturating_add(2));
    let mut column = entry
        .key_span
        .column
        .saturating_add(quote)
        .saturating_add(width(name));
    let modifiers = parts
        .map(|modifier| {
            let len = width(modifier);
            let span = Span {
                column: column.saturating_add(1),
                len,
                ..entry.key_span
            };
            column = column.saturating_add(len).saturating_add(1);
            (modifier, span)
        })
        .collect();
    (name, modifiers)
}

fn warn_of_idle_all(
    chain: &Chain,
    values: &[Node<'_>],
    entry: &Entry<'_>,
    report: &mut Report<'_>,
) {
    if chain.all && values.len() == 1 {
        report.add(
            &codes::NO_EFFECT,
            entry.key_span,
            "`all` changes nothing, for there is only one value",
        );
    }
}
