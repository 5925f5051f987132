//! Memory is bounded by what was configured, whatever the values are.

use std::sync::Arc;

use haechi_detect::{Detector, Plan};
use haechi_rules::{Expr, Logsource, Test};

use crate::counting::memory;
use crate::events::{Event, batch, field, rule, text};

/// What a detector has besides its cache, its regexes and space in proportion to a batch: tables of the plan's size, and slack.
const BESIDES: i64 = 1 << 20;

fn detector(conditions: Vec<Expr>, cache_bytes: usize, regex_bytes: usize) -> Detector {
    let rules: Vec<_> = conditions
        .into_iter()
        .map(|condition| rule(Logsource::default(), condition))
        .collect();
    let plan = Arc::new(Plan::compile_within(&rules, regex_bytes).unwrap());
    let mut detector = Detector::with_cache(plan, cache_bytes);
    detector.bind_classes(&[vec![Logsource::default()]]);
    detector
}

/// Feeds batches of lines; the peak of memory beyond the batches themselves, and what is kept.
fn fed(detector: &mut Detector, lines: impl Iterator<Item = Vec<String>>) -> (i64, i64) {
    let fields = detector.plan().fields().to_vec();
    let (mut peak, mut kept) = (0, 0);
    for lines in lines {
        let events: Vec<Event> = lines
            .iter()
            .map(|line| Event::of(&[("line", line)]))
            .collect();
        let batch = batch(&events, &fields, |_| false);
        let (here, stays) = memory(|| drop(detector.detect(&batch).unwrap()));
        peak = peak.max(kept + here);
        kept += stays;
    }
    (peak, kept)
}

#[test]
fn values_that_never_come_again_do_not_fill_memory() {
    let cache = 1 << 20;
    let conditions = vec![
        field("line", text("*needle*")),
        field("line", text("*7?")),
        field("line", text("n*")),
    ];
    let mut detector = detector(conditions, cache, 64 << 10);
    // 32 MB of distinct values, 30 times the cache.
    let lines = (0..200).map(|batch| {
        let line = |n: usize| format!("{batch} {n} {}", "never the same ".repeat(10 + n % 3));
        (0..1000).map(line).collect()
    });
    let (peak, kept) = fed(&mut detector, lines);
    // Tables grow by doubling, so a generation may have twice what it counts, while it grows three times.
    assert!(peak < 3 * cache as i64 + BESIDES, "{peak} bytes");
    assert!(kept < 2 * cache as i64 + BESIDES, "{kept} bytes");
}

#[test]
fn values_of_a_megabyte_are_answered_and_not_kept() {
    let cache = 4 << 20;
    let conditions = vec![
        field("line", text("*needle*")),
        field("line", Test::Regex("x[0-9]+y$".to_owned())),
    ];
    let mut detector = detector(conditions, cache, 64 << 10);
    let long = |n: usize| format!("{n} {} needle", "A longish lÏne ".repeat(1 << 16));
    let lines = (0..30).map(|batch| (0..3).map(|n| long(batch * 3 + n)).collect());
    let (peak, kept) = fed(&mut detector, lines);
    // Space to fold one value: as much again, which doubles as it grows.
    let value = 3 << 20;
    assert!(peak < value + BESIDES, "{peak} bytes");
    assert!(kept < value + BESIDES, "{kept} bytes");
}

#[test]
fn regexes_that_blow_up_stay_in_their_room() {
    let patterns = [
        "^(a|aa|aaa)+$",
        "^(a?){40}a{40}$",
        "(x+x+)+y",
        "^([a-z]+)*[0-9]$",
        "(.*a){12}",
        "[ab]*a[ab]{14}c",
        "(\\w+\\s?)*#",
        "[a-z]*(b|c)[a-z]{200}d",
    ];
    let conditions = patterns
        .iter()
        .map(|pattern| field("line", Test::Regex((*pattern).to_owned())))
        .collect();
    let regex_bytes = 64 << 10;
    let mut detector = detector(conditions, 0, regex_bytes);
    let mut seed = 1_u64;
    let mut letters = |count: usize, of: &[u8]| -> String {
        let mut letter = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(of[(seed >> 33) as usize % of.len()])
        };
        (0..count).map(|_| letter()).collect()
    };
    let lines = (0..40).map(|n| {
        vec![
            "a".repeat(n * 100),
            "x".repeat(n * 100),
            letters(4000, b"ab"),
            letters(4000, b"abcdefg xyz"),
            letters(4000, b"abcxyz0123456789 .-#\\"),
        ]
    });
    let (peak, _) = fed(&mut detector, lines);
    // Each has states for a search forwards, and the threads of the engine that takes over when they do not fit: a few words for each
    // place in the pattern.
    let room = patterns.len() as i64 * (4 * regex_bytes as i64 + (256 << 10));
    assert!(peak < room + BESIDES, "{peak} bytes, room for {room}");
}
