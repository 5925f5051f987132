//! The specification read literally: one rule, one event, one value, one character at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use chrono::DateTime;
use haechi_rules::{
    DetectionRule, Expr, FieldTest, Logsource, Piece, Position, Test, Text, TimePart,
};
use ipnet::IpNet;
use regex::Regex;

use crate::events::Event;

/// Whether the rule matches the event, whose class has these logsources.
pub(crate) fn matches(rule: &DetectionRule, class: &[Logsource], event: &Event) -> bool {
    class.iter().any(|source| rule.logsource.covers(source)) && holds(&rule.condition, event)
}

fn holds(condition: &Expr, event: &Event) -> bool {
    match condition {
        Expr::And(parts) => parts.iter().all(|part| holds(part, event)),
        Expr::Or(parts) => parts.iter().any(|part| holds(part, event)),
        Expr::Not(inner) => !holds(inner, event),
        Expr::AtLeast(count, parts) => {
            parts.iter().filter(|part| holds(part, event)).count() >= *count
        }
        Expr::Field(test) => field_holds(test, event),
        Expr::Keyword(text) => {
            let mut values = event.fields.values().flatten().flatten();
            let chars = |value: &str| value.chars().collect::<Vec<_>>();
            values.any(|value| covers(&pieces(text), &chars(value), text.cased))
        }
        Expr::Const(value) => *value,
    }
}

fn field_holds(FieldTest { field, test }: &FieldTest, event: &Event) -> bool {
    let values = event.fields.get(&**field);
    match test {
        Test::Exists(wanted) => values.is_some() == *wanted,
        Test::Null => values.is_none_or(|values| values.contains(&None)),
        _ => values
            .into_iter()
            .flatten()
            .flatten()
            .any(|value| value_passes(test, value, event)),
    }
}

fn value_passes(test: &Test, value: &str, event: &Event) -> bool {
    match test {
        Test::Text(text) => covers(
            &pieces(text),
            &value.chars().collect::<Vec<_>>(),
            text.cased,
        ),
        Test::Regex(regex) => Regex::new(regex).unwrap().is_match(value),
        Test::Compare(op, number) => {
            let decimal =
                Regex::new(r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$").unwrap();
            decimal.is_match(value) && op.holds(value.parse().unwrap(), *number)
        }
        Test::TimePart(part, op, number) => {
            let seconds = Regex::new(r"^-?[0-9]+\.?[0-9]*$").unwrap();
            let value = value.trim();
            let time = if seconds.is_match(value) {
                let seconds: f64 = value.parse().unwrap();
                DateTime::from_timestamp(seconds.floor() as i64, 0)
            } else {
                DateTime::parse_from_rfc3339(value)
                    .ok()
                    .map(|time| time.to_utc())
            };
            let Some(time) = time else { return false };
            let format = match part {
                TimePart::Minute => "%M",
                TimePart::Hour => "%H",
                TimePart::Day => "%d",
                TimePart::Week => "%V",
                TimePart::Month => "%m",
                TimePart::Year => "%Y",
            };
            op.holds(time.format(format).to_string().parse().unwrap(), *number)
        }
        Test::Cidr(network, length) => {
            let address = value.split('%').next().unwrap();
            let network = IpNet::new(*network, *length).unwrap();
            (value.contains(':') || !value.contains('%'))
                && address
                    .parse()
                    .is_ok_and(|address: IpAddr| network.contains(&address.to_canonical()))
        }
        Test::FieldRef {
            other,
            position,
            cased,
        } => {
            let others = event.fields.get(&**other).into_iter().flatten().flatten();
            let literal = |text: &str| text.chars().map(One::Char).collect::<Vec<_>>();
            let value: Vec<char> = value.chars().collect();
            others.into_iter().any(|other| {
                let mut pattern = literal(other);
                if matches!(position, Position::End | Position::Contains) {
                    pattern.insert(0, One::AnyString);
                }
                if matches!(position, Position::Start | Position::Contains) {
                    pattern.push(One::AnyString);
                }
                covers(&pattern, &value, *cased)
            })
        }
        Test::Exists(_) | Test::Null => false,
    }
}

/// A pattern, one character at a time.
#[derive(Clone, Copy)]
enum One {
    Char(char),
    AnyChar,
    AnyString,
}

fn pieces(text: &Text) -> Vec<One> {
    let one = |piece: &Piece| match piece {
        Piece::Literal(text) => text.chars().map(One::Char).collect(),
        Piece::AnyChar => vec![One::AnyChar],
        Piece::AnyString => vec![One::AnyString],
    };
    text.pattern.pieces.iter().flat_map(one).collect()
}

fn covers(pattern: &[One], value: &[char], cased: bool) -> bool {
    match pattern {
        [] => value.is_empty(),
        [One::AnyString, rest @ ..] => {
            (0..=value.len()).any(|from| covers(rest, &value[from..], cased))
        }
        [One::AnyChar, rest @ ..] => !value.is_empty() && covers(rest, &value[1..], cased),
        [One::Char(c), rest @ ..] => {
            let same = |other: char| if cased { *c == other } else { alike(*c, other) };
            value.first().is_some_and(|&other| same(other)) && covers(rest, &value[1..], cased)
        }
    }
}

/// Whether two characters are equal without case; the regex crate is the judge.
fn alike(a: char, b: char) -> bool {
    thread_local! {
        static REGEXES: RefCell<HashMap<char, Regex>> = RefCell::default();
    }
    REGEXES.with_borrow_mut(|regexes| {
        let regex = || Regex::new(&format!(r"(?i)^\x{{{:x}}}$", u32::from(a))).unwrap();
        regexes
            .entry(a)
            .or_insert_with(regex)
            .is_match(b.encode_utf8(&mut [0; 4]))
    })
}
