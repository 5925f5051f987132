//! Records of the Linux audit daemon: `type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e … key="sshd_config"`.

use serde_json::Value;

use super::{Fields, put};

/// Stands before the fields that auditd itself has looked up (`ENRICHED`).
const ENRICHED: char = '\u{1d}';

pub(super) fn fields(line: &str) -> Result<Fields, String> {
    // Forwarded records may have a node, or syslog's own words, in front.
    let start = line
        .find("type=")
        .ok_or("not an audit record: there is no `type=`")?;
    let (stamp, rest) = line
        .get(start..)
        .and_then(|record| record.split_once("msg=audit("))
        .and_then(|(_, rest)| rest.split_once("):"))
        .ok_or("not an audit record: there is no `msg=audit(time:serial):`")?;
    let (time, serial) = stamp
        .split_once(':')
        .ok_or("not an audit record: there is no serial behind the time")?;
    let mut fields = Fields::new();
    pairs(line.get(..start).unwrap_or_default(), "", &mut fields);
    let head = line
        .get(start..)
        .and_then(|record| record.split_once(" msg="));
    let kind = head.map_or("-", |(head, _)| head.trim_start_matches("type="));
    pairs(rest, kind, &mut fields);
    put(&mut fields, "type", kind);
    put(&mut fields, "serial", serial);
    put(&mut fields, "timestamp", time);
    Ok(fields)
}

/// `key=value` after `key=value`. What stands in single quotes behind `msg=` is more of the same.
fn pairs(mut rest: &str, kind: &str, fields: &mut Fields) {
    loop {
        rest = rest.trim_start_matches([' ', ENRICHED, ',']);
        let Some((key, behind)) = rest.split_once('=') else {
            return;
        };
        // A word without a value, as in `op=login acct=…`, does not occur; text in front of a key does.
        let key = key.rsplit(' ').next().unwrap_or(key);
        let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, after) = match quote {
            Some(quote) => {
                let inside = behind.strip_prefix(quote).unwrap_or(behind);
                inside.split_once(quote).unwrap_or((inside, ""))
            }
            None => {
                let end = behind.find([' ', ENRICHED]).unwrap_or(behind.len());
                behind.split_at(end)
            }
        };
        rest = after;
        if quote == Some('\'') && key == "msg" {
            pairs(value, kind, fields);
        } else if quote.is_none() && is_encoded(kind, key) {
            let text = decoded(value).unwrap_or_else(|| value.to_owned());
            fields.insert(key.to_owned(), Value::from(text));
        } else {
            fields.insert(key.to_owned(), Value::from(value));
        }
    }
}

/// Whether an unquoted value of this field is hexadecimal, because it held spaces, quotes or other such characters.
fn is_encoded(kind: &str, key: &str) -> bool {
    match key {
        "proctitle" | "exe" | "comm" | "cmd" | "name" | "cwd" | "acct" | "path" | "data" => true,
        // An argument of a program; those of system calls are numbers.
        _ => {
            kind == "EXECVE"
                && key.strip_prefix('a').is_some_and(|digits| {
                    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
                })
        }
    }
}

/// The text that hexadecimal digits spell; the arguments of a command line are apart by NUL, which becomes a space.
fn decoded(value: &str) -> Option<String> {
    if value.len() < 2 || !value.len().is_multiple_of(2) {
        return None;
    }
    let digits: Option<Vec<u32>> = value.chars().map(|c| c.to_digit(16)).collect();
    let bytes: Vec<u8> = digits?
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .map(|byte| if byte == 0 { b' ' } else { byte })
        .collect();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn records_read() {
        let line = "type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e syscall=2 success=no a0=7fffd19c5592 comm=\"cat\" exe=\"/bin/cat\" key=\"sshd_config\"\u{1d}ARCH=x86_64 SYSCALL=open";
        let read = fields(line).unwrap();
        for (name, value) in [
            ("type", "SYSCALL"),
            ("timestamp", "1364481363.243"),
            ("serial", "24287"),
            ("a0", "7fffd19c5592"),
            ("exe", "/bin/cat"),
            ("key", "sshd_config"),
            ("SYSCALL", "open"),
        ] {
            assert_eq!(read[name], value, "{name}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let read =
            fields("node=h type=EXECVE msg=audit(1.5:2): argc=3 a0=\"sh\" a1=\"-c\" a2=6C73202D6C")
                .unwrap();
        assert_eq!((&read["a2"], &read["node"]), (&"ls -l".into(), &"h".into()));
        let read =
            fields("type=PROCTITLE msg=audit(1.5:2): proctitle=636174002F6574632F706173737764")
                .unwrap();
        assert_eq!(read["proctitle"], "cat /etc/passwd");
        let read = fields(
            "type=USER_LOGIN msg=audit(1.5:2): pid=1 msg='op=login acct=\"root\" res=failed'",
        )
        .unwrap();
        assert_eq!(
            (&read["op"], &read["acct"], &read["res"]),
            (&"login".into(), &"root".into(), &"failed".into())
        );
    }

    #[test]
    fn other_lines_say_why() {
        for (line, says) in [
            ("", "type="),
            ("type=X y", "msg=audit"),
            ("type=X msg=audit(1): y", "serial"),
        ] {
            let error = fields(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
