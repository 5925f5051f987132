//! The shapes that an alert can have.

use std::fmt;
use std::str::FromStr;

/// The shape of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Schema {
    /// Detection Finding (class 2004) of the Open Cybersecurity Schema Framework.
    #[default]
    Ocsf,
    /// One small object: rule, time and where the event stands.
    Brief,
}

/// There is no schema of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown alert schema `{0}`: use `ocsf` or `brief`")]
pub struct UnknownSchema(pub String);

impl FromStr for Schema {
    type Err = UnknownSchema;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "ocsf" => Ok(Self::Ocsf),
            "brief" => Ok(Self::Brief),
            _ => Err(UnknownSchema(name.to_owned())),
        }
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ocsf => "ocsf",
            Self::Brief => "brief",
        })
    }
}
