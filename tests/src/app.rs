//! One deployment of haechi on the broker: a configuration, its rules, its topics.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::alerts::{self, Alert, Brief};
use crate::broker::{Client, unique};
use crate::http::{self, Samples};
use crate::process::{Finished, Haechi, Running};
use crate::scratch;

/// A configuration in the making; public fields may be changed before [`App::write`].
#[derive(Debug)]
pub struct App {
    /// The client for its broker.
    pub client: Client,
    /// `app` of the configuration, unique on the broker.
    pub name: String,
    /// Names of the topics that it reads.
    pub topics: Vec<String>,
    /// Instead of their names: `pattern` of the input.
    pub pattern: Option<String>,
    /// Partitions of each of them.
    pub partitions: usize,
    /// `workers`.
    pub workers: usize,
    /// `instance`.
    pub instance: Option<String>,
    /// Instead of the client's broker: `bootstrap.servers`.
    pub bootstrap: Option<String>,
    /// `format` of the input.
    pub format: &'static str,
    /// `logsource` of the input, as a YAML flow mapping.
    pub logsource: &'static str,
    /// `timestamp` of the input.
    pub timestamp: Option<&'static str>,
    /// `lateness` of the input.
    pub lateness: &'static str,
    /// `idle_timeout` of the input.
    pub idle_timeout: &'static str,
    /// `http.listen`.
    pub http: String,
    /// `delivery`.
    pub delivery: &'static str,
    /// `outputs.alerts.schema`.
    pub schema: &'static str,
    /// `commit_interval`.
    pub commit_interval: &'static str,
    /// `max_skew`.
    pub max_skew: &'static str,
    /// `reload_interval`.
    pub reload_interval: &'static str,
    /// `snapshots.interval`.
    pub snapshots: &'static str,
    /// More lines of `kafka`.
    pub properties: Vec<(&'static str, String)>,
    /// Rule files and folders.
    pub rules: Vec<PathBuf>,
    folder: TempDir,
}

impl App {
    /// A deployment with 2 workers on one topic of 4 partitions, which is named after the app and is yet to be created.
    #[must_use]
    pub fn new(client: &Client, name: &str) -> Self {
        let name = unique(name);
        Self {
            client: client.clone(),
            topics: vec![format!("{name}-in")],
            pattern: None,
            partitions: 4,
            name,
            workers: 2,
            instance: None,
            bootstrap: None,
            format: "json",
            logsource: "{product: test}",
            timestamp: Some("ts"),
            lateness: "3650d",
            idle_timeout: "30s",
            http: "127.0.0.1:0".to_owned(),
            delivery: "exactly_once",
            schema: "brief",
            commit_interval: "200ms",
            max_skew: "1h",
            reload_interval: "10s",
            // Often, so that whatever a test breaks is put together again from one.
            snapshots: "200ms",
            // What a killed process held must be free soon; three heartbeats go into a session.
            properties: vec![
                ("session.timeout.ms", "6000".to_owned()),
                ("heartbeat.interval.ms", "1500".to_owned()),
                ("transaction.timeout.ms", "10000".to_owned()),
            ],
            rules: Vec::new(),
            folder: scratch(),
        }
    }

    /// A folder of its own.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds rules by their text.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn rule(&mut self, text: &str) -> &mut Self {
        let path = self
            .folder
            .path()
            .join(format!("rules-{}.yml", self.rules.len()));
        fs::write(&path, text).expect("the scratch folder can be written");
        self.rules.push(path);
        self
    }

