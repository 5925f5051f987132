//! The watermark of stage 2: event time as far as all source partitions together have come.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::frame::{Bytes, FrameError, Topics, corrupt, put_count, state_code, state_of};
use crate::source::{Progress, SourceProgress, SourceState};

/// Combines what the owners of source partitions say into one watermark that never goes back.
///
/// * It is unset until every partition of every topic on the roster has spoken, and it stands still while a partition that
///   has joined the roster has not spoken.
/// * While some source is active it follows the slowest active one.
/// * When none is active it follows the furthest idle one (idle sources move with their workers' clocks).
/// * When all have ended it is `i64::MAX`.
///
/// The roster is the one heard last: topics come and go and partitions are added while haechi runs.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    roster: Vec<(Arc<str>, i32)>,
    /// The last word of every partition of every topic, also of those that have left the roster.
    heard: HashMap<Arc<str>, BTreeMap<i32, Heard>>,
    watermark_ns: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    epoch: u64,
    watermark_ns: i64,
    state: SourceState,
}

impl Watermark {
    /// Takes in what a worker said. `progress` without a roster says nothing about the roster.
    pub(crate) fn hear(&mut self, progress: Progress) {
        if !progress.roster.is_empty() {
            self.roster = progress.roster;
        }
        for source in progress.sources {
            self.hear_source(source);
        }
        let Some(combined) = self.combine() else {
            return;
        };
        self.watermark_ns = Some(self.watermark_ns.map_or(combined, |old| old.max(combined)));
    }

    /// No event earlier than this is expected any more; none until every source has spoken.
    pub(crate) fn get(&self) -> Option<i64> {
        self.watermark_ns
    }

    /// Whether every source has ended.
    pub(crate) fn is_finished(&self) -> bool {
        let ended = |heard: &Heard| heard.state == SourceState::Ended;
        self.on_roster()
            .is_some_and(|heard| !heard.is_empty() && heard.into_iter().all(ended))
    }

    /// Approximate bytes held.
    pub(crate) fn size(&self) -> usize {
        let sources: usize = self.heard.values().map(BTreeMap::len).sum();
        sources * size_of::<(i32, Heard)>() + self.roster.len() * size_of::<(Arc<str>, i32)>()
    }

