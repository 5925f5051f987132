//! A condition as a function of which selections match, looked at in full.

/// Most selections for which all cases are looked at.
pub(super) const MOST_SELECTIONS: usize = 12;

/// A condition over numbered selections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Formula {
    All(Vec<Formula>),
    Any(Vec<Formula>),
    Not(Box<Formula>),
    AtLeast(usize, Vec<usize>),
    Selection(usize),
}

impl Formula {
    /// Whether it holds where exactly the selections of the set match: bit `n` is selection `n`.
    pub(super) fn holds(&self, set: u32) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(set)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(set)),
            Self::Not(inner) => !inner.holds(set),
            Self::AtLeast(wanted, parts) => {
                parts.iter().filter(|n| set >> **n & 1 == 1).count() >= *wanted
            }
            Self::Selection(n) => set >> n & 1 == 1,
        }
    }

    /// The selections that it names, as a set.
    pub(super) fn names(&self) -> u32 {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().fold(0, |set, part| set | part.names())
            }
            Self::Not(inner) => inner.names(),
            Self::AtLeast(_, parts) => parts.iter().fold(0, |set, n| set | 1 << n),
            Self::Selection(n) => 1 << n,
        }
    }
}

/// What a condition comes to in the cases that can happen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Never,
    Always,
    /// It depends, but not on the selections of this set, each taken by itself.
    Depends {
        inert: u32,
    },
}

/// Looks at all cases that are `possible`, each a set of selections that match.
pub(super) fn outcome(
    formula: &Formula,
    selections: usize,
    possible: impl Fn(u32) -> bool,
) -> Outcome {
    let cases: Vec<Option<bool>> = (0..1u32 << selections)
        .map(|set| possible(set).then(|| formula.holds(set)))
        .collect();
    let known = || cases.iter().flatten();
    if !known().any(|holds| *holds) {
        return Outcome::Never;
    }
    if known().all(|holds| *holds) {
        return Outcome::Always;
    }
    let of = |set: u32| {
        usize::try_from(set)
            .ok()
            .and_then(|set| cases.get(set).copied().flatten())
    };
    let matters = |n: usize| {
        (0..1u32 << selections)
            .filter(|set| set >> n & 1 == 0)
            .any(|set| match (of(set), of(set | 1 << n)) {
                (Some(without), Some(with)) => without != with,
                _ => false,
            })
    };
    let inert = (0..selections)
        .filter(|n| !matters(*n))
        .fold(0, |set, n| set | 1 << n);
    Outcome::Depends {
        inert: inert & formula.names(),
    }
}
