//! The plan and the naive evaluator agree on random rules over random events.

use std::net::IpAddr;
use std::sync::Arc;

use haechi_detect::{Detector, Hit, KeywordSieve, Passing, Plan};
use haechi_rules::{
    CompareOp, DetectionRule, Expr, Logsource, Pattern, Piece, Position, Test, Text, TimePart,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::events::{Event, batch, field, rule};
use crate::naive;

const FIELDS: [&str; 3] = ["a", "b", "c d"];
/// Few characters, so that things match; several that are equal without case, some of them of other lengths.
const LITERAL: &str = "[aAbkK\u{212a}éÉσςΣıIȺⱥ1]{1,3}";
const LONG: [&str; 3] = [
    "a value too long for a view",
    "A VALUE too long for a view",
    "a value too long for a vieW",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[aAbkK\u{212a}éÉσςΣıIȺⱥ1\n]{0,6}",
        4 => "[abAé]{4,12}",
        1 => select(&LONG[..]).prop_map(str::to_owned),
        1 => select(&["1", "-1", "1.0", "2", "1e1", "0x1", " 1", "01"][..]).prop_map(str::to_owned),
        1 => select(&["2026-03-01T01:59:00Z", "2024-12-30T23:30:00-02:00", "2026-02-30T00:00:00Z"][..]).prop_map(str::to_owned),
        1 => select(&["10.0.0.1", "10.1.0.1", "::ffff:10.0.0.1", "fe80::1%3", "::1", "10.0.0.1%3"][..]).prop_map(str::to_owned),
    ]
}

fn event(classes: u16) -> impl Strategy<Value = Event> {
    let values = prop_oneof![
        6 => vec(prop_oneof![9 => value().prop_map(Some), 1 => Just(None)], 1),
        2 => vec(prop_oneof![3 => value().prop_map(Some), 1 => Just(None)], 0..4),
    ];
    // A field that no rule names is there for keywords.
    let fields = select(&["a", "b", "c d", "unnamed"][..]).prop_map(str::to_owned);
    (
        0..classes,
        proptest::collection::btree_map(fields, values, 0..4),
    )
        .prop_map(|(class, fields)| Event { class, fields })
}

fn text() -> impl Strategy<Value = Text> {
    let piece = || {
        prop_oneof![
            5 => LITERAL.prop_map(Piece::Literal),
            3 => Just(Piece::AnyString),
            1 => Just(Piece::AnyChar),
        ]
    };
    let literal = || {
        prop_oneof![
            6 => LITERAL.prop_map(String::from),
            // Not short, and still often found.
            3 => "[abBÉ]{4,6}|(ab){2,5}",
            1 => select(&LONG[..]).prop_map(str::to_owned),
        ]
    };
    let around = |start: bool, end: bool, literal: String| {
        let mut pieces = vec![Piece::Literal(literal)];
        if start {
            pieces.insert(0, Piece::AnyString);
        }
        if end {
            pieces.push(Piece::AnyString);
        }
        pieces
    };
    let pieces = prop_oneof![
        3 => (any::<bool>(), any::<bool>(), literal()).prop_map(move |(start, end, literal)| around(start, end, literal)),
        2 => vec(piece(), 0..6),
    ];
    (pieces, prop::bool::weighted(0.3)).prop_map(|(pieces, cased)| Text {
        pattern: Pattern { pieces },
        cased,
    })
}

fn test() -> impl Strategy<Value = Test> {
    let op = select(
        &[
            CompareOp::Lt,
            CompareOp::Lte,
            CompareOp::Gt,
            CompareOp::Gte,
            CompareOp::Eq,
            CompareOp::Neq,
        ][..],
    );
    let part = select(
        &[
            TimePart::Minute,
            TimePart::Hour,
            TimePart::Day,
            TimePart::Week,
            TimePart::Month,
            TimePart::Year,
        ][..],
    );
    let network = select(
        &[
            ("10.0.0.0", 8),
            ("10.1.0.0", 16),
            ("0.0.0.0", 0),
            ("10.0.0.1", 32),
            ("::", 0),
            ("fe80::", 10),
            ("::1", 128),
        ][..],
    );
    let position = select(
        &[
            Position::Whole,
            Position::Start,
            Position::End,
            Position::Contains,
        ][..],
    );
    let regex = select(
        &[
            "a.k",
            "(?i)k+é",
            "^a",
            "b$",
            "(?i:a|é)1",
            "[ab]{2}",
            "a*",
            "σ",
            "(?s)a.*b",
            "^$",
            "\\w\\W",
        ][..],
    );
    prop_oneof![
        10 => text().prop_map(Test::Text),
        2 => regex.prop_map(|regex| Test::Regex(regex.to_owned())),
        2 => (op.clone(), select(&[-1.0, 0.0, 1.0, 1.5, 10.0][..])).prop_map(|(op, number)| Test::Compare(op, number)),
        1 => (part, op.clone(), select(&[1.0, 3.0, 22.5, 59.0, 2024.0][..]))
            .prop_map(|(part, op, number)| Test::TimePart(part, op, number)),
        2 => network.prop_map(|(address, length)| Test::Cidr(address.parse::<IpAddr>().unwrap(), length)),
        1 => any::<bool>().prop_map(Test::Exists),
        1 => Just(Test::Null),
        2 => (select(&FIELDS[..]), position, any::<bool>())
            .prop_map(|(other, position, cased)| Test::FieldRef { other: other.into(), position, cased }),
    ]
}

