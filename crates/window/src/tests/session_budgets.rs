//! Sessions that would be more than may be kept: rows that say nothing are whole, the others are parts that add up to a session, and no
//! more is kept than may be. `HAECHI_CASES=10000` tries that many logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use haechi_rules::StateBudget;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::correlations::{cases_or, order};
use super::logs::{interleave, log, setup};
use super::rollup_budgets::{
    bounded, budgets, compiled, keeps_no_more, late_and_restored, run_growing, said,
};
use super::rollups::{most_disorder, with_fractions};
use super::world::{Event, SECOND, Setup, number, run, stage1};
use crate::{Merger, Outcome, Plan, RollupRow};

const GAP: i64 = 3 * SECOND;

/// Only states of fixed size.
const FIXED: &str = "SELECT host, count(*) AS n, sum(bytes) AS total FROM logs GROUP BY session(interval '3 seconds'), host";

/// States that grow with their values as well.
const GROWING: &str = "SELECT host, count(*) AS n, count(DISTINCT user) AS users, array_agg(bytes) AS list, max(user) AS most, \
    median(x) AS median FROM logs GROUP BY session(interval '3 seconds'), host";

static FREE: LazyLock<[Arc<Plan>; 2]> =
    LazyLock::new(|| [FIXED, GROWING].map(|sql| compiled(bounded(sql, StateBudget::default()))));

/// A group, and the bounds of a session or of a part of one.
type Span = (Option<String>, i64, i64);

fn span(row: &RollupRow) -> Span {
    let host = row.group.first().and_then(|(_, host)| host.as_str());
    (host.map(str::to_owned), row.start_ns, row.end_ns)
}

fn count(row: &RollupRow) -> i64 {
    let n = row.columns.iter().find(|(name, _)| name == "n");
    n.and_then(|(_, n)| n.as_i64()).unwrap_or(0)
}

/// The sessions of the definition, and how many events each has.
fn sessions(log: &[Event]) -> BTreeMap<Span, i64> {
    let mut groups: BTreeMap<Option<String>, Vec<i64>> = BTreeMap::new();
    for event in log {
        let host = event.first("host").flatten().map(str::to_owned);
        groups.entry(host).or_default().push(event.time_ns);
    }
    let mut sessions = BTreeMap::new();
    for (host, mut times) in groups {
        times.sort_unstable();
        for session in times.chunk_by(|before, after| after - before < GAP) {
            let (first, last) = (session[0], session[session.len() - 1]);
            sessions.insert((host.clone(), first, last + GAP), session.len() as i64);
        }
    }
    sessions
}

/// Parts added up, each to the session that it lies in.
fn added<'a>(
    rows: impl IntoIterator<Item = &'a RollupRow>,
    sessions: &BTreeMap<Span, i64>,
) -> BTreeMap<Span, i64> {
    let mut cells = BTreeMap::new();
    for row in rows {
        let (host, start, end) = span(row);
        let around = |(of, first, last): &&Span| *of == host && *first <= start && end <= *last;
        let session = sessions.keys().find(around).expect("a part of no session");
        *cells.entry(session.clone()).or_default() += count(row);
    }
    cells
}

/// No two rows have one identity.
fn are_apart(rows: &[&RollupRow]) -> bool {
    let ids = rows.iter().map(|row| (span(row), row.part, row.revision));
    ids.collect::<BTreeSet<_>>().len() == rows.len()
}

