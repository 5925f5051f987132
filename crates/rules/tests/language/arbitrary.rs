//! Whatever the text, loading ends with rules and diagnostics, never with a panic, and every place is inside the text.

use std::path::Path;

use haechi_rules::load_str;
use proptest::prelude::*;

fn check(text: &str) {
    let loaded = load_str(Path::new("r.yml"), text);
    let lines = u32::try_from(text.split(['\n', '\r']).count()).expect("a short text");
    for found in &loaded.diagnostics {
        assert!(
            (1..=lines + 1).contains(&found.span.line) && found.span.column >= 1,
            "{found} in {text:?}"
        );
        assert!(
            found
                .render(Some(text), false)
                .contains(&found.message.lines().next().unwrap_or_default().to_owned())
        );
        assert!(
            !found.message.is_empty() && !found.message.starts_with(char::is_uppercase),
            "{found}"
        );
    }
}

/// A rule of each kind, to be damaged.
const SOUND: [&str; 4] = [
    "title: Odd é\nid: 8d1d5a3f-6b1c-4f7e-9d0a-1b2c3d4e5f60\nlevel: high\nlogsource: {product: windows}\ndetection:\n  sel:\n    - Image|endswith: ['\\cmd.exe', \"\\x41*\"]\n      A|re|i: 'a(b|c)+'\n    - 'key?word'\n  _fil: {B|cidr: 10.0.0.0/8, C|gt: 5, D|wide|base64offset|contains: x, E: null}\n  condition: all of sel* and not (1 of _fil or _fil)\n",
    "title: c\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [u]\n  timespan: 5m\n  condition: {gte: 3}\n  aliases: {u: {a: User}}\n---\ntitle: a\nid: a\ndetection: {s: {A: &x [1, 2.5], B: *x}, condition: s}\n",
    "title: f\nlogsource: {category: x}\nfilter:\n  rules: any\n  sel: {A|windash: ' -f /g'}\n  condition: >-\n    not\n    sel\n",
    "title: r\nrollup:\n  sql: |\n    SELECT 1\n  types: {a: bigint}\n",
];

proptest! {
    #[test]
    fn text_of_any_kind(text in r"\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn text_of_yaml_signs(text in r#"([ \n\t]|[a-c]|[-:?,\[\]{}#&*!|>'"%@`\\]|---\n|\.\.\.\n|\r\n|é){0,60}"#) {
        check(&text);
    }

    #[test]
    fn damaged_rules(
        which in 0..SOUND.len(),
        cuts in proptest::collection::vec((0..400usize, 0..12usize, r#"[ \n:\-\[\]{}|'"*&a1é]{0,3}"#), 1..4),
    ) {
        let mut text: Vec<char> = SOUND[which].chars().collect();
        for (at, len, insert) in cuts {
            let at = at.min(text.len());
            let end = (at + len).min(text.len());
            text.splice(at..end, insert.chars());
        }
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn detections_of_any_shape(
        modifiers in proptest::sample::subsequence(
            vec!["all", "neq", "cased", "re", "i", "contains", "endswith", "windash", "wide", "base64offset", "cidr", "gt", "exists", "fieldref"],
            0..4,
        ).prop_shuffle(),
        value in prop_oneof![
            Just("null".to_owned()), Just("true".to_owned()), Just("[]".to_owned()), Just("[1, x*, -y]".to_owned()),
            "-?[0-9]{1,4}(\\.[0-9]{1,2})?", "'[a-z*?\\\\/ -]{0,8}'",
        ],
        field in "[A-C]?",
    ) {
        let key = modifiers.iter().fold(field, |key, modifier| format!("{key}|{modifier}"));
        check(&format!("title: x\ndetection:\n  sel: {{'{key}': {value}}}\n  condition: sel\n"));
    }
}
