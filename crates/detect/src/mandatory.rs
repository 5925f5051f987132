//! The literals that a regular expression cannot match without.
//!
//! Running a regex on every value is what makes rules with regexes dear. Most of them need some literal: `net\s+user` never
//! matches where `net` is not, so the regex waits until the field's matcher has seen it. From a regex's syntax tree comes
//! a set of texts, one of which (at least) is in the folded form of whatever the regex matches.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::fold::{fold, fold_char};
use crate::predicate::SHORT;
use crate::rarity;

/// The most texts in a set.
const MAX_TEXTS: usize = 32;
/// The longest text that is still extended, in bytes.
const MAX_LENGTH: usize = 48;
/// The most characters of a class that is spelled out, before folding.
const MAX_CLASS: u32 = 24;

type Texts = BTreeSet<String>;

/// The folded texts one of which a value must hold to match `regex`, or `None` when no set worth waiting for is known.
pub(crate) fn mandatory(regex: &str) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(regex).ok()?;
    let texts = Known::of(&hir).into_needed()?;
    Some(texts.into_iter().collect())
}

/// What is known of the texts that a part of a regex matches.
#[derive(Default)]
struct Known {
    /// All of them, folded.
    exact: Option<Texts>,
    /// Each of them, folded, holds one of these, none of which is too short.
    needed: Option<Texts>,
}

impl Known {
    fn of(hir: &Hir) -> Self {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::exactly([String::new()]),
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) => Self::exactly([fold(text)]),
                Err(_) => Self::default(),
            },
            HirKind::Class(class) => Self::of_class(class),
            HirKind::Capture(capture) => Self::of(&capture.sub),
            HirKind::Repetition(repetition) => {
                let sub = Self::of(&repetition.sub);
                match (repetition.min, repetition.max) {
                    (1, Some(1)) => sub,
                    (0, Some(1)) => sub.or_nothing(),
                    (0, _) => Self::default(),
                    (min, Some(max)) if min == max && min <= 8 => {
                        Self::concat((0..min).map(|_| Self::of(&repetition.sub)))
                    }
                    _ => Self {
                        exact: None,
                        needed: sub.into_needed(),
                    },
                }
            }
            HirKind::Concat(parts) => Self::concat(parts.iter().map(Self::of)),
            HirKind::Alternation(parts) => Self::alternation(parts.iter().map(Self::of).collect()),
        }
    }

    fn exactly(texts: impl IntoIterator<Item = String>) -> Self {
        Self {
            exact: Some(texts.into_iter().collect()),
            needed: None,
        }
    }

    fn of_class(class: &Class) -> Self {
        let Class::Unicode(class) = class else {
            return Self::default();
        };
        let size = |r: &regex_syntax::hir::ClassUnicodeRange| {
            u32::from(r.end()) - u32::from(r.start()) + 1
        };
        if class.iter().map(size).fold(0, u32::saturating_add) > MAX_CLASS {
            return Self::default();
        }
        let chars = class.iter().flat_map(|range| range.start()..=range.end());
        Self::exactly(chars.map(|c| fold_char(c).to_string()))
    }

    fn or_nothing(self) -> Self {
        let exact = self.exact.map(|mut texts| {
            texts.insert(String::new());
            texts
        });
        Self {
            exact,
            needed: None,
        }
    }

    fn into_needed(self) -> Option<Texts> {
        rarer(self.needed, self.exact)
    }

    /// Runs of exactly known parts grow into longer texts; the rarest set met on the way is what is needed.
    fn concat(parts: impl Iterator<Item = Self>) -> Self {
        let nothing = || Texts::from([String::new()]);
        let (mut run, mut whole, mut needed) = (nothing(), true, None);
        for part in parts {
            if let Some(texts) = &part.exact
                && let Some(longer) = product(&run, texts)
            {
                run = longer;
                continue;
            }
            whole = false;
            needed = rarer(needed, Some(std::mem::replace(&mut run, nothing())));
            match part {
                Self {
                    exact: Some(texts), ..
                } => run = texts,
                Self { needed: within, .. } => needed = rarer(needed, within),
            }
        }
        if whole {
            return Self {
                exact: Some(run),
                needed,
            };
        }
        Self {
            exact: None,
            needed: rarer(needed, Some(run)),
        }
    }

    fn alternation(parts: Vec<Self>) -> Self {
        if parts.iter().all(|part| part.exact.is_some()) {
            let texts: Texts = parts
                .iter()
                .filter_map(|part| part.exact.as_ref())
                .flatten()
                .cloned()
                .collect();
            if texts.len() <= MAX_TEXTS {
                return Self {
                    exact: Some(texts),
                    needed: None,
                };
            }
        }
        let needed: Option<Vec<Texts>> = parts.into_iter().map(Self::into_needed).collect();
        let needed = needed.map(|sets| sets.into_iter().flatten().collect::<Texts>());
        Self {
            exact: None,
            needed: needed.filter(|texts| texts.len() <= MAX_TEXTS),
        }
    }
}

