//! The file as written: names and types only. Unknown keys are refused here, meaning is checked in [`super::validate`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    pub(super) app: Spanned<String>,
    pub(super) instance: Option<Spanned<String>>,
    pub(super) workers: Option<Spanned<usize>>,
    pub(super) delivery: Option<Spanned<String>>,
    pub(super) commit_interval: Option<Spanned<String>>,
    pub(super) max_skew: Option<Spanned<String>>,
    pub(super) reload_interval: Option<Spanned<String>>,
    pub(super) kafka: BTreeMap<String, Spanned<Scalar>>,
    pub(super) inputs: Spanned<Vec<Input>>,
    pub(super) rules: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) pipelines: Vec<Spanned<String>>,
    pub(super) placeholders: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) outputs: Outputs,
    #[serde(default)]
    pub(super) exchange: Exchange,
    #[serde(default)]
    pub(super) snapshots: Snapshots,
    #[serde(default)]
    pub(super) state: State,
    #[serde(default)]
    pub(super) limits: Limits,
    pub(super) http: Option<Http>,
}

/// librdkafka takes text; YAML users write numbers and booleans too.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    pub(super) name: Spanned<String>,
    pub(super) topics: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) pattern: Option<Spanned<String>>,
    pub(super) preset: Option<Spanned<String>>,
    pub(super) format: Option<Spanned<String>>,
    pub(super) logsource: Option<Spanned<Logsource>>,
    pub(super) timestamp: Option<String>,
    pub(super) lateness: Option<Spanned<String>>,
    pub(super) idle_timeout: Option<Spanned<String>>,
    pub(super) max_future: Option<Spanned<String>>,
    pub(super) start: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logsource {
    pub(super) product: Option<String>,
    pub(super) category: Option<String>,
    pub(super) service: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outputs {
    #[serde(default)]
    pub(super) alerts: Alerts,
    #[serde(default)]
    pub(super) rollups: Output,
    #[serde(default)]
    pub(super) dead_letters: Output,
    #[serde(default)]
    pub(super) late: Output,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alerts {
    pub(super) topic: Option<Spanned<String>>,
    pub(super) schema: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    pub(super) topic: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    pub(super) partitions: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snapshots {
    pub(super) topic: Option<Spanned<String>>,
    pub(super) interval: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) groups: Option<Spanned<usize>>,
    pub(super) bytes: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) max_record_bytes: Option<Spanned<String>>,
    pub(super) max_depth: Option<Spanned<usize>>,
    pub(super) evidence_bytes: Option<Spanned<String>>,
    pub(super) cache_bytes: Option<Spanned<String>>,
    pub(super) regex_bytes: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub(super) listen: Spanned<String>,
}
