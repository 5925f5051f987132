//! The writing half of a [`KafkaLog`](super::KafkaLog).

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use rdkafka::{ClientConfig, TopicPartitionList};

use super::config::{self, Delivery, KafkaConfig};
use super::context::Context;
use super::failure;
use super::native::Direct;
use crate::{Kind, LogError, Message};

/// librdkafka's blocking calls are made in steps of this length, between which its events are served.
const STEP: Duration = Duration::from_millis(50);

/// How much later than it should a call may return.
const GRACE: Duration = Duration::from_secs(1);

/// A producer, and the transaction that may be open.
pub(super) struct Producer {
    /// Shared with a call that may not return ([`Producer::add_offsets`]).
    client: Arc<Direct<BaseProducer<Context>>>,
    settings: ClientConfig,
    brokers: String,
    delivery: Delivery,
    wait: Duration,
    /// Something was sent since the last commit or abort.
    open: bool,
    /// Something sent since then did not arrive.
    refused: bool,
}

impl Producer {
    /// Connects and, for transactions, takes over the transactional id: whatever had it before is fenced off, and
    /// what that left open is aborted.
    pub(super) fn open(config: &KafkaConfig) -> Result<Self, LogError> {
        let settings = config::producer(config)?;
        let producer = Self {
            client: Arc::new(client(&settings)?),
            settings,
            brokers: config::brokers(&config.properties),
            delivery: config.delivery,
            wait: config.wait,
            open: false,
            refused: false,
        };
        producer.connect()?;
        Ok(producer)
    }

    fn connect(&self) -> Result<(), LogError> {
        let what = format!("begin with broker `{}`", self.brokers);
        let outcome = self.in_steps(|step| match self.delivery {
            Delivery::ExactlyOnce => self.client.init_transactions(step),
            // Nothing has to be agreed with the broker; that it answers is worth knowing now.
            Delivery::AtLeastOnce => self
                .client
                .client()
                .fetch_metadata(Some("__consumer_offsets"), step)
                .map(drop),
        });
        let Err(error) = outcome else { return Ok(()) };
        let heard = self.client.client().context().last_error();
        Err(match heard {
            Some((code, reason)) if failure::kind(code) == Kind::Fatal => {
                failure::plain(Kind::Fatal, &what, code, &reason)
            }
            Some((_, reason)) if is_waiting(&error) => LogError::retriable(format!(
                "no broker of `{}` answered within {:?}: {reason}; check kafka's `bootstrap.servers`",
                self.brokers, self.wait
            )),
            None if is_waiting(&error) => LogError::retriable(format!(
                "no broker of `{}` answered within {:?}",
                self.brokers, self.wait
            )),
            _ => failure::of(&what, &error),
        })
    }

    /// Makes a call that can be continued, step by step, until it is done or the configured wait is over. Gives up
    /// early when the broker refuses us.
    fn in_steps(
        &self,
        mut call: impl FnMut(Duration) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        let started = Instant::now();
        loop {
            let outcome = call(STEP);
            self.serve();
            let Err(error) = outcome else { return Ok(()) };
            let refused = self
                .client
                .context()
                .last_error()
                .is_some_and(|(code, _)| failure::kind(code) == Kind::Fatal);
            if !is_waiting(&error) || refused || started.elapsed() >= self.wait {
                return Err(error);
            }
        }
    }

    /// Serves what librdkafka has to tell, without waiting.
    pub(super) fn serve(&self) {
        self.client.serve(Duration::ZERO);
    }

    /// Whether a commit would have anything to do, offsets aside.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// See [`Log::send`](crate::Log::send).
    pub(super) fn send(&mut self, message: &Message<'_>) -> Result<(), LogError> {
        self.begin()?;
        let mut record = BaseRecord::<[u8], [u8]>::to(message.topic);
        record.partition = message.partition;
        record.key = message.key;
        record.payload = message.payload;
        if !message.headers.is_empty() {
            record.headers = Some(headers(message.headers));
        }
        let started = Instant::now();
        loop {
            let (error, refused) = match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            match error.rdkafka_error_code() {
                Some(Code::QueueFull) if started.elapsed() < self.wait => {
                    self.client.serve(Duration::from_millis(5));
                    record = refused;
                }
                Some(Code::QueueFull) => {
                    return Err(self.undelivered().unwrap_or_else(|| {
                        LogError::retriable(format!(
                            "the send queue has been full for {:?}: broker `{}` does not take what is sent",
                            self.wait, self.brokers
                        ))
                    }));
                }
                Some(Code::MessageSizeTooLarge) => {
                    return Err(failure::too_large_for(message.topic));
                }
                Some(Code::UnknownTopic | Code::UnknownTopicOrPartition) => {
                    return Err(failure::missing(message.topic));
                }
                // The transaction has failed already; what it failed of is to be told.
                _ => {
                    let what = format!("send to topic `{}`", message.topic);
                    return Err(self
                        .undelivered()
                        .unwrap_or_else(|| failure::of(&what, &error)));
                }
            }
        }
    }

    /// Opens a transaction if none is open.
    fn begin(&mut self) -> Result<(), LogError> {
        if !self.open && self.delivery == Delivery::ExactlyOnce {
            self.client
                .begin_transaction()
                .map_err(|error| failure::of("begin a transaction", &error))?;
        }
        self.open = true;
        Ok(())
    }

