//! What is committed beside the offset of an exchange partition: how many partitions the exchange had, and which snapshot is in
//! force.
//!
//! Groups are spread over the partitions by hash. Where two workers disagree about their number, a group is counted in two places.
//! So every commit says the number, and whoever finds another one than its own does not begin. How it is changed,
//! [`crate::growth`] tells.

use haechi_log::{LogError, TopicPartition};
use haechi_window::SnapshotName;

/// Marks the layout of the text. An older release wrote only the snapshot's name, or nothing.
const VERSION: &str = "haechi-exchange-1";

/// How an exchange partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// How many partitions the exchange has; none where it was not said.
    pub(crate) partitions: Option<u32>,
    /// Records before this offset, and snapshots of states before it, are from a time when the exchange had fewer: only some of
    /// their groups are in this partition still.
    pub(crate) since: i64,
    /// The snapshot in force.
    pub(crate) snapshot: Option<SnapshotName>,
}

impl Standing {
    /// As text, to be committed beside an offset.
    pub(crate) fn text(&self) -> String {
        let partitions = self.partitions.unwrap_or(0);
        let mut text = format!("{VERSION} {partitions} {}", self.since);
        if let Some(snapshot) = &self.snapshot {
            text.push(' ');
            text.push_str(&snapshot.text());
        }
        text
    }

    /// Reads what [`Self::text`] wrote. Anything else stands for what an older release says: a snapshot's name at most.
    pub(crate) fn of_text(text: &str) -> Self {
        Self::read(text).unwrap_or_else(|| Self {
            snapshot: SnapshotName::of_text(text),
            ..Self::default()
        })
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        if words.next()? != VERSION {
            return None;
        }
        let partitions = words.next()?.parse().ok()?;
        Some(Self {
            partitions: Some(partitions).filter(|partitions| *partitions > 0),
            since: words.next()?.parse().ok()?,
            snapshot: words.next().and_then(SnapshotName::of_text),
        })
    }

    /// Whether a worker that spreads groups over `partitions` may take this partition.
    ///
    /// # Errors
    /// When the exchange has, or had, another number of them.
    pub(crate) fn check(&self, at: &TopicPartition, partitions: u32) -> Result<(), LogError> {
        let topic = &at.topic;
        if u32::try_from(at.partition).is_ok_and(|partition| partition >= partitions) {
            return Err(LogError::fatal(format!(
                "topic `{topic}` has been given more than the {partitions} partitions that this worker knows of: stop all workers, move the windows with `haechi topics grow-exchange`, and start them again"
            )));
        }
        match self.partitions {
            Some(other) if other != partitions => {
                Err(LogError::fatal(mismatch(topic, partitions, other)))
            }
            _ => Ok(()),
        }
    }
}

/// What to say where the exchange has so many partitions and its records are spread over another number.
fn mismatch(topic: &str, partitions: u32, other: u32) -> String {
    format!(
        "topic `{topic}` has {partitions} partitions, but its windows are spread over {other}: with all workers stopped, `haechi topics grow-exchange --partitions N` moves them, N a multiple of {other}"
    )
}

/// The snapshot that is named beside an offset, if one is.
#[must_use]
pub fn snapshot_of(metadata: &str) -> Option<SnapshotName> {
    Standing::of_text(metadata).snapshot
}

/// Over how many partitions the windows are spread, as far as commits say so; none when nothing was said.
///
/// # Errors
/// When they do not agree, which is a defect or somebody else's doing.
pub fn spread<'a>(metadata: impl IntoIterator<Item = &'a str>) -> Result<Option<u32>, LogError> {
    let mut spread = None;
    for said in metadata.into_iter().map(Standing::of_text) {
        match (spread, said.partitions) {
            (Some(one), Some(other)) if one != other => {
                return Err(LogError::fatal(format!(
                    "some partitions of the exchange say that there are {one}, others {other}: the group's committed offsets were changed by hand; its windows cannot be moved"
                )));
            }
            (None, some) => spread = some,
            _ => {}
        }
    }
    Ok(spread)
}

/// Checks what is committed beside the offsets of the exchange against the number of partitions that it has, before anything is read.
///
/// # Errors
/// When its windows are spread over another number.
pub fn check_layout<'a>(
    topic: &str,
    partitions: u32,
    metadata: impl IntoIterator<Item = &'a str>,
) -> Result<(), LogError> {
    match spread(metadata)? {
        Some(other) if other != partitions => {
            Err(LogError::fatal(mismatch(topic, partitions, other)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn name() -> SnapshotName {
        SnapshotName {
            offset: 7,
            digest: [3; 32],
            slot: 1,
            from: 40,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for snapshot in [None, Some(name())] {
            let standing = Standing {
                partitions: Some(8),
                since: 12,
                snapshot,
            };
            assert_eq!(Standing::of_text(&standing.text()), standing);
        }
    }

    #[test]
    fn an_older_release_says_a_snapshot_or_nothing() {
        assert_eq!(Standing::of_text(""), Standing::default());
        let old = Standing {
            snapshot: Some(name()),
            ..Standing::default()
        };
        assert_eq!(Standing::of_text(&name().text()), old);
    }

    #[test]
    fn another_number_is_refused() {
        let at = TopicPartition {
            topic: "x".into(),
            partition: 3,
        };
        let of = |partitions| Standing {
            partitions,
            ..Standing::default()
        };
        assert!(of(None).check(&at, 4).is_ok());
        assert!(of(Some(4)).check(&at, 4).is_ok());
        let error = of(Some(4)).check(&at, 8).unwrap_err();
        assert!(error.to_string().contains("spread over 4"), "{error}");
        let error = of(None).check(&at, 3).unwrap_err();
        assert!(error.to_string().contains("grow-exchange"), "{error}");
        let said = [of(None).text(), of(Some(4)).text()];
        let said = || said.iter().map(String::as_str);
        assert!(check_layout("x", 4, said()).is_ok());
        assert!(check_layout("x", 8, said()).is_err());
    }
}
