//! What haechi says: alerts, rollup rows and late rows as JSON documents.
//!
//! Everything here is a pure function of what was found. The same finding gives the same bytes and the same
//! [`Uid`], whoever found it and however often; so a reader of the output topics can tell a repetition from news.
//! How things are found is not known here.
//!
//! * [`Finding`] is an alert before it has a shape. [`Renderer`] writes it as an OCSF Detection Finding or as one
//!   brief object, by [`Schema`].
//! * [`Rollup`] and [`Late`] have one shape each.
//! * Each of the three has a `uid` and a `key`. The key keeps one entity's messages in one partition, in order.

mod attack;
mod brief;
mod finding;
mod key;
mod late;
mod ocsf;
mod quote;
mod renderer;
mod rollup;
mod schema;
mod spelling;
mod uid;

pub use finding::{
    Computed, Coordinates, Emission, Evidence, Finding, Kind, Part, Recall, State, Suppression,
};
pub use late::{Late, LateSubject};
pub use renderer::{Limits, Renderer};
pub use rollup::Rollup;
pub use schema::{Schema, UnknownSchema};
pub use uid::{Opening, Uid, correlation_uid, finding_uid};
