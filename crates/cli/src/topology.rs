//! Which topics a configuration needs, and how they should be laid out. Pure: what exists is passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use haechi_engine::TopicFilter;

use crate::config::Config;

/// The exchange is kept at least so long: a night without workers must not cost open windows.
const LEAST_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Windows close by event time, which can pass more slowly than the clock while a backlog is worked off.
const RETENTION_FACTOR: u32 = 3;
/// Size of the files in which a broker keeps snapshots.
const SNAPSHOT_SEGMENT_BYTES: usize = 64 << 20;
/// Largest message in the dead-letter topic: the original bytes of a bad record must fit.
const DEAD_LETTER_BYTES: usize = 32 << 20;
/// A snapshot is not older than so many of its intervals; see `haechi_engine`'s snapshots. What it stands on must be there for longer.
const OLDEST_SNAPSHOT_IN_INTERVALS: u32 = 60;
/// Output topics get at least so many partitions: few cores today are more tomorrow.
const LEAST_PARTITIONS: i32 = 2;

/// A topic that has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// What it is for, in a few words.
    pub(crate) role: &'static str,
    pub(crate) partitions: i32,
    /// Settings that differ from the broker's, each with its reason in [`wanted`].
    pub(crate) settings: BTreeMap<&'static str, String>,
}

/// What there is to say about a configuration and a broker's topics.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) missing: Vec<Wanted>,
    pub(crate) present: Vec<(Wanted, i32)>,
    /// Inputs that name a topic which does not exist. haechi does not create these: their producers do.
    pub(crate) missing_inputs: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// The topics that `config` needs haechi to own. `longest_span` is the longest window of its rules; `None` when no
/// rule aggregates, and then there is no exchange.
pub(crate) fn wanted(config: &Config, longest_span: Option<Duration>, cores: u32) -> Vec<Wanted> {
    let cores = i32::try_from(cores)
        .unwrap_or(i32::MAX)
        .max(LEAST_PARTITIONS);
    let plain = |name: &str, role: &'static str| Wanted {
        name: name.to_owned(),
        role,
        partitions: cores,
        settings: BTreeMap::new(),
    };
    let outputs = &config.outputs;
    let mut dead_letters = plain(&outputs.dead_letters, "records that cannot be decoded");
    // The original bytes must fit, whatever the size of the bad record.
    dead_letters
        .settings
        .insert("max.message.bytes", DEAD_LETTER_BYTES.to_string());
    let mut topics = vec![
        plain(&outputs.alerts, "alerts"),
        plain(&outputs.rollups, "rollup rows"),
        dead_letters,
        plain(&outputs.late, "what came after its window had closed"),
    ];
    if let Some(span) = longest_span {
        let partitions = config.exchange_partitions.map_or(cores, |partitions| {
            i32::try_from(partitions).unwrap_or(i32::MAX)
        });
        let lateness = config
            .inputs
            .iter()
            .map(|input| input.lateness)
            .max()
            .unwrap_or_default();
        let retention = span
            .saturating_add(lateness)
            .saturating_mul(RETENTION_FACTOR)
            .max(LEAST_RETENTION);
        let settings = BTreeMap::from([
            // State is rebuilt from it, so it has to reach back to the beginning of every open window.
            (
                "retention.ms",
                retention.as_millis().min(i64::MAX as u128).to_string(),
            ),
            ("cleanup.policy", "delete".to_owned()),
        ]);
        topics.push(Wanted {
            name: config.exchange_topic(),
            role: "between the two stages, internal",
            partitions,
            settings,
        });
        if !config.snapshots_interval.is_zero() {
            topics.push(Wanted {
                name: config.snapshots_topic.clone(),
                role: "the state of open windows, internal",
                partitions,
                settings: BTreeMap::from([
                    // Only the last snapshot of a partition is ever read.
                    ("cleanup.policy", "compact".to_owned()),
                    // A segment that is written to is not compacted: with large ones a restart reads much that is old.
                    ("segment.bytes", SNAPSHOT_SEGMENT_BYTES.to_string()),
                    ("min.cleanable.dirty.ratio", "0.2".to_owned()),
                ]),
            });
        }
    }
    topics
}

