//! What tests mean, by example.

use haechi_detect::{DetectError, Detector, Plan};
use haechi_rules::{CompareOp, Expr, Logsource, Position, Test, Text};
use std::sync::Arc;

use crate::events::{Event, batch, detect, field, matches, pattern, rule, text};

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

#[test]
fn absent_null_and_empty_are_three_things() {
    let absent = Event::default();
    let null = Event::default().with("f", &[None]);
    let empty = Event::of(&[("f", "")]);
    let none = Event::default().with("f", &[]);
    let outcome = |test: Test| {
        [&absent, &null, &empty, &none].map(|event| matches(field("f", test.clone()), event))
    };
    assert_eq!(outcome(Test::Null), [true, true, false, false]);
    assert_eq!(outcome(Test::Exists(true)), [false, true, true, true]);
    assert_eq!(outcome(Test::Exists(false)), [true, false, false, false]);
    assert_eq!(outcome(text("")), [false, false, true, false]);
    assert_eq!(outcome(text("*")), [false, false, true, false]);
    assert_eq!(
        outcome(Test::Regex(String::new())),
        [false, false, true, false]
    );
    assert!(matches(not(field("f", text("x"))), &absent));
    assert!(matches(not(field("f", text("x"))), &null));
}

#[test]
fn any_of_several_values_is_enough_but_one_must_pass_alone() {
    let event = Event::default().with("f", &[Some("one"), None, Some("two")]);
    assert!(matches(field("f", text("TWO")), &event));
    assert!(matches(field("f", Test::Null), &event));
    assert!(!matches(field("f", text("one*two")), &event));
    // Two tests, two values: a list of values with `all`.
    assert!(matches(
        Expr::And(vec![field("f", text("*ne")), field("f", text("t*"))]),
        &event
    ));
}

#[test]
fn case_folds_beyond_ascii_but_never_changes_the_number_of_characters() {
    let event = |value: &str| Event::of(&[("f", value)]);
    assert!(matches(
        field("f", text("*straẞe*")),
        &event("HAUPTSTRAßE 1")
    ));
    assert!(!matches(field("f", text("strasse")), &event("straße")));
    // Two bytes fold to three.
    assert!(matches(field("f", text("ⱥ")), &event("Ⱥ")));
    assert!(matches(field("f", text("ΟΔΥΣΣΕΥΣ")), &event("οδυσσευς")));
    assert!(matches(field("f", text("ПРИВЕТ*")), &event("привет, мир")));
    assert!(matches(
        field("f", text("power\u{212a}ey")),
        &event("POWERKEY")
    ));
    assert!(matches(field("f", text("?stanbul")), &event("İSTANBUL")));
    assert!(!matches(field("f", text("istanbul")), &event("İSTANBUL")));
    let cased = |glob: &str| {
        field(
            "f",
            Test::Text(Text {
                pattern: pattern(glob),
                cased: true,
            }),
        )
    };
    assert!(matches(cased("*Ab?"), &event("xAbé")));
    assert!(!matches(cased("*Ab?"), &event("xabé")));
}

#[test]
fn keywords_are_patterns_over_any_value() {
    let keyword = |glob: &str| {
        Expr::Keyword(Text {
            pattern: pattern(glob),
            cased: false,
        })
    };
    let event = Event::of(&[("x", "Nothing"), ("y", "a Needle\nin hay")]);
    assert!(matches(keyword("*needle*"), &event));
    assert!(matches(keyword("*needle*hay*"), &event));
    assert!(!matches(keyword("*nothing*hay*"), &event));
    assert!(matches(
        Expr::And(vec![keyword("nothing"), keyword("*hay")]),
        &event
    ));
    assert!(matches(not(keyword("needle*")), &event));
}

#[test]
fn fields_refer_to_fields() {
    let reference = |position, cased| {
        field(
            "a",
            Test::FieldRef {
                other: "b".into(),
                position,
                cased,
            },
        )
    };
    let event = Event::of(&[("a", "User\\ALICE"), ("b", "alice")]);
    assert!(matches(reference(Position::End, false), &event));
    assert!(!matches(reference(Position::End, true), &event));
    assert!(!matches(reference(Position::Whole, false), &event));
    assert!(!matches(
        reference(Position::Contains, false),
        &Event::of(&[("a", "x")])
    ));
    assert!(matches(
        not(reference(Position::Whole, false)),
        &Event::of(&[("a", "x")])
    ));
    // Wildcards in a value are plain characters.
    assert!(!matches(
        reference(Position::Whole, false),
        &Event::of(&[("a", "abc"), ("b", "a*c")])
    ));
}

#[test]
fn numbers_and_networks_read_values() {
    let at_least = |number| field("f", Test::Compare(CompareOp::Gte, number));
    assert!(matches(at_least(4625.0), &Event::of(&[("f", "4625")])));
    assert!(matches(at_least(0.5), &Event::of(&[("f", "5e-1")])));
    assert!(!matches(at_least(0.0), &Event::of(&[("f", "many")])));
    let within = |address: &str, length| field("f", Test::Cidr(address.parse().unwrap(), length));
    assert!(matches(
        within("10.0.0.0", 8),
        &Event::of(&[("f", "::ffff:10.9.8.7")])
    ));
    assert!(matches(
        within("fe80::", 10),
        &Event::of(&[("f", "fe80::1%12")])
    ));
    assert!(!matches(
        within("10.0.0.0", 8),
        &Event::of(&[("f", "10.0.0.1:443")])
    ));
}

