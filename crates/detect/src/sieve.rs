//! Whether an event may hold any keyword at all.
//!
//! A public rule with keywords looks at every Windows event: some thirty values each, of which hardly any ever holds a keyword. To make all
//! of them a column and to search them one by one costs more than everything else about the event. The sieve takes
//! the event as one piece of text instead, as the decoder has it at hand, and looks for all keywords at once with SIMD (`aho-corasick`'s packed
//! searcher, an implementation of Teddy). What it lets through is looked at closely.

use std::collections::BTreeSet;
use std::sync::Arc;

use aho_corasick::packed;
use haechi_rules::Logsource;

use crate::matcher::needed_literals;
use crate::needles::Needles;
use crate::plan::Plan;
use crate::predicate::PredicateId;
use crate::stamps::Stamps;

/// With a text of fewer bytes the packed searcher is not used.
const SHORTEST_PACKED: usize = 3;

/// Tells which events may hold what rules with keywords look for, so that only these need to carry all their values. Each worker has
/// its own.
#[derive(Debug)]
pub struct KeywordSieve {
    plan: Arc<Plan>,
    /// Per event class, its mesh, if a rule with keywords looks at it.
    classes: Vec<Option<usize>>,
    /// One per set of keywords that classes want.
    meshes: Vec<(BTreeSet<PredicateId>, Mesh)>,
    folded: Vec<u8>,
    found: Stamps,
}

/// What events of a class pass through to reach the rules with keywords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// None passes: no rule with keywords looks at the class.
    None,
    /// All pass: a rule may match without any certain word.
    All,
    /// Those that [`KeywordSieve::passes`] says.
    Some,
}

#[derive(Debug)]
enum Mesh {
    /// Everything passes.
    Open,
    /// What holds one of these texts.
    Packed {
        searcher: packed::Searcher,
        ascii: bool,
    },
    /// The same, for more texts than the packed searcher takes.
    Needles { needles: Box<Needles>, ascii: bool },
}

impl KeywordSieve {
    /// A sieve for a plan.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            classes: Vec::new(),
            meshes: Vec::new(),
            folded: Vec::new(),
            found: Stamps::new(0),
        }
    }

    /// Makes the next event class known: the set of logsources of its events.
    pub fn bind_class(&mut self, class: &[Logsource]) -> Passing {
        let keywords = self.plan.keywords_for(class);
        if keywords.is_empty() {
            self.classes.push(None);
            return Passing::None;
        }
        let known = self.meshes.iter().position(|(of, _)| *of == keywords);
        let index = known.unwrap_or_else(|| {
            let mesh = Mesh::new(needed_literals(self.plan.keyword_tests(&keywords)));
            if let Mesh::Needles { needles, .. } = &mesh {
                self.found.grow(needles.count() as usize);
            }
            self.meshes.push((keywords, mesh));
            self.meshes.len() - 1
        });
        self.classes.push(Some(index));
        match self.meshes.get(index) {
            Some((_, Mesh::Open)) => Passing::All,
            _ => Passing::Some,
        }
    }

    /// Whether an event of a class may hold a keyword that a rule looks for there; `false` is sure. Each value of the event stands whole
    /// somewhere in `text`; what stands between need not be UTF-8.
    pub fn passes(&mut self, class: usize, text: &[u8]) -> bool {
        let mesh = self.classes.get(class).copied().flatten();
        let Some((_, mesh)) = mesh.and_then(|mesh| self.meshes.get(mesh)) else {
            return mesh.is_some();
        };
        let ascii = match mesh {
            Mesh::Open => return true,
            Mesh::Packed { ascii, .. } | Mesh::Needles { ascii, .. } => *ascii,
        };
        // Texts of ASCII alone are found after folding ASCII alone, unless a letter folds to one of ASCII's. Others are not worth the trouble.
        if !text.is_ascii() && (!ascii || folds_to_ascii(text)) {
            return true;
        }
        self.folded.clear();
        self.folded.extend_from_slice(text);
        self.folded.make_ascii_lowercase();
        match mesh {
            Mesh::Open => true,
            Mesh::Packed { searcher, .. } => searcher.find(&self.folded).is_some(),
            Mesh::Needles { needles, .. } => {
                let mut found = false;
                needles.each_within(&self.folded, &mut self.found, |_| found = true);
                found
            }
        }
    }
}

impl Mesh {
    /// What holds any of these texts passes; without texts, everything does.
    fn new(literals: Option<BTreeSet<Vec<u8>>>) -> Self {
        let Some(literals) = literals else {
            return Self::Open;
        };
        let ascii = literals.iter().all(|literal| literal.is_ascii());
        // Very short ones stand everywhere: the packed searcher would look closely at every place.
        let short = literals
            .iter()
            .any(|literal| literal.len() < SHORTEST_PACKED);
        match packed::Searcher::new(&literals).filter(|_| !short) {
            Some(searcher) => Self::Packed { searcher, ascii },
            None => Self::Needles {
                needles: Box::new(Needles::new(literals.iter().map(Vec::as_slice))),
                ascii,
            },
        }
    }
}

/// Whether a letter may stand in `text` that is not of ASCII and folds to one that is: there are two, `ſ` and the Kelvin sign.
fn folds_to_ascii(text: &[u8]) -> bool {
    let holds = |letter: &str| memchr::memmem::find(text, letter.as_bytes()).is_some();
    holds("\u{17f}") || holds("\u{212a}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::fold_char;

    #[test]
    fn two_letters_fold_to_ascii() {
        let folding = ('\u{80}'..=char::MAX).filter(|&c| fold_char(c).is_ascii());
        for letter in folding {
            assert!(folds_to_ascii(format!("a{letter}b").as_bytes()), "{letter}");
        }
        assert!(!folds_to_ascii("ÄÖÜ €".as_bytes()));
    }
}
