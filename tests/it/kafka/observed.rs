//! What ops see: metrics under the names of docs/metrics.md, health, readiness, the logs; and a stop in good order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use haechi_tests::app::{App, wait_for_metric, wait_until_ready};
use haechi_tests::broker::Client;
use haechi_tests::http::{self, Samples};
use haechi_tests::repository;
use serde_json::Value;

use super::assert_all_committed;

const RULES: &str = r#"
title: x
name: x
id: 00000000-0000-4000-8000-000000000001
logsource: {product: test}
detection: {sel: {f: x}, condition: sel}
---
title: many
id: 00000000-0000-4000-8000-000000000002
correlation: {type: event_count, rules: [x], group-by: [user], timespan: 10s, condition: {gte: 2}, generate: true}
---
title: per minute
id: 00000000-0000-4000-8000-000000000003
rollup: {sql: "SELECT count(*) AS n FROM test GROUP BY tumble(interval '1 minute')"}
"#;

/// The contract: name → type and labels, from the tables of docs/metrics.md.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = fs::read_to_string(repository().join("docs/metrics.md")).unwrap();
    let mut metrics = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(name) = cells
            .get(1)
            .and_then(|cell| cell.strip_prefix("`haechi_"))
            .and_then(|cell| cell.strip_suffix('`'))
        else {
            continue;
        };
        if cells.len() != 6 {
            continue;
        }
        let labels = cells[3]
            .split(',')
            .map(|label| label.trim().trim_matches('`').to_owned())
            .filter(|label| !label.is_empty());
        metrics.insert(
            format!("haechi_{name}"),
            (cells[2].to_owned(), labels.collect()),
        );
    }
    metrics
}

/// Labels of a series, without a histogram's own.
fn labels(series: &str) -> BTreeSet<String> {
    let Some((_, labels)) = series.split_once('{') else {
        return BTreeSet::new();
    };
    let labels = labels
        .trim_end_matches('}')
        .split("\",")
        .filter_map(|label| label.split_once('='))
        .map(|(name, _)| name.to_owned());
    labels.filter(|name| name != "le").collect()
}

#[test]
fn metrics_are_what_the_page_promises_and_a_stop_is_in_good_order() {
    let client = Client::required();
    let mut app = App::new(&client, "observed");
    app.rule(RULES);
    app.lateness = "1s";
    app.idle_timeout = "1s";
    let app = app.created();
    let lines = b"{\"f\":\"x\",\"user\":\"a\",\"ts\":1000}\n{\"f\":\"x\",\"user\":\"a\",\"ts\":1001}\n{\"f\":\"y\",\"ts\":\"2199-01-01T00:00:00Z\"}\nnot json\n{\"f\":\"y\"}\n";
    let mut process = app.run();
    let address = wait_until_ready(&mut process);
    client.produce(&app.topics[0], lines);
    wait_for_metric(
        &mut process,
        "haechi_records_total",
        5.0,
        Duration::from_secs(30),
    );
    // Lag comes with the client's statistics, some seconds apart.
    wait_for_metric(
        &mut process,
        "haechi_rule_hits_total",
        4.0,
        Duration::from_secs(60),
    );
    process.until(Duration::from_secs(60), "there is a lag", |_| {
        let samples = Samples::scrape(address)?;
        samples
            .types
            .contains_key("haechi_lag_records")
            .then_some(())
    });

    let samples = Samples::scrape(address).expect("the port answers");
    let documented = documented();
    assert!(documented.len() > 20, "the page's tables are read");
    let served: BTreeMap<&String, &String> = samples.types.iter().collect();
    let promised: BTreeMap<&String, &String> = documented
        .iter()
        .map(|(name, (kind, _))| (name, kind))
        .collect();
    assert_eq!(served, promised, "docs/metrics.md and /metrics");
    for series in samples.series.keys() {
        let name = series.split('{').next().unwrap();
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| {
                name.strip_suffix(part)
                    .filter(|name| documented.contains_key(*name))
            })
            .unwrap_or(name);
        assert_eq!(labels(series), documented[name].1, "labels of {series}");
    }
    assert_eq!(samples.sum("haechi_records_total"), 5.0);
    assert_eq!(samples.sum("haechi_dead_letters_total"), 1.0);
    assert_eq!(samples.sum("haechi_clamped_times_total"), 1.0);
    assert!(samples.sum("haechi_untimed_events_total") >= 1.0);
    assert_eq!(
        samples.series["haechi_rule_hits_total{kind=\"detection\",rule=\"00000000-0000-4000-8000-000000000001\"}"],
        2.0
    );
    assert!(samples.sum("haechi_resident_memory_bytes") > 1e6);

    assert_eq!(
        http::get(address, "/healthz").map(|(status, _)| status),
        Some(200)
    );
    assert_eq!(
        http::get(address, "/readyz").map(|(status, _)| status),
        Some(200)
    );
    assert_eq!(
        http::get(address, "/nothing").map(|(status, _)| status),
        Some(404)
    );

    process.terminate();
    let finished = process.wait(Duration::from_secs(30)).succeeded();
    assert_all_committed(&app, &app.topics[0]);
    for line in finished.stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("off a terminal, logs are one JSON object a line ({error}): {line}")
        });
        assert!(
            line["timestamp"].is_string()
                && line["level"].is_string()
                && line["message"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn an_address_that_is_taken_is_said() {
    let client = Client::required();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut app = App::new(&client, "taken");
    app.http.clone_from(&address);
    app.rule(RULES);
    let app = app.created();
    let _ = app
        .run()
        .wait(Duration::from_secs(60))
        .failed()
        .said(&[&address, "http.listen"]);
}
