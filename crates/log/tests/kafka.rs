//! The Kafka log against a real broker, whose address is in `HAECHI_KAFKA` (`dev/with-kafka` sets it).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use haechi_log::kafka::{Delivery, NewTopic};
use haechi_log::{
    Event, KafkaAdmin, KafkaConfig, KafkaLog, Kind, Log, LogError, Message, Records, Start,
    TopicPartition,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message as _};
use rdkafka::mocking::MockCluster;

const WAIT: Duration = Duration::from_millis(100);
/// No test needs longer for any one thing.
const PATIENCE: Duration = Duration::from_secs(60);

fn broker() -> String {
    std::env::var("HAECHI_KAFKA").expect(
        "this test needs a Kafka broker: set HAECHI_KAFKA=host:port, or run it under `dev/with-kafka log …`",
    )
}

/// A name that no other test or run has.
fn unique(name: &str) -> String {
    static RUN: OnceLock<u128> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = RUN.get_or_init(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis()
    });
    format!("{name}-{run}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn properties() -> BTreeMap<String, String> {
    // Short sessions, so that what a test lets die is noticed soon.
    [
        ("bootstrap.servers", broker().as_str()),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
        ("topic.metadata.propagation.max.ms", "1000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn admin() -> KafkaAdmin {
    KafkaAdmin::open(&properties(), PATIENCE).unwrap()
}

fn create(name: &str, partitions: i32, config: &[(&str, &str)]) -> String {
    let name = unique(name);
    let config = config.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    admin()
        .create(&[NewTopic {
            name: name.clone(),
            partitions,
            replicas: None,
            config: config.collect(),
        }])
        .unwrap();
    name
}

fn config(group: &str, worker: &str, source: &str) -> KafkaConfig {
    let mut config = KafkaConfig::new(properties(), group, format!("{group}-{worker}"));
    config.sources = vec![source.to_owned()];
    config
}

fn message<'a>(topic: &'a str, partition: Option<i32>, payload: &'a [u8]) -> Message<'a> {
    Message {
        topic,
        partition,
        key: None,
        payload: Some(payload),
        headers: &[],
    }
}

/// Writes `count` numbered records to each partition, without a group.
fn fill(topic: &str, partitions: i32, count: usize) {
    let group = unique("fill");
    let mut log = KafkaLog::open(config(&group, "0", topic)).unwrap();
    for number in 0..count {
        for partition in 0..partitions {
            let text = format!("{partition}:{number}");
            log.send(&message(topic, Some(partition), text.as_bytes()))
                .unwrap();
        }
    }
    log.commit(&[]).unwrap();
    Box::new(log).close().unwrap();
}

/// Polls until `found` gives something.
fn until<T>(log: &mut KafkaLog, mut found: impl FnMut(&mut KafkaLog, Event) -> Option<T>) -> T {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        for event in log.poll(WAIT).unwrap() {
            if let Some(found) = found(log, event) {
                return found;
            }
        }
    }
    panic!("waited in vain");
}

fn starts(assignments: &[haechi_log::Assignment]) -> Vec<(TopicPartition, Start)> {
    assignments
        .iter()
        .map(|assigned| {
            let committed = assigned.committed.as_ref();
            let start = committed.map_or(Start::Earliest, |committed| Start::At(committed.offset));
            (assigned.at.clone(), start)
        })
        .collect()
}

/// Polls until partitions are assigned, begins them where the group is, and says what was committed.
fn begin(log: &mut KafkaLog) -> Vec<haechi_log::Assignment> {
    until(log, |log, event| match event {
        Event::Assigned(assignments) => {
            log.begin_at(&starts(&assignments)).unwrap();
            (!assignments.is_empty()).then_some(assignments)
        }
        _ => None,
    })
}

/// Polls until this many records have come.
fn read(log: &mut KafkaLog, count: usize) -> Vec<Records> {
    let mut all = Vec::new();
    let mut seen = 0;
    until(log, |_, event| {
        if let Event::Records(records) = event {
            seen += records.len();
            all.push(records);
        }
        (seen >= count).then_some(())
    });
    all
}

fn offsets(records: &[Records], metadata: &str) -> Vec<(TopicPartition, i64, String)> {
    let mut last = BTreeMap::new();
    for records in records {
        last.insert(records.at.clone(), records.next_offset());
    }
    last.into_iter()
        .map(|(at, offset)| (at, offset, metadata.to_owned()))
        .collect()
}

/// What a client that is not ours reads committed in a topic, until there is no more.
fn committed(topic: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker())
        .set("group.id", unique("reader"))
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let partitions = admin().topic(topic).unwrap().unwrap().partitions;
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    for partition in 0..partitions {
        list.set_partition_offset(topic, partition, rdkafka::Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut open: BTreeSet<i32> = (0..partitions).collect();
    let mut all = Vec::new();
    while !open.is_empty() {
        match consumer.poll(PATIENCE).expect("a record or the end") {
            Ok(message) => {
                let text = String::from_utf8_lossy(message.payload().unwrap_or_default());
                let headers = message.headers().map(|headers| {
                    headers
                        .iter()
                        .map(|h| {
                            let value = String::from_utf8_lossy(h.value.unwrap_or_default());
                            (h.key.to_owned(), value.into_owned())
                        })
                        .collect()
                });
                all.push((text.into_owned(), headers.unwrap_or_default()));
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(partition)) => {
                open.remove(&partition);
            }
            Err(error) => panic!("{error}"),
        }
    }
    all
}

fn texts(topic: &str) -> Vec<String> {
    committed(topic).into_iter().map(|(text, _)| text).collect()
}

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

/// Copies a topic until told to stop, aborting and going back now and then. Says whether it was ever assigned anything.
fn copy(
    mut config: KafkaConfig,
    out: &str,
    seed: usize,
    stop: &AtomicBool,
) -> Result<bool, LogError> {
    config.batch_rows = 37;
    let mut log = KafkaLog::open(config)?;
    let mut safe: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    let mut done: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    let (mut turn, mut assigned_ever) = (seed, false);
    while !stop.load(Ordering::Relaxed) {
        let events = log.poll(WAIT)?;
        turn += 1;
        let mut gone = None;
        for event in events {
            match event {
                Event::Assigned(assignments) => {
                    for assigned in &assignments {
                        assigned_ever = true;
                        let at = assigned
                            .committed
                            .as_ref()
                            .map_or(0, |committed| committed.offset);
                        safe.insert(assigned.at.clone(), at);
                    }
                    let starts: Vec<_> = assignments
                        .iter()
                        .map(|assigned| (assigned.at.clone(), Start::At(safe[&assigned.at])))
                        .collect();
                    log.begin_at(&starts)?;
                }
                Event::Revoked { partitions, lost } => gone = Some((partitions, lost)),
                Event::Records(records) => {
                    for record in records.iter() {
                        let text = String::from_utf8(record.payload.unwrap().to_vec()).unwrap();
                        log.send(&message(out, None, text.as_bytes()))?;
                    }
                    done.insert(records.at.clone(), records.next_offset());
                }
                _ => {}
            }
        }
        let lost = gone.as_ref().is_some_and(|(_, lost)| *lost);
        let commit: Vec<_> = done
            .iter()
            .map(|(at, offset)| (at.clone(), *offset, String::new()))
            .collect();
        let outcome = if lost || turn.is_multiple_of(7) {
            Err(LogError::retriable("for the sake of the test"))
        } else {
            log.commit(&commit)
        };
        match outcome {
            Ok(()) => safe.append(&mut done),
            Err(error) if error.kind() == Kind::Retriable => {
                log.abort()?;
                done.clear();
                let back: Vec<_> = safe
                    .iter()
                    .map(|(at, offset)| (at.clone(), Start::At(*offset)))
                    .collect();
                log.rewind(&back)?;
            }
            Err(error) => return Err(error),
        }
        if let Some((partitions, _)) = gone {
            log.release(&partitions)?;
            for at in partitions {
                safe.remove(&at);
            }
        }
    }
    Box::new(log).close()?;
    Ok(assigned_ever)
}

#[test]
fn members_come_and_go_and_every_record_is_copied_once() {
    const PARTITIONS: i32 = 8;
    const EACH: usize = 400;
    let (source, out) = (create("source", PARTITIONS, &[]), create("out", 3, &[]));
    fill(&source, PARTITIONS, EACH);
    let group = unique("group");
    let stops: Vec<_> = (0..5).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let spawn = |worker: usize| {
        let config = config(&group, &worker.to_string(), &source);
        let (out, stop) = (out.clone(), Arc::clone(&stops[worker]));
        thread::spawn(move || copy(config, &out, worker, &stop))
    };
    let mut members = vec![spawn(0), spawn(1)];
    thread::sleep(Duration::from_secs(2));
    members.extend([spawn(2), spawn(3)]);
    thread::sleep(Duration::from_secs(3));
    stops[0].store(true, Ordering::Relaxed);
    thread::sleep(Duration::from_secs(1));
    stops[2].store(true, Ordering::Relaxed);
    fill(&source, PARTITIONS, EACH);
    members.push(spawn(4));
    let mut expected: Vec<String> = (0..PARTITIONS)
        .flat_map(|partition| (0..EACH).map(move |number| format!("{partition}:{number}")))
        .flat_map(|text| [text.clone(), text])
        .collect();
    expected.sort();
    let started = Instant::now();
    let mut seen = Vec::new();
    while seen != expected && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(500));
        seen = texts(&out);
        seen.sort();
    }
    for stop in &stops {
        stop.store(true, Ordering::Relaxed);
    }
    for member in members {
        assert!(
            member.join().unwrap().unwrap(),
            "a member never had a partition"
        );
    }
    assert_eq!(seen.len(), expected.len());
    assert!(
        seen == expected,
        "some records are copied twice, others never"
    );
}

