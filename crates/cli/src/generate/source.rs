//! The logs that the generator writes, and what a reader has to know about each.

use std::fmt;
use std::str::FromStr;

/// One kind of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SourceKind {
    /// Windows Security, Sysmon and PowerShell events of half of the fleet, flat: one level of fields.
    WindowsFlat,
    /// The same of the other half, nested as exported `.evtx` files are: `Event.System`, `Event.EventData`.
    WindowsNested,
    /// Logins over SSH.
    Sshd,
    /// Access log of a web shop, fields named as W3C names them.
    Web,
    /// API calls in a cloud account, shaped as CloudTrail's.
    CloudTrail,
}

impl SourceKind {
    /// Every kind, in the order of their numbers.
    pub(crate) const ALL: [Self; 5] = [
        Self::WindowsFlat,
        Self::WindowsNested,
        Self::Sshd,
        Self::Web,
        Self::CloudTrail,
    ];

    /// The name: what a topic, a file or an option is called after.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WindowsFlat => "windows",
            Self::WindowsNested => "windows-nested",
            Self::Sshd => "sshd",
            Self::Web => "web",
            Self::CloudTrail => "cloudtrail",
        }
    }

    /// The input format to declare: `windows` or `json`.
    pub(crate) fn format(self) -> &'static str {
        match self {
            Self::WindowsFlat | Self::WindowsNested => "windows",
            Self::Sshd | Self::Web | Self::CloudTrail => "json",
        }
    }

    /// The logsource to declare: product, category, service.
    pub(crate) fn logsource(
        self,
    ) -> (
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
    ) {
        match self {
            Self::WindowsFlat | Self::WindowsNested => (Some("windows"), None, None),
            Self::Sshd => (Some("linux"), None, Some("sshd")),
            Self::Web => (None, Some("webserver"), None),
            Self::CloudTrail => (Some("aws"), None, Some("cloudtrail")),
        }
    }

    /// Dotted path of the field that holds the event time.
    pub(crate) fn timestamp_field(self) -> &'static str {
        match self {
            Self::WindowsNested => "Event.System.TimeCreated.#attributes.SystemTime",
            Self::CloudTrail => "eventTime",
            Self::WindowsFlat | Self::Sshd | Self::Web => "@timestamp",
        }
    }

    /// Fractional digits of the seconds in that field.
    pub(super) fn time_digits(self) -> u32 {
        match self {
            Self::WindowsFlat | Self::Web => 3,
            Self::WindowsNested => 7,
            Self::Sshd => 6,
            Self::CloudTrail => 0,
        }
    }

    /// Share of the events when all kinds are written.
    pub(super) fn weight(self) -> u32 {
        match self {
            Self::WindowsFlat => 40,
            Self::WindowsNested => 15,
            Self::Sshd => 10,
            Self::Web => 25,
            Self::CloudTrail => 10,
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SourceKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|source| source.name() == name)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|source| source.name()).collect();
                format!("unknown source `{name}`: use one of {}", names.join(", "))
            })
    }
}
