//! The world that the workers live in: the cluster, the group, the clients, time, and what goes wrong.
//!
//! Everything of a schedule is in this thread: a worker that is stopped in the middle of a call is simply one whose
//! call takes the turns of the others before it goes on. So a schedule is its seed, and nothing else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use haechi_engine::Clock;
use haechi_log::TopicPartition;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::client::{Change, Client};
use crate::cluster::{Cluster, Sent};
use crate::fleet;
use crate::group::Group;
use crate::workload::{Attack, EXCHANGE, EXCHANGE_PARTITIONS, Plan, SNAPSHOTS, T0};

pub(crate) const MILLISECOND: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1000 * MILLISECOND;
/// A worker that is stopped may let others have their turns, and these may be stopped too, but not for ever.
const DEEPEST: usize = 4;

pub(crate) struct World {
    pub(crate) rng: StdRng,
    /// Nanoseconds since the beginning.
    pub(crate) now: i64,
    pub(crate) cluster: Cluster,
    pub(crate) group: Group,
    pub(crate) clients: BTreeMap<u64, Client>,
    pub(crate) plan: Plan,
    pub(crate) commits: u64,
    pub(crate) faults: u64,
    /// How often the exchange lost its beginning, and how often a snapshot was read.
    pub(crate) cuts: u64,
    pub(crate) read_back: u64,
    /// What makes the schedule fail, as soon as it is known.
    pub(crate) failure: Option<String>,
    troubled: bool,
    last_client: u64,
    roll: usize,
    depth: usize,
    tell: bool,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Looks at the world. Never while a worker has its turn inside.
pub(crate) fn world<T>(look: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(|world| look(world.as_mut().expect("a schedule has a world")))
}

/// Begins a schedule.
pub(crate) fn begin(seed: u64, tell: bool) {
    let mut rng = StdRng::seed_from_u64(seed);
    let plan = Plan::new(seed, &mut rng);
    let mut cluster = Cluster::default();
    for (topic, partitions) in &plan.topics {
        cluster.create(topic, *partitions);
    }
    cluster.create(EXCHANGE, EXCHANGE_PARTITIONS);
    cluster.create(SNAPSHOTS, EXCHANGE_PARTITIONS);
    let world = World {
        rng,
        now: 0,
        cluster,
        group: Group::default(),
        clients: BTreeMap::new(),
        plan,
        commits: 0,
        faults: 0,
        cuts: 0,
        read_back: 0,
        failure: None,
        troubled: true,
        last_client: 0,
        roll: 0,
        depth: 0,
        tell,
    };
    WORLD.set(Some(world));
    STEADY.set(Instant::now());
}

pub(crate) fn end() -> World {
    WORLD.take().expect("a schedule has a world")
}

thread_local! {
    static STEADY: std::cell::Cell<Instant> = std::cell::Cell::new(Instant::now());
}

/// A process's clock. Its wall time may be wrong, and jump.
#[derive(Default)]
pub(crate) struct SimClock {
    pub(crate) skew: AtomicI64,
}

impl Clock for SimClock {
    fn now_ns(&self) -> i64 {
        T0 + world(|world| world.now) + self.skew.load(Ordering::Relaxed)
    }

    fn instant(&self) -> Instant {
        let now = world(|world| world.now);
        STEADY.get() + Duration::from_nanos(now.unsigned_abs())
    }
}

impl World {
    pub(crate) fn next_client(&mut self) -> u64 {
        self.last_client += 1;
        self.last_client
    }

    /// All source topics with their partition counts.
    pub(crate) fn sources(&self) -> Vec<(Arc<str>, i32)> {
        let count = |topic: &Arc<str>| (Arc::clone(topic), self.cluster.partitions(topic));
        self.plan.topics.keys().map(count).collect()
    }

    /// Says what happens, in a replay.
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if self.tell {
            let seconds = self.now as f64 / SECOND as f64;
            println!("{seconds:9.3} {:1$}{2}", "", self.depth * 2, what());
        }
    }

    /// Whether something goes wrong that does so with this probability.
    pub(crate) fn strikes(&mut self, probability: f64) -> bool {
        let strikes = self.troubled && self.rng.random_bool(probability * self.plan.trouble);
        self.faults += u64::from(strikes);
        strikes
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&mut self) {
        self.troubled = false;
        self.note(|| "from here on nothing goes wrong".to_owned());
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.note(|| format!("FAILED: {why}"));
        self.failure.get_or_insert(why);
    }

    /// Time passes, and brokers and clients do what they do by themselves.
    pub(crate) fn pass(&mut self, how_long: i64) {
        self.now += how_long;
        for client in self.clients.values_mut() {
            client.beat(&mut self.group, self.now);
        }
        self.group.expire(self.now);
        self.cluster.expire(self.now);
        for _ in 0..self.rng.random_range(0..4) {
            let pick = self.rng.random_range(0..64);
            self.cluster.work(pick);
        }
        if self.group.wants_rebalance && self.rng.random_bool(0.4) {
            self.rebalance();
        }
    }

    /// The group's next generation, once all of its members can join it.
    fn rebalance(&mut self) {
        let numbers = self.group.clients();
        let ready = |number: &u64| self.clients.get(number).is_some_and(Client::can_join);
        if numbers.is_empty() || !numbers.iter().all(ready) {
            return;
        }
        let mut partitions: Vec<TopicPartition> = Vec::new();
        for (topic, count) in self.sources() {
            partitions.extend((0..count).map(|number| TopicPartition::new(topic.clone(), number)));
        }
        partitions.extend((0..EXCHANGE_PARTITIONS).map(|n| TopicPartition::new(EXCHANGE, n)));
        let owned = numbers
            .iter()
            .filter_map(|number| Some((*number, self.clients.get(number)?.owned())))
            .collect();
        let shares = self.group.rebalance(&partitions, &owned, self.roll);
        let generation = self.group.generation;
        self.note(|| format!("generation {generation} of clients {numbers:?}"));
        for share in shares {
            let Some(client) = self.clients.get_mut(&share.client) else {
                continue;
            };
            client.generation = generation;
            if !share.revoked.is_empty() {
                client.changes.push_back(Change::Take(share.revoked));
            }
            client.changes.push_back(Change::Give(share.added));
        }
    }

