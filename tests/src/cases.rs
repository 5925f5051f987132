//! Cases that an analyst writes: events, and what the rules are to find in them. `tests/README.md` describes the format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::process::{Finished, Haechi};
use crate::scratch;

/// A file of cases, with what they share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(flatten)]
    shared: Setting,
    cases: Vec<Case>,
}

/// How events are read and with which rules; what a case leaves out is taken from its file.
#[derive(Debug, Clone, Default, Deserialize)]
struct Setting {
    /// Text of rule documents, one such document, a list of them, or names of files beside this one.
    rules: Option<Value>,
    format: Option<String>,
    logsource: Option<BTreeMap<String, String>>,
    timestamp: Option<String>,
    /// Instead of format, logsource and timestamp.
    preset: Option<String>,
    /// Names of shipped pipelines, of files beside this one, or the text of one.
    pipelines: Option<Vec<String>>,
    /// What placeholders stand for.
    placeholders: Option<Map<String, Value>>,
    /// How long windows wait, as `--lateness` takes it; without one, until the file ends.
    lateness: Option<String>,
    /// Events between commits, as `--commit-every` takes it; then every telling of a finding is an alert of its own.
    commit_every: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(flatten)]
    own: Setting,
    /// A single rule's `detection`, to be judged by `matches` and `misses`.
    detection: Option<Value>,
    #[serde(default)]
    matches: Vec<Value>,
    #[serde(default)]
    misses: Vec<Value>,
    #[serde(default)]
    events: Vec<Value>,
    #[serde(default)]
    alerts: Vec<ExpectedAlert>,
    #[serde(default)]
    rollups: Vec<Map<String, Value>>,
    /// What came too late: events by number, or rows by what they say.
    #[serde(default)]
    late: Vec<ExpectedLate>,
    #[serde(default)]
    dead_letters: Vec<ExpectedDeadLetter>,
    /// What `check` says of the rules; then there are no events.
    errors: Option<Vec<ExpectedDiagnostic>>,
    warnings: Option<Vec<ExpectedDiagnostic>>,
    /// What no diagnostic may say.
    #[serde(default)]
    silent: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAlert {
    /// Id or title; may be left out where there is one rule.
    rule: Option<String>,
    /// Of a detection: its event.
    event: Option<usize>,
    /// Of a correlation: its events.
    events: Option<Vec<usize>>,
    group: Option<BTreeMap<String, Option<String>>>,
    count: Option<u64>,
    time: Option<String>,
    /// Of a rollup: its row.
    row: Option<Map<String, Value>>,
    /// Of a rollup: there is no such row any more.
    withdrawn: Option<bool>,
    /// Of a rule that emits early: how often it was told before.
    revision: Option<u32>,
    /// And where it is in its life: open, final, superseded, withdrawn.
    state: Option<String>,
    /// The number of the alert, in the order in which they come, that stands in its place.
    superseded_by: Option<usize>,
    /// Of a rule that suppresses: how many alerts it stands for besides itself, and up to when.
    suppressed: Option<u64>,
    until: Option<String>,
    /// It may lack events: how many groups its rule had given up. Left out: it says nothing of the kind.
    given_up: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedLate {
    rule: Option<String>,
    /// Of a correlation: its event.
    event: Option<usize>,
    /// Of a rollup: how many rows, and of which window.
    rows: Option<u64>,
    window_start: Option<String>,
    group: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedDeadLetter {
    event: usize,
    /// Part of the reason.
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedDiagnostic {
    /// `line:column`.
    at: String,
    /// Part of the message.
    says: String,
}

/// What came of all cases below a folder.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many cases there were.
    pub cases: usize,
    /// Which failed and why.
    pub failures: Vec<String>,
}

/// Runs every case of the files below `folder` whose name ends with `suffix`. `HAECHI_CASE=TEXT` runs only those that have it in
/// their file or name.
///
/// # Panics
/// When a file cannot be read.
#[must_use]
pub fn run(folder: &Path, suffix: &str) -> Verdict {
    let mut verdict = Verdict::default();
    let wanted = std::env::var("HAECHI_CASE").unwrap_or_default();
    for path in files(folder, suffix) {
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let cases = match read(&text) {
            Ok(cases) => cases,
            Err(reason) => {
                verdict
                    .failures
                    .push(format!("{}: {reason}", path.display()));
                continue;
            }
        };
        for case in cases {
            let name = format!("{}: {}", path.display(), case.name);
            if !name.contains(&wanted) {
                continue;
            }
            verdict.cases += 1;
            if let Err(reason) = case.run(&path) {
                verdict.failures.push(format!("{name}\n{reason}"));
            }
        }
    }
    verdict
}

/// The cases of a file, each with all that it needs.
fn read(text: &str) -> Result<Vec<Case>, String> {
    // An event's `y` is a letter.
    let options = serde_saphyr::options! { strict_booleans: true };
    let mut file: File =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    for case in &mut file.cases {
        case.own = case.own.or(&file.shared);
    }
    Ok(file.cases)
}

/// Files below a folder, by name.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            found.extend(files(&path, suffix));
        } else if path.to_str().is_some_and(|path| path.ends_with(suffix)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

impl Case {
    fn run(&self, file: &Path) -> Result<(), String> {
        let folder = scratch();
        let setting = &self.own;
        let rules = self.rules(file, folder.path())?;
        if self.errors.is_some() || self.warnings.is_some() {
            return self.check(&rules, file, folder.path());
        }
        let events: Vec<&Value> = self
            .events
            .iter()
            .chain(&self.matches)
            .chain(&self.misses)
            .collect();
        let mut lines = String::new();
        for event in &events {
            let line = event
                .as_str()
                .map_or_else(|| event.to_string(), ToOwned::to_owned);
            if line.contains('\n') {
                return Err(format!("an event is one line: {line:?}"));
            }
            lines.push_str(&line);
            lines.push('\n');
        }
        let input = folder.path().join("events.json");
        fs::write(&input, lines).map_err(|error| error.to_string())?;
        let dead = folder.path().join("dead.json");
        let mut command = Haechi::new(["replay", "--alerts", "brief"])
            .arg("--dead-letters")
            .arg(&dead);
        command = match &setting.preset {
            Some(preset) => command.args(["--preset", preset]),
            None => command.args([
                "--format",
                setting.format.as_deref().unwrap_or("json"),
                "--logsource",
                &setting.logsource(),
            ]),
        };
        command = self.through(command, file, folder.path());
        if let Some(field) = &setting.timestamp {
            command = command.args(["--timestamp", field]);
        }
        if let Some(lateness) = &setting.lateness {
            command = command.args(["--lateness", lateness]);
        }
        if let Some(events) = setting.commit_every {
            command = command.args(["--commit-every", &events.to_string()]);
        }
        let finished = command
            .arg("--rules")
            .args(&rules)
            .arg("--")
            .arg(&input)
            .run();
        if !finished.status.success() || finished.stderr.contains("error[") {
            return Err(format!(
                "{}; it said:\n{}",
                finished.status, finished.stderr
            ));
        }
        let dead = fs::read_to_string(&dead).map_err(|error| error.to_string())?;
        self.judge(&finished, &dead)
    }

    /// What the rules go through.
    fn through(&self, mut command: Haechi, file: &Path, folder: &Path) -> Haechi {
        let beside = file.parent().unwrap_or(Path::new(""));
        for (index, pipeline) in self.own.pipelines.iter().flatten().enumerate() {
            command = command.arg("--pipeline");
            command = if pipeline.contains('\n') {
                let path = folder.join(format!("pipeline-{index}.yml"));
                fs::write(&path, pipeline).expect("a scratch folder can be written");
                command.arg(&path)
            } else if beside.join(pipeline).is_file() {
                command.arg(beside.join(pipeline))
            } else {
                command.arg(pipeline)
            };
        }
        if let Some(placeholders) = &self.own.placeholders {
            let path = folder.join("placeholders.yml");
            let text = Value::Object(placeholders.clone()).to_string();
            fs::write(&path, text).expect("a scratch folder can be written");
            command = command.arg("--placeholders").arg(&path);
        }
        command
    }

    /// Writes inline rules; answers the files to load.
    fn rules(&self, file: &Path, folder: &Path) -> Result<Vec<PathBuf>, String> {
        let setting = &self.own;
        if let Some(detection) = &self.detection {
            let rule = serde_json::json!({
                "title": "case", "id": "00000000-0000-4000-8000-000000000001", "level": "low",
                "logsource": setting.logsource.clone().unwrap_or_else(|| BTreeMap::from([("product".to_owned(), "case".to_owned())])),
                "detection": detection,
            });
            return Ok(vec![write(folder, &rule.to_string())]);
        }
        let beside = |name: &str| file.parent().unwrap_or(Path::new("")).join(name);
        let is_name = |text: &str| !text.contains('\n');
        match &setting.rules {
            // Tests beside a rule: NAME.test.yml is about NAME.yml.
            None => Ok(vec![PathBuf::from(
                file.to_string_lossy().replace(".test.yml", ".yml"),
            )]),
            Some(Value::String(name)) if is_name(name) => Ok(vec![beside(name)]),
            Some(Value::String(text)) => Ok(vec![write(folder, text)]),
            Some(Value::Array(items))
                if items.iter().all(|item| item.as_str().is_some_and(is_name)) =>
            {
                Ok(items.iter().filter_map(Value::as_str).map(beside).collect())
            }
            // JSON is YAML.
            Some(Value::Array(items)) => Ok(vec![write(
                folder,
                &items
                    .iter()
                    .map(Value::to_string)
                    .collect::<Vec<_>>()
                    .join("\n---\n"),
            )]),
            Some(item @ Value::Object(_)) => Ok(vec![write(folder, &item.to_string())]),
            Some(other) => Err(format!(
                "rules are text, documents or file names, not {other}"
            )),
        }
    }

    fn check(&self, rules: &[PathBuf], file: &Path, folder: &Path) -> Result<(), String> {
        let command = self.through(Haechi::new(["check"]), file, folder);
        let finished = command.arg("--").args(rules).run();
        let errors = self.errors.as_deref().unwrap_or_default();
        if finished.status.success() != errors.is_empty() {
            return Err(format!(
                "check ended with {} and said:\n{}{}",
                finished.status,
                finished.stderr,
                finished.text()
            ));
        }
        for (severity, expected) in [
            ("error", errors),
            ("warning", self.warnings.as_deref().unwrap_or_default()),
        ] {
            for diagnostic in expected {
                let place = format!("{}:{}", rules[0].display(), diagnostic.at);
                // Diagnostics stand apart by an empty line.
                let found = finished.stderr.split("\n\n").any(|said| {
                    said.trim_start().starts_with(severity)
                        && said.contains(&place)
                        && said.contains(&diagnostic.says)
                });
                if !found {
                    return Err(format!(
                        "no {severity} at {} that says `{}`; check said:\n{}",
                        diagnostic.at, diagnostic.says, finished.stderr
                    ));
                }
            }
        }
        match self
            .silent
            .iter()
            .find(|unwanted| finished.stderr.contains(*unwanted))
        {
            Some(unwanted) => Err(format!(
                "`{unwanted}` should not be said; check said:\n{}",
                finished.stderr
            )),
            None => Ok(()),
        }
    }

    fn judge(&self, finished: &Finished, dead: &str) -> Result<(), String> {
        let mut complaints = String::new();
        let mut complain = |what: &str, missing: Vec<String>, extra: Vec<&Value>| {
            for expected in missing {
                let _ = writeln!(complaints, "  missing {what}: {expected}");
            }
            for found in extra {
                let _ = writeln!(complaints, "  unexpected {what}: {found}");
            }
        };
        let rows = finished.rows();
        let of_kind = |key: &'static str| {
            rows.iter()
                .filter(move |row| row.get(key).is_some())
                .collect::<Vec<_>>()
        };
        let mut alerts = self.alerts.clone();
        alerts.extend(
            (0..self.matches.len()).map(|event| ExpectedAlert::of_event(self.events.len() + event)),
        );
        let all: Vec<&Value> = of_kind("level");
        let fits = |expected: &ExpectedAlert, alert: &Value| expected.fits(alert, &all);
        let (missing, extra) = pair(&alerts, all.clone(), fits);
        complain("alert", missing, extra);
        let mut written = of_kind("row");
        // A rollup of kind alert has its row in the alert.
        written.retain(|row| row.get("level").is_none());
        let (missing, extra) = pair(&self.rollups, written, |expected, row| {
            includes(row, expected)
        });
        complain("rollup row", missing, extra);
        let (missing, extra) = pair(&self.late, of_kind("what"), ExpectedLate::fits);
        complain("late row", missing, extra);
        let dead = crate::process::parse_lines(dead);
        let (missing, extra) = pair(
            &self.dead_letters,
            dead.iter().collect(),
            |expected, letter| {
                letter["offset"] == expected.event
                    && letter["reason"]
                        .as_str()
                        .is_some_and(|reason| reason.contains(&expected.reason))
            },
        );
        complain("dead letter", missing, extra);
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(complaints)
        }
    }
}

