//! The simulated consumer group: members, generations, cooperative rebalances in two steps.

use std::collections::{BTreeMap, BTreeSet};

use haechi_log::TopicPartition;

/// How long a member may be silent before it is put out, nanoseconds.
const SESSION_TIMEOUT: i64 = 10_000_000_000;

struct Member {
    client: u64,
    last_seen: i64,
}

/// A member's new share: what it has to give back, and what it is given.
pub(crate) struct Share {
    pub(crate) client: u64,
    pub(crate) revoked: Vec<TopicPartition>,
    pub(crate) added: Vec<TopicPartition>,
}

#[derive(Default)]
pub(crate) struct Group {
    pub(crate) generation: i32,
    members: BTreeMap<u64, Member>,
    pub(crate) wants_rebalance: bool,
    next: u64,
}

impl Group {
    pub(crate) fn join(&mut self, client: u64, now: i64) -> u64 {
        self.next += 1;
        self.members.insert(
            self.next,
            Member {
                client,
                last_seen: now,
            },
        );
        self.wants_rebalance = true;
        self.next
    }

    pub(crate) fn leave(&mut self, member: u64) {
        self.wants_rebalance |= self.members.remove(&member).is_some();
    }

    pub(crate) fn knows(&self, member: u64) -> bool {
        self.members.contains_key(&member)
    }

    pub(crate) fn heartbeat(&mut self, member: u64, now: i64) {
        if let Some(member) = self.members.get_mut(&member) {
            member.last_seen = now;
        }
    }

    pub(crate) fn expire(&mut self, now: i64) {
        let before = self.members.len();
        self.members
            .retain(|_, member| now - member.last_seen <= SESSION_TIMEOUT);
        self.wants_rebalance |= self.members.len() < before;
    }

    pub(crate) fn clients(&self) -> Vec<u64> {
        self.members.values().map(|member| member.client).collect()
    }

    /// The next generation. `owned` is what each member says that it has; `roll` moves the partitions round, so that
    /// there is something to hand over. What somebody else still has is given out only once it was given back.
    pub(crate) fn rebalance(
        &mut self,
        partitions: &[TopicPartition],
        owned: &BTreeMap<u64, BTreeSet<TopicPartition>>,
        roll: usize,
    ) -> Vec<Share> {
        self.generation += 1;
        self.wants_rebalance = false;
        let clients = self.clients();
        let mut shares = Vec::new();
        for (place, &client) in clients.iter().enumerate() {
            let mine = owned.get(&client).cloned().unwrap_or_default();
            let is_target =
                |index: usize| !clients.is_empty() && (index + roll) % clients.len() == place;
            let target: BTreeSet<&TopicPartition> = partitions
                .iter()
                .enumerate()
                .filter_map(|(index, at)| is_target(index).then_some(at))
                .collect();
            let revoked: Vec<_> = mine
                .iter()
                .filter(|at| !target.contains(at))
                .cloned()
                .collect();
            let is_free = |at: &TopicPartition| !owned.values().any(|other| other.contains(at));
            let added = target.into_iter().filter(|at| is_free(at)).cloned();
            let added = added.collect();
            self.wants_rebalance |= !revoked.is_empty();
            shares.push(Share {
                client,
                revoked,
                added,
            });
        }
        shares
    }
}
