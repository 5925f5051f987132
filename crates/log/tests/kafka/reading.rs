//! Patterns, pauses, and topics that are not there yet.

use super::*;

#[test]
fn patterns_find_their_topics() {
    let one = create("pattern", 1, &[]);
    let stem = one.rsplit_once('-').unwrap().0.to_owned();
    let mut config = config(&unique("group"), "0", &format!("^{stem}-"));
    config.sources.push("does-not-exist".to_owned());
    let mut log = KafkaLog::open(config).unwrap();
    let topics = log.topology().unwrap().topics;
    assert!(topics.contains(&(Arc::from(one.as_str()), 1)), "{topics:?}");
    assert!(
        topics.iter().all(|(name, _)| name.starts_with(&stem)),
        "{topics:?}"
    );
    assert!(
        begin(&mut log)
            .iter()
            .any(|assigned| *assigned.at.topic == *one)
    );
}

#[test]
fn a_missing_topic_is_named_and_once_it_is_there_it_goes_on() {
    let source = create("source", 1, &[]);
    let missing = unique("missing");
    let mut log = KafkaLog::open(config(&unique("group"), "0", &source)).unwrap();
    begin(&mut log);
    let error = log
        .send(&message(&missing, None, b"x"))
        .and_then(|()| log.commit(&[]))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Retriable);
    assert_eq!(
        error.to_string(),
        format!("topic `{missing}` does not exist; create it with `haechi topics apply`")
    );
    log.abort().unwrap();
    admin()
        .create(&[NewTopic {
            name: missing.clone(),
            partitions: 1,
            replicas: None,
            config: BTreeMap::new(),
        }])
        .unwrap();
    let started = Instant::now();
    loop {
        let outcome = log
            .send(&message(&missing, None, b"x"))
            .and_then(|()| log.commit(&[]));
        let Err(error) = outcome else { break };
        assert!(started.elapsed() < PATIENCE, "{error}");
        log.abort().unwrap();
    }
    assert_eq!(texts(&missing), ["x"]);
}

#[test]
fn paused_partitions_wait() {
    let source = create("source", 2, &[]);
    let mut log = KafkaLog::open(config(&unique("group"), "0", &source)).unwrap();
    begin(&mut log);
    let paused = TopicPartition::new(source.as_str(), 0);
    log.pause(std::slice::from_ref(&paused)).unwrap();
    fill(&source, 2, 3);
    let open = read(&mut log, 3);
    assert!(open.iter().all(|records| records.partition == 1));
    assert!(
        log.poll(WAIT * 5)
            .unwrap()
            .iter()
            .all(|event| !matches!(event, Event::Records(_)))
    );
    log.resume(&[paused]).unwrap();
    assert!(
        read(&mut log, 3)
            .iter()
            .all(|records| records.partition == 0)
    );
}
