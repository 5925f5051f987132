//! Nothing is allocated per event.

use std::sync::Arc;

use haechi_detect::{Detector, Plan};
use haechi_rules::{Expr, Logsource, Test};

use crate::counting::allocations;
use crate::events::{Event, batch, field, rule, text};

#[test]
fn allocations_do_not_grow_with_events() {
    let conditions = vec![
        field("image", text("*\\cmd.exe")),
        Expr::And(vec![
            field("line", text("*needle*")),
            Expr::Not(Box::new(field("user", Test::Null))),
        ]),
        field("line", Test::Regex("n[ae]+dle [0-9]+$".to_owned())),
        field("line", text("event*7")),
        field(
            "user",
            Test::FieldRef {
                other: "image".into(),
                position: haechi_rules::Position::Contains,
                cased: false,
            },
        ),
    ];
    let rules: Vec<_> = conditions
        .into_iter()
        .map(|c| rule(Logsource::default(), c))
        .collect();
    let plan = Arc::new(Plan::compile(&rules).unwrap());
    let events = |from: usize, count: usize| -> Vec<Event> {
        let event = |n: usize| {
            Event::of(&[
                ("image", "C:\\Windows\\cmd.exe"),
                ("line", &format!("event with a needle {n:08}")),
                ("user", "KÉvin"),
            ])
        };
        (from..from + count).map(event).collect()
    };
    // Without a cache, so that every value is matched; nothing but the list of hits may grow.
    let mut detector = Detector::with_cache(plan.clone(), 0);
    detector.bind_classes(&[vec![Logsource::default()]]);
    let small = batch(&events(0, 10), plan.fields(), |_| false);
    let large = batch(&events(0, 5000), plan.fields(), |_| false);
    assert!(!detector.detect(&large).unwrap().hits.is_empty());
    let of_small = allocations(|| drop(detector.detect(&small).unwrap()));
    let of_large = allocations(|| drop(detector.detect(&large).unwrap()));
    assert!(
        of_large <= of_small + 16,
        "10 events: {of_small} allocations, 5000 events: {of_large}"
    );
}
