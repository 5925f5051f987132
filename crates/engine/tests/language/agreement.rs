//! haechi and the naive evaluator agree on random rules over random events.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use haechi_decode::{Decoder, DecoderSpec, Format, Row, ValuesFor, ValuesWanted};
use haechi_detect::{Detector, KeywordSieve, Passing, Plan};
use haechi_rules::{Logsource, Severity, load_str};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::{events, naive, rules, yaml};

const RULES: usize = 16;
const EVENTS: usize = 64;
/// Pairs of a rule and an event; `HAECHI_PAIRS` asks for more.
const PAIRS: usize = 60_000;

#[test]
fn haechi_matches_what_the_specification_says() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let wanted = number("HAECHI_PAIRS", PAIRS);
    let first = number("HAECHI_SEED", 1);
    let mut seen = Seen::default();
    let mut seed = first as u64;
    while seen.pairs < wanted {
        round(seed, &mut seen);
        seed += 1;
    }
    println!("{seen:#?} from seed {first}");
    // Agreement on nothing would say nothing.
    assert!(seen.matches * 20 > seen.pairs, "few matches: {seen:?}");
    assert!(seen.matches * 10 < seen.pairs * 9, "few misses: {seen:?}");
}

/// What was tried.
#[derive(Debug, Default)]
struct Seen {
    rules: usize,
    pairs: usize,
    matches: usize,
    /// Why rules do not load.
    reasons: BTreeSet<String>,
}

/// A file of rules over a batch of events.
fn round(seed: u64, seen: &mut Seen) {
    let rng = &mut StdRng::seed_from_u64(seed);
    let documents: Vec<Value> = rules::file(rng, RULES);
    let written: Vec<String> = documents
        .iter()
        .map(|document| yaml::write(rng, document))
        .collect();
    let text = written.join("\n---\n");
    let events: Vec<Value> = (0..EVENTS).map(|_| events::event(rng)).collect();
    let product = ["p", "q"][rng.random_range(0..2)];
    let found = haechi(&text, &events, product, seen);
    assert!(
        seen.reasons.is_empty(),
        "seed {seed}: {:?}\n{text}",
        seen.reasons
    );
    let filters: Vec<&Value> = documents
        .iter()
        .filter(|document| document.get("filter").is_some())
        .collect();
    for rule in documents
        .iter()
        .filter(|rule| rule.get("detection").is_some())
    {
        let id = rule["id"].as_str().unwrap();
        seen.rules += 1;
        let rows = &found[id];
        for (row, event) in events.iter().enumerate() {
            let expected = naive::matches(rule, &filters, event, product);
            assert_eq!(
                rows.contains(&row),
                expected,
                "haechi and the specification (right) differ, seed {seed}\nrule: {rule}\nfilters: {filters:?}\nevent: {event}\nfile:\n{text}"
            );
            seen.pairs += 1;
            seen.matches += usize::from(expected);
        }
    }
}

/// As in the product: only events that may hold a keyword carry all their values.
struct Keywords(KeywordSieve);

impl ValuesFor for Keywords {
    fn class(&mut self, class: &[haechi_decode::Logsource]) -> ValuesWanted {
        match self.0.bind_class(&translate(class)) {
            Passing::None => ValuesWanted::Never,
            Passing::All => ValuesWanted::Always,
            Passing::Some => ValuesWanted::Depends,
        }
    }

    fn event(&mut self, class: u16, text: &[u8]) -> bool {
        self.0.passes(usize::from(class), text)
    }
}

/// The events that each rule that loads matches, by the rule's id.
fn haechi(
    text: &str,
    events: &[Value],
    product: &str,
    seen: &mut Seen,
) -> HashMap<String, Vec<usize>> {
    let loaded = load_str(Path::new("rules.yml"), text);
    let errors = loaded
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error);
    seen.reasons
        .extend(errors.map(|found| found.message.clone()));
    let detections = loaded.rules.detections;
    let plan = Arc::new(Plan::compile(&detections).unwrap());
    let fields = plan.fields().iter().map(ToString::to_string).collect();
    let mut spec = DecoderSpec::new(Format::Json, fields);
    spec.logsource.product = Some(product.to_owned());
    spec.values_for = Box::new(Keywords(KeywordSieve::new(Arc::clone(&plan))));
    let mut decoder = Decoder::new(spec).unwrap();
    let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
    let rows = lines.iter().map(|line| Row {
        payload: Some(line.as_bytes()),
        timestamp_ns: Some(0),
    });
    let decoded = decoder.decode(rows, 0);
    assert!(decoded.bad.is_empty(), "every event can be read");
    let mut detector = Detector::new(plan);
    let classes: Vec<Vec<Logsource>> = decoder.classes().iter().map(|c| translate(c)).collect();
    detector.bind_classes(&classes);
    let mut found: HashMap<String, Vec<usize>> = detections
        .iter()
        .map(|rule| (rule.header.id.to_string(), Vec::new()))
        .collect();
    for hit in detector.detect(&decoded.batch).unwrap().hits {
        let id = &*detections[hit.rule as usize].header.id;
        found.get_mut(id).unwrap().push(hit.row as usize);
    }
    found
}

fn translate(class: &[haechi_decode::Logsource]) -> Vec<Logsource> {
    let one = |source: &haechi_decode::Logsource| Logsource {
        product: source.product.clone(),
        category: source.category.clone(),
        service: source.service.clone(),
    };
    class.iter().map(one).collect()
}
