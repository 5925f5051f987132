//! Processes that die and processes that are stopped, while windows are open and closing.

use std::time::{Duration, Instant};

use haechi_tests::app::{wait_for_metric, wait_until_ready};
use haechi_tests::broker::Client;

use super::{RUN, Shared, assert_all_committed, assert_logins_found, logins_app};

/// How long it may take to read a part of the shared logins.
const READ: Duration = Duration::from_secs(90);

/// What a killed process left open would hold readers of committed records back for longer than this test waits.
#[test]
fn what_a_killed_process_left_open_is_ended_by_its_heirs() {
    let client = Client::required();
    let mut app = logins_app(&client, "heirs");
    app.commit_interval = "1s";
    let timeout = ("transaction.timeout.ms", "300000".to_owned());
    app.properties.retain(|(name, _)| *name != timeout.0);
    app.properties.push(timeout);
    let mut process = app.run();
    wait_for_metric(&mut process, "haechi_commits_total", 4.0, READ);
    let _ = process.kill();
    let begun = Instant::now();
    let finished = app.start_until_end().wait(READ).succeeded();
    let _ = finished.said(&["ended what the last owner of partitions may have left open"]);
    println!("all is read {:?} after the kill", begun.elapsed());
    assert_logins_found(&app);
}

#[test]
fn killed_twice_and_stopped_once_in_the_middle() {
    let client = Client::required();
    let shared = Shared::logins(&client);
    let mut app = logins_app(&client, "killed");
    app.instance = Some("one".to_owned());
    app.commit_interval = "100ms";
    for _ in 0..2 {
        let mut process = app.start_until_end();
        wait_for_metric(
            &mut process,
            "haechi_records_total",
            shared.lines as f64 / 10.0,
            READ,
        );
        let _ = process.kill();
    }
    let mut process = app.run();
    wait_for_metric(
        &mut process,
        "haechi_records_total",
        shared.lines as f64 / 20.0,
        READ,
    );
    let asked = Instant::now();
    process.terminate();
    let stopped = process.wait(Duration::from_secs(30)).succeeded();
    println!("stopped {:?} after SIGTERM", asked.elapsed());
    let _ = stopped.said(&["stopped"]);
    let _ = app.run_until_end(RUN);
    assert_all_committed(&app, &shared.topic);
    assert_logins_found(&app);

    // All is read and every window is closed: there is nothing left to find.
    let _ = app.run_until_end(RUN);
    assert_logins_found(&app);
}

#[test]
fn of_two_processes_that_share_the_work_one_is_killed() {
    let client = Client::required();
    let shared = Shared::logins(&client);
    let app = logins_app(&client, "shared");
    let mut survivor = app.run();
    wait_for_metric(&mut survivor, "haechi_records_total", 1.0, READ);
    let mut victim = app.run();
    // It joins while the other one works, so partitions move.
    wait_until_ready(&mut victim);
    wait_until_ready(&mut survivor);
    let _ = victim.kill();
    let deadline = Instant::now() + Duration::from_secs(90);
    while client
        .offsets(&app.name, &shared.topic)
        .values()
        .any(|(committed, end)| *committed != Some(*end))
    {
        assert!(
            Instant::now() < deadline,
            "the survivor does not read on; it said:\n{}",
            survivor.stderr()
        );
        assert!(
            survivor.is_running(),
            "the survivor ended; it said:\n{}",
            survivor.stderr()
        );
    }
    survivor.terminate();
    let _ = survivor.wait(Duration::from_secs(30)).succeeded();
    // The last windows are open still.
    let _ = app.run_until_end(RUN);
    assert_logins_found(&app);
}
