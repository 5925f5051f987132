//! What can go wrong with a log, and what the worker has to do about it.

use std::fmt;

/// What a worker has to do after a [`LogError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is lost and the handle is good: [abort](crate::Log::abort), [rewind](crate::Log::rewind) to the last
    /// commit, and go on.
    Retriable,
    /// The handle is spent (another worker took its place, or it cannot be known whether the last commit happened):
    /// drop it, open a new one with the same identity, and begin again from what is committed.
    Fenced,
    /// Trying again cannot help (configuration, authorization, a missing topic): stop and show the message.
    Fatal,
}

/// An error of the log. Its message is lowercase, names the broker, topic or file it is about, and says what to do.
#[derive(Clone, Debug)]
pub struct LogError {
    kind: Kind,
    message: String,
    too_large: Option<String>,
}

impl LogError {
    /// An error of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            too_large: None,
        }
    }

    /// [`Kind::Retriable`].
    pub fn retriable(message: impl Into<String>) -> Self {
        Self::new(Kind::Retriable, message)
    }

    /// [`Kind::Fenced`].
    pub fn fenced(message: impl Into<String>) -> Self {
        Self::new(Kind::Fenced, message)
    }

    /// [`Kind::Fatal`].
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(Kind::Fatal, message)
    }

    /// A message for `topic` was refused for its size. [`Kind::Retriable`]: the sender can send less.
    pub(crate) fn oversized(topic: &str, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Retriable,
            message: message.into(),
            too_large: Some(topic.to_owned()),
        }
    }

    /// What the worker has to do.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The topic that refused a message for its size, if that is what went wrong. From [`Log::send`](crate::Log::send)
    /// the message was not taken and the transaction is unharmed; from [`Log::commit`](crate::Log::commit) nothing
    /// was committed.
    pub fn too_large(&self) -> Option<&str> {
        self.too_large.as_deref()
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LogError {}
