//! The command line: names, help and raw values. Commands turn them into validated values before anything runs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Sigma at stream speed, on Kafka.
#[derive(Debug, Parser)]
#[command(
    name = "haechi",
    version,
    about,
    propagate_version = true,
    after_help = "\
Start here:
  haechi demo                                          see alerts within seconds, no Kafka needed
  haechi check rules/                                  is what I wrote right?
  haechi replay --rules rules/ --format windows f.json what would my rules have found in this file?
  haechi topics plan -c haechi.yaml                    which topics does my configuration need?
  haechi run -c haechi.yaml                            the real thing: one worker per core, on Kafka

Logs go to stderr, results to stdout. HAECHI_LOG sets what is logged (e.g. debug, haechi_engine=trace)."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the engine on Kafka: reads the inputs, writes alerts, rollups, dead letters and late rows
    Run(RunArgs),
    /// Run rules over files: the same pipeline, results as one JSON object a line
    Replay(ReplayArgs),
    /// Parse and lint rules
    Check(CheckArgs),
    /// Print the JSON Schema of rule or configuration files, for editors
    Schema(SchemaArgs),
    /// Plan or create the topics that a configuration needs
    Topics(TopicsArgs),
    /// Generate realistic events with attacks woven in, and the ground truth on the side
    Generate(GenerateArgs),
    /// Generate, detect with the shipped rules, and print alerts as they come
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration file; docs/configuration.md describes every key
    #[arg(short, long, default_value = "haechi.yaml")]
    pub(crate) config: PathBuf,
    /// Worker threads, instead of what the configuration says
    #[arg(short, long)]
    pub(crate) workers: Option<std::num::NonZeroUsize>,
    /// Read every input to the end it has, close every window, and exit: for back-fills and tests. Records that come
    /// later are late to those windows
    #[arg(long)]
    pub(crate) until_end: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  haechi replay --rules rules/ --format windows events.ndjson.zst
  haechi replay --rules rules/ --format json --logsource product=aws,service=cloudtrail trail.json --alerts brief
  zcat app.log.gz | haechi replay --rules my.yml --format json -

Windows stay open until the input ends unless --lateness bounds them, so order does not matter. Results are sorted by
event time and id: they do not depend on -j.")]
pub(crate) struct ReplayArgs {
    /// Rule files or folders; may be given several times
    #[arg(short, long, required = true, num_args = 1.., value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) through: ThroughArgs,
    /// How the events are encoded: json, windows, access, syslog, auditd
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        required_unless_present = "preset",
        conflicts_with = "preset"
    )]
    pub(crate) format: Option<String>,
    /// What the events are, e.g. product=linux,service=sshd; windows events know more by themselves
    #[arg(long, value_name = "KEY=VALUE,…", conflicts_with = "preset")]
    pub(crate) logsource: Option<String>,
    /// Format, logsource and timestamp in one word
    #[arg(long, value_name = "NAME", help = crate::presets::help())]
    pub(crate) preset: Option<String>,
    /// Field that holds the event's time, dots for nesting; default: the format's usual places
    #[arg(long, value_name = "FIELD")]
    pub(crate) timestamp: Option<String>,
    /// How late an event may be and still count in a window, e.g. 5m; default: any, windows close at the end
    #[arg(long, value_name = "DURATION")]
    pub(crate) lateness: Option<String>,
    /// Commit after every N lines, and show what is told early and what is revised, line by line as it is told; without it, windows
    /// tell what stands when they are over
    #[arg(long, value_name = "N", conflicts_with = "jobs")]
    pub(crate) commit_every: Option<std::num::NonZeroUsize>,
    /// Workers; the output does not depend on it
    #[arg(short, long, default_value_t = std::num::NonZeroUsize::MIN)]
    pub(crate) jobs: std::num::NonZeroUsize,
    /// What an alert looks like
    #[arg(long, value_enum, default_value_t = AlertSchema::Ocsf)]
    pub(crate) alerts: AlertSchema,
    /// Where results go; default: stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Where records go that cannot be decoded, one JSON object a line; default: the first few are reported on stderr
    #[arg(long, value_name = "FILE")]
    pub(crate) dead_letters: Option<PathBuf>,
    /// Say on stderr where the time went: by stage, rule and field. Detection takes longer by that
    #[arg(long)]
    pub(crate) profile: bool,
    /// The whole of that as JSON, all rules and fields
    #[arg(long, value_name = "FILE")]
    pub(crate) profile_json: Option<PathBuf>,
    /// Name that rollups can read FROM, besides logsources
    #[arg(long, default_value = "events", value_name = "NAME")]
    pub(crate) input_name: String,
    /// Files: plain, gzip or zstd; - is stdin
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// What rules go through before they are compiled.
#[derive(Debug, Default, Args)]
pub(crate) struct ThroughArgs {
    /// Processing pipeline: a file, or the name of a shipped one (ecs-windows, ocsf, sysmon); may be given several times
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) pipeline: Vec<String>,
    /// File that says what the %placeholders% of rules stand for; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) placeholders: Vec<PathBuf>,
}