fn write(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("rules.yml");
    fs::write(&path, text).expect("the scratch folder can be written");
    path
}

/// Pairs each expected thing with one found; answers those that are left on both sides.
fn pair<'a, E: std::fmt::Debug>(
    expected: &[E],
    mut found: Vec<&'a Value>,
    fits: impl Fn(&E, &Value) -> bool,
) -> (Vec<String>, Vec<&'a Value>) {
    let mut missing = Vec::new();
    for wanted in expected {
        match found.iter().position(|value| fits(wanted, value)) {
            Some(position) => {
                found.remove(position);
            }
            None => missing.push(format!("{wanted:?}")),
        }
    }
    (missing, found)
}

/// Whether a document has everything that is expected of it; in a `row`, and nothing else.
fn includes(document: &Value, expected: &Map<String, Value>) -> bool {
    expected
        .iter()
        .all(|(key, value)| match (document.get(key), value) {
            (Some(Value::Object(found)), Value::Object(wanted)) => {
                found.len() == wanted.len()
                    && wanted
                        .iter()
                        .all(|(key, value)| found.get(key).is_some_and(|found| equal(found, value)))
            }
            (Some(found), value) => {
                equal(found, value) || (key == "rule" && document["title"] == *value)
            }
            (None, _) => false,
        })
}

