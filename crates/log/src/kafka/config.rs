//! What a [`KafkaLog`](super::KafkaLog) is told, and what librdkafka is told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use regex::Regex;

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
    /// librdkafka's properties as the user gave them. They win over the [defaults](DEFAULTS), except for those on
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

/// Which of a worker's clients a property is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// The consumer.
    Consumer,
    /// The producer.
    Producer,
    /// Both, and the admin client.
    Every,
}

/// Our defaults where they differ from librdkafka's: property, client, value, reason. A user's value wins.
///
/// They are chosen for throughput within bounded memory: a worker's queues hold about 16 MiB of input and at most
/// 32 MiB of output.
pub const DEFAULTS: &[(&str, Client, &str, &str)] = &[
    (
        "client.id",
        Client::Every,
        "haechi",
        "names us in the broker's logs and quotas",
    ),
    (
        "socket.keepalive.enable",
        Client::Every,
        "true",
        "connections survive firewalls that forget idle ones",
    ),
    (
        "log.connection.close",
        Client::Every,
        "false",
        "brokers close idle connections; that is no news",
    ),
    (
        "topic.metadata.refresh.interval.ms",
        Client::Every,
        "60000",
        "new topics of a pattern and new partitions are found within a minute, not five",
    ),
    (
        "session.timeout.ms",
        Client::Consumer,
        "10000",
        "a dead worker's partitions move after 10 s, not 45 s; a static member has as long to restart",
    ),
    (
        "fetch.min.bytes",
        Client::Consumer,
        "65536",
        "a moderate stream is fetched in batches, not record by record",
    ),
    (
        "fetch.wait.max.ms",
        Client::Consumer,
        "100",
        "bounds what fetch.min.bytes adds to latency, and how late the end of a partition is noticed",
    ),
    (
        "fetch.max.bytes",
        Client::Consumer,
        "8388608",
        "one response fits into the queue's bound; 50 MiB would overshoot it",
    ),
    (
        "max.partition.fetch.bytes",
        Client::Consumer,
        "2097152",
        "a few busy partitions fill a response",
    ),
    (
        "queued.max.messages.kbytes",
        Client::Consumer,
        "16384",
        "16 MiB read ahead keep a worker busy; 64 MiB each would be most of a process's memory",
    ),
    (
        "fetch.queue.backoff.ms",
        Client::Consumer,
        "10",
        "with a full queue the next fetch waits this long; 1 s would starve a fast worker with a small queue",
    ),
    (
        "transaction.timeout.ms",
        Client::Producer,
        "15000",
        "what a dead worker left open holds readers back for 15 s, not 60 s",
    ),
    (
        "linger.ms",
        Client::Producer,
        "20",
        "a commit flushes without waiting for it; between commits it makes larger batches",
    ),
    (
        "compression.type",
        Client::Producer,
        "lz4",
        "alerts and partials shrink several times, at little cost, and every client can read it",
    ),
    (
        "partitioner",
        Client::Producer,
        "murmur2_random",
        "a key goes to the partition that Java's producers choose, so that topics can be joined",
    ),
    (
        "message.max.bytes",
        Client::Producer,
        "33554432",
        "a dead letter keeps its original bytes where its topic allows it; the topic's own limit still holds",
    ),
    (
        "queue.buffering.max.kbytes",
        Client::Producer,
        "32768",
        "bounds what waits for a slow broker; librdkafka's 1 GiB is no bound",
    ),
    (
        "topic.metadata.propagation.max.ms",
        Client::Producer,
        "5000",
        "a topic that does not exist is an error after 5 s, not 30 s",
    ),
];

/// Properties that cannot be set, and why.
const REFUSED: &[(&str, &str)] = &[
    ("group.id", "it is made from `app`"),
    ("group.instance.id", "it is made from `instance`"),
    ("transactional.id", "it is made from `app` and `instance`"),
    ("enable.auto.commit", OFFSETS),
    ("auto.commit.enable", OFFSETS),
    ("auto.commit.interval.ms", OFFSETS),
    ("enable.auto.offset.store", OFFSETS),
    ("offset.store.method", OFFSETS),
    (
        "isolation.level",
        "results of aborted transactions must not be read",
    ),
    (
        "auto.offset.reset",
        "say where to begin with the input's `start`",
    ),
    ("partition.assignment.strategy", GROUP),
    ("group.protocol", GROUP),
    ("group.remote.assignor", GROUP),
    ("enable.partition.eof", "haechi needs to know the end"),
    ("enable.idempotence", ORDER),
    ("enable.gapless.guarantee", ORDER),
    ("acks", ORDER),
    ("request.required.acks", ORDER),
    ("queuing.strategy", ORDER),
    ("delivery.report.only.error", ORDER),
];

const OFFSETS: &str = "offsets are committed together with the results";
const GROUP: &str = "members of a group must agree, and partitions move cooperatively";
const ORDER: &str = "delivery without loss, twice or out of order rests on it";

/// Properties of librdkafka that only a consumer knows (its CONFIGURATION.md, column `C`).
const CONSUMER_ONLY: &[&str] = &[
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "group.protocol.type",
    "coordinator.query.interval.ms",
    "max.poll.interval.ms",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.wait.max.ms",
    "fetch.queue.backoff.ms",
    "fetch.message.max.bytes",
    "max.partition.fetch.bytes",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.error.backoff.ms",
    "check.crcs",
    "consume.callback.max.messages",
];

/// Properties of librdkafka that only a producer knows (column `P`), and those that we give to it alone.
const PRODUCER_ONLY: &[&str] = &[
    "transaction.timeout.ms",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "linger.ms",
    "message.send.max.retries",
    "retries",
    "queue.buffering.backpressure.threshold",
    "compression.codec",
    "compression.type",
    "compression.level",
    "batch.num.messages",
    "batch.size",
    "sticky.partitioning.linger.ms",
    "request.timeout.ms",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "partitioner",
    "message.max.bytes",
    "topic.metadata.propagation.max.ms",
];

/// A property's other name: setting either is setting both.
const ALIASES: &[(&str, &str)] = &[
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
];

fn client_of(property: &str) -> Client {
    if CONSUMER_ONLY.contains(&property) {
        Client::Consumer
    } else if PRODUCER_ONLY.contains(&property) {
        Client::Producer
    } else {
        Client::Every
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
    for (name, of, value, _) in DEFAULTS {
        let alias = ALIASES.iter().any(|(a, b)| b == name && given(a));
        if (*of == client || *of == Client::Every) && !alias {
            config.set(*name, *value);
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
