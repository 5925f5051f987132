//! A real broker, and a client of it that is not ours: Python's confluent-kafka, through `tests/clients/kafka_client.py`.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use crate::repository;

/// A record as the independent client reads it, committed records only.
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When it was sent, milliseconds since 1970.
    pub timestamp: i64,
    /// Its key, as text.
    pub key: Option<String>,
    /// Its headers, as text.
    pub headers: BTreeMap<String, String>,
    /// Its value where that is text.
    pub value: Option<String>,
    /// Its value in hexadecimal where that is no text.
    pub hex: Option<String>,
}

impl Record {
    /// The value as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        let text = self.value.as_deref().expect("a value that is text");
        serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
    }

    /// The value's bytes; `None` = a tombstone.
    ///
    /// # Panics
    /// When the client's hexadecimal is none.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.value, &self.hex) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(hex)) => {
                let byte =
                    |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
                Some((0..hex.len()).step_by(2).map(byte).collect())
            }
            (None, None) => None,
        }
    }
}

/// The independent client.
#[derive(Debug, Clone)]
pub struct Client {
    python: OsString,
    /// `host:port`.
    pub broker: String,
}

impl Client {
    /// The client for the broker that `HAECHI_KAFKA` names. A test that needs a broker fails where there is none.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn required() -> Self {
        let broker = env::var("HAECHI_KAFKA").unwrap_or_else(|_| {
            panic!("this test needs Kafka and HAECHI_KAFKA names none: run it with `make test`, or `dev/with-kafka test cargo test`, or set HAECHI_KAFKA=host:port")
        });
        Self {
            python: python(),
            broker,
        }
    }

    /// Creates topics: name and partitions.
    pub fn create(&self, topics: &[(&str, usize)]) {
        let topics = topics
            .iter()
            .map(|(topic, partitions)| format!("{topic}:{partitions}"));
        self.run("create", topics, Vec::new());
    }

    /// Creates one topic with settings (`name=value`).
    pub fn create_with(&self, topic: &str, partitions: usize, settings: &[&str]) {
        self.run(
            "create",
            [format!("{topic}:{partitions}:{}", settings.join(","))],
            Vec::new(),
        );
    }

    /// Deletes a topic and waits until it is gone.
    pub fn delete(&self, topic: &str) {
        self.run("delete", [topic.to_owned()], Vec::new());
    }

    /// Produces one record a line: line i goes to partition i % partitions and gets offset i / partitions (in a fresh topic).
    pub fn produce(&self, topic: &str, lines: &[u8]) {
        self.run("produce", [topic.to_owned()], lines.to_owned());
    }

    /// The same over the first partitions only: line i goes to partition i % `partitions`.
    pub fn produce_over(&self, topic: &str, partitions: usize, lines: &[u8]) {
        let arguments = [topic.to_owned(), partitions.to_string()];
        self.run("produce", arguments, lines.to_owned());
    }

    /// Adds partitions to a topic until it has so many.
    pub fn grow(&self, topic: &str, partitions: usize) {
        self.run(
            "grow",
            [topic.to_owned(), partitions.to_string()],
            Vec::new(),
        );
    }

    /// Partitions of a topic that members of a group own.
    #[must_use]
    pub fn assigned(&self, group: &str, topic: &str) -> Vec<usize> {
        let text = self.run("assigned", [topic.to_owned(), group.to_owned()], Vec::new());
        serde_json::from_str(&text).expect("the client prints JSON")
    }

    /// Produces records that lines cannot say: objects with `hex` (null = a tombstone), and optionally `partition`, `key`, `headers`,
    /// `timestamp` (milliseconds).
    pub fn produce_records(&self, topic: &str, records: &[Value]) {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        self.run("produce-records", [topic.to_owned()], lines.into_bytes());
    }

    /// All committed records of a topic, up to the end it has now.
    #[must_use]
    pub fn read(&self, topic: &str) -> Vec<Record> {
        let text = self.run("read", [topic.to_owned()], Vec::new());
        text.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// Waits until a topic has at least so many committed records.
    pub fn wait_for(&self, topic: &str, records: usize, limit: Duration) {
        self.run(
            "wait",
            [
                topic.to_owned(),
                records.to_string(),
                limit.as_secs().to_string(),
            ],
            Vec::new(),
        );
    }

    /// The topics that there are, with their partition counts.
    #[must_use]
    pub fn topics(&self) -> BTreeMap<String, usize> {
        serde_json::from_str(&self.run("topics", ["-".to_owned()], Vec::new()))
            .expect("the client prints JSON")
    }

    /// The settings of a topic that differ from the broker's.
    #[must_use]
    pub fn settings(&self, topic: &str) -> BTreeMap<String, String> {
        serde_json::from_str(&self.run("settings", [topic.to_owned()], Vec::new()))
            .expect("the client prints JSON")
    }

    /// Per partition of a topic: what a group has committed (`None` = nothing), and the partition's end.
    #[must_use]
    pub fn offsets(&self, group: &str, topic: &str) -> BTreeMap<String, (Option<i64>, i64)> {
        serde_json::from_str(&self.run("offsets", [topic.to_owned(), group.to_owned()], Vec::new()))
            .expect("the client prints JSON")
    }

    /// Deletes the records of a topic's partitions before these offsets; -1 is the end.
    pub fn cut(&self, topic: &str, before: impl IntoIterator<Item = (String, i64)>) {
        let before = before.into_iter();
        let before = before.map(|(partition, offset)| format!("{partition}:{offset}"));
        let arguments: Vec<String> = std::iter::once(topic.to_owned()).chain(before).collect();
        self.run("cut", arguments, Vec::new());
    }

    fn run(
        &self,
        action: &str,
        arguments: impl IntoIterator<Item = String>,
        stdin: Vec<u8>,
    ) -> String {
        let script = repository().join("tests/clients/kafka_client.py");
        let mut command = Command::new(&self.python);
        command
            .arg(script)
            .arg(&self.broker)
            .arg(action)
            .args(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start ({error}): HAECHI_PYTHON is to be a Python with confluent-kafka, see dev/setup", self.python.display()));
        let mut input = child.stdin.take().expect("piped");
        // A client that fails early says why on stderr.
        let writer = thread::spawn(move || input.write_all(&stdin));
        let output = child.wait_with_output().expect("the client ends");
        let _ = writer.join().expect("writing does not panic");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the independent client failed: {command:?}\n{stderr}"
        );
        String::from_utf8(output.stdout).expect("the client prints UTF-8")
    }
}

/// A Python that has confluent-kafka: `HAECHI_PYTHON`, or where `dev/setup python` puts one.
#[must_use]
pub fn python() -> OsString {
    env::var_os("HAECHI_PYTHON").unwrap_or_else(|| {
        let cache = env::var_os("HAECHI_CACHE")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache/haechi")));
        let ours = cache
            .map(|cache| cache.join("python/bin/python"))
            .filter(|python| python.exists());
        ours.map_or_else(|| "python3".into(), PathBuf::into_os_string)
    })
}

/// A name that no other test and no other run has used on this broker.
#[must_use]
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    format!(
        "{name}-{}-{:x}-{}",
        std::process::id(),
        since.as_millis(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
