//! Findings to bytes.

use crate::brief::Brief;
use crate::finding::Finding;
use crate::ocsf::DetectionFinding;
use crate::schema::Schema;
use crate::spelling::append;

/// How much of the evidence goes into an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A raw event above this many bytes is cut, and the alert says so.
    pub event_bytes: usize,
    /// Of more events than this, the first ones and the last one are listed, and the alert says how many are not.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: 64 << 10,
            events: 1000,
        }
    }
}

/// Writes findings in one schema.
#[derive(Debug, Clone, Copy)]
pub struct Renderer {
    /// The shape of the alerts.
    pub schema: Schema,
    /// How much of the evidence goes in. May change from one alert to the next, as when a topic refuses one for its size.
    pub limits: Limits,
}

impl Renderer {
    /// A renderer.
    pub fn new(schema: Schema, limits: Limits) -> Self {
        Self { schema, limits }
    }

    /// Appends the finding to `out`: one JSON object on one line, without a line end.
    pub fn render(&self, finding: &Finding<'_>, out: &mut Vec<u8>) {
        match self.schema {
            Schema::Ocsf => append(out, &DetectionFinding::new(finding, self.limits)),
            Schema::Brief => append(out, &Brief::new(finding, self.limits)),
        }
    }
}
