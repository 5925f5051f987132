//! What to write instead of the aggregations that conditions used to have (`selection | count() by user > 5`).

/// A correlation rule that says what the condition said, to be filled in. `timeframe` is the detection's, if it has one.
pub(crate) fn advice(condition: &str, timeframe: Option<&str>) -> String {
    let Some((_, aggregation)) = condition.split_once('|') else {
        return String::new();
    };
    let words: Vec<&str> = aggregation
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')'))
        .filter(|w| !w.is_empty())
        .collect();
    let (kind, field) = match words.as_slice() {
        ["near", ..] => ("temporal", None),
        ["count", "by", ..] => ("event_count", None),
        ["count", field, ..] if operator(field).is_none() => ("value_count", Some(*field)),
        ["sum", field, ..] => ("value_sum", Some(*field)),
        ["avg", field, ..] => ("value_avg", Some(*field)),
        _ => ("event_count", None),
    };
    let behind = |word: &str| {
        words
            .iter()
            .position(|w| *w == word)
            .and_then(|at| words.get(at + 1))
            .copied()
    };
    let group = behind("by")
        .map(|field| format!("\n  group-by: [{field}]"))
        .unwrap_or_default();
    let threshold = words.windows(2).find_map(|pair| match pair {
        [sign, number] => operator(sign).map(|name| (name, *number)),
        _ => None,
    });
    let field = field
        .map(|field| format!("\n    field: {field}"))
        .unwrap_or_default();
    let condition = match (kind, threshold) {
        ("temporal", _) => String::new(),
        (_, Some((name, number))) => format!("\n  condition:{field}\n    {name}: {number}"),
        (_, None) => format!("\n  condition:{field}\n    gte: 10"),
    };
    let timespan = timeframe.unwrap_or("5m");
    format!(
        "give this rule the part before the `|` as its condition, and write a correlation rule:\n\
         correlation:\n  type: {kind}\n  rules: [the id of this rule]{group}\n  timespan: {timespan}{condition}"
    )
}

fn operator(word: &str) -> Option<&'static str> {
    Some(match word {
        ">" => "gt",
        ">=" => "gte",
        "<" => "lt",
        "<=" => "lte",
        "=" | "==" => "eq",
        "!=" => "neq",
        _ => return None,
    })
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
    fn the_advice_is_the_correlation_to_write() {
        let advice_of = |condition, timeframe| {
            let text = advice(condition, timeframe);
            text.split_once("correlation:\n")
                .expect("it shows a correlation")
                .1
                .to_owned()
        };
        assert_eq!(
            advice_of("sel | count() by user > 5", Some("10m")),
            "  type: event_count\n  rules: [the id of this rule]\n  group-by: [user]\n  timespan: 10m\n  condition:\n    gt: 5"
        );
        assert_eq!(
            advice_of("sel | count(dst) by src >= 3", None),
            "  type: value_count\n  rules: [the id of this rule]\n  group-by: [src]\n  timespan: 5m\n  condition:\n    field: dst\n    gte: 3"
        );
        assert_eq!(
            advice_of("sel | near other", None),
            "  type: temporal\n  rules: [the id of this rule]\n  timespan: 5m"
        );
    }
}