fn condition() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        12 => (select(&FIELDS[..]), test()).prop_map(|(name, test)| field(name, test)),
        2 => text().prop_map(Expr::Keyword),
        1 => any::<bool>().prop_map(Expr::Const),
    ];
    // A rule that waits for one text and then asks for another, as real ones do.
    let waits = (
        select(&FIELDS[..]),
        test(),
        select(&FIELDS[..]),
        test(),
        any::<bool>(),
    )
        .prop_map(|(first, needed, second, asked, negated)| {
            let asked = field(second, asked);
            let asked = if negated {
                Expr::Not(Box::new(asked))
            } else {
                asked
            };
            Expr::And(vec![field(first, needed), asked])
        });
    let leaf = prop_oneof![4 => leaf, 1 => waits];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let parts = || vec(inner.clone(), 0..5);
        prop_oneof![
            3 => parts().prop_map(Expr::And),
            3 => parts().prop_map(Expr::Or),
            1 => (0..5_usize, parts()).prop_map(|(count, parts)| Expr::AtLeast(count, parts)),
            2 => inner.clone().prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

fn logsource() -> impl Strategy<Value = Logsource> {
    let key = |name: &'static str| prop::option::of(Just(name.to_owned()));
    let product = prop::option::of(select(&["windows", "linux"][..]).prop_map(str::to_owned));
    (product, key("process_creation"), key("sysmon")).prop_map(|(product, category, service)| {
        Logsource {
            product,
            category,
            service,
        }
    })
}

/// Rules; classes and how many of them events have; batches of events; bytes of cache.
type Case = (
    Vec<Arc<DetectionRule>>,
    Vec<Vec<Logsource>>,
    Vec<Vec<Event>>,
    usize,
);

fn case() -> impl Strategy<Value = Case> {
    let sparse_logsource = prop_oneof![3 => Just(Logsource::default()), 1 => logsource()];
    let rules = vec(
        (sparse_logsource, condition()).prop_map(|(source, condition)| rule(source, condition)),
        1..10,
    );
    let classes = vec(vec(logsource(), 0..3), 1..4);
    (rules, classes, select(&[0, 600, 1 << 20][..])).prop_flat_map(|(rules, classes, cache)| {
        let batches = vec(vec(event(classes.len() as u16), 0..8), 1..4);
        (Just(rules), Just(classes), batches, Just(cache))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_plan_finds_what_the_specification_says((rules, classes, batches, cache) in case()) {
        let plan = Arc::new(Plan::compile(&rules).unwrap());
        let mut detector = Detector::with_cache(plan.clone(), cache);
        let mut sieve = KeywordSieve::new(plan.clone());
        let passing: Vec<Passing> = classes.iter().map(|class| sieve.bind_class(class)).collect();
        for (index, events) in batches.iter().enumerate() {
            // Classes become known as they are met; later batches may know more.
            detector.bind_classes(&classes[..classes.len().min(index + 1)]);
            let events: Vec<Event> = events.iter().filter(|e| usize::from(e.class) <= index).cloned().collect();
            let batch = batch(&events, plan.fields(), |event| {
                crate::events::passes(&mut sieve, passing[usize::from(event.class)], event)
            });
            let mut expected = Vec::new();
            for (event, row) in events.iter().zip(0..) {
                for (rule, index) in rules.iter().zip(0..) {
                    if naive::matches(rule, &classes[usize::from(event.class)], event) {
                        expected.push(Hit { row, rule: index });
                    }
                }
            }
            prop_assert_eq!(detector.detect(&batch).unwrap().hits, expected);
        }
    }

    /// One value against one pattern, with more characters and longer patterns than above.
    #[test]
    fn a_pattern_covers_what_the_specification_says(text in text(), values in vec("[aAbkK\u{212a}éÉσςΣıIȺⱥ1\n]{0,9}", 1..6)) {
        let rules = [rule(Logsource::default(), field("a", Test::Text(text)))];
        let events: Vec<Event> = values.iter().map(|value| Event::of(&[("a", value)])).collect();
        let found = crate::events::detect(&rules, &events);
        let naive = events.iter().zip(0..).filter(|(event, _)| naive::matches(&rules[0], &[Logsource::default()], event));
        let expected: Vec<(u32, u32)> = naive.map(|(_, row)| (row, 0)).collect();
        prop_assert_eq!(found, expected);
    }
}
