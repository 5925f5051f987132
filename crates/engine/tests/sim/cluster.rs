//! The simulated brokers: partitions with transactions, transaction coordinators, and what the group has committed.
//!
//! What Kafka promises and what it does not is kept: records of an open transaction hold the last stable offset back,
//! markers take an offset and may be written long after the commit was answered, a new producer of the same
//! transactional id fences off the old one, and a transaction that takes too long is aborted by the broker.

use std::collections::{BTreeMap, HashMap};

use haechi_log::TopicPartition;

/// How long a transaction may be open, nanoseconds.
const TRANSACTION_TIMEOUT: i64 = 15_000_000_000;

/// A message as a producer hands it over.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) to: TopicPartition,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// What stands at an offset; `message` is none for a transaction's marker.
struct Entry {
    message: Option<Sent>,
    transaction: Option<u64>,
}

#[derive(Default)]
struct PartitionLog {
    entries: Vec<Entry>,
    /// What is before this offset is gone.
    first: usize,
    /// Transactions without a marker here, and the first offset of each.
    open: BTreeMap<u64, usize>,
    /// Whether a transaction with a marker here was committed.
    ended: HashMap<u64, bool>,
}

/// A producer's place with its transaction coordinator.
#[derive(Default)]
struct Producer {
    epoch: u32,
    ongoing: Option<Ongoing>,
    ending: Option<Ending>,
}

struct Ongoing {
    number: u64,
    since: i64,
    partitions: Vec<TopicPartition>,
    offsets: Vec<(TopicPartition, i64, String)>,
}

/// A transaction that is decided, with what is still to be told to whom.
struct Ending {
    number: u64,
    commit: bool,
    markers: Vec<TopicPartition>,
    offsets: Vec<(TopicPartition, i64, String)>,
}

/// Another producer has the same transactional id, or the broker has given this one up.
#[derive(Debug)]
pub(crate) struct Fenced;

#[derive(Default)]
pub(crate) struct Cluster {
    logs: BTreeMap<TopicPartition, PartitionLog>,
    producers: BTreeMap<String, Producer>,
    committed: BTreeMap<TopicPartition, (i64, String)>,
    transactions: u64,
}

impl Cluster {
    pub(crate) fn create(&mut self, topic: &str, partitions: i32) {
        for number in 0..partitions {
            let at = TopicPartition::new(topic, number);
            self.logs.entry(at).or_default();
        }
    }

    pub(crate) fn partitions(&self, topic: &str) -> i32 {
        self.logs.keys().filter(|at| *at.topic == *topic).count() as i32
    }

    /// Adds a message outside of any transaction; answers its offset.
    pub(crate) fn append(&mut self, message: Sent) -> i64 {
        let log = self.logs.entry(message.to.clone()).or_default();
        log.entries.push(Entry {
            message: Some(message),
            transaction: None,
        });
        log.entries.len() as i64 - 1
    }

    /// A producer begins: whoever had its id is fenced off, what that left open is ended. Answers the epoch.
    pub(crate) fn open(&mut self, id: &str) -> u32 {
        self.settle(id);
        self.end(id, false);
        self.settle(id);
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        producer.epoch
    }

    fn check(&self, id: &str, epoch: u32) -> Result<(), Fenced> {
        match self.producers.get(id) {
            Some(producer) if producer.epoch == epoch => Ok(()),
            _ => Err(Fenced),
        }
    }

    /// A message of the producer's open transaction arrives.
    pub(crate) fn arrive(
        &mut self,
        id: &str,
        epoch: u32,
        message: Sent,
        now: i64,
    ) -> Result<(), Fenced> {
        let ongoing = self.ongoing(id, epoch, now)?;
        let number = ongoing.number;
        if !ongoing.partitions.contains(&message.to) {
            ongoing.partitions.push(message.to.clone());
        }
        let log = self.logs.entry(message.to.clone()).or_default();
        let offset = log.entries.len();
        log.open.entry(number).or_insert(offset);
        log.entries.push(Entry {
            message: Some(message),
            transaction: Some(number),
        });
        Ok(())
    }

