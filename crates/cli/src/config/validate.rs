//! From the file as written to values that can be used: meaning, defaults and contradictions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haechi_alert::Schema;
use haechi_engine::settings::State;
use haechi_engine::{Input, Limits, Outputs, TopicFilter};
use haechi_log::{Delivery, Start};
use serde_saphyr::Spanned;

use super::{Config, ConfigError, raw, secrets};

/// Properties that the engine must own: exactly-once delivery rests on them.
const OWNED_PROPERTIES: [(&str, &str); 7] = [
    ("group.id", "set `app` instead"),
    ("group.instance.id", "set `instance` instead"),
    ("transactional.id", "set `app` and `instance` instead"),
    (
        "enable.auto.commit",
        "offsets are committed with the results",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed with the results",
    ),
    ("isolation.level", "inputs are read committed"),
    ("auto.offset.reset", "set `start` of each input instead"),
];

/// Names of topics as Kafka allows them.
const LONGEST_TOPIC: usize = 249;

pub(super) struct Validator<'a> {
    pub(super) file: &'a Path,
}

pub(super) fn validate(file: &Path, raw: raw::Config) -> Result<Config, ConfigError> {
    Validator { file }.config(raw)
}

impl Validator<'_> {
    fn config(&self, raw: raw::Config) -> Result<Config, ConfigError> {
        let app = self.name(&raw.app, "app")?;
        let inputs = self.inputs(&raw)?;
        let folder = self.file.parent().unwrap_or(Path::new(""));
        if raw.rules.value.is_empty() {
            return Err(self.at(
                &raw.rules,
                "`rules` is empty: name at least one rule file or folder",
            ));
        }
        let rules = raw
            .rules
            .value
            .iter()
            .map(|path| Ok(folder.join(self.text(path)?)))
            .collect::<Result<_, _>>()?;
        let through = self.pipelines(&raw, folder)?;
        let outputs = self.outputs(&app, &raw.outputs, &inputs)?;
        let delivery = self.choice(
            raw.delivery.as_ref(),
            "delivery",
            Delivery::ExactlyOnce,
            &[
                ("exactly_once", Delivery::ExactlyOnce),
                ("at_least_once", Delivery::AtLeastOnce),
            ],
        )?;
        let limits = self.limits(&raw.limits)?;
        let http = match &raw.http {
            Some(http) => {
                let text = self.text(&http.listen)?;
                Some(text.parse().map_err(|_| {
                    self.at(
                        &http.listen,
                        format!("`{text}` is not an address and port such as 0.0.0.0:9464"),
                    )
                })?)
            }
            None => None,
        };
        Ok(Config {
            instance: raw
                .instance
                .as_ref()
                .map(|instance| self.name(instance, "instance"))
                .transpose()?,
            workers: raw
                .workers
                .as_ref()
                .map(|workers| self.positive(workers, "workers"))
                .transpose()?,
            delivery,
            max_skew: self.duration(raw.max_skew.as_ref(), Duration::from_secs(3600))?,
            reload_interval: self
                .duration(raw.reload_interval.as_ref(), Duration::from_secs(10))?,
            commit_interval: self
                .duration(raw.commit_interval.as_ref(), Duration::from_millis(200))?,
            kafka: self.kafka(raw.kafka)?,
            rules,
            through,
            outputs,
            exchange_partitions: match raw.exchange.partitions {
                Some(ref partitions) if partitions.value == 0 => {
                    return Err(self.at(partitions, "the exchange needs at least one partition"));
                }
                Some(partitions) => Some(partitions.value),
                None => None,
            },
            snapshots_topic: self.own_topic(
                raw.snapshots.topic.as_ref(),
                &app,
                "snapshots",
                &inputs,
            )?,
            snapshots_interval: self
                .duration(raw.snapshots.interval.as_ref(), Duration::from_secs(60))?,
            inputs,
            state: self.state(&raw.state)?,
            limits,
            http,
            app,
        })
    }

    fn kafka(
        &self,
        raw: BTreeMap<String, Spanned<raw::Scalar>>,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut kafka = BTreeMap::new();
        for (key, value) in raw {
            if let Some((_, instead)) = OWNED_PROPERTIES.iter().find(|(owned, _)| *owned == key) {
                return Err(self.at(
                    &value,
                    format!("`kafka.{key}` is not yours to set: {instead}"),
                ));
            }
            let text = match &value.value {
                raw::Scalar::Bool(value) => value.to_string(),
                raw::Scalar::Integer(value) => value.to_string(),
                raw::Scalar::Float(value) => value.to_string(),
                raw::Scalar::Text(text) => {
                    secrets::resolve(text).map_err(|message| self.at(&value, message))?
                }
            };
            kafka.insert(key, text);
        }
        if !kafka.contains_key("bootstrap.servers") {
            return Err(self.whole(
                "`kafka` has no `bootstrap.servers`: name your brokers as host:port,host:port",
            ));
        }
        Ok(kafka)
    }

    fn inputs(&self, config: &raw::Config) -> Result<Vec<Arc<Input>>, ConfigError> {
        let raw = &config.inputs;
        if raw.value.is_empty() {
            return Err(self.at(
                raw,
                "`inputs` is empty: declare at least one input with name, topics and format",
            ));
        }
        let mut names = BTreeSet::new();
        let mut topics = BTreeMap::new();
        let mut inputs = Vec::with_capacity(raw.value.len());
        for declared in &raw.value {
            let name = self.name(&declared.name, "name")?;
            if !names.insert(name.clone()) {
                return Err(self.at(
                    &declared.name,
                    format!("two inputs are named `{name}`: names must differ"),
                ));
            }
            let filters = self.topics(declared, &name, &mut topics)?;
            inputs.push(Arc::new(self.input(config, declared, name, filters)?));
        }
        Ok(inputs)
    }

    fn topics(
        &self,
        raw: &raw::Input,
        name: &str,
        seen: &mut BTreeMap<String, String>,
    ) -> Result<Vec<TopicFilter>, ConfigError> {
        match (&raw.topics, &raw.pattern) {
            (Some(topics), None) => {
                if topics.value.is_empty() {
                    return Err(self.at(
                        topics,
                        format!("input `{name}` has no topics: name at least one"),
                    ));
                }
                let mut filters = Vec::with_capacity(topics.value.len());
                for topic in &topics.value {
                    let text = self.topic(topic)?;
                    if let Some(other) = seen.insert(text.clone(), name.to_owned()) {
                        return Err(self.at(topic, format!("topic `{text}` is read by input `{other}` already: a topic belongs to one input")));
                    }
                    filters.push(TopicFilter::Name(text.into()));
                }
                Ok(filters)
            }
            (None, Some(pattern)) => {
                let text = self.text(pattern)?;
                if !text.starts_with('^') {
                    return Err(self.at(pattern, format!("pattern `{text}` must begin with `^`")));
                }
                let regex = regex::Regex::new(&text).map_err(|error| {
                    self.at(
                        pattern,
                        format!("pattern `{text}` is not a regular expression: {error}"),
                    )
                })?;
                Ok(vec![TopicFilter::Pattern(regex)])
            }
            (Some(topics), Some(_)) => Err(self.at(
                topics,
                format!("input `{name}` has both `topics` and `pattern`: keep one"),
            )),
            (None, None) => Err(self.at(
                &raw.name,
                format!("input `{name}` has neither `topics` nor `pattern`: say what it reads"),
            )),
        }
    }

    fn input(
        &self,
        config: &raw::Config,
        raw: &raw::Input,
        name: String,
        topics: Vec<TopicFilter>,
    ) -> Result<Input, ConfigError> {
        let kind = self.kind(config, raw, &name)?;
        Ok(Input {
            name: name.into(),
            topics,
            format: kind.format,
            logsource: kind.logsource,
            timestamp: raw.timestamp.clone().or(kind.timestamp),
            lateness: self.duration(raw.lateness.as_ref(), Duration::from_secs(30))?,
            idle_timeout: self.duration(raw.idle_timeout.as_ref(), Duration::from_secs(30))?,
            max_future: self.duration(raw.max_future.as_ref(), Duration::from_secs(3600))?,
            start: self.choice(
                raw.start.as_ref(),
                "start",
                Start::Earliest,
                &[("earliest", Start::Earliest), ("latest", Start::Latest)],
            )?,
        })
    }

    /// The name of a topic that haechi writes.
    fn own_topic(
        &self,
        given: Option<&Spanned<String>>,
        app: &str,
        default: &str,
        inputs: &[Arc<Input>],
    ) -> Result<String, ConfigError> {
        let Some(given) = given else {
            return Ok(format!("{app}-{default}"));
        };
        let name = self.topic(given)?;
        if inputs
            .iter()
            .flat_map(|input| &input.topics)
            .any(|filter| filter.matches(&name))
        {
            return Err(self.at(
                given,
                format!("topic `{name}` is an input too: haechi would read its own results"),
            ));
        }
        Ok(name)
    }

    fn outputs(
        &self,
        app: &str,
        raw: &raw::Outputs,
        inputs: &[Arc<Input>],
    ) -> Result<Outputs, ConfigError> {
        let schema = self.choice(
            raw.alerts.schema.as_ref(),
            "schema",
            Schema::Ocsf,
            &[("ocsf", Schema::Ocsf), ("brief", Schema::Brief)],
        )?;
        let topic = |given, default| self.own_topic(given, app, default, inputs);
        Ok(Outputs {
            alerts: topic(raw.alerts.topic.as_ref(), "alerts")?,
            schema,
            rollups: topic(raw.rollups.topic.as_ref(), "rollups")?,
            dead_letters: topic(raw.dead_letters.topic.as_ref(), "dead-letters")?,
            late: topic(raw.late.topic.as_ref(), "late")?,
        })
    }

    fn state(&self, raw: &raw::State) -> Result<State, ConfigError> {
        let default = State::default();
        let groups = raw.groups.as_ref();
        Ok(State {
            groups: match groups {
                Some(groups) => self.positive(groups, "groups")? as u64,
                None => default.groups,
            },
            bytes: self.bytes(raw.bytes.as_ref(), usize::MAX).map(|bytes| {
                if raw.bytes.is_some() {
                    bytes as u64
                } else {
                    default.bytes
                }
            })?,
        })
    }

    fn limits(&self, raw: &raw::Limits) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        Ok(Limits {
            max_record_bytes: self
                .bytes(raw.max_record_bytes.as_ref(), default.max_record_bytes)?,
            max_depth: raw
                .max_depth
                .as_ref()
                .map_or(Ok(default.max_depth), |depth| {
                    self.positive(depth, "max_depth")
                })?,
            evidence_bytes: self.bytes(raw.evidence_bytes.as_ref(), default.evidence_bytes)?,
            cache_bytes: self.bytes(raw.cache_bytes.as_ref(), default.cache_bytes)?,
            regex_bytes: self.bytes(raw.regex_bytes.as_ref(), default.regex_bytes)?,
        })
    }

    pub(super) fn text(&self, text: &Spanned<String>) -> Result<String, ConfigError> {
        secrets::resolve(&text.value).map_err(|message| self.at(text, message))
    }

    /// A name that can be part of group, topic and transactional ids.
    fn name(&self, name: &Spanned<String>, key: &str) -> Result<String, ConfigError> {
        let text = self.text(name)?;
        if is_topic_name(&text) {
            return Ok(text);
        }
        Err(self.at(name, format!("`{key}: {text}` must be letters, digits, `.`, `_` and `-` only: it becomes part of topic names")))
    }

    fn topic(&self, topic: &Spanned<String>) -> Result<String, ConfigError> {
        let text = self.text(topic)?;
        if is_topic_name(&text) {
            return Ok(text);
        }
        Err(self.at(topic, format!("`{text}` is not a topic name: use letters, digits, `.`, `_` and `-`, or `pattern` for several topics")))
    }

    fn positive(&self, number: &Spanned<usize>, key: &str) -> Result<usize, ConfigError> {
        if number.value == 0 {
            return Err(self.at(number, format!("`{key}` must be at least 1")));
        }
        Ok(number.value)
    }

    fn duration(
        &self,
        text: Option<&Spanned<String>>,
        default: Duration,
    ) -> Result<Duration, ConfigError> {
        let Some(text) = text else { return Ok(default) };
        humantime::parse_duration(&self.text(text)?).map_err(|error| {
            self.at(
                text,
                format!(
                    "`{}` is not a duration such as 200ms, 30s, 5m or 1h: {error}",
                    text.value
                ),
            )
        })
    }

    fn bytes(&self, text: Option<&Spanned<String>>, default: usize) -> Result<usize, ConfigError> {
        let Some(text) = text else { return Ok(default) };
        let size: bytesize::ByteSize = self.text(text)?.parse().map_err(|error| {
            self.at(
                text,
                format!(
                    "`{}` is not a size such as 64KiB or 16MiB: {error}",
                    text.value
                ),
            )
        })?;
        usize::try_from(size.as_u64())
            .ok()
            .filter(|&size| size > 0)
            .ok_or_else(|| self.at(text, format!("`{}` must be more than nothing", text.value)))
    }

    fn choice<T: Copy>(
        &self,
        text: Option<&Spanned<String>>,
        key: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let Some(text) = text else { return Ok(default) };
        let chosen = self.text(text)?;
        choices
            .iter()
            .find(|(name, _)| *name == chosen)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                self.at(
                    text,
                    format!(
                        "`{key}: {chosen}` is not known: choose {}",
                        names.join(" or ")
                    ),
                )
            })
    }

    pub(super) fn at<T>(&self, value: &Spanned<T>, message: impl Into<String>) -> ConfigError {
        let at = Some((value.referenced.line(), value.referenced.column()));
        ConfigError {
            file: self.file.to_owned(),
            at,
            message: message.into(),
        }
    }

    fn whole(&self, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: self.file.to_owned(),
            at: None,
            message: message.into(),
        }
    }
}

fn is_topic_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_TOPIC
        && text != "."
        && text != ".."
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}
