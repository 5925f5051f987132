//! Which networks an address is in.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::predicate::PredicateId;

/// Networks of one field: for each prefix length that occurs, a map from network to predicates. An address costs one
/// look-up per prefix length, however many networks there are.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    v4: Vec<ByLength>,
    v6: Vec<ByLength>,
}

#[derive(Debug)]
struct ByLength {
    mask: u128,
    networks: FxHashMap<u128, Vec<PredicateId>>,
}

impl Networks {
    /// Takes networks as address and prefix length; host bits are ignored, and so is what goes beyond the longest prefix.
    pub(crate) fn new(tests: impl IntoIterator<Item = (IpAddr, u8, PredicateId)>) -> Self {
        let mut networks = Self::default();
        for (address, length, predicate) in tests {
            let (bits, width, family) = match address {
                IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32, &mut networks.v4),
                IpAddr::V6(v6) => (v6.to_bits(), 128, &mut networks.v6),
            };
            let host_bits = width - u32::from(length).min(width);
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            let at = family.iter().position(|by_length| by_length.mask == mask);
            let at = at.unwrap_or_else(|| {
                let networks = FxHashMap::default();
                family.push(ByLength { mask, networks });
                family.len() - 1
            });
            if let Some(by_length) = family.get_mut(at) {
                let same = by_length.networks.entry(bits & mask).or_default();
                same.push(predicate);
            }
        }
        networks
    }

    /// Whether there are no networks.
    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Calls `satisfied` with each network that the address is in; none when `value` is no address.
    pub(crate) fn each(&self, value: &str, mut satisfied: impl FnMut(PredicateId)) {
        let (bits, family) = match parse(value) {
            Some(IpAddr::V4(v4)) => (u128::from(v4.to_bits()), &self.v4),
            Some(IpAddr::V6(v6)) => (v6.to_bits(), &self.v6),
            None => return,
        };
        for by_length in family {
            if let Some(same) = by_length.networks.get(&(bits & by_length.mask)) {
                same.iter().for_each(|&predicate| satisfied(predicate));
            }
        }
    }
}

/// Reads an IPv4 or IPv6 address. A zone (`fe80::1%eth0`) is ignored; an IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) is
/// the IPv4 address.
pub(crate) fn parse(value: &str) -> Option<IpAddr> {
    // Longest: a mapped address in full, 45 characters, and a zone. Saves the parser from long texts.
    let address = match value.split_once('%') {
        Some((address, _zone)) if address.contains(':') => address,
        _ => value,
    };
    if address.len() > 45 {
        return None;
    }
    address
        .parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn within(networks: &[&str], value: &str) -> Vec<PredicateId> {
        let tests = networks.iter().zip(0..).map(|(network, id)| {
            let (address, length) = network.split_once('/').unwrap();
            (address.parse().unwrap(), length.parse().unwrap(), id)
        });
        let mut found = Vec::new();
        Networks::new(tests).each(value, |id| found.push(id));
        found.sort_unstable();
        found
    }

    #[test]
    fn an_address_is_in_all_its_networks() {
        let networks = [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "0.0.0.0/0",
            "10.1.2.3/32",
            "192.168.0.0/16",
        ];
        assert_eq!(within(&networks, "10.1.2.3"), [0, 1, 2, 3]);
        assert_eq!(within(&networks, "10.2.0.0"), [0, 2]);
        assert!(within(&networks, "10.1.2.3:80").is_empty());
        assert!(within(&networks, "10.1.2").is_empty());
        assert!(within(&networks, "host").is_empty());
        assert!(within(&networks, "").is_empty());
    }

    #[test]
    fn families_do_not_mix_but_mapped_addresses_are_v4() {
        let networks = ["10.0.0.0/8", "::/0", "fe80::/10"];
        assert_eq!(within(&networks, "::ffff:10.1.2.3"), [0]);
        assert_eq!(within(&networks, "::10.1.2.3"), [1]);
        assert_eq!(within(&networks, "FE80::1%12"), [1, 2]);
        assert!(within(&networks, "10.0.0.1%1").is_empty());
    }
}
