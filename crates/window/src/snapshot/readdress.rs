//! A snapshot of one partition as that of another.

use super::{Chunk, Gathered, SnapshotError, Writer};

/// Writes a snapshot once more, as that of the state of `partition` after all records before `offset` there; `sink` is given each
/// chunk with its place. Answers the digest that it is named by. What the state is of is not looked at.
///
/// # Errors
/// When the snapshot is damaged.
pub fn readdress(
    snapshot: &Gathered,
    partition: u32,
    offset: i64,
    sink: &mut dyn FnMut(u32, &[u8]),
) -> Result<[u8; 32], SnapshotError> {
    let mut writer = Writer::new(partition, offset, usize::MAX, sink);
    for chunk in &snapshot.chunks {
        let chunk = Chunk::decode(chunk)?;
        writer.begin(chunk.kind, &chunk.rule, &[]);
        writer.item(|bytes| bytes.extend(chunk.body.rest()));
        writer.finish();
    }
    Ok(writer.end())
}
