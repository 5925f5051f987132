//! What holds for every log, however it is cut.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use haechi_rules::{CompareOp, FieldType};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::logs::{interleave, log, setup};
use super::naive;
use super::world::{
    Event, SECOND, Setup, correlation, number, plan, rollup, rule_set, run, stage1, stage2,
};
use crate::{Merger, Outcome, Partials, Plan};

const WIDTH: i64 = 30;

fn aggregates() -> haechi_rules::Rollup {
    let sql = "SELECT host, count(*) AS rows, count(number) AS n, sum(number) AS total, avg(number) AS mean, \
               min(bytes) AS least, max(bytes) AS most, count(DISTINCT user) AS users, \
               sum(bytes) AS whole, max(user) AS last, count(*) FILTER (WHERE bytes > 0) AS positive, \
               count(DISTINCT bytes) AS kinds \
               FROM logs GROUP BY tumble(interval '30 seconds'), host";
    // `number` is not declared, so it goes the way of text.
    rollup(
        &sql.replace("number", "\"bytes \""),
        &[("bytes", FieldType::Bigint)],
    )
}

static AGGREGATES: LazyLock<Arc<Plan>> =
    LazyLock::new(|| plan(&rule_set(0, Vec::new(), vec![aggregates()])));

static AGGREGATES_AND_COUNTS: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let rule = correlation(2, &["host"], 10 * SECOND, &[(CompareOp::Gte, 2.0)]);
    plan(&rule_set(2, vec![rule], vec![aggregates()]))
});

static FRACTIONS: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let sql =
        "SELECT sum(x) AS total, avg(x / 3) AS mean FROM logs GROUP BY tumble(interval '1 minute')";
    plan(&rule_set(0, Vec::new(), vec![rollup(sql, &[])]))
});

/// A copy of `bytes` under another name, for a column without a declared type.
fn with_text_bytes(log: &[Event]) -> Vec<Event> {
    let copy = |event: &Event| {
        let bytes = event.fields.get("bytes").cloned().flatten();
        event.clone().with_values("bytes ", bytes)
    };
    log.iter().map(copy).collect()
}

fn check_rollup(outcomes: &[Outcome], log: &[Event]) -> Result<(), TestCaseError> {
    let mut expected = naive::rollup(WIDTH * SECOND, log);
    for outcome in outcomes {
        let Outcome::Rollup(row) = outcome else {
            return Err(TestCaseError::fail(format!("{outcome:?}")));
        };
        let columns: BTreeMap<&str, &Value> = row
            .columns
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let host = columns["host"].as_str().map(str::to_owned);
        let Some(naive) = expected.remove(&(row.start_ns, host)) else {
            return Err(TestCaseError::fail(format!("unexpected {row:?}")));
        };
        prop_assert_eq!(columns["rows"], &json!(naive.rows));
        prop_assert_eq!(
            columns["n"].as_i64(),
            Some(naive.with_bytes + texts(log, row.start_ns, &columns))
        );
        prop_assert_eq!(columns["total"].as_f64(), naive.sum);
        prop_assert_eq!(columns["whole"].as_f64(), naive.sum);
        let mean = naive.sum.map(|sum| sum / naive.with_bytes as f64);
        prop_assert_eq!(columns["mean"].as_f64(), mean);
        prop_assert_eq!(columns["least"].as_i64(), naive.min);
        prop_assert_eq!(columns["most"].as_i64(), naive.max);
        prop_assert_eq!(columns["users"], &json!(naive.users.len()));
        prop_assert_eq!(
            columns["last"].as_str(),
            naive.users.last().map(String::as_str)
        );
    }
    prop_assert!(expected.is_empty(), "missing {:?}", expected);
    Ok(())
}

