//! event_count, example by example.

use haechi_rules::CompareOp::{Eq, Gt, Gte, Lt, Lte, Neq};
use haechi_rules::{CompareOp, Correlation, Referent};

use super::world::{Event, SECOND, Setup, correlation, number, plan, rule_set, run};
use crate::{Correlated, LateKind, Outcome, Plan, Tables};

fn found(rule: &Correlation, events: Vec<Event>) -> Vec<Correlated> {
    let detections = rule.rules.len();
    let plan = plan(&rule_set(detections, vec![rule.clone()], Vec::new()));
    let outcomes = run(&plan, &Setup::default(), &number(events));
    let found = outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Correlated(found) => found,
        other => panic!("{other:?}"),
    });
    let mut found: Vec<Correlated> = found.collect();
    found.sort_by_key(|found| found.first_ns);
    found
}

/// Events at these seconds, all in one group.
fn at(seconds: &[i64]) -> Vec<Event> {
    let event = |&second: &i64| Event::at(second * SECOND).with("user", "alice").hit(0);
    seconds.iter().map(event).collect()
}

fn rule(seconds: i64, op: CompareOp, number: f64) -> Correlation {
    correlation(1, &["user"], seconds * SECOND, &[(op, number)])
}

fn counts(rule: &Correlation, seconds: &[i64]) -> Vec<(i64, u64)> {
    let found = found(rule, at(seconds));
    found
        .iter()
        .map(|found| (found.first_ns / SECOND, found.count))
        .collect()
}

/// The table "Where other engines go wrong" of the Sigma notes.
#[test]
fn old_events_do_not_fire_falsely() {
    assert_eq!(counts(&rule(10, Gte, 3.0), &[1000, 101, 500]), []);
}

#[test]
fn one_future_event_does_not_wipe_the_group() {
    assert_eq!(
        counts(&rule(10, Gte, 3.0), &[100, 101, 5000, 102]),
        [(100, 3)]
    );
}

#[test]
fn less_than_is_decided_when_the_window_has_passed() {
    let rule = rule(10, Lt, 3.0);
    assert_eq!(counts(&rule, &[100, 101, 102]), []);
    let found = found(&rule, at(&[100, 101]));
    assert_eq!((found[0].count, found[0].time_ns), (2, 110 * SECOND));
}

#[test]
fn ten_events_in_a_window_are_one_finding_with_all_of_them() {
    let found = found(&rule(10, Gte, 3.0), at(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].count, 10);
    assert_eq!(found[0].events.len(), 10);
    assert_eq!(found[0].time_ns, 3 * SECOND);
    assert_eq!((found[0].first_ns, found[0].last_ns), (SECOND, 10 * SECOND));
}

#[test]
fn the_window_slides_and_does_not_reach_its_own_length() {
    let three = rule(10, Gte, 3.0);
    assert_eq!(counts(&three, &[0, 5, 10]), []);
    assert_eq!(counts(&three, &[0, 5, 10, 14]), [(5, 3)]);
    assert_eq!(counts(&three, &[8, 9, 11]), [(8, 3)]);
    assert_eq!(counts(&three, &[0, 9, 9]), [(0, 3)]);
}

#[test]
fn counting_begins_anew_after_the_window() {
    let three = rule(10, Gte, 3.0);
    assert_eq!(counts(&three, &[0, 1, 2, 9, 10, 11]), [(0, 4)]);
    assert_eq!(counts(&three, &[0, 1, 2, 9, 10, 11, 12]), [(0, 4), (10, 3)]);
}

#[test]
fn all_operators() {
    assert_eq!(counts(&rule(10, Gt, 2.0), &[1, 2, 3]), [(1, 3)]);
    assert_eq!(counts(&rule(10, Gt, 3.0), &[1, 2, 3]), []);
    assert_eq!(counts(&rule(10, Gte, 2.5), &[1, 2, 3]), [(1, 3)]);
    assert_eq!(counts(&rule(10, Gt, -1.0), &[1]), [(1, 1)]);
    assert_eq!(counts(&rule(10, Lte, 2.0), &[1, 2]), [(1, 2)]);
    assert_eq!(
        counts(&rule(10, Eq, 2.0), &[1, 2, 20, 21, 22, 40, 41]),
        [(1, 2), (40, 2)]
    );
    assert_eq!(counts(&rule(10, Neq, 2.0), &[1, 2, 20]), [(20, 1)]);
    let range = correlation(1, &["user"], 10 * SECOND, &[(Gte, 2.0), (Lt, 4.0)]);
    assert_eq!(counts(&range, &[1, 20, 21, 40, 41, 42, 43]), [(20, 2)]);
    assert_eq!(counts(&rule(10, Gte, 1e30), &[1, 2]), []);
}

