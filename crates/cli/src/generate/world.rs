//! The company that the logs are about: its people, machines and addresses. The same for every seed; who is busy and
//! who is not follows a long-tailed law, as it does in life.

use std::net::Ipv4Addr;

use super::dice::{Deck, Dice};

const FIRST_NAMES: [&str; 20] = [
    "ana", "boris", "chen", "dalia", "emre", "fatou", "goran", "hana", "igor", "jun", "karim",
    "lena", "minseo", "nadia", "oskar", "priya", "quentin", "rosa", "soojin", "tomas",
];
const LAST_NAMES: [&str; 10] = [
    "almeida", "bauer", "castillo", "dubois", "eriksen", "farouk", "garcia", "han", "ivanova",
    "jansen",
];
const LINUX_HOSTS: [&str; 16] = [
    "bastion-01",
    "bastion-02",
    "web-01",
    "web-02",
    "web-03",
    "web-04",
    "api-01",
    "api-02",
    "db-01",
    "db-02",
    "cache-01",
    "queue-01",
    "build-01",
    "build-02",
    "backup-01",
    "metrics-01",
];
const SERVERS: [&str; 8] = [
    "DC01", "DC02", "FS01", "SQL01", "SQL02", "EXCH01", "PRINT01", "APP01",
];
const WORKSTATIONS: usize = 240;
const SITES: [&str; 4] = [
    "shop.example.com",
    "www.example.com",
    "api.example.com",
    "static.example.com",
];

/// The AWS account.
pub(super) const AWS_ACCOUNT: &str = "210987654321";

/// A person with an account.
pub(super) struct User {
    /// `first.last`.
    pub(super) login: String,
    /// Security identifier in the Windows domain.
    pub(super) sid: String,
    /// Access key in the cloud account.
    pub(super) access_key: String,
    /// Where they work from in the cloud and over SSH.
    pub(super) address: Ipv4Addr,
}

/// A Windows machine.
pub(super) struct Host {
    /// `WS-017`.
    pub(super) name: String,
    /// `WS-017.corp.example`.
    pub(super) fqdn: String,
    pub(super) address: Ipv4Addr,
    /// Index of the person who works on it.
    pub(super) owner: usize,
}

/// Everyone and everything.
pub(super) struct World {
    pub(super) users: Vec<User>,
    pub(super) linux_hosts: &'static [&'static str],
    pub(super) sites: &'static [&'static str],
    hosts: Vec<Host>,
    busy_users: Deck,
    busy_hosts: Deck,
    busy_linux: Deck,
    busy_clients: Deck,
    busy_sites: Deck,
}

/// How many addresses visit the web site day by day.
const CLIENTS: usize = 1500;

impl World {
    pub(super) fn new() -> Self {
        let users: Vec<User> = (0..FIRST_NAMES.len() * LAST_NAMES.len())
            .map(user)
            .collect();
        let workstations = (1..=WORKSTATIONS).map(|number| format!("WS-{number:03}"));
        let names = SERVERS
            .iter()
            .map(|name| (*name).to_owned())
            .chain(workstations);
        let hosts: Vec<Host> = names
            .enumerate()
            .map(|(index, name)| host(index, name, users.len()))
            .collect();
        Self {
            busy_users: Deck::zipf(users.len()),
            busy_hosts: Deck::zipf(hosts.len() / 2),
            busy_linux: Deck::zipf(LINUX_HOSTS.len()),
            busy_clients: Deck::zipf(CLIENTS),
            busy_sites: Deck::zipf(SITES.len()),
            users,
            hosts,
            linux_hosts: &LINUX_HOSTS,
            sites: &SITES,
        }
    }

