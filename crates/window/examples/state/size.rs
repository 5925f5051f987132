//! Many open groups of one rule: memory, and snapshots.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use haechi_window::{Gathering, Merger, SnapshotName};

use crate::both::{Both, random};
use crate::rates::TYPES;

/// All groups stay open.
const TIMESPAN: &str = "timespan: 30d";
/// Of chunks of a snapshot, bytes.
const CHUNK: usize = 512 << 10;

/// Each type in a process of its own.
pub(crate) fn measure_each(groups: usize) {
    let own = std::env::current_exe().expect("this program");
    for (kind, (name, _)) in TYPES.iter().enumerate() {
        println!("-- {name}");
        let arguments = ["size".to_owned(), groups.to_string(), kind.to_string()];
        let ended = Command::new(&own).args(arguments).status();
        assert!(ended.expect("it starts").success(), "{name}");
    }
}

fn rule(kind: usize) -> Both {
    let (_, keys) = TYPES.get(kind).expect("a type");
    Both::new(&format!("{TIMESPAN}, {keys}"))
}

/// Memory is what the process has resident (Linux), less what it had before the first group.
pub(crate) fn measure_memory(groups: usize, kind: usize) {
    let mut both = rule(kind);
    let before = resident();
    let per_group = |both: &Both| {
        let all = resident() - before;
        format!(
            "{:.2} GB, {:.0} bytes/group resident, {:.0} by its own account",
            all / 1e9,
            all / groups as f64,
            both.merger.state_bytes() as f64 / groups as f64
        )
    };
    let new = both.run(groups, false, &|row| row);
    println!("{groups} groups of one event: {}", per_group(&both));
    println!("stage 2, events of new groups: {:.0}/s", new.stage2_rate());
    let again = (groups / 2).min(2_000_000);
    let old = both.run(again, false, &|row| random(row, 1) % groups as u64);
    println!(
        "stage 2, events of groups that are there, in no order: {:.0}/s; {again} more: {}",
        old.stage2_rate(),
        per_group(&both)
    );
}

/// Seconds to write, and to gather the chunks and restore. The number of groups has no factor 7,919.
pub(crate) fn measure_snapshot(groups: usize) {
    let mut both = rule(0);
    // All of them, in no order.
    both.run(groups, false, &|row| row * 7_919 % groups as u64);
    for _ in 0..3 {
        let began = Instant::now();
        let mut chunks = Vec::new();
        let digest = both
            .merger
            .snapshot(1, CHUNK, &mut |_, chunk| chunks.push(chunk.to_vec()));
        let wrote = began.elapsed();
        let name = SnapshotName {
            offset: 1,
            digest: digest.expect("a state that can be written"),
            slot: 0,
            from: 0,
        };
        let bytes: usize = chunks.iter().map(Vec::len).sum();
        let began = Instant::now();
        let mut gathering = Gathering::new(0, name);
        chunks.iter().for_each(|chunk| gathering.add(chunk));
        let gathered = gathering.finish().expect("it is whole");
        let (restored, _) =
            Merger::restore(Arc::clone(&both.plan), 0, gathered, None).expect("it is sound");
        let read = began.elapsed();
        assert_eq!(restored.watermark_ns(), both.merger.watermark_ns());
        println!(
            "{groups} groups: snapshot of {:.1} MB in {} chunks: written in {:.2} s, restored in {:.2} s",
            bytes as f64 / 1e6,
            chunks.len(),
            wrote.as_secs_f64(),
            read.as_secs_f64(),
        );
    }
}

/// Resident bytes of this process.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    let kilobytes: f64 = kilobytes.and_then(|text| text.parse().ok()).expect("VmRSS");
    kilobytes * 1024.0
}
