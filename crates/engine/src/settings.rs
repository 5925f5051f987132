//! What a run needs to know. Everything here is already validated: the command line and the YAML file are turned into
//! these values before any thread starts.

use std::sync::Arc;
use std::time::Duration;

use haechi_decode as decode;
use haechi_detect::{Detector, Plan};
use haechi_window::Budget;

/// One declared input: topics that carry one kind of log.
#[derive(Debug, Clone)]
pub struct Input {
    /// The name rollups can read `FROM`.
    pub name: Arc<str>,
    /// The topics it reads.
    pub topics: Vec<TopicFilter>,
    /// How its records are encoded.
    pub format: decode::Format,
    /// What its events are; formats that know better (Windows) derive more per event.
    pub logsource: decode::Logsource,
    /// Where the event's time is; `None` = the format's usual places.
    pub timestamp: Option<String>,
    /// How far behind the newest event of its partition an event may be and still count in windows.
    pub lateness: Duration,
    /// After how long without records a partition that is read to its end stops holding time back.
    pub idle_timeout: Duration,
    /// How far ahead of the clock a timestamp may be before it is clamped.
    pub max_future: Duration,
    /// Where to begin in a partition for which nothing was committed yet.
    pub start: haechi_log::Start,
}

/// Which topics an input reads.
#[derive(Debug, Clone)]
pub enum TopicFilter {
    /// One topic.
    Name(Arc<str>),
    /// Every topic whose name matches, now and later.
    Pattern(regex::Regex),
}

impl TopicFilter {
    /// Whether `topic` is meant.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        match self {
            Self::Name(name) => **name == *topic,
            Self::Pattern(pattern) => pattern.is_match(topic),
        }
    }
}

/// Where results go.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Topic of the alerts.
    pub alerts: String,
    /// The shape of an alert.
    pub schema: haechi_alert::Schema,
    /// Topic of the rollup rows.
    pub rollups: String,
    /// Topic of records that could not be decoded.
    pub dead_letters: String,
    /// Topic of what arrived after its window had closed.
    pub late: String,
}

/// Bounds that keep bad input from taking a worker down, and its memory within limits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records above this many bytes are dead letters.
    pub max_record_bytes: usize,
    /// JSON nested deeper than this is a dead letter.
    pub max_depth: usize,
    /// Raw events above this many bytes are truncated in alerts.
    pub evidence_bytes: usize,
    /// What a worker remembers of the values of an input, so as not to match them again, takes about this many bytes.
    pub cache_bytes: usize,
    /// A regular expression may take about this many bytes to work, in each worker and for each input.
    pub regex_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_record_bytes: 16 << 20,
            max_depth: 64,
            evidence_bytes: 64 << 10,
            cache_bytes: Detector::DEFAULT_CACHE_BYTES,
            regex_bytes: Plan::DEFAULT_REGEX_BYTES,
        }
    }
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// When it is told to stop: topics have no end.
    Endless,
    /// When every input partition has been read to the end it had, and every window has been closed.
    UntilEnd,
}

/// Everything a worker is told, besides its rules and its log.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The declared inputs.
    pub inputs: Vec<Arc<Input>>,
    /// Where results go.
    pub outputs: Outputs,
    /// The exchange topic; `None` when no rule aggregates.
    pub exchange: Option<Exchange>,
    /// Where the state of windows is kept, so that not all of the exchange has to be read again; `None`: nowhere.
    pub snapshots: Option<Snapshots>,
    /// How long results are gathered before they are committed together.
    pub commit_interval: Duration,
    /// Instead of that interval: a commit after every so many source records, and at the end. For runs that are to be cut the same way
    /// each time.
    pub commit_records: Option<usize>,
    /// How often a worker repeats the watermarks of its partitions when nothing else is to be said.
    pub heartbeat: Duration,
    /// How far a source partition may be ahead of the slowest in event time before it has to wait; windows only.
    pub max_skew: Duration,
    /// How much a rule may keep.
    pub state: State,
    /// Bounds on single records.
    pub limits: Limits,
    /// When the run ends.
    pub run: Run,
}

/// How much every rule that does not say otherwise may keep of what is not decided yet, in all exchange partitions together.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// Groups.
    pub groups: u64,
    /// Bytes, approximately.
    pub bytes: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            groups: 10_000_000,
            bytes: 2 << 30,
        }
    }
}

impl Settings {
    /// What the state of rules is held to.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget {
            groups: self.state.groups,
            bytes: self.state.bytes,
            partitions: self.exchange.as_ref().map_or(1, |of| of.partitions),
        }
    }
}

/// The internal topic between the two stages.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Its name.
    pub topic: Arc<str>,
    /// How many partitions it has; fixed for the life of the application.
    pub partitions: u32,
}

/// The internal topic with the snapshots of stage 2.
#[derive(Debug, Clone)]
pub struct Snapshots {
    /// Its name. It is compacted, and has as many partitions as the exchange.
    pub topic: Arc<str>,
    /// A partition's state is not written more often than this.
    pub interval: Duration,
    /// Largest message, about; a snapshot is cut into as many as it takes.
    pub chunk_bytes: usize,
}

impl Snapshots {
    /// Fits into what a broker takes by default (1 MB), with headers and what compression may cost.
    pub const CHUNK_BYTES: usize = 512 << 10;
}
