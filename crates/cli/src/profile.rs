//! Where the time of a replay went, as tables for people and as JSON for programs.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use haechi_engine::Program;
use haechi_engine::profile::{Profile, Stage};
use serde::Serialize;

use crate::report::grouped;

/// How many rules and fields the tables name.
const NAMED: usize = 15;

/// Times that only the command knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around {
    /// Loading and compiling the rules.
    pub(crate) load: Duration,
    /// Reading and decompressing the files, in threads of their own.
    pub(crate) read: Duration,
    /// Sorting and writing the results.
    pub(crate) write: Duration,
}

/// All of it; the JSON is this.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    stages: Vec<StageRow>,
    rules: Vec<RuleRow>,
    fields: Vec<FieldRow>,
}

#[derive(Debug, Serialize)]
struct StageRow {
    stage: &'static str,
    seconds: f64,
    /// Of all stages but waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
}

#[derive(Debug, Serialize)]
struct RuleRow {
    rule: String,
    title: String,
    seconds: f64,
    looked_at: u64,
    hits: u64,
}

#[derive(Debug, Serialize)]
struct FieldRow {
    field: String,
    seconds: f64,
    values: u64,
    /// Values that the cache did not know.
    matched: u64,
    /// The share of those.
    distinct: f64,
    scanned_bytes: u64,
}

impl Report {
    pub(crate) fn new(profile: &Profile, around: Around, program: &Program) -> Self {
        let detections = &profile.detections;
        let headers = program.rules.detections.iter().map(|rule| &rule.header);
        let mut rules: Vec<RuleRow> = headers
            .zip(&detections.rules)
            .filter(|(_, cost)| cost.looked_at > 0 || !cost.took.is_zero())
            .map(|(header, cost)| RuleRow {
                rule: header.id.to_string(),
                title: header.title.clone(),
                seconds: cost.took.as_secs_f64(),
                looked_at: cost.looked_at,
                hits: cost.hits,
            })
            .collect();
        rules.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let names = program.detections.fields().iter().map(|name| &**name);
        let costs = names.zip(&detections.fields);
        let mut fields: Vec<FieldRow> = costs
            .chain([("(keywords)", &detections.keywords)])
            .filter(|(_, cost)| cost.values > 0)
            .map(|(field, cost)| FieldRow {
                field: field.to_owned(),
                seconds: cost.took.as_secs_f64(),
                values: cost.values,
                matched: cost.matched,
                distinct: cost.matched as f64 / cost.values as f64,
                scanned_bytes: cost.scanned_bytes,
            })
            .collect();
        fields.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Self {
            stages: stages(profile, around),
            rules,
            fields,
        }
    }

    /// The tables, line by line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:>7} {:>9}  stage", "share", "seconds")];
        lines.extend(self.stages.iter().map(|row| {
            let share = row.share.map_or_else(String::new, percent);
            format!("{share:>7} {:>9.3}  {}", row.seconds, row.stage)
        }));
        lines.push(String::new());
        lines.push(format!(
            "{:>9} {:>11} {:>7}  rule: those of {} that cost most by themselves",
            "seconds",
            "looked at",
            "hits",
            grouped(self.rules.len() as u64)
        ));
        lines.extend(self.rules.iter().take(NAMED).map(|row| {
            let (looked_at, hits) = (grouped(row.looked_at), grouped(row.hits));
            format!(
                "{:>9.4} {looked_at:>11} {hits:>7}  {} ({})",
                row.seconds, row.title, row.rule
            )
        }));
        lines.push(String::new());
        lines.push(format!(
            "{:>9} {:>11} {:>9} {:>11}  field: those of {} that cost most",
            "seconds",
            "values",
            "distinct",
            "scanned MB",
            self.fields.len()
        ));
        lines.extend(self.fields.iter().take(NAMED).map(|row| {
            format!(
                "{:>9.4} {:>11} {:>9} {:>11.1}  {}",
                row.seconds,
                grouped(row.values),
                percent(row.distinct),
                row.scanned_bytes as f64 / 1e6,
                row.field
            )
        }));
        lines
    }

    /// Writes all rules and fields as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let file =
            File::create(path).with_context(|| format!("{} cannot be created", path.display()))?;
        serde_json::to_writer_pretty(BufWriter::new(file), self)
            .with_context(|| format!("the profile cannot be written to {}", path.display()))
    }
}

fn stages(profile: &Profile, around: Around) -> Vec<StageRow> {
    let mut times = vec![("load", around.load), ("read", around.read)];
    let working = Stage::ALL.iter().filter(|&&stage| stage != Stage::Wait);
    times.extend(working.map(|&stage| (stage.name(), profile.stage(stage))));
    times.push(("write", around.write));
    let all: Duration = times.iter().map(|(_, time)| *time).sum();
    let all = all.as_secs_f64().max(f64::MIN_POSITIVE);
    let row = |stage, time: Duration, share| StageRow {
        stage,
        seconds: time.as_secs_f64(),
        share,
    };
    let mut rows: Vec<StageRow> = times
        .into_iter()
        .map(|(stage, time)| row(stage, time, Some(time.as_secs_f64() / all)))
        .collect();
    rows.push(row(Stage::Wait.name(), profile.stage(Stage::Wait), None));
    rows
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
