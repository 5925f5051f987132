//! Attacks: short plays whose steps come at their own times, between the events of an ordinary day.

mod cloud;
mod endpoint;
mod ssh;
mod web;

use std::cmp::Reverse;
use std::net::Ipv4Addr;

use super::Scene;
use super::source::SourceKind;
use super::truth::{Expected, Threshold, Truth};
use super::world::attacker;

/// What the attacker is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// Passwords guessed for root until one fits.
    SshBruteForce,
    /// A document starts PowerShell with an encoded command, which calls home.
    EncodedPowershell,
    /// The memory of LSASS is dumped, through comsvcs.dll or with ProcDump.
    LsassDump,
    /// Traces are removed from the event log.
    LogClearing,
    /// A scheduled task starts a program from a folder that anyone can write to.
    ScheduledTask,
    /// A scanner looks for paths, traversals and injections.
    WebScan,
    /// A cloud account is taken over.
    CloudTakeover,
}

const WINDOWS: [SourceKind; 2] = [SourceKind::WindowsFlat, SourceKind::WindowsNested];

impl Scenario {
    const ALL: [Self; 7] = [
        Self::SshBruteForce,
        Self::EncodedPowershell,
        Self::WebScan,
        Self::LsassDump,
        Self::CloudTakeover,
        Self::ScheduledTask,
        Self::LogClearing,
    ];

    /// The scenarios that leave traces in one of these sources.
    pub(super) fn within(sources: &[SourceKind]) -> Vec<(Self, Vec<SourceKind>)> {
        let stage = |scenario: Self| {
            let stage = scenario
                .stages()
                .iter()
                .copied()
                .filter(|source| sources.contains(source))
                .collect();
            (scenario, stage)
        };
        Self::ALL
            .into_iter()
            .map(stage)
            .filter(|(_, stage): &(Self, Vec<SourceKind>)| !stage.is_empty())
            .collect()
    }

    /// The logs that it can leave its traces in; one attack uses one of them.
    fn stages(self) -> &'static [SourceKind] {
        match self {
            Self::SshBruteForce => &[SourceKind::Sshd],
            Self::WebScan => &[SourceKind::Web],
            Self::CloudTakeover => &[SourceKind::CloudTrail],
            Self::EncodedPowershell | Self::LsassDump | Self::LogClearing | Self::ScheduledTask => {
                &WINDOWS
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::SshBruteForce => "ssh_brute_force",
            Self::EncodedPowershell => "encoded_powershell",
            Self::LsassDump => "lsass_dump",
            Self::LogClearing => "log_clearing",
            Self::ScheduledTask => "scheduled_task",
            Self::WebScan => "web_scan",
            Self::CloudTakeover => "cloud_takeover",
        }
    }
}

/// An attack under way.
pub(super) struct Attack {
    number: u64,
    scenario: Scenario,
    source: SourceKind,
    /// Where it comes from. No other attack within reach of any correlation has the same.
    address: Ipv4Addr,
    /// Decides whom and what it hits.
    target: u32,
    /// How many steps of the repeated kind.
    rounds: u32,
    /// The next step, from 0.
    step: u32,
    /// Event time of the next step, nanoseconds.
    due_ns: i64,
    played: Vec<(u64, i64)>,
    expected: Vec<Expected>,
    counted: Option<&'static Threshold>,
}

/// What a step leaves behind.
pub(super) struct Step {
    /// Detections that match the event.
    detections: &'static [&'static str],
    /// The correlation that it counts towards.
    counted: Option<&'static Threshold>,
    /// Time until the next step, milliseconds; none: this was the last.
    pause_ms: Option<u32>,
}

impl Attack {
    /// The `number`-th attack, its first step at `start_ns`.
    pub(super) fn new(
        number: u64,
        scenario: Scenario,
        source: SourceKind,
        start_ns: i64,
        scene: &mut Scene<'_>,
    ) -> Self {
        Self {
            number,
            scenario,
            source,
            address: attacker(number),
            target: scene.dice.below(u32::MAX),
            rounds: match scenario {
                Scenario::SshBruteForce => scene.dice.between(12, 21),
                Scenario::WebScan => scene.dice.between(26, 41),
                Scenario::CloudTakeover => scene.dice.between(9, 15),
                _ => 1,
            },
            step: 0,
            due_ns: start_ns,
            played: Vec::new(),
            expected: Vec::new(),
            counted: None,
        }
    }

    /// The order in which attacks get their turn: the one that is due first is the greatest.
    pub(super) fn turn(&self) -> Reverse<(i64, u64)> {
        Reverse((self.due_ns, self.number))
    }

    /// Event time of the next step, nanoseconds.
    pub(super) fn due_ns(&self) -> i64 {
        self.due_ns
    }

    /// The log that the attack shows in.
    pub(super) fn source(&self) -> SourceKind {
        self.source
    }

    /// Appends the event of the next step, which is the `scene.number`-th of its source and happens at `time_ns`.
    /// Answers whether there are more steps to come.
    pub(super) fn play(&mut self, scene: &mut Scene<'_>, time_ns: i64, out: &mut Vec<u8>) -> bool {
        let step = match self.scenario {
            Scenario::SshBruteForce => ssh::brute_force(self, scene, out),
            Scenario::EncodedPowershell => endpoint::encoded_powershell(self, scene, out),
            Scenario::LsassDump => endpoint::lsass_dump(self, scene, out),
            Scenario::LogClearing => endpoint::log_clearing(self, scene, out),
            Scenario::ScheduledTask => endpoint::scheduled_task(self, scene, out),
            Scenario::WebScan => web::scan(self, scene, out),
            Scenario::CloudTakeover => cloud::takeover(self, scene, out),
        };
        self.played.push((scene.number, time_ns));
        for rule in step.detections {
            self.expect(rule, false, scene.number);
        }
        if let Some(threshold) = step.counted {
            self.counted = Some(threshold);
            self.expect(threshold.rule, true, scene.number);
        }
        self.step += 1;
        self.due_ns = self
            .due_ns
            .saturating_add(i64::from(step.pause_ms.unwrap_or(0)) * 1_000_000);
        step.pause_ms.is_some()
    }

    fn expect(&mut self, rule: &'static str, correlation: bool, event: u64) {
        match self
            .expected
            .iter_mut()
            .find(|expected| expected.rule == rule)
        {
            Some(expected) => expected.events.push(event),
            None => self.expected.push(Expected {
                rule,
                correlation,
                events: vec![event],
            }),
        }
    }

    /// What has been played so far, as ground truth; nothing if the attack has not begun.
    pub(super) fn truth(mut self) -> Option<Truth> {
        let start_ns = self.played.iter().map(|&(_, time_ns)| time_ns).min()?;
        let end_ns = self.played.iter().map(|&(_, time_ns)| time_ns).max()?;
        let count = self.counted.map_or(0, |threshold| threshold.count);
        self.expected
            .retain(|expected| !expected.correlation || expected.events.len() >= count);
        Some(Truth {
            attack: self.number,
            scenario: self.scenario.name(),
            source: self.source,
            start_ns,
            end_ns,
            events: self.played.iter().map(|&(event, _)| event).collect(),
            expected: self.expected,
        })
    }
}

impl PartialEq for Attack {
    fn eq(&self, other: &Self) -> bool {
        self.turn() == other.turn()
    }
}

impl Eq for Attack {}

impl PartialOrd for Attack {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Attack {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.turn().cmp(&other.turn())
    }
}
