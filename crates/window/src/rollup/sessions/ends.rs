//! Sessions in the order in which they end.

use std::collections::{BTreeMap, BTreeSet};

use super::SessionKey;

/// Sessions by the time of their last event.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeMap<i64, BTreeSet<SessionKey>>);

impl Ends {
    pub(super) fn insert(&mut self, last_ns: i64, session: SessionKey) {
        self.0.entry(last_ns).or_default().insert(session);
    }

    pub(super) fn remove(&mut self, last_ns: i64, session: &SessionKey) {
        if let Some(sessions) = self.0.get_mut(&last_ns) {
            sessions.remove(session);
            if sessions.is_empty() {
                self.0.remove(&last_ns);
            }
        }
    }

    /// Takes out those whose last event was so long before: `wait_ns` after it, it is `now_ns` or earlier.
    pub(super) fn take_until(&mut self, now_ns: i64, wait_ns: i64) -> Vec<SessionKey> {
        let mut ended = Vec::new();
        while let Some(first) = self.0.first_entry()
            && first.key().saturating_add(wait_ns) <= now_ns
        {
            ended.extend(first.remove());
        }
        ended
    }
}
