//! Every type of correlation is what its definition says, whatever the order of arrival, the cuts, the workers, the exchange
//! partitions, rebalances and aborts. `HAECHI_CASES=10000` tries that many logs for each type instead of a few.

use haechi_rules::{
    Combination, CompareOp, Correlation, CorrelationCondition, CorrelationKind, Referent, RuleSet,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::logs::{interleave, log, setup};
use super::naive_correlation::findings;
use super::world::{Event, SECOND, Setup, correlation, plan, rule_set, run};
use crate::Outcome;

pub(super) fn cases() -> ProptestConfig {
    cases_or(48)
}

/// As many as are asked for.
pub(super) fn cases_or(few: u32) -> ProptestConfig {
    let cases = std::env::var("HAECHI_CASES").ok();
    ProptestConfig::with_cases(cases.map_or(few, |cases| cases.parse().unwrap()))
}

/// What the engine finds is what the definition says, twice: as the log came, and interleaved in another way.
fn agree(rules: &RuleSet, setup: &Setup, log: &[Event], order: &[usize]) -> TestCaseResult {
    let plan = plan(rules);
    let alerting = (0..rules.correlations.len()).filter(|index| rules.correlations[*index].alerts);
    let expected = alerting.flat_map(|index| findings(rules, index, log));
    let mut expected: Vec<Outcome> = expected.map(Outcome::Correlated).collect();
    expected.sort_by_cached_key(|outcome| format!("{outcome:?}"));
    prop_assert_eq!(&run(&plan, setup, log), &expected);
    prop_assert_eq!(&run(&plan, setup, &interleave(log, order)), &expected);
    Ok(())
}

pub(super) fn order() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..3, 1..10)
}

/// Bounds between `least` and `most`: mostly of the kind that more can only help.
fn bounds(least: i8, most: i8) -> impl Strategy<Value = Vec<(CompareOp, f64)>> {
    use CompareOp::{Eq, Gt, Gte, Lt, Lte, Neq};
    let number = move || (least..most).prop_map(f64::from);
    prop_oneof![
        4 => (prop::sample::select(vec![Gt, Gte]), number()).prop_map(|(op, n)| vec![(op, n - 0.5)]),
        4 => (prop::sample::select(vec![Gt, Gte]), number()).prop_map(|bound| vec![bound]),
        2 => (prop::sample::select(vec![Lt, Lte, Eq, Neq]), number()).prop_map(|bound| vec![bound]),
        1 => number().prop_map(|n| vec![(Gte, n), (Lt, n + 2.0)]),
    ]
}

fn combination(rules: usize) -> impl Strategy<Value = Combination> {
    let leaf = (0..rules).prop_map(Combination::Rule);
    let any = leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            2 => inner.clone().prop_map(|of| Combination::Not(Box::new(of))),
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(Combination::And),
            3 => prop::collection::vec(inner, 1..4).prop_map(Combination::Or),
        ]
    });
    any.prop_filter("it is decided by events", |of| {
        !of.holds(&|_| false) && of.ways(1000).is_some_and(|ways| !ways.is_empty())
    })
}

/// A correlation of three detections, by host or all together.
pub(super) fn rule(
    kind: CorrelationKind,
    condition: CorrelationCondition,
    timespan: i64,
    grouped: bool,
) -> Correlation {
    let group_by: &[&str] = if grouped { &["host"] } else { &[] };
    Correlation {
        kind,
        condition,
        ..correlation(3, group_by, timespan * SECOND, &[])
    }
}

/// A correlation of values that are new to a host, or to all of them.
pub(super) fn new(fields: &[&str], timespan: i64, grouped: bool) -> Correlation {
    let kind = CorrelationKind::NewTerms {
        fields: fields.iter().map(ToString::to_string).collect(),
        remember: 1000,
    };
    let once = CorrelationCondition::Number(vec![(CompareOp::Gte, 1.0)]);
    rule(kind, once, timespan, grouped)
}

fn set(rule: Correlation) -> RuleSet {
    rule_set(3, vec![rule], Vec::new())
}

macro_rules! of_numbers {
    ($($name:ident, $kind:expr, $bounds:expr;)*) => {
        proptest! {
            #![proptest_config(cases())]
            $(#[test]
            fn $name(log in log(), setup in setup(), bounds in $bounds, timespan in 1i64..25, grouped: bool, order in order()) {
                let rule = rule($kind, CorrelationCondition::Number(bounds), timespan, grouped);
                agree(&set(rule), &setup, &log, &order)?;
            })*
        }
    };
}

