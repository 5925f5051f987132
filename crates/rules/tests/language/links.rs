//! Rules that refer to others: correlations, filters, duplicates; and rollups.

use std::path::Path;

use haechi_rules::{
    Combination, CompareOp, CorrelationCondition, CorrelationKind, FieldType, Level, Loaded,
    Referent, Severity, lint, load_str,
};

fn sound(text: &str) -> Loaded {
    let loaded = load_str(Path::new("r.yml"), text);
    let errors: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    loaded
}

fn detection(id: &str, logsource: &str) -> String {
    format!(
        "title: {id}\nid: {id}\nname: name-{id}\nlogsource: {{{logsource}}}\ndetection: {{sel: {{A: {id}}}, condition: sel}}\n---\n"
    )
}

fn correlation(id: &str, keys: &str) -> String {
    format!(
        "title: {id}\nid: {id}\ncorrelation: {{type: event_count, timespan: 10m, condition: {{gte: 3}}, {keys}}}\n---\n"
    )
}

fn filter(id: &str, rules: &str, logsource: &str) -> String {
    format!(
        "title: {id}\nid: {id}\nlogsource: {{{logsource}}}\nfilter: {{rules: {rules}, sel: {{F: {id}}}, condition: not sel}}\n---\n"
    )
}

#[test]
fn headers_are_read() {
    let loaded = sound(
        "title: Something odd\nid: 8d1d5a3f-6b1c-4f7e-9d0a-1b2c3d4e5f60\nname: odd\ndescription: >-\n  Why it\n  matters.\nlevel: high\n\
         status: test\ntags: [attack.execution, attack.t1059]\nauthor: [A, B]\nreferences:\n  - https://example.org\n\
         falsepositives: none known\nlogsource: {product: Windows, category: Process_Creation, definition: x}\n\
         detection: {sel: {A: x}, condition: sel}\n",
    );
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let rule = &loaded.rules.detections[0];
    assert_eq!(&*rule.header.id, "8d1d5a3f-6b1c-4f7e-9d0a-1b2c3d4e5f60");
    assert_eq!(
        (rule.header.title.as_str(), rule.header.name.as_deref()),
        ("Something odd", Some("odd"))
    );
    assert_eq!(rule.header.description.as_deref(), Some("Why it matters."));
    assert_eq!(
        (rule.header.level, rule.header.status.as_deref()),
        (Level::High, Some("test"))
    );
    assert_eq!(rule.header.tags, ["attack.execution", "attack.t1059"]);
    assert_eq!(rule.header.author.as_deref(), Some("A, B"));
    assert_eq!(rule.header.references, ["https://example.org"]);
    assert_eq!(rule.header.falsepositives, ["none known"]);
    assert_eq!(
        (
            rule.header.span.line,
            rule.header.span.column,
            rule.header.span.len
        ),
        (1, 8, 13)
    );
    assert_eq!(rule.logsource.to_string(), "windows/process_creation");
    assert!(rule.alerts);
}

#[test]
fn rules_are_found_by_id_and_by_name_wherever_they_stand() {
    let text = [
        correlation("c", "rules: [name-b, a, b], group-by: [User]"),
        detection("a", ""),
        detection("b", ""),
    ]
    .concat();
    let loaded = sound(&text);
    let correlation = &loaded.rules.correlations[0];
    let rules = [Referent::Detection(1), Referent::Detection(0)];
    assert_eq!(correlation.rules, rules);
    assert_eq!(correlation.kind, CorrelationKind::EventCount);
    assert_eq!(correlation.group_by, ["User"]);
    assert_eq!(correlation.timespan_ns, 600_000_000_000);
    let three = CorrelationCondition::Number(vec![(CompareOp::Gte, 3.0)]);
    assert_eq!(correlation.condition, three);
    assert!(!correlation.generate && correlation.aliases.is_empty());
}

