//! `haechi generate --kafka` and `haechi demo --kafka`.

use std::time::Duration;

use haechi_tests::broker::{Client, unique};
use haechi_tests::process::Haechi;

#[test]
fn events_are_generated_into_topics() {
    let client = Client::required();
    let prefix = unique("generated");
    let _ = Haechi::new([
        "generate",
        "-n",
        "5000",
        "--seed",
        "3",
        "--attack-every",
        "500",
        "--partitions",
        "3",
        "--prefix",
        &prefix,
        "--kafka",
        &client.broker,
    ])
    .run()
    .succeeded();
    let topics = client.topics();
    let of = |source: &str| format!("{prefix}-{source}");
    let sources = ["windows", "windows-nested", "sshd", "web", "cloudtrail"];
    assert!(
        sources
            .iter()
            .all(|source| topics.get(&of(source)) == Some(&3)),
        "{topics:?}"
    );
    let events: usize = sources
        .iter()
        .map(|source| client.read(&of(source)).len())
        .sum();
    assert_eq!(events, 5000);
    let truth = client.read(&of("truth"));
    assert!(truth.len() >= 5, "{} attacks", truth.len());
    assert!(
        truth
            .iter()
            .all(|attack| attack.json()["expected"].is_array())
    );
}

#[test]
fn the_demo_on_a_broker_finds_what_it_hid() {
    let client = Client::required();
    let demo = Haechi::new(["demo", "-n", "60000", "-j", "2", "--kafka", &client.broker]);
    let _ = demo
        .limit(Duration::from_secs(180))
        .run()
        .succeeded()
        .said(&["60,000 records", "alerts on anything else: 0"]);
}
