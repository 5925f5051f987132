//! All rules as one plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use haechi_rules::{DetectionRule, Logsource};
use rustc_hash::FxHashMap;

use crate::error::{CompileError, CompileErrorReason};
use crate::lower::Lowering;
use crate::matcher::Matcher;
use crate::necessary::{Necessary, necessary};
use crate::predicate::{FieldId, PredicateId, Predicates, RowTest, ValueTest};
use crate::program::{NodeId, Programs};
use crate::rarity;
use crate::regexes::LazyRegex;
use crate::triggers::{LogsourceId, Triggers};

/// Detection rules, compiled together. Immutable; workers share one.
#[derive(Debug)]
pub struct Plan {
    fields: Vec<Arc<str>>,
    /// Per field.
    pub(crate) matchers: Vec<Matcher>,
    /// The keywords. They get matchers of their own per set of rules that look at an event: all values of an event are many.
    keywords: FxHashMap<PredicateId, ValueTest>,
    pub(crate) row_tests: Vec<RowTest>,
    pub(crate) regexes: Arc<[LazyRegex]>,
    pub(crate) programs: Programs,
    /// Per rule the root of its condition.
    pub(crate) roots: Vec<NodeId>,
    pub(crate) triggers: Triggers,
    /// The distinct logsources of the rules.
    pub(crate) logsources: Vec<RuleLogsource>,
    predicates: usize,
}

/// A logsource that rules give, and what those rules need to see.
#[derive(Debug)]
pub(crate) struct RuleLogsource {
    pub(crate) logsource: Logsource,
    /// The fields that the rules read.
    pub(crate) fields: BTreeSet<FieldId>,
    /// The keywords that they look for.
    pub(crate) keywords: BTreeSet<PredicateId>,
}

/// How large a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanSize {
    /// Rules compiled.
    pub rules: usize,
    /// Fields that they read.
    pub fields: usize,
    /// Distinct tests of values.
    pub predicates: usize,
    /// Distinct regular expressions.
    pub regexes: usize,
    /// Rules that must be looked at for every event that their logsource covers.
    pub ungated_rules: usize,
    /// Bytes of the tables that find literals within values.
    pub needle_bytes: usize,
}

impl Plan {
    /// What [`Plan::compile`] lets a regex take to work, in each detector: with less, those of the public rules become slower.
    pub const DEFAULT_REGEX_BYTES: usize = 256 << 10;

    /// Compiles rules. A rule's index in `rules` is what [`crate::Hit::rule`] says.
    ///
    /// # Errors
    /// When a rule does not fit (see [`CompileErrorReason`]); leave it out and compile again.
    pub fn compile(rules: &[Arc<DetectionRule>]) -> Result<Self, CompileError> {
        Self::compile_within(rules, Self::DEFAULT_REGEX_BYTES)
    }

    /// Compiles rules, of whose regexes each may take about `regex_bytes` to work, in each detector. That is room for the states of
    /// its automaton, which are made as values need them; when there is no more room they are made anew, and when that
    /// happens too often a slower engine takes over. Time stays linear in the value.
    ///
    /// # Errors
    /// As [`Plan::compile`].
    pub fn compile_within(
        rules: &[Arc<DetectionRule>],
        regex_bytes: usize,
    ) -> Result<Self, CompileError> {
        let fields = distinct_fields(rules);
        let field_ids: FxHashMap<Arc<str>, FieldId> = fields.iter().cloned().zip(0..).collect();
        let any_value = fields.len() as FieldId;
        let mut predicates = Predicates::new(regex_bytes);
        let mut programs = Programs::default();
        let mut roots = Vec::with_capacity(rules.len());
        let mut logsources = Logsources::default();
        for (index, rule) in rules.iter().enumerate() {
            let mut lowering = Lowering {
                fields: &field_ids,
                any_value,
                predicates: &mut predicates,
                keywords: Vec::new(),
                puts_off: true,
            };
            let mut lower = |lowering: &mut Lowering| {
                let tree = lowering
                    .lower(&rule.condition)
                    .map_err(|reason| error(index, rule, reason))?;
                let root = programs.add(&tree);
                Ok((root, necessary(&programs, root, &|_| 1.0).is_some()))
            };
            let (mut root, gated) = lower(&mut lowering)?;
            if !gated {
                // Nothing else to wait for: wait for what would have been put off.
                lowering.puts_off = false;
                (root, _) = lower(&mut lowering)?;
            }
            roots.push(root);
            let reads = logsources.of_next_rule(&rule.logsource);
            reads.keywords.extend(lowering.keywords);
            rule.condition
                .fields(&mut |name| reads.fields.extend(field_ids.get(name)));
        }
        let triggers = triggers(&programs, &roots, &logsources.of_rules, &predicates);
        let (matchers, keywords) = matchers(fields.len(), &predicates);
        let count = predicates.value_tests().len();
        let (row_tests, regexes) = predicates.into_rows_and_regexes();
        Ok(Self {
            fields,
            matchers,
            keywords,
            row_tests,
            regexes: regexes.into(),
            programs,
            roots,
            triggers,
            logsources: logsources.finish(),
            predicates: count,
        })
    }

    /// The distinct fields that the rules read, sorted. A batch must have a column for each.
    pub fn fields(&self) -> &[Arc<str>] {
        &self.fields
    }