of_numbers! {
    event_count, CorrelationKind::EventCount, bounds(1, 6);
    event_count_and_absence, CorrelationKind::EventCount, prop::sample::select(vec![
        vec![(CompareOp::Lt, 1.0)], vec![(CompareOp::Eq, 0.0)], vec![(CompareOp::Lte, 0.5)], vec![(CompareOp::Lt, 3.0)],
    ]);
    value_count, CorrelationKind::ValueCount(vec!["user".into()]), bounds(1, 4);
    value_count_of_tuples, CorrelationKind::ValueCount(vec!["user".into(), "bytes".into()]), bounds(1, 6);
    temporal_count, CorrelationKind::Temporal, bounds(1, 4);
    value_sum, CorrelationKind::ValueSum("bytes".into()), bounds(-8, 40);
    value_avg, CorrelationKind::ValueAvg("bytes".into()), bounds(-3, 12);
    value_median, CorrelationKind::ValueMedian("bytes".into()), bounds(-3, 12);
    value_percentile, CorrelationKind::ValuePercentile { field: "bytes".into(), percentile: 80.0 }, bounds(-3, 12);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn new_terms(log in log(), setup in setup(), timespan in 1i64..60, grouped: bool, pair: bool, order in order()) {
        let fields: &[&str] = if pair { &["user", "bytes"] } else { &["user"] };
        agree(&set(new(fields, timespan, grouped)), &setup, &log, &order)?;
    }

    /// What is new is counted by another correlation, and what another one finds is looked at for values that are new.
    #[test]
    fn new_terms_in_chains(
        log in log(), setup in setup(), order in order(), grouped: bool, generate: bool,
        spans in (1i64..60, 1i64..40, 1i64..15, 1i64..60), least in bounds(1, 3),
    ) {
        let new_users = Correlation {
            alerts: generate,
            header: super::world::header("new users"),
            ..new(&["user"], spans.0, true)
        };
        let several = Correlation {
            rules: vec![Referent::Correlation(0), Referent::Detection(1)],
            alerts: true,
            ..rule(CorrelationKind::ValueCount(vec!["user".into()]), CorrelationCondition::Number(least.clone()), spans.1, grouped)
        };
        let counted = Correlation {
            group_by: vec!["bytes".into(), "user".into(), "host".into()],
            alerts: false,
            header: super::world::header("counted"),
            ..rule(CorrelationKind::EventCount, CorrelationCondition::Number(least), spans.2, true)
        };
        let new_found = Correlation {
            rules: vec![Referent::Correlation(2), Referent::Detection(2)],
            header: super::world::header("new among the found"),
            ..new(&["user", "bytes"], spans.3, grouped)
        };
        let rules = rule_set(3, vec![new_users, several, counted, new_found], Vec::new());
        agree(&rules, &setup, &log, &order)?;
    }

    #[test]
    fn temporal(log in log(), setup in setup(), of in combination(3), timespan in 1i64..25, grouped: bool, order in order()) {
        let rule = rule(CorrelationKind::Temporal, CorrelationCondition::Rules(of), timespan, grouped);
        agree(&set(rule), &setup, &log, &order)?;
    }

    #[test]
    fn temporal_ordered(log in log(), setup in setup(), of in combination(3), timespan in 1i64..25, grouped: bool, order in order()) {
        let rule = rule(CorrelationKind::TemporalOrdered, CorrelationCondition::Rules(of), timespan, grouped);
        agree(&set(rule), &setup, &log, &order)?;
    }

    #[test]
    fn all_in_order(log in log(), setup in setup(), timespan in 1i64..25, grouped: bool, order in order()) {
        let all = Combination::And((0..3).map(Combination::Rule).collect());
        let rule = rule(CorrelationKind::TemporalOrdered, CorrelationCondition::Rules(all), timespan, grouped);
        agree(&set(rule), &setup, &log, &order)?;
    }

    /// Two correlations below one, in whose groups they are, and a detection beside them; and one above it all.
    #[test]
    fn chains(
        log in log(), setup in setup(), order in order(), grouped: bool,
        spans in (1i64..15, 1i64..15, 1i64..30, 1i64..30),
        inner in bounds(1, 3), outer in bounds(1, 3),
        kind in prop::sample::select(vec![
            CorrelationKind::EventCount,
            CorrelationKind::Temporal,
            CorrelationKind::TemporalOrdered,
            CorrelationKind::ValueCount(vec!["user".into()]),
            CorrelationKind::ValueSum("bytes".into()),
        ]),
        generate: bool,
    ) {
        let below = Correlation {
            group_by: vec!["host".into(), "user".into(), "bytes".into()],
            alerts: generate,
            header: super::world::header("below"),
            ..rule(CorrelationKind::EventCount, CorrelationCondition::Number(inner), spans.0, true)
        };
        let beside = Correlation {
            rules: vec![Referent::Detection(1), Referent::Detection(0)],
            group_by: vec!["bytes".into(), "user".into(), "machine".into()],
            aliases: [("machine".to_owned(), [(0, "host".to_owned()), (1, "host".to_owned())].into())].into(),
            alerts: false,
            header: super::world::header("beside"),
            ..rule(CorrelationKind::TemporalOrdered, CorrelationCondition::Rules(Combination::Rule(0)), spans.1, true)
        };
        let all = Combination::And((0..2).map(Combination::Rule).collect());
        let condition = match kind {
            CorrelationKind::TemporalOrdered => CorrelationCondition::Rules(all),
            _ => CorrelationCondition::Number(outer.clone()),
        };
        let middle = Correlation {
            rules: vec![Referent::Correlation(0), Referent::Correlation(1), Referent::Detection(2)],
            aliases: [("host".to_owned(), [(1, "machine".to_owned())].into())].into(),
            alerts: generate,
            ..rule(kind, condition, spans.2, grouped)
        };
        let top = Correlation {
            rules: vec![Referent::Correlation(2), Referent::Detection(0)],
            header: super::world::header("top"),
            ..rule(CorrelationKind::EventCount, CorrelationCondition::Number(outer), spans.3, grouped)
        };
        let rules = rule_set(3, vec![below, beside, middle, top], Vec::new());
        agree(&rules, &setup, &log, &order)?;
    }
}
