//! From a predicate that holds to the rules worth looking at.

use crate::predicate::PredicateId;

/// Index of a distinct logsource of the rules.
pub(crate) type LogsourceId = u32;

/// For each predicate the rules of whose rarest necessary set it is a member, by logsource; and the rules that have no such set.
#[derive(Debug, Default)]
pub(crate) struct Triggers {
    /// Where the groups of predicate `i` end in `groups`.
    ends: Vec<u32>,
    groups: Vec<Group>,
    rules: Vec<u32>,
    /// Rules that must be looked at for each event that their logsource covers.
    ungated: Vec<(LogsourceId, u32)>,
}

/// Rules of one logsource under one predicate.
#[derive(Debug, Clone, Copy)]
struct Group {
    logsource: LogsourceId,
    start: u32,
    end: u32,
}

impl Triggers {
    /// Sorts out which rule waits for which predicates. Each rule comes with its logsource and its necessary predicates, `None`
    /// when it has no such set.
    pub(crate) fn new<'a>(
        predicates: usize,
        rules: impl IntoIterator<Item = (u32, LogsourceId, Option<&'a [PredicateId]>)>,
    ) -> Self {
        let mut triggers = Self::default();
        let mut waiting: Vec<(PredicateId, LogsourceId, u32)> = Vec::new();
        for (rule, logsource, necessary) in rules {
            match necessary {
                Some(set) => {
                    waiting.extend(set.iter().map(|&predicate| (predicate, logsource, rule)))
                }
                None => triggers.ungated.push((logsource, rule)),
            }
        }
        waiting.sort_unstable();
        let mut waiting = waiting.into_iter().peekable();
        for predicate in 0..predicates as u32 {
            while let Some((_, logsource, rule)) = waiting.next_if(|entry| entry.0 == predicate) {
                let start = triggers.rules.len() as u32;
                triggers.rules.push(rule);
                while let Some((.., rule)) =
                    waiting.next_if(|entry| (entry.0, entry.1) == (predicate, logsource))
                {
                    triggers.rules.push(rule);
                }
                triggers.groups.push(Group {
                    logsource,
                    start,
                    end: triggers.rules.len() as u32,
                });
            }
            triggers.ends.push(triggers.groups.len() as u32);
        }
        triggers
    }

    /// Whether some rule waits for the predicate.
    pub(crate) fn is_awaited(&self, predicate: PredicateId) -> bool {
        !self.groups_of(predicate).is_empty()
    }

    /// The rules that wait for the predicate and whose logsource `covers` says yes to.
    #[inline]
    pub(crate) fn waiting<'a>(
        &'a self,
        predicate: PredicateId,
        covers: &'a [bool],
    ) -> impl Iterator<Item = u32> + 'a {
        let covered = |group: &&Group| {
            covers
                .get(group.logsource as usize)
                .copied()
                .unwrap_or(false)
        };
        let groups = self.groups_of(predicate).iter().filter(covered);
        groups.flat_map(|group| {
            let range = group.start as usize..group.end as usize;
            self.rules.get(range).unwrap_or_default().iter().copied()
        })
    }

    /// The rules without a necessary predicate, with their logsources.
    pub(crate) fn ungated(&self) -> &[(LogsourceId, u32)] {
        &self.ungated
    }

    #[inline]
    fn groups_of(&self, predicate: PredicateId) -> &[Group] {
        let end_of = |index: u32| self.ends.get(index as usize).map_or(0, |&end| end as usize);
        let start = predicate.checked_sub(1).map_or(0, end_of);
        self.groups
            .get(start..end_of(predicate))
            .unwrap_or_default()
    }
}
