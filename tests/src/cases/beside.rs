//! Tests beside the rules that ship: `NAME.test.ndjson` about `NAME.yml`. `rules/README.md` describes the format.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Case, ExpectedAlert, Setting};

/// The first line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    input: Input,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    format: String,
    logsource: BTreeMap<String, String>,
}

/// The first line of a case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    case: String,
    matches: Option<Vec<usize>>,
    alerts: Option<Vec<Finding>>,
    rows: Option<Vec<Map<String, Value>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finding {
    events: Vec<usize>,
    group: Option<BTreeMap<String, Option<String>>>,
    count: Option<u64>,
}

/// Reads a file.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Case>, String> {
    let mut lines = text.lines().enumerate();
    let (_, head) = lines.next().ok_or("it is empty")?;
    let head: Head = serde_json::from_str(head).map_err(|error| format!("line 1: {error}"))?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or("its name is no text")?;
    let setting = Setting {
        rules: Some(Value::String(name.replace(".test.ndjson", ".yml"))),
        format: Some(head.input.format),
        logsource: Some(head.input.logsource),
        timestamp: None,
    };
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in lines {
        if line.starts_with("{\"case\":") {
            let begin: Begin = serde_json::from_str(line)
                .map_err(|error| format!("line {}: {error}", number + 1))?;
            cases.push(begin.case(setting.clone()));
        } else {
            let case = cases
                .last_mut()
                .ok_or_else(|| format!("line {}: an event before the first case", number + 1))?;
            case.events.push(Value::String(line.to_owned()));
        }
    }
    Ok(cases)
}

impl Begin {
    fn case(self, own: Setting) -> Case {
        let events = self
            .matches
            .unwrap_or_default()
            .into_iter()
            .map(ExpectedAlert::of_event);
        let findings = self
            .alerts
            .unwrap_or_default()
            .into_iter()
            .map(|finding| ExpectedAlert {
                rule: None,
                event: None,
                events: Some(finding.events),
                group: finding.group,
                count: finding.count,
                time: None,
            });
        Case {
            name: self.case,
            own,
            alerts: events.chain(findings).collect(),
            rollups: self.rows.unwrap_or_default(),
            ..Case::default()
        }
    }
}
