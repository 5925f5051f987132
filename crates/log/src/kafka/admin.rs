//! Looking at and creating topics, outside of any group.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use super::config;
use super::context::Context;
use super::deeds;
use super::failure;
use crate::{Committed, LogError};

/// An administrator's view of a cluster.
pub struct KafkaAdmin {
    client: AdminClient<Context>,
    brokers: String,
    properties: BTreeMap<String, String>,
    wait: Duration,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each partition has.
    pub replicas: usize,
    /// Its configuration: every property, defaults included, by name.
    pub config: BTreeMap<String, String>,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each; `None` is the broker's default.
    pub replicas: Option<i32>,
    /// Properties that differ from the broker's defaults.
    pub config: BTreeMap<String, String>,
}

impl KafkaAdmin {
    /// Connects with these librdkafka properties; every call takes at most `wait`.
    ///
    /// # Errors
    /// When the configuration is wrong. That no broker answers shows with the first call.
    pub fn open(properties: &BTreeMap<String, String>, wait: Duration) -> Result<Self, LogError> {
        let client = config::admin(properties)?;
        let client = AdminClient::from_config_and_context(&client, Context::default())
            .map_err(|error| LogError::fatal(format!("kafka configuration: {error}")))?;
        Ok(Self {
            client,
            brokers: config::brokers(properties),
            properties: properties.clone(),
            wait,
        })
    }

    /// Every topic of the cluster with its partition count, by name.
    ///
    /// # Errors
    /// When no broker answers or we have no right to know.
    pub fn topics(&self) -> Result<BTreeMap<String, i32>, LogError> {
        let metadata = self.metadata(None)?;
        let topics = metadata.topics().iter();
        Ok(topics
            .filter(|topic| topic.error().is_none())
            .map(|topic| (topic.name().to_owned(), count(topic.partitions().len())))
            .collect())
    }