impl ThroughArgs {
    /// Whether the command line names none.
    pub(crate) fn is_empty(&self) -> bool {
        self.pipeline.is_empty() && self.placeholders.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlertSchema {
    /// OCSF Detection Finding (class 2004)
    Ocsf,
    /// One small object: time, rule, title, level, where the event is
    Brief,
}

impl From<AlertSchema> for haechi_alert::Schema {
    fn from(schema: AlertSchema) -> Self {
        match schema {
            AlertSchema::Ocsf => Self::Ocsf,
            AlertSchema::Brief => Self::Brief,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  haechi check rules/                               everything that is wrong or doubtful, with its line
  haechi check -c haechi.yaml                       the configuration's rules, against what its inputs provide
  haechi check --explain HC125                      what a code means, a wrong rule and the right one
  haechi check --format sarif rules/ > check.sarif  for code scanning

Exit code: 0 when no rule has an error, 1 when one has (with --strict: or a warning), 2 when the command line or the
configuration is wrong. docs/diagnostics.md lists all codes.")]
pub(crate) struct CheckArgs {
    /// Rule files or folders; default: those of the configuration
    #[arg(required_unless_present_any = ["config", "explain"], value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Configuration file, to know what the inputs provide
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How to say it: text goes to stderr, json and sarif to stdout
    #[arg(short, long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
    /// Explain a code, such as HC012, and check nothing
    #[arg(long, value_name = "CODE", conflicts_with_all = ["rules", "config", "format", "strict", "input"])]
    pub(crate) explain: Option<String>,
    #[command(flatten)]
    pub(crate) through: ThroughArgs,
    /// Warnings fail too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Names that rollups may read FROM, besides logsources
    #[arg(long, value_name = "NAME")]
    pub(crate) input: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// The line, a caret and what to do
    Text,
    /// One object: the counts, and every finding
    Json,
    /// SARIF 2.1.0
    Sarif,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The first line of a rule file that an editor is to check while it is written:
  # yaml-language-server: $schema=rule.schema.json")]
pub(crate) struct SchemaArgs {
    /// Which files the schema is for
    #[arg(value_enum, value_name = "KIND")]
    pub(crate) kind: SchemaKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// Rules: detections, correlations, filters, rollups
    Rule,
    /// The configuration
    Config,
}

#[derive(Debug, Args)]
pub(crate) struct TopicsArgs {
    #[command(subcommand)]
    pub(crate) action: TopicsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsAction {
    /// Say what would be created, and what does not fit
    Plan(TopicsOptions),
    /// Create what is missing
    Apply(TopicsOptions),
    /// Give the exchange more partitions, with the windows that are open; all workers have to be stopped
    GrowExchange(GrowOptions),
}

#[derive(Debug, Args)]
pub(crate) struct GrowOptions {
    /// Configuration file
    #[arg(short, long, default_value = "haechi.yaml")]
    pub(crate) config: PathBuf,
    /// How many it is to have: a multiple of how many it has
    #[arg(long)]
    pub(crate) partitions: std::num::NonZeroU32,
}

#[derive(Debug, Args)]
pub(crate) struct TopicsOptions {
    /// Configuration file
    #[arg(short, long, default_value = "haechi.yaml")]
    pub(crate) config: PathBuf,
    /// Copies of each partition; default: the broker's
    #[arg(long)]
    pub(crate) replication: Option<i32>,
    /// Cores of all pods together, to size the topics by; default: this machine's
    #[arg(long)]
    pub(crate) cores: Option<std::num::NonZeroU32>,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// How many events; default: endless
    #[arg(short = 'n', long)]
    pub(crate) events: Option<u64>,
    /// The same seed gives the same events
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Which logs; default: all (windows, windows-nested, sshd, web, cloudtrail)
    #[arg(long = "source", value_name = "NAME")]
    pub(crate) sources: Vec<String>,
    /// Events per second of event time
    #[arg(long, default_value_t = std::num::NonZeroU64::new(1000).unwrap_or(std::num::NonZeroU64::MIN))]
    pub(crate) rate: std::num::NonZeroU64,
    /// Event time of the first event, RFC 3339; default: now
    #[arg(long)]
    pub(crate) start: Option<String>,
    /// One attack scenario about every so many events
    #[arg(long, default_value_t = 20_000)]
    pub(crate) attack_every: u64,
    /// A folder: one file per source, and truth.ndjson; default: all events to stdout
    #[arg(short, long, value_name = "DIR", conflicts_with = "kafka")]
    pub(crate) output: Option<PathBuf>,
    /// A broker: one topic per source, and the ground truth in PREFIX-truth
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) kafka: Option<String>,
    /// Prefix of the topics
    #[arg(long, default_value = "demo", value_name = "PREFIX")]
    pub(crate) prefix: String,
    /// Partitions of the topics that have to be created
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub(crate) partitions: i32,
    /// Hold back to this many events per wall-clock second; default: as fast as possible
    #[arg(long, value_name = "N")]
    pub(crate) throttle: Option<std::num::NonZeroU64>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many events
    #[arg(short = 'n', long, default_value_t = 400_000)]
    pub(crate) events: u64,
    /// The same seed gives the same demo
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Run on this broker instead of the embedded log
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) kafka: Option<String>,
    /// Other rules than the shipped ones
    #[arg(short, long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Workers
    #[arg(short, long, default_value_t = std::num::NonZeroUsize::MIN)]
    pub(crate) jobs: std::num::NonZeroUsize,
}
