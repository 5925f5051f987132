//! Finding the chunks of a snapshot among others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Chunk, Kind, SnapshotError, SnapshotName};
use crate::frame::{Fingerprint, corrupt};

/// Rules that tell early, by their fingerprints, as JSON.
pub(crate) type Rules = BTreeMap<Fingerprint, Vec<u8>>;

/// Looks for the chunks of one snapshot.
#[derive(Debug)]
pub struct Gathering {
    partition: u32,
    name: SnapshotName,
    /// By index. Of chunks with the same one, the last holds, as it does when the topic is compacted.
    chunks: BTreeMap<u32, Vec<u8>>,
    /// What is wrong with a chunk that should be one of them.
    damage: Option<SnapshotError>,
}

/// A snapshot whose chunks are all here, and are those that were written.
#[derive(Debug)]
pub struct Gathered {
    pub(crate) chunks: Vec<Vec<u8>>,
    /// What it says of rules.
    pub(crate) rules: Rules,
}

impl Gathered {
    /// How many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    /// The fingerprints of the rules that it says all about, should they be taken away.
    #[must_use]
    pub fn described(&self) -> BTreeSet<[u8; 16]> {
        self.rules.keys().copied().collect()
    }
}

impl Gathering {
    /// Of the snapshot of this name, of an exchange partition.
    #[must_use]
    pub fn new(partition: u32, name: SnapshotName) -> Self {
        Self {
            partition,
            name,
            chunks: BTreeMap::new(),
            damage: None,
        }
    }

    /// Takes a chunk in, if it belongs to the snapshot. They may come in any order, between those of others.
    pub fn add(&mut self, chunk: &[u8]) {
        match Chunk::decode(chunk) {
            Ok(of) if (of.partition, of.offset) == (self.partition, self.name.offset) => {
                self.chunks.insert(of.index, chunk.to_vec());
            }
            Ok(_) => {}
            // It may be another's; that chunks are missing is said in the end, and this is why.
            Err(error) => self.damage = Some(error),
        }
    }

    /// All chunks of the snapshot.
    ///
    /// # Errors
    /// When chunks are missing, damaged or not those that the name stands for.
    pub fn finish(self) -> Result<Gathered, SnapshotError> {
        self.whole()
            .map_err(|error| self.damage.clone().unwrap_or(error))
            .map(|(count, rules)| Gathered {
                chunks: self.chunks.into_values().take(count).collect(),
                rules,
            })
    }

    /// Checks that everything is there. Answers how many chunks there are before the end, and what they say of rules.
    fn whole(&self) -> Result<(usize, Rules), SnapshotError> {
        let ends = |(index, bytes): (&u32, &Vec<u8>)| match Chunk::decode(bytes) {
            Ok(chunk) if chunk.kind == Kind::End => Some(*index),
            _ => None,
        };
        // A snapshot of the same offset that was given up may have been longer: the first end that fits is it.
        let mut found = Err(corrupt("no chunk of it, or not the last, is there").into());
        for end in self.chunks.iter().filter_map(ends) {
            found = self.ends_at(end);
            if found.is_ok() {
                break;
            }
        }
        found
    }

    fn ends_at(&self, end: u32) -> Result<(usize, Rules), SnapshotError> {
        let mut rules = BTreeMap::new();
        let mut digest = blake3::Hasher::new();
        let mut count: u32 = 0;
        for (index, bytes) in self.chunks.range(..end) {
            if *index != count {
                break;
            }
            let chunk = Chunk::decode(bytes)?;
            digest.update(&chunk.sum);
            if chunk.kind == Kind::Rule {
                rules.insert(chunk.rule, chunk.body.rest().to_vec());
            }
            count += 1;
        }
        if count != end {
            return Err(corrupt(&format!("chunk {count} of {end} is missing")).into());
        }
        let bytes = self.chunks.get(&end).map_or(&[][..], Vec::as_slice);
        let mut body = Chunk::decode(bytes)?.body;
        let counted = body.count("end")?;
        let said = body.array::<32>("end")?;
        let digest = *digest.finalize().as_bytes();
        if counted != count as usize || said != digest || digest != self.name.digest {
            return Err(corrupt("its chunks are not those that it was written with").into());
        }
        Ok((counted, rules))
    }
}
