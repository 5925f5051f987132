//! What a [`KafkaLog`](super::KafkaLog) is told, and what librdkafka is told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use regex::Regex;

use super::properties::{ALIASES, Client, DEFAULTS, REFUSED, client_of};
use crate::LogError;

/// How results and offsets are committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// In one transaction: all of it or nothing, seen once by readers that read committed.
    #[default]
    ExactlyOnce,
    /// Results first, then offsets: after a crash results of the last interval come again.
    AtLeastOnce,
}

/// How to join the group and the log of a Kafka cluster, for one worker.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// librdkafka's properties as the user gave them. They win over the [defaults](super::DEFAULTS), except for those on
    /// which delivery rests, which are refused. Must have `bootstrap.servers`.
    pub properties: BTreeMap<String, String>,
    /// The consumer group.
    pub group: String,
    /// `group.instance.id`, unique among the group's members: makes membership static, so that a restart within
    /// `session.timeout.ms` keeps its partitions without a rebalance.
    pub instance: Option<String>,
    /// `transactional.id`: unique among running workers, and best the same after a restart, so that the new worker
    /// ends what the old one left open. Not used with [`Delivery::AtLeastOnce`].
    pub transactional_id: String,
    /// Topics to read: names, or regular expressions that begin with `^`.
    pub sources: Vec<String>,
    /// The exchange topic, which the group reads too.
    pub exchange: Option<String>,
    /// How results and offsets are committed.
    pub delivery: Delivery,
    /// Records per poll, about.
    pub batch_rows: usize,
    /// Bytes per poll, about; a larger record comes alone.
    pub batch_bytes: usize,
    /// How long any one call may take: start, commit, abort, finding offsets, waiting for room in the send queue.
    pub wait: Duration,
}

impl KafkaConfig {
    /// A configuration without topics; exactly once, 8192 records or 4 MiB per poll, waits of at most 30 s.
    pub fn new(
        properties: BTreeMap<String, String>,
        group: impl Into<String>,
        transactional_id: impl Into<String>,
    ) -> Self {
        Self {
            properties,
            group: group.into(),
            instance: None,
            transactional_id: transactional_id.into(),
            sources: Vec::new(),
            exchange: None,
            delivery: Delivery::default(),
            batch_rows: 8192,
            batch_bytes: 4 << 20,
            wait: Duration::from_secs(30),
        }
    }
}

/// Checks what librdkafka does not, or not with a message for our users.
fn check(config: &KafkaConfig) -> Result<(), LogError> {
    check_properties(&config.properties)?;
    for source in config.sources.iter().filter(|name| name.starts_with('^')) {
        pattern(source)?;
    }
    if config.group.is_empty() {
        return Err(LogError::fatal("the consumer group needs a name"));
    }
    Ok(())
}

/// See [`check`]; for every kind of client.
fn check_properties(properties: &BTreeMap<String, String>) -> Result<(), LogError> {
    for (property, reason) in REFUSED {
        if properties.contains_key(*property) {
            return Err(LogError::fatal(format!(
                "kafka property `{property}` cannot be set: {reason}"
            )));
        }
    }
    if brokers(properties).is_empty() {
        return Err(LogError::fatal(
            "kafka property `bootstrap.servers` is missing: give it as host:port, several with commas",
        ));
    }
    Ok(())
}

/// A source pattern as an expression.
pub(super) fn pattern(source: &str) -> Result<Regex, LogError> {
    Regex::new(source)
        .map_err(|error| LogError::fatal(format!("topic pattern `{source}` is not valid: {error}")))
}

/// The brokers as the user gave them, for messages.
pub(super) fn brokers(properties: &BTreeMap<String, String>) -> String {
    ["bootstrap.servers", "metadata.broker.list"]
        .into_iter()
        .find_map(|name| properties.get(name))
        .cloned()
        .unwrap_or_default()
}

/// librdkafka's configuration of one client: our defaults, over them the user's, over them what cannot be changed.
fn client(
    properties: &BTreeMap<String, String>,
    client: Client,
    fixed: &[(&str, &str)],
) -> ClientConfig {
    let mut config = ClientConfig::new();
    // Lines of `debug` come at the level below; without `debug` there are none.
    config.set_log_level(if properties.contains_key("debug") {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Info
    });
    let given = |name: &str| properties.contains_key(name);
    for setting in DEFAULTS {
        let by_alias = |(alias, name): &(&str, &str)| *name == setting.property && given(alias);
        let is_ours = setting.client == client || setting.client == Client::Every;
        if is_ours && !ALIASES.iter().any(by_alias) {
            config.set(setting.property, setting.value);
        }
    }
    for (name, value) in properties {
        let of = client_of(name);
        if of == client || of == Client::Every {
            config.set(name, value);
        }
    }
    for (name, value) in fixed {
        config.set(*name, *value);
    }
    config
}