/// Every text of `left` followed by every one of `right`, unless that is too many or too long.
fn product(left: &Texts, right: &Texts) -> Option<Texts> {
    let longest = |texts: &Texts| texts.iter().map(String::len).max().unwrap_or(0);
    if left.len() * right.len() > MAX_TEXTS || longest(left) + longest(right) > MAX_LENGTH {
        return None;
    }
    let pairs = left
        .iter()
        .flat_map(|l| right.iter().map(move |r| format!("{l}{r}")));
    Some(pairs.collect())
}

/// The set that fewer values hold a text of. A set with a text too short says nothing.
fn rarer(a: Option<Texts>, b: Option<Texts>) -> Option<Texts> {
    let telling = |texts: &Texts| texts.iter().all(|text| text.len() > SHORT);
    match (a.filter(telling), b.filter(telling)) {
        (Some(a), Some(b)) => {
            let share = |texts: &Texts| texts.iter().map(|text| rarity::within(text)).sum::<f32>();
            Some(if share(&b) < share(&a) { b } else { a })
        }
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn needed(regex: &str) -> Vec<String> {
        mandatory(regex).unwrap_or_default()
    }

    #[test]
    fn literals_are_found_where_a_match_cannot_do_without() {
        assert_eq!(needed(r"net\s+group"), ["group"]);
        assert_eq!(needed(r"(?i)PowerShell\.exe"), ["powershell.exe"]);
        assert_eq!(needed(r"https?://[0-9]{1,3}\."), ["http://", "https://"]);
        assert_eq!(
            needed(r"\\[Aa]pp[Dd]ata\\(?:[Ll]ocal|[Rr]oaming)$"),
            ["\\appdata\\local", "\\appdata\\roaming"]
        );
        assert_eq!(
            needed(r"cmd.{0,5}(?:/c|/r).+clipboard]::"),
            ["clipboard]::"]
        );
        assert_eq!(needed(r"^(abcd|xyzt)+$"), ["abcd", "xyzt"]);
        assert_eq!(needed(r"(?:----[^a]){3}"), ["----"]);
        assert_eq!(needed(r"\sab{2}c"), ["abbc"]);
    }

    #[test]
    fn nothing_is_claimed_where_nothing_is_sure() {
        for regex in [
            r"^[A-Za-z0-9]{16}$",
            "a*",
            "a?",
            "(abc)?.",
            "",
            "a|",
            r"\w+",
            "(?:abc|.)",
            r"\s-f\s",
        ] {
            assert_eq!(mandatory(regex), None, "{regex}");
        }
    }

    fn regex() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[abkK]{1,3}",
            Just(".".to_owned()),
            Just("[ab]".to_owned()),
            Just("[^a]".to_owned()),
            Just("^".to_owned()),
            Just("$".to_owned()),
            Just("\u{212a}".to_owned()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                proptest::collection::vec(inner.clone(), 1..4)
                    .prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (inner.clone(), "[*+?]|\\{2\\}|\\{1,2\\}")
                    .prop_map(|(sub, times)| format!("(?:{sub}){times}")),
                inner.prop_map(|sub| format!("(?i:{sub})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn whatever_matches_holds_one_of_them(regex in regex(), text in "[abkKc\u{212a}]{0,8}") {
            let compiled = regex::Regex::new(&regex).unwrap();
            if let Some(texts) = mandatory(&regex) && compiled.is_match(&text) {
                prop_assert!(texts.iter().any(|needed| fold(&text).contains(needed)), "{} {:?}", text, texts);
            }
        }
    }
}
