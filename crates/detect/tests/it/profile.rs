//! What a profile counts.

use std::sync::Arc;

use haechi_detect::{Detector, Plan};
use haechi_rules::{Expr, Logsource, Test};

use crate::events::{Event, batch, field, rule, text};

#[test]
fn values_and_rules_are_counted() {
    let conditions = vec![
        Expr::And(vec![
            field("line", text("*needle*")),
            Expr::Not(Box::new(field("user", text("root")))),
        ]),
        field("line", Test::Regex("straw[0-9]{2}$".to_owned())),
        field("user", text("nobody")),
    ];
    let rules: Vec<_> = conditions
        .into_iter()
        .map(|condition| rule(Logsource::default(), condition))
        .collect();
    let plan = Arc::new(Plan::compile(&rules).unwrap());
    let mut detector = Detector::new(plan.clone());
    detector.bind_classes(&[vec![Logsource::default()]]);
    let event = |line: &str, user: &str| Event::of(&[("line", line), ("user", user)]);
    let events = [
        event("a needle in hay", "root"),
        event("a needle in hay", "someone"),
        event("straw12", "root"),
        event("straw1 and straw", "root"),
    ];
    let batch = batch(&events, plan.fields(), |_| false);
    detector.detect(&batch).unwrap();
    assert!(detector.profile().is_none());
    detector.profile_from_now();
    for _ in 0..2 {
        assert_eq!(detector.detect(&batch).unwrap().hits.len(), 2);
    }
    let profile = detector.profile().unwrap();
    let rules: Vec<_> = profile
        .rules
        .iter()
        .map(|rule| (rule.looked_at, rule.hits))
        .collect();
    assert_eq!(rules, [(4, 2), (2, 2), (0, 0)]);
    let of_field = |name: &str| {
        let index = plan.fields().iter().position(|field| **field == *name);
        profile.fields[index.unwrap()]
    };
    // All values had been seen before the notes began.
    assert_eq!((of_field("line").values, of_field("line").matched), (8, 0));
    assert_eq!((of_field("user").values, of_field("user").matched), (8, 0));

    let mut forgetful = Detector::with_cache(plan, 0);
    forgetful.bind_classes(&[vec![Logsource::default()]]);
    forgetful.profile_from_now();
    forgetful.detect(&batch).unwrap();
    let mut both = forgetful.profile().unwrap();
    // One that stands in the row before too is matched once, cache or not.
    let bytes = "a needle in haystraw12straw1 and straw".len() as u64;
    let line = both.fields[0];
    assert_eq!(
        (line.values, line.matched, line.scanned_bytes),
        (4, 3, bytes)
    );
    assert!(both.rules[1].took > std::time::Duration::ZERO);
    both.add(&profile);
    assert_eq!(both.fields[0].values, 12);
    assert_eq!(both.rules[0].looked_at, 6);
}
