//! Batches in, hits out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use haechi_rules::Logsource;

use crate::cache::{EMPTY, SetId, Value, ValueCache};
use crate::columns::{Layout, Texts};
use crate::error::DetectError;
use crate::matcher::{Matcher, Work};
use crate::plan::Plan;
use crate::predicate::{PredicateId, RowTestId};
use crate::profile::{FieldCost, Notes, Profile};
use crate::row_test::{Row, RowTests};
use crate::stamps::Stamps;
use crate::triggers::Triggers;

/// Rules that matched events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hits {
    /// All matches of a batch, by row, then by rule.
    pub hits: Vec<Hit>,
}

/// A rule that matched an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hit {
    /// The event's row in the batch.
    pub row: u32,
    /// The rule's index in the list that the plan was compiled from.
    pub rule: u32,
}

/// Runs a plan over batches. Each worker has its own; answers never depend on what it saw before, only the time they take does.
#[derive(Debug)]
pub struct Detector {
    plan: Arc<Plan>,
    classes: Vec<Class>,
    /// Matchers for the sets of keywords that classes want.
    keywords: Vec<(BTreeSet<PredicateId>, Matcher)>,
    layout: Option<Layout>,
    cache: ValueCache,
    work: Work,
    scratch: Scratch,
}

/// What an event class means for the plan.
#[derive(Debug)]
struct Class {
    /// Per distinct logsource of the rules, whether it covers the class.
    covers: Vec<bool>,
    /// Per field, whether a covering rule reads it.
    wants: Vec<bool>,
    /// The matcher for the keywords of the covering rules, if they have any.
    keywords: Option<usize>,
    /// The covering rules that wait for no predicate.
    ungated: Vec<u32>,
    /// Whether any rule covers the class.
    covered: bool,
}

/// Space kept from batch to batch.
#[derive(Debug)]
struct Scratch {
    /// What the values of the batch satisfy, field by field.
    found: Vec<(u32, SetId)>,
    /// The same sets, row by row; row `i`'s end at `ends[i]`.
    sets: Vec<SetId>,
    ends: Vec<u32>,
    ids: Vec<PredicateId>,
    satisfied: Stamps,
    looked_at: Stamps,
    candidates: Vec<u32>,
    row_tests: RowTests,
}

impl Detector {
    /// Bytes that [`Detector::new`] gives to the cache of values.
    pub const DEFAULT_CACHE_BYTES: usize = 32 << 20;

