//! Conditions that compare a number: `gte: 10`, with the field that the number is about.

use super::CorrelationKind;
use super::draft::Type;
use crate::codes;
use crate::detection::CompareOp;
use crate::fields::{find, text, texts};
use crate::report::Report;
use crate::yaml::Entry;

/// A kind and what its number must satisfy, read from the mapping of `condition`. Complains about everything wrong in it.
pub(super) fn read(
    of: Type,
    entry: &Entry<'_>,
    entries: &[Entry<'_>],
    report: &mut Report<'_>,
) -> Option<(CorrelationKind, Vec<(CompareOp, f64)>)> {
    let kind = kind(of, entry, entries, report);
    let bounds = bounds(of, entry, entries, report);
    let (kind, bounds) = (kind?, bounds?);
    if never(&kind, &bounds) {
        let message = "no window satisfies this condition".to_owned();
        let help = match kind {
            CorrelationKind::Temporal => {
                "it compares the number of rules that matched, which is between 1 and the number of `rules`"
            }
            _ => "a window begins with an event, so it compares a whole number from 1 on",
        };
        report.advise(&codes::UNDECIDABLE, entry.value.span, message, help);
        return None;
    }
    Some((kind, bounds))
}

fn kind(
    of: Type,
    entry: &Entry<'_>,
    entries: &[Entry<'_>],
    report: &mut Report<'_>,
) -> Option<CorrelationKind> {
    let field = find(entries, "field");
    let percentile = find(entries, "percentile");
    if let Some(percentile) = percentile.filter(|_| of != Type::ValuePercentile) {
        let message = format!(
            "`{}` has no percentile; `value_percentile` has",
            of.as_str()
        );
        report.add(&codes::BAD_THRESHOLD, percentile.key_span, message);
        return None;
    }
    if !of.has_field() {
        if let Some(field) = field {
            let message = match of {
                Type::EventCount => "`event_count` counts events, whatever a field's value".into(),
                of => format!(
                    "`{}` looks at which rules match, not at a field",
                    of.as_str()
                ),
            };
            report.add(&codes::BAD_THRESHOLD, field.key_span, message);
            return None;
        }
        return Some(match of {
            Type::EventCount => CorrelationKind::EventCount,
            _ => CorrelationKind::Temporal,
        });
    }
    let Some(field) = field else {
        let message = format!("`{}` needs the `field` that it looks at", of.as_str());
        report.advise(
            &codes::BAD_THRESHOLD,
            entry.key_span,
            message,
            "write it beside the number, as in `{field: user, gte: 10}`",
        );
        return None;
    };
    if of == Type::ValueCount {
        return fields(field, report).map(CorrelationKind::ValueCount);
    }
    let name = text(field, report);
    Some(match of {
        Type::ValueSum => CorrelationKind::ValueSum(name?),
        Type::ValueAvg => CorrelationKind::ValueAvg(name?),
        Type::ValueMedian => CorrelationKind::ValueMedian(name?),
        _ => CorrelationKind::ValuePercentile {
            percentile: self::percentile(percentile, entry, report)?,
            field: name?,
        },
    })
}

/// The fields that an entry names; each once. Complains when there are none.
pub(super) fn fields(field: &Entry<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let written = texts(field, report);
    let mut fields: Vec<String> = Vec::new();
    let sound = written.len() == field.value.items().len();
    for (name, span) in written {
        if fields.contains(&name) {
            let message = format!("`{name}` is named twice");
            report.add(&codes::NO_EFFECT, span, message);
        } else {
            fields.push(name);
        }
    }
    if sound && fields.is_empty() {
        let message = "`field` names no field";
        report.add(&codes::BAD_THRESHOLD, field.value.span, message);
    }
    (sound && !fields.is_empty()).then_some(fields)
}

fn percentile(
    percentile: Option<&Entry<'_>>,
    condition: &Entry<'_>,
    report: &mut Report<'_>,
) -> Option<f64> {
    let number = percentile
        .and_then(|entry| entry.value.scalar()?.number())
        .filter(|number| (0.0..=100.0).contains(number));
    if number.is_none() {
        let span = percentile.map_or(condition.key_span, |entry| entry.value.span);
        let message = "`value_percentile` needs a `percentile` from 0 to 100";
        let help = "write it beside the field, as in `{field: bytes, percentile: 95, gte: 1000}`";
        report.advise(&codes::BAD_THRESHOLD, span, message, help);
    }
    number
}

fn bounds(
    of: Type,
    entry: &Entry<'_>,
    entries: &[Entry<'_>],
    report: &mut Report<'_>,
) -> Option<Vec<(CompareOp, f64)>> {
    let mut bounds = Vec::new();
    let mut sound = true;
    for bound in entries {
        let op = match &*bound.key {
            "gt" => CompareOp::Gt,
            "gte" => CompareOp::Gte,
            "lt" => CompareOp::Lt,
            "lte" => CompareOp::Lte,
            "eq" => CompareOp::Eq,
            "neq" => CompareOp::Neq,
            "field" | "percentile" => continue,
            other => {
                let message =
                    format!("`{other}` does not compare; write one of gt, gte, lt, lte, eq, neq");
                report.add(&codes::BAD_THRESHOLD, bound.key_span, message);
                sound = false;
                continue;
            }
        };
        match bound.value.scalar().and_then(|scalar| scalar.number()) {
            Some(number) => bounds.push((op, number)),
            None => {
                let message = format!(
                    "`{}` compares with a number, not {}",
                    bound.key,
                    bound.value.kind()
                );
                report.add(&codes::BAD_THRESHOLD, bound.value.span, message);
                sound = false;
            }
        }
    }
    if sound && bounds.is_empty() && (of != Type::ValueCount || find(entries, "field").is_some()) {
        report.add(
            &codes::BAD_THRESHOLD,
            entry.value.span,
            "the condition compares with nothing; write one as in `gte: 10`",
        );
    }
    (sound && !bounds.is_empty()).then_some(bounds)
}

/// Whether a count can never satisfy the bounds. Zero events are an absence, which `event_count` knows.
fn never(kind: &CorrelationKind, bounds: &[(CompareOp, f64)]) -> bool {
    let least = match kind {
        CorrelationKind::EventCount => 0.0,
        CorrelationKind::ValueCount(_) | CorrelationKind::Temporal => 1.0,
        _ => return false,
    };
    let holds = |count: f64| bounds.iter().all(|&(op, number)| op.holds(count, number));
    // What the bounds allow begins or ends next to one of them.
    let near = bounds.iter().flat_map(|(_, number)| {
        let whole = number.floor();
        [whole - 1.0, whole, whole + 1.0, whole + 2.0]
    });
    !near
        .chain([least, least + 1.0, 1e15])
        .filter(|count| *count >= least)
        .any(holds)
}
