//! Laws of rollups: every aggregate and every kind of window, whatever the cuts and the order. `HAECHI_CASES=10000` tries that many
//! logs for each.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use haechi_rules::FieldType;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::{Value, json};

use super::correlations::{cases, cases_or, order};
use super::logs::{interleave, log, setup};
use super::world::{
    Event, SECOND, Setup, number, plan, restore, rollup, rule_set, run, snapshot, stage1,
};
use crate::{LateKind, Outcome, Plan, RollupRow};

/// Every aggregate there is.
const AGGREGATES: &str = "count(*) AS n, count(user) AS users, count(DISTINCT user) AS different, sum(bytes) AS total, sum(x) AS fraction, \
    avg(x / 3) AS mean, min(user) AS least, max(bytes) AS most, min(_time) AS began, \
    median(x) AS median, percentile_cont(x, 0.9) AS p90, approx_percentile_cont(0.3) WITHIN GROUP (ORDER BY bytes DESC) AS p70, \
    var(x) AS var, var_pop(x) AS var_pop, stddev(x / 7) AS stddev, stddev_pop(bytes) AS stddev_pop, covar_samp(x, bytes) AS covar, \
    covar_pop(x, bytes / 3) AS covar_pop, corr(x, bytes) AS corr, regr_slope(x, bytes) AS slope, regr_intercept(x, bytes) AS intercept, \
    regr_r2(x, bytes) AS r2, regr_count(x, bytes) AS pairs, regr_avgx(x, bytes) AS avgx, regr_avgy(x, bytes) AS avgy, \
    regr_sxx(x, bytes) AS sxx, regr_syy(x, bytes) AS syy, regr_sxy(x, bytes) AS sxy, \
    approx_distinct(user) AS about, bool_and(bytes > 0) AS every, bool_or(bytes > 10) AS some, bit_and(bytes) AS bits, bit_or(bytes) AS any_bits, \
    bit_xor(bytes) AS odd_bits, first_value(user) AS first, last_value(user) AS last, last_value(user ORDER BY bytes) AS of_most, \
    nth_value(bytes, 2) AS second, any_value(user) AS any, array_agg(user) AS list, array_agg(bytes ORDER BY user DESC, bytes) AS ordered, \
    array_agg(DISTINCT user) AS set, string_agg(user, ';') AS text, string_agg(DISTINCT user, ',') AS set_text, \
    top_k(user, 2) AS top, mode(bytes) AS mode, sum(DISTINCT bytes) AS once, avg(DISTINCT x) AS mean_once, \
    sum(bytes) FILTER (WHERE user = 'u') AS of_u, first_value(bytes) FILTER (WHERE bytes > 0) AS positive";

/// Some that depend on the order, on what was seen, and on fractions: few enough for very many logs.
const SOME: &str = "count(*) AS n, sum(x) AS fraction, last_value(user) AS last, count(DISTINCT user) AS different, array_agg(bytes ORDER BY user DESC, bytes) AS ordered";

/// Windows and keys.
const KINDS: [(&str, &str); 4] = [
    ("tumble(interval '30 seconds')", "host, "),
    (
        "hop(interval '10 seconds', interval '25 seconds')",
        "host, ",
    ),
    ("session(interval '8 seconds')", "host, "),
    ("session(interval '3 seconds')", ""),
];

fn plan_of((window, key): (&str, &str), aggregates: &str) -> Arc<Plan> {
    let sql = format!("SELECT {key}{aggregates} FROM logs GROUP BY {key}{window}");
    plan(&rule_set(
        0,
        Vec::new(),
        vec![rollup(&sql, &[("bytes", FieldType::Bigint)])],
    ))
}

static ALL_PLANS: LazyLock<[Arc<Plan>; 4]> =
    LazyLock::new(|| KINDS.map(|kind| plan_of(kind, AGGREGATES)));
static SOME_PLANS: LazyLock<[Arc<Plan>; 4]> =
    LazyLock::new(|| KINDS.map(|kind| plan_of(kind, SOME)));

/// All events in one batch of one partition each, by one worker.
fn single_pass() -> Setup {
    Setup {
        batches: vec![500],
        commits: vec![500],
        ..Setup::default()
    }
}

