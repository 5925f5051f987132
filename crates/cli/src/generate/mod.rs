//! Realistic logs of several sources, with attacks woven in and the ground truth on the side.
//!
//! A [`Generator`] is an endless stream. It is repeatable to the byte: the same configuration gives the same events,
//! on any machine and with any release that does not say otherwise (a test pins the bytes). It is also fast, for it
//! is what a broker is loaded with.
//!
//! What it promises about the truth: the rules in `rules/` find in the stream exactly what the [`Truth`] records say,
//! with a lateness of [`MAX_DISORDER_NS`] or more. Everything else is innocent, however much some of it looks like it
//! is not.

mod attack;
mod cloudtrail;
mod dice;
mod json;
mod moment;
mod source;
mod sshd;
mod truth;
mod web;
mod windows;
mod world;

use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::num::NonZeroU64;

use attack::{Attack, Scenario};
use dice::{Deck, Dice};
use moment::{Calendar, Moment};
pub(crate) use source::SourceKind;
pub(crate) use truth::{Expected, Truth};
use world::{Strangers, World};

/// No event is further behind the latest event before it, in event time, than this: one second of delay on the way,
/// and one that is lost where a log has whole seconds only.
pub(crate) const MAX_DISORDER_NS: i64 = 2_000_000_000;

/// One event in so many arrives late.
const DELAYED_ONE_IN: u32 = 25;
const MAX_DELAY_NS: u32 = 1_000_000_000;

/// What to generate.
#[derive(Debug, Clone)]
pub(crate) struct GeneratorConfig {
    /// Another seed, another stream.
    pub(crate) seed: u64,
    /// Event time of the beginning, nanoseconds since 1970.
    pub(crate) start_ns: i64,
    /// How fast event time passes: so many events make a second of it, on average. It is not a rate limit.
    pub(crate) events_per_second: NonZeroU64,
    /// The logs to write; all of them when empty.
    pub(crate) sources: Vec<SourceKind>,
    /// An attack begins about every so many events; never when 0.
    pub(crate) attack_every: u64,
}

/// Where and when the event is that was just written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Emitted {
    /// Its log.
    pub(crate) source: SourceKind,
    /// Its index among the events of that log, from 0. Where every log is a file of its own: its line.
    pub(crate) index: u64,
    /// Event time as it stands in the event (as precise as the log has it), nanoseconds since 1970.
    pub(crate) time_ns: i64,
    /// With the last event of an attack: the whole of it.
    pub(crate) truth: Option<Truth>,
}

/// What an event is written with.
struct Scene<'a> {
    world: &'a World,
    dice: &'a mut Dice,
    strangers: &'a mut Strangers,
    moment: Moment,
    /// Index of the event in its source.
    number: u64,
}

/// An endless stream of events.
pub(crate) struct Generator {
    world: World,
    dice: Dice,
    strangers: Strangers,
    calendar: Calendar,
    sources: Vec<SourceKind>,
    mix: Deck,
    scenarios: Vec<(Scenario, Vec<SourceKind>)>,
    /// Mean time between two events, nanoseconds.
    gap_ns: u64,
    /// Event time of the next ordinary event, before any delay.
    clock_ns: i64,
    counts: [u64; SourceKind::ALL.len()],
    attack_every: u64,
    until_attack: u64,
    attacks: BinaryHeap<Attack>,
    attacks_begun: u64,
}

impl Generator {
    /// A stream at its beginning.
    pub(crate) fn new(config: GeneratorConfig) -> Self {
        let listed =
            |source: &SourceKind| config.sources.is_empty() || config.sources.contains(source);
        let sources: Vec<SourceKind> = SourceKind::ALL.into_iter().filter(listed).collect();
        let mut generator = Self {
            world: World::new(),
            dice: Dice::new(config.seed),
            strangers: Strangers::new(),
            calendar: Calendar::new(),
            mix: Deck::new(sources.iter().map(|source| source.weight())),
            scenarios: Scenario::within(&sources),
            sources,
            gap_ns: 1_000_000_000 / config.events_per_second.get(),
            clock_ns: config.start_ns,
            counts: [0; SourceKind::ALL.len()],
            attack_every: config.attack_every,
            until_attack: 0,
            attacks: BinaryHeap::new(),
            attacks_begun: 0,
        };
        generator.until_attack = generator.until_next_attack();
        generator
    }

