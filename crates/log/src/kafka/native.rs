//! The few calls of librdkafka that rust-rdkafka does not pass on, or not whole. All of this crate's `unsafe` is here.
//!
//! | call | why not rust-rdkafka's |
//! | --- | --- |
//! | poll a consumer's queue | `BaseConsumer::poll` reports the end of a partition without its topic and offset |
//! | poll a producer's queue | `BaseProducer::poll` does not say whether there is more, and always waits out its time |
//! | flush | `BaseProducer::flush` looks every 100 ms only, and lets messages linger in between |
//! | commit offsets | the synchronous commit waits for ever when the group's coordinator is gone |
//! | cached watermarks | not passed on; the safe call asks the broker each time |
//! | generation of the group | not passed on; without it a commit after a lost membership could bypass the broker's fencing |
#![allow(
    unsafe_code,
    reason = "calls into librdkafka that its safe wrapper lacks; each states why it is sound"
)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, KafkaError};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::context::Context;
use crate::TopicPartition;

/// Something that librdkafka told the consumer. What it borrows is librdkafka's, until the call that gives it returns.
pub(super) enum Happened<'a> {
    /// A record.
    Fetched(Fetched<'a>),
    /// Reading a partition came to the end of what there is.
    End { at: TopicPartition, offset: i64 },
    /// The group gives these partitions to this member.
    Assigned(Vec<TopicPartition>),
    /// The group takes these partitions from this member.
    Revoked(Vec<TopicPartition>),
    /// Something went wrong; unless `fatal`, librdkafka goes on by itself.
    Error {
        code: RDKafkaErrorCode,
        fatal: bool,
        reason: &'a str,
    },
    /// Of no concern.
    Other,
}

/// A record as it lies in librdkafka's memory.
#[derive(Clone, Copy)]
pub(super) struct Fetched<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
}

/// A client of librdkafka whose events are taken from its queue directly. Everything else is the client's own.
///
/// Its end is bounded: a consumer waits for the answers that it is owed before it leaves its group, and with a dead
/// coordinator these may never come. So it ends on a thread of its own, which is not waited for longer than
/// [`PARTING`].
pub(super) struct Direct<C: Send + 'static> {
    parts: ManuallyDrop<Parts<C>>,
}

/// How long the end of a client is waited for.
const PARTING: Duration = Duration::from_secs(5);

struct Parts<C> {
    // Fields are dropped in this order: librdkafka wants its queues given back before the client goes.
    queue: Queue,
    client: C,
}

impl<C: Send + 'static> Direct<C> {
    fn new(queue: Queue, client: C) -> Self {
        Self {
            parts: ManuallyDrop::new(Parts { queue, client }),
        }
    }
}

impl<C: Send + 'static> Deref for Direct<C> {
    type Target = C;

    fn deref(&self) -> &Self::Target {
        &self.parts.client
    }
}

impl<C: Send + 'static> Drop for Direct<C> {
    fn drop(&mut self) {
        // SAFETY: the parts are not used again: this is the end of what holds them.
        let parts = unsafe { ManuallyDrop::take(&mut self.parts) };
        let (done, wait) = mpsc::channel();
        let ending = thread::Builder::new().name("kafka-end".to_owned());
        // If no thread can be had, the parts end here, with the closure that is not run.
        let spawned = ending.spawn(move || {
            drop(parts);
            // Whoever waited may have gone.
            let _ = done.send(());
        });
        if spawned.is_ok() && wait.recv_timeout(PARTING) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                "kafka: no broker answered within {PARTING:?} to let this worker leave; the broker will notice"
            );
        }
    }
}

