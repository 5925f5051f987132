//! Correlations made ready: trees of nodes, one for each correlation that alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use haechi_rules::{
    CompareOp, Correlation, CorrelationCondition, CorrelationKind, Emission, Excerpt, Referent,
    RuleHeader, RuleSet, Suppress,
};

use super::early::Foretelling;
use super::group_key;
use super::judge::{Judge, Pace};
use super::quotes::Quotes;
use super::value::{Value, ValueKind};
use crate::batch::RESERVED;
use crate::error::CompileError;
use crate::frame::Fingerprint;
use crate::outcome::Correlated;
use crate::route::{GroupHasher, KeyValue};
use crate::share::Share;

/// Changes when the meaning of the events of an `event_count` in the exchange changes, so that releases do not misread each other.
const COUNT_REVISION: &str = "event_count 1";
/// The same, for everything else.
const REVISION: &str = "correlation 1";

/// One correlation in a tree. Those that alert are roots; the correlations that they refer to are computed anew for each tree, on
/// the exchange partition of the root's group, so that a finding need not travel.
pub(crate) struct Node {
    /// Index into `RuleSet::correlations`; none of them where it only suppresses the alerts of a rule.
    pub(crate) index: usize,
    pub(crate) rule: Arc<Correlation>,
    pub(crate) fingerprint: Fingerprint,
    /// For each of the correlation's rules, by position: the fields whose values are the group.
    pub(crate) fields: Vec<Vec<String>>,
    pub(crate) values: ValueKind,
    /// For each of the correlation's rules, by position: the fields that are looked at.
    pub(crate) value_fields: Vec<Vec<String>>,
    pub(super) judge: Judge,
    /// Where its findings go; none: they are alerts.
    pub(super) parent: Option<Parent>,
    /// By how much its watermark lags behind: what the correlations below it may still find.
    pub(super) delay_ns: i64,
    hasher: GroupHasher,
    /// How many of its first events a finding quotes: as many as the root says.
    pub(crate) quoted: usize,
    /// Its findings are what is left of the alerts of its one rule.
    suppresses: bool,
    /// Which of its group's values are the root's group, in the root's order.
    route: Vec<usize>,
    /// Of one that tells early, an [`Excerpt`] as JSON: what it has told is to be told to its end also by who does not know the rule.
    pub(crate) excerpt: Option<Vec<u8>>,
}

/// The correlation that counts a node's findings.
pub(super) struct Parent {
    /// Its index among the nodes; larger than that of the node itself.
    pub(super) node: usize,
    /// The position of the findings' rule among its rules.
    pub(super) position: u32,
    /// Which of the finding's group are its group's values.
    group: Vec<usize>,
    /// From which of these on they are what is to be new, and so no null.
    terms_from: usize,
    /// Which are the value that it looks at.
    value: Vec<usize>,
    values: ValueKind,
}

/// All correlations that alert, with those that they are made of; these stand before them.
pub(crate) fn compile(rules: &RuleSet, errors: &mut Vec<CompileError>) -> Vec<Arc<Node>> {
    let mut nodes = Vec::new();
    for (index, rule) in rules.correlations.iter().enumerate() {
        if let Some(field) = reserved(rule) {
            errors.push(CompileError {
                rule: Arc::clone(&rule.header.id),
                file: Arc::clone(&rule.header.file),
                span: rule.header.span,
                message: format!(
                    "a correlation cannot group by `{field}`: it is no field of the event"
                ),
                help: None,
            });
        } else if rule.alerts {
            let outermost = match &rule.header.suppress {
                Some(suppress) => {
                    let of = Referent::Correlation(index);
                    suppression(&rule.header, suppress, of, rule.quote)
                }
                None => Arc::clone(rule),
            };
            let mut tree = Tree {
                rules,
                root: &outermost,
                suppresses: rule.header.suppress.is_some(),
                nodes: &mut nodes,
            };
            tree.grow_root(index);
        }
    }
    for (index, rule) in rules.detections.iter().enumerate() {
        if let Some(suppress) = rule.header.suppress.as_ref().filter(|_| rule.alerts) {
            let unusable = |field: &&String| RESERVED.contains(&field.as_str());
            if let Some(field) = suppress.fields.iter().find(unusable) {
                errors.push(CompileError {
                    rule: Arc::clone(&rule.header.id),
                    file: Arc::clone(&rule.header.file),
                    span: rule.header.span,
                    message: format!(
                        "`suppress` cannot go by `{field}`: it is no field of the event"
                    ),
                    help: None,
                });
                continue;
            }
            let root = suppression(&rule.header, suppress, Referent::Detection(index), 0);
            let mut tree = Tree {
                rules,
                root: &root,
                suppresses: true,
                nodes: &mut nodes,
            };
            tree.grow_root(usize::MAX);
        }
    }
    nodes.into_iter().map(Arc::new).collect()
}

