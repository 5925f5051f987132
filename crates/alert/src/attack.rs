//! MITRE ATT&CK (<https://attack.mitre.org>), as far as tags of Sigma rules speak of it.

use serde::Serialize;

/// Tactics of the enterprise matrix: the tag without `attack.`, id and name.
///
/// Version 19 gave TA0005 to Stealth and made TA0112 of the rest of what used to be Defense Evasion. Rules written
/// before that still say `defense-evasion`: they keep the name that they had, with the id that it had.
const TACTICS: [(&str, &str, &str); 16] = [
    ("reconnaissance", "TA0043", "Reconnaissance"),
    ("resource-development", "TA0042", "Resource Development"),
    ("initial-access", "TA0001", "Initial Access"),
    ("execution", "TA0002", "Execution"),
    ("persistence", "TA0003", "Persistence"),
    ("privilege-escalation", "TA0004", "Privilege Escalation"),
    ("stealth", "TA0005", "Stealth"),
    ("defense-evasion", "TA0005", "Defense Evasion"),
    ("defense-impairment", "TA0112", "Defense Impairment"),
    ("credential-access", "TA0006", "Credential Access"),
    ("discovery", "TA0007", "Discovery"),
    ("lateral-movement", "TA0008", "Lateral Movement"),
    ("collection", "TA0009", "Collection"),
    ("command-and-control", "TA0011", "Command and Control"),
    ("exfiltration", "TA0010", "Exfiltration"),
    ("impact", "TA0040", "Impact"),
];

/// OCSF's `attack` object: at least one of the three is there.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Attack {
    #[serde(skip_serializing_if = "Option::is_none")]
    tactic: Option<Tactic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    technique: Option<Technique>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_technique: Option<Technique>,
}

#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
struct Tactic {
    name: &'static str,
    uid: &'static str,
}

/// By id alone: a tag does not carry the name.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Technique {
    uid: String,
}

/// What the tags say, in their order. Where there is one tactic, the techniques are attributed to it; where there are
/// several, tags do not say which technique serves which, so tactics and techniques stand side by side.
pub(crate) fn attacks(tags: &[String]) -> Vec<Attack> {
    let named: Vec<String> = tags
        .iter()
        .filter_map(|tag| {
            tag.to_ascii_lowercase()
                .strip_prefix("attack.")
                .map(|name| name.replace('_', "-"))
        })
        .collect();
    let tactics: Vec<Tactic> = named.iter().filter_map(|name| tactic(name)).collect();
    let techniques: Vec<&str> = named
        .iter()
        .map(String::as_str)
        .filter(|name| is_technique(name))
        .collect();
    match (tactics.as_slice(), techniques.as_slice()) {
        (&[tactic], [_, ..]) => techniques
            .iter()
            .map(|technique| attack(technique, Some(tactic)))
            .collect(),
        _ => {
            let alone = |tactic: &Tactic| Attack {
                tactic: Some(*tactic),
                technique: None,
                sub_technique: None,
            };
            let by_technique = techniques.iter().map(|technique| attack(technique, None));
            tactics.iter().map(alone).chain(by_technique).collect()
        }
    }
}

fn tactic(name: &str) -> Option<Tactic> {
    let known =
        |&&(tag, uid, _): &&(&str, &str, &str)| tag == name || uid.eq_ignore_ascii_case(name);
    TACTICS
        .iter()
        .find(known)
        .map(|&(_, uid, name)| Tactic { name, uid })
}

/// `t` and four digits; of a sub-technique, a dot and three more.
fn is_technique(name: &str) -> bool {
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    name.strip_prefix('t')
        .is_some_and(|number| match number.split_once('.') {
            None => digits(number, 4),
            Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        })
}

fn attack(technique: &str, tactic: Option<Tactic>) -> Attack {
    let uid = technique.to_ascii_uppercase();
    let parent = uid.split('.').next().unwrap_or_default().to_owned();
    let sub_technique = uid.contains('.').then_some(Technique { uid });
    Attack {
        tactic,
        technique: Some(Technique { uid: parent }),
        sub_technique,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(tags: &[&str]) -> Value {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        serde_json::to_value(attacks(&tags)).unwrap()
    }

    #[test]
    fn one_tactic_owns_the_techniques() {
        let execution = json!({"name": "Execution", "uid": "TA0002"});
        assert_eq!(
            of(&["attack.execution", "attack.t1059.001", "attack.T1204"]),
            json!([
                {"tactic": execution, "technique": {"uid": "T1059"}, "sub_technique": {"uid": "T1059.001"}},
                {"tactic": execution, "technique": {"uid": "T1204"}},
            ])
        );
    }

    #[test]
    fn several_tactics_stand_beside_the_techniques() {
        assert_eq!(
            of(&[
                "attack.persistence",
                "attack.privilege_escalation",
                "attack.t1053.005"
            ]),
            json!([
                {"tactic": {"name": "Persistence", "uid": "TA0003"}},
                {"tactic": {"name": "Privilege Escalation", "uid": "TA0004"}},
                {"technique": {"uid": "T1053"}, "sub_technique": {"uid": "T1053.005"}},
            ])
        );
    }

    #[test]
    fn tactics_before_and_after_version_19() {
        assert_eq!(
            of(&["attack.stealth"]),
            json!([{"tactic": {"name": "Stealth", "uid": "TA0005"}}])
        );
        assert_eq!(
            of(&["attack.defense-evasion"]),
            json!([{"tactic": {"name": "Defense Evasion", "uid": "TA0005"}}])
        );
        let impairment = json!([{"tactic": {"name": "Defense Impairment", "uid": "TA0112"}}]);
        assert_eq!(of(&["attack.defense-impairment"]), impairment);
        assert_eq!(of(&["attack.ta0112"]), impairment);
    }

    #[test]
    fn other_tags_are_left_alone() {
        assert_eq!(
            of(&[
                "attack.g0007",
                "attack.s0002",
                "attack.t105",
                "attack.t1059.01",
                "car.2013-07-001",
                "cve.2021-44228"
            ]),
            json!([])
        );
    }
}
