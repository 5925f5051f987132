//! A value with wildcards and escapes: what is loaded is a pattern in its normal form.
#![no_main]

use std::path::Path;

use haechi_rules::{Expr, Piece, Test, load_str};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &str| {
    if value.chars().any(char::is_control) {
        return;
    }
    let quoted = value.replace('\'', "''");
    let rule = format!(
        "title: x\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {{product: x}}\ndetection: {{sel: {{f: '{quoted}'}}, condition: sel}}\n"
    );
    let loaded = load_str(Path::new("fuzz.yml"), &rule);
    let Some(detection) = loaded.rules.detections.first() else {
        return;
    };
    if let Expr::Field(field) = &detection.condition
        && let Test::Text(text) = &field.test
    {
        for pair in text.pattern.pieces.windows(2) {
            let alike = matches!(
                pair,
                [Piece::Literal(_), Piece::Literal(_)] | [Piece::AnyString, Piece::AnyString]
            );
            assert!(!alike, "pieces that should be one: {pair:?}");
        }
    }
});
