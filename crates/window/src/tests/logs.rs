//! Random logs, and random ways to cut them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::world::{Event, SECOND, Setup, number};

/// By how much an event may come after a younger one of its partition.
const DISORDER: i64 = 20;

/// A log of several partitions: in the order of arrival, each partition out of order by at most [`DISORDER`] seconds.
pub(super) fn log() -> impl Strategy<Value = Vec<Event>> {
    let event = (
        0i32..3,
        0i64..2,
        0i64..DISORDER,
        prop::sample::select(vec![Some("a"), Some("b"), Some("c"), None]),
        prop::sample::select(vec![Some("7"), Some("-3"), Some("12"), Some("x"), None]),
        prop::sample::select(vec![Some("u"), Some("v"), None]),
        prop::sample::subsequence(vec![0u32, 1, 2], 0..=3),
    );
    prop::collection::vec(event, 1..50).prop_map(|events| {
        let mut now = [0i64; 3];
        let events =
            events
                .into_iter()
                .map(|(partition, step, jitter, host, bytes, user, hits)| {
                    let now = &mut now[partition as usize];
                    *now += step * 5;
                    let mut event = Event::at((*now + jitter) * SECOND);
                    event.partition = partition;
                    event.hits = hits;
                    for (field, value) in [("host", host), ("bytes", bytes), ("user", user)] {
                        if let Some(value) = value {
                            event = event.with(field, value);
                        }
                    }
                    event
                });
        number(events.collect())
    })
}

pub(super) fn setup() -> impl Strategy<Value = Setup> {
    let sizes = || prop::collection::vec(1usize..8, 1..4);
    let limits = prop::sample::select(vec![1500usize, 900_000]);
    let parts = (
        1usize..4,
        1u32..5,
        sizes(),
        sizes(),
        limits,
        0usize..4,
        0usize..4,
        prop::sample::select(vec![0, 0, 1, 3, 7]),
    );
    parts.prop_map(
        |(workers, exchange, batches, commits, record_limit, rebalance, abort, restart)| Setup {
            workers,
            exchange,
            lateness: Duration::from_secs(DISORDER as u64),
            batches,
            commits,
            record_limit,
            rebalance,
            abort,
            restart,
        },
    )
}

/// The log's partitions interleaved in another way: another arrival of the same log.
pub(super) fn interleave(log: &[Event], order: &[usize]) -> Vec<Event> {
    let mut partitions: BTreeMap<i32, std::collections::VecDeque<Event>> = BTreeMap::new();
    for event in log {
        partitions
            .entry(event.partition)
            .or_default()
            .push_back(event.clone());
    }
    let mut arrival = Vec::new();
    let mut order = order.iter().cycle();
    while arrival.len() < log.len() {
        let waiting: Vec<i32> = partitions
            .iter()
            .filter(|(_, queue)| !queue.is_empty())
            .map(|(&n, _)| n)
            .collect();
        let next = waiting[order.next().copied().unwrap_or(0) % waiting.len()];
        arrival.extend(
            partitions
                .get_mut(&next)
                .and_then(std::collections::VecDeque::pop_front),
        );
    }
    arrival
}