#[test]
fn groups_are_told_apart_and_absent_is_not_null() {
    let rule = correlation(1, &["user", "host"], 10 * SECOND, &[(Gte, 2.0)]);
    let event = |second: i64| Event::at(second * SECOND).hit(0);
    let events = vec![
        event(1).with("user", "a").with("host", "b"),
        event(2).with("user", "ab").with("host", ""),
        event(3).with("user", "a").with("host", "b"),
        // No part: a field is absent, or an empty array.
        event(4).with("user", "a"),
        event(4).with("user", "a"),
        event(4).with("user", "a").with_values("host", Some(vec![])),
        event(4).with("user", "a").with_values("host", Some(vec![])),
        // A JSON null is a value.
        event(5)
            .with("user", "a")
            .with_values("host", Some(vec![None])),
        event(6)
            .with("user", "a")
            .with_values("host", Some(vec![None])),
        // The first of several values counts.
        event(7)
            .with("user", "c")
            .with_values("host", Some(vec![Some("x".into()), Some("y".into())])),
        event(8)
            .with("user", "c")
            .with_values("host", Some(vec![Some("x".into()), Some("z".into())])),
    ];
    let groups = found(&rule, events).into_iter().map(|found| {
        let values = found.group.into_iter().map(|(_, value)| value);
        (values.collect::<Vec<_>>(), found.count)
    });
    let text = |text: &str| Some(text.to_owned());
    let mut groups: Vec<_> = groups.collect();
    groups.sort();
    let expected = [
        (vec![text("a"), None], 2),
        (vec![text("a"), text("b")], 2),
        (vec![text("c"), text("x")], 2),
    ];
    assert_eq!(groups, expected);
}

#[test]
fn without_group_by_there_is_one_group() {
    let rule = correlation(1, &[], 10 * SECOND, &[(Gte, 2.0)]);
    assert_eq!(counts(&rule, &[1, 2]), [(1, 2)]);
}

#[test]
fn an_event_that_several_rules_match_is_one_event_of_the_first() {
    let rule = Correlation {
        rules: vec![Referent::Detection(1), Referent::Detection(0)],
        ..correlation(2, &["user"], 10 * SECOND, &[(Gte, 2.0)])
    };
    let event = |second: i64| Event::at(second * SECOND).with("user", "a");
    let both = event(1).hit(0).hit(1);
    assert_eq!(found(&rule, vec![both.clone()]), []);
    let found = found(&rule, vec![both, event(2).hit(0)]);
    let rules: Vec<u32> = found[0].events.iter().map(|event| event.rule).collect();
    assert_eq!(rules, [1, 0]);
}

#[test]
fn aliases_name_the_field_of_each_rule() {
    let mut rule = correlation(2, &["internal_ip"], 10 * SECOND, &[(Gte, 2.0)]);
    let of_rules = [(0, "src_ip".to_owned()), (1, "dst_ip".to_owned())];
    rule.aliases
        .insert("internal_ip".to_owned(), of_rules.into());
    let events = vec![
        Event::at(SECOND)
            .with("src_ip", "10.0.0.1")
            .with("dst_ip", "1.1.1.1")
            .hit(0),
        Event::at(2 * SECOND)
            .with("src_ip", "2.2.2.2")
            .with("dst_ip", "10.0.0.1")
            .hit(1),
        Event::at(3 * SECOND).with("internal_ip", "10.0.0.1").hit(1),
    ];
    let found = found(&rule, events);
    assert_eq!(
        found[0].group,
        [("internal_ip".to_owned(), Some("10.0.0.1".to_owned()))]
    );
    assert_eq!(found[0].count, 2);
}

#[test]
fn events_at_the_ends_of_time() {
    let rule = rule(10, Gte, 2.0);
    let event = |time_ns| Event::at(time_ns).with("user", "a").hit(0);
    let ends = vec![
        event(i64::MIN),
        event(i64::MIN),
        event(i64::MAX - 1),
        event(i64::MAX - 1),
    ];
    let setup = Setup {
        lateness: std::time::Duration::from_nanos(u64::MAX),
        ..Setup::default()
    };
    let plan = plan(&rule_set(1, vec![rule], Vec::new()));
    assert_eq!(run(&plan, &setup, &number(ends)).len(), 2);
}

/// What comes behind the watermark counts while its window is open, and is reported when it is not.
#[test]
fn late_events() {
    let rule = rule(10, Gte, 3.0);
    let plan = plan(&rule_set(1, vec![rule], Vec::new()));
    let setup = Setup {
        lateness: std::time::Duration::ZERO,
        ..Setup::default()
    };
    // At 105 the watermark is there too; 100 is behind it, but the window from 100 is still open.
    let outcomes = run(&plan, &setup, &number(at(&[101, 105, 100])));
    assert!(matches!(&outcomes[..], [Outcome::Correlated(found)] if found.count == 3));
    // At 120 everything up to 110 is decided.
    let outcomes = run(&plan, &setup, &number(at(&[101, 120, 110, 102])));
    let late: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Late(late) => {
                assert!(matches!(late.what, LateKind::Event { .. }));
                (late.time_ns / SECOND, late.watermark_ns / SECOND)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(late, [(102, 120), (110, 120)]);
    // 104 is inside a finding's window that has been emitted already: it is not counted again.
    let outcomes = run(&plan, &setup, &number(at(&[100, 101, 109, 111, 108, 107])));
    let late = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Late(_)));
    assert_eq!(late.count(), 2);
}

#[test]
fn columns_that_are_no_fields_are_no_groups() {
    let rule = correlation(1, &["_time"], 10 * SECOND, &[(Gte, 2.0)]);
    let errors = Plan::compile(&rule_set(1, vec![rule], Vec::new()), &Tables::default());
    assert!(errors.err().unwrap()[0].message.contains("`_time`"));
}
