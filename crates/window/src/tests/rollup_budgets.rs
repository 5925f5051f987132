//! Rollups that would keep more than they may: rows that say nothing are whole, the others are parts that add up to it, and no more is
//! kept than may be. `HAECHI_CASES=10000` tries that many logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use haechi_rules::{FieldType, Rollup, StateBudget};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use serde_json::Value;

use super::correlations::{cases, order};
use super::logs::{interleave, log, setup};
use super::rollups::{most_disorder, with_fractions};
use super::world::{
    Event, SECOND, Setup, gathered, number, plan, restore, rollup, rule_set, run, snapshot, stage1,
};
use crate::{GivenUp, Keeper, Merger, Outcome, Plan, RollupRow, SnapshotName, readdress};

/// States of fixed size, of texts, of lists, and of those whose layout depends on the order of merging.
const SQL: &str = "SELECT host, user, count(*) AS n, sum(bytes) AS total, count(DISTINCT bytes) AS different, sum(x) AS fraction, \
    var(x) AS var, median(x) AS median, max(x) AS most, array_agg(x) AS list, top_k(bytes, 2) AS top FROM logs \
    GROUP BY hop(interval '10 seconds', interval '20 seconds'), host, user";

/// Only states of fixed size.
const FIXED: &str = "SELECT host, user, count(*) AS n, sum(bytes) AS total, count(bytes) AS different FROM logs \
    GROUP BY hop(interval '10 seconds', interval '20 seconds'), host, user";

static FREE: LazyLock<Arc<Plan>> = LazyLock::new(|| compiled(bounded(SQL, StateBudget::default())));

static FREE_FIXED: LazyLock<Arc<Plan>> =
    LazyLock::new(|| compiled(bounded(FIXED, StateBudget::default())));

pub(super) fn bounded(sql: &str, state: StateBudget) -> Rollup {
    let mut rule = rollup(sql, &[("bytes", FieldType::Bigint)]);
    rule.header.state = state;
    rule
}

pub(super) fn compiled(rule: Rollup) -> Arc<Plan> {
    plan(&rule_set(0, Vec::new(), vec![rule]))
}

/// Budgets from nothing to speak of to more than there is.
pub(super) fn budgets() -> impl Strategy<Value = StateBudget> {
    prop_oneof![
        (1u64..20).prop_map(|groups| StateBudget {
            groups: Some(groups),
            bytes: None,
        }),
        (200u64..20_000).prop_map(|bytes| StateBudget {
            groups: None,
            bytes: Some(bytes),
        }),
    ]
}

/// Rows, and how many groups were given up.
pub(super) fn said(outcomes: &[Outcome]) -> (Vec<&RollupRow>, u64) {
    let (mut rows, mut lost) = (Vec::new(), 0);
    for outcome in outcomes {
        match outcome {
            Outcome::Rollup(row) => rows.push(row),
            Outcome::GivenUp(GivenUp { rule, groups }) => {
                assert_eq!(*rule, Keeper::Rollup(0));
                assert!(*groups > 0);
                lost += groups;
            }
            other => panic!("{other:?}"),
        }
    }
    (rows, lost)
}

/// A window and group.
type Cell = (i64, Vec<Option<String>>);

fn cell(row: &RollupRow) -> Cell {
    let text = |(_, value): &(String, Value)| value.as_str().map(str::to_owned);
    (row.start_ns, row.group.iter().map(text).collect())
}

/// Events and the sum of their bytes.
type Sums = (i64, i64);

fn sums(row: &RollupRow) -> Sums {
    let of = |name: &str| {
        let column = row.columns.iter().find(|(column, _)| column == name);
        column.and_then(|(_, value)| value.as_i64()).unwrap_or(0)
    };
    (of("n"), of("total"))
}