/// Equal, numbers by what they are worth.
fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

impl Setting {
    fn or(&self, shared: &Self) -> Self {
        Self {
            rules: self.rules.clone().or_else(|| shared.rules.clone()),
            format: self.format.clone().or_else(|| shared.format.clone()),
            logsource: self.logsource.clone().or_else(|| shared.logsource.clone()),
            timestamp: self.timestamp.clone().or_else(|| shared.timestamp.clone()),
            preset: self.preset.clone().or_else(|| shared.preset.clone()),
            pipelines: self.pipelines.clone().or_else(|| shared.pipelines.clone()),
            placeholders: self
                .placeholders
                .clone()
                .or_else(|| shared.placeholders.clone()),
            lateness: self.lateness.clone().or_else(|| shared.lateness.clone()),
            commit_every: self.commit_every.or(shared.commit_every),
        }
    }

    fn logsource(&self) -> String {
        match &self.logsource {
            None => "product=case".to_owned(),
            Some(logsource) => logsource
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(","),
        }
    }
}

impl ExpectedLate {
    fn fits(&self, late: &Value) -> bool {
        self.rule
            .as_ref()
            .is_none_or(|rule| late["rule"] == **rule || late["title"] == **rule)
            && self.event.is_none_or(|event| late["offset"] == event)
            && self.rows.is_none_or(|rows| late["rows"] == rows)
            && self
                .window_start
                .as_ref()
                .is_none_or(|start| late["window_start"] == **start)
            && self
                .group
                .as_ref()
                .is_none_or(|group| late["group"] == Value::Object(group.clone()))
    }
}