/// Compares what is wanted with what exists (`topic → partitions`).
pub(crate) fn plan(
    config: &Config,
    wanted: Vec<Wanted>,
    existing: &BTreeMap<String, i32>,
    workers: usize,
) -> Plan {
    let mut plan = Plan::default();
    for mut topic in wanted {
        if topic.name == config.snapshots_topic
            && let Some(&partitions) = existing.get(&config.exchange_topic())
        {
            topic.partitions = partitions;
        }
        match existing.get(&topic.name) {
            None => plan.missing.push(topic),
            Some(&partitions) => {
                if config.exchange_partitions.is_some()
                    && topic.name == config.exchange_topic()
                    && partitions != topic.partitions
                {
                    plan.warnings.push(format!(
                        "topic `{}` has {partitions} partitions, the configuration says {}: the topic's count counts; changing it needs a new `app`",
                        topic.name, topic.partitions
                    ));
                }
                if topic.name == config.snapshots_topic && partitions < topic.partitions {
                    plan.warnings.push(format!(
                        "topic `{}` has {partitions} partitions, the exchange has {}: delete it, and create it again with `haechi topics apply`",
                        topic.name, topic.partitions
                    ));
                }
                plan.present.push((topic, partitions));
            }
        }
    }
    let inputs = input_topics(config, existing, &mut plan);
    let partitions: i32 = inputs.iter().filter_map(|topic| existing.get(*topic)).sum();
    let workers = i32::try_from(workers).unwrap_or(i32::MAX);
    if !inputs.is_empty() && partitions < workers {
        plan.warnings.push(format!(
            "{workers} workers, but the inputs have {partitions} partition(s): {} worker(s) will only do windows; add partitions or set `workers: {partitions}`",
            workers - partitions
        ));
    }
    plan
}

/// What is wrong with how long the exchange and the snapshots are kept, given the settings of their topics.
pub(crate) fn retention(
    config: &Config,
    longest_span: Duration,
    exchange: &BTreeMap<String, String>,
    snapshots: Option<&BTreeMap<String, String>>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = config.exchange_topic();
    // -1 is for ever.
    let kept = exchange.get("retention.ms").and_then(|ms| ms.parse().ok());
    let kept = kept.map(Duration::from_millis);
    let span = humantime::format_duration(longest_span);
    if let Some(kept) = kept {
        let shown = humantime::format_duration(kept);
        let oldest = config.snapshots_interval * OLDEST_SNAPSHOT_IN_INTERVALS;
        if snapshots.is_some() && kept < oldest * 2 {
            warnings.push(format!(
                "topic `{name}` keeps records for {shown}, but a snapshot may be {} old before the next is taken: raise its `retention.ms`, or lower `snapshots.interval`, or windows may not be restored",
                humantime::format_duration(oldest)
            ));
        }
        if snapshots.is_none() && kept < longest_span {
            warnings.push(format!(
                "topic `{name}` keeps records for {shown}, but the longest window is {span} and there are no snapshots: raise its `retention.ms`, or windows may not be restored"
            ));
        }
    }
    if let Some(policy) = snapshots.and_then(|settings| settings.get("cleanup.policy"))
        && policy != "compact"
    {
        warnings.push(format!(
            "topic `{}` has `cleanup.policy={policy}`: set it to `compact`, or snapshots are thrown away, or pile up",
            config.snapshots_topic
        ));
    }
    warnings
}

