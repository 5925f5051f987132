//! Reading partitions back, beside the group.

use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::config::{self, KafkaConfig};
use super::context::Context;
use super::failure;
use super::native::{Direct, Happened};
use crate::{Kind, LogError, Record, TopicPartition};

/// One wait for records.
const STEP: Duration = Duration::from_millis(100);

/// Reads what was written, whoever is assigned it.
pub(super) struct History {
    committed: ClientConfig,
    uncommitted: ClientConfig,
    wait: Duration,
    /// Knows where partitions end. Most workers ask for that now and then as long as they live.
    ends: Option<BaseConsumer<Context>>,
}

impl History {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, LogError> {
        Ok(Self {
            committed: config::reader(config, "read_committed")?,
            uncommitted: config::reader(config, "read_uncommitted")?,
            wait: config.wait,
            ends: None,
        })
    }

    /// See [`Log::bounds`](crate::Log::bounds).
    pub(super) fn bounds(&mut self, at: &TopicPartition) -> Result<(i64, i64), LogError> {
        let ends = match &mut self.ends {
            Some(ends) => ends,
            none => none.insert(client(&self.uncommitted)?),
        };
        ends.fetch_watermarks(&at.topic, at.partition, self.wait)
            .map_err(|error| failure::of(&format!("find the ends of {at}"), &error))
    }

    /// See [`Log::read_back`](crate::Log::read_back).
    pub(super) fn read(
        &mut self,
        at: &TopicPartition,
        from: i64,
        take: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), LogError> {
        // The end of what is committed is not the end: an open transaction may hold it back, of which records are still to be seen.
        let (first, end) = self.bounds(at)?;
        let mut next = from.max(first);
        if next >= end {
            return Ok(());
        }
        let what = format!("read {at} back");
        let reader = Direct::consumer(client(&self.committed)?)
            .ok_or_else(|| LogError::fatal("librdkafka gave a consumer without a queue"))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&at.topic, at.partition, Offset::Offset(next))
            .and_then(|()| reader.assign(&list))
            .map_err(|error| failure::of(&what, &error))?;
        let mut moved = Instant::now();
        while next < end {
            let heard = reader.next(STEP, |happened| match happened {
                Happened::Fetched(record) => {
                    take(Record {
                        offset: record.offset,
                        timestamp_ns: None,
                        key: record.key,
                        payload: record.payload,
                    });
                    Ok(record.offset.saturating_add(1))
                }
                // Markers of transactions are passed over without a record.
                Happened::End { offset, .. } => Ok(offset),
                Happened::Error {
                    code,
                    fatal,
                    reason,
                } => match failure::kind(code) {
                    Kind::Fatal => Err(failure::plain(Kind::Fatal, &what, code, reason)),
                    _ if fatal => Err(failure::plain(Kind::Fenced, &what, code, reason)),
                    // librdkafka tries again by itself.
                    _ => Ok(next),
                },
                _ => Ok(next),
            });
            let now = heard.transpose()?.unwrap_or(next);
            if now > next {
                next = now;
                moved = Instant::now();
            } else if moved.elapsed() >= self.wait {
                return Err(LogError::retriable(format!(
                    "cannot {what}: nothing came for {:?} after offset {next}, though it ends at {end}; a transaction may be open there",
                    self.wait
                )));
            }
        }
        Ok(())
    }
}

fn client(config: &ClientConfig) -> Result<BaseConsumer<Context>, LogError> {
    BaseConsumer::from_config_and_context(config, Context::default())
        .map_err(|error| LogError::fatal(format!("kafka configuration: {error}")))
}
