//! A value of a detection and its modifiers, as tests of a field.

use std::net::IpAddr;

use crate::codes::{self, Code};
use crate::detection::{CompareOp, Position, Test, Text, TimePart};
use crate::encode;
use crate::modifier::{Chain, Flags, Kind, Step};
use crate::pattern::Pattern;
use crate::regex;
use crate::report::Report;
use crate::scalar::Scalar;
use crate::template::Template;
use crate::tree::Value;
use crate::yaml::{Data, Node, Style};

/// What one value of a field stands for. Complains and gives none when the modifiers cannot take it.
pub(crate) fn field(value: &Node<'_>, chain: &Chain, report: &mut Report<'_>) -> Option<Value> {
    let Some(scalar) = value.scalar() else {
        let message = format!(
            "a value must be text, a number, a boolean or null, not {}",
            value.kind()
        );
        report.add(&codes::WRONG_TYPE, value.span, message);
        return None;
    };
    if chain.expand {
        return expand(value, chain, false, report);
    }
    let tests = match tests(&scalar, value, chain, report) {
        Ok(tests) => tests,
        Err(Refusal { code, message }) => {
            report.add(code, value.span, message);
            return None;
        }
    };
    (!tests.is_empty()).then_some(Value::Tests(tests))
}

/// A value behind `expand`.
fn expand(
    value: &Node<'_>,
    chain: &Chain,
    keyword: bool,
    report: &mut Report<'_>,
) -> Option<Value> {
    match Template::read(value.text().unwrap_or_default(), chain, keyword, value.span) {
        Ok(template) => Some(Value::Template(template)),
        Err(text) => {
            report.advise(
                &codes::NO_EFFECT,
                value.span,
                "`expand` changes nothing, for the value has no placeholder",
                "placeholders are written `%name%`",
            );
            let plain = Node {
                span: value.span,
                data: match &value.data {
                    Data::Scalar(_, style) => Data::Scalar(text.into(), *style),
                    _ => Data::Scalar(text.into(), Style::Quoted),
                },
            };
            let chain = Chain {
                expand: false,
                ..chain.clone()
            };
            if keyword {
                self::keyword(&plain, &chain, report)
            } else {
                field(&plain, &chain, report)
            }
        }
    }
}

/// The keyword that a value stands for: its text anywhere in some value of the event, unless `startswith` or `endswith` say where.
pub(crate) fn keyword(value: &Node<'_>, chain: &Chain, report: &mut Report<'_>) -> Option<Value> {
    let spelt = match value.scalar() {
        Some(Scalar::Null) | None => {
            report.add(
                &codes::BAD_KEYWORD,
                value.span,
                format!("a keyword must be text, not {}", value.kind()),
            );
            return None;
        }
        Some(_) => value.text().unwrap_or_default(),
    };
    if chain.kind != Kind::Text {
        let message = "keywords can only be looked for as text: they belong to no field";
        report.advise(
            &codes::BAD_KEYWORD,
            value.span,
            message,
            "name the field, as in `Message|re: …`",
        );
        return None;
    }
    if chain.expand {
        return expand(value, chain, true, report);
    }
    let mut steps = chain.steps.clone();
    if !steps.iter().any(|step| matches!(step, Step::At(_))) {
        steps.push(Step::At(Position::Contains));
    }
    match encode::apply(Pattern::parse(spelt), &steps) {
        Ok(patterns) => {
            report.expand(patterns.len(), value.span)?;
            warn_if_only_wildcards(patterns.first(), value, false, report);
            let test = |pattern| {
                Test::Text(Text {
                    pattern,
                    cased: chain.cased,
                })
            };
            Some(Value::Tests(patterns.into_iter().map(test).collect()))
        }
        Err(message) => {
            report.add(&codes::BAD_VALUE, value.span, message);
            None
        }
    }
}

/// Why modifiers cannot take a value.
struct Refusal {
    code: &'static Code,
    message: String,
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        code: &codes::BAD_VALUE,
        message: message.into(),
    })
}