/// A reference to a librdkafka queue.
struct Queue(NonNull<rd::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues are locked inside; a reference may be used and given back on any thread.
unsafe impl Send for Queue {}
// SAFETY: as above; several threads may take from one queue at once.
unsafe impl Sync for Queue {}

impl Queue {
    /// Takes the next event, waiting up to `wait` for it.
    fn next(&self, wait: Duration) -> Option<Event> {
        // SAFETY: the queue is alive; the call gives an event that is ours, or null.
        let event = unsafe { rd::rd_kafka_queue_poll(self.0.as_ptr(), milliseconds(wait)) };
        NonNull::new(event).map(Event)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and is given back once.
        unsafe { rd::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// An event taken from a queue.
struct Event(NonNull<rd::rd_kafka_event_t>);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is ours, and is given back once.
        unsafe { rd::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

impl Direct<BaseConsumer<Context>> {
    /// Wraps a consumer. `None` if it has no queue, which is so without `group.id` only.
    pub(super) fn consumer(client: BaseConsumer<Context>) -> Option<Self> {
        // SAFETY: the client is alive; the call gives a reference that is ours.
        let queue = unsafe { rd::rd_kafka_queue_get_consumer(client.client().native_ptr()) };
        let queue = Queue(NonNull::new(queue)?);
        Some(Self::new(queue, client))
    }

    /// Takes the next event, waiting up to `wait` for it, and shows it. `None`: nothing came.
    pub(super) fn next<T>(
        &self,
        wait: Duration,
        show: impl FnOnce(Happened<'_>) -> T,
    ) -> Option<T> {
        let event = self.parts.queue.next(wait)?;
        let pointer = event.0.as_ptr();
        // SAFETY: the event is alive until this returns, and each accessor is called for the type of event it is for.
        let happened = unsafe {
            match rd::rd_kafka_event_type(pointer) {
                rd::RD_KAFKA_EVENT_FETCH => {
                    fetched(pointer).map_or(Happened::Other, Happened::Fetched)
                }
                rd::RD_KAFKA_EVENT_REBALANCE => rebalance(pointer),
                rd::RD_KAFKA_EVENT_ERROR => error(pointer),
                rd::RD_KAFKA_EVENT_LOG => {
                    log(pointer, self.context());
                    Happened::Other
                }
                _ => Happened::Other,
            }
        };
        Some(show(happened))
    }

    /// Commits offsets, waiting up to `wait` for the broker's word.
    pub(super) fn commit_within(
        &self,
        offsets: &TopicPartitionList,
        wait: Duration,
    ) -> Result<(), KafkaError> {
        let client = self.client().native_ptr();
        // SAFETY: client and list are alive (librdkafka copies the list); the queue is ours until the end of this
        // call. Should the answer come later, librdkafka finds the queue closed and drops it.
        let answer = unsafe {
            let queue = Queue(NonNull::new(rd::rd_kafka_queue_new(client)).ok_or_else(timed_out)?);
            let asked = rd::rd_kafka_commit_queue(
                client,
                offsets.ptr(),
                queue.0.as_ptr(),
                None,
                ptr::null_mut(),
            );
            if asked.is_error() {
                asked
            } else {
                let answer = queue.next(wait).ok_or_else(timed_out)?;
                rd::rd_kafka_event_error(answer.0.as_ptr())
            }
        };
        if answer.is_error() {
            return Err(KafkaError::ConsumerCommit(answer.into()));
        }
        Ok(())
    }

    /// The low and high watermark of a partition as the last fetch response told them; asks nobody.
    pub(super) fn cached_watermarks(&self, at: &TopicPartition) -> Option<(i64, i64)> {
        let topic = CString::new(&*at.topic).ok()?;
        let (mut low, mut high) = (0, 0);
        // SAFETY: the client is alive; topic and the two places outlive the call.
        let outcome = unsafe {
            rd::rd_kafka_get_watermark_offsets(
                self.client().native_ptr(),
                topic.as_ptr(),
                at.partition,
                &mut low,
                &mut high,
            )
        };
        // Negative offsets are librdkafka's way of saying that it does not know.
        (!outcome.is_error() && high >= 0).then_some((low.max(0), high))
    }

    /// The generation of the group that this member is part of; `None` when it is part of none (not yet, or no more).
    pub(super) fn generation(&self) -> Option<i32> {
        // SAFETY: the client is alive; the metadata is ours, read and given back here.
        unsafe {
            let metadata = rd::rd_kafka_consumer_group_metadata(self.client().native_ptr());
            if metadata.is_null() {
                return None;
            }
            let generation = rd::rd_kafka_consumer_group_metadata_generation_id(metadata);
            rd::rd_kafka_consumer_group_metadata_destroy(metadata);
            (generation >= 0).then_some(generation)
        }
    }
}

fn timed_out() -> KafkaError {
    KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut)
}

impl Direct<BaseProducer<Context>> {
    /// Wraps a producer. `None` is for librdkafka to have no memory.
    pub(super) fn producer(client: BaseProducer<Context>) -> Option<Self> {
        // SAFETY: the client is alive; the call gives a reference that is ours.
        let queue = unsafe { rd::rd_kafka_queue_get_main(client.client().native_ptr()) };
        let queue = Queue(NonNull::new(queue)?);
        Some(Self::new(queue, client))
    }

    /// Takes all the events that there are and gives them to the context, waiting up to `wait` for a first one.
    pub(super) fn serve(&self, mut wait: Duration) {
        while let Some(event) = self.parts.queue.next(wait) {
            wait = Duration::ZERO;
            let pointer = event.0.as_ptr();
            let context = self.context();
            // SAFETY: the event is alive, and each accessor is called for the type of event it is for.
            unsafe {
                match rd::rd_kafka_event_type(pointer) {
                    rd::RD_KAFKA_EVENT_DR => undelivered(pointer, context),
                    rd::RD_KAFKA_EVENT_LOG => log(pointer, context),
                    rd::RD_KAFKA_EVENT_ERROR => context.error(
                        KafkaError::Global(rd::rd_kafka_event_error(pointer).into()),
                        text(rd::rd_kafka_event_error_string(pointer)),
                    ),
                    _ => {}
                }
            }
        }
    }

    fn context(&self) -> &Context {
        self.client().context()
    }

    /// Waits up to `wait` until everything that was sent has arrived, without letting it linger; whether that is so.
    /// What cannot be delivered has to be [served](Self::serve), so this is to be called in short steps.
    pub(super) fn flush_within(&self, wait: Duration) -> bool {
        // SAFETY: the client is alive.
        let outcome = unsafe { rd::rd_kafka_flush(self.client().native_ptr(), milliseconds(wait)) };
        !outcome.is_error()
    }
}

fn milliseconds(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}

/// # Safety
/// `event` is a live log event.
unsafe fn log(event: *mut rd::rd_kafka_event_t, context: &Context) {
    let (mut facility, mut line): (*const c_char, *const c_char) = (ptr::null(), ptr::null());
    let mut level = 0;
    // SAFETY: as the caller promises; the three places outlive the call; the texts are the event's.
    unsafe {
        if rd::rd_kafka_event_log(event, &mut facility, &mut line, &mut level) == 0 {
            context.log(severity(level), text(facility), text(line).trim());
        }
    }
}

/// # Safety
/// `event` is a live event of delivery reports.
unsafe fn undelivered(event: *mut rd::rd_kafka_event_t, context: &Context) {
    // SAFETY: as the caller promises; the messages are the event's.
    unsafe {
        while let Some(message) = rd::rd_kafka_event_message_next(event).as_ref() {
            if message.err.is_error() && !message.rkt.is_null() {
                let topic = text(rd::rd_kafka_topic_name(message.rkt));
                context.undelivered(topic, message.err.into());
            }
        }
    }
}

/// The record of a fetch event, which has exactly one.
///
/// # Safety
/// `event` is a live fetch event, and is alive for 'a.
unsafe fn fetched<'a>(event: *mut rd::rd_kafka_event_t) -> Option<Fetched<'a>> {
    // SAFETY: as the caller promises; the message is the event's and lives as long.
    unsafe {
        let message = rd::rd_kafka_event_message_next(event).as_ref()?;
        if message.err.is_error() || message.rkt.is_null() {
            return None;
        }
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let timestamp = rd::rd_kafka_message_timestamp(message, &mut kind);
        Some(Fetched {
            topic: text(rd::rd_kafka_topic_name(message.rkt)),
            partition: message.partition,
            offset: message.offset,
            timestamp_ms: (timestamp >= 0).then_some(timestamp),
            key: bytes(message.key, message.key_len),
            payload: bytes(message.payload, message.len),
        })
    }
}

/// # Safety
/// `event` is a live rebalance event.
unsafe fn rebalance<'a>(event: *mut rd::rd_kafka_event_t) -> Happened<'a> {
    // SAFETY: as the caller promises; the list is the event's, has `cnt` elements, and is copied here.
    let (code, partitions) = unsafe {
        let list = rd::rd_kafka_event_topic_partition_list(event).as_ref();
        let elements = list.map_or(&[][..], |list| {
            let count = usize::try_from(list.cnt).unwrap_or(0);
            match NonNull::new(list.elems) {
                Some(elements) => std::slice::from_raw_parts(elements.as_ptr(), count),
                None => &[],
            }
        });
        let partitions = elements
            .iter()
            .map(|element| TopicPartition::new(text(element.topic), element.partition))
            .collect();
        (rd::rd_kafka_event_error(event), partitions)
    };
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Happened::Assigned(partitions),
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Happened::Revoked(partitions),
        _ => Happened::Other,
    }
}

/// # Safety
/// `event` is a live error event, and is alive for 'a.
unsafe fn error<'a>(event: *mut rd::rd_kafka_event_t) -> Happened<'a> {
    // SAFETY: as the caller promises; the place of an end is ours, copied and given back here.
    unsafe {
        let code = rd::rd_kafka_event_error(event);
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF {
            return Happened::Error {
                code: code.into(),
                fatal: rd::rd_kafka_event_error_is_fatal(event) != 0,
                reason: text(rd::rd_kafka_event_error_string(event)),
            };
        }
        let place = rd::rd_kafka_event_topic_partition(event);
        let Some(end) = place.as_ref() else {
            return Happened::Other;
        };
        let at = TopicPartition::new(text(end.topic), end.partition);
        let offset = end.offset;
        rd::rd_kafka_topic_partition_destroy(place);
        Happened::End { at, offset }
    }
}

/// # Safety
/// `pointer` is null or a text that ends with NUL and is alive for 'a.
unsafe fn text<'a>(pointer: *const c_char) -> &'a str {
    if pointer.is_null() {
        return "";
    }
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(pointer) };
    // Names of topics are ASCII; an error's text may come from the system, in its own encoding.
    text.to_str().unwrap_or("(not UTF-8)")
}

/// # Safety
/// `pointer` is null or `length` bytes that are alive for 'a.
unsafe fn bytes<'a>(pointer: *const c_void, length: usize) -> Option<&'a [u8]> {
    let pointer = NonNull::new(pointer.cast_mut())?.cast::<u8>();
    // SAFETY: as the caller promises.
    Some(unsafe { std::slice::from_raw_parts(pointer.as_ptr(), length) })
}

/// A syslog level (RFC 5424) as rust-rdkafka names it.
fn severity(level: i32) -> RDKafkaLogLevel {
    match level {
        ..=0 => RDKafkaLogLevel::Emerg,
        1 => RDKafkaLogLevel::Alert,
        2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        7.. => RDKafkaLogLevel::Debug,
    }
}
