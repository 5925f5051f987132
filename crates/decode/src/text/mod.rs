//! Log lines that are text: each becomes a JSON object with the names that Sigma's rules use, and then goes the way of all JSON.
//!
//! | format | lines | fields |
//! | --- | --- | --- |
//! | `access` | the common and combined logs of Apache and nginx | `c-ip`, `cs-method`, `cs-uri-stem`, … |
//! | `syslog` | RFC 3164 and RFC 5424, with or without `<priority>` | `host`, `program`, `pid`, `message`, … |
//! | `auditd` | records of the Linux audit daemon | `type`, and every `key=value` |
//!
//! Every event has its whole line as `_raw`, where keywords find what spans several fields.

mod access;
mod auditd;
mod syslog;

use serde_json::{Map, Value};

use crate::spec::Format;

/// The fields of one line.
type Fields = Map<String, Value>;

/// Turns a line into a JSON object. `now_ns` is when it came, for times without a year.
pub(crate) fn to_json(format: Format, line: &[u8], now_ns: i64) -> Result<Vec<u8>, String> {
    let line = std::str::from_utf8(line).map_err(|error| {
        format!(
            "invalid utf-8 at byte {}: send the line as utf-8",
            error.valid_up_to()
        )
    })?;
    let line = line.trim_end_matches(['\r', '\n']);
    let mut fields = match format {
        Format::Access => access::fields(line),
        Format::Syslog => syslog::fields(line, now_ns),
        Format::Auditd => auditd::fields(line),
        Format::Json | Format::Windows => Err("json is no text format".to_owned()),
    }?;
    put(&mut fields, "_raw", line);
    serde_json::to_vec(&fields).map_err(|error| format!("haechi could not write json: {error}"))
}

/// Sets a field, unless the log says with `-` that there is none.
fn put(fields: &mut Fields, name: &str, value: &str) {
    if value != "-" {
        fields.insert(name.to_owned(), Value::from(value));
    }
}
