//! What becomes visible, when, and what a topic takes.

use super::*;

#[test]
fn a_commit_is_seen_whole_and_an_abort_never() {
    let (source, out) = (create("source", 2, &[]), create("out", 1, &[]));
    fill(&source, 2, 10);
    let group = unique("group");
    let mut log = KafkaLog::open(config(&group, "0", &source)).unwrap();
    assert!(
        begin(&mut log)
            .iter()
            .all(|assigned| assigned.committed.is_none())
    );
    let first = read(&mut log, 20);

    log.send(&Message {
        topic: &out,
        partition: None,
        key: Some(b"k"),
        payload: Some(b"aborted"),
        headers: &[],
    })
    .unwrap();
    log.abort().unwrap();
    let again: Vec<_> = first
        .iter()
        .map(|r| (r.at.clone(), Start::Earliest))
        .collect();
    log.rewind(
        &again
            .into_iter()
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect::<Vec<_>>(),
    )
    .unwrap();
    let second = read(&mut log, 20);
    assert_eq!(offsets(&first, ""), offsets(&second, ""));
    for record in second.iter().flat_map(Records::iter) {
        assert!(record.timestamp_ns.unwrap() > 1_600_000_000_000_000_000);
        assert_eq!(record.key, None);
    }

    log.send(&Message {
        topic: &out,
        partition: Some(0),
        key: Some(b"k"),
        payload: Some(b"committed"),
        headers: &[("reason", b"why"), ("other", b"")],
    })
    .unwrap();
    assert_eq!(texts(&out), Vec::<String>::new());
    log.commit(&offsets(&second, "a note")).unwrap();
    let seen = committed(&out);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].0, "committed");
    assert_eq!(seen[0].1["reason"], "why");
    // Nothing to commit is nothing to do.
    log.commit(&[]).unwrap();
    Box::new(log).close().unwrap();

    let mut log = KafkaLog::open(config(&group, "0", &source)).unwrap();
    let assigned = begin(&mut log);
    for assigned in assigned {
        let committed = assigned.committed.unwrap();
        assert_eq!(
            (committed.offset, committed.metadata.as_str()),
            (10, "a note")
        );
    }
}

#[test]
fn the_end_is_told_with_its_place_and_then_there_is_no_lag() {
    // Two topics with the same partition numbers; transaction markers lie behind the last records.
    let (a, b) = (create("a", 2, &[]), create("b", 1, &[]));
    fill(&a, 2, 5);
    let mut config = config(&unique("group"), "0", &a);
    config.exchange = Some(b.clone());
    let mut log = KafkaLog::open(config).unwrap();
    begin(&mut log);
    let mut ends = BTreeMap::new();
    let mut read = 0;
    until(&mut log, |_, event| {
        match event {
            Event::Records(records) => read += records.len(),
            Event::CaughtUp { at, offset } => {
                ends.insert(at, offset);
            }
            _ => {}
        }
        (ends.len() == 3).then_some(())
    });
    let at = |topic: &str, partition| TopicPartition::new(topic, partition);
    assert_eq!(read, 10);
    assert_eq!(ends[&at(&a, 0)], 6, "five records and a marker");
    assert_eq!(ends[&at(&a, 1)], 6);
    assert_eq!(ends[&at(&b, 0)], 0);
    assert!(
        log.lag().iter().all(|(_, lag)| *lag == 0),
        "{:?}",
        log.lag()
    );
    assert_eq!(log.topology().unwrap().topics, [(Arc::from(a.as_str()), 2)]);

    // It is told again when it is reached anew.
    log.send(&message(&b, Some(0), b"x")).unwrap();
    log.commit(&[]).unwrap();
    let again = until(&mut log, |_, event| match event {
        Event::CaughtUp { at, offset } => Some((at, offset)),
        _ => None,
    });
    assert_eq!(again, (at(&b, 0), 2));
    assert_eq!(admin().end_offsets(&a).unwrap(), [6, 6]);
}

#[test]
fn a_record_of_twenty_megabytes_passes_where_its_topic_takes_it() {
    let large = [("max.message.bytes", "33554432")];
    let (source, out) = (create("source", 1, &large), create("out", 1, &[]));
    let mut log = KafkaLog::open(config(&unique("group"), "0", &source)).unwrap();
    begin(&mut log);
    // Incompressible, so that it is as large on the wire.
    let mut state = 1_u64;
    let record: Vec<u8> = (0..20 << 20)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect();
    log.send(&message(&source, None, &record)).unwrap();
    log.commit(&[]).unwrap();
    let read = read(&mut log, 1);
    assert!(read[0].get(0).unwrap().payload.unwrap() == record);

    log.send(&message(&out, None, b"small")).unwrap();
    log.send(&message(&out, None, &record)).unwrap();
    let error = log.commit(&offsets(&read, "")).unwrap_err();
    assert_eq!(
        (error.kind(), error.too_large()),
        (Kind::Retriable, Some(out.as_str())),
        "{error}"
    );
    log.abort().unwrap();
    log.send(&message(&out, None, b"small")).unwrap();
    log.commit(&offsets(&read, "")).unwrap();
    assert_eq!(texts(&out), ["small"]);

    let error = log
        .send(&message(&out, None, &vec![0; 40 << 20]))
        .unwrap_err();
    assert_eq!(error.too_large(), Some(out.as_str()));
    log.abort().unwrap();
}

#[test]
fn at_least_once_needs_no_transaction() {
    let (source, out) = (create("source", 1, &[]), create("out", 1, &[]));
    fill(&source, 1, 3);
    let group = unique("group");
    let open = || {
        let mut config = config(&group, "0", &source);
        config.delivery = Delivery::AtLeastOnce;
        KafkaLog::open(config).unwrap()
    };
    let mut log = open();
    begin(&mut log);
    let records = read(&mut log, 3);
    log.send(&message(&out, None, b"x")).unwrap();
    log.commit(&offsets(&records, "note")).unwrap();
    assert_eq!(texts(&out), ["x"]);
    Box::new(log).close().unwrap();
    let mut log = open();
    let committed = begin(&mut log).remove(0).committed.unwrap();
    assert_eq!((committed.offset, committed.metadata.as_str()), (3, "note"));
}
