//! Letters without case.
//!
//! Text that is compared without case is folded first, rule literals and event values alike, character by character:
//! Unicode *simple* case folding (`CaseFolding.txt`, statuses C and S), which is also what `(?i)` of the `regex` crate
//! means. One character always folds to one character, so `?` counts the same before and after. What follows from
//! that: `ß` equals `ẞ` but not `ss`, `ς` equals `Σ`, the Kelvin sign equals `k`, and the Turkish `İ` and `ı` equal
//! nothing but themselves. ASCII takes a path that touches no table.

/// The folded form of one character.
pub(crate) fn fold_char(c: char) -> char {
    match c {
        _ if c.is_ascii() => c.to_ascii_lowercase(),
        // Both would reach an ASCII i by way of the upper case; simple folding keeps them apart (status T).
        'İ' | 'ı' => c,
        // Pairs of equal characters without a single-character upper case.
        '\u{1fd3}' => '\u{390}',
        '\u{1fe3}' => '\u{3b0}',
        '\u{fb05}' => '\u{fb06}',
        _ => {
            let upper = single(c.to_uppercase(), c);
            single(upper.to_lowercase(), upper)
        }
    }
}

/// The only character of a case mapping; `otherwise` when the mapping has several.
fn single(mut mapping: impl Iterator<Item = char>, otherwise: char) -> char {
    match (mapping.next(), mapping.next()) {
        (Some(only), None) => only,
        _ => otherwise,
    }
}

/// Replaces `folded` by the folded form of `value`.
pub(crate) fn fold_into(value: &str, folded: &mut String) {
    folded.clear();
    if value.is_ascii() {
        folded.push_str(value);
        folded.make_ascii_lowercase();
    } else {
        folded.extend(value.chars().map(fold_char));
    }
}

/// The folded form of `value`.
pub(crate) fn fold(value: &str) -> String {
    let mut folded = String::with_capacity(value.len());
    fold_into(value, &mut folded);
    folded
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

    /// The characters that equal `c` without case, as the regex crate has it.
    fn alike(c: char) -> Vec<char> {
        let mut class = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
        class.try_case_fold_simple().unwrap();
        class.iter().flat_map(|r| r.start()..=r.end()).collect()
    }

    #[test]
    fn agrees_with_simple_case_folding_on_every_character() {
        for c in '\0'..=char::MAX {
            let folded = fold_char(c);
            for other in alike(c) {
                assert_eq!(folded, fold_char(other), "{c:?} {other:?}");
            }
            // The standard library's Unicode may be newer and know of pairs that the regex crate does not.
            let unknown = || alike(c) == [c] && alike(folded) == [folded];
            assert!(
                alike(c).contains(&folded) || unknown(),
                "{c:?} folds to {folded:?}"
            );
        }
    }

    #[test]
    fn folding_twice_is_folding_once() {
        for c in '\0'..=char::MAX {
            assert_eq!(fold_char(fold_char(c)), fold_char(c));
        }
    }

    #[test]
    fn folding_adds_at_most_half_of_the_bytes() {
        for c in '\0'..=char::MAX {
            assert!(
                fold_char(c).len_utf8() <= c.len_utf8() + c.len_utf8() / 2,
                "{c:?}"
            );
        }
    }

    #[test]
    fn text_folds_character_by_character() {
        assert_eq!(fold("PowerShell.EXE"), "powershell.exe");
        assert_eq!(fold("ΟΔΥΣΣΕΥΣ"), fold("οδυσσευς"));
        assert_eq!(fold("ÄÖÜ \u{212a}elvin"), "äöü kelvin");
        assert_ne!(fold("İ"), fold("i"));
        assert_ne!(fold("ß"), fold("SS"));
    }
}
