//! What all rules have in common.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::budget::StateBudget;
use crate::correlation::{Correlation, Referent};
use crate::detection::DetectionRule;
use crate::diagnostic::Span;
use crate::rollup::Rollup;
use crate::suppress::Suppress;

/// Everything that loaded, references resolved.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// Detections, in the order of files and of documents in them.
    pub detections: Vec<Arc<DetectionRule>>,
    /// Correlations over `detections`.
    pub correlations: Vec<Arc<Correlation>>,
    /// Rollups.
    pub rollups: Vec<Arc<Rollup>>,
}

impl RuleSet {
    /// Takes out the correlations that `broken` names and those that refer to them, directly or not. Answers the latter. The
    /// rules that they silenced stay silent.
    pub fn remove_correlations(&mut self, broken: impl Fn(&str) -> bool) -> Vec<Arc<Correlation>> {
        let of = |rule: &Arc<Correlation>| broken(&rule.header.id);
        let mut gone: Vec<bool> = self.correlations.iter().map(of).collect();
        let mut dependent = Vec::new();
        loop {
            let more = self.correlations.iter().enumerate().filter(|(index, rule)| {
                let stays = gone.get(*index) == Some(&false);
                let broken = |referent: &Referent| {
                    matches!(referent, Referent::Correlation(inner) if gone.get(*inner) != Some(&false))
                };
                stays && rule.rules.iter().any(broken)
            });
            let more: Vec<usize> = more.map(|(index, _)| index).collect();
            if more.is_empty() {
                break;
            }
            for index in more {
                gone.get_mut(index)
                    .into_iter()
                    .for_each(|gone| *gone = true);
                dependent.extend(self.correlations.get(index).cloned());
            }
        }
        let mut next = 0..;
        let number = |gone: &bool| (!gone).then(|| next.next()).flatten();
        let numbers: Vec<Option<usize>> = gone.iter().map(number).collect();
        let kept = self
            .correlations
            .iter()
            .zip(&gone)
            .filter(|(_, gone)| !**gone);
        let renumbered = kept.map(|(rule, _)| {
            let mut rule = Arc::clone(rule);
            let chained = rule
                .rules
                .iter()
                .any(|r| matches!(r, Referent::Correlation(_)));
            if chained {
                for referent in &mut Arc::make_mut(&mut rule).rules {
                    if let Referent::Correlation(inner) = referent
                        && let Some(Some(number)) = numbers.get(*inner)
                    {
                        *inner = *number;
                    }
                }
            }
            rule
        });
        self.correlations = renumbered.collect();
        dependent
    }
}

/// What a rule says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleHeader {
    /// The rule's id, unique in a [`RuleSet`]. A rule without one gets a stable UUID-shaped hash of its content.
    pub id: Arc<str>,
    /// Short name that other rules may refer to.
    pub name: Option<String>,
    /// One line for people.
    pub title: String,
    /// What it finds and why that matters.
    pub description: Option<String>,
    /// How bad a match is; [`Level::Medium`] when the rule does not say.
    pub level: Level,
    /// How mature the rule is: `stable`, `test`, `experimental`, `deprecated`, `unsupported`.
    pub status: Option<String>,
    /// Tags such as `attack.t1059.001`.
    pub tags: Vec<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// What else may look like this.
    pub falsepositives: Vec<String>,
    /// Which of its alerts are only counted; none: all of them are sent.
    pub suppress: Option<Suppress>,
    /// How much it may keep of what is not decided yet.
    pub state: StateBudget,
    /// The file, as it was named to [`crate::load()`].
    #[serde(serialize_with = "lossy")]
    pub file: Arc<Path>,
    /// Where the rule's title stands in the file.
    pub span: Span,
}

/// A path that is no text is written as near to it as text can be: it is there for people.
fn lossy<S: Serializer>(path: &Arc<Path>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

/// How bad a match is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Level {
    /// For context only.
    Informational,
    /// Rarely worth a look by itself.
    Low,
    /// Worth a look when there is time.
    #[default]
    Medium,
    /// Worth a look now.
    High,
    /// An incident.
    Critical,
}

impl Level {
    /// All levels, mildest first.
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// The level as Sigma writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which events a rule looks at, or what an event is. Lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Logsource {
    /// Such as `windows`, `linux`, `aws`.
    pub product: Option<String>,
    /// Such as `process_creation`, `webserver`.
    pub category: Option<String>,
    /// Such as `security`, `sshd`, `cloudtrail`.
    pub service: Option<String>,
}

impl Logsource {
    /// Whether a rule with this logsource looks at such an event: each key that the rule gives equals the event's. A rule that
    /// gives no key looks at every event.
    pub fn covers(&self, event: &Self) -> bool {
        fn agrees(wanted: Option<&String>, given: Option<&String>) -> bool {
            wanted.is_none() || wanted == given
        }
        agrees(self.product.as_ref(), event.product.as_ref())
            && agrees(self.category.as_ref(), event.category.as_ref())
            && agrees(self.service.as_ref(), event.service.as_ref())
    }
}

impl fmt::Display for Logsource {
    /// The keys given, as `product/category/service` without the missing ones; `any` when there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = [&self.product, &self.category, &self.service];
        let given: Vec<&str> = keys.into_iter().flatten().map(String::as_str).collect();
        if given.is_empty() {
            f.write_str("any")
        } else {
            f.write_str(&given.join("/"))
        }
    }
}
