//! The regular expressions of a plan. Most of a rule set's are never needed, as what they cannot match without never occurs: so each is compiled
//! when it is used for the first time. Compiling those of the public rules takes as long as compiling all else of the plan.

use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};

use haechi_rules::{REGEX_SIZE_LIMIT, compiles_surely};
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind};

/// A regular expression, compiled once for all threads.
#[derive(Debug)]
pub(crate) struct LazyRegex {
    pattern: Box<str>,
    /// What it may take to work, in bytes.
    work_bytes: usize,
    compiled: OnceLock<Option<Matching>>,
}

#[derive(Debug, Clone)]
enum Matching {
    Run(Run),
    Regex(Regex),
}

impl LazyRegex {
    /// Takes a pattern; `work_bytes` is what its automaton's states may take.
    ///
    /// # Errors
    /// When it does not compile.
    pub(crate) fn new(pattern: &str, work_bytes: usize) -> Result<Self, Box<regex::Error>> {
        let lazy = Self {
            pattern: pattern.into(),
            work_bytes,
            compiled: OnceLock::new(),
        };
        if !compiles_surely(pattern) {
            let _ = lazy.compiled.set(Some(Matching::Regex(lazy.compile()?)));
        }
        Ok(lazy)
    }

    fn compile(&self) -> Result<Regex, Box<regex::Error>> {
        let mut builder = RegexBuilder::new(&self.pattern);
        builder
            .size_limit(REGEX_SIZE_LIMIT)
            .dfa_size_limit(self.work_bytes);
        Ok(builder.build()?)
    }

    /// What does its work; `None` when it does not compile, which was known to be impossible.
    fn matching(&self) -> Option<&Matching> {
        let compile = || match Run::of(&self.pattern) {
            Some(run) => Some(Matching::Run(run)),
            None => self.compile().ok().map(Matching::Regex),
        };
        self.compiled.get_or_init(compile).as_ref()
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
            Some(Matching::Run(run)) => run.is_in(value),
            Some(Matching::Regex(regex)) => regex.is_match(value),
            None => false,
        }
    }
}

/// So many characters of a class in a row, as in `.{1000,}`: what an automaton counts with a thousand states, a loop counts with a number.
#[derive(Debug, Clone)]
struct Run {
    least: u32,
    class: ClassUnicode,
}

impl Run {
    /// The run that a pattern looks for, if it looks for nothing else.
    fn of(pattern: &str) -> Option<Self> {
        let hir: Hir = regex_syntax::parse(pattern).ok()?;
        let HirKind::Repetition(repetition) = hir.kind() else {
            return None;
        };
        match repetition.sub.kind() {
            HirKind::Class(Class::Unicode(class)) if repetition.min > 0 => Some(Self {
                least: repetition.min,
                class: class.clone(),
            }),
            _ => None,
        }
    }

    fn is_in(&self, value: &str) -> bool {
        let mut run = 0;
        value.chars().any(|c| {
            let ranges = self.class.ranges();
            let at = ranges.partition_point(|range| range.end() < c);
            let in_class = ranges.get(at).is_some_and(|range| range.start() <= c);
            run = if in_class { run + 1 } else { 0 };
            run >= self.least
        })
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
            .map(|pattern| LazyRegex::new(pattern, 1 << 10).unwrap())
            .into();
        let own = Regexes::new(Arc::clone(&regexes));
        assert!(own.is_match(0, "xaab") && !own.is_match(0, "c") && !own.is_match(2, "c"));
        assert!(regexes[0].compiled.get().is_some() && regexes[1].compiled.get().is_none());
    }

    #[test]
    fn a_regex_too_large_is_refused_at_once() {
        let error = LazyRegex::new(r"(?:\w{100}){100}", 1 << 10).unwrap_err();
        assert!(matches!(*error, regex::Error::CompiledTooBig(_)), "{error}");
    }

    proptest! {
        #[test]
        fn a_run_is_what_the_regex_says(
            pattern in prop::sample::select(vec![
                ".{3,}", "(?s).{2,5}", "[ab]+", "[^a]{2,}?", r"\w{3}", "(?i)[a-k]{2,}", "a{2,}", "[é-ü]{2,}",
            ]),
            value in "[abKké\\n\u{212a}]{0,8}",
        ) {
            let regexes: Arc<[LazyRegex]> = vec![LazyRegex::new(pattern, 1 << 10).unwrap()].into();
            let expected = Regex::new(pattern).unwrap().is_match(&value);
            prop_assert_eq!(Regexes::new(regexes).is_match(0, &value), expected);
        }
    }
}
