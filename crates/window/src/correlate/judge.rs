//! When a window is a finding.

use haechi_rules::{Combination, CompareOp, Correlation, CorrelationCondition, CorrelationKind};

use super::Event;
use super::machine::Item;
use super::tally::Held;

/// Most ways to satisfy a condition over rules that are told apart; the rule language allows no more.
const MOST_WAYS: usize = 1 << 10;

/// How a correlation judges its windows.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(super) measure: Measure,
    pub(super) pace: Pace,
    bounds: Vec<(CompareOp, f64)>,
    /// How many rules there are.
    rules: usize,
}

/// What is looked at in a window.
#[derive(Debug)]
pub(super) enum Measure {
    /// How many events there are.
    Events,
    /// How many distinct values.
    Distinct,
    /// How many of the rules matched.
    Matched,
    Sum,
    Mean,
    Percentile(f64),
    /// Which of the rules matched.
    Which {
        condition: Combination,
        /// For each rule, whether its events can open a window: those of a rule that must not match cannot.
        opens: Vec<bool>,
    },
    /// Which matched in the order that they are listed, beginning with the first event: any of these ways.
    Order(Vec<Way>),
}

/// A sequence of rules, and rules that must not match anywhere in the window.
#[derive(Debug)]
pub(super) struct Way {
    steps: Vec<u32>,
    absent: Vec<u32>,
}

/// How windows follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// A window that is no finding moves on by one event. The finding's time is that of the event that completed it.
    Slide,
    /// The same, but only the end of the window completes it.
    SlideWhole,
    /// A window that is no finding is over, with all of its events.
    Tile,
    /// Only windows of a single event are findings: that it is the last for the whole of the timespan.
    Silence,
    /// An event is a finding by itself when none of its group came within the timespan before.
    Fresh,
}

impl Judge {
    pub(crate) fn of(rule: &Correlation) -> Self {
        let (bounds, condition) = match &rule.condition {
            CorrelationCondition::Number(bounds) => (bounds.clone(), None),
            CorrelationCondition::Rules(condition) => (Vec::new(), Some(condition)),
        };
        let measure = match (&rule.kind, condition) {
            (CorrelationKind::TemporalOrdered, Some(condition)) => Measure::Order(ways(condition)),
            (_, Some(condition)) => Measure::Which {
                condition: condition.clone(),
                opens: opens(condition, rule.rules.len()),
            },
            (CorrelationKind::EventCount | CorrelationKind::NewTerms { .. }, None) => {
                Measure::Events
            }
            (CorrelationKind::ValueCount(_), None) => Measure::Distinct,
            (CorrelationKind::ValueSum(_), None) => Measure::Sum,
            (CorrelationKind::ValueAvg(_), None) => Measure::Mean,
            (CorrelationKind::ValueMedian(_), None) => Measure::Percentile(50.0),
            (CorrelationKind::ValuePercentile { percentile, .. }, None) => {
                Measure::Percentile(*percentile)
            }
            (CorrelationKind::Temporal | CorrelationKind::TemporalOrdered, None) => {
                Measure::Matched
            }
        };
        let pace = match (&measure, condition) {
            _ if matches!(rule.kind, CorrelationKind::NewTerms { .. }) => Pace::Fresh,
            (_, Some(condition)) if condition.has_absence() => Pace::SlideWhole,
            (_, Some(_)) => Pace::Slide,
            (Measure::Mean | Measure::Percentile(_), None) => Pace::Tile,
            (Measure::Events, None) if only_zero(&bounds) => Pace::Silence,
            (_, None) if grows(&bounds) => Pace::Slide,
            (_, None) => Pace::Tile,
        };
        Self {
            measure,
            pace,
            bounds,
            rules: rule.rules.len(),
        }
    }

    /// The fewest events that a window needs; fewer need not be looked at.
    pub(super) fn least_events(&self) -> usize {
        match self.measure {
            Measure::Events | Measure::Distinct if self.pace == Pace::Slide => least(&self.bounds),
            _ => 1,
        }
    }

