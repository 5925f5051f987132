//! Rollups: SQL aggregates over tumbling windows of event time.
//!
//! `SELECT … FROM <input or logsource> WHERE … GROUP BY tumble(interval '1 minute'), <keys> HAVING …`
//!
//! The query is planned once, by DataFusion's SQL planner ([`RollupPlan`]). Stage 1 ([`RollupPartials`]) evaluates WHERE, keys and arguments
//! over batches and keeps grouped partial states; stage 2 ([`RollupWindows`]) merges the states of a window and, when the watermark
//! passes its end, evaluates HAVING and SELECT.
//!
//! # What a query can say
//! * Columns are the fields of the event, by the names that rules use (`"user.name"` or `user.name`), case-sensitive, and `_time` or
//!   `event_time`, the event's time. Of a field with several values it reads the first; an absent field and a JSON null are NULL.
//! * Fields are text unless declared under `types:`. Where a query calculates with text, compares it with a number, or takes `sum`
//!   or `avg` of it, the text is read as a number; what is no number is NULL. `min` and `max` compare text as text.
//! * Aggregates are `count`, `count(*)`, `count(DISTINCT x)`, `sum`, `min`, `max` and `avg`, each with `FILTER (WHERE …)` if wanted;
//!   SELECT and HAVING may calculate with them.
//! * A row on which an expression fails (a cast, a division by zero, an argument out of range) is NULL there.
//! * Sums and averages of floating point numbers are exact until they are rounded at the end, so they do not depend on the order of events.
//! * Texts over 8 KiB are shortened to their beginning and a hash in keys, `min`, `max` and `count(DISTINCT x)`.

mod columns;
mod context;
mod error;
mod evaluate;
mod exact_sum;
mod expansion;
mod footprint;
mod give_up;
mod groups;
mod json;
mod key;
mod number;
mod order;
mod parse;
mod partials;
mod plan;
mod refuse;
mod revisions;
mod rewrite;
mod rows;
mod saved;
mod saved_parts;
mod section;
mod sessions;
mod summary;
mod typing;
mod window;
mod windows;

pub(crate) use columns::ColumnCache;
pub(crate) use expansion::Expansion;
pub(crate) use number::{double as usable_double, usable as usable_number};
pub(crate) use partials::RollupPartials;
pub(crate) use plan::RollupPlan;
pub(crate) use section::{decode_section, rows_of};
pub(crate) use windows::RollupWindows;