#[test]
fn a_zombie_is_fenced() {
    let (source, out) = (create("source", 1, &[]), create("out", 1, &[]));
    fill(&source, 1, 3);
    let group = unique("group");
    let mut zombie = KafkaLog::open(config(&group, "same", &source)).unwrap();
    begin(&mut zombie);
    let records = read(&mut zombie, 3);
    zombie.send(&message(&out, None, b"zombie")).unwrap();
    let heir = KafkaLog::open(config(&group, "same", &source)).unwrap();
    let error = zombie.commit(&offsets(&records, "")).unwrap_err();
    assert_eq!(error.kind(), Kind::Fenced, "{error}");
    assert!(
        error
            .to_string()
            .contains("another worker has the same transactional id"),
        "{error}"
    );
    drop(heir);
    drop(zombie);
    assert_eq!(texts(&out), Vec::<String>::new());
}

#[test]
fn a_worker_that_was_away_for_too_long_cannot_commit() {
    let (source, out) = (create("source", 1, &[]), create("out", 1, &[]));
    fill(&source, 1, 3);
    let group = unique("group");
    let mut slow = config(&group, "slow", &source);
    slow.properties
        .insert("max.poll.interval.ms".into(), "6000".into());
    let mut slow = KafkaLog::open(slow).unwrap();
    begin(&mut slow);
    let records = read(&mut slow, 3);
    slow.send(&message(&out, None, b"slow")).unwrap();

    let mut quick = KafkaLog::open(config(&group, "quick", &source)).unwrap();
    assert!(begin(&mut quick)[0].committed.is_none());
    let error = slow.commit(&offsets(&records, "")).unwrap_err();
    assert_eq!(error.kind(), Kind::Retriable, "{error}");
    assert!(
        error.to_string().contains("moved on without this worker"),
        "{error}"
    );
    slow.abort().unwrap();
    let mut events = Vec::new();
    let lost = until(&mut slow, |log, event| match event {
        Event::Assigned(assignments) => {
            events.push(format!("{assignments:?}"));
            log.begin_at(&starts(&assignments)).unwrap();
            None
        }
        Event::Revoked { partitions, lost } => {
            log.release(&partitions).unwrap();
            Some(lost)
        }
        _ => None,
    });
    assert!(lost, "{events:?}");

    // The slow one comes back meanwhile, and a commit that meets the change of generation is done again.
    drop(slow);
    let at = TopicPartition::new(source.as_str(), 0);
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE);
        follow(&mut quick);
        quick.send(&message(&out, None, b"quick")).unwrap();
        match quick.commit(&[(at.clone(), 3, String::new())]) {
            Ok(()) => break,
            Err(error) => assert_eq!(error.kind(), Kind::Retriable, "{error}"),
        }
        quick.abort().unwrap();
    }
    assert_eq!(texts(&out), ["quick"]);
}

