//! Bytes to Arrow: log records become [`RecordBatch`](arrow::array::RecordBatch)es that hold just
//! the fields somebody asked for.
//!
//! A [`Decoder`] is made once from a [`DecoderSpec`] (the format, the wanted fields, where the time
//! stands) and then fed batches of [`Row`]s. It never fails on data: a record that cannot be read is a
//! [`BadRow`] with its reason, and the batch goes on without it.
//!
//! # The batch
//! | column | type | meaning |
//! | --- | --- | --- |
//! | `_time` | `Timestamp(ns)`, not null | event time, UTC |
//! | `_class` | `UInt16`, not null | index into [`Decoder::classes`]: the logsources of the event |
//! | `_values` | `List<Utf8View>` | every scalar of the event, where keyword rules need it ([`ValuesFor`]); else null |
//! | one per wanted field | `List<Utf8View>` | null: absent · `[null]`: JSON null · one element: a scalar · several: an array, or several places of the event · `[]`: an empty array |
//!
//! Numbers and booleans become their JSON text, as spelled in the record (integers up to twelve
//! characters in their one canonical spelling, so `-0` reads `0`). An object where a value is wanted becomes its JSON text, as
//! spelled, so `requestParameters|contains: Suspended` looks inside; the members of an array of objects
//! one by one.
//!
//! # How it is fast
//! The payloads of a batch are copied once into one buffer, parsed and unescaped there in place, and
//! that buffer goes into the batch: the columns hold views into it. One pass over the parser's tape finds all the
//! wanted fields of an event, whatever their number (`paths`, `walk`). A field that an event does not have
//! costs that event nothing (`column`). Nothing is allocated per event.
//!
//! The price of doing this without `unsafe` is that Arrow checks the UTF-8 of each wanted value once
//! more when a batch is finished: about an eighth of the time in a development build.

mod block;
mod class;
mod column;
mod decoder;
mod duplicates;
mod event;
mod parse;
mod paths;
mod repair;
mod spec;
mod spelling;
mod text;
mod time;
mod trails;
mod walk;
mod windows;

pub use decoder::{BadRow, Decoded, Decoder, Row};
pub use spec::{DecoderSpec, Format, Logsource, SpecError, Timestamp, ValuesFor, ValuesWanted};
pub use windows::windows_logsources;
