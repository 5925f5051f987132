//! Topics that are not there, not there any more, or yet to be made; and no broker at all.

use std::collections::BTreeSet;
use std::time::Duration;

use haechi_tests::app::{App, wait_for_metric, wait_until_ready};
use haechi_tests::broker::Client;
use haechi_tests::process::Haechi;

const RULE: &str = "title: x\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: test}\ndetection: {sel: {f: x}, condition: sel}\n";
const AGGREGATE: &str = "title: n\nid: 00000000-0000-4000-8000-000000000002\nrollup: {sql: \"SELECT count(*) AS n FROM test GROUP BY tumble(interval '2 days')\"}\n";

#[test]
fn plan_says_and_apply_creates_what_is_missing() {
    let client = Client::required();
    let mut app = App::new(&client, "applied");
    app.rule(RULE).rule(AGGREGATE);
    app.lateness = "1h";
    client.create(&[(&app.topics[0], 1)]);
    let config = app.write();
    let topics = |action: &str| {
        Haechi::new(["topics", action, "--cores", "3", "-c"])
            .arg(&config)
            .run()
    };
    let outputs =
        ["alerts", "rollups", "dead-letters", "late", "exchange"].map(|what| app.topic(what));

    let plan = topics("plan");
    let said = format!("{}{}", plan.text(), plan.stderr);
    for topic in &outputs {
        assert!(said.contains(topic), "the plan names {topic}:\n{said}");
    }
    assert!(
        said.contains("2 workers") && said.contains("1 partition"),
        "workers that will have nothing to read are warned of:\n{said}"
    );
    let there = client.topics();
    assert!(
        outputs.iter().all(|topic| !there.contains_key(topic)),
        "a plan creates nothing"
    );

    let _ = topics("apply").succeeded();
    let there = client.topics();
    for topic in &outputs {
        assert_eq!(
            there.get(topic),
            Some(&3),
            "{topic} has as many partitions as there are cores"
        );
    }
    let exchange = client.settings(&app.topic("exchange"));
    let retention: u64 = exchange["retention.ms"].parse().unwrap();
    assert!(
        retention >= (2 * 24 + 1) * 3_600_000,
        "the exchange outlives the longest window: {retention} ms"
    );
    let letters = client.settings(&app.topic("dead-letters"));
    assert!(
        letters["max.message.bytes"].parse::<u64>().unwrap() > 20 << 20,
        "large records fit into the dead letters"
    );

    // Once more changes nothing and says so; then it runs.
    let _ = topics("apply").succeeded();
    assert_eq!(client.topics().get(&outputs[0]), Some(&3));
    client.produce(&app.topics[0], b"{\"f\":\"x\"}\n{\"f\":\"y\"}\n");
    let _ = app.run_until_end(Duration::from_secs(60));
    assert_eq!(app.alerts(|_, offset| offset).len(), 1);
}

#[test]
fn a_missing_topic_is_named() {
    let client = Client::required();
    let mut app = App::new(&client, "missing");
    app.rule(RULE);
    let config = app.write();
    let run = || {
        Haechi::new(["run", "--until-end", "-c"])
            .arg(&config)
            .run()
            .failed()
    };
    app.create_outputs();
    let _ = run().said(&[&app.topics[0]]);
    client.create(&[(&app.topics[0], 1)]);
    client.delete(&app.topic("alerts"));
    let _ = run().said(&[&app.topic("alerts"), "topics apply"]);
}

#[test]
fn no_broker() {
    let mut client = Client::required();
    client.broker = "127.0.0.1:1".to_owned();
    let mut app = App::new(&client, "nobody");
    app.rule(RULE);
    let config = app.write();
    for command in [
        &["run", "-c"][..],
        &["topics", "plan", "-c"],
        &["topics", "apply", "-c"],
    ] {
        let finished = Haechi::new(command)
            .arg(&config)
            .run()
            .failed()
            .said(&["127.0.0.1:1"]);
        assert!(
            finished.took < Duration::from_secs(60),
            "it took {:?} to notice",
            finished.took
        );
    }
}

#[test]
fn a_topic_that_comes_later_is_read_when_the_pattern_fits() {
    let client = Client::required();
    let mut app = App::new(&client, "pattern");
    app.rule(RULE);
    app.pattern = Some(format!("^{}-logs\\..*", app.name));
    // How soon new topics are noticed is the client's own setting.
    app.properties
        .push(("topic.metadata.refresh.interval.ms", "1000".to_owned()));
    app.create_outputs();
    let (early, later) = (
        format!("{}-logs.early", app.name),
        format!("{}-logs.later", app.name),
    );
    client.create(&[(&early, 2)]);
    client.produce(&early, b"{\"f\":\"x\"}\n{\"f\":\"x\"}\n");
    let mut process = app.run();
    wait_until_ready(&mut process);
    client.wait_for(&app.topic("alerts"), 2, Duration::from_secs(30));
    client.create(&[(&later, 3), (&format!("{}-other", app.name), 1)]);
    client.produce(&later, b"{\"f\":\"x\"}\n");
    client.wait_for(&app.topic("alerts"), 3, Duration::from_secs(60));
    process.terminate();
    let _ = process.wait(Duration::from_secs(30)).succeeded();
    let sources: Vec<String> = client
        .read(&app.topic("alerts"))
        .iter()
        .map(|alert| alert.json()["source"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(sources.iter().filter(|source| **source == early).count(), 2);
    assert_eq!(sources.iter().filter(|source| **source == later).count(), 1);
}

/// The input goes on while the results have nowhere to go; when they have, nothing is missing.
#[test]
fn an_output_topic_is_deleted_while_running_and_comes_back() {
    let client = Client::required();
    let mut app = App::new(&client, "deleted");
    app.rule(RULE);
    let app = app.created();
    let mut process = app.run();
    wait_until_ready(&mut process);
    client.produce(&app.topics[0], b"{\"f\":\"x\",\"n\":0}\n");
    client.wait_for(&app.topic("alerts"), 1, Duration::from_secs(30));

    client.delete(&app.topic("alerts"));
    let events: Vec<u8> = (1..=1000)
        .flat_map(|n| format!("{{\"f\":\"x\",\"n\":{n}}}\n").into_bytes())
        .collect();
    client.produce(&app.topics[0], &events);
    wait_for_metric(
        &mut process,
        "haechi_aborts_total",
        1.0,
        Duration::from_secs(90),
    );
    client.create(&[(&app.topic("alerts"), 4)]);
    client.wait_for(&app.topic("alerts"), 1000, Duration::from_secs(120));
    process.terminate();
    let finished = process.wait(Duration::from_secs(30)).succeeded();
    let alerts = app.alerts(app.line());
    let places: BTreeSet<i64> = alerts.iter().map(|alert| alert.lines[0]).collect();
    assert_eq!(places.len(), 1000, "each once");
    let _ = finished.said(&[&app.topic("alerts")]);
}
