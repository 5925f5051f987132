#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::time::Duration;

use super::*;
use crate::{Event, Kind, Log, Message, Start};

const WAIT: Duration = Duration::from_secs(5);
const NO_WAIT: Duration = Duration::ZERO;

fn log(workers: usize, exchange_partitions: i32) -> EmbeddedLog {
    EmbeddedLog::new(EmbeddedConfig {
        workers,
        exchange_partitions,
        batch_rows: 50,
        batch_bytes: 1000,
        ..EmbeddedConfig::default()
    })
    .unwrap()
}

/// Answers the assignment by beginning everything at its start (or commit); returns the partitions.
fn begin(worker: &mut impl Log) -> Vec<TopicPartition> {
    let events = worker.poll(WAIT).unwrap();
    let [Event::Assigned(assignments)] = events.as_slice() else {
        panic!("{events:?}")
    };
    let starts: Vec<_> = assignments
        .iter()
        .map(|a| {
            let start = a
                .committed
                .as_ref()
                .map_or(Start::Earliest, |c| Start::At(c.offset));
            (a.at.clone(), start)
        })
        .collect();
    worker.begin_at(&starts).unwrap();
    starts.into_iter().map(|(at, _)| at).collect()
}

fn send(worker: &mut impl Log, topic: &str, partition: Option<i32>, payload: &str) {
    worker
        .send(&Message {
            topic,
            partition,
            key: Some(b"k"),
            payload: Some(payload.as_bytes()),
            headers: &[("h", b"v")],
        })
        .unwrap();
}

