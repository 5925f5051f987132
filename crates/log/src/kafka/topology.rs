//! Which topics a group reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::{Metadata, MetadataTopic};

use super::context::Context;
use super::{config, failure};
use crate::{LogError, Topology};

/// The topics that `sources` name or match as the brokers know them, without `exchange`.
pub(super) fn resolve(
    consumer: &BaseConsumer<Context>,
    sources: &[String],
    exchange: Option<&str>,
    wait: Duration,
) -> Result<Topology, LogError> {
    let ask = |topic: Option<&str>| -> Result<Metadata, LogError> {
        consumer
            .fetch_metadata(topic, wait)
            .map_err(|error| failure::of("read the topics", &error))
    };
    let mut topics = BTreeMap::new();
    let mut add = |topic: &MetadataTopic| {
        let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
        if topic.error().is_none() && partitions > 0 {
            topics.insert(Arc::from(topic.name()), partitions);
        }
    };
    let (patterns, names): (Vec<&String>, Vec<&String>) =
        sources.iter().partition(|name| name.starts_with('^'));
    for name in names {
        ask(Some(name))?.topics().iter().for_each(&mut add);
    }
    if !patterns.is_empty() {
        let patterns = patterns.into_iter().map(|source| config::pattern(source));
        let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
        let matches = |name: &str| patterns.iter().any(|pattern| pattern.is_match(name));
        ask(None)?
            .topics()
            .iter()
            .filter(|topic| Some(topic.name()) != exchange && matches(topic.name()))
            .for_each(add);
    }
    Ok(Topology {
        topics: topics.into_iter().collect(),
    })
}
