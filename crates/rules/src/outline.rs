//! A detection between the file and the matcher: its selections, and its condition over them by number.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codes;
use crate::detection::{DetectionRule, Expr};
use crate::diagnostic::Diagnostic;
use crate::rule::{Logsource, RuleHeader};
use crate::tree::{Tree, Unfilled};

/// Selections and the condition over them.
#[derive(Debug, Clone)]
pub(crate) struct Outline {
    pub(crate) selections: Vec<Tree>,
    pub(crate) shape: Shape,
}

/// A condition; selections by their index.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    And(Vec<Shape>),
    Or(Vec<Shape>),
    Not(Box<Shape>),
    AtLeast(usize, Vec<Shape>),
    Selection(usize),
    /// A broken selection, or one of which pipelines have left nothing.
    Nothing,
}

/// A detection rule that filters and pipelines can still change.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) header: RuleHeader,
    pub(crate) logsource: Logsource,
    pub(crate) outline: Outline,
    /// What else the rule says about itself, by key, and what pipelines have said.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Shape {
    /// The expression, leaving out what there is nothing of.
    fn lower(&self, selections: &[Option<Expr>]) -> Option<Expr> {
        let lowered = |parts: &[Self]| -> Option<Vec<Expr>> {
            let parts: Vec<Expr> = parts
                .iter()
                .filter_map(|part| part.lower(selections))
                .collect();
            (!parts.is_empty()).then_some(parts)
        };
        match self {
            Self::And(parts) => lowered(parts).map(Expr::all),
            Self::Or(parts) => lowered(parts).map(Expr::any),
            Self::Not(inner) => Some(Expr::Not(Box::new(inner.lower(selections)?))),
            Self::AtLeast(wanted, parts) => {
                let parts = lowered(parts)?;
                Some(if *wanted >= parts.len() {
                    Expr::all(parts)
                } else {
                    Expr::AtLeast(*wanted, parts)
                })
            }
            Self::Selection(index) => selections.get(*index).cloned().flatten(),
            Self::Nothing => None,
        }
    }

    /// The same condition over selections that begin `by` later.
    fn shifted(self, by: usize) -> Self {
        let all = |parts: Vec<Self>| parts.into_iter().map(|part| part.shifted(by)).collect();
        match self {
            Self::And(parts) => Self::And(all(parts)),
            Self::Or(parts) => Self::Or(all(parts)),
            Self::Not(inner) => Self::Not(Box::new(inner.shifted(by))),
            Self::AtLeast(wanted, parts) => Self::AtLeast(wanted, all(parts)),
            Self::Selection(index) => Self::Selection(index + by),
            Self::Nothing => Self::Nothing,
        }
    }
}

impl Outline {
    /// Adds another condition, which must hold too.
    pub(crate) fn require(&mut self, other: Self) {
        let by = self.selections.len();
        self.selections.extend(other.selections);
        let own = std::mem::replace(&mut self.shape, Shape::Nothing);
        self.shape = Shape::And(vec![own, other.shape.shifted(by)]);
    }

    fn lower(&self, unfilled: &mut Vec<Unfilled>) -> Option<Expr> {
        let selections: Vec<Option<Expr>> = self
            .selections
            .iter()
            .map(|tree| tree.lower(unfilled))
            .collect();
        self.shape.lower(&selections)
    }
}

impl Draft {
    /// The rule, or what is wrong with it.
    pub(crate) fn finish(self) -> Result<DetectionRule, Vec<Diagnostic>> {
        let mut unfilled = Vec::new();
        let condition = self.outline.lower(&mut unfilled);
        if !unfilled.is_empty() {
            let complain = |unfilled: Unfilled| {
                let message = format!("nothing fills the placeholder `%{}%`", unfilled.name);
                let help = format!(
                    "give its values in a placeholder file (`--placeholders FILE` with `{}: [value, …]`), or in the `vars` of a pipeline with `value_placeholders`",
                    unfilled.name
                );
                let file = Arc::clone(&self.header.file);
                Diagnostic {
                    help: Some(help),
                    ..Diagnostic::new(&codes::PLACEHOLDER, file, unfilled.span, message)
                }
            };
            return Err(unfilled.into_iter().map(complain).collect());
        }
        let Some(condition) = condition else {
            let message = "the processing pipelines leave nothing of this rule's conditions";
            let file = Arc::clone(&self.header.file);
            return Err(vec![Diagnostic::new(
                &codes::REFUSED_BY_PIPELINE,
                file,
                self.header.span,
                message,
            )]);
        };
        Ok(DetectionRule {
            header: self.header,
            logsource: self.logsource,
            condition,
            alerts: true,
        })
    }
}
