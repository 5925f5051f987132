//! All rules as one plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use haechi_rules::{DetectionRule, Logsource};
use regex::Regex;
use rustc_hash::FxHashMap;

use crate::error::{CompileError, CompileErrorReason};
use crate::lower::Lowering;
use crate::matcher::Matcher;
use crate::necessary::{Necessary, necessary};
use crate::predicate::{FieldId, Predicates, RowTest, ValueTest};
use crate::program::{NodeId, Programs};
use crate::rarity;
use crate::triggers::{LogsourceId, Triggers};

/// Detection rules, compiled together. Immutable; workers share one.
#[derive(Debug)]
pub struct Plan {
    fields: Vec<Arc<str>>,
    /// Per field, and one more for keywords.
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) row_tests: Vec<RowTest>,
    pub(crate) regexes: Vec<Regex>,
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
    /// The fields whose value tests the rules use, ascending; the last one may be that of keywords.
    pub(crate) fields: Vec<FieldId>,
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
    /// Regular expressions.
    pub regexes: usize,
    /// Rules that must be looked at for every event that their logsource covers.
    pub ungated_rules: usize,
    /// Bytes taken by the automata.
    pub automaton_bytes: usize,
}

impl Plan {
    /// Compiles rules. A rule's index in `rules` is what [`crate::Hit::rule`] says.
    ///
    /// # Errors
    /// When a rule does not fit (see [`CompileErrorReason`]); leave it out and compile again.
    pub fn compile(rules: &[Arc<DetectionRule>]) -> Result<Self, CompileError> {
        let fields = distinct_fields(rules);
        let field_ids: FxHashMap<Arc<str>, FieldId> = fields.iter().cloned().zip(0..).collect();
        let any_value = fields.len() as FieldId;
        let mut predicates = Predicates::default();
        let mut programs = Programs::default();
        let mut roots = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let mut lowering = Lowering {
                fields: &field_ids,
                any_value,
                predicates: &mut predicates,
            };
            let tree = lowering
                .lower(&rule.condition)
                .map_err(|reason| error(index, rule, reason))?;
            roots.push(programs.add(&tree));
        }
        let matchers = matchers(&fields, &predicates).map_err(|(field, reason)| {
            // No single rule is to blame; name the last one that adds to the field.
            let uses = |rule: &Arc<DetectionRule>| {
                let mut uses = rule.condition.has_keywords() && field == any_value;
                rule.condition
                    .fields(&mut |name| uses |= field_ids.get(name) == Some(&field));
                uses
            };
            let index = rules.iter().rposition(uses).unwrap_or(0);
            rules.get(index).map(|rule| error(index, rule, reason))
        });
        let matchers = match matchers {
            Ok(matchers) => matchers,
            Err(Some(error)) => return Err(error),
            Err(None) => Vec::new(),
        };
        let (logsources, logsource_of) = logsources(rules, &field_ids, any_value);
        let triggers = triggers(&programs, &roots, &logsource_of, &predicates);
        let count = predicates.value_tests().len();
        let (row_tests, regexes) = predicates.into_rows_and_regexes();
        Ok(Self {
            fields,
            matchers,
            row_tests,
            regexes,
            programs,
            roots,
            triggers,
            logsources,
            predicates: count,
        })
    }

    /// The distinct fields that the rules read, sorted. A batch must have a column for each.
    pub fn fields(&self) -> &[Arc<str>] {
        &self.fields
    }

    /// Whether a rule with keywords looks at events of this class, so that their rows must carry all values. A class is the set of
    /// logsources of an event.
    pub fn wants_values(&self, class: &[Logsource]) -> bool {
        let any_value = self.any_value();
        self.logsources.iter().any(|rule| {
            rule.fields.last() == Some(&any_value)
                && class.iter().any(|event| rule.logsource.covers(event))
        })
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
            automaton_bytes: self.matchers.iter().map(Matcher::automaton_bytes).sum(),
        }
    }

    /// The pseudo-field of keywords.
    pub(crate) fn any_value(&self) -> FieldId {
        self.fields.len() as FieldId
    }

    /// How many distinct value tests there are.
    pub(crate) fn predicate_count(&self) -> usize {
        self.predicates
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

/// A matcher per field, and one for keywords.
fn matchers(
    fields: &[Arc<str>],
    predicates: &Predicates,
) -> Result<Vec<Matcher>, (FieldId, CompileErrorReason)> {
    let mut by_field: Vec<Vec<(u32, &ValueTest)>> = vec![Vec::new(); fields.len() + 1];
    for ((field, test), predicate) in predicates.value_tests().iter().zip(0..) {
        if let Some(tests) = by_field.get_mut(*field as usize) {
            tests.push((predicate, test));
        }
    }
    let build = |(tests, field): (Vec<(u32, &ValueTest)>, FieldId)| {
        Matcher::new(tests).map_err(|source| {
            let name = fields
                .get(field as usize)
                .cloned()
                .unwrap_or_else(|| "any (keywords)".into());
            (
                field,
                CompileErrorReason::TooManyTexts {
                    field: name,
                    source,
                },
            )
        })
    };
    by_field.into_iter().zip(0..).map(build).collect()
}

/// The distinct logsources, and which one each rule has.
fn logsources(
    rules: &[Arc<DetectionRule>],
    field_ids: &FxHashMap<Arc<str>, FieldId>,
    any_value: FieldId,
) -> (Vec<RuleLogsource>, Vec<LogsourceId>) {
    let mut ids: FxHashMap<&Logsource, LogsourceId> = FxHashMap::default();
    let mut fields: Vec<BTreeSet<FieldId>> = Vec::new();
    let mut of_rules = Vec::with_capacity(rules.len());
    for rule in rules {
        let id = *ids
            .entry(&rule.logsource)
            .or_insert(fields.len() as LogsourceId);
        if id as usize == fields.len() {
            fields.push(BTreeSet::new());
        }
        if let Some(fields) = fields.get_mut(id as usize) {
            rule.condition
                .fields(&mut |name| fields.extend(field_ids.get(name)));
            fields.extend(rule.condition.has_keywords().then_some(any_value));
        }
        of_rules.push(id);
    }
    let mut distinct: Vec<(&Logsource, LogsourceId)> = ids.into_iter().collect();
    distinct.sort_unstable_by_key(|&(_, id)| id);
    let with_fields = distinct
        .into_iter()
        .zip(fields)
        .map(|((logsource, _), fields)| RuleLogsource {
            logsource: logsource.clone(),
            fields: fields.into_iter().collect(),
        });
    (with_fields.collect(), of_rules)
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
