//! What only shows when all rules are there.

use std::sync::Arc;

use crate::codes;
use crate::detection::{DetectionRule, Expr, Test};
use crate::diagnostic::Diagnostic;
use crate::rule::RuleSet;

/// Warnings about rules that are sound by themselves, in the order of the rules. ([`crate::load()`] gives those about single rules.)
///
/// Twins: detections with the same logsource and condition, which match together and so alert twice for one thing.
pub fn lint(rules: &RuleSet) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut order: Vec<usize> = (0..rules.detections.len()).collect();
    let key = |rule: &DetectionRule| (rule.logsource.clone(), weight(&rule.condition));
    let keys: Vec<_> = rules.detections.iter().map(|rule| key(rule)).collect();
    order.sort_by_key(|index| keys.get(*index));
    let same = |a: &usize, b: &usize| keys.get(*a) == keys.get(*b);
    for alike in order.chunk_by(same) {
        // Sorting is stable: the earlier rule of a pair stands before the later.
        for (nth, later) in alike
            .iter()
            .enumerate()
            .filter_map(|(nth, index)| Some((nth, rules.detections.get(*index)?)))
        {
            let earlier = alike
                .iter()
                .take(nth)
                .filter_map(|index| rules.detections.get(*index));
            if let Some(twin) = earlier
                .into_iter()
                .find(|rule| rule.condition == later.condition)
            {
                found.push((later, twin));
            }
        }
    }
    let mut diagnostics: Vec<Diagnostic> = found
        .into_iter()
        .map(|(later, twin)| describe(later, twin))
        .collect();
    diagnostics.sort_by(|a, b| (&a.file, a.span).cmp(&(&b.file, b.span)));
    diagnostics
}

fn describe(later: &DetectionRule, twin: &DetectionRule) -> Diagnostic {
    let message = format!(
        "this detects the same as `{}` ({})",
        twin.header.title,
        twin.header.file.display()
    );
    Diagnostic::new(
        &codes::TWIN,
        Arc::clone(&later.header.file),
        later.header.span,
        message,
    )
}

/// A cheap number that equal conditions share: how large they are, and how long their texts.
fn weight(expr: &Expr) -> (usize, usize) {
    let mut letters = 0;
    let mut fields = |name: &str| letters += name.len();
    expr.fields(&mut fields);
    (expr.size(), letters + texts(expr))
}

fn texts(expr: &Expr) -> usize {
    match expr {
        Expr::And(parts) | Expr::Or(parts) | Expr::AtLeast(_, parts) => {
            parts.iter().map(texts).sum()
        }
        Expr::Not(inner) => texts(inner),
        Expr::Keyword(text) => text.pattern.to_string().len(),
        Expr::Field(test) => match &test.test {
            Test::Text(text) => text.pattern.to_string().len(),
            Test::Regex(pattern) => pattern.len(),
            _ => 0,
        },
        Expr::Const(_) => 0,
    }
}