    /// `APP-WHAT`: one of its output topics, or the exchange.
    #[must_use]
    pub fn topic(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// Creates the topic that it reads, and with [`App::create_outputs`] all others.
    #[must_use]
    pub fn created(self) -> Self {
        let topics: Vec<(&str, usize)> = self
            .topics
            .iter()
            .map(|topic| (topic.as_str(), self.partitions))
            .collect();
        self.client.create(&topics);
        self.create_outputs();
        self
    }

    /// Creates its output topics and the exchange, 4 partitions each, without our own `topics apply`.
    pub fn create_outputs(&self) {
        self.create_results();
        self.client.create(&[(&self.topic("exchange"), 4)]);
        self.client
            .create_with(&self.topic("snapshots"), 4, &["cleanup.policy=compact"]);
    }

    /// Creates the topics of what it finds.
    pub fn create_results(&self) {
        let names = ["alerts", "rollups", "dead-letters", "late"].map(|what| self.topic(what));
        let topics = names.each_ref().map(|name| (name.as_str(), 4));
        self.client.create(&topics);
    }

    /// Writes the configuration.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn write(&self) -> PathBuf {
        let list = |items: &[String]| {
            items
                .iter()
                .map(|item| format!("'{item}'"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let rules: Vec<String> = self
            .rules
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let mut text = format!(
            "app: {}\nworkers: {}\ndelivery: {}\ncommit_interval: {}\nmax_skew: {}\nreload_interval: {}\nsnapshots: {{interval: {}}}\nhttp: {{listen: '{}'}}\nrules: [{}]\n\
             outputs: {{alerts: {{schema: {}}}}}\nkafka:\n  bootstrap.servers: '{}'\n",
            self.name,
            self.workers,
            self.delivery,
            self.commit_interval,
            self.max_skew,
            self.reload_interval,
            self.snapshots,
            self.http,
            list(&rules),
            self.schema,
            self.bootstrap.as_ref().unwrap_or(&self.client.broker)
        );
        for (property, value) in &self.properties {
            text.push_str(&format!("  {property}: '{value}'\n"));
        }
        let topics = match &self.pattern {
            Some(pattern) => format!("pattern: '{pattern}'"),
            None => format!("topics: [{}]", list(&self.topics)),
        };
        text.push_str(&format!(
            "inputs:\n  - name: input\n    {topics}\n    format: {}\n    logsource: {}\n    lateness: {}\n    idle_timeout: {}\n",
            self.format, self.logsource, self.lateness, self.idle_timeout
        ));
        if let Some(timestamp) = self.timestamp {
            text.push_str(&format!("    timestamp: '{timestamp}'\n"));
        }
        if let Some(instance) = &self.instance {
            text.push_str(&format!("instance: {instance}\n"));
        }
        let path = self.folder.path().join("haechi.yaml");
        // Another process may be reading it just now: it finds the one or the other, whole.
        let new = path.with_extension("new");
        fs::write(&new, text).expect("the scratch folder can be written");
        fs::rename(new, &path).expect("the scratch folder can be written");
        path
    }

    /// `haechi run` without end.
    #[must_use]
    pub fn run(&self) -> Running {
        Haechi::new(["run", "-c"]).arg(self.write()).start()
    }

    /// The same with more in its environment.
    #[must_use]
    pub fn run_with(&self, environment: &[(&str, String)]) -> Running {
        let haechi = Haechi::new(["run", "-c"]).arg(self.write());
        let with = |haechi: Haechi, (name, value): &(&str, String)| haechi.env(name, value);
        environment.iter().fold(haechi, with).start()
    }

    /// `haechi run --until-end`, not waited for.
    #[must_use]
    pub fn start_until_end(&self) -> Running {
        Haechi::new(["run", "--until-end", "-c"])
            .arg(self.write())
            .start()
    }

    /// `haechi run --until-end`, to its end, which must be a success.
    #[must_use]
    pub fn run_until_end(&self, limit: Duration) -> Finished {
        self.start_until_end().wait(limit).succeeded()
    }

    /// One of its output topics, each id once: with `at_least_once`, an id that was seen before is a repetition. Answers also
    /// how many there were.
    ///
    /// # Panics
    /// When two documents have the same id and differ.
    #[must_use]
    pub fn by_id(&self, what: &str) -> (Vec<Value>, usize) {
        let mut documents: BTreeMap<String, Value> = BTreeMap::new();
        let mut repetitions = 0;
        for record in self.client.read(&self.topic(what)) {
            let document = record.json();
            if let Some(before) =
                documents.insert(record.headers["haechi-id"].clone(), document.clone())
            {
                assert_eq!(before, document, "one id, two documents");
                repetitions += 1;
            }
        }
        (documents.into_values().collect(), repetitions)
    }

    /// Its alert topic as the independent client sees it, as a set, without which topic's coordinates they are: `line`
    /// maps partition and offset.
    ///
    /// # Panics
    /// When an alert is there twice, or is none.
    #[must_use]
    pub fn alerts(&self, line: impl Fn(i32, i64) -> i64) -> BTreeSet<Alert> {
        let records = self.client.read(&self.topic("alerts"));
        alerts::set(
            records
                .iter()
                .map(|record| Brief::of(&record.json()).alert(&line)),
        )
    }

    /// Its rollup topic as the independent client sees it.
    #[must_use]
    pub fn rollups(&self) -> Vec<Value> {
        self.client
            .read(&self.topic("rollups"))
            .iter()
            .map(crate::broker::Record::json)
            .collect()
    }

    /// Line of a record that [`Client::produce`] wrote into a fresh topic of this app's partition count.
    pub fn line(&self) -> impl Fn(i32, i64) -> i64 + use<> {
        let partitions = self.partitions as i64;
        move |partition, offset| offset * partitions + i64::from(partition)
    }
}

/// Where a process serves its port: it says so when it starts.
#[must_use]
pub fn address(process: &Running) -> Option<SocketAddr> {
    let stderr = process.stderr();
    let line = stderr
        .lines()
        .find(|line| line.contains("serving /metrics"))?;
    let line: Value = serde_json::from_str(line).ok()?;
    line["address"].as_str()?.parse().ok()
}

/// Waits until a process is assigned and restored.
///
/// # Panics
/// When that takes more than a minute.
pub fn wait_until_ready(process: &mut Running) -> SocketAddr {
    process.until(Duration::from_secs(60), "it is ready", |process| {
        let address = address(process)?;
        (http::get(address, "/readyz")?.0 == 200).then_some(address)
    })
}

/// Waits until a metric's sum over all series is at least `least`.
///
/// # Panics
/// When that takes longer than `limit`.
pub fn wait_for_metric(process: &mut Running, metric: &str, least: f64, limit: Duration) -> f64 {
    process.until(limit, &format!("{metric} is {least}"), |process| {
        let sum = Samples::scrape(address(process)?)?.sum(metric);
        (sum >= least).then_some(sum)
    })
}

/// What a process that has ended says of its work: records read, dead letters, late rows.
///
/// # Panics
/// When it does not say so.
#[must_use]
pub fn account(finished: &Finished) -> (u64, u64, u64) {
    let line = finished
        .stderr
        .lines()
        .rev()
        .find(|line| line.contains("\"dead_letters\""));
    let line: Value = serde_json::from_str(line.expect("a line that counts records"))
        .expect("logs are JSON off a terminal");
    let number = |key: &str| {
        line[key]
            .as_u64()
            .unwrap_or_else(|| panic!("no {key} in {line}"))
    };
    (number("records"), number("dead_letters"), number("late"))
}
