//! The exchange is given more partitions while windows are open.

use std::fs;
use std::time::Duration;

use haechi_tests::app::{App, wait_for_metric};
use haechi_tests::broker::Client;
use haechi_tests::process::{Finished, Haechi};
use haechi_tests::synthetic;

use super::{RULES, RUN, assert_all_committed, assert_logins_in};

/// Events of a test.
const EVENTS: usize = 60_000;
/// How long it may take to read a part of the shared logins.
const READ: Duration = Duration::from_secs(90);

fn grow(app: &App, partitions: &str) -> Finished {
    Haechi::new(["topics", "grow-exchange", "--partitions", partitions, "-c"])
        .arg(app.write())
        .run()
}

/// An app over a topic of its own, and the parts of the logins that are to be written there.
fn app_and_parts(client: &Client, name: &str) -> (App, Vec<String>) {
    let mut app = App::new(client, name);
    app.lateness = synthetic::LATENESS;
    app.commit_interval = "100ms";
    app.rule(RULES);
    let text = synthetic::logins(EVENTS as u64);
    fs::write(app.folder().join("events.ndjson"), &text)
        .expect("the scratch folder can be written");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let parts = lines.chunks(EVENTS / 3).map(<[&str]>::concat).collect();
    (app.created(), parts)
}

/// Everything that is in the file is found.
fn assert_found(app: &App) {
    let file = app.folder().join("events.ndjson");
    assert_logins_in(app, &file, &app.alerts(app.line()), &app.rollups());
}

/// Writes a part of the logins, has it read, and kills the process or tells it to stop. Windows are open then.
fn read_part(app: &App, part: &str, killed: bool) {
    app.client.produce(&app.topics[0], part.as_bytes());
    let mut process = app.run();
    let lines = part.lines().count() as f64;
    wait_for_metric(&mut process, "haechi_records_total", lines, READ);
    wait_for_metric(&mut process, "haechi_commits_total", 2.0, READ);
    if killed {
        let _ = process.kill();
    } else {
        process.terminate();
        let _ = process.wait(READ).succeeded();
    }
}

fn read_to_the_end(app: &App, part: &str) {
    app.client.produce(&app.topics[0], part.as_bytes());
    let _ = app.run_until_end(RUN);
    assert_all_committed(app, &app.topics[0]);
    assert_found(app);
}

#[test]
fn windows_move_to_new_partitions() {
    let client = Client::required();
    let (app, parts) = app_and_parts(&client, "grown");
    for (part, killed, partitions) in [(0, false, 8), (1, true, 24)] {
        read_part(&app, &parts[part], killed);
        let finished = grow(&app, &partitions.to_string()).succeeded();
        let text = finished.text();
        assert!(text.contains("start the workers again"), "{text}");
        let topics = client.topics();
        for topic in ["exchange", "snapshots"] {
            assert_eq!(topics[&app.topic(topic)], partitions);
        }
    }
    let again = grow(&app, "24").succeeded();
    assert!(again.text().contains("nothing to do"), "{}", again.text());
    read_to_the_end(&app, &parts[2]);
}

/// Without any snapshot, all of the exchange is copied.
#[test]
fn windows_move_without_snapshots() {
    let client = Client::required();
    let (mut app, parts) = app_and_parts(&client, "grown-plain");
    app.snapshots = "0s";
    read_part(&app, &parts[0], true);
    let _ = grow(&app, "8").succeeded();
    read_to_the_end(&app, &parts[1..].concat());
}

#[test]
fn partitions_that_somebody_else_has_added_are_refused_until_windows_are_moved() {
    let client = Client::required();
    let (mut app, parts) = app_and_parts(&client, "overgrown");
    // How soon it notices that there are more.
    app.properties
        .push(("topic.metadata.refresh.interval.ms", "1000".to_owned()));
    app.client.produce(&app.topics[0], parts[0].as_bytes());
    let mut running = app.run();
    wait_for_metric(&mut running, "haechi_commits_total", 2.0, READ);
    client.grow(&app.topic("exchange"), 6);
    client.grow(&app.topic("snapshots"), 6);
    let refused = running.wait(READ).failed();
    let _ = refused.said(&["has been given more than the 4 partitions", "grow-exchange"]);
    let refused = Haechi::new(["run", "-c"]).arg(app.write()).run().failed();
    let _ = refused.said(&[
        "has 6 partitions, but its windows are spread over 4",
        "grow-exchange",
    ]);
    let refused = grow(&app, "6").failed();
    let _ = refused.said(&["6 is not a multiple", "give 4 or 8"]);
    let _ = grow(&app, "8").succeeded();
    read_to_the_end(&app, &parts[1..].concat());
}

#[test]
fn it_does_not_grow_while_a_worker_runs() {
    let client = Client::required();
    let (app, parts) = app_and_parts(&client, "busy");
    let mut process = app.run();
    wait_for_metric(&mut process, "haechi_commits_total", 1.0, READ);
    let refused = grow(&app, "8").failed();
    let _ = refused.said(&["others are still in the consumer group", "stop all workers"]);
    assert_eq!(client.topics()[&app.topic("exchange")], 4);
    process.terminate();
    let _ = process.wait(READ).succeeded();
    read_to_the_end(&app, &parts.concat());
}
