//! Members that come, go, are late, and come back.

use super::*;

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
