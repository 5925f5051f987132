//! librdkafka's errors as ours: what a worker has to do, and what a person has to know.

use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode as Code};

use super::context::Failure;
use crate::{Kind, LogError};

/// What a code asks for, whatever call it came from.
pub(super) fn kind(code: Code) -> Kind {
    match code {
        Code::Fatal
        | Code::Fenced
        // Also what a member does to itself: after a session that was lost it joins under a new id, and a heartbeat of
        // the old one that is still under way is then refused.
        | Code::FencedInstanceId
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::InvalidProducerIdMapping
        | Code::UnknownProducerId
        | Code::OutOfOrderSequenceNumber => Kind::Fenced,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::SSL
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::InvalidGroupId
        | Code::InvalidSessionTimeout
        | Code::InconsistentGroupProtocol
        | Code::InvalidTransactionTimeout
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::InvalidArgument
        | Code::NotConfigured => Kind::Fatal,
        _ => Kind::Retriable,
    }
}

/// What a person can do about a code, if we know.
fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            "check kafka's `security.protocol` and `sasl.*`"
        }
        Code::SSL => "check kafka's `security.protocol` and `ssl.*`",
        Code::TopicAuthorizationFailed => "allow this user to read inputs and to write outputs",
        Code::GroupAuthorizationFailed => "allow this user to read the consumer group",
        Code::TransactionalIdAuthorizationFailed => {
            "allow this user to write its transactional ids"
        }
        Code::ClusterAuthorizationFailed => "allow this user idempotent writes to the cluster",
        Code::FencedInstanceId => {
            "if it happens again and again, another process has the same `instance`: give each its own"
        }
        Code::InconsistentGroupProtocol => {
            "another application uses this consumer group: choose another `app`"
        }
        Code::InvalidSessionTimeout => "choose `session.timeout.ms` within what the broker allows",
        Code::InvalidTransactionTimeout => "lower `transaction.timeout.ms`: the broker allows less",
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => {
            "another worker has the same transactional id, or a transaction outlived `transaction.timeout.ms`"
        }
        _ => return None,
    })
}

/// The error of a call that tried to do `what`.
pub(super) fn of(what: &str, error: &KafkaError) -> LogError {
    match error {
        KafkaError::Transaction(error) => of_transaction(what, error),
        other => match other.rdkafka_error_code() {
            Some(code) if is_left_behind(code) => not_a_member(),
            Some(code) => plain(kind(code), what, code, &code.to_string()),
            None => LogError::fatal(format!("cannot {what}: {other}")),
        },
    }
}

fn is_left_behind(code: Code) -> bool {
    matches!(code, Code::UnknownMemberId | Code::IllegalGeneration)
}

/// The error of a transactional call; librdkafka says what it leaves possible.
pub(super) fn of_transaction(what: &str, error: &RDKafkaError) -> LogError {
    let code = error.code();
    if !error.is_fatal() && is_left_behind(code) {
        return not_a_member();
    }
    let kind = match kind(code) {
        Kind::Fatal => Kind::Fatal,
        // The producer is spent.
        _ if error.is_fatal() => Kind::Fenced,
        Kind::Fenced if error.txn_requires_abort() => Kind::Retriable,
        kind => kind,
    };
    plain(kind, what, code, &error.string())
}

/// The group does not know this worker any more, or expects it to join again.
pub(super) fn not_a_member() -> LogError {
    LogError::retriable(
        "the consumer group has moved on without this worker: nothing was committed, what it did is done again",
    )
}

/// An error of the given kind, with what a person can do about it if we know.
pub(super) fn plain(kind: Kind, what: &str, code: Code, reason: &str) -> LogError {
    LogError::new(
        kind,
        match advice(code) {
            Some(advice) => format!("cannot {what}: {reason}; {advice}"),
            None => format!("cannot {what}: {reason}"),
        },
    )
}

/// The error of messages that did not arrive.
pub(super) fn of_delivery(failures: &[Failure]) -> Option<LogError> {
    // A message that is too large tells the sender what to do; then whatever is worst.
    let too_large = |failure: &&Failure| failure.code == Code::MessageSizeTooLarge;
    let fatal = |failure: &&Failure| kind(failure.code) == Kind::Fatal;
    let failure = failures
        .iter()
        .find(too_large)
        .or_else(|| failures.iter().find(fatal))
        .or_else(|| failures.first())?;
    let topic = &failure.topic;
    Some(match failure.code {
        Code::MessageSizeTooLarge => too_large_for(topic),
        Code::UnknownTopic | Code::UnknownTopicOrPartition => missing(topic),
        Code::UnknownPartition => LogError::retriable(format!(
            "topic `{topic}` lacks a partition that was written to; compare with `haechi topics plan`"
        )),
        code => plain(
            kind(code),
            &format!("write to topic `{topic}`"),
            code,
            &code.to_string(),
        ),
    })
}

/// The error of a message that its topic does not take.
pub(super) fn too_large_for(topic: &str) -> LogError {
    LogError::oversized(
        topic,
        format!(
            "a message is too large for topic `{topic}`: raise its `max.message.bytes`, or kafka's `message.max.bytes` if that is lower"
        ),
    )
}

/// The error of a topic that is not there. Once it is, trying again helps.
pub(super) fn missing(topic: &str) -> LogError {
    LogError::retriable(format!(
        "topic `{topic}` does not exist; create it with `haechi topics apply`"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn failure(topic: &str, code: Code) -> Failure {
        Failure {
            topic: topic.into(),
            code,
        }
    }

    #[test]
    fn the_failure_that_says_most_is_reported() {
        assert!(of_delivery(&[]).is_none());
        let timed_out = failure("a", Code::MessageTimedOut);
        let too_large = failure("b", Code::MessageSizeTooLarge);
        let forbidden = failure("c", Code::TopicAuthorizationFailed);
        let missing = failure("alerts", Code::UnknownTopicOrPartition);

        let error = of_delivery(&[timed_out.clone(), forbidden.clone(), too_large]).unwrap();
        assert_eq!(
            (error.kind(), error.too_large()),
            (Kind::Retriable, Some("b"))
        );
        let error = of_delivery(&[timed_out.clone(), forbidden]).unwrap();
        assert_eq!(error.kind(), Kind::Fatal);
        assert!(
            error.to_string().starts_with("cannot write to topic `c`: "),
            "{error}"
        );
        let error = of_delivery(&[missing, timed_out]).unwrap();
        assert_eq!(
            error.to_string(),
            "topic `alerts` does not exist; create it with `haechi topics apply`"
        );
    }
}
