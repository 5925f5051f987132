//! A rule file with anything in it: it loads, or says why not at a place in the file.
#![no_main]

use std::path::Path;

use haechi_rules::{lint, load_str};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let loaded = load_str(Path::new("fuzz.yml"), text);
    for diagnostic in loaded.diagnostics.iter().chain(&lint(&loaded.rules)) {
        assert!(diagnostic.span.line >= 1 && diagnostic.span.column >= 1);
        assert!(!diagnostic.render(Some(text), false).is_empty());
    }
});
