//! Generated events on a broker: a topic per source, and one for the truth.

use std::collections::BTreeMap;
use std::time::Duration;

use haechi_log::{KafkaAdmin, KafkaConfig, KafkaWriter, Message, NewTopic};

use crate::commands::generate::{Sink, chosen};
use crate::generate::{SourceKind, Truth};

/// How long the broker may take to answer.
pub(crate) const WAIT: Duration = Duration::from_secs(15);

/// What the generator calls itself; it joins no group.
const NAME: &str = "haechi-generate";

/// Writes to `PREFIX-SOURCE` topics, creating them where they are missing.
pub(crate) struct KafkaSink {
    writer: KafkaWriter,
    topics: BTreeMap<SourceKind, (String, i32)>,
    truth_topic: String,
    /// Next partition, per source: records go round.
    turn: BTreeMap<SourceKind, i32>,
    line: Vec<u8>,
}

impl KafkaSink {
    pub(crate) fn open(
        broker: &str,
        prefix: &str,
        sources: &[SourceKind],
        partitions: i32,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(partitions > 0, "--partitions must be at least 1");
        let properties = BTreeMap::from([("bootstrap.servers".to_owned(), broker.to_owned())]);
        let admin = KafkaAdmin::open(&properties, WAIT)?;
        let truth_topic = format!("{prefix}-truth");
        let names: Vec<(SourceKind, String)> = chosen(sources)
            .into_iter()
            .map(|source| (source, format!("{prefix}-{source}")))
            .collect();
        let mut wanted: Vec<NewTopic> = names
            .iter()
            .map(|(_, name)| topic(name, partitions))
            .collect();
        wanted.push(topic(&truth_topic, 1));
        admin.create(&wanted)?;
        let existing = admin.topics()?;
        let with_count = |(source, name): (SourceKind, String)| {
            let count = existing.get(&name).copied().unwrap_or(partitions);
            (source, (name, count))
        };
        let topics = names.into_iter().map(with_count).collect();
        let writer = KafkaWriter::open(KafkaConfig {
            wait: WAIT,
            ..KafkaConfig::new(properties, NAME, NAME)
        })?;
        Ok(Self {
            writer,
            topics,
            truth_topic,
            turn: BTreeMap::new(),
            line: Vec::new(),
        })
    }
}

fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions,
        replicas: None,
        config: BTreeMap::new(),
    }
}

impl Sink for KafkaSink {
    fn event(&mut self, source: SourceKind, event: &[u8]) -> anyhow::Result<()> {
        let Some((topic, partitions)) = self.topics.get(&source) else {
            return Ok(());
        };
        let turn = self.turn.entry(source).or_default();
        let partition = *turn;
        *turn = (partition + 1) % partitions;
        Ok(self.writer.send(&Message {
            topic,
            partition: Some(partition),
            key: None,
            payload: Some(event),
            headers: &[],
        })?)
    }

    fn truth(&mut self, truth: &Truth) -> anyhow::Result<()> {
        self.line.clear();
        truth.write_json(&mut self.line);
        Ok(self.writer.send(&Message {
            topic: &self.truth_topic,
            partition: Some(0),
            key: None,
            payload: Some(&self.line),
            headers: &[],
        })?)
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.writer.flush()?)
    }
}