    /// What happens outside of the workers: records are written, partitions are added, rubbish comes.
    pub(crate) fn outside(&mut self) {
        for (at, payload) in self.plan.due(self.now, &mut self.rng) {
            self.write(at, payload);
        }
        if self.strikes(0.02) {
            self.roll = self.rng.random_range(0..7);
            self.group.wants_rebalance = true;
            self.note(|| "the group rebalances".to_owned());
        }
        if !self.plan.exact && self.strikes(0.004) {
            let topic = self.plan.grow();
            let count = self.cluster.partitions(&topic) + 1;
            self.cluster.create(&topic, count);
            self.group.wants_rebalance = true;
            self.note(|| format!("topic {topic} grows to {count} partitions"));
        }
        self.attack_snapshots();
        if self.strikes(0.01) {
            let number = self.rng.random_range(0..EXCHANGE_PARTITIONS);
            self.write(TopicPartition::new(EXCHANGE, number), b"rubbish".to_vec());
        }
    }

    /// What brokers do to the snapshots and to the exchange below them.
    fn attack_snapshots(&mut self) {
        let Some((_, attack)) = self.plan.snapshots else {
            return;
        };
        let number = self.rng.random_range(0..EXCHANGE_PARTITIONS);
        let snapshots = TopicPartition::new(SNAPSHOTS, number);
        if self.strikes(0.05) {
            self.cluster.compact(&snapshots);
            self.note(|| format!("{snapshots} is compacted"));
        }
        let exchange = TopicPartition::new(EXCHANGE, number);
        match attack {
            Attack::Compact => {}
            Attack::CutExchange if self.strikes(0.05) => {
                let named = self.cluster.committed(&exchange);
                let name = named.and_then(|(_, text)| haechi_engine::layout::snapshot_of(&text));
                if let Some(name) = name {
                    self.cluster.cut(&exchange, name.offset);
                    self.cuts += 1;
                    self.note(|| format!("{exchange} is cut below {}", name.offset));
                }
            }
            Attack::Damage if self.strikes(0.02) => {
                let pick = self.rng.random_range(0..1 << 20);
                self.cluster.damage(&snapshots, pick);
                self.note(|| format!("{snapshots} is damaged"));
            }
            Attack::CutExchange | Attack::Damage => {}
        }
    }

    fn write(&mut self, at: TopicPartition, payload: Vec<u8>) {
        let text = String::from_utf8_lossy(&payload).into_owned();
        let offset = self.cluster.append(Sent {
            to: at.clone(),
            key: None,
            payload: Some(payload),
            headers: Vec::new(),
        });
        self.note(|| format!("{at} offset {offset}: {text}"));
    }

    /// Whether everything written was read, and nothing is under way: nor does the group wait for somebody who is dead, whose
    /// partitions nobody speaks for.
    pub(crate) fn is_at_rest(&self) -> bool {
        let unread = |topic: &str| self.cluster.has_unread(topic);
        let alive = |number: &u64| self.clients.get(number).is_some_and(|client| !client.dead);
        self.plan.is_written()
            && self.group.clients().iter().all(alive)
            && !self.cluster.is_busy()
            && !self.group.wants_rebalance
            && !self.plan.topics.keys().any(|topic| unread(topic))
            && !unread(EXCHANGE)
    }
}

enum Interrupt {
    None,
    Stopped { turns: usize },
}

/// A place inside a worker's call at which its process may die or be stopped.
pub(crate) fn interrupt(client: u64) {
    let what = world(|world| {
        if world.clients.get(&client).is_none_or(|client| client.dead) {
            return Interrupt::None;
        }
        if world.strikes(0.002) {
            world.note(|| format!("client {client} dies"));
            if let Some(client) = world.clients.get_mut(&client) {
                client.dead = true;
                client.frozen = true;
                client.queue.clear();
            }
            return Interrupt::None;
        }
        if world.depth >= DEEPEST || !world.strikes(0.006) {
            return Interrupt::None;
        }
        let frozen = world.rng.random_bool(0.6);
        // Some are stopped for longer than their session, some for longer than their transaction.
        let gap = [0, 2 * SECOND, 11 * SECOND, 20 * SECOND][world.rng.random_range(0..4)];
        world.note(|| format!("client {client} is stopped (frozen: {frozen})"));
        if let Some(client) = world.clients.get_mut(&client) {
            client.frozen = frozen;
        }
        world.depth += 1;
        let turns = world.rng.random_range(1..60);
        world.pass(gap / 2);
        world.pass(gap - gap / 2);
        Interrupt::Stopped { turns }
    });
    if let Interrupt::Stopped { turns } = what {
        for _ in 0..turns {
            fleet::turn();
        }
        world(|world| {
            world.depth -= 1;
            world.note(|| format!("client {client} goes on"));
            if let Some(client) = world.clients.get_mut(&client) {
                client.frozen = false;
            }
            // It may hear at once that it was put out, or go on in good faith for a while.
            if world.rng.random_bool(0.5) {
                world.pass(0);
            }
        });
    }
}
