//! The exchange grows while windows are open: what is found is what would have been found without.

use std::sync::Arc;

use proptest::prelude::*;

use super::logs::{log, setup};
use super::snapshots::all_rules;
use super::world::{Setup, gathered, growing_stage1, plan, run, snapshot};
use crate::{Merger, Outcome, Plan, SnapshotName, readdress};

/// One partition of the exchange after it has grown.
struct Grown<'a> {
    number: u32,
    /// The partition that it begins with a copy of.
    old: u32,
    partitions: u32,
    records: &'a [Vec<u8>],
    /// How many of them it began with.
    begun: usize,
}

impl Grown<'_> {
    /// What its owner tells: of the records that it began with, the old owner had answered for the first `answered`, and `snapshot`
    /// is of the state after so many of these.
    fn run(&self, plan: &Arc<Plan>, answered: usize, snapshot_at: Option<usize>) -> Vec<Outcome> {
        let mut merger = match snapshot_at {
            Some(at) => self.restored(plan, at),
            None => Merger::new(Arc::clone(plan), self.number),
        };
        let mut outcomes = Vec::new();
        for (number, record) in self
            .records
            .iter()
            .enumerate()
            .skip(snapshot_at.unwrap_or(0))
        {
            let found = if number < self.begun {
                merger.apply_share(record, self.partitions).unwrap()
            } else {
                merger.apply(record).unwrap()
            };
            if number >= answered {
                outcomes.extend(found);
            }
        }
        assert!(merger.is_finished());
        outcomes
    }

    /// Its state by the old partition's snapshot.
    fn restored(&self, plan: &Arc<Plan>, at: usize) -> Merger {
        let mut merger = Merger::new(Arc::clone(plan), self.old);
        for record in &self.records[..at] {
            merger.apply(record).unwrap();
        }
        let (name, chunks) = snapshot(&mut merger, at as i64, 400);
        let old = gathered(self.old, name, &chunks).unwrap();
        let mut chunks = Vec::new();
        let digest = readdress(&old, self.number, 77, &mut |_, chunk| {
            chunks.push(chunk.to_vec())
        });
        let name = SnapshotName {
            offset: 77,
            digest: digest.unwrap(),
            ..name
        };
        let new = gathered(self.number, name, &chunks).unwrap();
        let restored = Merger::restore(Arc::clone(plan), self.number, new, Some(self.partitions));
        restored.unwrap().0
    }
}

proptest! {
    #![proptest_config(super::correlations::cases())]

    #[test]
    fn more_partitions_find_the_same(
        log in log(),
        setup in setup(),
        after in 1usize..12,
        factor in 2u32..4,
        answered in 0.0f64..=1.0,
        with_snapshot in prop::option::of(0.0f64..=1.0),
    ) {
        // What is told early is told once a record, so records must not be cut.
        let plan = plan(&all_rules());
        let setup = Setup { restart: 0, record_limit: 900_000, ..setup };
        let (exchange, begun) = growing_stage1(&plan, &setup, &log, after, factor);
        let partitions = exchange.len() as u32;
        let mut outcomes = Vec::new();
        for ((records, &begun), number) in exchange.iter().zip(&begun).zip(0..) {
            let old = number % setup.exchange;
            let answered = (begun as f64 * answered) as usize;
            let snapshot_at = with_snapshot.map(|part| (answered as f64 * part) as usize);
            if number == old {
                let mut merger = Merger::new(Arc::clone(&plan), old);
                for record in &records[..answered] {
                    outcomes.extend(merger.apply(record).unwrap());
                }
            }
            let grown = Grown { number, old, partitions, records, begun };
            outcomes.extend(grown.run(&plan, answered, snapshot_at));
        }
        outcomes.sort_by_cached_key(|outcome| format!("{outcome:?}"));
        let expected = run(&plan, &setup, &log);
        let missing: Vec<_> = expected.iter().filter(|one| !outcomes.contains(one)).collect();
        let extra: Vec<_> = outcomes.iter().filter(|one| !expected.contains(one)).collect();
        prop_assert!(missing.is_empty() && extra.is_empty(), "missing {missing:#?}\nextra {extra:#?}");
        prop_assert_eq!(outcomes.len(), expected.len(), "something is found twice");
    }
}
