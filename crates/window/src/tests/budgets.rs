//! Rules that would keep more than they may: what is told is true, what may lack something says so, and what was kept does not notice.
//! `HAECHI_CASES=10000` tries that many logs for each type.

use std::collections::BTreeSet;

use haechi_rules::{
    Combination, CompareOp, Correlation, CorrelationCondition, CorrelationKind, Emission, Referent,
    RuleSet, StateBudget,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::correlations::{cases, order, rule};
use super::logs::{interleave, log, setup};
use super::naive_correlation::findings;
use super::world::{
    Event, SECOND, Setup, correlation, header, number, plan, rule_set, run, source, stage1,
};
use crate::{Budget, Correlated, GivenUp, Keeper, Merger, Opening, Outcome, Phase};

fn bounded(rule: Correlation, state: StateBudget) -> Correlation {
    let mut rule = rule;
    rule.header.state = state;
    rule
}

fn groups(groups: u64) -> StateBudget {
    StateBudget {
        groups: Some(groups),
        bytes: None,
    }
}

/// Findings, and how many groups were given up.
fn said(outcomes: Vec<Outcome>) -> (Vec<Correlated>, u64) {
    let (mut found, mut lost) = (Vec::new(), 0);
    for outcome in outcomes {
        match outcome {
            Outcome::Correlated(of) => found.push(of),
            Outcome::GivenUp(GivenUp { rule, groups }) => {
                assert_eq!(rule, Keeper::Alerting(Referent::Correlation(0)));
                assert!(groups > 0);
                lost += groups;
            }
            // The time of a group is used up by what was found in it; when it is gone, that is not known any more.
            Outcome::Late(_) | Outcome::Rollup(_) => panic!("{outcome:?}"),
        }
    }
    (found, lost)
}

/// What the definition finds when the log begins with the event that opens a finding.
fn from_opening(rules: &RuleSet, log: &[Event], found: &Correlated) -> Option<Correlated> {
    let Opening::Event { source: of, offset } = &found.opening else {
        return None;
    };
    let place = |event: &Event| (event.time_ns, source(event), event.offset);
    let opens = |event: &&Event| source(event) == *of && event.offset == *offset;
    let first = place(log.iter().find(opens)?);
    let later = log.iter().filter(|event| place(event) >= first);
    let later: Vec<Event> = later.cloned().collect();
    let all = findings(rules, 0, &later).into_iter();
    all.filter(|of| of.group == found.group)
        .min_by_key(|of| of.first_ns)
}

/// Everything that holds of a rule with a budget, for one way to cut and order a log.
fn holds(rule: &Correlation, state: StateBudget, setup: &Setup, log: &[Event]) -> TestCaseResult {
    let rules = rule_set(3, vec![bounded(rule.clone(), state)], Vec::new());
    let (found, lost) = said(run(&plan(&rules), setup, log));
    let expected = findings(&rules, 0, log);
    for of in &found {
        prop_assert!(of.given_up <= lost);
        prop_assert_eq!(&of.phase, &Phase::Final);
        if of.given_up == 0 {
            let right = from_opening(&rules, log, of);
            prop_assert_eq!(Some(of), right.as_ref());
        }
    }
    // A group that is not found in as it would be without a budget was given up; it may only be said that it may have been.
    let unsaid = |of: &Correlated| Correlated {
        given_up: 0,
        ..of.clone()
    };
    let plain: Vec<Correlated> = found.iter().map(unsaid).collect();
    let only = |some: &[Correlated], others: &[Correlated]| -> BTreeSet<String> {
        let missing = some.iter().filter(|of| !others.contains(of));
        missing.map(|of| format!("{:?}", of.group)).collect()
    };
    let mut differ = only(&plain, &expected);
    differ.extend(only(&expected, &plain));
    prop_assert!(differ.len() as u64 <= lost, "{lost} lost: {differ:?}");
    // A state that is written and read back gives up the same.
    let often = Setup {
        restart: 1,
        ..setup.clone()
    };
    prop_assert_eq!(said(run(&plan(&rules), &often, log)), (found, lost));
    Ok(())
}

/// Budgets from nothing to speak of to more than there is.
fn budgets() -> impl Strategy<Value = StateBudget> {
    prop_oneof![
        (1u64..8).prop_map(groups),
        (200u64..3000).prop_map(|bytes| StateBudget {
            groups: None,
            bytes: Some(bytes),
        }),
    ]
}

fn by_host_and_user(
    kind: CorrelationKind,
    condition: CorrelationCondition,
    span: i64,
) -> Correlation {
    Correlation {
        group_by: vec!["host".into(), "user".into()],
        ..rule(kind, condition, span, true)
    }
}

fn number_of(op: CompareOp, bound: f64) -> CorrelationCondition {
    CorrelationCondition::Number(vec![(op, bound)])
}

macro_rules! of_types {
    ($($name:ident, $kind:expr, $condition:expr;)*) => {
        proptest! {
            #![proptest_config(cases())]
            $(#[test]
            fn $name(log in log(), setup in setup(), state in budgets(), span in 1i64..25, order in order()) {
                let rule = by_host_and_user($kind, $condition, span);
                holds(&rule, state, &setup, &log)?;
                holds(&rule, state, &setup, &interleave(&log, &order))?;
            })*
        }
    };
}

of_types! {
    event_count, CorrelationKind::EventCount, number_of(CompareOp::Gte, 2.0);
    few_events, CorrelationKind::EventCount, number_of(CompareOp::Lt, 3.0);
    silence, CorrelationKind::EventCount, number_of(CompareOp::Eq, 0.0);
    value_count, CorrelationKind::ValueCount(vec!["bytes".into()]), number_of(CompareOp::Gte, 2.0);
    value_sum, CorrelationKind::ValueSum("bytes".into()), number_of(CompareOp::Gt, 9.0);
    value_avg, CorrelationKind::ValueAvg("bytes".into()), number_of(CompareOp::Lt, 9.0);
    temporal, CorrelationKind::Temporal, CorrelationCondition::Rules(Combination::And(vec![Combination::Rule(0), Combination::Rule(1)]));
    absence, CorrelationKind::Temporal, CorrelationCondition::Rules(Combination::And(vec![
        Combination::Rule(0), Combination::Not(Box::new(Combination::Rule(1))),
    ]));
    temporal_ordered, CorrelationKind::TemporalOrdered, CorrelationCondition::Rules(Combination::And(vec![Combination::Rule(0), Combination::Rule(1)]));
}

proptest! {
    #![proptest_config(cases())]

    /// A budget that is not used up changes nothing.
    #[test]
    fn with_room_all_is_as_without(log in log(), setup in setup(), span in 1i64..25, least in 1i8..4) {
        let rule = by_host_and_user(CorrelationKind::EventCount, number_of(CompareOp::Gte, f64::from(least)), span);
        let roomy = StateBudget { groups: Some(1000), bytes: Some(1 << 20) };
        let bounded = rule_set(3, vec![bounded(rule.clone(), roomy)], Vec::new());
        let free = rule_set(3, vec![rule], Vec::new());
        prop_assert_eq!(run(&plan(&bounded), &setup, &log), run(&plan(&free), &setup, &log));
    }

    /// What was told early ends well too: it is confirmed or withdrawn when its group is given up.
    #[test]
    fn what_is_told_early_is_told_to_its_end(log in log(), setup in setup(), state in budgets(), span in 1i64..25) {
        let condition = number_of(CompareOp::Gte, 2.0);
        let rule = by_host_and_user(CorrelationKind::EventCount, condition, span);
        let early = Correlation { emit: Emission::Early, ..rule };
        let rules = rule_set(3, vec![bounded(early, state)], Vec::new());
        let (found, _) = said(run(&plan(&rules), &setup, &log));
        let identity = |of: &Correlated| format!("{:?} {:?}", of.group, of.opening);
        let all: BTreeSet<String> = found.iter().map(identity).collect();
        for id in all {
            let of = found.iter().filter(|of| identity(of) == id);
            let mut told: Vec<&Correlated> = of.collect();
            told.sort_by_key(|of| of.revision);
            let revisions: Vec<u32> = told.iter().map(|of| of.revision).collect();
            prop_assert_eq!(revisions, (0..told.len() as u32).collect::<Vec<_>>());
            let last = told.last().map(|of| &of.phase);
            prop_assert!(last != Some(&Phase::Open), "left hanging: {told:?}");
        }
    }

    /// What a correlation counts may be missing: its findings say so.
    #[test]
    fn chains_say_that_something_below_is_missing(log in log(), setup in setup(), most in 1u64..5, spans in (1i64..15, 1i64..30)) {
        let below = |state| Correlation {
            header: header("below"),
            alerts: false,
            ..bounded(by_host_and_user(CorrelationKind::EventCount, number_of(CompareOp::Gte, 1.0), spans.0), state)
        };
        let above = Correlation {
            rules: vec![Referent::Correlation(0)],
            ..rule(CorrelationKind::EventCount, number_of(CompareOp::Gte, 2.0), spans.1, true)
        };
        let set = |state| rule_set(3, vec![below(state), above.clone()], Vec::new());
        let free = run(&plan(&set(StateBudget::default())), &setup, &log);
        let tight = run(&plan(&set(groups(most))), &setup, &log);
        let lost = tight.iter().any(|of| matches!(of, Outcome::GivenUp(_)));
        for outcome in &tight {
            if let Outcome::Correlated(of) = outcome {
                prop_assert!(lost || of.given_up == 0);
            }
        }
        if !lost {
            prop_assert_eq!(tight, free);
        }
    }
}

fn visits(visits: impl Iterator<Item = (i64, i64)>) -> Vec<Event> {
    let event = |(second, host): (i64, i64)| {
        let host = format!("{host:05}");
        let mut event = Event::at(second * SECOND).hit(0);
        let values = Some(vec![Some(host)]);
        event = event.with_values("host", values);
        event
    };
    number(visits.map(event).collect())
}

/// Ten thousand hosts, of which a thousand may be kept: the youngest are, the state stays small, and what was lost is counted.
#[test]
fn those_that_were_quiet_for_longest_go() {
    const HOSTS: i64 = 10_000;
    let rule = correlation(1, &["host"], 100_000 * SECOND, &[(CompareOp::Gte, 2.0)]);
    let rules = rule_set(1, vec![bounded(rule, groups(1000))], Vec::new());
    let plan = plan(&rules);
    let setup = Setup {
        batches: vec![100],
        ..Setup::default()
    };
    // Host 0 is never quiet for long.
    let one = |host: i64| [(host, host), (host, 0)];
    let mut all: Vec<(i64, i64)> = (0..HOSTS).flat_map(one).collect();
    // One that was kept, and one that was not.
    all.extend([(HOSTS, HOSTS - 1), (HOSTS, 17), (HOSTS + 1, 17)]);
    let records = stage1(&plan, &setup, &visits(all.into_iter())).remove(0);
    let mut merger = Merger::new(plan, 0);
    let (mut outcomes, mut most) = (Vec::new(), 0);
    for record in &records {
        outcomes.extend(merger.apply(record).unwrap());
        most = most.max(merger.state_bytes());
    }
    let (mut found, lost) = said(outcomes);
    found.sort_by(|left, right| left.group.cmp(&right.group));
    assert!(
        lost as i64 >= HOSTS - 1100 && (lost as i64) < HOSTS,
        "{lost}"
    );
    // A thousand groups, and the events of the busy one.
    assert!(most < 1000 * 250 + 2 * HOSTS as usize * 24, "{most}");
    let told: Vec<_> = found
        .iter()
        .map(|of| (of.group[0].1.clone().unwrap(), of.count))
        .collect();
    let expected = [
        ("00000".to_owned(), HOSTS as u64 + 1),
        ("00017".to_owned(), 2),
        ("09999".to_owned(), 2),
    ];
    assert_eq!(told, expected);
    let flagged: Vec<bool> = found.iter().map(|of| of.given_up > 0).collect();
    // The second is of a group that came again. Of the third nobody knows any more that it had not come before.
    assert_eq!(flagged, [false, true, true]);
}

/// A group that alone takes most of the bytes goes before all others do.
#[test]
fn a_group_that_takes_all_the_bytes_goes_first() {
    let rule = correlation(1, &["host"], 100_000 * SECOND, &[(CompareOp::Gte, 2.0)]);
    let bytes = StateBudget {
        groups: None,
        bytes: Some(20_000),
    };
    let rules = rule_set(1, vec![bounded(rule, bytes)], Vec::new());
    let plan = plan(&rules);
    let quiet = (0..20).map(|host| (host, host));
    let busy = (0..2000).map(|second| (100 + second, 77));
    let again = (0..20).map(|host| (5000, host));
    let log = visits(quiet.chain(busy).chain(again));
    let (found, lost) = said(run(&plan, &Setup::default(), &log));
    assert!((1..20).contains(&lost), "{lost}");
    let whole = found.iter().filter(|of| of.given_up == 0);
    assert_eq!(whole.count(), 20, "{found:?}");
    let busy = found.iter().filter(|of| of.given_up > 0);
    assert!(
        busy.clone()
            .all(|of| of.group[0].1.as_deref() == Some("00077"))
    );
    assert!(busy.map(|of| of.count).sum::<u64>() <= 2000);
}

/// The budget of all is shared by the exchange partitions, and what a rule says itself comes before it.
#[test]
fn partitions_share_a_budget() {
    let budget = Budget {
        groups: 10,
        bytes: 1000,
        partitions: 4,
    };
    let share = budget.share(&StateBudget::default());
    assert_eq!((share.groups, share.bytes), (3, 250));
    assert_eq!(budget.share(&groups(8)).groups, 2);
}
