//! Rollups, query by query.

use haechi_rules::FieldType;
use serde_json::{Value, json};

use super::world::{Event, SECOND, Setup, number, plan, rollup, rule_set, run};
use crate::{CompileError, LateKind, Outcome, Plan, RollupRow, Tables};

fn rows_with(
    sql: &str,
    types: &[(&str, FieldType)],
    setup: &Setup,
    events: Vec<Event>,
) -> Vec<Outcome> {
    let plan = plan(&rule_set(0, Vec::new(), vec![rollup(sql, types)]));
    run(&plan, setup, &number(events))
}

/// The rows of a query as JSON objects, ordered by window and group.
fn rows(sql: &str, types: &[(&str, FieldType)], events: Vec<Event>) -> Vec<Value> {
    let outcomes = rows_with(sql, types, &Setup::default(), events);
    let mut rows: Vec<RollupRow> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Rollup(row) => row,
            other => panic!("{other:?}"),
        })
        .collect();
    rows.sort_by_key(|row| (row.start_ns, format!("{:?}", row.group)));
    rows.into_iter()
        .map(|row| Value::Object(row.columns.into_iter().collect()))
        .collect()
}

fn errors(sql: &str) -> CompileError {
    let rules = rule_set(0, Vec::new(), vec![rollup(sql, &[])]);
    let tables = Tables::new(["logs".into()]).with_logsources([]);
    match Plan::compile(&rules, &tables) {
        Ok(_) => panic!("{sql} compiles"),
        Err(errors) => errors.into_iter().next().unwrap(),
    }
}

fn web(second: i64, host: &str, bytes: &str) -> Event {
    Event::at(second * SECOND)
        .with("host", host)
        .with("bytes", bytes)
}

#[test]
fn all_aggregates_over_text() {
    let sql = "SELECT host, count(*), count(bytes) AS n, sum(bytes) AS total, avg(bytes) AS mean, \
               min(host) AS least, max(bytes) AS most, count(DISTINCT bytes) AS kinds \
               FROM logs GROUP BY tumble(interval '1 minute'), host";
    let events = vec![
        web(0, "a", "10"),
        web(59, "a", "9"),
        web(60, "a", "1.5"),
        web(1, "b", "x"),
        Event::at(2 * SECOND).with("host", "b"),
    ];
    let expected = [
        json!({"host": "a", "count(*)": 2, "n": 2, "total": 19, "mean": 9.5, "least": "a", "most": "9", "kinds": 2}),
        json!({"host": "b", "count(*)": 2, "n": 1, "total": null, "mean": null, "least": "b", "most": "x", "kinds": 1}),
        json!({"host": "a", "count(*)": 1, "n": 1, "total": 1.5, "mean": 1.5, "least": "a", "most": "1.5", "kinds": 1}),
    ];
    assert_eq!(rows(sql, &[], events), expected);
}

#[test]
fn declared_types() {
    let types = [
        ("bytes", FieldType::Bigint),
        ("ratio", FieldType::Double),
        ("ok", FieldType::Boolean),
    ];
    let sql = "SELECT min(bytes) AS least, max(bytes) AS most, sum(bytes) AS total, max(ratio) AS ratio, \
               count(*) FILTER (WHERE ok) AS good, count(DISTINCT bytes) AS kinds \
               FROM logs GROUP BY tumble(interval '1 hour')";
    let events = vec![
        web(0, "a", "10").with("ratio", "0.25").with("ok", "true"),
        web(1, "a", "9").with("ratio", "NaN").with("ok", "false"),
        web(2, "a", "9.0").with("ok", "TRUE"),
        web(3, "a", "many").with("ok", "maybe"),
    ];
    let expected =
        json!({"least": 9, "most": 10, "total": 28, "ratio": 0.25, "good": 2, "kinds": 2});
    assert_eq!(rows(sql, &types, events), [expected]);
}

