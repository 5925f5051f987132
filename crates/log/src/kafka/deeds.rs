//! Whose open transaction a new owner ends.
//!
//! A worker that dies leaves a transaction open. Until it times out, readers of committed records get no further in any topic that
//! was written to, and nor does whoever takes the worker's partitions over. The broker ends it at once when somebody else begins
//! with the same transactional id (KIP-98); but the heir has another one, and does not know whom it inherits from.
//!
//! So every offset is committed with a signature, the owner's transactional id, behind the text that belongs to it. An owner that gives
//! a partition back commits it once more without. A new owner that finds a signature begins with that id, for a moment: whoever
//! had it is dead, or was taken for dead.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Assignment, TopicPartition};

/// Between the text and the signature.
const SIGNED: &str = "\nby ";

/// A partition's offset, as it is committed.
type Offset = (TopicPartition, i64, String);

/// What stands in this worker's name.
#[derive(Debug)]
pub(super) struct Deeds {
    id: String,
    /// As last committed, without signature.
    signed: BTreeMap<TopicPartition, (i64, String)>,
    /// Of partitions that were taken over and not committed since.
    unsigned: BTreeMap<TopicPartition, (i64, String)>,
}

/// The text that was committed, and who has signed it.
pub(super) fn read(metadata: &str) -> (&str, Option<&str>) {
    match metadata.rsplit_once(SIGNED) {
        Some((text, owner)) => (text, Some(owner)),
        None => (metadata, None),
    }
}

impl Deeds {
    /// Of the worker with this transactional id.
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            signed: BTreeMap::new(),
            unsigned: BTreeMap::new(),
        }
    }

    /// Takes partitions over, and the signatures off. Answers whose they were who has not given them back.
    pub(super) fn take_over(&mut self, assignments: &mut [Assignment]) -> BTreeSet<String> {
        let mut owners = BTreeSet::new();
        for Assignment { at, committed } in assignments {
            let Some(committed) = committed else { continue };
            let (text, owner) = read(&committed.metadata);
            owners.extend(owner.filter(|owner| *owner != self.id).map(str::to_owned));
            let text = text.to_owned();
            self.unsigned
                .insert(at.clone(), (committed.offset, text.clone()));
            committed.metadata = text;
        }
        owners
    }

    /// The offsets of a commit, signed; with them those of partitions that have begun and are still in another's name.
    pub(super) fn sign(
        &self,
        offsets: &[Offset],
        has_begun: impl Fn(&TopicPartition) -> bool,
    ) -> Vec<Offset> {
        let given = |at: &TopicPartition| offsets.iter().any(|(other, ..)| other == at);
        let others = self.unsigned.iter();
        let others = others.filter(|(at, _)| has_begun(at) && !given(at));
        let others = others.map(|(at, (offset, text))| (at.clone(), *offset, text.clone()));
        let all = offsets.iter().cloned().chain(others);
        all.map(|(at, offset, text)| (at, offset, format!("{text}{SIGNED}{}", self.id)))
            .collect()
    }

    /// These offsets, which [`Deeds::sign`] gave, were committed.
    pub(super) fn committed(&mut self, offsets: Vec<Offset>) {
        for (at, offset, text) in offsets {
            self.unsigned.remove(&at);
            let text = read(&text).0.to_owned();
            self.signed.insert(at, (offset, text));
        }
    }

    /// Nobody knows what is committed now: nothing more is said in this worker's name.
    pub(super) fn forget(&mut self) {
        self.signed.clear();
        self.unsigned.clear();
    }

    /// Gives partitions back: what to commit so that they are in nobody's name.
    pub(super) fn give_back(&mut self, partitions: &[TopicPartition]) -> Vec<Offset> {
        let mut offsets = Vec::new();
        for at in partitions {
            self.unsigned.remove(at);
            if let Some((offset, text)) = self.signed.remove(at) {
                offsets.push((at.clone(), offset, text));
            }
        }
        offsets
    }

    /// The partitions that are in this worker's name.
    pub(super) fn all(&self) -> Vec<TopicPartition> {
        self.signed.keys().cloned().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::Committed;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition,
        }
    }

    fn assigned(partition: i32, metadata: &str) -> Assignment {
        Assignment {
            at: at(partition),
            committed: Some(Committed {
                offset: 7,
                metadata: metadata.to_owned(),
            }),
        }
    }

    #[test]
    fn an_heir_learns_whom_it_inherits_from_and_signs_with_its_first_commit() {
        let mut deeds = Deeds::new("heir");
        let mut given = [
            assigned(0, "note\nby dead"),
            assigned(1, "note\nby heir"),
            assigned(2, "given back"),
            assigned(3, "\nby dead"),
        ];
        let owners = deeds.take_over(&mut given);
        assert_eq!(owners.into_iter().collect::<Vec<_>>(), ["dead"]);
        let texts = given.map(|of| of.committed.unwrap().metadata);
        assert_eq!(texts, ["note", "note", "given back", ""]);
        let offsets = [(at(0), 9, "newer".to_owned())];
        let signed = deeds.sign(&offsets, |at| at.partition < 3);
        assert_eq!(signed[0], (at(0), 9, "newer\nby heir".to_owned()));
        assert_eq!(signed[1], (at(1), 7, "note\nby heir".to_owned()));
        assert_eq!(signed.len(), 3);
        deeds.committed(signed);
        let last = (at(3), 7, "\nby heir".to_owned());
        assert_eq!(deeds.sign(&[], |_| true), [last]);
        deeds.committed(deeds.sign(&[], |_| true));
        assert_eq!(deeds.sign(&[], |_| true), []);
        let back = deeds.give_back(&[at(0), at(3), at(5)]);
        let expected = [(at(0), 9, "newer".to_owned()), (at(3), 7, String::new())];
        assert_eq!(back, expected);
        assert_eq!(deeds.all(), [at(1), at(2)]);
    }

    #[test]
    fn what_was_never_committed_is_not_given_back() {
        let mut deeds = Deeds::new("heir");
        deeds.take_over(&mut [assigned(0, "note\nby dead")]);
        assert_eq!(deeds.give_back(&[at(0)]), []);
        assert_eq!(deeds.sign(&[], |_| true), []);
    }
}
