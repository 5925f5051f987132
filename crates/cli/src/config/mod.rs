//! The configuration file: YAML as written ([`raw`]) becomes validated values ([`Config`]) before anything runs.
//!
//! Every key is described in `docs/configuration.md`; `examples/haechi.yaml` shows them all. Whatever is wrong is
//! reported with file, line and column.

mod kind;
mod raw;
#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod schema;
mod secrets;
mod validate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::through::Through;
use haechi_engine::settings::State;
use haechi_engine::{Input, Limits, Outputs};
use haechi_log::Delivery;

/// A configuration file, validated.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Prefix of the consumer group, the exchange topic and the transactional ids.
    pub(crate) app: String,
    /// Stable name of this process; makes membership static and restarts quick.
    pub(crate) instance: Option<String>,
    /// Worker threads; `None` = one per core.
    pub(crate) workers: Option<usize>,
    pub(crate) delivery: Delivery,
    pub(crate) commit_interval: Duration,
    /// How far a partition may be ahead of the slowest in event time.
    pub(crate) max_skew: Duration,
    pub(crate) state: State,
    /// How often rule files are looked at; zero: only when asked to.
    pub(crate) reload_interval: Duration,
    /// librdkafka properties, secrets resolved.
    pub(crate) kafka: BTreeMap<String, String>,
    pub(crate) inputs: Vec<Arc<Input>>,
    /// Rule files and folders, relative ones resolved against the configuration file's folder.
    pub(crate) rules: Vec<PathBuf>,
    /// What the rules go through before they are compiled.
    pub(crate) through: Through,
    pub(crate) outputs: Outputs,
    /// Partitions of the exchange topic to create; `None` = by cores.
    pub(crate) exchange_partitions: Option<u32>,
    /// The topic with the snapshots of windows.
    pub(crate) snapshots_topic: String,
    /// How often a partition's windows are written there at the most; zero: never.
    pub(crate) snapshots_interval: Duration,
    pub(crate) limits: Limits,
    /// Where metrics and health are served.
    pub(crate) http: Option<SocketAddr>,
}

/// What is wrong with a configuration file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {message}", .file.display(), .at.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default())]
pub(crate) struct ConfigError {
    file: PathBuf,
    at: Option<(u64, u64)>,
    message: String,
}

impl Config {
    /// Reads and validates a file.
    ///
    /// # Errors
    /// When the file cannot be read, is not YAML, has unknown keys, wrong types or contradictions.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            file: path.to_owned(),
            at: None,
            message: format!("cannot be read: {error}; name a configuration file with -c"),
        })?;
        Self::parse(path, &text)
    }

    /// Validates the text of a file; `path` is where relative paths start and what errors name.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let options = serde_saphyr::options! { with_snippet: false };
        let raw: raw::Config =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                let at = error
                    .location()
                    .map(|location| (location.line(), location.column()));
                let message = error.to_string();
                // The position is already at the front of our own line.
                let message = message
                    .split(" at line ")
                    .next()
                    .unwrap_or(&message)
                    .to_owned();
                let message = match message.strip_prefix("invalid ") {
                    Some("u64" | "u32" | "usize") => "a whole number is wanted here".to_owned(),
                    _ => message,
                };
                ConfigError {
                    file: path.to_owned(),
                    at,
                    message,
                }
            })?;
        validate::validate(path, raw)
    }

    /// The consumer group.
    pub(crate) fn group(&self) -> String {
        self.app.clone()
    }

    /// The internal topic between the two stages.
    pub(crate) fn exchange_topic(&self) -> String {
        format!("{}-exchange", self.app)
    }

    /// Everything the group subscribes to besides the exchange: names, or patterns that begin with `^`.
    pub(crate) fn subscriptions(&self) -> Vec<String> {
        let filters = self.inputs.iter().flat_map(|input| &input.topics);
        let mut subscriptions: Vec<String> = filters
            .map(|filter| match filter {
                haechi_engine::TopicFilter::Name(name) => name.to_string(),
                haechi_engine::TopicFilter::Pattern(pattern) => pattern.as_str().to_owned(),
            })
            .collect();
        subscriptions.sort();
        subscriptions.dedup();
        subscriptions
    }

    /// How many workers this process runs.
    pub(crate) fn worker_count(&self) -> usize {
        self.workers.unwrap_or_else(cores)
    }
}

/// Cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
