//! What a decoder is asked to do.

use std::fmt;
use std::str::FromStr;

use crate::block::BLOCK_LIMIT;

/// How the records of an input are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON objects, flat or nested. A wanted field `a.b` is found under the path `a` → `b`, under the flat
    /// key `"a.b"`, and in every element of arrays on the way.
    Json,
    /// Windows event log records as JSON, in any of the shapes in which shippers write them: evtx_dump's nested one,
    /// XML turned to JSON, Winlogbeat 6 to 8, and the flat ones of NXLog, Fluent Bit and Azure. Fields go by the names that rules use: the text of a `System`
    /// element (`EventID`), its attribute (`Provider_Name`), a name of the event data (`Image`); `System` wins. Each
    /// event derives its logsources from channel, event id and event type.
    Windows,
    /// Lines of web servers' access logs, common and combined, with the names that rules for web servers use.
    Access,
    /// Lines of syslog, RFC 3164 or RFC 5424.
    Syslog,
    /// Records of the Linux audit daemon.
    Auditd,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [
        Self::Json,
        Self::Windows,
        Self::Access,
        Self::Syslog,
        Self::Auditd,
    ];

    /// Whether records are lines of text, not JSON.
    pub(crate) fn is_text(self) -> bool {
        !matches!(self, Self::Json | Self::Windows)
    }
}

impl FromStr for Format {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::ALL
            .into_iter()
            .find(|format| format.to_string() == text)
            .ok_or_else(|| SpecError::UnknownFormat(text.to_owned()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Windows => "windows",
            Self::Access => "access",
            Self::Syslog => "syslog",
            Self::Auditd => "auditd",
        })
    }
}

/// Sigma's name for where events come from; every part is lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Logsource {
    /// The product, such as `windows` or `aws`.
    pub product: Option<String>,
    /// The category, such as `process_creation`.
    pub category: Option<String>,
    /// The service, such as `sysmon` or `cloudtrail`.
    pub service: Option<String>,
}

/// Where an event's time stands and how far it may lie ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// The field that holds it, as a dotted path; `None` looks at the format's usual places, in order, and takes
    /// the first that can be read.
    pub field: Option<String>,
    /// How far, in nanoseconds, a time may lie ahead of now before it is taken for a broken clock and clamped.
    pub future_ns: i64,
}

impl Default for Timestamp {
    fn default() -> Self {
        Self {
            field: None,
            future_ns: 3_600_000_000_000,
        }
    }
}

/// Says which events carry all their values, for keyword rules.
pub trait ValuesFor: Send {
    /// Which events of a class (the set of their logsources) do. Asked once per class, in the order of their ids.
    fn class(&mut self, class: &[Logsource]) -> ValuesWanted;

    /// Whether an event of a class that [depends](ValuesWanted::Depends) does. `text` is the event after parsing: each of its values
    /// stands in it, whole and unescaped, beside other things, and not all of it need be UTF-8.
    fn event(&mut self, class: u16, text: &[u8]) -> bool;
}

/// Which events of a class carry all their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValuesWanted {
    /// None.
    Never,
    /// All.
    Always,
    /// Those for which [`ValuesFor::event`] says so. Such an event is parsed twice, so they had better be few.
    Depends,
}

/// All events of the classes for which it says yes.
impl<F: FnMut(&[Logsource]) -> bool + Send> ValuesFor for F {
    fn class(&mut self, class: &[Logsource]) -> ValuesWanted {
        match self(class) {
            true => ValuesWanted::Always,
            false => ValuesWanted::Never,
        }
    }

    fn event(&mut self, _class: u16, _text: &[u8]) -> bool {
        true
    }
}

/// Everything a [`Decoder`](crate::Decoder) is made from.
pub struct DecoderSpec {
    /// How records are written.
    pub format: Format,
    /// The wanted fields, all different; one column each, in this order.
    pub fields: Vec<String>,
    /// The logsource that the input declares. Windows events derive more of their own.
    pub logsource: Logsource,
    /// Where the event time stands.
    pub timestamp: Timestamp,
    /// Which events carry all their values, for keyword rules.
    pub values_for: Box<dyn ValuesFor>,
    /// Longer records are bad rows. In bytes.
    pub max_record_bytes: usize,
    /// Records nested deeper are bad rows.
    pub max_depth: usize,
}

