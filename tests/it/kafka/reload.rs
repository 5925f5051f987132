//! Rules that change while the stream goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use haechi_tests::app::{App, wait_for_metric, wait_until_ready};
use haechi_tests::broker::Client;
use haechi_tests::http::Samples;
use haechi_tests::process::Running;
use serde_json::{Value, json};

const FIRST: &str = r#"
title: failed
name: failed
id: 00000000-0000-4000-8000-000000000001
logsource: {product: test}
detection: {sel: {action: failed}, condition: sel}
---
title: three
id: 00000000-0000-4000-8000-000000000002
correlation: {type: event_count, rules: [failed], group-by: [user], timespan: 10s, condition: {gte: 3}}
---
title: per minute
id: 00000000-0000-4000-8000-000000000003
rollup: {sql: "SELECT \"user\", count(*) AS n FROM test GROUP BY tumble(interval '1 minute'), \"user\""}
"#;

/// Stands before the others, so that every rule has another place than before.
const ADDED: &str = r#"
title: reset
id: 00000000-0000-4000-8000-000000000004
logsource: {product: test}
detection: {sel: {action: reset}, condition: sel}
---
"#;

const WAIT: Duration = Duration::from_secs(40);

fn event(second: u32, action: &str, user: &str) -> Value {
    let event = json!({"ts": 86_400 + second, "user": user, "action": action}).to_string();
    let hex: String = event.bytes().map(|byte| format!("{byte:02x}")).collect();
    json!({"hex": hex, "partition": 0})
}

fn reloads(process: &mut Running, result: &str) {
    let series = format!("haechi_rule_reloads_total{{result=\"{result}\"}}");
    process.until(WAIT, &format!("a set is {result}"), |process| {
        let samples = Samples::scrape(haechi_tests::app::address(process)?)?;
        (samples.series.get(&series) == Some(&1.0)).then_some(())
    });
}

#[test]
fn changed_rules_take_over_and_unchanged_ones_keep_their_windows() {
    let client = Client::required();
    let mut app = App::new(&client, "reload");
    app.lateness = "5s";
    app.idle_timeout = "2s";
    app.reload_interval = "300ms";
    app.rule(FIRST);
    let app = app.created();
    let rules = app.rules[0].clone();
    let mut process = app.run();
    wait_until_ready(&mut process);
    let early = [event(1, "failed", "eve"), event(2, "failed", "eve")];
    client.produce_records(&app.topics[0], &early);
    wait_for_metric(&mut process, "haechi_records_total", 2.0, WAIT);

    std::fs::write(&rules, FIRST.replace("{sel: {action:", "{sel: {action|no:")).unwrap();
    reloads(&mut process, "refused");
    assert!(
        process.stderr().contains("there is no modifier `no`"),
        "the reason is said:\n{}",
        process.stderr()
    );

    let retitled = FIRST.replace("title: three", "title: three failures");
    std::fs::write(&rules, format!("{ADDED}{retitled}")).unwrap();
    reloads(&mut process, "taken");
    process.until(WAIT, "both workers have the new rules", |process| {
        let said = process.stderr().matches("they hold from here on").count();
        (said == app.workers).then_some(())
    });
    let late = [
        event(3, "failed", "eve"),
        event(4, "reset", "eve"),
        event(70, "none", "bob"),
    ];
    client.produce_records(&app.topics[0], &late);
    client.wait_for(&app.topic("alerts"), 2, WAIT);
    client.wait_for(&app.topic("rollups"), 1, WAIT);
    process.terminate();
    let _ = process.wait(Duration::from_secs(30)).succeeded();

    let records = client.read(&app.topic("alerts"));
    let mut alerts: Vec<Value> = records.iter().map(|record| record.json()).collect();
    alerts.sort_by_key(|alert| alert["title"].to_string());
    assert_eq!(alerts.len(), 2, "{alerts:#?}");
    assert_eq!(alerts[0]["title"], "reset");
    assert_eq!(alerts[0]["offset"], 3);
    assert_eq!(alerts[1]["title"], "three failures");
    let offsets: Vec<&Value> = alerts[1]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["offset"])
        .collect();
    assert_eq!(offsets, [0, 1, 2], "two of before, one of after");
    assert_eq!(
        app.rollups()[0]["row"],
        json!({"user": "eve", "n": 4}),
        "the rollup's window too"
    );
}