/// The windows and groups of the definition.
fn cells(log: &[Event]) -> BTreeMap<Cell, Sums> {
    let mut cells: BTreeMap<Cell, Sums> = BTreeMap::new();
    for event in log {
        let text = |field| event.first(field).flatten().map(str::to_owned);
        let bytes = text("bytes").and_then(|bytes| bytes.parse::<i64>().ok());
        let last = event.time_ns.div_euclid(10 * SECOND);
        for start in [last, last - 1] {
            let key = (start * 10 * SECOND, vec![text("host"), text("user")]);
            let sums = cells.entry(key).or_default();
            sums.0 += 1;
            sums.1 += bytes.unwrap_or(0);
        }
    }
    cells
}

/// Parts of one window and group, added up.
fn added(rows: &[&RollupRow]) -> BTreeMap<Cell, Sums> {
    let mut cells: BTreeMap<Cell, Sums> = BTreeMap::new();
    for row in rows {
        let (n, total) = sums(row);
        let sums = cells.entry(cell(row)).or_default();
        sums.0 += n;
        sums.1 += total;
    }
    cells
}

/// No two rows have one identity.
fn are_apart(rows: &[&RollupRow]) -> bool {
    let ids = rows.iter().map(|row| (cell(row), row.part, row.revision));
    ids.collect::<BTreeSet<_>>().len() == rows.len()
}

/// Everything that holds of a rollup with a budget, for one way to cut and order a log.
fn holds(sql: &str, state: StateBudget, setup: &Setup, log: &[Event]) -> TestCaseResult {
    let plan = compiled(bounded(sql, state));
    let outcomes = run(&plan, setup, log);
    let (rows, lost) = said(&outcomes);
    let expected = cells(log);
    prop_assert_eq!(&added(&rows), &expected);
    prop_assert!(are_apart(&rows), "{rows:?}");
    let unbounded = if sql == SQL { &*FREE } else { &*FREE_FIXED };
    let free = run(unbounded, setup, log);
    for row in &rows {
        prop_assert!(row.given_up <= lost);
        prop_assert!(row.part <= row.given_up);
        // Of the definition, and to the last bit.
        if row.given_up == 0 {
            prop_assert_eq!(&sums(row), &expected[&cell(row)]);
            prop_assert!(free.contains(&Outcome::Rollup((*row).clone())), "{row:?}");
        }
    }
    let marked = rows.iter().filter(|row| row.given_up > 0).count() as u64;
    prop_assert!(marked >= lost, "{lost} were given up, {marked} rows say so");
    // A state that is written and read back gives up the same.
    let often = Setup {
        restart: 1,
        ..setup.clone()
    };
    prop_assert_eq!(&run(&plan, &often, log), &outcomes);
    Ok(())
}

/// After every record no more is kept than may be.
pub(super) fn keeps_no_more(
    plan: &Arc<Plan>,
    state: StateBudget,
    setup: &Setup,
    log: &[Event],
) -> TestCaseResult {
    for (records, partition) in stage1(plan, setup, log).iter().zip(0..) {
        let mut merger = Merger::new(Arc::clone(plan), partition);
        for record in records {
            merger.apply(record).unwrap();
            for (groups, bytes) in merger.rollups_hold() {
                prop_assert!(state.groups.is_none_or(|most| groups as u64 <= most));
                prop_assert!(state.bytes.is_none_or(|most| bytes as u64 <= most));
            }
        }
    }
    Ok(())
}