    /// Whether a window may begin with an event of this rule.
    pub(super) fn opens(&self, position: u32) -> bool {
        match &self.measure {
            Measure::Which { opens, .. } => opens.get(position as usize) == Some(&true),
            Measure::Order(ways) => ways.iter().any(|way| way.steps.first() == Some(&position)),
            _ => true,
        }
    }

    /// Whether a window is a finding, and the number that says so. `seen` knows all of the window.
    pub(super) fn verdict<V: Held>(&self, window: &[Item<V>], seen: &Seen<'_, V>) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
        let count = |number: usize| number as f64;
        if self.pace == Pace::Silence {
            return (window.len() == 1).then_some(0.0);
        }
        let number = match &self.measure {
            Measure::Events => count(window.len()),
            Measure::Distinct => count(V::distinct(&seen.values)),
            Measure::Matched => count(seen.matched()),
            Measure::Sum => V::sum(&seen.values),
            Measure::Mean if window.is_empty() => return None,
            Measure::Mean => V::sum(&seen.values) / count(window.len()),
            Measure::Percentile(percentile) => self::percentile(window, *percentile)?,
            Measure::Which { condition, .. } => {
                let holds = condition.holds(&|position| seen.has(position));
                return holds.then(|| count(seen.matched()));
            }
            Measure::Order(ways) => {
                let fits = |way: &Way| way.fits(window, seen).is_some();
                return ways.iter().any(fits).then(|| count(seen.matched()));
            }
        };
        let holds = |&(op, bound): &(CompareOp, f64)| op.holds(number, bound);
        self.bounds.iter().all(holds).then_some(number)
    }

    /// Which item of a finding's window completed it; the condition is one that more events can only help.
    pub(super) fn completed_at<V: Held>(&self, window: &[Item<V>]) -> Option<usize> {
        match &self.measure {
            Measure::Events => least(&self.bounds).checked_sub(1),
            Measure::Order(ways) => {
                let mut seen = Seen::new(self);
                window.iter().for_each(|item| seen.add(item));
                ways.iter().filter_map(|way| way.fits(window, &seen)).min()
            }
            _ => {
                let mut seen = Seen::new(self);
                (0..window.len()).find(|&last| {
                    window.get(last).into_iter().for_each(|item| seen.add(item));
                    let so_far = window.get(..=last).unwrap_or_default();
                    self.verdict(so_far, &seen).is_some()
                })
            }
        }
    }
}

/// The fewest events that satisfy conditions of `gt` and `gte` alone.
fn least(bounds: &[(CompareOp, f64)]) -> usize {
    let mut least = 1u64;
    for &(op, number) in bounds {
        // Casts of floats saturate.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let needed = match op {
            CompareOp::Gt => (number.floor() as u64).saturating_add(u64::from(number >= 0.0)),
            CompareOp::Gte => number.ceil() as u64,
            CompareOp::Lt | CompareOp::Lte | CompareOp::Eq | CompareOp::Neq => continue,
        };
        least = least.max(needed);
    }
    usize::try_from(least).unwrap_or(usize::MAX)
}

/// Whether more can only help.
fn grows(bounds: &[(CompareOp, f64)]) -> bool {
    bounds
        .iter()
        .all(|(op, _)| matches!(op, CompareOp::Gt | CompareOp::Gte))
}

/// Whether zero satisfies the bounds and no other count does.
fn only_zero(bounds: &[(CompareOp, f64)]) -> bool {
    let holds = |count: f64| bounds.iter().all(|&(op, number)| op.holds(count, number));
    // What the bounds allow begins or ends next to one of them.
    let near = bounds.iter().flat_map(|(_, number)| {
        let whole = number.floor();
        [whole - 1.0, whole, whole + 1.0, whole + 2.0]
    });
    let others = near.chain([1.0, 2.0, 1e15]).filter(|count| *count >= 1.0);
    holds(0.0) && !others.into_iter().any(holds)
}

