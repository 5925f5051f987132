//! A chunk of a snapshot with anything in it: it is taken in, or refused with a reason. Checksums and digest are made to fit, or nothing
//! would ever come past them. Kind and rule are chosen by the first byte.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use haechi_rules::{RuleSet, load_str};
use haechi_window::{Budget, Gathering, Merger, Plan, Retired, SnapshotName, Tables};
use libfuzzer_sys::fuzz_target;

const RULES: &str = "title: base\nname: base\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: x}\ndetection: {sel: {f: x}, condition: sel}\n---\n\
    title: many\nname: many\nid: 00000000-0000-4000-8000-000000000002\ncorrelation: {type: event_count, rules: [base], group-by: [g], timespan: 5m, condition: {gte: 3}, generate: true}\n---\n\
    title: values\nid: 00000000-0000-4000-8000-000000000003\ncorrelation: {type: value_count, rules: [base], group-by: [g], timespan: 5m, condition: {field: v, gte: 3}}\n---\n\
    title: above\nid: 00000000-0000-4000-8000-000000000004\ncorrelation: {type: event_count, rules: [many], group-by: [g], timespan: 1h, condition: {gte: 2}}\n---\n\
    title: rows\nid: 00000000-0000-4000-8000-000000000005\nrollup: {sql: \"SELECT g, count(*) AS n, sum(v) AS s FROM x GROUP BY tumble(interval '1 minute'), g\", types: {v: bigint}}\n---\n\
    title: sessions\nid: 00000000-0000-4000-8000-000000000006\nrollup: {sql: \"SELECT g, count(*) AS n FROM x GROUP BY session(interval '1 minute'), g\", allowed_lateness: 1h}\n---\n\
    title: new\nid: 00000000-0000-4000-8000-000000000007\ncorrelation: {type: new_terms, rules: [base], field: v, group-by: [g], timespan: 1h, remember: 3}\n---\n\
    title: early\nid: 00000000-0000-4000-8000-000000000008\ncorrelation: {type: event_count, rules: [base], group-by: [g], timespan: 5m, condition: {gte: 3}, emit: early, quote: 2}\n";

/// Kinds of chunks, but for the end.
const KINDS: u8 = 18;

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let rules = load_str(Path::new("fuzz.yml"), RULES).rules;
    Arc::new(Plan::compile(&rules, &Tables::new([Arc::from("x")])).expect("the rules are sound"))
});

/// All rules are gone.
static NOTHING: LazyLock<Plan> = LazyLock::new(|| {
    Plan::compile(&RuleSet::default(), &Tables::new([])).expect("nothing is sound")
});

/// An empty state's chunks, and one of each rule's fingerprints as they stand in a snapshot of some events.
static EMPTY: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut chunks = Vec::new();
    let mut merger = Merger::new(Arc::clone(&PLAN), 0);
    let written = merger.snapshot(1, 1 << 20, &mut |_, chunk| chunks.push(chunk.to_vec()));
    written.expect("an empty state can be written");
    chunks
});

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, body)) = bytes.split_first() else {
        return;
    };
    let mut chunk = b"HSNP\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    chunk.extend(0_u32.to_le_bytes());
    chunk.extend(1_i64.to_le_bytes());
    chunk.extend(1_u32.to_le_bytes());
    chunk.push(choice % KINDS);
    let rules = PLAN.fingerprints();
    chunk.extend(rules[usize::from(choice / KINDS) % rules.len()]);
    chunk.extend(body);
    let end = EMPTY.last().expect("it has an end");
    let mut chunks = vec![EMPTY[0].clone(), chunk, end.clone()];
    let mut digest = blake3::Hasher::new();
    for chunk in &mut chunks[..2] {
        let sum = blake3::hash(&chunk[16..]);
        chunk[8..16].copy_from_slice(&sum.as_bytes()[..8]);
        digest.update(&sum.as_bytes()[..8]);
    }
    let digest = *digest.finalize().as_bytes();
    let end = &mut chunks[2];
    end[28..32].copy_from_slice(&2_u32.to_le_bytes());
    end[49..53].copy_from_slice(&2_u32.to_le_bytes());
    end[53..85].copy_from_slice(&digest);
    let sum = blake3::hash(&end[16..]);
    end[8..16].copy_from_slice(&sum.as_bytes()[..8]);
    let name = SnapshotName {
        offset: 1,
        digest,
        slot: 0,
        from: 0,
    };
    let mut gathering = Gathering::new(0, name);
    chunks.iter().for_each(|chunk| gathering.add(chunk));
    let gathered = gathering.finish().expect("it is whole");
    if let Ok(Some(retired)) = Retired::of(&NOTHING, 0, &gathered, None, Budget::UNLIMITED) {
        let _ = retired.leave();
    }
    if let Ok((mut merger, _)) = Merger::restore(Arc::clone(&PLAN), 0, gathered, None) {
        merger
            .snapshot(2, 1000, &mut |_, _| {})
            .expect("what was taken in can be written");
    }
});