/// A run without lateness, so that much is late; with a restore after every so many records it comes to the same.
pub(super) fn late_and_restored(
    plan: &Arc<Plan>,
    setup: Setup,
    log: &[Event],
    cut: usize,
) -> Result<Vec<Outcome>, TestCaseError> {
    let eager = Setup {
        lateness: Duration::ZERO,
        workers: 1,
        rebalance: 0,
        abort: 0,
        ..setup
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for (records, partition) in stage1(plan, &eager, log).iter().zip(0..) {
        let mut merger = Merger::new(Arc::clone(plan), partition);
        let mut restored = Merger::new(Arc::clone(plan), partition);
        for (record, number) in records.iter().zip(1..) {
            without.extend(merger.apply(record).unwrap());
            with.extend(restored.apply(record).unwrap());
            if number % cut == 0 {
                let (name, chunks) = snapshot(&mut restored, number as i64, 500);
                restored = restore(plan, partition, name, &chunks).unwrap();
            }
        }
    }
    prop_assert_eq!(&with, &without);
    Ok(without)
}

/// A run in which the exchange grows from one partition to two after this part of the records.
pub(super) fn run_growing(
    plan: &Arc<Plan>,
    setup: Setup,
    log: &[Event],
    part: f64,
) -> Vec<Outcome> {
    let setup = Setup {
        exchange: 1,
        ..setup
    };
    let records = stage1(plan, &setup, log).remove(0);
    let (before, after) = records.split_at((records.len() as f64 * part) as usize);
    let mut old = Merger::new(Arc::clone(plan), 0);
    let mut outcomes: Vec<Outcome> = Vec::new();
    for record in before {
        outcomes.extend(old.apply(record).unwrap());
    }
    let (name, chunks) = snapshot(&mut old, 5, 500);
    let whole = gathered(0, name, &chunks).unwrap();
    for partition in 0..2 {
        let mut chunks = Vec::new();
        let digest = readdress(&whole, partition, 7, &mut |_, chunk| {
            chunks.push(chunk.to_vec());
        });
        let name = SnapshotName {
            offset: 7,
            digest: digest.unwrap(),
            ..name
        };
        let own = gathered(partition, name, &chunks).unwrap();
        let mut merger = Merger::restore(Arc::clone(plan), partition, own, Some(2))
            .unwrap()
            .0;
        for record in after {
            outcomes.extend(merger.apply_share(record, 2).unwrap());
        }
    }
    outcomes
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn parts_are_marked_and_add_up(log in log(), setup in setup(), state in budgets(), order in order()) {
        holds(FIXED, state, &setup, &log)?;
        holds(FIXED, state, &setup, &interleave(&log, &order))?;
    }

    /// After every record no more is kept than may be.
    #[test]
    fn no_more_is_kept_than_may_be(log in log(), setup in setup(), state in budgets()) {
        keeps_no_more(&compiled(bounded(SQL, state)), state, &setup, &with_fractions(&log))?;
    }
}

proptest! {
    // A plan of so many aggregates, and a snapshot of each after every record, take their time.
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// A budget that is not used up changes nothing.
    #[test]
    fn with_room_all_is_as_without(log in log(), setup in setup()) {
        let log = with_fractions(&log);
        let roomy = StateBudget { groups: Some(1000), bytes: Some(4 << 20) };
        let bounded = compiled(bounded(SQL, roomy));
        prop_assert_eq!(run(&bounded, &setup, &log), run(&FREE, &setup, &log));
    }

    /// The same of aggregates that keep values: what they take does not depend on how they were merged, or read back.
    #[test]
    fn parts_of_every_kind_are_marked_and_add_up(log in log(), setup in setup(), state in budgets()) {
        holds(SQL, state, &setup, &with_fractions(&log))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Where late events are allowed, the last revisions of all parts add up.
    #[test]
    fn last_revisions_of_parts_add_up(log in log(), setup in setup(), state in budgets(), cut in 1usize..9) {
        let mut log = log;
        // One partition: that one is behind another is not lateness.
        log.iter_mut().for_each(|event| event.partition = 0);
        let log = number(log);
        let mut rule = bounded(FIXED, state);
        rule.allowed_lateness_ns = most_disorder(&log);
        let said_late = late_and_restored(&compiled(rule), setup, &log, cut)?;
        let (rows, _) = said(&said_late);
        prop_assert!(are_apart(&rows), "{rows:?}");
        let mut last: BTreeMap<(Cell, u64), &RollupRow> = BTreeMap::new();
        for row in rows {
            let before = last.insert((cell(row), row.part), row);
            prop_assert_eq!(row.revision, before.map_or(0, |before| before.revision + 1));
        }
        let last: Vec<&RollupRow> = last.into_values().collect();
        prop_assert_eq!(added(&last), cells(&log));
    }

    /// The exchange grows where groups were given up: their parts still add up.
    #[test]
    fn parts_add_up_where_the_exchange_grows(log in log(), setup in setup(), most in 1u64..12, part in 0.0f64..1.0) {
        let state = StateBudget { groups: Some(most), bytes: None };
        let outcomes = run_growing(&compiled(bounded(FIXED, state)), setup, &log, part);
        let (rows, _) = said(&outcomes);
        prop_assert_eq!(added(&rows), cells(&log));
        prop_assert!(are_apart(&rows), "{rows:?}");
    }
}

/// Ten thousand keys that come once do not cost the one that is busy.
#[test]
fn those_with_the_fewest_events_go() {
    const KEYS: i64 = 10_000;
    let sql = "SELECT host, count(*) AS n FROM logs GROUP BY tumble(interval '1 day'), host";
    let state = StateBudget {
        groups: Some(160),
        bytes: None,
    };
    let plan = compiled(bounded(sql, state));
    let event = |n: i64| Event::at(n * SECOND);
    let events = (0..KEYS).flat_map(|n| {
        let once = event(n).with("host", &format!("{n:05}"));
        [once, event(n).with("host", "busy")]
    });
    let setup = Setup {
        batches: vec![50],
        ..Setup::default()
    };
    let records = stage1(&plan, &setup, &number(events.collect())).remove(0);
    let mut merger = Merger::new(plan, 0);
    let (mut outcomes, mut most) = (Vec::new(), 0);
    for record in &records {
        outcomes.extend(merger.apply(record).unwrap());
        most = most.max(merger.rollups_hold()[0].0);
    }
    let (rows, lost) = said(&outcomes);
    assert_eq!(rows.len() as i64, KEYS + 1);
    // What came with the last record was not kept at all: its window ended with it.
    assert!((lost as i64) < KEYS && lost as i64 >= KEYS - 200, "{lost}");
    let whole: Vec<_> = rows.iter().filter(|row| row.given_up == 0).collect();
    let busy = whole.iter().find(|row| row.group[0].1 == "busy");
    assert_eq!(busy.map(|row| row.columns[1].1.as_i64()), Some(Some(KEYS)));
    assert!(whole.len() < 160, "{}", whole.len());
    assert!(most <= 160, "{most}");
}

/// A group that alone takes most of the bytes goes before all others do.
#[test]
fn a_group_that_takes_all_the_bytes_goes_first() {
    let sql = "SELECT host, count(*) AS n, count(DISTINCT user) AS users FROM logs GROUP BY tumble(interval '1 day'), host";
    let state = StateBudget {
        groups: None,
        bytes: Some(20_000),
    };
    let plan = compiled(bounded(sql, state));
    let event = |n: i64, host: &str| {
        let event = Event::at(n * SECOND).with("host", host);
        event.with("user", &format!("user-{n}"))
    };
    let quiet = (0..20).map(|n| event(n, &format!("quiet-{n}")));
    let busy = (100..2100).map(|n| event(n, "busy"));
    let again = (0..20).map(|n| event(3000 + n, &format!("quiet-{n}")));
    let log = number(quiet.chain(busy).chain(again).collect());
    let outcomes = run(&plan, &Setup::default(), &log);
    let (rows, lost) = said(&outcomes);
    assert!((1..20).contains(&lost), "{lost}");
    let (whole, parts): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.given_up == 0);
    assert_eq!(whole.len(), 20, "{whole:?}");
    assert!(parts.iter().all(|row| row.group[0].1 == "busy"));
    let events = parts.iter().filter_map(|row| row.columns[1].1.as_i64());
    assert_eq!(events.sum::<i64>(), 2000);
}