/// The suppression of a rule's alerts is a correlation of them: one alert opens a window, and all others in it belong to it.
fn suppression(
    header: &RuleHeader,
    suppress: &Suppress,
    of: Referent,
    quote: u32,
) -> Arc<Correlation> {
    let names = suppress.by.iter().zip(&suppress.fields);
    let renamed = names.filter(|(name, field)| name != field);
    let aliases = renamed.map(|(name, field)| (name.clone(), [(0, field.clone())].into()));
    Arc::new(Correlation {
        header: header.clone(),
        kind: CorrelationKind::EventCount,
        rules: vec![of],
        group_by: suppress.by.clone(),
        timespan_ns: suppress.for_ns,
        condition: CorrelationCondition::Number(vec![(CompareOp::Gte, 1.0)]),
        aliases: match of {
            Referent::Detection(_) => aliases.collect(),
            Referent::Correlation(_) => BTreeMap::new(),
        },
        generate: false,
        emit: Emission::Final,
        quote,
        alerts: true,
    })
}

fn reserved(rule: &Correlation) -> Option<&str> {
    let names = || rule.group_by.iter().chain(rule.kind.fields());
    let fields = (0..rule.rules.len())
        .flat_map(|position| names().map(move |name| rule.field(name, position)));
    fields.into_iter().find(|field| RESERVED.contains(field))
}

struct Tree<'a> {
    rules: &'a RuleSet,
    root: &'a Arc<Correlation>,
    /// The root only suppresses.
    suppresses: bool,
    nodes: &'a mut Vec<Node>,
}