/// With a field of fractions.
pub(super) fn with_fractions(log: &[Event]) -> Vec<Event> {
    let fraction = |event: &Event| {
        let spread = event.offset * 7919 + i64::from(event.partition) * 31;
        let text = (spread as f64 / 97.0 - 11.0).to_string();
        event.clone().with("x", &text)
    };
    log.iter().map(fraction).collect()
}

fn rows_of(outcomes: &[Outcome]) -> Vec<&RollupRow> {
    let mut rows = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        match outcome {
            Outcome::Rollup(row) => rows.push(row),
            other => panic!("{other:?}"),
        }
    }
    rows
}

/// Windows of each kind from their definitions: (start, end, host) and the number of events.
fn windows(kind: usize, log: &[Event]) -> BTreeMap<(i64, i64, Option<String>), i64> {
    let mut windows = BTreeMap::new();
    let mut groups: BTreeMap<Option<String>, Vec<i64>> = BTreeMap::new();
    for event in log {
        let host = event.first("host").flatten().map(str::to_owned);
        let host = host.filter(|_| kind != 3);
        groups.entry(host).or_default().push(event.time_ns);
    }
    for (host, mut times) in groups {
        times.sort_unstable();
        if let 0 | 1 = kind {
            let (slide, width) = [(30, 30), (10, 25)][kind];
            for time in times {
                for start in -10..100 {
                    let start = start * slide * SECOND;
                    let end = start + width * SECOND;
                    if (start..end).contains(&time) {
                        *windows.entry((start, end, host.clone())).or_default() += 1;
                    }
                }
            }
            continue;
        }
        let gap = [8, 3][kind - 2] * SECOND;
        let sessions = times.chunk_by(|before, after| after - before < gap);
        for session in sessions {
            let (first, last) = (session[0], session[session.len() - 1]);
            windows.insert((first, last + gap, host.clone()), session.len() as i64);
        }
    }
    windows
}

/// Whatever the cuts, workers, partitions, rebalances and aborts: the rows of a single pass, to the last bit; and the windows of the
/// definition.
fn are_a_single_pass(
    plans: &[Arc<Plan>; 4],
    kind: usize,
    log: &[Event],
    setup: &Setup,
    order: &[usize],
) -> TestCaseResult {
    let log = with_fractions(log);
    let plan = &plans[kind];
    let mut sorted = log.clone();
    sorted.sort_by_key(|event| event.partition);
    let single = run(plan, &single_pass(), &sorted);
    let row = |row: &RollupRow| {
        let host = row.group.first();
        let host = host.and_then(|(_, host)| host.as_str()).map(str::to_owned);
        let n = row.columns.iter().find(|(name, _)| name == "n");
        let n = n.and_then(|(_, n)| n.as_i64()).unwrap_or(0);
        ((row.start_ns, row.end_ns, host), n)
    };
    let found: BTreeMap<_, _> = rows_of(&single).into_iter().map(row).collect();
    prop_assert_eq!(found, windows(kind, &log));
    prop_assert_eq!(&run(plan, setup, &log), &single);
    prop_assert_eq!(&run(plan, setup, &interleave(&log, order)), &single);
    Ok(())
}

macro_rules! rows_of_any_order {
    ($($name:ident, $kind:expr;)*) => {
        proptest! {
            // Where dependencies are not optimised, each takes half a second.
            #![proptest_config(cases_or(6))]
            $(#[test]
            fn $name(log in log(), setup in setup(), order in order()) {
                are_a_single_pass(&SOME_PLANS, $kind, &log, &setup, &order)?;
            })*
        }
    };
}

rows_of_any_order! {
    tumbling_windows, 0;
    hopping_windows, 1;
    sessions, 2;
    sessions_of_all, 3;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_aggregate(log in log(), setup in setup(), kind in 0usize..4, order in order()) {
        // A snapshot of fifty aggregates in many windows takes its time.
        let setup = Setup { restart: setup.restart * 13, ..setup };
        are_a_single_pass(&ALL_PLANS, kind, &log, &setup, &order)?;
    }
}

