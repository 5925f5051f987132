//! Keys that stand more than once in an object. JSON leaves open what that means; here, as in most
//! programs that will read the same record, the last one wins.

use std::collections::HashMap;

use rustc_hash::FxHashSet;
use simd_json::Node;

/// Tape indices of the keys that stand again later in their object.
pub(crate) fn superseded(tape: &[Node<'_>]) -> FxHashSet<usize> {
    let mut superseded = FxHashSet::default();
    visit(tape, 0, &mut superseded);
    superseded
}

/// Visits the value at `at`, recursively (the parser has bounded the depth); gives the index after it.
fn visit(tape: &[Node<'_>], at: usize, superseded: &mut FxHashSet<usize>) -> usize {
    match tape.get(at) {
        Some(Node::Object { len, .. }) => {
            // Keyed hashing: the keys are the sender's choice.
            let mut last = HashMap::with_capacity(*len);
            let mut key_at = at + 1;
            for _ in 0..*len {
                if let Some(Node::String(key)) = tape.get(key_at) {
                    superseded.extend(last.insert(*key, key_at));
                }
                key_at = visit(tape, key_at + 1, superseded);
            }
            key_at
        }
        Some(Node::Array { len, .. }) => {
            (0..*len).fold(at + 1, |element, _| visit(tape, element, superseded))
        }
        _ => at + 1,
    }
}
