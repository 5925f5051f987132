//! A condition with anything in it.
#![no_main]

use std::path::Path;

use haechi_rules::load_str;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|condition: &str| {
    // A block scalar of one line holds any text but line breaks; the rule around it is sound.
    if condition.contains(['\n', '\r']) {
        return;
    }
    let rule = format!(
        "title: x\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {{product: x}}\ndetection:\n  a: {{f: 1}}\n  sel_b: {{g: 2}}\n  sel_c: [k]\n  condition: |-\n    {condition}\n"
    );
    let loaded = load_str(Path::new("fuzz.yml"), &rule);
    assert!(loaded.rules.detections.len() == 1 || !loaded.diagnostics.is_empty());
});
