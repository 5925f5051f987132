//! What librdkafka tells outside of calls: log lines, errors that it deals with itself, messages that did not arrive.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

/// Given to each client; collects what the next call will report.
#[derive(Default)]
pub(super) struct Context {
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    last_error: Option<(RDKafkaErrorCode, String)>,
    failures: Vec<Failure>,
}

/// Why messages for a topic did not arrive.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) topic: String,
    pub(super) code: RDKafkaErrorCode,
}

impl Context {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last thing that went wrong with a connection, which may be why an answer did not come.
    pub(super) fn last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.heard().last_error.clone()
    }

    /// Notes a message that did not arrive.
    pub(super) fn undelivered(&self, topic: &str, code: RDKafkaErrorCode) {
        // Purged by an abort, as asked.
        if matches!(
            code,
            RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight
        ) {
            return;
        }
        let mut heard = self.heard();
        if heard.failures.iter().all(|failure| failure.topic != topic) {
            heard.failures.push(Failure {
                topic: topic.to_owned(),
                code,
            });
        }
    }

    /// The messages that did not arrive since this was last asked: the first failure of each topic.
    pub(super) fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut self.heard().failures)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        tracing::debug!(target: "librdkafka", "{code}: {reason}");
        let mut heard = self.heard();
        // "All brokers are down" follows the reason why, and says less.
        if code != RDKafkaErrorCode::AllBrokersDown || heard.last_error.is_none() {
            heard.last_error = Some((code, reason.to_owned()));
        }
    }

    fn stats_raw(&self, _statistics: &[u8]) {}
}

/// Rebalances are taken from the consumer's queue, not from here: see [`native`](super::native). Only when a consumer
/// is dropped does rust-rdkafka call the default `rebalance`, which gives the partitions back.
impl ConsumerContext for Context {}

/// Delivery reports are taken from the producer's queue too.
impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}
