//! Windows are restored from their snapshots, also when the exchange is not there any more below them; and from the exchange when
//! the snapshots are of no use.

use std::collections::BTreeMap;
use std::time::Duration;

use haechi_tests::app::{App, wait_for_metric};
use haechi_tests::broker::Client;

use super::{RUN, Shared, assert_all_committed, assert_logins_found, logins_app};

/// How long it may take to read a part of the shared logins.
const READ: Duration = Duration::from_secs(90);

/// Reads a part of the logins and is killed. Answers where each exchange partition's snapshot is from.
fn killed_in_the_middle(client: &Client, app: &App) -> BTreeMap<String, i64> {
    let shared = Shared::logins(client);
    let mut process = app.run();
    let part = shared.lines as f64 / 10.0;
    wait_for_metric(&mut process, "haechi_records_total", part, READ);
    wait_for_metric(&mut process, "haechi_snapshots_total", 3.0, READ);
    let _ = process.kill();
    // Committed, so the last whole one of a partition is in force. A chunk: docs of `haechi_window`'s snapshots.
    let mut snapshots = BTreeMap::new();
    for record in client.read(&app.topic("snapshots")) {
        let chunk = record.bytes().expect("a chunk");
        assert!(chunk.starts_with(b"HSNP\x01\0"));
        if chunk[32] == 255 {
            let offset = i64::from_le_bytes(chunk[20..28].try_into().unwrap());
            snapshots.insert(record.partition.to_string(), offset);
        }
    }
    snapshots
}

fn snapshots_app(client: &Client, name: &str) -> App {
    let mut app = logins_app(client, name);
    app.instance = Some("one".to_owned());
    app.commit_interval = "100ms";
    app.snapshots = "50ms";
    app
}

#[test]
fn what_is_below_the_snapshots_is_not_needed_any_more() {
    let client = Client::required();
    let app = snapshots_app(&client, "cut");
    let snapshots = killed_in_the_middle(&client, &app);
    assert!(!snapshots.is_empty());
    assert!(
        snapshots.values().all(|offset| *offset > 0),
        "{snapshots:?}"
    );
    client.cut(&app.topic("exchange"), snapshots);
    let finished = app.run_until_end(RUN);
    let finished = finished.said(&["read the snapshot of its windows"]);
    for bad in ["cannot be used", "the exchange begins at"] {
        assert!(!finished.stderr.contains(bad), "{}", finished.stderr);
    }
    assert_all_committed(&app, &Shared::logins(&client).topic);
    assert_logins_found(&app);
}

#[test]
fn without_its_snapshots_the_whole_exchange_is_read() {
    let client = Client::required();
    let app = snapshots_app(&client, "lost");
    let snapshots = killed_in_the_middle(&client, &app);
    assert!(!snapshots.is_empty());
    let topic = app.topic("snapshots");
    client.delete(&topic);
    client.create_with(&topic, 4, &["cleanup.policy=compact"]);
    let finished = app.run_until_end(RUN);
    let _ = finished.said(&["cannot be used: reading the exchange from its beginning instead"]);
    assert_all_committed(&app, &Shared::logins(&client).topic);
    assert_logins_found(&app);
}

#[test]
fn an_exchange_that_is_cut_too_far_is_told() {
    let client = Client::required();
    let app = snapshots_app(&client, "gone");
    let snapshots = killed_in_the_middle(&client, &app);
    let beyond = snapshots.into_keys().map(|partition| (partition, -1));
    client.cut(&app.topic("exchange"), beyond);
    let finished = app.run_until_end(RUN);
    let _ = finished.said(&["windows lack", "raise `retention.ms` of topic"]);
}