/// The tests of which any must hold; none when what is wrong has been said already.
fn tests(
    scalar: &Scalar<'_>,
    value: &Node<'_>,
    chain: &Chain,
    report: &mut Report<'_>,
) -> Result<Vec<Test>, Refusal> {
    match (chain.kind, scalar) {
        (Kind::Exists, Scalar::Bool(wanted)) => Ok(vec![Test::Exists(*wanted)]),
        (Kind::Exists, _) => refuse(format!(
            "`exists` takes true or false, not {}",
            value.kind()
        )),
        (Kind::Text, Scalar::Null) if chain.steps.is_empty() => Ok(vec![Test::Null]),
        (_, Scalar::Null) => {
            refuse("null has no text or number that these modifiers could work on")
        }
        (Kind::Text, _) => text(scalar, value, chain, report),
        (Kind::Regex(flags), _) => {
            let pattern = value.text().unwrap_or_default();
            let whole = with_flags(pattern, flags, &chain.steps);
            let sound = regex::check(value, pattern, &whole, report).is_some();
            Ok(if sound {
                vec![Test::Regex(whole)]
            } else {
                Vec::new()
            })
        }
        (Kind::Compare(op), _) => match scalar.number() {
            Some(number) => Ok(vec![Test::Compare(op, number)]),
            None => refuse(format!("this compares with a number, not {}", value.kind())),
        },
        (Kind::Time(part, op), _) => time_part(part, op, scalar, value.kind()),
        (Kind::Cidr, _) => {
            network(value, report).map(|(address, prefix)| vec![Test::Cidr(address, prefix)])
        }
        (Kind::FieldRef, _) => {
            let other = value.text().unwrap_or_default();
            if other.is_empty() || Pattern::parse(other) != Pattern::literal(other) {
                return refuse(
                    "`fieldref` takes the name of another field, without wildcards or escapes",
                );
            }
            Ok(vec![Test::FieldRef {
                other: other.into(),
                position: position(&chain.steps),
                cased: chain.cased,
            }])
        }
    }
}

fn text(
    scalar: &Scalar<'_>,
    value: &Node<'_>,
    chain: &Chain,
    report: &mut Report<'_>,
) -> Result<Vec<Test>, Refusal> {
    let pattern = match scalar {
        // Numbers of events are compared as they are spelt, and a fraction can be spelt in many ways.
        Scalar::Float(number) if chain.steps.is_empty() => {
            return Ok(vec![Test::Compare(CompareOp::Eq, *number)]);
        }
        Scalar::Int(decimal) if chain.steps.is_empty() => {
            warn_of_leading_zero(value, report);
            Pattern::literal(decimal.as_str())
        }
        Scalar::Bool(value) => Pattern::literal(value.to_string()),
        _ => Pattern::parse(value.text().unwrap_or_default()),
    };
    let patterns = match encode::apply(pattern, &chain.steps) {
        Ok(patterns) => patterns,
        Err(message) => return refuse(message),
    };
    warn_if_only_wildcards(patterns.first(), value, true, report);
    Ok(patterns
        .into_iter()
        .map(|pattern| {
            Test::Text(Text {
                pattern,
                cased: chain.cased,
            })
        })
        .collect())
}

/// A part of a date against a number; one that it can never equal is a mistake.
fn time_part(
    part: TimePart,
    op: Option<CompareOp>,
    scalar: &Scalar<'_>,
    kind: &str,
) -> Result<Vec<Test>, Refusal> {
    let name = part.as_str();
    let Some(number) = scalar.number() else {
        return refuse(format!("`{name}` is compared with a number, not {kind}"));
    };
    let (first, last) = part.range();
    let can_be = number.fract() == 0.0 && (first..=last).contains(&number);
    if op.is_none() && !can_be {
        return refuse(format!(
            "`{name}` is a whole number from {first} to {last}, and never {number}"
        ));
    }
    Ok(vec![Test::TimePart(
        part,
        op.unwrap_or(CompareOp::Eq),
        number,
    )])
}