/// The payloads of the exchange that one poll gives.
fn exchange(worker: &mut impl Log) -> Vec<String> {
    let events = worker.poll(NO_WAIT).unwrap();
    events
        .iter()
        .filter_map(|event| match event {
            Event::Records(records) if &*records.at.topic == "exchange" => Some(records),
            _ => None,
        })
        .flat_map(|records| {
            records
                .iter()
                .map(|record| String::from_utf8(record.payload.unwrap().to_vec()).unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Reads a worker's lanes to their end: lines by file.
fn drain(mut worker: EmbeddedWorker) -> BTreeMap<String, Vec<i64>> {
    let mut open: HashSet<_> = begin(&mut worker)
        .into_iter()
        .filter(|at| &*at.topic != "exchange")
        .collect();
    let mut lines: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    while !open.is_empty() {
        for event in worker.poll(WAIT).unwrap() {
            match event {
                Event::Records(records) => {
                    assert_eq!(records.partition, 0);
                    assert!(records.len() <= 50);
                    let numbers = lines.entry(records.at.topic.to_string()).or_default();
                    numbers.extend(records.iter().map(|record| record.offset));
                }
                Event::CaughtUp { at, .. } => {
                    open.remove(&at);
                }
                Event::Idle => panic!("nothing came"),
                _ => {}
            }
        }
    }
    lines
}

#[test]
fn files_are_dealt_to_the_workers_and_every_line_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(3, 1);
    let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for number in 0..40_i64 {
        let path = folder.path().join(format!("{number}.log"));
        let lines = number * 13 % 700 + 1;
        let text: String = (0..lines).map(|i| format!("line {i}\n")).collect();
        fs::write(&path, text).unwrap();
        log.add_file(&path).unwrap();
        expected.insert(path.display().to_string(), (0..lines).collect());
    }
    let workers: Vec<_> = (0..3).map(|n| log.worker(n).unwrap()).collect();
    let threads: Vec<_> = workers
        .into_iter()
        .map(|worker| std::thread::spawn(|| drain(worker)))
        .collect();
    let mut read: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut shares = Vec::new();
    for thread in threads {
        let lines = thread.join().unwrap();
        shares.push(lines.values().map(Vec::len).sum::<usize>());
        for (file, numbers) in lines {
            assert!(numbers.is_sorted(), "a lane is read in order");
            read.entry(file).or_default().extend(numbers);
        }
    }
    read.values_mut()
        .for_each(|numbers| numbers.sort_unstable());
    assert_eq!(read, expected);
    let total: usize = shares.iter().sum();
    assert!(shares.iter().all(|share| *share > total / 6), "{shares:?}");
    let progress = log.progress();
    assert_eq!((progress.files, progress.files_total), (40, 40));
    assert_eq!(Some(progress.bytes), progress.bytes_total);
    assert!(log.failures().is_empty());
}

#[test]
fn a_damaged_file_is_reported_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(2, 1);
    let text: String = (0..20_000)
        .map(|i: u64| format!("{:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let whole = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let files = [("a", &whole[..whole.len() / 2]), ("b", &whole[..])];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        log.add_file(&path).unwrap();
    }
    let threads: Vec<_> = (0..2)
        .map(|n| log.worker(n).unwrap())
        .map(|worker| std::thread::spawn(|| drain(worker)))
        .collect();
    let mut read: BTreeMap<String, usize> = BTreeMap::new();
    for thread in threads {
        for (file, numbers) in thread.join().unwrap() {
            *read.entry(file).or_default() += numbers.len();
        }
    }
    assert_eq!(read[&folder.path().join("b").display().to_string()], 20_000);
    let failures = log.failures();
    assert_eq!(failures.len(), 1);
    assert!(
        failures[0]
            .to_string()
            .contains("/a` is not whole, sound zstd at byte"),
        "{}",
        failures[0]
    );
}

#[test]
fn a_commit_shows_all_or_nothing_and_an_abort_drops() {
    let log = log(2, 2);
    let mut outputs = log.outputs();
    let (mut a, mut b) = (log.worker(0).unwrap(), log.worker(1).unwrap());
    assert_eq!(begin(&mut a), vec![TopicPartition::new("exchange", 0)]);
    assert_eq!(begin(&mut b), vec![TopicPartition::new("exchange", 1)]);

    send(&mut a, "exchange", Some(1), "one");
    send(&mut a, "alerts", None, "alert");
    assert_eq!(exchange(&mut b), Vec::<String>::new());
    a.commit(&[]).unwrap();
    assert_eq!(exchange(&mut b), ["one"]);

    send(&mut a, "exchange", Some(1), "dropped");
    send(&mut a, "alerts", None, "dropped");
    a.abort().unwrap();
    a.commit(&[]).unwrap();
    send(&mut a, "exchange", Some(0), "two");
    a.commit(&[]).unwrap();
    assert_eq!(exchange(&mut b), Vec::<String>::new());
    assert_eq!(exchange(&mut a), ["two"]);

    drop((a, b));
    let committed: Vec<_> = outputs.by_ref().collect();
    assert_eq!(committed.len(), 1);
    assert_eq!(&*committed[0][0].topic, "alerts");
    assert_eq!(
        committed[0][0].payload.as_deref(),
        Some(b"alert".as_slice())
    );
    assert_eq!(committed[0][0].headers, [("h".to_owned(), b"v".to_vec())]);
}

#[test]
fn what_is_not_committed_is_read_again() {
    let log = log(1, 1);
    let mut worker = log.worker(0).unwrap();
    let at = begin(&mut worker).remove(0);
    for text in ["a", "b", "c"] {
        send(&mut worker, "exchange", Some(0), text);
    }
    worker.commit(&[]).unwrap();
    assert_eq!(exchange(&mut worker), ["a", "b", "c"]);
    worker.commit(&[(at.clone(), 1, "note".into())]).unwrap();
    worker.rewind(&[(at.clone(), Start::At(1))]).unwrap();
    assert_eq!(worker.lag(), [(at.clone(), 2)]);
    assert_eq!(exchange(&mut worker), ["b", "c"]);

    drop(worker);
    let mut worker = log.worker(0).unwrap();
    let events = worker.poll(WAIT).unwrap();
    let [Event::Assigned(assignments)] = events.as_slice() else {
        panic!("{events:?}")
    };
    let committed = assignments[0].committed.clone().unwrap();
    assert_eq!((committed.offset, &*committed.metadata), (1, "note"));
    worker.begin_at(&[(at, Start::At(1))]).unwrap();
    assert_eq!(exchange(&mut worker), ["b", "c"]);
}

#[test]
fn caught_up_is_told_each_time_the_exchange_is_read_up() {
    let log = log(1, 1);
    let mut worker = log.worker(0).unwrap();
    begin(&mut worker);
    for round in 0..3 {
        let events = worker.poll(NO_WAIT).unwrap();
        assert!(
            matches!(events.last(), Some(Event::CaughtUp { offset, .. }) if *offset == round),
            "{events:?}"
        );
        assert!(matches!(*worker.poll(NO_WAIT).unwrap(), [Event::Idle]));
        send(&mut worker, "exchange", None, "x");
        worker.commit(&[]).unwrap();
    }
}

#[test]
fn a_memory_topic_feeds_its_readers_and_ends() {
    let log = log(2, 1);
    let topic = log.add_topic("events", 3).unwrap();
    let workers: Vec<_> = (0..2).map(|n| log.worker(n).unwrap()).collect();
    let threads: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            std::thread::spawn(move || {
                let mut open: HashSet<_> = begin(&mut worker)
                    .into_iter()
                    .filter(|at| &*at.topic == "events")
                    .collect();
                let mut read = 0;
                while !open.is_empty() {
                    for event in worker.poll(WAIT).unwrap() {
                        match event {
                            Event::Records(records) => {
                                assert_eq!(records.partition, records.at.partition);
                                read += records.len();
                                worker
                                    .commit(&[(
                                        records.at.clone(),
                                        records.next_offset(),
                                        String::new(),
                                    )])
                                    .unwrap();
                            }
                            Event::CaughtUp { at, offset } if &*at.topic == "events" => {
                                assert_eq!(offset, 1000);
                                open.remove(&at);
                            }
                            _ => {}
                        }
                    }
                }
                read
            })
        })
        .collect();
    for number in 0..3000 {
        topic
            .push(number % 3, Some(7), None, Some(b"{\"some\":\"event\"}"))
            .unwrap();
    }
    drop(topic);
    let read: Vec<usize> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(read, [2000, 1000]);
}

#[test]
fn paused_lanes_wait_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(1, 1);
    for name in ["a", "b"] {
        fs::write(folder.path().join(name), "x\n").unwrap();
        log.add_file(&folder.path().join(name)).unwrap();
    }
    let mut worker = log.worker(0).unwrap();
    let lanes = begin(&mut worker);
    let a = lanes
        .iter()
        .find(|at| at.topic.ends_with("/a"))
        .unwrap()
        .clone();
    worker.pause(std::slice::from_ref(&a)).unwrap();
    let mut seen = Vec::new();
    let mut gather = |worker: &mut EmbeddedWorker, until: usize| {
        while seen.len() < until {
            for event in worker.poll(WAIT).unwrap() {
                if let Event::Records(records) = event {
                    seen.push(records.at.topic.to_string());
                }
            }
        }
        seen.clone()
    };
    assert!(gather(&mut worker, 1)[0].ends_with("/b"));
    worker.resume(&[a]).unwrap();
    assert!(gather(&mut worker, 2)[1].ends_with("/a"));
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(1, 1);
    let file = folder.path().join("f");
    fs::write(&file, "x\n").unwrap();
    let message = |result: Result<(), LogError>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), Kind::Fatal);
        error.to_string()
    };
    assert!(message(log.add_file(folder.path())).ends_with("is a folder: give the files in it"));
    assert!(message(log.add_file(&folder.path().join("no"))).contains("cannot read"));
    log.add_file(&file).unwrap();
    assert!(message(log.add_file(&file)).ends_with("is given twice"));

    let mut worker = log.worker(0).unwrap();
    assert!(log.worker(0).is_err() && log.worker(1).is_err());
    let lane = begin(&mut worker).pop().unwrap();
    assert!(message(log.add_file(Path::new("-"))).ends_with("reading has begun"));
    assert!(message(worker.rewind(&[(lane, Start::At(7))])).contains("is read once"));
    let stranger = TopicPartition::new("other", 0);
    assert!(message(worker.commit(&[(stranger, 1, String::new())])).contains("not assigned"));

    drop(log.outputs());
    send(&mut worker, "alerts", None, "x");
    assert!(message(worker.commit(&[])).contains("nobody takes the outputs"));
}
