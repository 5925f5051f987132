//! What is known of librdkafka's properties: our defaults, what cannot be set, and which client each is for.

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

/// A librdkafka property that we set otherwise than librdkafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The property.
    pub property: &'static str,
    /// The client that gets it.
    pub client: Client,
    /// Its value.
    pub value: &'static str,
    /// Why not librdkafka's.
    pub reason: &'static str,
}

const fn setting(
    property: &'static str,
    client: Client,
    value: &'static str,
    reason: &'static str,
) -> Setting {
    Setting {
        property,
        client,
        value,
        reason,
    }
}

/// Our defaults where they differ from librdkafka's. A user's value wins.
///
/// They are chosen for throughput within bounded memory: a worker's queues hold about 16 MiB of input and at most
/// 32 MiB of output.
pub const DEFAULTS: &[Setting] = &[
    setting(
        "client.id",
        Client::Every,
        "haechi",
        "names us in the broker's logs and quotas",
    ),
    setting(
        "socket.keepalive.enable",
        Client::Every,
        "true",
        "connections survive firewalls that forget idle ones",
    ),
    setting(
        "reconnect.backoff.max.ms",
        Client::Every,
        "2000",
        "a broker that is back is noticed within 2 s, not 10 s; and some calls look at their time only when an attempt to connect fails",
    ),
    setting(
        "log.connection.close",
        Client::Every,
        "false",
        "brokers close idle connections; that is no news",
    ),
    setting(
        "topic.metadata.refresh.interval.ms",
        Client::Every,
        "60000",
        "new topics of a pattern and new partitions are found within a minute, not five",
    ),
    setting(
        "session.timeout.ms",
        Client::Consumer,
        "10000",
        "a dead worker's partitions move after 10 s, not 45 s; a static member has as long to restart",
    ),
    setting(
        "fetch.min.bytes",
        Client::Consumer,
        "65536",
        "a moderate stream is fetched in batches, not record by record",
    ),
    setting(
        "fetch.wait.max.ms",
        Client::Consumer,
        "100",
        "bounds what fetch.min.bytes adds to latency, and how late the end of a partition is noticed",
    ),
    setting(
        "fetch.max.bytes",
        Client::Consumer,
        "8388608",
        "one response fits into the queue's bound; 50 MiB would overshoot it",
    ),
    setting(
        "max.partition.fetch.bytes",
        Client::Consumer,
        "2097152",
        "a few busy partitions fill a response",
    ),
    setting(
        "queued.max.messages.kbytes",
        Client::Consumer,
        "16384",
        "16 MiB read ahead keep a worker busy; 64 MiB each would be most of a process's memory",
    ),
    setting(
        "fetch.queue.backoff.ms",
        Client::Consumer,
        "10",
        "with a full queue the next fetch waits this long; 1 s would starve a fast worker with a small queue",
    ),
    setting(
        "transaction.timeout.ms",
        Client::Producer,
        "15000",
        "what a dead worker left open holds readers back for 15 s, not 60 s",
    ),
    setting(
        "linger.ms",
        Client::Producer,
        "20",
        "a commit flushes without waiting for it; between commits it makes larger batches",
    ),
    setting(
        "compression.type",
        Client::Producer,
        "lz4",
        "alerts and partials shrink several times, at little cost, and every client can read it",
    ),
    setting(
        "partitioner",
        Client::Producer,
        "murmur2_random",
        "a key goes to the partition that Java's producers choose, so that topics can be joined",
    ),
    setting(
        "message.max.bytes",
        Client::Producer,
        "33554432",
        "a dead letter keeps its original bytes where its topic allows it; the topic's own limit still holds",
    ),
    setting(
        "queue.buffering.max.kbytes",
        Client::Producer,
        "32768",
        "bounds what waits for a slow broker; librdkafka's 1 GiB is no bound",
    ),
    setting(
        "topic.metadata.propagation.max.ms",
        Client::Producer,
        "5000",
        "a topic that does not exist is an error after 5 s, not 30 s",
    ),
];

/// Properties that cannot be set, and why.
pub(super) const REFUSED: &[(&str, &str)] = &[
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
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
];

/// The clients that know a property.
pub(super) fn client_of(property: &str) -> Client {
    if CONSUMER_ONLY.contains(&property) {
        Client::Consumer
    } else if PRODUCER_ONLY.contains(&property) {
        Client::Producer
    } else {
        Client::Every
    }
}