    /// What a topic is like; `None` if there is no such topic.
    ///
    /// # Errors
    /// When no broker answers or we have no right to know.
    pub fn topic(&self, name: &str) -> Result<Option<TopicState>, LogError> {
        let metadata = self.metadata(Some(name))?;
        let Some(topic) = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == name && !topic.partitions().is_empty())
        else {
            return Ok(None);
        };
        Ok(Some(TopicState {
            partitions: count(topic.partitions().len()),
            replicas: topic
                .partitions()
                .first()
                .map_or(0, |partition| partition.replicas().len()),
            config: self.config(name)?,
        }))
    }

    fn config(&self, topic: &str) -> Result<BTreeMap<String, String>, LogError> {
        let resource = ResourceSpecifier::Topic(topic);
        let described = block_on(self.client.describe_configs([&resource], &self.options()));
        let what = format!("read the configuration of topic `{topic}`");
        let resources = described.map_err(|error| self.failed(&what, &error))?;
        let mut config = BTreeMap::new();
        for resource in resources {
            let resource = resource.map_err(|code| self.refused(&what, code))?;
            let entries = resource.entries.into_iter();
            config.extend(entries.filter_map(|entry| Some((entry.name, entry.value?))));
        }
        Ok(config)
    }

    /// Creates topics, and waits until brokers know them. One that exists already is left as it is and is no error.
    ///
    /// # Errors
    /// The first topic that could not be created, and why; others may have been.
    pub fn create(&self, topics: &[NewTopic]) -> Result<(), LogError> {
        if topics.is_empty() {
            return Ok(());
        }
        let new: Vec<_> = topics.iter().map(new_topic).collect();
        let options = self.options().operation_timeout(Some(self.wait));
        let outcome = block_on(self.client.create_topics(&new, &options));
        for outcome in outcome.map_err(|error| self.failed("create topics", &error))? {
            match outcome {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    return Err(self.refused(&format!("create topic `{topic}`"), code));
                }
            }
        }
        // The controller has created them; that the brokers hear of it takes a moment.
        let started = Instant::now();
        loop {
            let known = self.topics()?;
            let missing = topics.iter().find(|topic| !known.contains_key(&topic.name));
            match missing {
                None => return Ok(()),
                Some(topic) if started.elapsed() >= self.wait => {
                    return Err(LogError::retriable(format!(
                        "topic `{}` was created, but brokers do not know it after {:?}",
                        topic.name, self.wait
                    )));
                }
                Some(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Gives topics more partitions, and waits until brokers know of them. One that has so many already is left as it is.
    ///
    /// # Errors
    /// The first topic that could not grow, and why; others may have.
    pub fn grow(&self, topics: &[&str], partitions: u32) -> Result<(), LogError> {
        let wanted = count(partitions as usize);
        let known = self.topics()?;
        let small = |topic: &&&str| known.get(**topic).is_some_and(|now| *now < wanted);
        let new: Vec<_> = topics
            .iter()
            .filter(small)
            .map(|topic| NewPartitions::new(topic, partitions as usize))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let options = self.options().operation_timeout(Some(self.wait));
        let outcome = block_on(self.client.create_partitions(&new, &options));
        for outcome in outcome.map_err(|error| self.failed("create partitions", &error))? {
            if let Err((topic, code)) = outcome {
                let what = format!("give topic `{topic}` {partitions} partitions");
                return Err(self.refused(&what, code));
            }
        }
        let started = Instant::now();
        loop {
            let known = self.topics()?;
            let grown = |topic: &&str| known.get(*topic).is_none_or(|now| *now >= wanted);
            if topics.iter().all(grown) {
                return Ok(());
            }
            if started.elapsed() >= self.wait {
                return Err(LogError::retriable(format!(
                    "partitions were created, but brokers do not know of them after {:?}",
                    self.wait
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The high watermark of each partition of a topic: the offset that the next record will get. Records of open
    /// transactions count.
    ///
    /// # Errors
    /// When the topic does not exist, no broker answers, or we have no right to know.
    pub fn end_offsets(&self, topic: &str) -> Result<Vec<i64>, LogError> {
        let metadata = self.metadata(Some(topic))?;
        let partitions = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic)
            .map_or(0, |found| count(found.partitions().len()));
        if partitions == 0 {
            return Err(failure::missing(topic));
        }
        (0..partitions)
            .map(|partition| {
                let what = format!("find the end of {topic}/{partition}");
                let found = self
                    .client
                    .inner()
                    .fetch_watermarks(topic, partition, self.wait);
                found
                    .map(|(_, high)| high)
                    .map_err(|error| self.failed(&what, &error))
            })
            .collect()
    }

    /// What a group has committed for the first so many partitions of a topic, by partition. Transactions that are open do not count.
    ///
    /// # Errors
    /// When the group's broker does not answer, or we have no right to know.
    pub fn committed(
        &self,
        group: &str,
        topic: &str,
        partitions: u32,
    ) -> Result<BTreeMap<i32, Committed>, LogError> {
        let what = format!("find out what group `{group}` has committed for topic `{topic}`");
        let failed = |error: KafkaError| self.failed(&what, &error);
        let mut client = config::admin(&self.properties)?;
        client.set("group.id", group);
        client.set("isolation.level", "read_uncommitted");
        let consumer = BaseConsumer::from_config_and_context(&client, Context::default());
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, count(partitions as usize) - 1);
        let list = consumer
            .and_then(|consumer| consumer.committed_offsets(list, self.wait))
            .map_err(failed)?;
        let mut committed = BTreeMap::new();
        for found in list.elements() {
            found.error().map_err(failed)?;
            if let Offset::Offset(offset) = found.offset() {
                let metadata = deeds::read(found.metadata()).0.to_owned();
                committed.insert(found.partition(), Committed { offset, metadata });
            }
        }
        Ok(committed)
    }

    fn metadata(&self, topic: Option<&str>) -> Result<rdkafka::metadata::Metadata, LogError> {
        self.client
            .inner()
            .fetch_metadata(topic, self.wait)
            .map_err(|error| self.failed("read the topics", &error))
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.wait))
    }

    fn failed(&self, what: &str, error: &KafkaError) -> LogError {
        let what = format!("{what} from broker `{}`", self.brokers);
        failure::of(&what, error)
    }

    fn refused(&self, what: &str, code: Code) -> LogError {
        failure::plain(failure::kind(code), what, code, &code.to_string())
    }
}

fn new_topic(topic: &NewTopic) -> rdkafka::admin::NewTopic<'_> {
    // -1 is the protocol's word for the broker's default (KIP-464).
    let replicas = TopicReplication::Fixed(topic.replicas.unwrap_or(-1));
    let mut new = rdkafka::admin::NewTopic::new(&topic.name, topic.partitions, replicas);
    for (name, value) in &topic.config {
        new = new.set(name, value);
    }
    new
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// Waits for a future on this thread. The admin client completes its futures from a thread of its own, and within the
/// time that its options say.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
