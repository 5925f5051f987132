//! The regular expressions of a plan. Most of a rule set's are never needed, as what they cannot match without never occurs: so each is compiled
//! when it is used for the first time. Compiling those of the public rules takes as long as compiling all else of the plan.

use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};

use haechi_rules::REGEX_SIZE_LIMIT;
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class as HirClass, ClassUnicode, Hir, HirKind};

/// A regular expression, compiled once for all threads.
#[derive(Debug)]
pub(crate) struct LazyRegex {
    pattern: Box<str>,
    /// What it may take to work, in bytes.
    work_bytes: usize,
    compiled: OnceLock<Option<Matching>>,
}

/// What does the work of a regular expression.
#[derive(Debug, Clone)]
struct Matching {
    /// Without it nothing matches.
    run: Option<Run>,
    /// None where the run is all that it looks for.
    regex: Option<Regex>,
}

impl LazyRegex {
    /// Takes a pattern that is known to compile, see [`haechi_rules::Test::Regex`]; `work_bytes` is what its automaton's states may take.
    pub(crate) fn new(pattern: &str, work_bytes: usize) -> Self {
        Self {
            pattern: pattern.into(),
            work_bytes,
            compiled: OnceLock::new(),
        }
    }

    fn compile(&self) -> Option<Matching> {
        let hir = regex_syntax::parse(&self.pattern).ok()?;
        if let Some(run) = Run::of(&hir) {
            return Some(Matching {
                run: Some(run),
                regex: None,
            });
        }
        let mut builder = RegexBuilder::new(&self.pattern);
        builder
            .size_limit(REGEX_SIZE_LIMIT)
            .dfa_size_limit(self.work_bytes);
        Some(Matching {
            run: Run::needed(&hir),
            regex: Some(builder.build().ok()?),
        })
    }

    /// What does its work; `None` when it does not compile, which was known to be impossible.
    fn matching(&self) -> Option<&Matching> {
        self.compiled.get_or_init(|| self.compile()).as_ref()
    }
}

/// A detector's own copies of a plan's regexes: copies share the program, but not the scratch space, so that threads do not wait for each
/// other.
#[derive(Debug)]
pub(crate) struct Regexes {
    shared: Arc<[LazyRegex]>,
    own: Vec<OnceCell<Option<Matching>>>,
}

impl Regexes {
    /// None is copied yet.
    pub(crate) fn new(shared: Arc<[LazyRegex]>) -> Self {
        Self {
            own: shared.iter().map(|_| OnceCell::new()).collect(),
            shared,
        }
    }

    /// Whether the regex with this index finds something in a value.
    pub(crate) fn is_match(&self, index: u32, value: &str) -> bool {
        let index = index as usize;
        let Some((own, shared)) = self.own.get(index).zip(self.shared.get(index)) else {
            return false;
        };
        match own.get_or_init(|| shared.matching().cloned()) {
            Some(Matching { run, regex }) => {
                let may_match = run.as_ref().is_none_or(|run| run.is_in(value));
                may_match && regex.as_ref().is_none_or(|regex| regex.is_match(value))
            }
            None => false,
        }
    }
}

/// So many characters of a class in a row, as in `.{1000,}`: what an automaton counts with a thousand states, a loop counts with a number.
#[derive(Debug, Clone)]
struct Run {
    least: usize,
    class: Class,
}

/// The characters of a run.
#[derive(Debug, Clone)]
enum Class {
    /// Those whose bit is set.
    Ascii(u128),
    Any(ClassUnicode),
}

impl Run {
    /// Shorter runs are too common in values to be worth a look before the regular expression.
    const WORTHWHILE: usize = 16;

    /// The run that a regular expression looks for, if it looks for nothing else.
    fn of(hir: &Hir) -> Option<Self> {
        let HirKind::Repetition(repetition) = hir.kind() else {
            return None;
        };
        let least = usize::try_from(repetition.min).ok()?;
        let class = Class::of(&repetition.sub)?;
        (least > 0).then_some(Self { least, class })
    }

