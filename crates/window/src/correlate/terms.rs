//! What is new: when each value of a group was seen last.
//!
//! So many values are known by name; when there are more, those seen least recently go into a [`Sketch`].

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::sketch::Sketch;
use crate::frame::{Bytes, Fingerprint, FrameError, corrupt};
use crate::outcome::Recall;
use crate::snapshot::{Kind, Writer, put_bytes};

/// Keys of more bytes are remembered by their hash, so that what is remembered of a value does not depend on its length.
const LONGEST: usize = 40;
/// The first byte of a key that is a hash; those of groups begin with 0 or 1.
const HASHED: u8 = 2;
/// Bytes of a value beside its key: in the table, in the order, and of the key's own allocation.
const TERM_BYTES: usize = 96;

/// The values of one correlation of new terms in one exchange partition. What it holds is a function of the events seen, in the order
/// of event time: values that were seen last at the same time have no order among them but that of their keys.
#[derive(Debug)]
pub(super) struct Terms {
    timespan_ns: i64,
    /// Most values known by name.
    room: usize,
    /// When each was seen last.
    last: HashMap<Arc<[u8]>, i64>,
    /// The same, those seen least recently first.
    by_time: BTreeSet<(i64, Arc<[u8]>)>,
    /// Of all keys.
    bytes: usize,
    /// Those that there was no room for.
    sketch: Sketch,
}

impl Terms {
    /// A value is new when it was not seen for this long; so many are known by name.
    pub(super) fn new(timespan_ns: i64, room: u32) -> Self {
        Self {
            timespan_ns,
            room: room as usize,
            last: HashMap::new(),
            by_time: BTreeSet::new(),
            bytes: 0,
            sketch: Sketch::default(),
        }
    }

    /// From now on so many values are known by name.
    pub(super) fn set_room(&mut self, room: u32) {
        self.room = room as usize;
    }

    /// How many values are known by name, and how many from the sketch.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.last.len(), self.sketch.len())
    }

    /// A value is seen, not before any that was seen already. Answers whether it is new and, if it is, how much was known of others.
    pub(super) fn see(&mut self, key: &[u8], time_ns: i64) -> Option<News> {
        self.forget(time_ns);
        let term = term(key);
        let is_new = !self.last.contains_key(&term) && !self.sketch.has(&term);
        let news = is_new.then(|| News {
            recall: self.recall(),
        });
        self.put(term, time_ns);
        while self.last.len() > self.room
            && let Some((last_ns, term)) = self.by_time.pop_first()
        {
            self.last.remove(&term);
            self.bytes -= term.len();
            self.sketch.add(&term, last_ns, self.room, self.timespan_ns);
        }
        news
    }

    /// What is known, where that is not everything.
    fn recall(&self) -> Option<Recall> {
        (!self.sketch.is_empty()).then(|| Recall {
            exactly: self.room as u64,
            mistaken: self.sketch.mistaken(),
            forgotten_ns: self.sketch.forgotten_ns(),
        })
    }

    /// Forgets what is new again from this time on.
    pub(super) fn forget(&mut self, now_ns: i64) {
        while let Some((last_ns, _)) = self.by_time.first()
            && last_ns.saturating_add(self.timespan_ns) <= now_ns
        {
            if let Some((_, term)) = self.by_time.pop_first() {
                self.last.remove(&term);
                self.bytes -= term.len();
            }
        }
        self.sketch.forget(now_ns, self.timespan_ns);
    }

    /// Approximate bytes held.
    pub(super) fn size(&self) -> usize {
        self.last.len() * TERM_BYTES + self.bytes + self.sketch.size()
    }

    /// Writes everything, for a snapshot.
    pub(super) fn save(&self, rule: &Fingerprint, writer: &mut Writer<'_>) {
        writer.begin(Kind::Terms, rule, &[]);
        for (last_ns, term) in &self.by_time {
            writer.item(|bytes| {
                bytes.extend(last_ns.to_le_bytes());
                put_bytes(bytes, term);
            });
        }
        writer.finish();
        self.sketch.save(rule, writer);
    }

    /// Takes in what [`Self::save`] wrote of the sketch. Values that are elsewhere cannot be told from the others in it; nobody will ask for
    /// them.
    pub(super) fn load_sketch(&mut self, bytes: &mut Bytes<'_>) -> Result<(), FrameError> {
        self.sketch.load(bytes)
    }

    /// Takes in what [`Self::save`] wrote of values known by name, of groups that are in `own` partition and of those of which that is not
    /// known any more.
    pub(super) fn load(
        &mut self,
        own: &dyn Fn(&[u8]) -> bool,
        bytes: &mut Bytes<'_>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let last_ns = i64::from_le_bytes(bytes.array("term")?);
            let len = bytes.count("term")?;
            if len > LONGEST {
                return Err(corrupt("a term that is too long"));
            }
            let term = bytes.take(len, "term")?;
            if term.first() == Some(&HASHED) || own(term) {
                self.put(term.into(), last_ns);
            }
        }
        Ok(())
    }

    fn put(&mut self, term: Arc<[u8]>, time_ns: i64) {
        match self.last.get_mut(&term) {
            Some(last_ns) => {
                // The key that is there already is kept.
                let before = (*last_ns, term);
                *last_ns = time_ns;
                if let Some((_, term)) = self.by_time.take(&before) {
                    self.by_time.insert((time_ns, term));
                }
            }
            None => {
                self.bytes += term.len();
                self.last.insert(Arc::clone(&term), time_ns);
                self.by_time.insert((time_ns, term));
            }
        }
    }
}