    /// Whether a rule with keywords looks at events of this class, so that their rows must carry all values, or at least those of the events
    /// that a [`KeywordSieve`](crate::KeywordSieve) lets pass. A class is the set of logsources of an event.
    pub fn wants_values(&self, class: &[Logsource]) -> bool {
        !self.keywords_for(class).is_empty()
    }

    /// The keywords that rules look for in events of this class.
    pub(crate) fn keywords_for(&self, class: &[Logsource]) -> BTreeSet<PredicateId> {
        let covers = |rules: &&RuleLogsource| {
            let mut events = class.iter();
            events.any(|event| rules.logsource.covers(event))
        };
        let covering = self.logsources.iter().filter(covers);
        covering
            .flat_map(|rules| &rules.keywords)
            .copied()
            .collect()
    }

    /// The rules that have no necessary predicate and are looked at for each event that their logsource covers, ascending. They are
    /// what a rule costs that only says what an event is not.
    pub fn ungated_rules(&self) -> Vec<u32> {
        let mut rules: Vec<u32> = self
            .triggers
            .ungated()
            .iter()
            .map(|&(_, rule)| rule)
            .collect();
        rules.sort_unstable();
        rules
    }

    /// How large the plan is.
    pub fn size(&self) -> PlanSize {
        PlanSize {
            rules: self.roots.len(),
            fields: self.fields.len(),
            predicates: self.predicates,
            regexes: self.regexes.len(),
            ungated_rules: self.triggers.ungated().len(),
            needle_bytes: self.matchers.iter().map(Matcher::needle_bytes).sum(),
        }
    }

    /// The tests of keywords.
    pub(crate) fn keyword_tests<'a>(
        &'a self,
        keywords: &'a BTreeSet<PredicateId>,
    ) -> impl Iterator<Item = (PredicateId, &'a ValueTest)> {
        let test = |&keyword: &PredicateId| self.keywords.get(&keyword).map(|test| (keyword, test));
        keywords.iter().filter_map(test)
    }

    /// How many distinct value tests there are.
    pub(crate) fn predicate_count(&self) -> usize {
        self.predicates
    }
}

/// The distinct logsources in the making.
#[derive(Default)]
struct Logsources {
    distinct: FxHashMap<Logsource, (LogsourceId, RuleLogsource)>,
    /// The logsource of each rule.
    of_rules: Vec<LogsourceId>,
}

impl Logsources {
    /// Counts one more rule; what rules of its logsource need to see.
    fn of_next_rule(&mut self, logsource: &Logsource) -> &mut RuleLogsource {
        let next = self.distinct.len() as LogsourceId;
        let (id, reads) = self.distinct.entry(logsource.clone()).or_insert_with(|| {
            let reads = RuleLogsource {
                logsource: logsource.clone(),
                fields: BTreeSet::new(),
                keywords: BTreeSet::new(),
            };
            (next, reads)
        });
        self.of_rules.push(*id);
        reads
    }

    /// The distinct logsources, in the order of their ids.
    fn finish(self) -> Vec<RuleLogsource> {
        let mut distinct: Vec<_> = self.distinct.into_values().collect();
        distinct.sort_unstable_by_key(|&(id, _)| id);
        distinct.into_iter().map(|(_, reads)| reads).collect()
    }
}

fn error(index: usize, rule: &DetectionRule, reason: CompileErrorReason) -> CompileError {
    CompileError {
        rule: index,
        id: rule.header.id.clone(),
        file: rule.header.file.clone(),
        reason,
    }
}

fn distinct_fields(rules: &[Arc<DetectionRule>]) -> Vec<Arc<str>> {
    let mut fields: BTreeSet<Arc<str>> = BTreeSet::new();
    for rule in rules {
        rule.condition.fields(&mut |field| {
            if !fields.contains(field) {
                fields.insert(field.into());
            }
        });
    }
    fields.into_iter().collect()
}

/// A matcher per field, and the keywords.
fn matchers(
    fields: usize,
    predicates: &Predicates,
) -> (Vec<Matcher>, FxHashMap<PredicateId, ValueTest>) {
    let mut by_field: Vec<Vec<(PredicateId, &ValueTest)>> = vec![Vec::new(); fields];
    let mut keywords = FxHashMap::default();
    for ((field, test), predicate) in predicates.value_tests().iter().zip(0..) {
        match by_field.get_mut(*field as usize) {
            Some(tests) => tests.push((predicate, test)),
            None => {
                keywords.insert(predicate, test.clone());
            }
        }
    }
    (by_field.into_iter().map(Matcher::new).collect(), keywords)
}

fn triggers(
    programs: &Programs,
    roots: &[NodeId],
    logsource_of: &[LogsourceId],
    predicates: &Predicates,
) -> Triggers {
    let tests = predicates.value_tests();
    let shares: Vec<f32> = tests
        .iter()
        .map(|(_, test)| rarity::satisfying(test))
        .collect();
    let share = |predicate: u32| shares.get(predicate as usize).copied().unwrap_or(1.0);
    let sets: Vec<Option<Necessary>> = roots
        .iter()
        .map(|&root| necessary(programs, root, &share))
        .collect();
    let rules = sets
        .iter()
        .zip(logsource_of)
        .zip(0..)
        .map(|((set, &logsource), rule)| {
            (
                rule,
                logsource,
                set.as_ref().map(|set| set.predicates.as_slice()),
            )
        });
    Triggers::new(tests.len(), rules)
}
