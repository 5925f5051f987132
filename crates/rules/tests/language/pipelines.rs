//! Processing pipelines: what is wrong with one, and where. What they do is in the cases outside, `tests/cases/pipeline`.

use std::path::Path;

use haechi_rules::{Pipelines, Source, load_str_through};

fn source(name: &str, text: &str) -> Source {
    Source {
        file: Path::new(name).into(),
        text: text.into(),
    }
}

/// `line:column code message` of all that is wrong.
fn wrong(pipeline: &str) -> Vec<String> {
    let pipelines = Pipelines::read(&[source("p.yml", pipeline)], &[]);
    let shown = |found: &haechi_rules::Diagnostic| {
        format!(
            "{}:{} {} {}",
            found.span.line, found.span.column, found.code, found.message
        )
    };
    pipelines.diagnostics().iter().map(shown).collect()
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, place, says) in [
        ("- a list\n", "1:1 HC070", "a pipeline is a mapping"),
        ("name: x\nprioritty: 1\n", "2:1 HC013", "prioritty"),
        ("priority: high\n", "1:11 HC012", "a whole number"),
        ("finalizers: [{type: concat}]\n", "1:1 HC072", "queries"),
        (
            "postprocessing:\n  - {type: embed}\n",
            "1:1 HC072",
            "queries",
        ),
        (
            "transformations:\n  - {type: field_name_maping, mapping: {a: b}}\n",
            "2:12 HC071",
            "field_name_maping",
        ),
        (
            "transformations:\n  - {type: query_expression_placeholders, expression: x}\n",
            "2:12 HC072",
            "queries",
        ),
        (
            "transformations:\n  - {type: field_name_mapping}\n",
            "2:12 HC011",
            "mapping",
        ),
        (
            "transformations:\n  - {type: field_name_mapping, mapping: {a: []}}\n",
            "2:45 HC070",
            "nothing",
        ),
        (
            "transformations:\n  - {type: field_name_prefix, prefx: x, prefix: y}\n",
            "2:31 HC013",
            "prefx",
        ),
        (
            "transformations:\n  - {type: replace_string, regex: '(', replacement: x}\n",
            "2:35 HC024",
            "compile",
        ),
        (
            "transformations:\n  - {type: case, method: loud}\n",
            "2:26 HC070",
            "loud",
        ),
        (
            "transformations:\n  - {type: value_placeholders, include: [a], exclude: [b]}\n",
            "2:12 HC070",
            "together",
        ),
        (
            "transformations:\n  - {type: drop_detection_item, rule_conditions: [{type: logsorce}]}\n",
            "2:58 HC071",
            "logsorce",
        ),
        (
            "transformations:\n  - {type: drop_detection_item, rule_cond_op: xor}\n",
            "2:47 HC070",
            "xor",
        ),
        (
            "transformations:\n  - {type: drop_detection_item, rule_conditions: {a: {type: is_sigma_rule}}, rule_cond_expression: a and b}\n",
            "2:100 HC070",
            "`b`",
        ),
        (
            "transformations:\n  - {type: drop_detection_item, field_name_conditions: [{type: include_fields, fields: ['('], mode: re}]}\n",
            "HC024",
            "compile",
        ),
        (
            "transformations:\n  - {type: add_condition, conditions: {a|contian: x}}\n",
            "HC021",
            "contian",
        ),
        ("a: [\n", "HC003", ""),
        ("", "HC070", "empty"),
        ("vars: {}\n---\nvars: {}\n", "HC070", "one pipeline"),
    ] {
        let found = wrong(text);
        assert!(
            found
                .iter()
                .any(|line| line.contains(place) && line.contains(says)),
            "{text}\n{place} {says} is not in {found:#?}"
        );
    }
}