    /// Someone at work; some are far busier than others.
    #[allow(
        clippy::indexing_slicing,
        reason = "the deck was made for this many users"
    )]
    pub(super) fn user(&self, dice: &mut Dice) -> &User {
        &self.users[self.busy_users.draw(dice)]
    }

    /// A Windows machine whose logs leave it flat (`half` 0) or nested (`half` 1).
    #[allow(
        clippy::indexing_slicing,
        reason = "2 * (n / 2 - 1) + 1 < n, and the halves are 0 and 1"
    )]
    pub(super) fn host(&self, dice: &mut Dice, half: usize) -> &Host {
        &self.hosts[2 * self.busy_hosts.draw(dice) + (half & 1)]
    }

    /// The same machine for the same `number`; none is more likely than another.
    #[allow(
        clippy::indexing_slicing,
        reason = "2 * (n / 2 - 1) + 1 < n, and the halves are 0 and 1"
    )]
    pub(super) fn any_host(&self, number: u32, half: usize) -> &Host {
        &self.hosts[2 * (number as usize % (self.hosts.len() / 2)) + (half & 1)]
    }

    /// The person who works on a machine.
    #[allow(clippy::indexing_slicing, reason = "owners are chosen among the users")]
    pub(super) fn owner(&self, host: &Host) -> &User {
        &self.users[host.owner]
    }

    /// A Linux server.
    #[allow(
        clippy::indexing_slicing,
        reason = "the deck was made for this many hosts"
    )]
    pub(super) fn linux_host(&self, dice: &mut Dice) -> &'static str {
        self.linux_hosts[self.busy_linux.draw(dice)]
    }

    /// A web site.
    #[allow(
        clippy::indexing_slicing,
        reason = "the deck was made for this many sites"
    )]
    pub(super) fn site(&self, dice: &mut Dice) -> &'static str {
        self.sites[self.busy_sites.draw(dice)]
    }

    /// The address of a regular visitor.
    pub(super) fn client(&self, dice: &mut Dice) -> Ipv4Addr {
        let client = self.busy_clients.draw(dice) as u32;
        // 100.64.0.0/10 is shared address space (RFC 6598): nobody's in particular.
        Ipv4Addr::from(0x6440_0000 | (client.wrapping_mul(0x9e37_79b1) & 0x001f_ffff))
    }
}

fn user(index: usize) -> User {
    let first = FIRST_NAMES
        .get(index % FIRST_NAMES.len())
        .copied()
        .unwrap_or_default();
    let last = LAST_NAMES
        .get(index / FIRST_NAMES.len())
        .copied()
        .unwrap_or_default();
    let number = index as u32;
    User {
        login: format!("{first}.{last}"),
        sid: format!("S-1-5-21-1004336348-1177238915-682003330-{}", 1100 + number),
        access_key: format!(
            "AKIA{:016X}",
            u64::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ),
        address: Ipv4Addr::from(0x0a14_0000 | (number + 10)),
    }
}

fn host(index: usize, name: String, users: usize) -> Host {
    Host {
        fqdn: format!("{name}.corp.example"),
        address: Ipv4Addr::from(0x0a0a_0000 | (index as u32 + 10)),
        owner: index * 7 % users.max(1),
        name,
    }
}

/// Addresses that make a mistake: a wrong password, a broken link, a call that is not allowed. Each is used for one
/// event and comes again only after two million others. So however fast the clock of the stream runs, honest mistakes
/// never add up to what a brute force looks like, and the ground truth stays exact.
pub(super) struct Strangers {
    next: u32,
}

impl Strangers {
    pub(super) fn new() -> Self {
        Self { next: 0 }
    }

    /// The next stranger. The upper half of 100.64.0.0/10; [`World::client`] has the lower.
    pub(super) fn next(&mut self) -> Ipv4Addr {
        self.next = self.next.wrapping_add(1);
        Ipv4Addr::from(0x6460_0000 | (self.next.wrapping_mul(0x9e37_79b1) & 0x001f_ffff))
    }
}

/// Where an attack comes from: 198.18.0.0/15, set aside for benchmarks (RFC 2544), so that no real address is ever
/// accused. 131,072 attacks pass before an address is used again.
pub(super) fn attacker(number: u64) -> Ipv4Addr {
    Ipv4Addr::from(0xc612_0000 | ((number as u32).wrapping_mul(0x9e37_79b1) & 0x0001_ffff))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn strangers_and_attackers_do_not_meet_again_soon() {
        let mut strangers = Strangers::new();
        let seen: HashSet<Ipv4Addr> = (0..100_000).map(|_| strangers.next()).collect();
        assert_eq!(seen.len(), 100_000);
        assert_eq!(
            (0..131_072).map(attacker).collect::<HashSet<_>>().len(),
            131_072
        );
    }

    #[test]
    fn regular_visitors_are_never_strangers() {
        let (world, mut dice, mut strangers) = (World::new(), Dice::new(1), Strangers::new());
        let strangers: HashSet<Ipv4Addr> = (0..50_000).map(|_| strangers.next()).collect();
        assert!((0..10_000).all(|_| !strangers.contains(&world.client(&mut dice))));
    }
}