    fn ongoing(&mut self, id: &str, epoch: u32, now: i64) -> Result<&mut Ongoing, Fenced> {
        self.check(id, epoch)?;
        // The coordinator takes nothing new before it has ended what went before.
        self.settle(id);
        let producer = self.producers.get_mut(id).ok_or(Fenced)?;
        if producer.ongoing.is_none() {
            self.transactions += 1;
        }
        Ok(producer.ongoing.get_or_insert(Ongoing {
            number: self.transactions,
            since: now,
            partitions: Vec::new(),
            offsets: Vec::new(),
        }))
    }

    /// Offsets become part of the producer's open transaction.
    pub(crate) fn add_offsets(
        &mut self,
        id: &str,
        epoch: u32,
        offsets: &[(TopicPartition, i64, String)],
        now: i64,
    ) -> Result<(), Fenced> {
        let ongoing = self.ongoing(id, epoch, now)?;
        ongoing.offsets.extend_from_slice(offsets);
        Ok(())
    }

    /// The transaction is decided. Its markers come [later](Self::write_a_marker).
    pub(crate) fn decide(&mut self, id: &str, epoch: u32, commit: bool) -> Result<(), Fenced> {
        self.check(id, epoch)?;
        self.settle(id);
        self.end(id, commit);
        Ok(())
    }

    fn end(&mut self, id: &str, commit: bool) {
        let Some(producer) = self.producers.get_mut(id) else {
            return;
        };
        if let Some(ongoing) = producer.ongoing.take() {
            producer.ending = Some(Ending {
                number: ongoing.number,
                commit,
                markers: ongoing.partitions,
                offsets: ongoing.offsets,
            });
        }
    }

    /// Writes all the markers of a decided transaction.
    fn settle(&mut self, id: &str) {
        while self.write_a_marker(id, 0) {}
    }

    /// One more partition hears how a decided transaction ended. `pick` chooses which; the group's offsets are one of them.
    fn write_a_marker(&mut self, id: &str, pick: usize) -> bool {
        let Some(producer) = self.producers.get_mut(id) else {
            return false;
        };
        let Some(ending) = &mut producer.ending else {
            return false;
        };
        let places = ending.markers.len() + usize::from(!ending.offsets.is_empty());
        if places == 0 {
            producer.ending = None;
            return false;
        }
        let pick = pick % places;
        if pick < ending.markers.len() {
            let at = ending.markers.swap_remove(pick);
            let log = self.logs.entry(at).or_default();
            log.open.remove(&ending.number);
            log.ended.insert(ending.number, ending.commit);
            log.entries.push(Entry {
                message: None,
                transaction: Some(ending.number),
            });
        } else {
            for (at, offset, metadata) in std::mem::take(&mut ending.offsets) {
                if ending.commit {
                    self.committed.insert(at, (offset, metadata));
                }
            }
        }
        true
    }

    /// Some marker of some decided transaction is written.
    pub(crate) fn work(&mut self, pick: usize) {
        let ending =
            |(id, producer): (&String, &Producer)| producer.ending.is_some().then(|| id.clone());
        let ids: Vec<String> = self.producers.iter().filter_map(ending).collect();
        if let Some(id) = ids.get(pick % ids.len().max(1)) {
            self.write_a_marker(id, pick / ids.len());
        }
    }

    /// Transactions that have been open for too long are aborted, and their producers fenced off.
    pub(crate) fn expire(&mut self, now: i64) {
        let stale = |(id, producer): (&String, &Producer)| {
            let ongoing = producer.ongoing.as_ref()?;
            (now - ongoing.since > TRANSACTION_TIMEOUT).then(|| id.clone())
        };
        let ids: Vec<String> = self.producers.iter().filter_map(stale).collect();
        for id in ids {
            self.open(&id);
        }
    }

    /// Offsets are committed outside of any transaction.
    pub(crate) fn commit(&mut self, offsets: &[(TopicPartition, i64, String)]) {
        for (at, offset, metadata) in offsets {
            self.committed
                .insert(at.clone(), (*offset, metadata.clone()));
        }
    }

    /// Whether an offset of the partition hangs on a transaction that is not over.
    pub(crate) fn is_unstable(&self, at: &TopicPartition) -> bool {
        let mentions = |offsets: &[(TopicPartition, i64, String)]| {
            offsets.iter().any(|(other, ..)| other == at)
        };
        self.producers.values().any(|producer| {
            let ongoing = producer.ongoing.as_ref();
            let ending = producer.ending.as_ref();
            ongoing.is_some_and(|it| mentions(&it.offsets))
                || ending.is_some_and(|it| mentions(&it.offsets))
        })
    }

