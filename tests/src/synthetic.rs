//! A stream of logins whose windows close while it is read: event time moves on in every partition, a little out of order.
//!
//! The same size gives the same stream. What is to be found in it is computed by `tests/clients/expected.py`.

use std::fmt::Write;

/// The input's lateness for this stream: more than twice its disorder.
pub const LATENESS: &str = "10s";
/// Event time of the first event: 2025-03-01T00:00:00Z.
const START_NS: u64 = 1_740_787_200_000_000_000;
/// Event time between one event and the next.
const STEP_NS: u64 = 10_000_000;
/// An event is at most this much before or after its turn.
const DISORDER_NS: u64 = 2_000_000_000;

/// So many events, one JSON object a line: `ts`, `seq`, `user`, `src`, `action` (`failed` or `accepted`), `bytes`.
///
/// # Panics
/// Never: writing into memory does not fail.
#[must_use]
pub fn logins(events: u64) -> String {
    let mut text = String::new();
    let mut dice = Dice(20_250_301);
    for seq in 0..events {
        let at =
            START_NS + seq * STEP_NS + dice.below(2 * DISORDER_NS) - DISORDER_NS.min(seq * STEP_NS);
        let action = if dice.below(8) == 0 {
            "failed"
        } else {
            "accepted"
        };
        let (user, host, bytes) = (dice.below(23), dice.below(11), dice.below(10_000));
        writeln!(
            text,
            r#"{{"ts":"{}","seq":{seq},"user":"u{user}","src":"10.0.0.{host}","action":"{action}","bytes":{bytes}}}"#,
            rfc3339(at)
        )
        .expect("writing into memory does not fail");
    }
    text
}

/// Of the days that the stream lasts: March 2025.
fn rfc3339(ns: u64) -> String {
    let (seconds, ns) = ((ns - START_NS) / 1_000_000_000, ns % 1_000_000_000);
    let (day, second) = (seconds / 86_400 + 1, seconds % 86_400);
    format!(
        "2025-03-{day:02}T{:02}:{:02}:{:02}.{ns:09}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// Numbers that look random and are always the same (Knuth's multiplier for 64 bits).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
