//! The reading end of what the workers send to topics outside of the log.

use std::sync::Arc;

use super::state::Shared;

/// A message that a worker sent to a topic that is not part of the embedded log: an alert, a rollup, a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The topic.
    pub topic: Arc<str>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The bytes.
    pub payload: Option<Vec<u8>>,
    /// The headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Outputs as they are committed: an iterator over commits that waits for the next one, and ends when every worker
/// has given back its handle. Commits wait while many have not been taken.
pub struct Outputs {
    shared: Arc<Shared>,
}

impl Outputs {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Iterator for Outputs {
    /// What one commit of one worker sent, in order.
    type Item = Vec<Output>;

    fn next(&mut self) -> Option<Self::Item> {
        self.shared.next_outputs()
    }
}

/// From then on commits that send something fail: nobody would see it.
impl Drop for Outputs {
    fn drop(&mut self) {
        self.shared.close(None);
    }
}