impl Tree<'_> {
    /// Adds the root after all below it. `index` is its own, where it does not only suppress.
    fn grow_root(&mut self, index: usize) {
        let index = if self.suppresses { usize::MAX } else { index };
        let route = (0..self.root.names().count()).collect();
        self.grow(index, Arc::clone(self.root), &mut Vec::new(), route);
    }

    /// Adds a correlation after those below it. `path` are the positions that lead to it from the root. Answers its index and how far
    /// its findings lag behind the watermark.
    fn grow(
        &mut self,
        index: usize,
        rule: Arc<Correlation>,
        path: &mut Vec<usize>,
        route: Vec<usize>,
    ) -> Option<(usize, i64)> {
        let mut delay_ns: i64 = 0;
        let mut children = Vec::new();
        for (position, referent) in rule.rules.iter().enumerate() {
            let Referent::Correlation(below) = referent else {
                continue;
            };
            let inner = self.rules.correlations.get(*below)?;
            let place = |name: &String| {
                let field = rule.field(name, position);
                inner.names().position(|group| group == field)
            };
            let group = rule.names().map(place).collect::<Option<Vec<_>>>()?;
            let value = rule.kind.fields().iter().map(place);
            let value = value.collect::<Option<Vec<_>>>()?;
            let through = |at: &usize| group.get(*at).copied();
            let route = route.iter().map(through).collect::<Option<Vec<_>>>()?;
            path.push(position);
            let (child, lag_ns) = self.grow(*below, Arc::clone(inner), path, route)?;
            path.pop();
            delay_ns = delay_ns.max(lag_ns);
            children.push((child, position, group, value));
        }
        let node = self.nodes.len();
        let values = ValueKind::of(&rule.kind);
        for (child, position, group, value) in children {
            self.nodes.get_mut(child)?.parent = Some(Parent {
                node,
                position: u32::try_from(position).ok()?,
                terms_from: rule.group_by.len(),
                group,
                value,
                values,
            });
        }
        // What is new is known as soon as nothing earlier can come.
        let fresh = matches!(rule.kind, CorrelationKind::NewTerms { .. });
        let lag_ns = delay_ns.saturating_add(if fresh { 1 } else { rule.timespan_ns });
        let of = |names: &[String]| -> Vec<Vec<String>> {
            let positions = 0..rule.rules.len();
            positions
                .map(|position| {
                    let field = |name: &String| rule.field(name, position).to_owned();
                    names.iter().map(field).collect()
                })
                .collect()
        };
        let names: Vec<String> = rule.names().cloned().collect();
        let (fields, value_fields) = (of(&names), of(rule.kind.fields()));
        let fingerprint = self.fingerprint(&rule, path, &fields, &value_fields);
        let is_early = rule.emit == Emission::Early && path.is_empty() && !self.suppresses;
        let excerpt = is_early.then(|| Excerpt::of(self.rules, index)?.to_json());
        self.nodes.push(Node {
            excerpt: excerpt.flatten(),
            index,
            fingerprint,
            hasher: GroupHasher::new(&self.root.header.id),
            judge: Judge::of(&rule),
            parent: None,
            suppresses: self.suppresses && path.is_empty(),
            quoted: self.root.quote as usize,
            fields,
            values,
            value_fields,
            delay_ns,
            route,
            rule,
        });
        Some((node, lag_ns))
    }

    /// Two versions of a rule whose events mean the same have the same fingerprint. A changed title does not matter; a changed
    /// detection does not either, since its events were found by the rule as it was.
    fn fingerprint(
        &self,
        rule: &Correlation,
        path: &[usize],
        fields: &[Vec<String>],
        value_fields: &[Vec<String>],
    ) -> Fingerprint {
        let ids = |referent: &Referent| match referent {
            Referent::Detection(index) => self.rules.detections.get(*index).map(|r| &r.header.id),
            Referent::Correlation(index) => {
                self.rules.correlations.get(*index).map(|r| &r.header.id)
            }
        };
        let ids: Vec<Option<&str>> = rule.rules.iter().map(|r| ids(r).map(|id| &**id)).collect();
        let numbers = |bounds: &[(CompareOp, f64)]| -> Vec<(String, u64)> {
            let number = |(op, number): &(CompareOp, f64)| (format!("{op:?}"), number.to_bits());
            bounds.iter().map(number).collect()
        };
        let chained = rule
            .rules
            .iter()
            .any(|r| matches!(r, Referent::Correlation(_)));
        let meaning = match &rule.condition {
            CorrelationCondition::Number(bounds)
                if rule.kind == CorrelationKind::EventCount && path.is_empty() && !chained =>
            {
                serde_json::json!([
                    COUNT_REVISION,
                    &*rule.header.id,
                    ids,
                    rule.group_by,
                    fields,
                    rule.timespan_ns,
                    numbers(bounds)
                ])
            }
            condition => {
                let condition = match condition {
                    CorrelationCondition::Number(bounds) => serde_json::json!(numbers(bounds)),
                    CorrelationCondition::Rules(rules) => serde_json::json!(format!("{rules:?}")),
                };
                serde_json::json!([
                    REVISION,
                    &*self.root.header.id,
                    self.root.group_by,
                    path,
                    &*rule.header.id,
                    kind(&rule.kind),
                    ids,
                    rule.group_by,
                    fields,
                    value_fields,
                    rule.timespan_ns,
                    condition
                ])
            }
        };
        let mut meaning = meaning.to_string();
        // What was told early has to be told to its end by the same rule.
        if rule.emit == Emission::Early && path.is_empty() {
            meaning.push_str(" early 1");
        }
        if self.suppresses && path.is_empty() {
            meaning.push_str(" suppress 1");
        }
        let digest = blake3::hash(meaning.as_bytes());
        digest.as_bytes().first_chunk().copied().unwrap_or_default()
    }
}