/// librdkafka waits for the answer to a rebalance, and keeps the membership alive meanwhile.
#[test]
fn an_answer_may_take_longer_than_the_session() {
    let (source, out) = (create("source", 2, &[]), create("out", 1, &[]));
    fill(&source, 2, 3);
    let group = unique("group");
    let mut first = KafkaLog::open(config(&group, "first", &source)).unwrap();
    begin(&mut first);
    let records = read(&mut first, 6);
    first.send(&message(&out, None, b"first")).unwrap();
    let second = KafkaLog::open(config(&group, "second", &source)).unwrap();
    let second = thread::spawn(move || {
        let mut second = second;
        let assigned = begin(&mut second);
        (second, assigned)
    });
    let (revoked, lost) = until(&mut first, |_, event| match event {
        Event::Revoked { partitions, lost } => Some((partitions, lost)),
        _ => None,
    });
    assert!(!lost && revoked.len() == 1);
    thread::sleep(Duration::from_secs(8));
    first.commit(&offsets(&records, "handed over")).unwrap();
    first.release(&revoked).unwrap();
    // The first one goes on with its polls, which the end of the rebalance needs.
    let mut rest = BTreeSet::new();
    while !second.is_finished() || rest.is_empty() {
        follow(&mut first);
        rest = first.lag().into_iter().map(|(at, _)| at).collect();
    }
    let (_second, assigned) = second.join().unwrap();
    assert_eq!(assigned.len(), 1);
    assert_eq!(assigned[0].at, revoked[0]);
    assert_eq!(
        assigned[0].committed.as_ref().unwrap().metadata,
        "handed over"
    );
    assert!(rest.len() == 1 && !rest.contains(&revoked[0]), "{rest:?}");
    assert_eq!(texts(&out), ["first"]);
}

