//! A record of the exchange with anything in it: it is applied, or refused with a reason. The header is made to fit, or nothing
//! would ever come past its checksum.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use haechi_rules::load_str;
use haechi_window::{Merger, Plan, Tables};
use libfuzzer_sys::fuzz_target;

const RULES: &str = "title: base\nname: base\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: x}\ndetection: {sel: {f: x}, condition: sel}\n---\n\
    title: many\nid: 00000000-0000-4000-8000-000000000002\ncorrelation: {type: event_count, rules: [base], group-by: [g], timespan: 5m, condition: {gte: 3}}\n---\n\
    title: rows\nid: 00000000-0000-4000-8000-000000000003\nrollup: {sql: \"SELECT g, count(*) AS n, sum(v) AS s FROM x GROUP BY tumble(interval '1 minute'), g\", types: {v: bigint}}\n";

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let rules = load_str(Path::new("fuzz.yml"), RULES).rules;
    Arc::new(Plan::compile(&rules, &Tables::new([Arc::from("x")])).expect("the rules are sound"))
});

fuzz_target!(|body: &[u8]| {
    let mut record = b"HXCH\x01\x00\x00\x00".to_vec();
    record.extend(blake3::hash(body).as_bytes().iter().take(8));
    record.extend(body);
    let mut merger = Merger::new(Arc::clone(&PLAN), 0);
    // Twice: what the first one leaves behind must not make the second one fall.
    for _ in 0..2 {
        let _ = merger.apply(&record);
    }
});