fn position(steps: &[Step]) -> Position {
    let at = |step: &Step| match step {
        Step::At(position) => Some(*position),
        _ => None,
    };
    steps.iter().find_map(at).unwrap_or(Position::Whole)
}

/// The pattern with its flags and anchors. It is looked for anywhere, so `contains` adds nothing.
fn with_flags(pattern: &str, flags: Flags, steps: &[Step]) -> String {
    let anchored = match position(steps) {
        Position::Whole | Position::Contains => pattern.to_owned(),
        Position::Start => format!(r"\A(?:{pattern})"),
        Position::End => format!(r"(?:{pattern})\z"),
    };
    let letters: String = [
        (flags.ignore_case, 'i'),
        (flags.multi_line, 'm'),
        (flags.dot_all, 's'),
    ]
    .into_iter()
    .filter_map(|(set, letter)| set.then_some(letter))
    .collect();
    if letters.is_empty() {
        anchored
    } else {
        format!("(?{letters}){anchored}")
    }
}

/// The network that a value names: an address with a prefix length, or an address alone. IPv4 networks written as IPv6
/// (`::ffff:10.0.0.0/104`) become IPv4 ones.
fn network(value: &Node<'_>, report: &mut Report<'_>) -> Result<(IpAddr, u8), Refusal> {
    let spelt = value.text().unwrap_or_default();
    let wrong = || Refusal {
        code: &codes::BAD_NETWORK,
        message: format!(
            "`{spelt}` is not a network; write an address and the length of its prefix, as in 10.0.0.0/8"
        ),
    };
    let (address, prefix) = spelt
        .split_once('/')
        .map_or((spelt, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let widest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => widest,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| wrong())?
        }
        Some(_) => return Err(wrong()),
    };
    if prefix > widest {
        return Err(wrong());
    }
    let (address, prefix) = match address {
        IpAddr::V6(v6) if prefix >= 96 => match v6.to_ipv4_mapped() {
            Some(v4) => (IpAddr::V4(v4), prefix - 96),
            None => (address, prefix),
        },
        _ => (address, prefix),
    };
    let masked = mask(address, prefix);
    if masked != address {
        let message =
            format!("`{spelt}` has bits beyond its prefix; it is taken as {masked}/{prefix}");
        report.add(&codes::HOST_BITS, value.span, message);
    }
    Ok((masked, prefix))
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let kept = u32::MAX
                .checked_shl(32 - u32::from(prefix.min(32)))
                .unwrap_or(0);
            IpAddr::V4((v4.to_bits() & kept).into())
        }
        IpAddr::V6(v6) => {
            let kept = u128::MAX
                .checked_shl(128 - u32::from(prefix.min(128)))
                .unwrap_or(0);
            IpAddr::V6((v6.to_bits() & kept).into())
        }
    }
}

fn warn_if_only_wildcards(
    pattern: Option<&Pattern>,
    value: &Node<'_>,
    of_field: bool,
    report: &mut Report<'_>,
) {
    if !pattern.is_some_and(Pattern::is_only_wildcards) {
        return;
    }
    let help = if of_field {
        "to ask whether the field is there, write `|exists: true`"
    } else {
        "name what to look for"
    };
    report.advise(
        &codes::ONLY_WILDCARDS,
        value.span,
        "this value is made of wildcards alone",
        help,
    );
}

fn warn_of_leading_zero(value: &Node<'_>, report: &mut Report<'_>) {
    let spelt = value.text().unwrap_or_default();
    let digits = spelt.trim_start_matches(['+', '-']);
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
        let message = format!(
            "`{spelt}` is taken as the number {}; older YAML reads it as octal",
            digits.trim_start_matches('0')
        );
        report.advise(
            &codes::AMBIGUOUS_SCALAR,
            value.span,
            message,
            format!("for the text, write '{spelt}'"),
        );
    }
}