#[test]
fn a_rule_sees_only_the_classes_that_it_covers() {
    let source = |product: Option<&str>, category: Option<&str>| Logsource {
        product: product.map(str::to_owned),
        category: category.map(str::to_owned),
        service: None,
    };
    let found = || field("f", text("x"));
    let rules = [
        rule(source(Some("windows"), Some("process_creation")), found()),
        rule(source(Some("windows"), None), found()),
        rule(source(Some("linux"), None), not(field("f", text("y")))),
        rule(source(None, None), found()),
    ];
    let plan = Arc::new(Plan::compile(&rules).unwrap());
    assert_eq!(plan.ungated_rules(), [2]);
    let classes = [
        vec![
            source(Some("windows"), None),
            source(Some("windows"), Some("process_creation")),
        ],
        vec![source(Some("windows"), Some("file_event"))],
        vec![source(Some("linux"), None)],
        vec![],
    ];
    let events: Vec<Event> = (0..4)
        .map(|class| Event {
            class,
            ..Event::of(&[("f", "X")])
        })
        .collect();
    let batch = batch(&events, plan.fields(), |_| false);
    let mut detector = Detector::new(plan);
    detector.bind_classes(&classes[..2]);
    assert!(matches!(
        detector.detect(&batch),
        Err(DetectError::UnboundClass { class: 2, bound: 2 })
    ));
    detector.bind_classes(&classes);
    let hits: Vec<_> = detector
        .detect(&batch)
        .unwrap()
        .hits
        .iter()
        .map(|hit| (hit.row, hit.rule))
        .collect();
    assert_eq!(
        hits,
        [(0, 0), (0, 1), (0, 3), (1, 1), (1, 3), (2, 2), (2, 3)]
    );
}

#[test]
fn short_texts_and_regexes_without_literals_wait_for_rarer_things() {
    let rare = || field("image", text("*\\rare.exe"));
    let put_off = [
        field("line", text("* -c*")),
        field("line", Test::Regex(r"\s[0-9]{4}$".to_owned())),
    ];
    let event = |image: &str, line: &str| Event::of(&[("image", image), ("line", line)]);
    for test in put_off {
        // Alone, with something rarer, negated.
        let rules = [
            rule(Logsource::default(), test.clone()),
            rule(Logsource::default(), Expr::And(vec![rare(), test.clone()])),
            rule(Logsource::default(), Expr::And(vec![rare(), not(test)])),
        ];
        assert!(Plan::compile(&rules).unwrap().ungated_rules().is_empty());
        let events = [
            event("C:\\RARE.exe", "x -C 1234"),
            event("C:\\RARE.exe", "x"),
            event("C:\\other.exe", "x -c 1234"),
        ];
        assert_eq!(detect(&rules, &events), [(0, 0), (0, 1), (1, 2), (2, 0)]);
    }
}

#[test]
fn only_classes_with_keyword_rules_want_all_values() {
    let linux = Logsource {
        product: Some("linux".to_owned()),
        ..Logsource::default()
    };
    let keyword = Expr::Keyword(Text {
        pattern: pattern("x"),
        cased: false,
    });
    let rules = [
        rule(linux.clone(), keyword),
        rule(Logsource::default(), field("f", text("x"))),
    ];
    let plan = Plan::compile(&rules).unwrap();
    assert!(plan.wants_values(&[linux]));
    assert!(!plan.wants_values(&[Logsource::default()]));
    assert!(!plan.wants_values(&[]));
}

#[test]
fn a_batch_that_does_not_fit_is_refused() {
    let rules = [rule(Logsource::default(), field("f", text("x")))];
    let mut detector = Detector::new(Arc::new(Plan::compile(&rules).unwrap()));
    let without_field = batch(&[], &[], |_| false);
    let error = detector.detect(&without_field).unwrap_err();
    assert!(
        matches!(&error, DetectError::MissingColumn(name) if name == "f"),
        "{error}"
    );
    let with_field = batch(&[], &["f".into()], |_| false);
    assert!(detector.detect(&with_field).unwrap().hits.is_empty());
}

#[test]
fn a_slice_of_a_batch_is_a_batch() {
    let rules = [rule(Logsource::default(), field("f", text("*x")))];
    let plan = Arc::new(Plan::compile(&rules).unwrap());
    let events: Vec<Event> = ["x", "y", "zx", "a long value that ends with x", ""]
        .map(|value| Event::of(&[("f", value)]))
        .to_vec();
    let batch = batch(&events, plan.fields(), |_| false);
    let mut detector = Detector::new(plan);
    detector.bind_classes(&[vec![Logsource::default()]]);
    let hits = detector.detect(&batch.slice(2, 3)).unwrap().hits;
    assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn no_rules_find_nothing() {
    assert!(detect(&[], &[Event::of(&[("f", "x")])]).is_empty());
}

#[test]
fn hostile_values_cost_linear_time() {
    let long = "a".repeat(1 << 20);
    let globs = [
        "*a*a*a*a*a*b",
        "*aaaaaaaaab*",
        "*a?a?a?b*",
        "a*ab",
        "*aaaab",
    ];
    let mut conditions: Vec<Expr> = globs.iter().map(|glob| field("f", text(glob))).collect();
    conditions.push(field("f", Test::Regex("(a+)+b".to_owned())));
    conditions.push(field("f", Test::Regex("(?:a?){20}a{20}[^a]$".to_owned())));
    let rules: Vec<_> = conditions
        .into_iter()
        .map(|c| rule(Logsource::default(), c))
        .collect();
    let start = std::time::Instant::now();
    assert!(detect(&rules, &[Event::of(&[("f", &long)])]).is_empty());
    assert!(
        start.elapsed() < std::time::Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}