/// A value is new.
#[derive(Debug)]
pub(super) struct News {
    /// How much was known of others; none: everything.
    pub(super) recall: Option<Recall>,
}

/// What a key is remembered by.
fn term(key: &[u8]) -> Arc<[u8]> {
    if key.len() <= LONGEST {
        return key.into();
    }
    let mut term = vec![HASHED];
    term.extend(blake3::hash(key).as_bytes());
    term.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_precision_loss)]
mod tests {
    use super::*;

    const TIMESPAN: i64 = 1_000_000;

    fn value(number: i64) -> Vec<u8> {
        format!("value {number}").into_bytes()
    }

    /// Twenty times as many values as are known by name, one after the other.
    fn crowded() -> Terms {
        let mut terms = Terms::new(TIMESPAN, 1000);
        for number in 0..20_000 {
            terms.see(&value(number), number);
        }
        terms
    }

    #[test]
    fn all_is_known_for_certain_up_to_the_bound() {
        let mut terms = Terms::new(TIMESPAN, 1000);
        for number in 0..1000 {
            let news = terms.see(&value(number), number).unwrap();
            assert_eq!(news.recall, None);
        }
        assert_eq!(terms.len(), (1000, 0));
        // The first one over it makes room when it is known to be new.
        assert_eq!(terms.see(&value(1000), 1000).unwrap().recall, None);
        let news = terms.see(&value(1001), 1001).unwrap();
        assert_eq!(news.recall.unwrap().exactly, 1000);
        assert_eq!(terms.len(), (1000, 2));
    }

    #[test]
    fn what_was_seen_is_never_taken_for_new() {
        let mut terms = crowded();
        for number in 0..20_000 {
            assert!(terms.see(&value(number), 20_000 + number).is_none());
        }
    }

    #[test]
    fn as_many_new_values_are_missed_as_is_said() {
        let terms = crowded();
        let said = terms.recall().unwrap();
        assert_eq!(said.forgotten_ns, None);
        let others = 200_000;
        let taken_for_seen = (0..others).filter(|number| {
            let key = term(&value(-1 - number));
            terms.last.contains_key(&key) || terms.sketch.has(&key)
        });
        let rate = taken_for_seen.count() as f64 / others as f64;
        assert!(said.mistaken < 0.000_5, "{said:?}");
        assert!(
            rate > said.mistaken / 2.0 && rate < said.mistaken * 2.0,
            "{rate} {said:?}"
        );
    }

    #[test]
    fn memory_has_a_bound_and_what_is_beyond_it_is_said() {
        let mut terms = Terms::new(TIMESPAN, 1000);
        let mut most = 0;
        for number in 0..100_000 {
            terms.see(&value(number), number);
            most = most.max(terms.size());
        }
        assert!(most < 1000 * 300, "{most}");
        let forgotten_ns = terms.recall().unwrap().forgotten_ns.unwrap();
        // 32 filters of 1,000 and the 1,000 known by name are what is left.
        assert!((66_000..=68_000).contains(&forgotten_ns), "{forgotten_ns}");
        assert!(terms.see(&value(forgotten_ns + 1), 100_000).is_none());
        assert!(terms.see(&value(forgotten_ns), 100_000).is_some());
    }

    #[test]
    fn time_empties_it() {
        let mut terms = crowded();
        terms.forget(19_999 + TIMESPAN);
        assert_eq!((terms.len(), terms.size()), ((0, 0), 0));
        assert_eq!(
            terms.see(&value(7), 19_999 + TIMESPAN).unwrap().recall,
            None
        );
    }

    #[test]
    fn long_values_are_told_apart_by_their_hashes() {
        let mut terms = Terms::new(TIMESPAN, 1000);
        let long = |last: u8| [vec![b'x'; 5000], vec![last]].concat();
        assert!(terms.see(&long(1), 0).is_some());
        assert!(terms.see(&long(2), 0).is_some());
        assert!(terms.see(&long(1), 0).is_none());
        assert!(terms.size() < 500);
    }
}