#[test]
fn the_columns_are_named_as_select_names_them() {
    let sql = "SELECT t.host, upper(t.\"user.name\"), user.name, count(*), count(*) + 1 AS more, \
               tumble(interval '1 minute') \
               FROM logs t GROUP BY 6, t.host, user.name";
    let event = Event::at(61 * SECOND)
        .with("host", "a")
        .with("user.name", "bob");
    let expected = json!({
        "host": "a",
        "upper(t.\"user.name\")": "BOB",
        "user.name": "bob",
        "count(*)": 1,
        "more": 2,
        "tumble(INTERVAL '1 minute')": "1970-01-01T00:01:00Z",
    });
    assert_eq!(rows(sql, &[], vec![event]), [expected]);
}

#[test]
fn windows_and_event_time() {
    let sql = "SELECT tumble(interval '5 minutes') AS start, min(_time) AS first, max(event_time) AS last \
               FROM logs GROUP BY start HAVING count(*) > 1";
    let events = [-1, 0, 299, 300]
        .map(|second| Event::at(second * SECOND))
        .to_vec();
    let expected = json!({
        "start": "1970-01-01T00:00:00Z",
        "first": "1970-01-01T00:00:00Z",
        "last": "1970-01-01T00:04:59Z",
    });
    assert_eq!(rows(sql, &[], events), [expected]);
}

#[test]
fn conditions_and_calculations_with_text() {
    let base = |condition: &str| {
        let sql = format!(
            "SELECT count(*) AS n FROM logs WHERE {condition} GROUP BY tumble(interval '1 day')"
        );
        let texts = ["5", "10", "50", "x", ""];
        let events = texts.iter().map(|text| web(0, "a", text)).collect();
        rows(&sql, &[], events)
            .first()
            .map(|row| row["n"].as_i64().unwrap())
            .unwrap_or(0)
    };
    assert_eq!(base("bytes > 9"), 2);
    assert_eq!(base("9 < bytes"), 2);
    assert_eq!(base("bytes BETWEEN 5 AND 10"), 2);
    assert_eq!(base("bytes NOT BETWEEN 5 AND 10"), 1);
    assert_eq!(base("bytes IN (5, 50)"), 2);
    assert_eq!(base("bytes NOT IN (5, 50)"), 1);
    assert_eq!(base("length(bytes) IN (1, 3)"), 2);
    assert_eq!(base("bytes IN ('5', 'x')"), 2);
    assert_eq!(base("bytes = '10'"), 1);
    assert_eq!(base("bytes * 2 + 1 = 11"), 1);
    assert_eq!(base("-bytes = -5"), 1);
    assert_eq!(base("100 / (bytes - 5) > 0"), 2);
    assert_eq!(base("cast(bytes AS bigint) >= 10"), 2);
    assert_eq!(base("bytes::double >= 10"), 2);
    assert_eq!(base("bytes LIKE '5%'"), 2);
    assert_eq!(base("length(bytes) = 2"), 2);
    assert_eq!(base("bytes IS NULL"), 0);
    assert_eq!(base("coalesce(nope, bytes) = '5'"), 1);
    assert_eq!(base("CASE WHEN bytes > 9 THEN true ELSE false END"), 2);
    assert_eq!(base("extract(hour FROM _time) = 0"), 5);
    assert_eq!(base("_time >= timestamp '1970-01-01 00:00:00'"), 5);
}

#[test]
fn an_expression_that_fails_on_a_row_is_null_there() {
    let sql = "SELECT count(to_timestamp(at)) AS readable, count(*) AS n FROM logs \
               GROUP BY tumble(interval '1 minute')";
    let events = ["2024-01-01T00:00:00Z", "yesterday", "2024-01-02T00:00:00Z"];
    let events: Vec<Event> = events
        .iter()
        .map(|text| Event::at(0).with("at", text))
        .collect();
    let setup = Setup {
        batches: vec![3],
        ..Setup::default()
    };
    let outcomes = rows_with(sql, &[], &setup, events);
    let [Outcome::Rollup(row)] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(
        row.columns,
        [
            ("readable".to_owned(), json!(2)),
            ("n".to_owned(), json!(3))
        ]
    );
}

