//! How long loading and linting of rules takes, and what the lints say: `load_time PATH…`.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use haechi_rules::{Surroundings, inspect, load};

fn main() {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let start = Instant::now();
    let loaded = load(&paths);
    let read = start.elapsed();
    let found = inspect(&loaded, &Surroundings::default());
    let all = start.elapsed();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for diagnostic in &found {
        *counts.entry(diagnostic.code).or_default() += 1;
        println!("{diagnostic}");
    }
    println!(
        "{} files; loaded in {read:?}, linted in {:?}: {counts:?}",
        loaded.files,
        all.saturating_sub(read)
    );
}
