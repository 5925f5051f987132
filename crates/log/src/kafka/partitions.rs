//! Our partitions and offsets as librdkafka's lists.

use rdkafka::{Offset, TopicPartitionList};

use crate::{LogError, Start, TopicPartition};

/// A list of partitions, without offsets.
pub(super) fn named(partitions: &[TopicPartition]) -> Result<TopicPartitionList, LogError> {
    list(partitions.iter().map(|at| (at, Offset::Invalid)))
}

/// A list of partitions, each with where to begin.
pub(super) fn starting(starts: &[(TopicPartition, Start)]) -> Result<TopicPartitionList, LogError> {
    list(starts.iter().map(|(at, start)| {
        let offset = match start {
            Start::At(offset) => Offset::Offset(*offset),
            Start::Earliest => Offset::Beginning,
            Start::Latest => Offset::End,
        };
        (at, offset)
    }))
}

/// A list of partitions, each with the offset and the text to commit.
pub(super) fn with_metadata(
    offsets: &[(TopicPartition, i64, String)],
) -> Result<TopicPartitionList, LogError> {
    let list = list(
        offsets
            .iter()
            .map(|(at, offset, _)| (at, Offset::Offset(*offset))),
    )?;
    for ((.., metadata), mut element) in offsets.iter().zip(list.elements()) {
        element.set_metadata(metadata);
    }
    Ok(list)
}

fn list<'a>(
    partitions: impl Iterator<Item = (&'a TopicPartition, Offset)>,
) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::new();
    for (at, offset) in partitions {
        list.add_partition(&at.topic, at.partition)
            .set_offset(offset)
            .map_err(|_| LogError::fatal(format!("{offset:?} cannot be an offset in {at}")))?;
    }
    Ok(list)
}

/// The offset that reading will give next, if a start says that.
pub(super) fn known(start: Start) -> Option<i64> {
    match start {
        Start::At(offset) => Some(offset),
        Start::Earliest | Start::Latest => None,
    }
}