    pub(crate) fn committed(&self, at: &TopicPartition) -> Option<(i64, String)> {
        self.committed.get(at).cloned()
    }

    /// The last stable offset.
    pub(crate) fn stable(&self, at: &TopicPartition) -> i64 {
        self.logs.get(at).map_or(0, |log| {
            let open = log.open.values().min().copied();
            open.unwrap_or(log.entries.len()) as i64
        })
    }

    /// What a reader of committed records gets next from `from`: a message, or none at the last stable offset. Also the
    /// offset after it.
    pub(crate) fn read(&self, at: &TopicPartition, from: i64) -> (Option<(i64, &Sent)>, i64) {
        self.look(at, from.max(self.bounds(at).0))
    }

    /// The same, also where the beginning is gone.
    fn look(&self, at: &TopicPartition, from: i64) -> (Option<(i64, &Sent)>, i64) {
        let stable = self.stable(at);
        let Some(log) = self.logs.get(at) else {
            return (None, from);
        };
        for offset in from.max(0)..stable {
            let Some(entry) = log.entries.get(offset as usize) else {
                break;
            };
            let visible = entry
                .transaction
                .is_none_or(|number| log.ended.get(&number) == Some(&true));
            if let Some(message) = entry.message.as_ref().filter(|_| visible) {
                return (Some((offset, message)), offset + 1);
            }
        }
        (None, stable.max(from))
    }

    /// The first offset that there is, and that of the next record.
    pub(crate) fn bounds(&self, at: &TopicPartition) -> (i64, i64) {
        let log = self.logs.get(at);
        log.map_or((0, 0), |log| (log.first as i64, log.entries.len() as i64))
    }

    /// What is before an offset is thrown away.
    pub(crate) fn cut(&mut self, at: &TopicPartition, before: i64) {
        let before = before.clamp(0, self.stable(at)) as usize;
        if let Some(log) = self.logs.get_mut(at) {
            log.first = log.first.max(before);
        }
    }

    /// Of the committed messages of each key, the last is kept.
    pub(crate) fn compact(&mut self, at: &TopicPartition) {
        let mut last: BTreeMap<Option<Vec<u8>>, i64> = BTreeMap::new();
        let mut old = Vec::new();
        let mut from = 0;
        while let (Some((offset, message)), next) = self.read(at, from) {
            old.extend(last.insert(message.key.clone(), offset));
            from = next;
        }
        if let Some(log) = self.logs.get_mut(at) {
            for offset in old {
                log.entries[offset as usize].message = None;
            }
        }
    }

    /// Some message is lost, or its bytes are wrong.
    pub(crate) fn damage(&mut self, at: &TopicPartition, pick: usize) {
        let mut all = Vec::new();
        let mut from = 0;
        while let (Some((offset, _)), next) = self.read(at, from) {
            all.push(offset as usize);
            from = next;
        }
        let place = all.get(pick % all.len().max(1)).copied();
        if let (Some(log), Some(place)) = (self.logs.get_mut(at), place) {
            let entry = &mut log.entries[place];
            match entry.message.as_mut().and_then(|it| it.payload.as_mut()) {
                Some(payload) if pick.is_multiple_of(2) => {
                    let place = pick % payload.len();
                    payload[place] ^= 1;
                }
                _ => entry.message = None,
            }
        }
    }

    /// All committed messages that a topic ever had.
    pub(crate) fn all(&self, topic: &str) -> Vec<(TopicPartition, i64, &Sent)> {
        let mut all = Vec::new();
        for at in self.logs.keys().filter(|at| *at.topic == *topic) {
            let mut from = 0;
            while let (Some((offset, message)), next) = self.look(at, from) {
                all.push((at.clone(), offset, message));
                from = next;
            }
        }
        all
    }

    /// Whether there is a committed message that the group has not committed as read.
    pub(crate) fn has_unread(&self, topic: &str) -> bool {
        self.logs.keys().filter(|at| *at.topic == *topic).any(|at| {
            let from = self.committed(at).map_or(0, |(offset, _)| offset);
            self.read(at, from).0.is_some()
        })
    }

    /// Whether any transaction is open or being ended.
    pub(crate) fn is_busy(&self) -> bool {
        self.producers
            .values()
            .any(|it| it.ongoing.is_some() || it.ending.is_some())
    }
}