    /// The longest run of ASCII without which a regular expression does not match; none when no long one is known.
    fn needed(hir: &Hir) -> Option<Self> {
        let longer = |of: &Self| of.least;
        match hir.kind() {
            HirKind::Capture(capture) => Self::needed(&capture.sub),
            HirKind::Concat(parts) => parts.iter().filter_map(Self::needed).max_by_key(longer),
            HirKind::Repetition(repetition) if repetition.min > 0 => Self::of(hir)
                .filter(|run| run.least >= Self::WORTHWHILE && matches!(run.class, Class::Ascii(_)))
                .or_else(|| Self::needed(&repetition.sub)),
            _ => None,
        }
    }

    fn is_in(&self, value: &str) -> bool {
        match &self.class {
            Class::Ascii(bits) => self.is_in_ascii(value.as_bytes(), *bits),
            Class::Any(class) => {
                let mut run = 0;
                value.chars().any(|c| {
                    let ranges = class.ranges();
                    let at = ranges.partition_point(|range| range.end() < c);
                    let in_class = ranges.get(at).is_some_and(|range| range.start() <= c);
                    run = if in_class { run + 1 } else { 0 };
                    run >= self.least
                })
            }
        }
    }

    /// Looks at the last byte of where the run may be: if it is none of the class, the run begins behind it. So of a value without a
    /// run, few bytes are looked at.
    fn is_in_ascii(&self, mut value: &[u8], bits: u128) -> bool {
        let is_other = |byte: &u8| bits.checked_shr(u32::from(*byte)).unwrap_or(0) & 1 == 0;
        while let Some(run) = value.get(..self.least) {
            let Some(other) = run.iter().rposition(is_other) else {
                return true;
            };
            value = value.get(other + 1..).unwrap_or_default();
        }
        false
    }
}

impl Class {
    /// The characters that a part of a regular expression matches, if it matches one of them.
    fn of(hir: &Hir) -> Option<Self> {
        let HirKind::Class(HirClass::Unicode(class)) = hir.kind() else {
            return None;
        };
        let mut bits = 0;
        for range in class.ranges() {
            if !range.end().is_ascii() {
                return Some(Self::Any(class.clone()));
            }
            for c in range.start()..=range.end() {
                bits |= 1 << u32::from(c);
            }
        }
        Some(Self::Ascii(bits))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_used_is_compiled() {
        let regexes: Arc<[LazyRegex]> = ["a+b", "c"]
            .map(|pattern| LazyRegex::new(pattern, 1 << 10))
            .into();
        let own = Regexes::new(Arc::clone(&regexes));
        assert!(own.is_match(0, "xaab") && !own.is_match(0, "c") && !own.is_match(2, "c"));
        assert!(regexes[0].compiled.get().is_some() && regexes[1].compiled.get().is_none());
    }

    proptest! {
        #[test]
        fn a_run_is_what_the_regex_says(
            pattern in prop::sample::select(vec![
                ".{3,}", "(?s).{2,5}", "[ab]+", "[^a]{2,}?", r"\w{3}", "(?i)[a-k]{2,}", "a{2,}", "[é-ü]{2,}",
            ]),
            value in "[abKké\\n\u{212a}]{0,8}",
        ) {
            let regexes: Arc<[LazyRegex]> = vec![LazyRegex::new(pattern, 1 << 10)].into();
            let expected = Regex::new(pattern).unwrap().is_match(&value);
            prop_assert_eq!(Regexes::new(regexes).is_match(0, &value), expected);
        }

        #[test]
        fn a_run_that_is_needed_changes_nothing(
            pattern in prop::sample::select(vec![
                r"\s[a-f0-9]{16}\s[a-f]{2}", "(?i)x(?:[a-f]{17,}|y)", "(?:a[a-f]{16}b)+", "(?:[a-f]{16})?x", "^[a-f]{20,30}$", "(x[a-f]{18}){2}",
            ]),
            runs in prop::collection::vec(("[ xyé]{0,2}", 0usize..40, "[af0]"), 0..4),
        ) {
            let value: String = runs.iter().map(|(before, times, of)| format!("{before}{}", of.repeat(*times))).collect();
            let regexes: Arc<[LazyRegex]> = vec![LazyRegex::new(pattern, 1 << 10)].into();
            let expected = Regex::new(pattern).unwrap().is_match(&value);
            prop_assert_eq!(Regexes::new(regexes).is_match(0, &value), expected);
        }
    }
}