    /// A detector for a plan.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self::with_cache(plan, Self::DEFAULT_CACHE_BYTES)
    }

    /// A detector whose cache of values takes about `bytes`. With 0 it remembers no more than
    /// the value of the row before.
    pub fn with_cache(plan: Arc<Plan>, bytes: usize) -> Self {
        let predicates = plan.predicate_count();
        let mut work = Work::new(predicates, Arc::clone(&plan.regexes));
        plan.matchers
            .iter()
            .for_each(|matcher| work.reserve_for(matcher));
        Self {
            classes: Vec::new(),
            keywords: Vec::new(),
            layout: None,
            cache: ValueCache::new(plan.matchers.len(), bytes),
            work,
            scratch: Scratch {
                found: Vec::new(),
                sets: Vec::new(),
                ends: Vec::new(),
                ids: Vec::new(),
                satisfied: Stamps::new(predicates),
                looked_at: Stamps::new(plan.roots.len()),
                candidates: Vec::new(),
                row_tests: RowTests::new(plan.row_tests.len()),
            },
            plan,
        }
    }

    /// Takes note, from now on, of what fields and rules cost. Detection takes longer by that.
    pub fn profile_from_now(&mut self) {
        self.work.notes = Some(Box::new(Notes::new(&self.plan)));
    }

    /// What fields and rules cost since [`Detector::profile_from_now`]; `None` without that.
    pub fn profile(&self) -> Option<Profile> {
        let notes = self.work.notes.as_ref()?;
        Some(notes.profile(&self.plan))
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Makes event classes known, those after the ones already bound. A class is the set of logsources of an event, its
    /// index is what the `_class` column says; a rule looks at the class when it covers any of them.
    pub fn bind_classes(&mut self, classes: &[Vec<Logsource>]) {
        for class in classes.iter().skip(self.classes.len()) {
            let (mut class, keywords) = Class::new(&self.plan, class);
            if !keywords.is_empty() {
                class.keywords = Some(self.keyword_matcher(keywords));
            }
            self.classes.push(class);
        }
    }

    /// The index of the matcher for these keywords.
    fn keyword_matcher(&mut self, keywords: BTreeSet<PredicateId>) -> usize {
        let known = self.keywords.iter().position(|(of, _)| *of == keywords);
        known.unwrap_or_else(|| {
            let matcher = Matcher::new(self.plan.keyword_tests(&keywords));
            self.work.reserve_for(&matcher);
            self.keywords.push((keywords, matcher));
            self.keywords.len() - 1
        })
    }

    /// Finds which rules match which rows.
    ///
    /// # Errors
    /// When the batch is not what the decoder makes for this plan: a column is missing or of another type, a class is not bound.
    pub fn detect(&mut self, batch: &RecordBatch) -> Result<Hits, DetectError> {
        u32::try_from(batch.num_rows()).map_err(|_| DetectError::TooLarge)?;
        let layout = match self.layout.take().filter(|layout| layout.fits(batch)) {
            Some(layout) => layout,
            None => Layout::of(
                batch.schema_ref(),
                self.plan.fields().iter().map(AsRef::as_ref),
            )?,
        };
        let layout = self.layout.insert(layout);
        let columns: Result<Vec<Texts<'_>>, DetectError> = (0..self.plan.fields().len())
            .map(|field| layout.field(batch, field))
            .collect();
        let columns = columns?;
        let values = layout.values(batch)?;
        let classes = layout.classes(batch)?.values();
        let bound = self.classes.len();
        if let Some(&class) = classes.iter().find(|&&class| usize::from(class) >= bound) {
            return Err(DetectError::UnboundClass { class, bound });
        }
        self.cache.begin_batch();
        self.scratch.found.clear();
        self.match_fields(&columns, classes)?;
        self.match_keywords(values, classes)?;
        self.sort_by_row(batch.num_rows())?;
        Ok(self.look_at_rules(&columns, classes))
    }

    /// Field by field, finds what each value satisfies.
    fn match_fields(&mut self, columns: &[Texts<'_>], classes: &[u16]) -> Result<(), DetectError> {
        let Self {
            plan,
            classes: bound,
            cache,
            work,
            scratch,
            ..
        } = self;
        let Scratch { found, ids, .. } = scratch;
        let mut too_large = false;
        for (field, (texts, matcher)) in columns.iter().zip(&plan.matchers).enumerate() {
            if !bound.iter().any(|class| class.wants(field)) {
                continue;
            }
            let begun = work.notes.is_some().then(Instant::now);
            let mut cost = FieldCost::default();
            let mut last: Option<(Value<'_>, SetId)> = None;
            texts.each_row(|row, items| {
                let class = classes
                    .get(row)
                    .and_then(|&class| bound.get(usize::from(class)));
                if !class.is_some_and(|class| class.wants(field)) {
                    return;
                }
                for value in items.filter_map(|item| texts.value(item)) {
                    cost.values += 1;
                    if matcher.is_too_short(value.text.len()) {
                        continue;
                    }
                    // What comes in a row comes again in the next more often than not.
                    let set = match last {
                        Some((known, set)) if known.equals(value) => Some(set),
                        _ => cache.set(field, value, ids, |text, ids| {
                            cost.matches(text);
                            matcher.satisfied(text, work, ids);
                            awaited_last(ids, &plan.triggers)
                        }),
                    };
                    last = set.map(|set| (value, set));
                    match set {
                        Some(EMPTY) => {}
                        Some(set) => found.push((row as u32, set)),
                        None => too_large = true,
                    }
                }
            });
            if let (Some(notes), Some(begun)) = (&mut work.notes, begun) {
                notes.field(Some(field), &cost, begun);
            }
        }
        if too_large {
            Err(DetectError::TooLarge)
        } else {
            Ok(())
        }
    }

    /// Finds which keywords stand in each value of the events that carry theirs: few, where a [`KeywordSieve`](crate::KeywordSieve) chose
    /// them, so that it would be of no use to remember these values.
    fn match_keywords(&mut self, values: Texts<'_>, classes: &[u16]) -> Result<(), DetectError> {
        let Self {
            plan,
            classes: bound,
            keywords,
            cache,
            work,
            scratch,
            ..
        } = self;
        let Scratch { found, ids, .. } = scratch;
        let mut too_large = false;
        let begun = work.notes.is_some().then(Instant::now);
        let mut cost = FieldCost::default();
        values.each_row(|row, items| {
            let class = classes
                .get(row)
                .and_then(|&class| bound.get(usize::from(class)));
            let Some((_, matcher)) = class.and_then(|class| keywords.get(class.keywords?)) else {
                return;
            };
            for value in items.filter_map(|item| values.value(item)) {
                cost.values += 1;
                if matcher.is_too_short(value.text.len()) {
                    continue;
                }
                cost.matches(value.text);
                ids.clear();
                matcher.satisfied(value.text, work, ids);
                let awaited = awaited_last(ids, &plan.triggers);
                match cache.keep(ids, awaited) {
                    Some(EMPTY) => {}
                    Some(set) => found.push((row as u32, set)),
                    None => too_large = true,
                }
            }
        });
        if let (Some(notes), Some(begun)) = (&mut work.notes, begun) {
            notes.field(None, &cost, begun);
        }
        if too_large {
            Err(DetectError::TooLarge)
        } else {
            Ok(())
        }
    }

    /// Brings what was found field by field into the order of rows (a counting sort).
    #[allow(
        clippy::indexing_slicing,
        reason = "rows are below `rows`, and places below the count of what was found"
    )]
    fn sort_by_row(&mut self, rows: usize) -> Result<(), DetectError> {
        let Scratch {
            found, sets, ends, ..
        } = &mut self.scratch;
        u32::try_from(found.len()).map_err(|_| DetectError::TooLarge)?;
        ends.clear();
        ends.resize(rows + 1, 0);
        for &(row, _) in &*found {
            ends[row as usize + 1] += 1;
        }
        let mut sum = 0;
        for end in ends.iter_mut() {
            sum += *end;
            *end = sum;
        }
        // Now `ends[row]` is where the row begins; each set placed moves it on, until it is where the row ends.
        sets.clear();
        sets.resize(found.len(), EMPTY);
        for &(row, set) in &*found {
            let place = &mut ends[row as usize];
            sets[*place as usize] = set;
            *place += 1;
        }
        Ok(())
    }

    /// Row by row, decides the rules that something hints at.
    fn look_at_rules(&mut self, columns: &[Texts<'_>], classes: &[u16]) -> Hits {
        let Self {
            plan,
            classes: bound,
            cache,
            work,
            scratch,
            ..
        } = self;
        let Scratch {
            sets,
            ends,
            satisfied,
            looked_at,
            candidates,
            row_tests,
            ..
        } = scratch;
        let Work { regexes, notes, .. } = work;
        let mut hits = Hits::default();
        let mut start = 0;
        for (row, (&class, &end)) in classes.iter().zip(&*ends).enumerate() {
            let of_row = sets.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            let Some(class) = bound.get(usize::from(class)).filter(|class| class.covered) else {
                continue;
            };
            satisfied.clear();
            looked_at.clear();
            candidates.clear();
            for &set in of_row {
                let set = cache.get(set);
                set.all.iter().for_each(|&predicate| {
                    satisfied.insert(predicate);
                });
                for &predicate in set.awaited {
                    let waiting = plan.triggers.waiting(predicate, &class.covers);
                    candidates.extend(waiting.filter(|&rule| looked_at.insert(rule)));
                }
            }
            candidates.extend_from_slice(&class.ungated);
            candidates.sort_unstable();
            row_tests.begin();
            let here = Row {
                columns,
                row,
                regexes,
            };
            let mut row_test = |id: RowTestId| {
                let test = plan.row_tests.get(id as usize);
                test.is_some_and(|test| row_tests.holds(id, test, here))
            };
            for &rule in &*candidates {
                let Some(&root) = plan.roots.get(rule as usize) else {
                    continue;
                };
                let mut decide = || plan.programs.holds(root, satisfied, &mut row_test);
                let hit = match notes {
                    None => decide(),
                    Some(notes) => notes.rule(rule, decide),
                };
                if hit {
                    hits.hits.push(Hit {
                        row: row as u32,
                        rule,
                    });
                }
            }
        }
        hits
    }
}

/// Sorts the predicates so that those some rule waits for come last; how many these are.
fn awaited_last(ids: &mut [PredicateId], triggers: &Triggers) -> usize {
    ids.sort_unstable_by_key(|&predicate| (triggers.is_awaited(predicate), predicate));
    ids.len() - ids.partition_point(|&predicate| !triggers.is_awaited(predicate))
}

impl Class {
    /// The class of events with these logsources, and the keywords that it wants.
    fn new(plan: &Plan, class: &[Logsource]) -> (Self, BTreeSet<PredicateId>) {
        let covers = |rules: &Logsource| class.iter().any(|event| rules.covers(event));
        let covers: Vec<bool> = plan
            .logsources
            .iter()
            .map(|rules| covers(&rules.logsource))
            .collect();
        let mut wants = vec![false; plan.matchers.len()];
        let mut keywords = BTreeSet::new();
        for (rules, _) in plan
            .logsources
            .iter()
            .zip(&covers)
            .filter(|&(_, &covers)| covers)
        {
            for &field in &rules.fields {
                if let Some(wants) = wants.get_mut(field as usize) {
                    *wants = true;
                }
            }
            keywords.extend(&rules.keywords);
        }
        let covered_rule =
            |&&(logsource, _): &&(u32, u32)| covers.get(logsource as usize) == Some(&true);
        let ungated = plan
            .triggers
            .ungated()
            .iter()
            .filter(covered_rule)
            .map(|&(_, rule)| rule)
            .collect();
        let class = Self {
            covered: covers.contains(&true),
            covers,
            wants,
            keywords: None,
            ungated,
        };
        (class, keywords)
    }

    fn wants(&self, field: usize) -> bool {
        self.wants.get(field).copied().unwrap_or(false)
    }
}
