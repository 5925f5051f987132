//! `delivery: at_least_once`: nothing is missing, and a repetition has the id of what it repeats.

use std::collections::BTreeSet;
use std::time::Duration;

use haechi_tests::alerts::{self, Alert, Brief, assert_same};
use haechi_tests::app::{App, wait_for_metric};
use haechi_tests::broker::Client;

use super::{ROOT_FAILED, RUN, Shared, assert_logins, expected_roots, logins_app};

/// Alerts, each id once; and how many were repetitions.
fn once(app: &App) -> (BTreeSet<Alert>, usize) {
    let (documents, repetitions) = app.by_id("alerts");
    println!("{} alerts, and {repetitions} repetitions", documents.len());
    (
        alerts::set(
            documents
                .iter()
                .map(|document| Brief::of(document).alert(app.line())),
        ),
        repetitions,
    )
}

/// A rebalance can let a commit fail, and then what was sent is sent again; the partial sums of rollups too, which have no id. So
/// rows are compared only where nothing was repeated.
#[test]
fn at_least_once() {
    let client = Client::required();
    let shared = Shared::logins(&client);
    let mut app = logins_app(&client, "at-least-once");
    app.delivery = "at_least_once";
    let _ = app.run_until_end(RUN);
    let (alerts, repetitions) = once(&app);
    if repetitions == 0 {
        assert_logins(&app, &alerts, &app.by_id("rollups").0);
    } else {
        assert_same(&roots(&alerts), &expected_roots(&shared.file));
    }
}

/// Lines that the single-event rule alerts on.
fn roots(alerts: &BTreeSet<Alert>) -> BTreeSet<i64> {
    alerts
        .iter()
        .filter(|alert| alert.rule == ROOT_FAILED)
        .map(|alert| alert.lines[0])
        .collect()
}

#[test]
fn after_a_crash_nothing_is_missing() {
    let client = Client::required();
    let shared = Shared::logins(&client);
    let mut app = logins_app(&client, "at-least-once-killed");
    app.delivery = "at_least_once";
    app.instance = Some("one".to_owned());
    let mut process = app.start_until_end();
    let tenth = shared.lines as f64 / 10.0;
    wait_for_metric(
        &mut process,
        "haechi_records_total",
        tenth,
        Duration::from_secs(90),
    );
    let _ = process.kill();
    let _ = app.run_until_end(RUN);

    assert_same(&roots(&once(&app).0), &expected_roots(&shared.file));
}
