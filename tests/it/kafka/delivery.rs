//! `delivery: at_least_once`: nothing is missing, and a repetition has the same id.

use std::collections::BTreeMap;
use std::time::Duration;

use haechi_tests::alerts::{Brief, assert_same};
use haechi_tests::app::wait_for_metric;
use haechi_tests::broker::Client;

use super::{RUN, Shared, assert_logins_found, expected_roots, logins_app};

#[test]
fn at_least_once_without_a_crash_is_once() {
    let client = Client::required();
    let mut app = logins_app(&client, "at-least-once");
    app.delivery = "at_least_once";
    let _ = app.run_until_end(RUN);
    assert_logins_found(&app);
}

#[test]
fn after_a_crash_repetitions_have_the_same_id() {
    let client = Client::required();
    let shared = Shared::logins(&client);
    let mut app = logins_app(&client, "at-least-once-killed");
    app.delivery = "at_least_once";
    app.instance = Some("one".to_owned());
    let mut process = app.start_until_end();
    wait_for_metric(
        &mut process,
        "haechi_records_total",
        shared.lines as f64 / 10.0,
        Duration::from_secs(90),
    );
    let _ = process.kill();
    let _ = app.run_until_end(RUN);

    let mut by_id = BTreeMap::new();
    for record in client.read(&app.topic("alerts")) {
        let id = record.headers["haechi-id"].clone();
        let alert = Brief::of(&record.json());
        if alert.rule == super::ROOT_FAILED {
            let alert = alert.alert(app.line());
            let line = alert.lines[0];
            assert_eq!(
                *by_id.entry(id.clone()).or_insert(line),
                line,
                "id {id} stands for two alerts"
            );
        }
    }
    assert_same(
        &by_id.into_values().collect(),
        &expected_roots(&shared.file),
    );
}