fn input_topics<'a>(
    config: &Config,
    existing: &'a BTreeMap<String, i32>,
    plan: &mut Plan,
) -> BTreeSet<&'a str> {
    let mut topics = BTreeSet::new();
    for input in &config.inputs {
        for filter in &input.topics {
            let matching: Vec<&str> = existing
                .keys()
                .map(String::as_str)
                .filter(|topic| filter.matches(topic))
                .collect();
            match filter {
                TopicFilter::Name(name) if matching.is_empty() => plan.missing_inputs.push(name.to_string()),
                TopicFilter::Pattern(pattern) if matching.is_empty() => plan.warnings.push(format!(
                    "input `{}`: no topic matches `{pattern}` yet; topics are picked up as they appear",
                    input.name
                )),
                _ => topics.extend(matching),
            }
        }
    }
    topics
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(extra: &str) -> Config {
        let text = format!(
            "app: app\nkafka: {{bootstrap.servers: 'h:1'}}\nrules: [rules]\n{extra}\n\
             inputs:\n  - {{name: a, topics: [logs], format: json, lateness: 1h}}\n  - {{name: b, pattern: '^other\\.', format: json}}\n"
        );
        Config::parse(Path::new("haechi.yaml"), &text).unwrap()
    }

    #[test]
    fn the_exchange_outlives_the_longest_window() {
        let day = Duration::from_secs(24 * 3600);
        let topics = wanted(&config(""), Some(2 * day), 8);
        let exchange = topics
            .iter()
            .find(|topic| topic.name == "app-exchange")
            .unwrap();
        assert_eq!(exchange.partitions, 8);
        assert_eq!(
            exchange.settings["retention.ms"],
            ((2 * 24 + 1) * 3600 * 3 * 1000).to_string()
        );
        let short = wanted(&config(""), Some(Duration::from_secs(60)), 8);
        let [.., exchange, snapshots] = short.as_slice() else {
            panic!("{short:?}");
        };
        assert_eq!(
            exchange.settings["retention.ms"],
            day.as_millis().to_string()
        );
        assert_eq!(snapshots.name, "app-snapshots");
        assert_eq!(snapshots.settings["cleanup.policy"], "compact");
        let none = config("snapshots: {interval: 0s}");
        let none = wanted(&none, Some(Duration::from_secs(60)), 8);
        assert!(none.iter().all(|topic| topic.name != "app-snapshots"));
        assert!(
            wanted(&config(""), None, 8)
                .iter()
                .all(|topic| topic.name != "app-exchange")
        );
    }

    #[test]
    fn what_exists_is_left_alone_and_missing_inputs_are_named() {
        let config = config("exchange: {partitions: 4}");
        let existing = BTreeMap::from([
            ("app-alerts".to_owned(), 3),
            ("app-exchange".to_owned(), 2),
            ("other.x".to_owned(), 1),
        ]);
        let plan = plan(
            &config,
            wanted(&config, Some(Duration::from_secs(60)), 2),
            &existing,
            3,
        );
        let missing: Vec<&str> = plan
            .missing
            .iter()
            .map(|topic| topic.name.as_str())
            .collect();
        let expected = [
            "app-rollups",
            "app-dead-letters",
            "app-late",
            "app-snapshots",
        ];
        assert_eq!(missing, expected);
        let snapshots = plan.missing.last().unwrap();
        assert_eq!(snapshots.partitions, 2, "as many as the exchange has");
        assert_eq!(plan.missing_inputs, ["logs"]);
        assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
        assert!(plan.warnings[0].contains("app-exchange"));
        assert!(
            plan.warnings[1].contains("2 worker(s)"),
            "{:?}",
            plan.warnings
        );
    }
    #[test]
    fn what_is_kept_for_too_short_a_time_is_said() {
        let settings =
            |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let hour = Duration::from_secs(3600);
        let compacted = settings("cleanup.policy", "compact");
        let day = settings("retention.ms", "86400000");
        assert_eq!(
            retention(&config(""), 100 * hour, &day, Some(&compacted)),
            Vec::<String>::new()
        );
        let forever = settings("retention.ms", "-1");
        assert_eq!(
            retention(&config(""), 100 * hour, &forever, None),
            Vec::<String>::new()
        );
        let none = retention(&config(""), 25 * hour, &day, None);
        assert!(none[0].contains("longest window is 1day 1h"), "{none:?}");
        let rare = config("snapshots: {interval: 1h}");
        let rare = retention(&rare, hour, &day, Some(&compacted));
        assert!(rare[0].contains("lower `snapshots.interval`"), "{rare:?}");
        let deleted = settings("cleanup.policy", "delete");
        let deleted = retention(&config(""), hour, &day, Some(&deleted));
        assert!(deleted[0].contains("cleanup.policy=delete"), "{deleted:?}");
    }
}
