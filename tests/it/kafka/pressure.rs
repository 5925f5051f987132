//! Memory has a bound, whatever comes in and however long nothing can go out.

use std::fmt::Write;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use haechi_tests::app::{App, wait_for_metric};
use haechi_tests::broker::Client;
use haechi_tests::link::{self, Condition};
use haechi_tests::process::Running;

use super::{ROOT_FAILED, RULES, RUN, Shared, assert_logins_found, logins_app};

/// What two workers may take at most, resident. Each has 16 MiB fetched ahead and 16 MiB to be sent; a fetch or a batch of
/// records of a megabyte goes beyond its bound by some of them, and is there as bytes, parsed, and as columns.
const BOUND: u64 = 512 << 20;

/// The most memory that a process had at once, resident, until it ends; it must end well.
fn peak(mut process: Running) -> u64 {
    let (id, deadline) = (process.id(), Instant::now() + RUN);
    let mut peak = 0;
    while process.is_running() {
        assert!(Instant::now() < deadline, "it takes longer than {RUN:?}");
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes =
            line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        peak = peak.max(kibibytes.unwrap_or(0) << 10);
        thread::sleep(Duration::from_millis(50));
    }
    let _ = process.wait(RUN).succeeded();
    peak
}

#[test]
fn events_of_a_megabyte() {
    const EVENTS: usize = 400;
    let client = Client::required();
    let mut app = App::new(&client, "large");
    client.create_with(
        &app.topics[0],
        app.partitions,
        &["max.message.bytes=4000000"],
    );
    app.create_outputs();
    app.rule(RULES);
    let mut text = String::new();
    let pad = "x".repeat(1_000_000);
    for number in 0..EVENTS {
        writeln!(
            text,
            r#"{{"ts":"2025-03-01T00:00:{:02}Z","user":"u7","src":"s","action":"failed","bytes":9000,"pad":"{pad}"}}"#,
            number * 60 / EVENTS
        )
        .unwrap();
    }
    client.produce(&app.topics[0], text.as_bytes());
    let peak = peak(app.start_until_end());
    let alerts = app.alerts(app.line());
    let found = alerts
        .iter()
        .filter(|alert| alert.rule == ROOT_FAILED)
        .count();
    assert_eq!(found, EVENTS);
    println!(
        "{EVENTS} events of 1 MB: at most {:.0} MB",
        peak as f64 / 1e6
    );
    assert!(peak < BOUND, "{peak} bytes");
}

/// Only this app's way to the broker is blocked: other tests use the same one.
#[test]
fn a_broker_that_does_not_answer_for_a_while() {
    let client = Client::required();
    let shared = Shared::logins(&client);
    let links = link::to_nodes();
    if links.is_empty() {
        println!(
            "skipped: the broker in HAECHI_KAFKA was not started by dev/kafka, there is no link to block"
        );
        return;
    }
    let seconds = std::env::var("HAECHI_STALL_SECONDS").map_or(15, |text| text.parse().unwrap());
    let mut app = logins_app(&client, "stalled");
    let addresses: Vec<String> = links.iter().map(|to| to.address.to_string()).collect();
    app.bootstrap = Some(addresses.join(","));
    let mut process = app.start_until_end();
    wait_for_metric(
        &mut process,
        "haechi_records_total",
        shared.lines as f64 / 10.0,
        RUN,
    );
    for to in &links {
        to.link.set(Condition::Still);
    }
    thread::sleep(Duration::from_secs(seconds));
    assert!(process.is_running(), "it ended:\n{}", process.stderr());
    for to in &links {
        to.link.set(Condition::Good);
    }
    let peak = peak(process);
    assert_logins_found(&app);
    println!(
        "a broker silent for {seconds} s: at most {:.0} MB",
        peak as f64 / 1e6
    );
    assert!(peak < BOUND, "{peak} bytes");
}
