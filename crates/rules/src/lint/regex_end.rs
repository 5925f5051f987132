//! Ends of a regular expression that change nothing.

/// What is left of a regular expression without `.*` at its ends. It is found wherever the whole one is, for a regular expression
/// is looked for anywhere in the value. None where nothing can be left out, or where that is not certain.
pub(super) fn shorter(pattern: &str) -> Option<&str> {
    // An alternative's end is not the expression's.
    if pattern.contains(['|', '#']) {
        return None;
    }
    let mut rest = pattern;
    while let Some(shorter) = rest.strip_prefix(".*") {
        // `.*?`, `.*+` and the like are one thing.
        rest = shorter.strip_prefix('?').unwrap_or(shorter);
    }
    loop {
        let end = rest.strip_suffix(".*").or_else(|| rest.strip_suffix(".*?"));
        match end.filter(|kept| !escapes_what_follows(kept)) {
            Some(kept) => rest = kept,
            None => break,
        }
    }
    (rest.len() < pattern.len() && !rest.is_empty() && regex_syntax::parse(rest).is_ok())
        .then_some(rest)
}

/// Whether a text ends with a backslash that takes the next character's meaning.
fn escapes_what_follows(text: &str) -> bool {
    text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_ends_are_left_out_and_others_are_not() {
        for (pattern, left) in [
            (".*a.c.*", Some("a.c")),
            ("a.c.*", Some("a.c")),
            (".*?a.c", Some("a.c")),
            (r"a.c\.*", None),
            (r"a.c\\.*", Some(r"a.c\\")),
            ("^.*a.c", None),
            ("a.c", None),
            (".*", None),
            ("a|.*", None),
            ("(a.*)", None),
            ("[.*", None),
        ] {
            assert_eq!(shorter(pattern), left, "{pattern}");
        }
    }
}