#[test]
fn ranges_and_aliases_are_resolved() {
    let loaded = sound(&format!(
        "{}{}title: c\ncorrelation:\n  type: event_count\n  rules: [a, b]\n  group-by: [user, host]\n  timespan: 1h\n  condition:\n    gt: 2.5\n    lte: 10\n\
         \x20 generate: true\n  aliases:\n    user: {{a: SubjectUserName, name-b: Account}}\n",
        detection("a", ""),
        detection("b", "")
    ));
    let correlation = &loaded.rules.correlations[0];
    assert_eq!(
        correlation.condition,
        CorrelationCondition::Number(vec![(CompareOp::Gt, 2.5), (CompareOp::Lte, 10.0)])
    );
    let user = &correlation.aliases["user"];
    assert_eq!(
        (user[&0].as_str(), user[&1].as_str(), user.len()),
        ("SubjectUserName", "Account", 2)
    );
    assert!(correlation.generate);
}

#[test]
fn a_counted_rule_alerts_only_where_a_correlation_says_so() {
    let text = [
        ["a", "b", "c", "d"].map(|id| detection(id, "")).concat(),
        correlation("c1", "rules: [a, b]"),
        correlation("c2", "rules: [b, c], generate: true"),
        // A correlation that does not load silences nothing.
        correlation("c3", "rules: [d, nobody]"),
    ]
    .concat();
    let loaded = load_str(Path::new("r.yml"), &text);
    assert_eq!(loaded.rules.correlations.len(), 2);
    let alerts: Vec<bool> = loaded
        .rules
        .detections
        .iter()
        .map(|rule| rule.alerts)
        .collect();
    assert_eq!(alerts, [false, true, true, true]);
}

#[test]
fn correlations_of_correlations_are_resolved_and_silenced() {
    let text = [
        correlation(
            "outer",
            "rules: [inner, a], group-by: [u], aliases: {u: {inner: User}}",
        ),
        correlation("broken", "rules: [nobody]"),
        correlation("inner", "rules: [a, b], group-by: [User, Host]"),
        correlation("heard", "rules: [outer], generate: true"),
        detection("a", ""),
        detection("b", ""),
    ]
    .concat();
    let mut rules = load_str(Path::new("r.yml"), &text).rules;
    let found = |rules: &haechi_rules::RuleSet| {
        let all = rules.correlations.iter();
        let all = all.map(|rule| (rule.header.id.to_string(), rule.rules.clone(), rule.alerts));
        all.collect::<Vec<_>>()
    };
    let (detection, inner) = (Referent::Detection, Referent::Correlation);
    let row = |id: &str, rules: &[Referent], alerts| (id.to_owned(), rules.to_vec(), alerts);
    let all = [
        row("outer", &[inner(1), detection(0)], true),
        row("inner", &[detection(0), detection(1)], false),
        row("heard", &[inner(0)], true),
    ];
    assert_eq!(found(&rules), all);
    assert_eq!(rules.correlations[0].field("u", 0), "User");
    assert_eq!(rules.correlations[0].field("u", 1), "u");
    let mut without_outer = rules.clone();
    assert_eq!(
        without_outer.remove_correlations(|id| id == "outer").len(),
        1
    );
    assert_eq!(
        found(&without_outer),
        [row("inner", &[detection(0), detection(1)], false)]
    );
    assert_eq!(rules.remove_correlations(|id| id == "inner").len(), 2);
    assert_eq!(found(&rules), []);
}

