//! A correlation apart from its rule set, to be kept longer than that.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::correlation::{Correlation, Referent};
use crate::detection::{DetectionRule, Expr};
use crate::rule::{Logsource, RuleHeader, RuleSet};

/// The longest JSON, in bytes: a quarter of what brokers take in one message unless they are told otherwise. It is some five hundred detections.
const LONGEST: usize = 256 << 10;

/// A correlation and all that it refers to, as far as its findings need it: of detections what they say about themselves, not
/// what they look for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Excerpt {
    detections: Vec<Named>,
    /// Each behind those that it refers to; the last one is the one.
    correlations: Vec<Correlation>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Named {
    header: RuleHeader,
    alerts: bool,
}

impl Excerpt {
    /// The correlation at this index of a rule set; none when there is none, or it refers to what is not there.
    pub fn of(rules: &RuleSet, correlation: usize) -> Option<Self> {
        let mut cutter = Cutter {
            rules,
            detections: HashMap::new(),
            correlations: HashMap::new(),
            excerpt: Self {
                detections: Vec::new(),
                correlations: Vec::new(),
            },
        };
        cutter.correlation(correlation)?;
        Some(cutter.excerpt)
    }

    /// As JSON; none where that would be too long, or too deep to be read again.
    pub fn to_json(&self) -> Option<Vec<u8>> {
        let json = serde_json::to_vec(self).ok()?;
        (json.len() <= LONGEST && Self::from_json(&json).is_ok()).then_some(json)
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let excerpt: Self = serde_json::from_slice(json)?;
        if excerpt.is_sound() {
            return Ok(excerpt);
        }
        let reason = "a correlation that refers to what does not stand before it";
        Err(serde::de::Error::custom(reason))
    }

    /// Adds it to a rule set, where its detections match nothing.
    pub fn add_to(self, rules: &mut RuleSet) {
        let (detections, correlations) = (rules.detections.len(), rules.correlations.len());
        let detection = |Named { header, alerts }| DetectionRule {
            header,
            logsource: Logsource::default(),
            condition: Expr::Const(false),
            alerts,
        };
        let own = self.detections.into_iter().map(detection);
        rules.detections.extend(own.map(Arc::new));
        for mut rule in self.correlations {
            for referent in &mut rule.rules {
                *referent = match *referent {
                    Referent::Detection(at) => Referent::Detection(at + detections),
                    Referent::Correlation(at) => Referent::Correlation(at + correlations),
                };
            }
            rules.correlations.push(Arc::new(rule));
        }
    }

    fn is_sound(&self) -> bool {
        let sound = |(at, rule): (usize, &Correlation)| {
            rule.rules.iter().all(|referent| match referent {
                Referent::Detection(index) => *index < self.detections.len(),
                Referent::Correlation(index) => *index < at,
            })
        };
        !self.correlations.is_empty() && self.correlations.iter().enumerate().all(sound)
    }
}

/// Copies rules, each once, and numbers them anew.
struct Cutter<'a> {
    rules: &'a RuleSet,
    detections: HashMap<usize, usize>,
    correlations: HashMap<usize, usize>,
    excerpt: Excerpt,
}

impl Cutter<'_> {
    fn correlation(&mut self, index: usize) -> Option<usize> {
        if let Some(known) = self.correlations.get(&index) {
            return Some(*known);
        }
        let mut rule = (**self.rules.correlations.get(index)?).clone();
        for referent in &mut rule.rules {
            *referent = match *referent {
                Referent::Detection(at) => Referent::Detection(self.detection(at)?),
                Referent::Correlation(at) => Referent::Correlation(self.correlation(at)?),
            };
        }
        let place = self.excerpt.correlations.len();
        self.excerpt.correlations.push(rule);
        self.correlations.insert(index, place);
        Some(place)
    }

    fn detection(&mut self, index: usize) -> Option<usize> {
        if let Some(known) = self.detections.get(&index) {
            return Some(*known);
        }
        let rule = self.rules.detections.get(index)?;
        let place = self.excerpt.detections.len();
        self.excerpt.detections.push(Named {
            header: brief(&rule.header),
            alerts: rule.alerts,
        });
        self.detections.insert(index, place);
        Some(place)
    }
}

/// What is told of a rule by whose match a finding came to be.
fn brief(header: &RuleHeader) -> RuleHeader {
    RuleHeader {
        description: None,
        author: None,
        references: Vec::new(),
        falsepositives: Vec::new(),
        ..header.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::load_str;

    const RULES: &str = "\
title: Never asked for
id: 8f1c0a52-6c1b-4a10-9e53-2f6f0f6b1a01
logsource: {product: windows}
detection: {s: {A: b}, condition: s}
---
title: Failed logon
name: failed
tags: [attack.t1110]
logsource: {product: windows}
detection: {s: {EventID: 4625}, condition: s}
---
title: Many
name: many
correlation:
  type: value_sum
  rules: [failed]
  group-by: [host]
  timespan: 10m
  condition: {field: bytes, gte: 0.30000000000000004}
---
title: Then
correlation:
  type: temporal_ordered
  rules: [many, failed]
  group-by: [host]
  timespan: 1h
  aliases: {host: {failed: Computer}}
";

    #[test]
    fn it_comes_back_from_json_as_it_was_and_stands_alone() {
        let loaded = load_str(Path::new("rules.yml"), RULES);
        assert_eq!(
            loaded.rules.correlations.len(),
            2,
            "{:?}",
            loaded.diagnostics
        );
        let rules = loaded.rules;
        let excerpt = Excerpt::of(&rules, 1).unwrap();
        let read = Excerpt::from_json(&excerpt.to_json().unwrap()).unwrap();
        assert_eq!(read, excerpt);
        // Behind others, so that all numbers are new.
        let mut joined = RuleSet::default();
        Excerpt::of(&rules, 0).unwrap().add_to(&mut joined);
        read.add_to(&mut joined);
        let titles = |rule: &Arc<Correlation>| rule.header.title.clone();
        let all: Vec<_> = joined.correlations.iter().map(titles).collect();
        assert_eq!(all, ["Many", "Many", "Then"]);
        assert_eq!(joined.detections.len(), 2, "the first rule is not needed");
        let then = &joined.correlations[2];
        assert_eq!(
            then.rules,
            [Referent::Correlation(1), Referent::Detection(1)]
        );
        assert_eq!(
            joined.correlations[1].condition,
            rules.correlations[0].condition
        );
        assert_eq!(joined.detections[1].header, rules.detections[1].header);
        assert_eq!(
            joined.detections[1].header.tags,
            ["attack.t1110"],
            "what alerts show"
        );
        assert_eq!(then.field("host", 1), "Computer");
        assert_eq!(Excerpt::of(&rules, 2), None);
    }

    #[test]
    fn one_that_goes_round_in_a_circle_or_into_the_void_is_refused() {
        let rules = load_str(Path::new("rules.yml"), RULES).rules;
        let json = Excerpt::of(&rules, 1).unwrap().to_json().unwrap();
        let json = String::from_utf8(json).unwrap();
        for (from, to) in [
            (r#"{"Correlation":0}"#, r#"{"Correlation":1}"#),
            (r#"{"Detection":0}"#, r#"{"Detection":7}"#),
        ] {
            assert!(json.contains(from), "{json}");
            let error = Excerpt::from_json(json.replace(from, to).as_bytes()).unwrap_err();
            assert!(
                error.to_string().contains("does not stand before"),
                "{error}"
            );
        }
        assert!(Excerpt::from_json(br#"{"detections":[],"correlations":[]}"#).is_err());
    }
}
