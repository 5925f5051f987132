//! Access logs of web servers: `%h %l %u %t "%r" %>s %b`, and with `"%{Referer}i" "%{User-Agent}i"` behind.

use chrono::DateTime;
use serde_json::Value;

use super::{Fields, put};

pub(super) fn fields(line: &str) -> Result<Fields, String> {
    read(line).map_err(|wanted| {
        format!("not an access log line: {wanted}; the format is `host ident user [time] \"request\" status bytes`, and may go on with \"referer\" \"agent\"")
    })
}

fn read(line: &str) -> Result<Fields, &'static str> {
    let mut fields = Fields::new();
    let (client, rest) = line.split_once(' ').ok_or("there is only one word")?;
    let (_, rest) = rest.split_once(' ').ok_or("there is no user")?;
    // Users may have spaces in their names.
    let (user, rest) = rest.split_once(" [").ok_or("there is no `[time]`")?;
    let (time, rest) = rest.split_once("] ").ok_or("the `[time]` does not end")?;
    let (request, rest) = quoted(rest).ok_or("there is no \"request\"")?;
    let mut numbers = rest.trim_start().splitn(3, ' ');
    let status = numbers.next().filter(|status| is_number(status));
    put(&mut fields, "c-ip", client);
    put(&mut fields, "cs-username", user);
    match DateTime::parse_from_str(time, "%d/%b/%Y:%H:%M:%S %z") {
        Ok(time) => put(&mut fields, "@timestamp", &time.to_rfc3339()),
        Err(_) => return Err("the time is not like 17/May/2015:10:05:03 +0000"),
    }
    request_line(&mut fields, &request);
    put(
        &mut fields,
        "sc-status",
        status.ok_or("there is no status")?,
    );
    put(&mut fields, "sc-bytes", numbers.next().unwrap_or("-"));
    if let Some((referer, rest)) = numbers.next().and_then(quoted) {
        put(&mut fields, "cs-referer", &referer);
        if let Some((agent, _)) = quoted(rest.trim_start()) {
            put(&mut fields, "cs-user-agent", &agent);
            put(&mut fields, "c-useragent", &agent);
        }
    }
    Ok(fields)
}

/// `GET /path?query HTTP/1.1`. What is no such request (an attack, a TLS hello) is its address as it stands.
fn request_line(fields: &mut Fields, request: &str) {
    let (method, rest) = request.split_once(' ').unwrap_or(("-", request));
    let (address, version) = match rest.rsplit_once(' ') {
        Some((address, version)) if version.starts_with("HTTP/") => (address, version),
        _ => (rest, "-"),
    };
    put(fields, "cs-method", method);
    put(fields, "cs-version", version);
    put(fields, "cs-uri", address);
    put(fields, "c-uri", address);
    let (path, query) = address.split_once('?').unwrap_or((address, "-"));
    put(fields, "cs-uri-stem", path);
    put(fields, "c-uri-path", path);
    // Rules look for paths in `cs-uri-query` as well as for queries.
    let query = [query, address].into_iter().filter(|text| *text != "-");
    let query: Vec<Value> = query.map(Value::from).collect();
    fields.insert("cs-uri-query".to_owned(), Value::Array(query.clone()));
    fields.insert("c-uri-query".to_owned(), Value::Array(query));
}

/// The text in quotes that a line begins with, its escapes undone, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut out = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((out, inside.get(at + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                Some((_, other)) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    None
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn combined_and_common_lines_read() {
        let line = r#"10.0.0.1 - bob smith [17/May/2015:10:05:03 +0200] "GET /a/b.php?x=%27\"1 HTTP/1.1" 200 12 "http://r/" "cu\"rl" 7"#;
        let read = fields(line).unwrap();
        for (name, value) in [
            ("c-ip", "10.0.0.1"),
            ("cs-username", "bob smith"),
            ("@timestamp", "2015-05-17T10:05:03+02:00"),
            ("cs-method", "GET"),
            ("cs-uri", "/a/b.php?x=%27\"1"),
            ("cs-uri-stem", "/a/b.php"),
            ("sc-status", "200"),
            ("sc-bytes", "12"),
            ("cs-referer", "http://r/"),
            ("cs-user-agent", "cu\"rl"),
        ] {
            assert_eq!(read[name], value, "{name}");
        }
        assert_eq!(read["cs-uri-query"][0], "x=%27\"1");
        assert_eq!(read["cs-uri-query"][1], "/a/b.php?x=%27\"1");
        let common = fields(r#"::1 - - [17/May/2015:10:05:03 +0000] "-" 408 -"#).unwrap();
        assert_eq!(common["sc-status"], "408");
        assert!(!common.contains_key("sc-bytes") && !common.contains_key("cs-username"));
    }

    #[test]
    fn other_lines_say_what_is_missing() {
        for (line, says) in [
            ("", "one word"),
            ("a b c", "[time]"),
            (r#"a - - [yesterday] "GET / HTTP/1.0" 200 1"#, "17/May"),
            (
                r#"a - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0 200 1"#,
                "request",
            ),
            (
                r#"a - - [17/May/2015:10:05:03 +0000] "GET /" ok 1"#,
                "status",
            ),
        ] {
            let error = fields(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