#[test]
fn every_transformation_and_condition_reads() {
    let text = "
name: all
priority: 5
allowed_backends: [any]
vars: {a: [x, 1], b: y}
transformations:
  - {id: i, type: field_name_mapping, mapping: {a: b, c: [d, e]}}
  - {type: field_name_prefix_mapping, mapping: {a: b}}
  - {type: field_name_prefix, prefix: x}
  - {type: field_name_suffix, suffix: x}
  - {type: field_name_transform, transform_func: lower}
  - {type: drop_detection_item, detection_item_conditions: [{type: match_string, pattern: x, cond: all, negate: true}], detection_item_cond_not: true}
  - {type: hashes_fields, valid_hash_algos: [MD5], field_prefix: f, drop_algo_prefix: false}
  - {type: wildcard_placeholders, include: [a]}
  - {type: value_placeholders, exclude: [a]}
  - {type: add_condition, conditions: {a: [1, 2], b|contains: x}, name: n, template: false, negated: true}
  - {type: change_logsource, product: a, category: b, service: c}
  - {type: add_field, field: a}
  - {type: remove_field, field: a}
  - {type: set_field, fields: [a]}
  - {type: replace_string, regex: x, replacement: y, skip_special: true, interpret_special: true}
  - {type: map_string, mapping: {a: b}}
  - {type: set_state, key: a, val: b}
  - {type: regex}
  - {type: set_value, value: null}
  - {type: set_value, value: 7, force_type: str}
  - {type: convert_type, target_type: str}
  - {type: rule_failure, message: no, rule_conditions: [{type: tag, tag: a.b}, {type: processing_item_applied, processing_item_id: i}]}
  - {type: detection_item_failure, message: no, field_name_conditions: [{type: processing_state, key: a, val: b}], field_name_cond_op: or}
  - {type: strict_field_mapping_failure, rule_conditions: [{type: is_sigma_correlation_rule}]}
  - {type: set_custom_attribute, attribute: a, value: b}
  - {type: nest, items: [{type: case, method: snake_case}]}
postprocessing: []
finalizers: []
";
    assert_eq!(wrong(text), Vec::<String>::new());
}

#[test]
fn a_placeholder_file_is_a_mapping() {
    for (text, says) in [
        ("- a\n", "a mapping of names"),
        ("a: []\n", "no values"),
        ("a: {b: c}\n", "text"),
    ] {
        let pipelines = Pipelines::read(&[], &[source("values.yml", text)]);
        assert!(!pipelines.is_sound(), "{text}");
        let found = &pipelines.diagnostics()[0];
        assert!(found.message.contains(says), "{}", found.message);
        assert_eq!(&*found.file, Path::new("values.yml"));
    }
}

#[test]
fn a_rule_that_does_not_come_out_is_told_to_what_refers_to_it() {
    let rules = "
title: base
id: 00000000-0000-4000-8000-000000000001
name: base
logsource: {product: x}
detection: {sel: {f: x}, condition: sel}
---
title: kept
id: 00000000-0000-4000-8000-000000000002
name: kept
logsource: {product: y}
detection: {sel: {f: x}, condition: sel}
---
title: of base
id: 00000000-0000-4000-8000-000000000003
correlation: {type: event_count, rules: [base], group-by: [f], timespan: 5m, condition: {gte: 2}}
---
title: of kept
id: 00000000-0000-4000-8000-000000000004
correlation: {type: event_count, rules: [kept], group-by: [f], timespan: 5m, condition: {gte: 2}}
";
    let pipeline = "
transformations:
  - {type: rule_failure, message: not x, rule_conditions: [{type: logsource, product: x}]}
  - {type: field_name_mapping, mapping: {f: g}}
";
    let pipelines = Pipelines::read(&[source("p.yml", pipeline)], &[]);
    let loaded = load_str_through(Path::new("r.yml"), rules, &pipelines);
    let said: Vec<&str> = loaded.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(said, ["HC073", "HC043"], "{:?}", loaded.diagnostics);
    assert!(
        loaded.diagnostics[0]
            .help
            .as_deref()
            .unwrap_or_default()
            .contains("p.yml:3:")
    );
    assert_eq!(loaded.rules.detections.len(), 1);
    let correlation = &loaded.rules.correlations[0];
    assert_eq!(correlation.rules, [haechi_rules::Referent::Detection(0)]);
    assert_eq!(correlation.aliases["f"][&0], "g");
}

#[test]
fn a_correlation_cannot_group_by_alternatives() {
    let rules = "
title: base
id: 00000000-0000-4000-8000-000000000001
name: base
logsource: {product: x}
detection: {sel: {f: x}, condition: sel}
---
title: many
id: 00000000-0000-4000-8000-000000000003
correlation: {type: event_count, rules: [base], group-by: [f], timespan: 5m, condition: {gte: 2}}
";
    let pipeline = "transformations: [{type: field_name_mapping, mapping: {f: [g, h]}}]\n";
    let pipelines = Pipelines::read(&[source("p.yml", pipeline)], &[]);
    let loaded = load_str_through(Path::new("r.yml"), rules, &pipelines);
    assert_eq!(
        loaded.diagnostics[0].code, "HC074",
        "{:?}",
        loaded.diagnostics
    );
}
