//! The simulated log as a worker sees it. Every call is a place where the process may die, be stopped while the world
//! goes on, or be told that something failed.

use std::time::Duration;

use haechi_log::{Event, Log, LogError, Message, Record, Start, TopicPartition, Topology};
use rand::RngExt;

use crate::client::{Client, NOT_A_MEMBER, fenced};
use crate::cluster::Sent;
use crate::world::{World, interrupt, world};

/// A handle; what it stands for is in the [`World`].
pub(crate) struct SimLog {
    client: u64,
}

impl SimLog {
    /// Connects, as a worker's opener does.
    pub(crate) fn open(transactional_id: &str) -> Result<Self, LogError> {
        world(|world| {
            if world.strikes(0.05) {
                return Err(LogError::retriable("no broker answered"));
            }
            let epoch = world.cluster.open(transactional_id);
            let number = world.next_client();
            let mut client = Client::new(number, transactional_id.to_owned(), epoch);
            client.at_least_once = world.plan.at_least_once;
            world.clients.insert(number, client);
            Ok(Self { client: number })
        })
    }

    pub(crate) fn client(&self) -> u64 {
        self.client
    }

    /// Something may happen here, and then the call is made, unless the process has died.
    fn call<T>(
        &self,
        name: &str,
        call: impl FnOnce(&mut World, &mut Client) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        interrupt(self.client);
        world(|world| {
            let Some(mut client) = world.clients.remove(&self.client) else {
                return Err(LogError::fatal("a handle that is not there"));
            };
            let outcome = if client.dead {
                Err(LogError::fenced("the process is dead"))
            } else {
                call(world, &mut client)
            };
            if let Err(error) = &outcome {
                world.note(|| format!("client {} {name}: {error}", self.client));
            }
            world.clients.insert(self.client, client);
            outcome
        })
    }

    /// Gives everything sent to the brokers.
    fn flush(&self) -> Result<(), LogError> {
        self.call("flush", |world, client| {
            if world.strikes(0.02) {
                return Err(LogError::retriable("the broker did not take what was sent"));
            }
            client.deliver(&mut world.cluster, usize::MAX, world.now)
        })
    }

    fn add_offsets(&self, offsets: &[(TopicPartition, i64, String)]) -> Result<(), LogError> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.call("add offsets", |world, client| {
            let known = client
                .member
                .is_some_and(|member| world.group.knows(member));
            if !known || client.generation != world.group.generation {
                return Err(LogError::retriable(NOT_A_MEMBER));
            }
            if world.strikes(0.02) {
                return Err(LogError::retriable("the coordinator is loading"));
            }
            if client.at_least_once {
                world.cluster.commit(offsets);
                client.open = false;
                world.commits += 1;
                return if world.strikes(0.02) {
                    Err(LogError::retriable("the broker did not confirm a commit"))
                } else {
                    Ok(())
                };
            }
            world.note(|| {
                let offsets = offsets
                    .iter()
                    .map(|(at, offset, _)| format!("{at} {offset}"));
                let offsets: Vec<String> = offsets.collect();
                format!("client {} commits {}", client.number, offsets.join(", "))
            });
            let id = &client.transactional_id;
            let added = world
                .cluster
                .add_offsets(id, client.epoch, offsets, world.now);
            added.map_err(|_| fenced())
        })
    }

    fn end(&self) -> Result<(), LogError> {
        self.call("end", |world, client| {
            let unknown = || LogError::fenced("the broker did not confirm a commit");
            let (id, epoch) = (client.transactional_id.clone(), client.epoch);
            if world.strikes(0.02) {
                // The request was lost.
                client.spent = true;
                return Err(unknown());
            }
            if world.strikes(0.01) {
                return Err(LogError::retriable("the commit was refused"));
            }
            world
                .cluster
                .decide(&id, epoch, true)
                .map_err(|_| fenced())?;
            if world.strikes(0.02) {
                // The answer was lost.
                client.spent = true;
                return Err(unknown());
            }
            client.open = false;
            world.commits += 1;
            Ok(())
        })
    }
}

impl Log for SimLog {
    fn poll(&mut self, _wait: Duration) -> Result<Vec<Event>, LogError> {
        self.call("poll", |world, client| {
            client.beat(&mut world.group, world.now);
            let events = client.poll(&world.cluster, &mut world.rng)?;
            for event in &events {
                match event {
                    Event::Assigned(_) | Event::Revoked { .. } => {
                        world.note(|| format!("client {} is told {event:?}", client.number));
                    }
                    Event::Records(records) => world.note(|| {
                        format!(
                            "client {} reads {} up to {}",
                            client.number,
                            records.at,
                            records.next_offset()
                        )
                    }),
                    _ => {}
                }
            }
            Ok(events)
        })
    }