/// Everything that holds of sessions with a budget, for one way to cut and order a log.
fn holds(kind: usize, state: StateBudget, setup: &Setup, log: &[Event]) -> TestCaseResult {
    let plan = compiled(bounded([FIXED, GROWING][kind], state));
    let outcomes = run(&plan, setup, log);
    let (rows, lost) = said(&outcomes);
    let expected = sessions(log);
    prop_assert_eq!(&added(rows.iter().copied(), &expected), &expected);
    prop_assert!(are_apart(&rows), "{rows:?}");
    let free = run(&FREE[kind], setup, log);
    for row in &rows {
        prop_assert!(row.given_up <= lost);
        prop_assert!(row.part <= row.given_up);
        if row.given_up == 0 {
            prop_assert_eq!(Some(&count(row)), expected.get(&span(row)));
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

proptest! {
    // Where dependencies are not optimised, each takes its time.
    #![proptest_config(cases_or(16))]

    #[test]
    fn parts_of_sessions_are_marked_and_add_up(log in log(), setup in setup(), state in budgets(), order in order()) {
        holds(0, state, &setup, &log)?;
        holds(0, state, &setup, &interleave(&log, &order))?;
    }

    /// The same of aggregates that keep values.
    #[test]
    fn parts_of_growing_sessions_are_marked_and_add_up(log in log(), setup in setup(), state in budgets()) {
        holds(1, state, &setup, &with_fractions(&log))?;
    }

    /// After every record no more is kept than may be; where that is everything, nothing changes.
    #[test]
    fn no_more_sessions_are_kept_than_may_be(log in log(), setup in setup(), state in budgets()) {
        let log = with_fractions(&log);
        keeps_no_more(&compiled(bounded(GROWING, state)), state, &setup, &log)?;
        let roomy = StateBudget { groups: Some(1000), bytes: Some(4 << 20) };
        let roomy = compiled(bounded(GROWING, roomy));
        prop_assert_eq!(run(&roomy, &setup, &log), run(&FREE[1], &setup, &log));
    }

    /// Where late events are allowed, the last revisions of all parts add up.
    #[test]
    fn last_revisions_of_sessions_add_up(log in log(), setup in setup(), state in budgets(), cut in 1usize..9) {
        let mut log = log;
        // One partition: that one is behind another is not lateness.
        log.iter_mut().for_each(|event| event.partition = 0);
        let log = number(log);
        let mut rule = bounded(FIXED, state);
        rule.allowed_lateness_ns = most_disorder(&log);
        let said_late = late_and_restored(&compiled(rule), setup, &log, cut)?;
        let (rows, _) = said(&said_late);
        prop_assert!(are_apart(&rows), "{rows:?}");
        let mut last: BTreeMap<(Span, u64), &RollupRow> = BTreeMap::new();
        for row in rows {
            let before = last.insert((span(row), row.part), row);
            prop_assert_eq!(row.revision, before.map_or(0, |before| before.revision + 1));
        }
        let stand = last.into_values().filter(|row| !row.withdrawn);
        let expected = sessions(&log);
        prop_assert_eq!(added(stand, &expected), expected);
    }

    /// The exchange grows where sessions were given up: their parts still add up.
    #[test]
    fn parts_of_sessions_add_up_where_the_exchange_grows(log in log(), setup in setup(), most in 1u64..8, part in 0.0f64..1.0) {
        let state = StateBudget { groups: Some(most), bytes: None };
        let outcomes = run_growing(&compiled(bounded(FIXED, state)), setup, &log, part);
        let (rows, _) = said(&outcomes);
        let expected = sessions(&log);
        prop_assert_eq!(added(rows.iter().copied(), &expected), expected);
        prop_assert!(are_apart(&rows), "{rows:?}");
    }
}

fn at(second: i64, host: &str) -> Event {
    Event::at(second * SECOND).with("host", host)
}

/// Ten thousand keys that come once do not cost the one that is busy, and do not make it doubtful.
#[test]
fn a_busy_session_stays_whole() {
    const KEYS: i64 = 10_000;
    let sql = "SELECT host, count(*) AS n FROM logs GROUP BY session(interval '1 hour'), host";
    let state = StateBudget {
        groups: Some(160),
        bytes: None,
    };
    let plan = compiled(bounded(sql, state));
    let events = (0..KEYS).flat_map(|n| [at(n, &format!("{n:05}")), at(n, "busy")]);
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
    assert!((lost as i64) < KEYS && lost as i64 >= KEYS - 200, "{lost}");
    let busy: Vec<_> = rows.iter().filter(|row| row.group[0].1 == "busy").collect();
    assert_eq!(busy.len(), 1);
    assert_eq!((count(busy[0]), busy[0].given_up), (KEYS, 0));
    assert!(most <= 160, "{most}");
}

/// What is given up of a group that has another session makes that one doubtful only where they may be one.
#[test]
fn what_joins_something_given_up_is_a_part() {
    let sql = "SELECT host, count(*) AS n FROM logs GROUP BY session(interval '10 seconds'), host";
    let state = StateBudget {
        groups: Some(1),
        bytes: None,
    };
    let plan = compiled(bounded(sql, state));
    // `a` has two sessions until that at 32 goes; the event at 25 would have joined them to one with that at 22.
    let events = [
        at(20, "a"),
        at(22, "a"),
        at(32, "a"),
        at(31, "a"),
        at(25, "a"),
    ];
    let eager = Setup {
        batches: vec![1],
        lateness: Duration::from_secs(60),
        ..Setup::default()
    };
    let outcomes = run(&plan, &eager, &number(events.to_vec()));
    let (rows, lost) = said(&outcomes);
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.start_ns / SECOND, count(row), row.part, row.given_up))
        .collect();
    assert_eq!((told, lost), (vec![(20, 4, 1, 1), (32, 1, 0, 1)], 1));
}
