//! The ground truth: what was hidden in the stream, where, and what a detection engine has to say about it.

use super::json::{Text, put};
use super::moment::Calendar;
use super::source::SourceKind;

/// Ids of the rules that ship in `rules/` and have something to find in the generated logs.
pub(super) mod rules {
    /// SSH Login As Root With A Password
    pub(in crate::generate) const SSH_ROOT_PASSWORD: &str = "efac4dc8-d9ff-4ce1-ac9e-b8283264df0e";
    /// SSH Brute Force From One Address (correlation)
    pub(in crate::generate) const SSH_BRUTE_FORCE: &str = "f6b8b060-baeb-4c63-aff3-edaa9f3ea2e6";
    /// PowerShell Started With An Encoded Command
    pub(in crate::generate) const ENCODED_POWERSHELL: &str = "89e957de-d893-4bd2-ba8b-74cee1cef4b5";
    /// LSASS Memory Dump Through Comsvcs
    pub(in crate::generate) const LSASS_COMSVCS: &str = "460306a0-64d6-45dd-94a5-48eee4975ca6";
    /// LSASS Memory Dump With ProcDump
    pub(in crate::generate) const LSASS_PROCDUMP: &str = "1edd1b89-69b5-471c-a282-de82c1881555";
    /// LSASS Opened With Rights To Read Its Memory
    pub(in crate::generate) const LSASS_ACCESS: &str = "16b8ecb3-8315-4811-9c2c-6a05655f7cd7";
    /// Security Log Cleared
    pub(in crate::generate) const SECURITY_LOG_CLEARED: &str =
        "c6b23546-783d-4b5e-b73a-aa1d0971eba7";
    /// Event Log Cleared With Wevtutil
    pub(in crate::generate) const WEVTUTIL_CLEAR: &str = "385e43fb-37e1-4f70-ab24-890bffd2d480";
    /// Scheduled Task That Runs From A User-Writable Folder
    pub(in crate::generate) const SCHTASKS_PERSISTENCE: &str =
        "5cb30cf0-08c8-4841-b38e-6113a4b862d2";
    /// Web Path Traversal
    pub(in crate::generate) const PATH_TRAVERSAL: &str = "c4e3a994-252f-4050-b3a0-93ec803fc513";
    /// SQL Injection In A Web Request
    pub(in crate::generate) const SQL_INJECTION: &str = "d3581c2c-3fb6-475b-b83e-537a1752c19d";
    /// Web Scan From One Address (correlation)
    pub(in crate::generate) const WEB_SCAN: &str = "e037d44e-5e8f-4bb9-9c5c-bc5acf160080";
    /// CloudTrail Logging Stopped
    pub(in crate::generate) const TRAIL_STOPPED: &str = "6a5a0168-6ab7-4865-b4d4-396b3913617e";
    /// Console Login As Root
    pub(in crate::generate) const ROOT_CONSOLE_LOGIN: &str = "ba8b8460-712b-4092-9671-fd3eaa4d54d9";
    /// Access Key Created For Another User
    pub(in crate::generate) const FOREIGN_ACCESS_KEY: &str = "6d5b2140-c983-4034-88cc-871ec8d64b65";
    /// Denied AWS Calls From One Address (correlation)
    pub(in crate::generate) const DENIED_CALLS: &str = "fe7acdc7-43cd-4161-bbf5-ea6fed2f5b23";
}

/// An `event_count` correlation that an attack sets off: how many events it takes. All that an attack contributes
/// lies within the rule's timespan, so it is one finding.
pub(super) struct Threshold {
    pub(super) rule: &'static str,
    pub(super) count: usize,
}

pub(super) static SSH_BRUTE_FORCE: Threshold = Threshold {
    rule: rules::SSH_BRUTE_FORCE,
    count: 10,
};
pub(super) static WEB_SCAN: Threshold = Threshold {
    rule: rules::WEB_SCAN,
    count: 20,
};
pub(super) static DENIED_CALLS: Threshold = Threshold {
    rule: rules::DENIED_CALLS,
    count: 8,
};

/// One attack, complete: all its events have been emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truth {
    /// Attacks are numbered from 0.
    pub(crate) attack: u64,
    /// What kind of attack.
    pub(crate) scenario: &'static str,
    /// The log that all its events are in.
    pub(crate) source: SourceKind,
    /// Event time of the first and the last of them, nanoseconds since 1970.
    pub(crate) start_ns: i64,
    /// See `start_ns`.
    pub(crate) end_ns: i64,
    /// Index, among all events of the source, of every event of the attack.
    pub(crate) events: Vec<u64>,
    /// What the shipped rules find in them, and nothing else.
    pub(crate) expected: Vec<Expected>,
}

/// What one rule finds in one attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The rule's id.
    pub(crate) rule: &'static str,
    /// A correlation: one alert for all of `events`. Otherwise one alert for each.
    pub(crate) correlation: bool,
    /// Index of the events in the source.
    pub(crate) events: Vec<u64>,
}

impl Truth {
    /// Appends one JSON object, without a line end.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        let mut calendar = Calendar::new();
        put!(out; r#"{"attack":"#, self.attack, r#","scenario":""#, self.scenario, r#"","source":""#, self.source.name(),
            r#"","start":""#, calendar.moment(self.start_ns).rfc3339(9), r#"","end":""#,
            calendar.moment(self.end_ns).rfc3339(9), r#"","events":"#);
        write_list(&self.events, out);
        put!(out; r#","expected":["#);
        for (position, expected) in self.expected.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            put!(out; comma, r#"{"rule":""#, Text(expected.rule), r#"","correlation":"#,
                if expected.correlation { "true" } else { "false" }, r#","events":"#);
            write_list(&expected.events, out);
            out.push(b'}');
        }
        put!(out; "]}");
    }
}

fn write_list(numbers: &[u64], out: &mut Vec<u8>) {
    out.push(b'[');
    for (position, &number) in numbers.iter().enumerate() {
        put!(out; if position == 0 { "" } else { "," }, number);
    }
    out.push(b']');
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_json() {
        let truth = Truth {
            attack: 3,
            scenario: "ssh_brute_force",
            source: SourceKind::Sshd,
            start_ns: 1_000_000_001,
            end_ns: 2_000_000_000,
            events: vec![1, 5, 9],
            expected: vec![
                Expected {
                    rule: rules::SSH_BRUTE_FORCE,
                    correlation: true,
                    events: vec![1, 5],
                },
                Expected {
                    rule: rules::SSH_ROOT_PASSWORD,
                    correlation: false,
                    events: vec![9],
                },
            ],
        };
        let mut out = Vec::new();
        truth.write_json(&mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["start"], "1970-01-01T00:00:01.000000001Z");
        assert_eq!(json["expected"][0]["events"], serde_json::json!([1, 5]));
        assert_eq!(json["expected"][1]["correlation"], false);
    }
}