#[test]
fn the_types_and_their_conditions() {
    let kind = |keys: &str| {
        let text = format!(
            "title: c\nid: c\ncorrelation: {{rules: [a, b], timespan: 10m, {keys}}}\n---\n{}{}",
            detection("a", ""),
            detection("b", "")
        );
        let rule = sound(&text).rules.correlations[0].clone();
        (rule.kind.clone(), rule.condition.clone())
    };
    let number = |op, of: f64| CorrelationCondition::Number(vec![(op, of)]);
    let all = CorrelationCondition::Rules(Combination::And(vec![
        Combination::Rule(0),
        Combination::Rule(1),
    ]));
    let not = CorrelationCondition::Rules(Combination::And(vec![
        Combination::Rule(0),
        Combination::Not(Box::new(Combination::Rule(1))),
    ]));
    use CompareOp::{Gte, Lt};
    use CorrelationKind::{
        Temporal, TemporalOrdered, ValueAvg, ValueCount, ValueMedian, ValuePercentile, ValueSum,
    };
    let bytes = || "bytes".to_owned();
    let percentile = ValuePercentile {
        field: bytes(),
        percentile: 99.5,
    };
    for (keys, expected) in [
        (
            "type: value_count, condition: {field: u, gte: 2.5}",
            (ValueCount(vec!["u".into()]), number(Gte, 2.5)),
        ),
        (
            "type: value_count, condition: {field: [u, v], gte: 3}",
            (ValueCount(vec!["u".into(), "v".into()]), number(Gte, 3.0)),
        ),
        (
            "type: value_sum, condition: {field: bytes, gte: 3}",
            (ValueSum(bytes()), number(Gte, 3.0)),
        ),
        (
            "type: value_avg, condition: {field: bytes, lt: -1}",
            (ValueAvg(bytes()), number(Lt, -1.0)),
        ),
        (
            "type: value_median, condition: {field: bytes, gte: 3}",
            (ValueMedian(bytes()), number(Gte, 3.0)),
        ),
        (
            "type: value_percentile, condition: {field: bytes, percentile: 99.5, gte: 3}",
            (percentile, number(Gte, 3.0)),
        ),
        ("type: temporal", (Temporal, all.clone())),
        (
            "type: temporal, condition: {gte: 2}",
            (Temporal, number(Gte, 2.0)),
        ),
        ("type: temporal_ordered", (TemporalOrdered, all.clone())),
        (
            "type: temporal_ordered, condition: {gte: 2}",
            (TemporalOrdered, all),
        ),
        (
            "type: temporal, condition: a and not name-b",
            (Temporal, not.clone()),
        ),
        (
            "type: temporal_extended, condition: name-a and not b",
            (Temporal, not.clone()),
        ),
        (
            "type: temporal_ordered_extended, condition: a and not b",
            (TemporalOrdered, not),
        ),
    ] {
        assert_eq!(kind(keys), expected, "{keys}");
    }
}

#[test]
fn the_condition_names_the_rules_where_nothing_else_does() {
    let text = format!(
        "title: c\nid: c\ncorrelation: {{type: temporal_ordered, timespan: 10m, condition: b and (a or name-b)}}\n---\n{}{}",
        detection("a", ""),
        detection("b", "")
    );
    let rules = sound(&text).rules;
    let correlation = &rules.correlations[0];
    assert_eq!(
        correlation.rules,
        [Referent::Detection(1), Referent::Detection(0)]
    );
    let either = Combination::Or(vec![Combination::Rule(1), Combination::Rule(0)]);
    let condition = Combination::And(vec![Combination::Rule(0), either]);
    assert_eq!(
        correlation.condition,
        CorrelationCondition::Rules(condition)
    );
}

#[test]
fn chains_have_a_limit() {
    // Each looks at the one below twice over, by way of two that look at it.
    let mut text = detection("a", "") + &correlation("c0", "rules: [a]");
    for n in 1..8 {
        let below = n - 1;
        text += &correlation(&format!("x{n}"), &format!("rules: [c{below}]"));
        text += &correlation(&format!("y{n}"), &format!("rules: [c{below}]"));
        text += &correlation(&format!("c{n}"), &format!("rules: [x{n}, y{n}]"));
    }
    let loaded = load_str(Path::new("r.yml"), &text);
    let codes: Vec<&str> = loaded
        .diagnostics
        .iter()
        .map(|found| found.code)
        .filter(|code| *code < "HC100")
        .collect();
    assert!(codes.contains(&"HC005") && codes.len() < 20, "{codes:?}");
    assert!(loaded.rules.correlations.len() > 10);
}

#[test]
fn filters_narrow_the_rules_that_they_are_for() {
    let text = [
        filter("f1", "[a, name-b]", "product: windows"),
        filter("f2", "any", "product: windows, category: file_event"),
        filter("f3", "Any", "product: linux"),
        detection("a", "product: windows"),
        detection("b", "product: windows, category: file_event"),
        detection("c", "product: windows, category: file_event, service: x"),
        detection("d", "product: linux"),
    ]
    .concat();
    let loaded = sound(&text);
    let conditions: Vec<String> = loaded
        .rules
        .detections
        .iter()
        .map(|rule| rule.condition.to_string())
        .collect();
    assert_eq!(
        conditions,
        [
            "A: 'a' and not F: 'f1'",
            "A: 'b' and not F: 'f1' and not F: 'f2'",
            "A: 'c' and not F: 'f2'",
            "A: 'd' and not F: 'f3'",
        ]
    );
}