#[test]
fn a_worker_can_leave_in_the_middle_of_a_rebalance() {
    let source = create("source", 2, &[]);
    let group = unique("group");
    let mut first = KafkaLog::open(config(&group, "first", &source)).unwrap();
    until(&mut first, |_, event| {
        matches!(event, Event::Assigned(a) if !a.is_empty()).then_some(())
    });
    let started = Instant::now();
    drop(first);
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );

    let mut second = KafkaLog::open(config(&group, "second", &source)).unwrap();
    begin(&mut second);
    let third = KafkaLog::open(config(&group, "third", &source)).unwrap();
    let third = thread::spawn(move || {
        let mut third = third;
        let mut assigned = begin(&mut third).len();
        while assigned < 2 {
            assigned += follow(&mut third).0.len();
        }
    });
    until(&mut second, |_, event| {
        matches!(event, Event::Revoked { .. }).then_some(())
    });
    let started = Instant::now();
    drop(second);
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    third.join().unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "the group had to wait for the session to end"
    );
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let source = create("source", 4, &[]);
    let group = unique("group");
    let member = |worker: &str| {
        let mut config = config(&group, worker, &source);
        config.instance = Some(format!("{group}-{worker}"));
        KafkaLog::open(config).unwrap()
    };
    let mut first = member("a");
    begin(&mut first);
    let mut second = Some(member("b"));
    let mut shares: [BTreeSet<TopicPartition>; 2] = Default::default();
    let started = Instant::now();
    while shares[0].len() != 2 || shares[1].len() != 2 {
        assert!(started.elapsed() < PATIENCE, "{shares:?}");
        shares[0].extend(follow(&mut first).0);
        let (given, _) = follow(second.as_mut().unwrap());
        shares[1].extend(given);
        shares[0] = first.lag().into_iter().map(|(at, _)| at).collect();
    }
    let before = shares[1].clone();
    Box::new(second.take().unwrap()).close().unwrap();
    let mut second = member("b");
    let mut after = BTreeSet::new();
    while after.len() < 2 {
        after.extend(follow(&mut second).0);
        assert_eq!(
            follow(&mut first),
            (vec![], vec![]),
            "the other member saw a rebalance"
        );
    }
    assert_eq!(after, before);

    // A second process of the same name takes the place of the first.
    let mut third = member("b");
    let mut taken = BTreeSet::new();
    let mut fenced = None;
    while taken.len() < 2 || fenced.is_none() {
        assert!(started.elapsed() < PATIENCE * 2);
        taken.extend(follow(&mut third).0);
        if let Err(error) = second.poll(WAIT) {
            fenced = Some(error);
        }
    }
    let error = fenced.unwrap();
    assert_eq!(error.kind(), Kind::Fenced, "{error}");
    assert!(error.to_string().contains("same `instance`"), "{error}");
}

/// One poll with every rebalance answered: partitions given and taken.
fn follow(log: &mut KafkaLog) -> (Vec<TopicPartition>, Vec<TopicPartition>) {
    let (mut given, mut taken) = (Vec::new(), Vec::new());
    for event in log.poll(WAIT).unwrap() {
        match event {
            Event::Assigned(assignments) => {
                log.begin_at(&starts(&assignments)).unwrap();
                given.extend(assignments.into_iter().map(|assigned| assigned.at));
            }
            Event::Revoked { partitions, .. } => {
                log.release(&partitions).unwrap();
                taken.extend(partitions);
            }
            _ => {}
        }
    }
    (given, taken)
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
    assert!(text.contains("SSL handshake failed"), "{text}");
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