    /// Writes everything, for a snapshot.
    pub(crate) fn save(&self, topics: &mut Topics, bytes: &mut Vec<u8>) {
        put_count(bytes, self.roster.len());
        for (topic, partitions) in &self.roster {
            bytes.extend(topics.index(topic).to_le_bytes());
            bytes.extend(partitions.to_le_bytes());
        }
        let mut heard: Vec<_> = self.heard.iter().collect();
        heard.sort_unstable_by(|left, right| left.0.cmp(right.0));
        put_count(bytes, heard.iter().map(|(_, of)| of.len()).sum());
        for (topic, partitions) in heard {
            for (partition, word) in partitions {
                bytes.extend(topics.index(topic).to_le_bytes());
                bytes.extend(partition.to_le_bytes());
                bytes.extend(word.epoch.to_le_bytes());
                bytes.extend(word.watermark_ns.to_le_bytes());
                bytes.push(state_code(word.state));
            }
        }
        bytes.push(u8::from(self.watermark_ns.is_some()));
        bytes.extend(self.watermark_ns.iter().flat_map(|ns| ns.to_le_bytes()));
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(topics: &[Arc<str>], bytes: &mut Bytes<'_>) -> Result<Self, FrameError> {
        let roster = bytes.list("roster", 8, |bytes| {
            let topic = bytes.topic(topics)?;
            Ok((topic, i32::from_le_bytes(bytes.array("roster")?)))
        })?;
        let words = bytes.list("last words", 25, |bytes| {
            let topic = bytes.topic(topics)?;
            let partition = i32::from_le_bytes(bytes.array("last words")?);
            let word = Heard {
                epoch: u64::from_le_bytes(bytes.array("last words")?),
                watermark_ns: i64::from_le_bytes(bytes.array("last words")?),
                state: state_of(bytes.array("last words")?)?,
            };
            Ok((topic, partition, word))
        })?;
        let mut heard: HashMap<Arc<str>, BTreeMap<i32, Heard>> = HashMap::new();
        for (topic, partition, word) in words {
            heard.entry(topic).or_default().insert(partition, word);
        }
        let watermark_ns = match bytes.array("watermark")? {
            [0] => None,
            [1] => Some(i64::from_le_bytes(bytes.array("watermark")?)),
            _ => return Err(corrupt("a watermark that is neither there nor not")),
        };
        Ok(Self {
            roster,
            heard,
            watermark_ns,
        })
    }

    fn hear_source(&mut self, said: SourceProgress) {
        let new = Heard {
            epoch: said.epoch,
            watermark_ns: said.watermark_ns,
            state: said.state,
        };
        self.heard
            .entry(said.source.topic)
            .or_default()
            .entry(said.source.partition)
            .and_modify(|old| {
                if new.epoch >= old.epoch {
                    let watermark_ns = old.watermark_ns.max(new.watermark_ns);
                    *old = Heard {
                        watermark_ns,
                        ..new
                    };
                }
            })
            .or_insert(new);
    }

    /// The last words of all sources on the roster; none while one of them has not spoken.
    fn on_roster(&self) -> Option<Vec<&Heard>> {
        let mut all = Vec::new();
        for (topic, partitions) in &self.roster {
            let expected = usize::try_from(*partitions).unwrap_or(0);
            if expected == 0 {
                continue;
            }
            let before = all.len();
            all.extend(
                self.heard
                    .get(topic)?
                    .range(0..*partitions)
                    .map(|(_, heard)| heard),
            );
            if all.len() - before < expected {
                return None;
            }
        }
        Some(all)
    }

    /// The watermark that the current words give; none while a source on the roster has not spoken.
    fn combine(&self) -> Option<i64> {
        let heard = self.on_roster()?;
        let of = |state: SourceState| {
            let watermarks = heard.iter().filter(move |heard| heard.state == state);
            watermarks.map(|heard| heard.watermark_ns)
        };
        of(SourceState::Active)
            .min()
            .or_else(|| of(SourceState::Idle).max())
            .or_else(|| of(SourceState::Ended).map(|_| i64::MAX).next())
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;
    use crate::source::SourceId;
    use SourceState::{Active, Ended, Idle};

    fn say(roster: &[(&str, i32)], sources: &[(&str, i32, u64, i64, SourceState)]) -> Progress {
        Progress {
            roster: roster.iter().map(|&(topic, n)| (topic.into(), n)).collect(),
            sources: sources
                .iter()
                .map(
                    |&(topic, partition, epoch, watermark_ns, state)| SourceProgress {
                        source: SourceId {
                            topic: topic.into(),
                            partition,
                        },
                        epoch,
                        watermark_ns,
                        state,
                    },
                )
                .collect(),
            announce: true,
        }
    }

    #[test]
    fn it_is_unset_until_every_partition_of_every_topic_has_spoken() {
        let mut watermark = Watermark::default();
        let roster = [("a", 2), ("b", 1)];
        watermark.hear(say(&roster, &[("a", 0, 1, 10, Active)]));
        watermark.hear(say(&roster, &[("b", 0, 1, 10, Active)]));
        assert_eq!(watermark.get(), None);
        watermark.hear(say(&roster, &[("a", 1, 1, 7, Active)]));
        assert_eq!(watermark.get(), Some(7));
    }

    #[test]
    fn idle_sources_do_not_hold_active_ones_back() {
        let mut watermark = Watermark::default();
        let roster = [("a", 3)];
        let words = [
            ("a", 0, 1, 100, Active),
            ("a", 1, 1, 5, Idle),
            ("a", 2, 1, i64::MAX, Ended),
        ];
        watermark.hear(say(&roster, &words));
        assert_eq!(watermark.get(), Some(100));
        watermark.hear(say(
            &roster,
            &[("a", 0, 1, 100, Idle), ("a", 1, 1, 400, Idle)],
        ));
        assert_eq!(watermark.get(), Some(400));
        assert!(!watermark.is_finished());
    }

    #[test]
    fn it_is_at_the_end_of_time_when_all_have_ended() {
        let mut watermark = Watermark::default();
        assert!(!watermark.is_finished());
        watermark.hear(say(&[("a", 2)], &[("a", 0, 1, i64::MAX, Ended)]));
        assert!(!watermark.is_finished());
        watermark.hear(say(&[("a", 2)], &[("a", 1, 1, i64::MAX, Ended)]));
        assert!(watermark.is_finished());
        assert_eq!(watermark.get(), Some(i64::MAX));
    }

    #[test]
    fn it_never_goes_back() {
        let mut watermark = Watermark::default();
        watermark.hear(say(&[("a", 1)], &[("a", 0, 1, 100, Idle)]));
        watermark.hear(say(&[("a", 2)], &[("a", 1, 1, 30, Active)]));
        assert_eq!(watermark.get(), Some(100));
        watermark.hear(say(&[("a", 2)], &[("a", 0, 2, 50, Active)]));
        assert_eq!(watermark.get(), Some(100));
    }

    #[test]
    fn an_earlier_owner_is_not_heard_after_a_later_one() {
        let mut watermark = Watermark::default();
        watermark.hear(say(&[("a", 1)], &[("a", 0, 2, 100, Active)]));
        watermark.hear(say(&[("a", 1)], &[("a", 0, 1, 900, Idle)]));
        assert_eq!(watermark.get(), Some(100));
        watermark.hear(say(&[("a", 1)], &[("a", 0, 2, 900, Active)]));
        assert_eq!(watermark.get(), Some(900));
    }

    #[test]
    fn a_partition_that_joins_holds_time_until_it_has_spoken() {
        let mut watermark = Watermark::default();
        watermark.hear(say(&[("a", 1)], &[("a", 0, 1, 100, Active)]));
        watermark.hear(say(&[("a", 2)], &[("a", 0, 1, 200, Active)]));
        assert_eq!(watermark.get(), Some(100));
        watermark.hear(say(&[("a", 2)], &[("a", 1, 1, 150, Active)]));
        assert_eq!(watermark.get(), Some(150));
    }

    #[test]
    fn a_topic_that_leaves_does_not_hold_time() {
        let mut watermark = Watermark::default();
        let words = [("a", 0, 1, 100, Active), ("b", 0, 1, 10, Active)];
        watermark.hear(say(&[("a", 1), ("b", 1)], &words));
        assert_eq!(watermark.get(), Some(10));
        watermark.hear(say(&[("a", 1)], &[]));
        assert_eq!(watermark.get(), Some(100));
    }
}