#[test]
fn first_values_absent_fields_and_nulls() {
    let sql = "SELECT host, count(*) AS n FROM logs GROUP BY tumble(interval '1 minute'), host";
    let many = Some(vec![Some("a".to_owned()), Some("b".to_owned())]);
    let events = vec![
        Event::at(0).with_values("host", many),
        Event::at(0).with("host", "a"),
        Event::at(0),
        Event::at(0).with_values("host", Some(vec![None])),
        Event::at(0).with_values("host", Some(vec![])),
        Event::at(0).with("host", ""),
    ];
    let mut rows = rows(sql, &[], events);
    rows.sort_by_key(|row| row["host"].as_str().map(str::to_owned));
    let expected = [
        json!({"host": null, "n": 3}),
        json!({"host": "", "n": 1}),
        json!({"host": "a", "n": 2}),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_table_is_an_input_or_a_logsource() {
    let count = |table: &str| {
        let sql = format!("SELECT count(*) AS n FROM {table} GROUP BY tumble(interval '1 minute')");
        let windows = Event {
            class: 1,
            ..Event::at(0)
        };
        rows(&sql, &[], vec![Event::at(0), windows.clone(), windows])
            .first()
            .map(|row| row["n"].clone())
    };
    assert_eq!(count("logs"), Some(json!(3)));
    assert_eq!(count("windows"), Some(json!(2)));
    assert_eq!(count("webserver"), Some(json!(1)));
    assert_eq!(count("windows_process_creation"), Some(json!(2)));
    assert_eq!(count("\"windows/process_creation\""), Some(json!(2)));
    assert_eq!(count("linux_process_creation"), None);
}

#[test]
fn every_type_can_be_a_key() {
    let types = [
        ("n", FieldType::Bigint),
        ("d", FieldType::Double),
        ("b", FieldType::Boolean),
    ];
    let sql = "SELECT n, d, b, length(host) AS len, date_trunc('hour', _time) AS hour, \
               cast(_time AS date) AS day, count(*) AS rows \
               FROM logs GROUP BY n, d, b, length(host), hour, tumble(interval '1 minute'), day";
    let event = Event::at(0)
        .with("n", "-3")
        .with("d", "0.5")
        .with("b", "true")
        .with("host", "abc");
    let expected = json!({
        "n": -3, "d": 0.5, "b": true, "len": 3, "hour": "1970-01-01T00:00:00Z", "day": "1970-01-01", "rows": 1
    });
    assert_eq!(rows(sql, &types, vec![event]), [expected]);
}

#[test]
fn zero_has_one_sign() {
    let types = [("d", FieldType::Double)];
    let sql = "SELECT d, count(*) AS n FROM logs GROUP BY tumble(interval '1 minute'), d";
    let events = vec![Event::at(0).with("d", "0"), Event::at(0).with("d", "-0.0")];
    assert_eq!(rows(sql, &types, events), [json!({"d": 0, "n": 2})]);
}

#[test]
fn without_aggregates_it_lists_the_groups() {
    let sql = "SELECT host FROM logs GROUP BY tumble(interval '1 minute'), host";
    let events = vec![web(0, "a", "1"), web(1, "a", "1"), web(2, "b", "1")];
    assert_eq!(
        rows(sql, &[], events),
        [json!({"host": "a"}), json!({"host": "b"})]
    );
}

#[test]
fn the_group_is_known_whatever_is_selected() {
    let sql = "SELECT count(*) AS n, host FROM logs l GROUP BY 2, tumble(interval '1 minute'), lower(bytes)";
    let outcomes = rows_with(sql, &[], &Setup::default(), vec![web(60, "a", "X")]);
    let [Outcome::Rollup(row)] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    let group = [
        ("host".to_owned(), json!("a")),
        ("lower(bytes)".to_owned(), json!("x")),
    ];
    assert_eq!(row.group, group);
    assert_eq!((row.start_ns, row.end_ns), (60 * SECOND, 120 * SECOND));
}

#[test]
fn partials_of_closed_windows_are_late() {
    let sql = "SELECT host, count(*) AS n FROM logs GROUP BY tumble(interval '1 minute'), host";
    let setup = Setup {
        lateness: std::time::Duration::ZERO,
        batches: vec![1, 1, 2],
        ..Setup::default()
    };
    let events = vec![
        web(30, "a", ""),
        web(60, "a", ""),
        web(59, "b", ""),
        web(58, "b", ""),
    ];
    let outcomes = rows_with(sql, &[], &setup, events);
    let late: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Late(late) => Some(late),
            _ => None,
        })
        .collect();
    let [late] = late[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!((late.time_ns, late.watermark_ns), (0, 60 * SECOND));
    let what = LateKind::Partial {
        rule: 0,
        group: vec![("host".to_owned(), json!("b"))],
        end_ns: 60 * SECOND,
        rows: 2,
    };
    assert_eq!(late.what, what);
}

/// A query, what is said of it, and where: line and column.
const NO_ROLLUPS: &[(&str, &str, (u32, u32))] = &[
    ("SELECT", "expected", (10, 5)),
    (
        "SELECT count(*)\nFROM logs GROUP BY tumble(interval '1 minute'))",
        "found: )",
        (11, 51),
    ),
    ("SELECT 1; SELECT 2", "one SELECT", (10, 5)),
    ("DELETE FROM logs", "one SELECT", (10, 5)),
    ("SELECT count(*) FROM logs", "needs a time window", (10, 5)),
    (
        "SELECT count(*) FROM logs GROUP BY host",
        "needs a time window",
        (10, 5),
    ),
    (
        "SELECT count(*) FROM logs GROUP BY tumble(interval '1 minute'), tumble(interval '2 minutes')",
        "two windows",
        (10, 40),
    ),
    (
        "SELECT count(*) FROM logs GROUP BY tumble(interval '1 month')",
        "constant interval",
        (10, 40),
    ),
    (
        "SELECT count(*) FROM logs GROUP BY tumble(interval '0 minutes')",
        "constant interval",
        (10, 40),
    ),
    (
        "SELECT count(*) FROM logs GROUP BY tumble('1 minute')",
        "constant interval",
        (10, 40),
    ),
    (
        "SELECT count(*) FROM logs GROUP BY tumble(interval '1 minute') + interval '1 second'",
        "part of an expression",
        (10, 40),
    ),
    (
        "SELECT count(*) FROM logs WHERE tumble(interval '1 minute') > _time GROUP BY tumble(interval '1 minute')",
        "the window can stand in GROUP BY",
        (10, 37),
    ),
    (
        "SELECT count(*)\nFROM nowhere GROUP BY tumble(interval '1 minute')",
        "`nowhere`",
        (11, 10),
    ),
    (
        "SELECT count(*) FROM logs, more GROUP BY tumble(interval '1 minute')",
        "one input",
        (10, 32),
    ),
    (
        "SELECT count(*) FROM logs JOIN more ON true GROUP BY tumble(interval '1 minute')",
        "join",
        (10, 26),
    ),
    (
        "SELECT * FROM logs GROUP BY tumble(interval '1 minute')",
        "select *",
        (10, 12),
    ),
    (
        "SELECT count(*), count(*) FROM logs GROUP BY tumble(interval '1 minute')",
        "two columns",
        (10, 22),
    ),
    (
        "SELECT host, count(*) FROM logs GROUP BY tumble(interval '1 minute')",
        "host",
        (10, 12),
    ),
    (
        "SELECT medium(bytes) FROM logs GROUP BY tumble(interval '1 minute')",
        "no function medium",
        (10, 12),
    ),
    (
        "SELECT count(*) FROM logs WHERE _time < now() GROUP BY tumble(interval '1 minute')",
        "no function now",
        (10, 45),
    ),
    (
        "SELECT stddev(DISTINCT bytes) FROM logs GROUP BY tumble(interval '1 minute')",
        "DISTINCT",
        (10, 12),
    ),
    (
        "SELECT count(DISTINCT a, b) FROM logs GROUP BY tumble(interval '1 minute')",
        "one argument",
        (10, 12),
    ),
    (
        "SELECT sum(_time) FROM logs GROUP BY tumble(interval '1 minute')",
        "needs numbers",
        (10, 12),
    ),
    (
        "SELECT count(*) OVER () FROM logs GROUP BY tumble(interval '1 minute')",
        "OVER",
        (10, 12),
    ),
    (
        "SELECT count(*) FROM logs GROUP BY tumble(interval '1 minute') ORDER BY 1",
        "ORDER BY",
        (10, 77),
    ),
    (
        "SELECT count(*) FROM logs GROUP BY tumble(interval '1 minute') LIMIT 1",
        "LIMIT",
        (10, 74),
    ),
    (
        "SELECT count(*) FROM logs WHERE a IN (SELECT b FROM logs) GROUP BY tumble(interval '1 minute')",
        "subquery",
        (10, 37),
    ),
    (
        "SELECT count(_values) FROM logs GROUP BY tumble(interval '1 minute')",
        "`_values`",
        (10, 5),
    ),
    (
        "SELECT sum(sum(bytes)) FROM logs GROUP BY tumble(interval '1 minute')",
        "nested",
        (10, 20),
    ),
    (
        "SELECT count(*) FROM logs WHERE a ~ '[' GROUP BY tumble(interval '1 minute')",
        "regex",
        (10, 5),
    ),
    (
        "SELECT count(*) FROM logs WHERE a[1] = 2 GROUP BY tumble(interval '1 minute')",
        "",
        (10, 37),
    ),
    (
        "SELECT count(*) FROM logs WHERE host GROUP BY tumble(interval '1 minute')",
        "",
        (10, 5),
    ),
];

#[test]
fn what_is_no_rollup_is_an_error_with_its_place() {
    let mut wrong = Vec::new();
    for &(sql, message, place) in NO_ROLLUPS {
        let error = errors(sql);
        let text = error.to_string();
        if !text.contains(message) || (error.span.line, error.span.column) != place {
            wrong.push(format!("{sql}: {text}, not at {place:?} with `{message}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn text_extremes_are_warned_of() {
    let sql =
        "SELECT max(bytes), min(size), max(_time)\nFROM logs GROUP BY tumble(interval '1 minute')";
    let rules = rule_set(
        0,
        Vec::new(),
        vec![rollup(
            sql,
            &[("size", FieldType::Bigint), ("sise", FieldType::Bigint)],
        )],
    );
    let plan = Plan::compile(&rules, &Tables::new(["logs".into()])).unwrap();
    let [warning, unread] = plan.warnings() else {
        panic!("{:?}", plan.warnings());
    };
    assert!(warning.message.contains("max(bytes)"));
    assert!(unread.message.contains("`sise`"));
    assert_eq!(
        (warning.span.line, warning.span.column, warning.span.len),
        (10, 16, 5)
    );
    assert_eq!(plan.fields(), ["bytes", "size"]);
    assert_eq!(plan.longest_span_ns(), 60 * SECOND);
}

#[test]
fn one_broken_rollup_does_not_hide_another() {
    let rules = rule_set(
        0,
        Vec::new(),
        vec![rollup("SELECT", &[]), rollup("SELEC", &[])],
    );
    let errors = Plan::compile(&rules, &Tables::default()).err().unwrap();
    assert_eq!(errors.len(), 2);
}