    fn begin_at(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.call("begin_at", |world, client| {
            client.begin_at(&world.cluster, starts)
        })
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.call("release", |world, client| {
            client.release(&mut world.group, partitions)
        })
    }

    fn topology(&mut self) -> Result<Topology, LogError> {
        self.call("topology", |world, _| {
            if world.strikes(0.1) {
                return Err(LogError::retriable("no broker told the topics"));
            }
            Ok(Topology {
                topics: world.sources(),
            })
        })
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), LogError> {
        let sent = Sent {
            to: TopicPartition::new(message.topic, message.partition.unwrap_or(0)),
            key: message.key.map(<[u8]>::to_vec),
            payload: message.payload.map(<[u8]>::to_vec),
            headers: message
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                .collect(),
        };
        self.call("send", |world, client| {
            if client.spent {
                return Err(fenced());
            }
            if world.strikes(0.003) {
                return Err(LogError::retriable("the send queue is full"));
            }
            client.open = true;
            client.queue.push_back(sent);
            // It is on its way, with what waited before it; an answer that fences us off is heard at the commit.
            if world.rng.random_bool(0.2) {
                let _ = client.deliver(&mut world.cluster, usize::MAX, world.now);
            }
            Ok(())
        })
    }

    fn commit(&mut self, offsets: &[(TopicPartition, i64, String)]) -> Result<(), LogError> {
        let nothing = self.call("commit", |_, client| {
            client.check_assigned(offsets.iter().map(|(at, ..)| at))?;
            if client.spent {
                return Err(fenced());
            }
            let nothing = offsets.is_empty() && !client.open;
            client.open |= !nothing;
            Ok(nothing)
        })?;
        if nothing {
            return Ok(());
        }
        self.flush()?;
        self.add_offsets(offsets)?;
        if world(|world| world.plan.at_least_once) {
            return Ok(());
        }
        self.end()
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.call("abort", |world, client| {
            if !client.open {
                return Ok(());
            }
            if client.at_least_once {
                // What is on its way arrives or not.
                let most = world.rng.random_range(0..=client.queue.len());
                let _ = client.deliver(&mut world.cluster, most, world.now);
                client.queue.clear();
                client.open = false;
                return Ok(());
            }
            if client.spent || world.strikes(0.05) {
                return Err(LogError::fenced("cannot abort a transaction"));
            }
            let id = client.transactional_id.clone();
            let ended = world.cluster.decide(&id, client.epoch, false);
            ended.map_err(|_| fenced())?;
            client.open = false;
            client.queue.clear();
            world.note(|| format!("client {} aborts", client.number));
            Ok(())
        })
    }

    fn rewind(&mut self, starts: &[(TopicPartition, Start)]) -> Result<(), LogError> {
        self.call("rewind", |world, client| {
            if world.strikes(0.05) {
                return Err(LogError::fenced("cannot go back to what is committed"));
            }
            world.note(|| format!("client {} goes back to {starts:?}", client.number));
            client.rewind(&world.cluster, starts)
        })
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.call("pause", |_, client| {
            client.check_assigned(partitions.iter())?;
            client.set_paused(partitions, true);
            Ok(())
        })
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.call("resume", |_, client| {
            client.check_assigned(partitions.iter())?;
            client.set_paused(partitions, false);
            Ok(())
        })
    }

    fn lag(&mut self) -> Vec<(TopicPartition, i64)> {
        Vec::new()
    }

    fn bounds(&mut self, at: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.call("bounds", |world, _| {
            if world.strikes(0.02) {
                return Err(LogError::retriable("no broker told where it ends"));
            }
            Ok(world.cluster.bounds(at))
        })
    }

    fn read_back(
        &mut self,
        at: &TopicPartition,
        from: i64,
        take: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), LogError> {
        self.call("read back", |world, _| {
            let (_, end) = world.cluster.bounds(at);
            let mut next = from;
            while let (Some((offset, message)), after) = world.cluster.read(at, next) {
                take(Record {
                    offset,
                    timestamp_ns: None,
                    key: message.key.as_deref(),
                    payload: message.payload.as_deref(),
                });
                next = after;
                if world.strikes(0.005) {
                    return Err(LogError::retriable("the broker stopped answering"));
                }
            }
            world.read_back += 1;
            // Time stands still in a call: it comes again when the transactions that are open there may be over.
            match world.cluster.stable(at) {
                stable if stable < end => Err(LogError::retriable("a transaction is open there")),
                _ => Ok(()),
            }
        })
    }

    fn close(self: Box<Self>) -> Result<(), LogError> {
        let mut log = self;
        log.abort()
    }
}

/// A process that lives leaves its group; one that has died says nothing.
impl Drop for SimLog {
    fn drop(&mut self) {
        world(|world| {
            if let Some(client) = world.clients.remove(&self.client)
                && !client.dead
                && let Some(member) = client.member
            {
                world.group.leave(member);
            }
        });
    }
}
