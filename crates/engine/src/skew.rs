//! Holding back partitions that are far ahead of the others in event time.
//!
//! Windows wait for the slowest partition. Whatever a faster one brings meanwhile has to be kept, so while one topic catches up an
//! hour, the others would pile up an hour of open windows. A partition that is further ahead than `max_skew` is not read until the
//! slowest has come nearer. It is not late by that, for time does not pass it by.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use haechi_log::TopicPartition;

/// How far event time has come in a source partition, as far as that holds others back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its watermark, nanoseconds since the Unix epoch.
    At(i64),
    /// It is read, and no event has come yet: where it stands is not known.
    Unknown,
    /// It is idle and holds nobody back.
    Idle,
    /// It is over (bounded runs), and not to be read again.
    Ended,
}

/// Which of a worker's source partitions are held back.
#[derive(Debug)]
pub struct Skew {
    most_ns: i64,
    held: BTreeSet<TopicPartition>,
}

/// What to change.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Partitions to read no further for now.
    pub pause: Vec<TopicPartition>,
    /// Partitions to read again.
    pub resume: Vec<TopicPartition>,
}

impl Skew {
    /// With none held back; `most` is how far ahead a partition may be.
    #[must_use]
    pub fn new(most: Duration) -> Self {
        Self {
            most_ns: i64::try_from(most.as_nanos()).unwrap_or(i64::MAX),
            held: BTreeSet::new(),
        }
    }

    /// Compares a worker's partitions with the slowest: of its own, and of all, `slowest_ns`, where it is told (a worker with exchange
    /// partitions is). Where nobody knows yet how far the slowest is, nobody is held back.
    #[must_use]
    pub fn compare(
        &self,
        partitions: &BTreeMap<TopicPartition, Standing>,
        slowest_ns: Option<i64>,
    ) -> Change {
        let own = partitions.values().filter_map(|standing| match standing {
            Standing::At(watermark_ns) => Some(*watermark_ns),
            Standing::Unknown => Some(i64::MIN),
            Standing::Idle | Standing::Ended => None,
        });
        let slowest_ns = own.chain(slowest_ns).min().unwrap_or(i64::MIN);
        let is_ahead = |standing: &Standing| match standing {
            Standing::At(watermark_ns) if slowest_ns != i64::MIN => {
                watermark_ns.saturating_sub(slowest_ns) > self.most_ns
            }
            _ => false,
        };
        self.change(partitions, is_ahead)
    }

    /// Lets all partitions go: there are no windows that could pile up.
    #[must_use]
    pub fn none(&self, partitions: &BTreeMap<TopicPartition, Standing>) -> Change {
        self.change(partitions, |_| false)
    }

    fn change(
        &self,
        partitions: &BTreeMap<TopicPartition, Standing>,
        waits: impl Fn(&Standing) -> bool,
    ) -> Change {
        let mut change = Change::default();
        for (at, standing) in partitions {
            match (waits(standing), self.held.contains(at)) {
                (true, false) => change.pause.push(at.clone()),
                (false, true) if *standing != Standing::Ended => change.resume.push(at.clone()),
                _ => {}
            }
        }
        change
    }

    /// These partitions are paused now, or may be: those that were just taken over may have been paused when they were here before.
    pub fn hold(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        self.held.extend(partitions);
    }

    /// These partitions are read again, or are not ours any more.
    pub fn release(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            self.held.remove(at);
        }
    }

    /// How many are held back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition {
            topic: "logs".into(),
            partition,
        }
    }

    fn standings(of: &[Standing]) -> BTreeMap<TopicPartition, Standing> {
        (0..).map(at).zip(of.iter().copied()).collect()
    }

    /// Pauses and resumes as told.
    fn follow(skew: &mut Skew, of: &[Standing], slowest_ns: Option<i64>) -> Change {
        let change = skew.compare(&standings(of), slowest_ns);
        skew.hold(change.pause.clone());
        skew.release(&change.resume);
        change
    }

    #[test]
    fn who_is_ahead_waits_until_the_slowest_is_near() {
        let mut skew = Skew::new(Duration::from_nanos(10));
        let far = [Standing::At(100), Standing::At(89)];
        let change = follow(&mut skew, &far, None);
        assert_eq!((change.pause, change.resume), (vec![at(0)], vec![]));
        assert_eq!(follow(&mut skew, &far, None), Change::default(), "once");
        let near = [Standing::At(100), Standing::At(90)];
        assert_eq!(follow(&mut skew, &near, None).resume, [at(0)]);
        assert!(skew.is_empty());
    }

    #[test]
    fn the_slowest_may_be_another_workers() {
        let mut skew = Skew::new(Duration::from_nanos(10));
        let own = [Standing::At(100), Standing::At(100)];
        assert_eq!(follow(&mut skew, &own, Some(0)).pause, [at(0), at(1)]);
        assert_eq!(follow(&mut skew, &own, Some(95)).resume, [at(0), at(1)]);
    }

    #[test]
    fn who_holds_nobody_back_is_not_waited_for() {
        let mut skew = Skew::new(Duration::from_nanos(10));
        let idle = [Standing::At(100), Standing::Idle];
        assert_eq!(follow(&mut skew, &idle, None), Change::default());
        let silent = [Standing::At(100), Standing::Unknown];
        assert_eq!(follow(&mut skew, &silent, None), Change::default());
    }

    #[test]
    fn what_could_not_be_resumed_is_tried_again() {
        let mut skew = Skew::new(Duration::from_nanos(10));
        skew.hold([at(0), at(1)]);
        let near = standings(&[Standing::At(100), Standing::Ended]);
        let resume = skew.compare(&near, None).resume;
        assert_eq!(resume, [at(0)], "what is over stays as it is");
        assert_eq!(skew.compare(&near, None).resume, resume);
        assert_eq!(skew.none(&near).resume, resume);
    }
}