    /// Waits until everything sent has arrived.
    pub(super) fn flush(&mut self) -> Result<(), LogError> {
        let started = Instant::now();
        while !self.client.flush_within(STEP) {
            self.serve();
            if started.elapsed() >= self.wait {
                return Err(self.undelivered().unwrap_or_else(|| {
                    LogError::retriable(format!(
                        "broker `{}` did not take what was sent within {:?}",
                        self.brokers, self.wait
                    ))
                }));
            }
        }
        self.serve();
        match self.undelivered() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn undelivered(&mut self) -> Option<LogError> {
        self.serve();
        let failures = self.client.client().context().take_failures();
        self.refused |= !failures.is_empty();
        failure::of_delivery(&failures)
    }

    /// Ends the transaction: what was sent and these offsets become visible, or none of it. `membership` is asked
    /// for at the last moment.
    pub(super) fn commit(
        &mut self,
        offsets: Option<&TopicPartitionList>,
        membership: impl FnOnce() -> Result<ConsumerGroupMetadata, LogError>,
    ) -> Result<(), LogError> {
        let started = Instant::now();
        self.begin()?;
        self.flush()?;
        if let Some(offsets) = offsets {
            let membership = membership()?;
            let left = self.wait.saturating_sub(started.elapsed());
            self.add_offsets(offsets, membership, left)?;
        }
        let left = self.wait.saturating_sub(started.elapsed());
        match self.client.commit_transaction(left) {
            Ok(()) => {
                self.open = false;
                Ok(())
            }
            // The broker may have committed it or not; only a new producer finds out, by ending it.
            Err(error) if is_waiting(&error) => Err(LogError::fenced(format!(
                "broker `{}` did not confirm a commit within {:?}: a new producer will find out what became of it",
                self.brokers, self.wait
            ))),
            Err(error) => Err(failure::of("commit", &error)),
        }
    }

    /// Adds offsets to the transaction, on a thread of its own: librdkafka heeds no time-out while it looks for the group's
    /// coordinator, and when that broker has gone it may never return (librdkafka #5456, #5511). Then thread and producer are
    /// left to themselves; the new producer fences the old one off, which ends its transaction.
    fn add_offsets(
        &self,
        offsets: &TopicPartitionList,
        membership: ConsumerGroupMetadata,
        wait: Duration,
    ) -> Result<(), LogError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let (client, offsets) = (Arc::clone(&self.client), offsets.clone());
        thread::Builder::new()
            .name("kafka-offsets".to_owned())
            .spawn(move || {
                let outcome = client.send_offsets_to_transaction(&offsets, &membership, wait);
                // Whoever waited may have given up.
                let _ = answer.send(outcome);
            })
            .map_err(|error| LogError::retriable(format!("cannot start a thread: {error}")))?;
        match answered.recv_timeout(wait + GRACE) {
            Ok(outcome) => outcome.map_err(|error| failure::of("commit offsets", &error)),
            Err(_) => Err(LogError::fenced(format!(
                "the consumer group's coordinator was not found within {wait:?}: trying with a new producer"
            ))),
        }
    }

    /// Without transactions, what was sent is done when it has arrived.
    pub(super) fn sent(&mut self) {
        self.open = false;
    }

    /// See [`Log::abort`](crate::Log::abort).
    pub(super) fn abort(&mut self) -> Result<(), LogError> {
        if !self.open {
            return Ok(());
        }
        self.undelivered();
        match self.delivery {
            // librdkafka goes on with a gap in the sequence numbers where the broker refused a message, and the next
            // transaction fails of it. A new producer has no gap, and begins by aborting what the old one left open.
            Delivery::ExactlyOnce if self.refused => {
                self.client = Arc::new(client(&self.settings)?);
                self.connect()?;
            }
            Delivery::ExactlyOnce => self
                .in_steps(|step| self.client.abort_transaction(step))
                .map_err(|error| {
                    let error = failure::of("abort a transaction", &error);
                    // An abort that fails leaves nothing that could be gone on with.
                    match error.kind() {
                        Kind::Retriable => LogError::fenced(error.to_string()),
                        _ => error,
                    }
                })?,
            Delivery::AtLeastOnce => {
                self.client.purge(PurgeConfig::default().queue());
                // What is under way may arrive: that is what at least once means.
                let _ = self.flush();
            }
        }
        self.serve();
        self.client.client().context().take_failures();
        self.open = false;
        self.refused = false;
        Ok(())
    }
}

fn client(settings: &ClientConfig) -> Result<Direct<BaseProducer<Context>>, LogError> {
    let client = BaseProducer::from_config_and_context(settings, Context::default())
        .map_err(|error| LogError::fatal(format!("kafka configuration: {error}")))?;
    Direct::producer(client)
        .ok_or_else(|| LogError::fatal("librdkafka gave a producer without a queue"))
}

/// A call ran out of its time and can be continued.
fn is_waiting(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => {
            error.is_retriable() && !error.is_fatal() && !error.txn_requires_abort()
        }
        other => matches!(
            other.rdkafka_error_code(),
            Some(Code::OperationTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown)
        ),
    }
}

fn headers(pairs: &[(&str, &[u8])]) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(pairs.len());
    for (key, value) in pairs {
        headers = headers.insert(Header {
            key,
            value: Some(*value),
        });
    }
    headers
}
