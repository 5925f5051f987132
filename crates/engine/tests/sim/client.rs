//! One worker's connection to the simulated cluster: what librdkafka keeps, without the waiting.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use haechi_log::{Assignment, Committed, Event, LogError, Record, Records, Start, TopicPartition};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::cluster::{Cluster, Sent};
use crate::group::Group;

/// A change of the assignment that the worker was not told of yet.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Give(Vec<TopicPartition>),
    Take(Vec<TopicPartition>),
    /// The group has put this member out.
    Lost,
}

/// A change that the worker was told of and has to answer.
#[derive(Clone, Debug, PartialEq)]
enum Unanswered {
    No,
    Given(Vec<TopicPartition>),
    Taken {
        partitions: Vec<TopicPartition>,
        lost: bool,
    },
}

pub(crate) struct Client {
    pub(crate) number: u64,
    /// The process has died.
    pub(crate) dead: bool,
    /// The process is stopped: not even its heartbeats go out.
    pub(crate) frozen: bool,
    pub(crate) member: Option<u64>,
    /// The generation it believes to be in.
    pub(crate) generation: i32,
    pub(crate) changes: VecDeque<Change>,
    unanswered: Unanswered,
    positions: BTreeMap<TopicPartition, i64>,
    paused: BTreeSet<TopicPartition>,
    ends_told: BTreeMap<TopicPartition, i64>,
    pub(crate) at_least_once: bool,
    pub(crate) transactional_id: String,
    pub(crate) epoch: u32,
    pub(crate) open: bool,
    /// Nobody knows what became of the last commit: of no more use.
    pub(crate) spent: bool,
    pub(crate) queue: VecDeque<Sent>,
}

pub(crate) const NOT_A_MEMBER: &str = "the group has moved on without this worker";

impl Client {
    pub(crate) fn new(number: u64, transactional_id: String, epoch: u32) -> Self {
        Self {
            number,
            dead: false,
            frozen: false,
            member: None,
            generation: -1,
            changes: VecDeque::new(),
            unanswered: Unanswered::No,
            positions: BTreeMap::new(),
            paused: BTreeSet::new(),
            ends_told: BTreeMap::new(),
            at_least_once: false,
            transactional_id,
            epoch,
            open: false,
            spent: false,
            queue: VecDeque::new(),
        }
    }

    /// What this member says that it has when it joins again.
    pub(crate) fn owned(&self) -> BTreeSet<TopicPartition> {
        self.positions.keys().cloned().collect()
    }

    /// Nothing is under way that would keep it from joining again.
    pub(crate) fn can_join(&self) -> bool {
        !self.frozen && self.changes.is_empty() && self.unanswered == Unanswered::No
    }

    /// What the client does by itself: heartbeats, and learning that it was put out.
    pub(crate) fn beat(&mut self, group: &mut Group, now: i64) {
        if self.dead || self.frozen {
            return;
        }
        match self.member {
            Some(member) if group.knows(member) => group.heartbeat(member, now),
            Some(_) => {
                self.member = None;
                self.generation = -1;
                self.changes = VecDeque::from([Change::Lost]);
            }
            None if self.can_join() => self.member = Some(group.join(self.number, now)),
            None => {}
        }
    }

    pub(crate) fn poll(
        &mut self,
        cluster: &Cluster,
        rng: &mut StdRng,
    ) -> Result<Vec<Event>, LogError> {
        let mut events = Vec::new();
        // librdkafka delivers nothing while an answer is outstanding.
        if self.unanswered == Unanswered::No {
            self.fetch(cluster, rng, &mut events);
            if let Some(event) = self.tell(cluster) {
                events.push(event);
            }
        }
        if events.is_empty() {
            events.push(Event::Idle);
        }
        Ok(events)
    }

    /// The next change of the assignment, if it can be told now.
    fn tell(&mut self, cluster: &Cluster) -> Option<Event> {
        match self.changes.front()?.clone() {
            Change::Give(partitions) => {
                if partitions.iter().any(|at| cluster.is_unstable(at)) {
                    return None;
                }
                self.changes.pop_front();
                let assignment = |at: &TopicPartition| Assignment {
                    at: at.clone(),
                    committed: cluster
                        .committed(at)
                        .map(|(offset, metadata)| Committed { offset, metadata }),
                };
                let assignments = partitions.iter().map(assignment).collect();
                self.unanswered = Unanswered::Given(partitions);
                Some(Event::Assigned(assignments))
            }
            Change::Take(partitions) => {
                self.changes.pop_front();
                self.unanswered = Unanswered::Taken {
                    partitions: partitions.clone(),
                    lost: false,
                };
                let lost = self.member.is_none();
                Some(Event::Revoked { partitions, lost })
            }
            Change::Lost => {
                self.changes.pop_front();
                let partitions: Vec<_> = self.positions.keys().cloned().collect();
                if partitions.is_empty() {
                    return None;
                }
                self.unanswered = Unanswered::Taken {
                    partitions: partitions.clone(),
                    lost: true,
                };
                Some(Event::Revoked {
                    partitions,
                    lost: true,
                })
            }
        }
    }

