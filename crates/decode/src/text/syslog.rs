//! Syslog lines: RFC 5424, RFC 3164, and files that rsyslog writes (RFC 3164 without priority, or with an RFC 3339 time).

use chrono::{DateTime, Datelike, NaiveDateTime};
use serde_json::Value;

use super::{Fields, put};

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];
/// `Mar 27 13:06:56`.
const OLD_TIME: usize = 15;
const DAY_NS: i64 = 86_400_000_000_000;

pub(super) fn fields(line: &str, now_ns: i64) -> Result<Fields, String> {
    let mut fields = Fields::new();
    let rest = priority(line, &mut fields)?;
    if let Some(rest) = rest.strip_prefix("1 ") {
        modern(rest, &mut fields).ok_or(
            "not a syslog line: behind version 1 come time, host, program, process and message ids and structured data",
        )?;
        return Ok(fields);
    }
    let (time, rest) = old_time(rest, now_ns).or_else(|| new_time(rest)).ok_or(
        "not a syslog line: it begins with no time such as `Mar 27 13:06:56` or one of RFC 3339",
    )?;
    put(&mut fields, "@timestamp", &time);
    let rest = rest.trim_start();
    let (host, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    put(&mut fields, "host", host);
    old_message(rest, &mut fields);
    Ok(fields)
}

/// `<34>`, if it is there.
fn priority<'l>(line: &'l str, fields: &mut Fields) -> Result<&'l str, String> {
    let Some(inside) = line.strip_prefix('<') else {
        return Ok(line);
    };
    let read = inside
        .split_once('>')
        .and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)));
    let (number, rest) = read.ok_or("not a syslog line: `<` begins no priority such as <34>")?;
    let facility = FACILITIES
        .get(number / 8)
        .ok_or_else(|| format!("not a syslog line: the priority {number} is above 191"))?;
    put(fields, "facility", facility);
    put(
        fields,
        "severity",
        SEVERITIES.get(number % 8).unwrap_or(&"-"),
    );
    Ok(rest)
}

/// What stands behind the version of RFC 5424.
fn modern(rest: &str, fields: &mut Fields) -> Option<()> {
    let mut words = rest.splitn(6, ' ');
    for name in ["@timestamp", "host", "program", "pid", "msgid"] {
        put(fields, name, words.next()?);
    }
    let rest = words.next()?;
    let (data, message) = match rest.strip_prefix('-') {
        Some(message) => ("-", message),
        None => rest.split_at(data_len(rest)?),
    };
    put(fields, "structured_data", data);
    let message = message.strip_prefix(' ').unwrap_or(message);
    put(fields, "message", message.trim_start_matches('\u{feff}'));
    Some(())
}

/// How long the structured data is that a text begins with: `[id key="value"]…`, in which `\]` and `\"` are escaped.
fn data_len(text: &str) -> Option<usize> {
    let mut inside = false;
    let mut in_quotes = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' if inside => in_quotes = !in_quotes,
            '[' if !inside => inside = true,
            ']' if inside && !in_quotes => inside = false,
            ' ' if !inside && at > 0 => return Some(at),
            _ if !inside => return None,
            _ => {}
        }
    }
    (!inside && !text.is_empty()).then_some(text.len())
}

/// `program[pid]: message`; a line without a program is all message.
fn old_message(rest: &str, fields: &mut Fields) {
    let Some((tag, message)) = rest
        .split_once(": ")
        .or_else(|| Some((rest.strip_suffix(':')?, "")))
    else {
        return put(fields, "message", rest);
    };
    let (program, pid) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((program, pid)) => (program, pid),
        None => (tag, "-"),
    };
    if program.is_empty() || program.contains(' ') {
        return put(fields, "message", rest);
    }
    put(fields, "program", program);
    put(fields, "pid", pid);
    fields.insert("message".to_owned(), Value::from(message));
}

/// `Mar 27 13:06:56` has no year: it is the latest that does not lie more than a day ahead.
fn old_time(line: &str, now_ns: i64) -> Option<(String, &str)> {
    let (written, rest) = line.split_at_checked(OLD_TIME)?;
    let latest = DateTime::from_timestamp_nanos(now_ns.saturating_add(DAY_NS)).naive_utc();
    // Eight years hold a 29th of February.
    let time = (0..=8).find_map(|back| {
        let text = format!("{} {written}", latest.year() - back);
        let time = NaiveDateTime::parse_from_str(&text, "%Y %b %e %H:%M:%S").ok()?;
        (time <= latest).then_some(time)
    })?;
    Some((time.and_utc().to_rfc3339(), rest))
}

fn new_time(line: &str) -> Option<(String, &str)> {
    let (written, rest) = line.split_once(' ')?;
    DateTime::parse_from_rfc3339(written).ok()?;
    Some((written.to_owned(), rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// 2026-03-01T00:00:00Z.
    const NOW: i64 = 1_772_323_200_000_000_000;

    #[test]
    fn old_lines_read() {
        let read = fields("Mar 27 13:06:56 ip-10 sshd[1291]: Failed password: no", NOW).unwrap();
        assert_eq!(read["@timestamp"], "2025-03-27T13:06:56+00:00");
        assert_eq!(read["host"], "ip-10");
        assert_eq!(read["program"], "sshd");
        assert_eq!(read["pid"], "1291");
        assert_eq!(read["message"], "Failed password: no");
        let read = fields("<38>Feb  9 01:02:03 h sudo: bob : TTY=pts/0", NOW).unwrap();
        assert_eq!(read["@timestamp"], "2026-02-09T01:02:03+00:00");
        assert_eq!(
            (&read["facility"], &read["severity"]),
            (&"auth".into(), &"info".into())
        );
        assert_eq!(read["message"], "bob : TTY=pts/0");
        let read = fields("2026-02-09T01:02:03.5+01:00 h last message repeated", NOW).unwrap();
        assert_eq!(read["@timestamp"], "2026-02-09T01:02:03.5+01:00");
        assert_eq!(read["message"], "last message repeated");
        let leap = fields("Feb 29 01:02:03 h x: y", NOW).unwrap();
        assert_eq!(leap["@timestamp"], "2024-02-29T01:02:03+00:00");
    }

    #[test]
    fn new_lines_read() {
        let line =
            r#"<165>1 2026-02-09T01:02:03Z host app 7 ID47 [x@1 a="b \"] c"][y@2] it happened"#;
        let read = fields(line, NOW).unwrap();
        assert_eq!(read["structured_data"], r#"[x@1 a="b \"] c"][y@2]"#);
        assert_eq!(read["message"], "it happened");
        assert_eq!(
            (&read["host"], &read["program"], &read["msgid"]),
            (&"host".into(), &"app".into(), &"ID47".into())
        );
        let bare = fields("<0>1 - - - - - -", NOW).unwrap();
        assert_eq!(bare.len(), 3, "{bare:?}");
    }

    #[test]
    fn other_lines_say_why() {
        for (line, says) in [
            ("", "no time"),
            ("é".repeat(20).as_str(), "no time"),
            ("<x>y", "priority"),
            ("<999>Mar 27 13:06:56 h x: y", "191"),
            ("<1>1 2026-02-09T01:02:03Z host", "version 1"),
            ("<1>1 - - - - - [open", "version 1"),
        ] {
            let error = fields(line, NOW).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