/// How many values are known by name does not change what the events mean, nor what is known already.
fn kind(of: &CorrelationKind) -> String {
    match of {
        CorrelationKind::NewTerms { fields, .. } => format!("NewTerms({fields:?})"),
        of => format!("{of:?}"),
    }
}

impl Node {
    /// The names of a group's values, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.rule.names()
    }

    /// What keeps its first events, where findings quote them.
    pub(super) fn quotes(&self) -> Option<Quotes> {
        (self.quoted > 0).then(|| Quotes::new(self.quoted, self.rule.timespan_ns))
    }

    /// Where values are to be new, how many of them are known by name.
    pub(super) fn remembers(&self) -> Option<u32> {
        match &self.rule.kind {
            CorrelationKind::NewTerms { remember, .. } => Some(*remember),
            _ => None,
        }
    }

    /// Whether an event that several of the rules matched counts once.
    pub(super) fn one_rule_an_event(&self) -> bool {
        !matches!(
            self.rule.kind,
            CorrelationKind::Temporal | CorrelationKind::TemporalOrdered
        )
    }

    /// What is told before a window is decided.
    pub(super) fn foretells(&self) -> Option<Foretelling> {
        if self.parent.is_some() || self.judge.pace == Pace::Fresh {
            return None;
        }
        if self.suppresses {
            let suppress = self.rule.header.suppress.as_ref()?;
            return suppress.at_once.then_some(Foretelling::First);
        }
        (self.rule.emit == Emission::Early).then_some(Foretelling::All)
    }

    /// The rule whose alerts it suppresses.
    pub(crate) fn suppresses(&self) -> Option<Referent> {
        self.rule.rules.first().copied().filter(|_| self.suppresses)
    }

    /// Whether an event that lacks a field of the group is in the group of those that lack it. An alert is not lost for want of a field.
    pub(crate) fn takes_absent(&self) -> bool {
        self.suppresses
    }

    /// Whether a group's value at this place is one that is to be new: an event without it is not looked at, nor is one where it is null.
    pub(crate) fn is_term(&self, at: usize) -> bool {
        at >= self.rule.group_by.len()
    }

    /// The exchange partition of a group.
    pub(crate) fn partition(&self, key: &[u8], partitions: u32) -> u32 {
        let value = KeyValue::of_text;
        if self.parent.is_none() {
            let values = group_key::values(key).map(value);
            return self.hasher.partition(values, partitions);
        }
        let all: Vec<Option<&str>> = group_key::values(key).collect();
        let routed = self.route.iter().map(|at| all.get(*at).copied().flatten());
        self.hasher.partition(routed.map(value), partitions)
    }

    /// Whether a group is in this share of the exchange, if there is one to look at.
    pub(crate) fn is_in(&self, key: &[u8], share: Option<Share>) -> bool {
        share.is_none_or(|share| share.has(|partitions| self.partition(key, partitions)))
    }

    /// The watermark as far as it concerns this node, given that of the partition.
    pub(crate) fn watermark_ns(&self, watermark_ns: i64) -> i64 {
        if watermark_ns == i64::MAX {
            return watermark_ns;
        }
        watermark_ns.saturating_sub(self.delay_ns)
    }

    /// How long before its end a finding's events may be, in nanoseconds.
    pub(crate) fn reach_ns(&self) -> i64 {
        self.delay_ns.saturating_add(self.rule.timespan_ns)
    }

    /// Whether events of the rule at a position come through the exchange.
    pub(crate) fn takes_events_of(&self, position: u32) -> bool {
        matches!(
            self.rule.rules.get(position as usize),
            Some(Referent::Detection(_))
        )
    }
}

impl Parent {
    /// The group that a finding belongs to, and the value that is looked at in it; none when it has none.
    pub(super) fn event_of(&self, finding: &Correlated) -> Option<(Vec<u8>, Value)> {
        let text = |at: &usize| {
            let value = finding.group.get(*at)?;
            value.1.as_deref()
        };
        let mut key = Vec::new();
        for (number, at) in self.group.iter().enumerate() {
            let value = text(at);
            if value.is_none() && number >= self.terms_from {
                return None;
            }
            group_key::push(&mut key, value);
        }
        let value = self.values.read(self.value.iter().map(text))?;
        Some((key, value))
    }
}