proptest! {
    #![proptest_config(cases())]

    /// What the last revisions say does not depend on how late events came together: it is what all events say. What is withdrawn is
    /// what there is not.
    #[test]
    fn the_last_revision_is_the_truth(log in log(), setup in setup(), slack in 0i64..3, kind in 0usize..3) {
        let window = [
            "hop(interval '10 seconds', interval '20 seconds')",
            "session(interval '8 seconds')",
            "session(interval '2 seconds')",
        ][kind];
        let sql = format!(
            "SELECT host, count(*) AS n, sum(x) AS total, last_value(user) AS last FROM logs \
             GROUP BY host, {window} HAVING count(*) < 4"
        );
        let mut log = with_fractions(&log);
        // One partition: that one is behind another is not lateness.
        log.iter_mut().for_each(|event| event.partition = 0);
        let log = number(log);
        let mut rule = rollup(&sql, &[]);
        rule.allowed_lateness_ns = most_disorder(&log) + slack * SECOND;
        let revised = plan(&rule_set(0, Vec::new(), vec![rule]));
        let mut last: BTreeMap<String, RollupRow> = BTreeMap::new();
        let eager = Setup { lateness: Duration::ZERO, workers: 1, rebalance: 0, abort: 0, ..setup };
        let mut in_order = Vec::new();
        for (records, partition) in stage1(&revised, &eager, &log).iter().zip(0..) {
            let mut merger = crate::Merger::new(Arc::clone(&revised), partition);
            for (record, number) in records.iter().zip(1..) {
                in_order.extend(merger.apply(record).unwrap());
                // What was written of windows that take late events must not be forgotten.
                if number % 9 == 0 {
                    let (name, chunks) = snapshot(&mut merger, number, 500);
                    merger = restore(&revised, partition, name, &chunks).unwrap();
                }
            }
        }
        for row in rows_of(&in_order) {
            let id = format!("{} {} {:?}", row.start_ns, row.end_ns, row.group);
            let before = last.insert(id, row.clone());
            prop_assert_eq!(row.revision, before.map_or(0, |before| before.revision + 1));
        }
        let final_plan = plan(&rule_set(0, Vec::new(), vec![rollup(&sql, &[])]));
        let mut truth = run(&final_plan, &single_pass(), &log);
        let mut said: Vec<Outcome> = last
            .into_values()
            .filter(|row| !row.withdrawn)
            .map(|row| Outcome::Rollup(RollupRow { revision: 0, ..row }))
            .collect();
        truth.sort_by_cached_key(|outcome| format!("{outcome:?}"));
        said.sort_by_cached_key(|outcome| format!("{outcome:?}"));
        prop_assert_eq!(said, truth);
    }
}

/// By how much an event comes after a younger one, at most.
pub(super) fn most_disorder(log: &[Event]) -> i64 {
    let mut latest = i64::MIN;
    let late = log.iter().map(|event| {
        latest = latest.max(event.time_ns);
        latest - event.time_ns
    });
    late.max().unwrap_or(0)
}

fn at(second: i64, host: &str) -> Event {
    Event::at(second * SECOND).with("host", host)
}

fn late_by_one_event_each(sql: &str, allowed: i64, events: Vec<Event>) -> Vec<Outcome> {
    let mut rule = rollup(sql, &[]);
    rule.allowed_lateness_ns = allowed * SECOND;
    let plan = plan(&rule_set(0, Vec::new(), vec![rule]));
    let setup = Setup {
        lateness: Duration::ZERO,
        ..Setup::default()
    };
    let mut outcomes = Vec::new();
    let mut merger = crate::Merger::new(Arc::clone(&plan), 0);
    for record in &stage1(&plan, &setup, &number(events))[0] {
        outcomes.extend(merger.apply(record).unwrap());
    }
    outcomes
}

#[test]
fn late_events_revise_a_row_then_withdraw_it_then_are_late() {
    let sql =
        "SELECT count(*) AS n FROM logs GROUP BY tumble(interval '10 seconds') HAVING count(*) < 3";
    let events = [1, 10, 2, 3, 40, 4].map(|second| at(second, "a")).to_vec();
    let said: Vec<Value> = late_by_one_event_each(sql, 20, events)
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Rollup(row) => {
                let n = row.columns.first().map(|(_, n)| n.clone());
                json!([row.start_ns / SECOND, row.revision, row.withdrawn, n])
            }
            Outcome::Late(late) => match late.what {
                LateKind::Partial { rows, .. } => json!(["late", late.time_ns, rows]),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        json!([0, 0, false, 1]),
        json!([0, 1, false, 2]),
        json!([0, 2, true, null]),
        json!([10, 0, false, 1]),
        json!(["late", 0, 1]),
        json!([40, 0, false, 1]),
    ];
    assert_eq!(said, expected);
}

