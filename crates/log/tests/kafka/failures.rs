//! No broker, a broker that dies, a configuration that is wrong; and what is said of topics.

use super::*;

#[test]
fn no_broker_is_said_in_time() {
    let mut config = config(&unique("group"), "0", "x");
    config.wait = Duration::from_secs(2);
    config
        .properties
        .insert("bootstrap.servers".into(), "127.0.0.1:9".into());
    for delivery in [Delivery::ExactlyOnce, Delivery::AtLeastOnce] {
        config.delivery = delivery;
        let started = Instant::now();
        let error = KafkaLog::open(config.clone()).err().unwrap();
        assert!(
            started.elapsed() < Duration::from_secs(6),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(error.kind(), Kind::Retriable);
        let text = error.to_string();
        assert!(
            text.starts_with("no broker of `127.0.0.1:9` answered within 2s: ")
                && text.contains("Connection refused"),
            "{text}"
        );
    }
    let admin = KafkaAdmin::open(&config.properties, config.wait).unwrap();
    let text = admin.topics().unwrap_err().to_string();
    assert!(text.contains("`127.0.0.1:9`"), "{text}");
}

/// librdkafka's own mock cluster, which can be cut off.
#[test]
fn a_broker_that_dies_holds_nothing_up_for_long() {
    const BOUND: Duration = Duration::from_secs(2);
    for delivery in [Delivery::ExactlyOnce, Delivery::AtLeastOnce] {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("source", 1, 1).unwrap();
        cluster.create_topic("out", 1, 1).unwrap();
        let bootstrap = ("bootstrap.servers".to_owned(), cluster.bootstrap_servers());
        let mut config = KafkaConfig::new([bootstrap].into(), "group", "worker");
        config.sources = vec!["source".to_owned()];
        config.delivery = delivery;
        config.wait = BOUND;
        let mut log = KafkaLog::open(config.clone()).unwrap();
        begin(&mut log);
        let at = TopicPartition::new("source", 0);
        let offsets = [(at.clone(), 0, String::new())];
        log.send(&message("out", None, b"x")).unwrap();
        log.commit(&offsets).unwrap();

        cluster.broker_down(1).unwrap();
        log.send(&message("out", None, b"x")).unwrap();
        let timed = |what: &str, outcome: Result<(), LogError>, started: Instant| {
            let took = started.elapsed();
            assert!(took < BOUND * 3, "{what} took {took:?}");
            outcome.err()
        };
        let started = Instant::now();
        let error = timed("commit", log.commit(&offsets), started).unwrap();
        assert_ne!(error.kind(), Kind::Fatal, "{error}");
        let started = Instant::now();
        if let Some(error) = timed("abort", log.abort(), started) {
            assert_eq!(error.kind(), Kind::Fenced, "{error}");
        }
        // The offsets alone, which wait for the group's coordinator.
        let started = Instant::now();
        let error = timed("commit of offsets", log.commit(&offsets), started).unwrap();
        assert_ne!(error.kind(), Kind::Fatal, "{error}");
        let started = Instant::now();
        timed("poll", log.poll(WAIT).map(drop), started);
        let started = Instant::now();
        drop(log);
        assert!(
            started.elapsed() < Duration::from_secs(12),
            "{:?}",
            started.elapsed()
        );
        let started = Instant::now();
        let error = timed("open", KafkaLog::open(config).map(drop), started).unwrap();
        assert_eq!(error.kind(), Kind::Retriable, "{error}");
    }
}

#[test]
fn a_wrong_configuration_is_fatal_and_named() {
    let open = |properties: &[(&str, &str)]| {
        let mut config = config(&unique("group"), "0", "x");
        config.wait = Duration::from_secs(5);
        let given = properties.iter();
        config
            .properties
            .extend(given.map(|(name, value)| ((*name).into(), (*value).into())));
        KafkaLog::open(config).err().unwrap()
    };
    let refused = |properties: &[(&str, &str)]| {
        let error = open(properties);
        assert_eq!(error.kind(), Kind::Fatal, "{error}");
        error.to_string()
    };
    assert!(refused(&[("no.such.property", "1")]).contains("no.such.property"));
    assert!(refused(&[("linger.ms", "soon")]).contains("linger.ms"));
    let text = refused(&[("transaction.timeout.ms", "2000000000")]);
    assert!(text.contains("lower `transaction.timeout.ms`"), "{text}");
    let text = refused(&[
        ("security.protocol", "ssl"),
        ("ssl.ca.location", "/nowhere/ca.pem"),
    ]);
    assert!(text.contains("ssl.ca.location"), "{text}");
    // The broker speaks neither SASL nor TLS.
    let text = refused(&[
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "someone"),
        ("sasl.password", "something"),
    ]);
    assert!(text.contains("check kafka's `security.protocol`"), "{text}");
    // This one may also be the broker's certificate being changed: it can pass.
    let text = open(&[("security.protocol", "ssl")]).to_string();
    // The client tells what it saw first: that the handshake failed, or that the broker hung up in the middle of it.
    let handshake = ["SSL handshake failed", "SSL_HANDSHAKE"];
    assert!(handshake.iter().any(|of| text.contains(of)), "{text}");
}

#[test]
fn topics_are_described() {
    let topic = create("topic", 3, &[("max.message.bytes", "2000000")]);
    let admin = admin();
    let state = admin.topic(&topic).unwrap().unwrap();
    assert_eq!((state.partitions, state.replicas), (3, 1));
    assert_eq!(state.config["max.message.bytes"], "2000000");
    assert_eq!(admin.topics().unwrap()[&topic], 3);
    assert_eq!(admin.topic(&unique("none")).unwrap(), None);
    let again = NewTopic {
        name: topic,
        partitions: 1,
        replicas: None,
        config: BTreeMap::new(),
    };
    admin.create(std::slice::from_ref(&again)).unwrap();
    let invalid = NewTopic {
        name: unique("invalid"),
        config: [("no.such.config".to_owned(), "1".to_owned())].into(),
        ..again
    };
    let error = admin.create(&[invalid]).unwrap_err();
    assert!(
        error.to_string().contains("cannot create topic `invalid"),
        "{error}"
    );
    let error = admin.end_offsets(&unique("none")).unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}
