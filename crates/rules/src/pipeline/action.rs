//! A processing item: when it applies, and what it does.

use std::sync::Arc;

use crate::diagnostic::Span;
use crate::pipeline::guard::Guard;
use crate::pipeline::rename::Rename;
use crate::pipeline::test::{ItemTest, NameTest, RuleTest};
use crate::pipeline::values::{Change, Hashes};
use crate::rule::Logsource;
use crate::tree::Tree;
use std::path::Path;

/// One transformation and its conditions.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) id: Option<Arc<str>>,
    pub(super) file: Arc<Path>,
    pub(super) span: Span,
    pub(super) rule: Guard<RuleTest>,
    pub(super) item: Guard<ItemTest>,
    pub(super) name: Guard<NameTest>,
    pub(super) action: Action,
}

/// What a transformation does.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Rename(Rename),
    Change(Change),
    Hashes(Hashes),
    Drop,
    Fill(Fill),
    AddCondition {
        tree: Tree,
        template: bool,
        negated: bool,
    },
    ChangeLogsource(Logsource),
    SetState(String, String),
    SetAttribute(String, String),
    RuleFailure(String),
    ItemFailure(String),
    StrictMapping,
    Nest(Vec<Step>),
    /// The list of fields that a rule wants shown: it changes nothing of what the rule matches.
    Nothing,
}

/// Which placeholders are filled, and with what.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    /// With any text, not with values.
    pub(super) wildcard: bool,
    pub(super) include: Option<Vec<String>>,
    pub(super) exclude: Option<Vec<String>>,
}

impl Fill {
    pub(super) fn handles(&self, name: &str) -> bool {
        let among = |names: &Option<Vec<String>>| {
            names
                .as_ref()
                .map(|names| names.iter().any(|known| known == name))
        };
        among(&self.include).unwrap_or(true) && !among(&self.exclude).unwrap_or(false)
    }
}