/// The consumer's configuration.
pub(super) fn consumer(config: &KafkaConfig) -> Result<ClientConfig, LogError> {
    check(config)?;
    let mut fixed = vec![
        ("group.id", config.group.as_str()),
        ("group.protocol", "classic"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("isolation.level", "read_committed"),
        // Where a partition begins is always said; this is for an offset that is no longer there. What is left of the
        // partition is read then, rather than nothing.
        ("auto.offset.reset", "earliest"),
    ];
    if let Some(instance) = &config.instance {
        fixed.push(("group.instance.id", instance));
    }
    Ok(client(&config.properties, Client::Consumer, &fixed))
}

/// The configuration of a consumer that reads partitions by itself, as no member of the group. Which records it sees: `isolation`.
pub(super) fn reader(config: &KafkaConfig, isolation: &str) -> Result<ClientConfig, LogError> {
    let mut client = consumer(config)?;
    client.remove("group.instance.id");
    client.set("isolation.level", isolation);
    Ok(client)
}

/// The producer's configuration.
pub(super) fn producer(config: &KafkaConfig) -> Result<ClientConfig, LogError> {
    check(config)?;
    let mut fixed = vec![
        ("enable.idempotence", "true"),
        // Successes need no report: the queue running empty says the same.
        ("delivery.report.only.error", "true"),
    ];
    let wait = config.wait.as_millis().to_string();
    match config.delivery {
        Delivery::ExactlyOnce => fixed.push(("transactional.id", &config.transactional_id)),
        // A message that cannot be delivered fails within the time that a commit may take.
        Delivery::AtLeastOnce if !has_message_timeout(&config.properties) => {
            fixed.push(("message.timeout.ms", &wait));
        }
        Delivery::AtLeastOnce => {}
    }
    let mut client = client(&config.properties, Client::Producer, &fixed);
    if config.delivery == Delivery::AtLeastOnce {
        client.remove("transaction.timeout.ms");
    }
    Ok(client)
}

fn has_message_timeout(properties: &BTreeMap<String, String>) -> bool {
    ["message.timeout.ms", "delivery.timeout.ms"]
        .iter()
        .any(|name| properties.contains_key(*name))
}

/// The admin client's configuration.
pub(super) fn admin(properties: &BTreeMap<String, String>) -> Result<ClientConfig, LogError> {
    check_properties(properties)?;
    Ok(client(properties, Client::Every, &[]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(properties: &[(&str, &str)]) -> KafkaConfig {
        let own = [("bootstrap.servers", "127.0.0.1:9092")];
        let properties = own.iter().chain(properties);
        let properties = properties.map(|(name, value)| ((*name).into(), (*value).into()));
        KafkaConfig::new(properties.collect(), "app", "app-0")
    }

    #[test]
    fn a_users_property_wins_over_the_default_and_goes_to_the_client_it_is_for() {
        let config = config(&[
            ("linger.ms", "7"),
            ("fetch.message.max.bytes", "5"),
            ("security.protocol", "ssl"),
        ]);
        let (consumer, producer) = (consumer(&config).unwrap(), producer(&config).unwrap());
        assert_eq!(producer.get("linger.ms"), Some("7"));
        assert_eq!(consumer.get("linger.ms"), None);
        assert_eq!(consumer.get("fetch.message.max.bytes"), Some("5"));
        assert_eq!(consumer.get("max.partition.fetch.bytes"), None);
        assert_eq!(consumer.get("session.timeout.ms"), Some("10000"));
        assert_eq!(producer.get("session.timeout.ms"), None);
        assert_eq!(producer.get("transactional.id"), Some("app-0"));
        for client in [consumer, producer] {
            assert_eq!(client.get("security.protocol"), Some("ssl"));
            assert_eq!(client.get("client.id"), Some("haechi"));
        }
    }

    #[test]
    fn what_delivery_rests_on_is_refused() {
        for (property, _) in REFUSED {
            let error = consumer(&config(&[(property, "x")]))
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(&format!("kafka property `{property}` cannot be set: ")),
                "{error}"
            );
        }
        let mut unaddressed = config(&[]);
        unaddressed.properties.clear();
        assert!(
            producer(&unaddressed)
                .unwrap_err()
                .to_string()
                .contains("`bootstrap.servers`")
        );
        let mut unreadable = config(&[]);
        unreadable.sources.push("^(".into());
        assert!(
            consumer(&unreadable)
                .unwrap_err()
                .to_string()
                .contains("topic pattern `^(`")
        );
    }

    /// librdkafka knows every property that we set, for the client that we set it for.
    #[test]
    fn librdkafka_takes_the_defaults() {
        let mut config = config(&[]);
        config.instance = Some("a".into());
        for delivery in [Delivery::ExactlyOnce, Delivery::AtLeastOnce] {
            config.delivery = delivery;
            consumer(&config).unwrap().create_native_config().unwrap();
            producer(&config).unwrap().create_native_config().unwrap();
        }
        admin(&config.properties)
            .unwrap()
            .create_native_config()
            .unwrap();
    }
}
