//! Transformations of field names.

use std::sync::Arc;

use crate::detection::Test;
use crate::tree::{Item, Tree, Value};

/// What a field is called instead.
#[derive(Debug, Clone)]
pub(super) enum Rename {
    /// By its whole name.
    Mapping(Names),
    /// By how its name begins.
    Prefixes(Names),
    Prefix(String),
    Suffix(String),
    /// By a function, except where the mapping has the name.
    Function(Function, Names),
}

/// Names, and what stands for each; several are alternatives. In the order written.
pub(super) type Names = Vec<(String, Vec<String>)>;

/// What is done to the letters of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Lower,
    Upper,
    Title,
    SnakeCase,
}

impl Rename {
    /// The names that stand for this one; none where it stays as it is.
    pub(super) fn of(&self, field: &str) -> Option<Vec<String>> {
        match self {
            Self::Mapping(names) => look_up(names, field),
            Self::Prefixes(names) => {
                let found = names
                    .iter()
                    .find_map(|(prefix, others)| Some((field.strip_prefix(&**prefix)?, others)));
                found.map(|(rest, others)| {
                    others
                        .iter()
                        .map(|other| format!("{other}{rest}"))
                        .collect()
                })
            }
            Self::Prefix(prefix) => Some(vec![format!("{prefix}{field}")]),
            Self::Suffix(suffix) => Some(vec![format!("{field}{suffix}")]),
            Self::Function(function, names) => {
                look_up(names, field).or_else(|| Some(vec![function.apply(field)]))
            }
        }
    }
}

fn look_up(names: &Names, field: &str) -> Option<Vec<String>> {
    let found = names.iter().find(|(name, _)| name == field);
    found.map(|(_, others)| others.clone())
}

impl Function {
    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Title => title(text),
            Self::SnakeCase => snake_case(text),
        }
    }
}

/// Every word begins with a capital, and has no other.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

/// `ParentProcessId` and `HTTPMethod` as `parent_process_id` and `http_method`.
pub(super) fn snake_case(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 4);
    let mut before: Option<char> = None;
    for (index, c) in characters.iter().enumerate() {
        let next_is_lower = characters
            .get(index + 1)
            .is_some_and(|next| next.is_lowercase());
        let begins_word = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_numeric()
                    || (before.is_uppercase() && next_is_lower)
            });
        if begins_word {
            out.push('_');
        }
        if matches!(c, ' ' | '-') {
            out.push('_');
        } else {
            out.extend(c.to_lowercase());
        }
        before = Some(*c);
    }
    out
}

/// The item with another field. Of several, any will do; but what is not to be there must be in none of them.
pub(super) fn renamed(item: Item, names: &[String]) -> Tree {
    let each: Vec<Tree> = names
        .iter()
        .map(|name| {
            Tree::Item(Item {
                field: Some(Arc::from(name.as_str())),
                mapped: true,
                ..item.clone()
            })
        })
        .collect();
    match each.as_slice() {
        [only] => only.clone(),
        _ if item.neq || asks_for_absence(&item) => Tree::All(each),
        _ => Tree::Any(each),
    }
}

fn asks_for_absence(item: &Item) -> bool {
    item.values.iter().any(|value| match value {
        Value::Tests(tests) => tests
            .iter()
            .any(|test| matches!(test, Test::Null | Test::Exists(false))),
        Value::Template(_) => false,
    })
}

/// The item with the other side of its references to fields called anew.
pub(super) fn other_side(item: &mut Item, rename: impl Fn(&str) -> Option<Vec<String>>) {
    for value in &mut item.values {
        let Value::Tests(tests) = value else { continue };
        *tests = std::mem::take(tests)
            .into_iter()
            .flat_map(|test| match &test {
                Test::FieldRef {
                    other,
                    position,
                    cased,
                } => match rename(other) {
                    Some(names) => names
                        .into_iter()
                        .map(|name| Test::FieldRef {
                            other: name.into(),
                            position: *position,
                            cased: *cased,
                        })
                        .collect(),
                    None => vec![test],
                },
                _ => vec![test],
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_turned_as_people_would() {
        for (name, snake, titled) in [
            ("CommandLine", "command_line", "Commandline"),
            ("ParentProcessId", "parent_process_id", "Parentprocessid"),
            ("HTTPMethod", "http_method", "Httpmethod"),
            ("c-uri", "c_uri", "C-Uri"),
            ("user", "user", "User"),
        ] {
            assert_eq!(Function::SnakeCase.apply(name), snake);
            assert_eq!(Function::Title.apply(name), titled);
        }
    }

    #[test]
    fn the_first_prefix_that_fits_is_taken() {
        let rename = Rename::Prefixes(vec![
            ("Target".to_owned(), vec!["t.".to_owned(), "u.".to_owned()]),
            ("Tar".to_owned(), vec!["x.".to_owned()]),
        ]);
        assert_eq!(
            rename.of("TargetUser"),
            Some(vec!["t.User".to_owned(), "u.User".to_owned()])
        );
        assert_eq!(rename.of("Tarpit"), Some(vec!["x.pit".to_owned()]));
        assert_eq!(rename.of("Image"), None);
    }
}