fn opens(condition: &Combination, rules: usize) -> Vec<bool> {
    let mut opens = vec![false; rules];
    condition.mentions(&mut |position, positive| {
        opens
            .get_mut(position)
            .into_iter()
            .for_each(|opens| *opens |= positive);
    });
    opens
}

fn ways(condition: &Combination) -> Vec<Way> {
    let numbers = |of: Vec<usize>| {
        let number = |position| u32::try_from(position).unwrap_or(u32::MAX);
        of.into_iter().map(number).collect()
    };
    let ways = condition.ways(MOST_WAYS).unwrap_or_default();
    ways.into_iter()
        .map(|(steps, absent)| Way {
            steps: numbers(steps),
            absent: numbers(absent),
        })
        .collect()
}

impl Way {
    /// The item of the window at which the sequence, begun by its first event, is complete; none when it is not, or when what must
    /// not be there is. Every step is an event of its own.
    fn fits<V: Held>(&self, window: &[Item<V>], seen: &Seen<'_, V>) -> Option<usize> {
        if !self.steps.iter().all(|step| seen.has(*step as usize))
            || self.absent.iter().any(|rule| seen.has(*rule as usize))
        {
            return None;
        }
        let first = window.first()?.event;
        let mut steps = self.steps.iter();
        let mut step = steps.next()?;
        let mut last: Option<Event> = None;
        for (at, Item { event, .. }) in window.iter().enumerate() {
            let same = |other: Event| (other.source, other.offset) == (event.source, event.offset);
            if last.is_none() && !same(first) {
                return None;
            }
            if event.position == *step && !last.is_some_and(same) {
                last = Some(*event);
                match steps.next() {
                    Some(next) => step = next,
                    None => return Some(at),
                }
            }
        }
        None
    }
}

/// The percentile of the values, between the two that are next to it where it falls between: of n values in their order, number
/// 0 to n - 1, that at `percentile / 100 * (n - 1)`.
fn percentile<V: Held>(window: &[Item<V>], percentile: f64) -> Option<f64> {
    let mut numbers: Vec<f64> = window.iter().map(|item| item.value.number()).collect();
    numbers.sort_unstable_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
    let rank = percentile / 100.0 * numbers.len().checked_sub(1)? as f64;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the number of values"
    )]
    let below = rank.floor() as usize;
    let low = *numbers.get(below)?;
    let part = rank - rank.floor();
    match numbers.get(below + 1) {
        Some(high) if part > 0.0 => Some(low + (high - low) * part),
        _ => Some(low),
    }
}

/// What is known of a window: which rules matched, and its values.
pub(super) struct Seen<'a, V: Held> {
    /// How many items there are of each rule.
    rules: Vec<usize>,
    pub(super) values: V::Tally<'a>,
    /// Nothing needs to be known where events are only counted.
    idle: bool,
}

impl<'a, V: Held> Seen<'a, V> {
    pub(super) fn new(judge: &Judge) -> Self {
        let idle = matches!(judge.measure, Measure::Events | Measure::Percentile(_));
        Self {
            rules: vec![0; if idle { 0 } else { judge.rules }],
            values: V::Tally::default(),
            idle,
        }
    }

    pub(super) fn add(&mut self, item: &'a Item<V>) {
        if self.idle {
            return;
        }
        if let Some(count) = self.rules.get_mut(item.event.position as usize) {
            *count += 1;
        }
        item.value.add(&mut self.values);
    }

    pub(super) fn remove(&mut self, item: &'a Item<V>) {
        if self.idle {
            return;
        }
        if let Some(count) = self.rules.get_mut(item.event.position as usize) {
            *count -= 1;
        }
        item.value.remove(&mut self.values);
    }

    fn has(&self, position: usize) -> bool {
        self.rules.get(position).is_some_and(|count| *count > 0)
    }

    fn matched(&self) -> usize {
        self.rules.iter().filter(|count| **count > 0).count()
    }
}
