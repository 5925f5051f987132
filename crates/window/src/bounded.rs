//! Values that go through the exchange, kept within bounds.

use std::borrow::Cow;

/// Text longer than this many bytes is replaced in group keys and aggregates.
const LONGEST: usize = 8 * 1024;

/// The text itself or, when it is very long, its beginning and a hash of all of it. So one event with a huge value cannot make
/// an exchange record that no broker accepts, and different values stay different.
pub(crate) fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(LONGEST);
    let beginning = text.get(..end).unwrap_or_default();
    let hash = blake3::hash(text.as_bytes()).to_hex();
    Cow::Owned(format!("{beginning}…[{} bytes, blake3 {hash}]", text.len()))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_and_stay_different() {
        let long = "ü".repeat(LONGEST);
        let other = format!("{long}x");
        assert!(bounded(&long).len() < LONGEST + 200);
        assert_ne!(bounded(&long), bounded(&other));
        assert_eq!(bounded(&long), bounded(&long.clone()));
        assert_eq!(bounded("short"), "short");
    }
}