    fn fetch(&mut self, cluster: &Cluster, rng: &mut StdRng, events: &mut Vec<Event>) {
        let mut partitions: Vec<TopicPartition> = self.positions.keys().cloned().collect();
        for place in (1..partitions.len()).rev() {
            partitions.swap(place, rng.random_range(0..=place));
        }
        for at in partitions {
            if self.paused.contains(&at) || rng.random_bool(0.3) {
                continue;
            }
            let position = self.positions.get(&at).copied().unwrap_or(0);
            let mut records = Records::new(at.clone(), at.partition);
            let mut from = position;
            let most = rng.random_range(1..20);
            let mut ended = false;
            while records.len() < most {
                let (found, next) = cluster.read(&at, from);
                from = next;
                match found {
                    Some((offset, message)) => records.push(Record {
                        offset,
                        timestamp_ns: None,
                        key: message.key.as_deref(),
                        payload: message.payload.as_deref(),
                    }),
                    None => {
                        ended = true;
                        break;
                    }
                }
            }
            self.positions.insert(at.clone(), from);
            if !records.is_empty() {
                events.push(Event::Records(records));
            }
            if ended && self.ends_told.get(&at) != Some(&from) {
                self.ends_told.insert(at.clone(), from);
                events.push(Event::CaughtUp { at, offset: from });
            }
        }
    }

    fn seek(&mut self, cluster: &Cluster, starts: &[(TopicPartition, Start)]) {
        for (at, start) in starts {
            let position = match start {
                Start::At(offset) => *offset,
                Start::Earliest => 0,
                Start::Latest => cluster.stable(at),
            };
            self.positions.insert(at.clone(), position);
            self.ends_told.remove(at);
        }
    }

    pub(crate) fn begin_at(
        &mut self,
        cluster: &Cluster,
        starts: &[(TopicPartition, Start)],
    ) -> Result<(), LogError> {
        let Unanswered::Given(given) = &self.unanswered else {
            return Err(LogError::fatal("begin_at answers no assignment"));
        };
        let answered = |at| starts.iter().any(|(start, _)| start == at);
        if starts.len() != given.len() || !given.iter().all(answered) {
            return Err(LogError::fatal("begin_at answers another assignment"));
        }
        self.unanswered = Unanswered::No;
        self.seek(cluster, starts);
        Ok(())
    }

    pub(crate) fn release(
        &mut self,
        group: &mut Group,
        partitions: &[TopicPartition],
    ) -> Result<(), LogError> {
        match &self.unanswered {
            Unanswered::Taken {
                partitions: taken, ..
            } if taken == partitions => {}
            other => {
                return Err(LogError::fatal(format!(
                    "release of {partitions:?} answers {other:?}"
                )));
            }
        }
        self.unanswered = Unanswered::No;
        for at in partitions {
            self.positions.remove(at);
            self.paused.remove(at);
            self.ends_told.remove(at);
        }
        // What was given back can be given to another now.
        group.wants_rebalance |= self.member.is_some();
        Ok(())
    }

    pub(crate) fn rewind(
        &mut self,
        cluster: &Cluster,
        starts: &[(TopicPartition, Start)],
    ) -> Result<(), LogError> {
        self.check_assigned(starts.iter().map(|(at, _)| at))?;
        self.seek(cluster, starts);
        Ok(())
    }

    pub(crate) fn check_assigned<'a>(
        &self,
        mut partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> Result<(), LogError> {
        match partitions.find(|at| !self.positions.contains_key(at)) {
            None => Ok(()),
            Some(at) => Err(LogError::fatal(format!("partition {at} is not assigned"))),
        }
    }

    pub(crate) fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) {
        for at in partitions {
            if paused {
                self.paused.insert(at.clone());
            } else {
                self.paused.remove(at);
            }
        }
    }

    /// Delivers up to `most` of the messages that wait in the queue.
    pub(crate) fn deliver(
        &mut self,
        cluster: &mut Cluster,
        most: usize,
        now: i64,
    ) -> Result<(), LogError> {
        for _ in 0..most {
            let Some(message) = self.queue.pop_front() else {
                break;
            };
            if self.at_least_once {
                cluster.append(message);
                continue;
            }
            cluster
                .arrive(&self.transactional_id, self.epoch, message, now)
                .map_err(|_| fenced())?;
        }
        Ok(())
    }
}

pub(crate) fn fenced() -> LogError {
    LogError::fenced("another producer has this transactional id, or a transaction took too long")
}