/// The last telling of each early finding, and how many times that telling was seen.
fn last_tellings(client: &Client, app: &App) -> Vec<(Value, usize)> {
    let records = client.read(&app.topic("alerts"));
    let alerts: Vec<Value> = records.iter().map(|record| record.json()).collect();
    let early: Vec<&Value> = alerts
        .iter()
        .filter(|of| of["emission"].is_object())
        .collect();
    let ids: BTreeSet<&str> = early.iter().filter_map(|of| of["id"].as_str()).collect();
    let of_id = |id: &str| {
        let tellings = || early.iter().filter(|of| of["id"] == id);
        let revision = |of: &Value| of["emission"]["revision"].as_u64();
        let last = tellings().max_by_key(|of| revision(of)).expect("a telling");
        let times = tellings()
            .filter(|of| revision(of) == revision(last))
            .count();
        ((*last).clone(), times)
    };
    ids.into_iter().map(of_id).collect()
}

/// An app of one early rule, its one finding open, told twice.
fn with_an_open_finding(client: &Client, name: &str) -> (App, Running) {
    let mut app = App::new(client, name);
    app.lateness = "5s";
    app.idle_timeout = "2s";
    app.reload_interval = "300ms";
    // So the only snapshot is the one that early findings themselves ask for.
    app.snapshots = "1h";
    app.rule(&FIRST.replace("timespan: 10s", "timespan: 1h, emit: early"));
    let app = app.created();
    let mut process = app.run();
    wait_until_ready(&mut process);
    let failed = |second| event(second, "failed", "eve");
    client.produce_records(&app.topics[0], &[failed(1), failed(2), failed(3)]);
    await_telling(client, &app, &mut process, "open", 0);
    // Behind the snapshot.
    client.produce_records(&app.topics[0], &[failed(4)]);
    await_telling(client, &app, &mut process, "open", 1);
    (app, process)
}

fn await_telling(client: &Client, app: &App, process: &mut Running, state: &str, revision: u64) {
    process.until(WAIT, &format!("revision {revision} is {state}"), |_| {
        let tellings = last_tellings(client, app);
        let [(last, 1)] = &tellings[..] else {
            return None;
        };
        let emission = &last["emission"];
        (emission["revision"] == revision && emission["state"] == state).then_some(())
    });
}

/// Whoever comes next has nothing more to tell of it.
fn assert_told_no_more(client: &Client, app: &App) {
    let process = app.run();
    let before = client.read(&app.topic("alerts")).len();
    client.produce_records(&app.topics[0], &[event(5, "reset", "eve")]);
    client.wait_for(&app.topic("alerts"), before + 1, WAIT);
    process.terminate();
    let _ = process.wait(Duration::from_secs(30)).succeeded();
    let tellings = last_tellings(client, app);
    assert_eq!(tellings.len(), 1, "{tellings:#?}");
    let (last, times) = &tellings[0];
    let emission = &last["emission"];
    assert_eq!((&emission["state"], *times), (&json!("withdrawn"), 1));
    assert_eq!(emission["revision"], 2);
    assert_eq!(last["title"], "three");
}

#[test]
fn rules_taken_away_while_nobody_runs_leave_nothing_open() {
    let client = Client::required();
    let (app, process) = with_an_open_finding(&client, "orphans");
    let _ = process.kill();
    std::fs::write(&app.rules[0], ADDED).unwrap();
    let mut process = app.run();
    await_telling(&client, &app, &mut process, "withdrawn", 2);
    let _ = process.kill();
    assert_told_no_more(&client, &app);
}

#[test]
fn what_a_reload_takes_away_is_not_taken_away_again() {
    let client = Client::required();
    let (app, mut process) = with_an_open_finding(&client, "withdrawn");
    std::fs::write(&app.rules[0], ADDED).unwrap();
    await_telling(&client, &app, &mut process, "withdrawn", 2);
    let _ = process.kill();
    assert_told_no_more(&client, &app);
}