#[test]
fn late_events_of_sessions() {
    let sql = "SELECT host, count(*) AS n FROM logs GROUP BY session(interval '10 seconds'), host";
    // The second `a` is behind the watermark, but its session is still open; that of `b` has ended.
    let events = vec![at(1, "a"), at(20, "a"), at(15, "a"), at(2, "b")];
    let outcomes = late_by_one_event_each(sql, 0, events);
    let late = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Late(late) => Some((&late.what, late.time_ns)),
        _ => None,
    });
    let what = LateKind::Partial {
        rule: 0,
        group: vec![("host".to_owned(), json!("b"))],
        end_ns: 12 * SECOND,
        rows: 1,
    };
    assert_eq!(late.collect::<Vec<_>>(), [(&what, 2 * SECOND)]);
    let rows = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Rollup(row) => Some((row.start_ns / SECOND, row.end_ns / SECOND)),
        _ => None,
    });
    assert_eq!(rows.collect::<Vec<_>>(), [(1, 11), (15, 30)]);
}

/// Many sessions, more partials than are kept apart, and every one right.
#[test]
fn sessions_are_merged_as_they_come() {
    let sql = "SELECT host, count(*) AS n, sum(x) AS total FROM logs GROUP BY session(interval '10 seconds'), host";
    let plan = plan(&rule_set(0, Vec::new(), vec![rollup(sql, &[])]));
    let hosts = ["a", "b", "c", "d", "e"];
    let events = (0..12_000).map(|n: i64| {
        let host = hosts[(n % 5) as usize];
        // Each host pauses after every 700 of its events.
        at(n / 5 + n / 3500 * 60, host).with("x", "0.1")
    });
    let setup = Setup {
        batches: vec![2],
        ..Setup::default()
    };
    let outcomes = run(&plan, &setup, &number(events.collect()));
    let rows = rows_of(&outcomes);
    assert_eq!(rows.len(), 20);
    let mut counts: Vec<i64> = rows
        .iter()
        .filter_map(|row| row.columns[1].1.as_i64())
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [[300; 5], [700; 5], [700; 5], [700; 5]].concat());
    let total: f64 = rows
        .iter()
        .filter_map(|row| row.columns[2].1.as_f64())
        .sum();
    assert!((total - 1200.0).abs() < 1e-6);
}

