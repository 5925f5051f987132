//! Finding the chunks of a snapshot among others.

use std::collections::BTreeMap;

use super::{Chunk, Kind, SnapshotError, SnapshotName};
use crate::frame::corrupt;

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
}

impl Gathered {
    /// How many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
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
            .map(|count| Gathered {
                chunks: self.chunks.into_values().take(count).collect(),
            })
    }

    /// Checks that everything is there. Answers how many chunks there are before the end.
    fn whole(&self) -> Result<usize, SnapshotError> {
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

    fn ends_at(&self, end: u32) -> Result<usize, SnapshotError> {
        let mut digest = blake3::Hasher::new();
        let mut count: u32 = 0;
        for (index, bytes) in self.chunks.range(..end) {
            if *index != count {
                break;
            }
            digest.update(&Chunk::decode(bytes)?.sum);
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
        Ok(counted)
    }
}