impl ExpectedAlert {
    fn of_event(event: usize) -> Self {
        Self {
            rule: None,
            event: Some(event),
            events: None,
            group: None,
            count: None,
            time: None,
            row: None,
            withdrawn: None,
            revision: None,
            state: None,
            superseded_by: None,
            suppressed: None,
            until: None,
            given_up: None,
        }
    }

    fn fits(&self, alert: &Value, all: &[&Value]) -> bool {
        let offsets: Vec<Option<u64>> = match alert["events"].as_array() {
            Some(events) => events
                .iter()
                .map(|event| event["offset"].as_u64())
                .collect(),
            None => vec![alert["offset"].as_u64()],
        };
        let is = |events: &[usize]| {
            offsets.len() == events.len()
                && events
                    .iter()
                    .all(|&event| offsets.contains(&Some(event as u64)))
        };
        let count = self
            .count
            .or_else(|| self.events.as_ref().map(|events| events.len() as u64))
            .or(self.event.map(|_| 1));
        self.rule
            .as_ref()
            .is_none_or(|rule| alert["rule"] == **rule || alert["title"] == **rule)
            && self
                .event
                .is_none_or(|event| alert["events"].is_null() && is(&[event]))
            && self
                .events
                .as_ref()
                .is_none_or(|events| alert["events"].is_array() && is(events))
            && self
                .group
                .as_ref()
                .is_none_or(|group| alert["group"] == serde_json::json!(group))
            && count.is_none_or(|count| alert["count"] == count)
            && self
                .time
                .as_ref()
                .is_none_or(|time| alert["time"] == **time)
            && self.revision.is_none_or(|revision| {
                let of = |key: &str| alert[key]["revision"] == revision;
                of("emission") || of("suppression")
            })
            && self
                .suppressed
                .is_none_or(|count| alert["suppression"]["suppressed"] == count)
            && self
                .until
                .as_ref()
                .is_none_or(|until| alert["suppression"]["until"] == **until)
            && self.given_up == alert["given_up"].as_u64()
            && self
                .state
                .as_ref()
                .is_none_or(|state| alert["emission"]["state"] == **state)
            && self.superseded_by.is_none_or(|number| {
                let by = all.get(number).map(|by| &by["id"]);
                by.is_some_and(|by| by.is_string() && *by == alert["emission"]["superseded_by"])
            })
            && self
                .withdrawn
                .is_none_or(|gone| gone == alert.get("row").is_some_and(Value::is_null))
            && self.row.as_ref().is_none_or(|row| {
                let expected = Map::from_iter([("row".to_owned(), Value::from(row.clone()))]);
                includes(alert, &expected)
            })
    }
}
