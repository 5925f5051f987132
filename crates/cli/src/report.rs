//! What a finished run has done, in words; and single records made readable.

use std::time::Duration;

use haechi_engine::Summary;
use haechi_log::Output;
use serde_json::{Map, Value};

/// How many rules a summary names.
const NAMED_RULES: usize = 20;

/// A summary, line by line.
pub(crate) fn summary(summary: &Summary, took: Duration) -> Vec<String> {
    let seconds = took.as_secs_f64().max(1e-9);
    let megabytes = summary.bytes as f64 / 1e6;
    let mut lines = vec![format!(
        "{} records, {megabytes:.1} MB in {seconds:.2} s: {} records/s, {:.1} MB/s",
        grouped(summary.records),
        grouped((summary.records as f64 / seconds) as u64),
        megabytes / seconds
    )];
    let alerts: u64 = summary.alerts.iter().map(|(_, _, count)| count).sum();
    lines.push(format!(
        "alerts: {} from {} rule(s)",
        grouped(alerts),
        summary.alerts.len()
    ));
    for (id, title, count) in summary.alerts.iter().take(NAMED_RULES) {
        lines.push(format!("{:>10}  {title} ({id})", grouped(*count)));
    }
    if summary.alerts.len() > NAMED_RULES {
        let rest: u64 = summary
            .alerts
            .iter()
            .skip(NAMED_RULES)
            .map(|(_, _, count)| count)
            .sum();
        lines.push(format!(
            "{:>10}  from {} more rule(s)",
            grouped(rest),
            summary.alerts.len() - NAMED_RULES
        ));
    }
    lines.push(format!("rollup rows: {}", grouped(summary.rollup_rows)));
    lines.push(format!("dead letters: {}", grouped(summary.dead_letters)));
    for (name, count) in [
        ("late rows", summary.late),
        ("future times clamped", summary.clamped),
        ("events without a readable time", summary.untimed),
    ] {
        if count > 0 {
            lines.push(format!("{name}: {}", grouped(count)));
        }
    }
    lines
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A dead letter as one JSON object: its headers, and the payload as text where it is text, else in base64.
pub(crate) fn dead_letter(output: &Output) -> Map<String, Value> {
    let mut record = Map::new();
    for (name, value) in &output.headers {
        let name = name.strip_prefix("haechi-").unwrap_or(name);
        let text = String::from_utf8_lossy(value).into_owned();
        let number = matches!(name, "partition" | "offset")
            .then(|| text.parse::<i64>().ok())
            .flatten();
        record.insert(
            name.to_owned(),
            number.map_or(Value::String(text), Value::from),
        );
    }
    match output
        .payload
        .as_deref()
        .map(|bytes| (bytes, std::str::from_utf8(bytes)))
    {
        None => record.insert("payload".to_owned(), Value::Null),
        Some((_, Ok(text))) => record.insert("payload".to_owned(), Value::from(text)),
        Some((bytes, Err(_))) => {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
            record.insert("payload_base64".to_owned(), Value::from(encoded))
        }
    };
    record
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn groups_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