/// A state that has to be cut over several records is still one session's.
#[test]
fn a_session_above_the_record_limit_is_one_session() {
    let sql = "SELECT count(*) AS n, count(DISTINCT user) AS users, array_agg(user) AS list FROM logs \
               GROUP BY session(interval '10 seconds')";
    let plan = plan(&rule_set(0, Vec::new(), vec![rollup(sql, &[])]));
    let event = |n: i64| Event::at(n / 3 * SECOND).with("user", &format!("user-{n:04}"));
    let setup = Setup {
        batches: vec![100],
        record_limit: 600,
        ..Setup::default()
    };
    let outcomes = run(&plan, &setup, &number((0..300).map(event).collect()));
    let [row] = rows_of(&outcomes)[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!((row.start_ns, row.end_ns), (0, 109 * SECOND));
    let list: Vec<String> = (0..300).map(|n| format!("user-{n:04}")).collect();
    let expected = [json!(300), json!(300), json!(list)];
    let columns: Vec<&Value> = row.columns.iter().map(|(_, value)| value).collect();
    assert_eq!(columns, expected.iter().collect::<Vec<_>>());
}

fn exchanged(plan: &Arc<Plan>, events: &[Event], per_commit: usize) -> usize {
    let setup = Setup {
        exchange: 2,
        batches: vec![per_commit],
        ..Setup::default()
    };
    stage1(plan, &setup, events)
        .iter()
        .flatten()
        .map(Vec::len)
        .sum()
}

/// What two stages are for: a group's events cost the exchange next to nothing, and a hot group costs less.
#[test]
fn partials_are_a_fraction_of_the_events() {
    let sql = "SELECT host, count(*) AS n, sum(bytes) AS total, max(bytes) AS most FROM logs \
               GROUP BY tumble(interval '1 minute'), host";
    let plan = plan(&rule_set(
        0,
        Vec::new(),
        vec![rollup(sql, &[("bytes", FieldType::Bigint)])],
    ));
    let hosts: Vec<String> = (0..1000)
        .map(|n| format!("host-{n:04}.example.com"))
        .collect();
    let event = |n: usize, host: &str| Event {
        time_ns: n as i64 * SECOND / 5000,
        ..Event::at(0)
            .with("host", host)
            .with("bytes", &(n % 1500).to_string())
    };
    // 5,000 events a second, and a commit every ten seconds.
    let uniform = (0..100_000).map(|n| event(n, &hosts[n * 7 % 1000]));
    let uniform = number(uniform.collect());
    let hot = (0..100_000).map(|n| event(n, &hosts[if n % 10 == 0 { n / 10 % 1000 } else { 0 }]));
    let hot = number(hot.collect());
    // A web access line has 200 bytes.
    let input = 100_000 * 200;
    let (even, skewed) = (
        exchanged(&plan, &uniform, 50_000),
        exchanged(&plan, &hot, 50_000),
    );
    assert!(even * 50 <= input, "{even} bytes of {input}");
    assert!(skewed * 10 <= even * 12, "{skewed} bytes, uniform {even}");
}

/// The seconds of both stages over 200,000 events in batches of 4,000, a commit every ten of them.
fn seconds(plan: &Arc<Plan>, events: &[Event]) -> f64 {
    let of = super::world::source(&events[0]);
    let batches: Vec<_> = events
        .chunks(4000)
        .map(|events| {
            (
                super::world::batch(events, &plan.fields()),
                vec![0; events.len()],
            )
        })
        .collect();
    let progress = crate::Progress {
        roster: Vec::new(),
        sources: Vec::new(),
        announce: false,
    };
    let mut best = f64::MAX;
    for _ in 0..5 {
        let mut partials = crate::Partials::new(Arc::clone(plan), 1);
        let mut merger = crate::Merger::new(Arc::clone(plan), 0);
        let begun = std::time::Instant::now();
        for (number, (batch, offsets)) in batches.iter().enumerate() {
            let rows = crate::RowOrigins {
                topic: &of.topic,
                partition: 0,
                offsets,
                payloads: &[],
            };
            let classes = super::world::classes();
            partials.add(batch, &classes, &[], rows, "logs").unwrap();
            if number % 10 == 9 {
                for (_, record) in partials.drain(&progress).unwrap() {
                    merger.apply(&record).unwrap();
                }
            }
        }
        best = best.min(begun.elapsed().as_secs_f64());
    }
    best
}

/// Not a law but a figure: run it by hand, optimised.
#[test]
#[ignore = "measures"]
fn what_a_hot_group_and_a_second_rollup_cost() {
    let sql = |condition: &str| {
        format!(
            "SELECT host, count(*) AS n, sum(bytes) AS total, count(DISTINCT user) AS users FROM logs WHERE {condition} \
             GROUP BY tumble(interval '1 minute'), host"
        )
    };
    let rules = |conditions: &[&str]| {
        let rollups = conditions
            .iter()
            .map(|condition| rollup(&sql(condition), &[("bytes", FieldType::Bigint)]));
        plan(&rule_set(0, Vec::new(), rollups.collect()))
    };
    let event = |n: i64, host: i64| {
        let event = Event::at(n * SECOND / 5000).with("host", &format!("host-{host:04}"));
        event
            .with("bytes", &(n % 1500).to_string())
            .with("user", &format!("u{}", n % 50))
    };
    let uniform: Vec<Event> = (0..200_000).map(|n| event(n, n * 7 % 1000)).collect();
    let hot: Vec<Event> = (0..200_000)
        .map(|n| event(n, if n % 10 == 0 { n / 10 % 1000 } else { 0 }))
        .collect();
    let one = rules(&["bytes >= 0"]);
    let (even, skewed) = (seconds(&one, &uniform), seconds(&one, &hot));
    println!(
        "uniform {even:.3} s, hot {skewed:.3} s: {:.2}",
        skewed / even
    );
    let same = rules(&["bytes >= 0", "bytes >= 0", "bytes >= 0", "bytes >= 0"]);
    let four = seconds(&same, &uniform);
    println!("four rollups {four:.3} s: {:.2} of one", four / even);
    assert!(skewed <= even * 1.2);
}