impl DecoderSpec {
    /// A spec with the usual limits (8 MiB a record, 64 levels), no declared logsource, the format's usual
    /// time places, and no event's values wanted.
    pub fn new(format: Format, fields: Vec<String>) -> Self {
        Self {
            format,
            fields,
            logsource: Logsource::default(),
            timestamp: Timestamp::default(),
            values_for: Box::new(|_: &[Logsource]| false),
            max_record_bytes: 8 << 20,
            max_depth: 64,
        }
    }

    /// The deepest nesting that a spec may allow: the walk over an event is recursive.
    pub const DEEPEST: usize = 512;

    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        let mut seen = rustc_hash::FxHashSet::default();
        for field in &self.fields {
            if matches!(field.as_str(), "_time" | "_class" | "_values") {
                return Err(SpecError::ReservedField(field.clone()));
            }
            if !seen.insert(field.as_str()) {
                return Err(SpecError::DuplicateField(field.clone()));
            }
        }
        if self.timestamp.field.as_deref() == Some("") {
            return Err(SpecError::EmptyTimestampField);
        }
        if self.timestamp.future_ns < 0 {
            return Err(SpecError::NegativeFuture(self.timestamp.future_ns));
        }
        if !(1..=Self::DEEPEST).contains(&self.max_depth) {
            return Err(SpecError::Depth(self.max_depth));
        }
        if !(1..=BLOCK_LIMIT).contains(&self.max_record_bytes) {
            return Err(SpecError::RecordBytes(self.max_record_bytes));
        }
        Ok(())
    }
}

/// A spec that no decoder can be made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No such format.
    #[error("unknown format `{0}`: choose json, windows, access, syslog or auditd")]
    UnknownFormat(String),
    /// A wanted field is named like one of the batch's own columns.
    #[error(
        "the field name `{0}` is taken by a column of haechi's own: map the field to another name"
    )]
    ReservedField(String),
    /// A field is wanted twice.
    #[error("the field `{0}` is wanted twice: name each field once")]
    DuplicateField(String),
    /// The timestamp field has no name.
    #[error(
        "the timestamp field is empty: name a field, or leave it out for the format's usual places"
    )]
    EmptyTimestampField,
    /// The tolerance for future times is negative.
    #[error("the tolerance for future times is {0} ns: it cannot be negative")]
    NegativeFuture(i64),
    /// The depth limit is out of range.
    #[error("the depth limit is {0}: choose 1 to {deepest}", deepest = DecoderSpec::DEEPEST)]
    Depth(usize),
    /// The record size limit is out of range.
    #[error("the record limit is {0} bytes: choose 1 to {BLOCK_LIMIT}")]
    RecordBytes(usize),
    /// A line of the built-in logsource table does not read.
    #[error("line {0} of the built-in windows logsource table does not read")]
    LogsourceTable(usize),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(fields: &[&str]) -> DecoderSpec {
        DecoderSpec::new(
            Format::Json,
            fields.iter().map(|&name| name.to_owned()).collect(),
        )
    }

    #[test]
    fn formats_read_and_print_alike() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
        }
        let error = "evtx".parse::<Format>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown format `evtx`: choose json, windows, access, syslog or auditd"
        );
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(spec(&["a", "b"]).validate(), Ok(()));
        assert_eq!(
            spec(&["a", "b", "a"]).validate(),
            Err(SpecError::DuplicateField("a".into()))
        );
        assert_eq!(
            spec(&["_time"]).validate(),
            Err(SpecError::ReservedField("_time".into()))
        );
        let mut deep = spec(&[]);
        deep.max_depth = 100_000;
        assert_eq!(deep.validate(), Err(SpecError::Depth(100_000)));
        let mut wide = spec(&[]);
        wide.max_record_bytes = usize::MAX;
        assert_eq!(wide.validate(), Err(SpecError::RecordBytes(usize::MAX)));
        let mut nameless = spec(&[]);
        nameless.timestamp.field = Some(String::new());
        assert_eq!(nameless.validate(), Err(SpecError::EmptyTimestampField));
    }
}