/// How many values of the text column in a group are no numbers: `count` counts them.
fn texts(log: &[Event], start_ns: i64, columns: &BTreeMap<&str, &Value>) -> i64 {
    let of_group = log.iter().filter(|event| {
        event.time_ns.div_euclid(WIDTH * SECOND) * WIDTH * SECOND == start_ns
            && event.first("host").flatten() == columns["host"].as_str()
    });
    of_group
        .filter(|event| event.first("bytes") == Some(Some("x")))
        .count() as i64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Within the lateness, rows are those of the definition, whatever the cuts, workers, partitions, rebalances and aborts.
    #[test]
    fn rollups_are_what_their_definition_says(
        log in log(),
        setup in setup(),
        order in prop::collection::vec(0usize..3, 1..10),
    ) {
        let log = with_text_bytes(&log);
        let plan = &*AGGREGATES;
        let setup = Setup { restart: setup.restart * 13, ..setup };
        let outcomes = run(plan, &setup, &log);
        check_rollup(&outcomes, &log)?;
        prop_assert_eq!(run(plan, &setup, &interleave(&log, &order)), outcomes);
    }

    /// Sums of fractions are the same to the last bit, whatever the cuts, workers and partitions.
    #[test]
    fn fractions_add_up_in_any_order(
        numbers in prop::collection::vec((-1e6f64..1e6, 0i32..3), 1..50),
        one in setup(),
        other in setup(),
        order in prop::collection::vec(0usize..3, 1..10),
    ) {
        let events = numbers.iter().map(|(number, partition)| {
            let mut event = Event::at(0).with("x", &number.to_string());
            event.partition = *partition;
            event
        });
        let log = number(events.collect());
        let plan = &*FRACTIONS;
        let (left, right) = (run(plan, &one, &log), run(plan, &other, &interleave(&log, &order)));
        prop_assert_eq!(left, right);
    }

    /// The exchange is the state: replaying it gives the same outcomes, from any point on.
    #[test]
    fn replaying_the_exchange_rebuilds_the_state(log in log(), setup in setup(), cut in 0usize..40) {
        let plan = &*AGGREGATES_AND_COUNTS;
        let exchange = stage1(plan, &setup, &with_text_bytes(&log));
        for records in &exchange {
            let mut first = Merger::new(Arc::clone(plan), 0);
            let outcomes: Vec<Vec<Outcome>> =
                records.iter().map(|record| first.apply(record).unwrap()).collect();
            // A new owner replays silently up to the cut, and goes on.
            let mut second = Merger::new(Arc::clone(plan), 0);
            for (at, record) in records.iter().enumerate() {
                let again = second.apply(record).unwrap();
                if at >= cut {
                    prop_assert_eq!(&again, &outcomes[at]);
                }
            }
            prop_assert_eq!(first.watermark_ns(), second.watermark_ns());
        }
    }
}

/// Every aggregate in two stages is the aggregate of all rows at once.
#[test]
fn partial_and_merge_are_a_single_pass() {
    let log: Vec<Event> = (0..500)
        .map(|n| {
            let event = Event::at((n * 7 % 90) * SECOND)
                .with("host", ["a", "b", "c"][(n % 3) as usize])
                .with("bytes", &(n * 31 % 17).to_string())
                .with("user", &format!("u{}", n % 23));
            Event {
                partition: (n % 3) as i32,
                ..event
            }
        })
        .collect();
    let log = with_text_bytes(&number(log));
    let plan = plan(&rule_set(0, Vec::new(), vec![aggregates()]));
    let whole = Setup {
        batches: vec![500],
        commits: vec![500],
        ..Setup::default()
    };
    let cut = Setup {
        workers: 3,
        exchange: 4,
        batches: vec![3, 7],
        record_limit: 1500,
        ..Setup::default()
    };
    let mut sorted = log.clone();
    sorted.sort_by_key(|event| event.partition);
    let single = run(&plan, &whole, &sorted);
    assert!(check_rollup(&single, &log).is_ok());
    assert_eq!(run(&plan, &cut, &log), single);
}

/// `stage2` is what the two-stage runs above go through; this keeps an unused plan from going unnoticed.
#[test]
fn an_empty_plan_has_no_outcomes() {
    let plan = plan(&rule_set(0, Vec::new(), Vec::new()));
    assert!(plan.is_empty());
    let exchange = stage1(&plan, &Setup::default(), &number(vec![Event::at(0).hit(3)]));
    assert_eq!(stage2(&plan, &exchange), []);
    assert_eq!(Plan::fields(&plan), Vec::<String>::new());
}

/// A plan is shared by all workers; partials and mergers move to a worker's thread.
#[test]
fn what_threads_share() {
    fn shared<T: Send + Sync>() {}
    fn moved<T: Send>() {}
    shared::<Plan>();
    moved::<Partials>();
    moved::<Merger>();
}