#[test]
fn a_filters_selections_are_not_the_rules() {
    let loaded = sound(
        "title: r\nid: r\nlogsource: {product: x}\ndetection:\n  sel_a: {A: a}\n  sel_b: {B: b}\n  condition: 1 of sel_* or all of them\n---\n\
         title: f\nid: f\nlogsource: {product: x}\nfilter:\n  rules: r\n  sel_a: {C: c}\n  condition: sel_a or 1 of them\n",
    );
    let condition = loaded.rules.detections[0].condition.to_string();
    assert_eq!(
        condition,
        "(A: 'a' or B: 'b' or A: 'a' and B: 'b') and (C: 'c' or C: 'c')"
    );
}

#[test]
fn the_first_rule_with_an_id_is_kept() {
    let loaded = load_str(
        Path::new("r.yml"),
        &[detection("a", ""), filter("a", "any", "")].concat(),
    );
    assert_eq!(loaded.rules.detections[0].condition.to_string(), "A: 'a'");
    assert_eq!(
        loaded
            .diagnostics
            .iter()
            .filter(|found| found.code == "HC015")
            .count(),
        1
    );
}

#[test]
fn a_rule_without_an_id_gets_one_that_stays() {
    let text = "title: x\ndetection: {sel: {A: x}, condition: sel}\n";
    let id = |text: &str| {
        load_str(Path::new("r.yml"), text).rules.detections[0]
            .header
            .id
            .clone()
    };
    assert_eq!(id(text), id(&format!("# moved\nlevel: low\n{text}")));
    assert_ne!(id(text), id(&text.replace("A: x", "A: y")));
    let help = load_str(Path::new("r.yml"), text).diagnostics[0]
        .help
        .clone();
    assert_eq!(help, Some(format!("write `id: {}`", id(text))));
}

#[test]
fn rollups_keep_their_text_and_its_place() {
    let loaded = sound(
        "title: bytes\nid: x\nlevel: low\nrollup:\n  sql: |\n    SELECT host, sum(bytes)\n      FROM proxy\n  types: {bytes: bigint, ratio: double, ok: boolean, s: string}\n",
    );
    let rollup = &loaded.rules.rollups[0];
    assert_eq!(rollup.sql, "SELECT host, sum(bytes)\n  FROM proxy\n");
    assert_eq!((rollup.sql_span.line, rollup.sql_span.column), (6, 5));
    assert_eq!(rollup.types["bytes"], FieldType::Bigint);
    assert_eq!(rollup.types["ratio"], FieldType::Double);
    assert_eq!(rollup.types["ok"], FieldType::Boolean);
    assert_eq!(rollup.types["s"], FieldType::String);
}

#[test]
fn twins_are_told() {
    let twin = |id: &str, title: &str| {
        detection(id, "product: x")
            .replace(&format!("{{A: {id}}}"), "{A: same}")
            .replace("title: ", title)
    };
    let loaded = sound(
        &[
            twin("a", "title: first "),
            detection("b", "product: x"),
            twin("c", "title: second "),
        ]
        .concat(),
    );
    let found = lint(&loaded.rules);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].code, found[0].message.as_str()),
        ("HC116", "this detects the same as `first a` (r.yml)")
    );
    assert_eq!(found[0].span, loaded.rules.detections[2].header.span);
}

#[test]
fn fields_and_keywords_of_a_condition_are_told() {
    let loaded = sound(
        "title: x\ndetection:\n  a: {A|fieldref: B, C: [x, y]}\n  b: [word]\n  condition: a and not 1 of b\n",
    );
    let condition = &loaded.rules.detections[0].condition;
    let mut fields = Vec::new();
    condition.fields(&mut |name| fields.push(name.to_owned()));
    assert_eq!(fields, ["A", "B", "C", "C"]);
    assert!(condition.has_keywords());
    assert_eq!(condition.size(), 4);
}