    /// Appends the next event to `out`: one JSON object, without a line end.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> Emitted {
        match self.attacks.peek() {
            Some(attack) if attack.due_ns() <= self.clock_ns => self.play(out),
            _ => self.routine(out),
        }
    }

    /// Ends the stream: the truth about attacks that were cut short, as far as they came.
    pub(crate) fn finish(self) -> Vec<Truth> {
        let mut cut: Vec<Truth> = self.attacks.into_iter().filter_map(Attack::truth).collect();
        cut.sort_by_key(|truth| truth.attack);
        cut
    }

    fn routine(&mut self, out: &mut Vec<u8>) -> Emitted {
        let source = self
            .sources
            .get(self.mix.draw(&mut self.dice))
            .copied()
            .unwrap_or(SourceKind::Web);
        let delay = if self.dice.one_in(DELAYED_ONE_IN) {
            self.dice.below(MAX_DELAY_NS)
        } else {
            0
        };
        let time_ns = written(source, self.clock_ns.saturating_sub(i64::from(delay)));
        let (mut scene, index) = self.scene(source, time_ns);
        match source {
            SourceKind::WindowsFlat => windows::routine(&mut scene, windows::Shape::Flat, out),
            SourceKind::WindowsNested => windows::routine(&mut scene, windows::Shape::Nested, out),
            SourceKind::Sshd => sshd::routine(&mut scene, out),
            SourceKind::Web => web::routine(&mut scene, out),
            SourceKind::CloudTrail => cloudtrail::routine(&mut scene, out),
        }
        self.count(source);
        self.pass_time();
        Emitted {
            source,
            index,
            time_ns,
            truth: None,
        }
    }

    /// Time goes on, sometimes faster, sometimes slower; now and then an attack begins.
    fn pass_time(&mut self) {
        let gap = (self.gap_ns * u64::from(512 + self.dice.below(1024))) >> 10;
        self.clock_ns = self
            .clock_ns
            .saturating_add(i64::try_from(gap).unwrap_or(i64::MAX));
        if self.attack_every == 0 || self.scenarios.is_empty() {
            return;
        }
        self.until_attack -= 1;
        if self.until_attack == 0 {
            self.begin_attack();
            self.until_attack = self.until_next_attack();
        }
    }

    /// Half to one and a half times the mean, at least 1.
    fn until_next_attack(&mut self) -> u64 {
        let spread = u32::try_from(self.attack_every).unwrap_or(u32::MAX);
        (self.attack_every / 2 + u64::from(self.dice.below(spread))).max(1)
    }

    fn begin_attack(&mut self) {
        let number = self.attacks_begun;
        // Each kind in its turn: a short stream shows all of them.
        let turn = (number % self.scenarios.len().max(1) as u64) as usize;
        let Some((scenario, stage)) = self.scenarios.get(turn) else {
            return;
        };
        let (scenario, source) = (*scenario, self.dice.pick(stage));
        let start_ns = self.clock_ns;
        let (mut scene, _) = self.scene(source, start_ns);
        let attack = Attack::new(number, scenario, source, start_ns, &mut scene);
        self.attacks.push(attack);
        self.attacks_begun += 1;
    }

    fn play(&mut self, out: &mut Vec<u8>) -> Emitted {
        // The attack is out of the heap while it plays; it goes back with the time of its next step.
        let Some(mut attack) = self.attacks.peek_mut().map(PeekMut::pop) else {
            return self.routine(out);
        };
        let source = attack.source();
        let time_ns = written(source, attack.due_ns());
        let (mut scene, index) = self.scene(source, time_ns);
        let more = attack.play(&mut scene, time_ns, out);
        let truth = if more {
            self.attacks.push(attack);
            None
        } else {
            attack.truth()
        };
        self.count(source);
        Emitted {
            source,
            index,
            time_ns,
            truth,
        }
    }

    /// What the next event of a source is written with, and its index.
    fn scene(&mut self, source: SourceKind, time_ns: i64) -> (Scene<'_>, u64) {
        let number = self
            .counts
            .get(source as usize)
            .copied()
            .unwrap_or_default();
        let moment = self.calendar.moment(time_ns);
        let (dice, strangers) = (&mut self.dice, &mut self.strangers);
        (
            Scene {
                world: &self.world,
                dice,
                strangers,
                moment,
                number,
            },
            number,
        )
    }

    fn count(&mut self, source: SourceKind) {
        if let Some(count) = self.counts.get_mut(source as usize) {
            *count += 1;
        }
    }
}

/// The time as a log has it: cut to the digits that it writes.
fn written(source: SourceKind, time_ns: i64) -> i64 {
    let unit = 10_i64.pow(9 - source.time_digits());
    time_ns.saturating_sub(time_ns.rem_euclid(unit))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
