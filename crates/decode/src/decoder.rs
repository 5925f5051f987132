//! The decoder: rows in, a record batch out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, RecordBatch, RecordBatchOptions};
use arrow::array::{TimestampNanosecondArray, UInt16Array};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use crate::block::{BLOCK_LIMIT, Blocks};
use crate::class::{AlternativeColumns, Classes};
use crate::column::Column;
use crate::duplicates;
use crate::event::{Event, Location};
use crate::parse::{self, Parser};
use crate::paths::{Paths, Role};
use crate::repair::repair;
use crate::spec::{DecoderSpec, Format, Logsource, SpecError, ValuesWanted};
use crate::spelling::Spelling;
use crate::text;
use crate::time::EventTime;
use crate::trails::Trails;
use crate::walk::{Header, Seen, Walk};
use crate::windows::logsources::Logsources;
use crate::windows::shapes::Shapes;
use simd_json::Node;

/// Where event time usually stands in JSON, the first that can be read winning.
const JSON_TIMES: &[&str] = &[
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "eventTime",
    "event_time",
    "datetime",
    "date",
    "_time",
];

/// One log record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row<'a> {
    /// Its bytes; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// When it arrived by the log's own account, in nanoseconds since the epoch.
    pub timestamp_ns: Option<i64>,
}

/// What became of the rows of one call.
#[derive(Debug)]
pub struct Decoded {
    /// The events; see the [crate] for the columns.
    pub batch: RecordBatch,
    /// For each row of the batch, the index of the row it came from.
    pub source_row: Vec<u32>,
    /// Rows that are not events. Together with `source_row` this accounts for every row.
    pub bad: Vec<BadRow>,
    /// Events whose time lay in the future, and that go by their arrival instead.
    pub clamped: u64,
    /// Events without a time that can be read, and that go by their arrival instead.
    pub untimed: u64,
    /// How far event time has come, in nanoseconds since the epoch: the latest time that an event gave itself or, where none
    /// did, the latest arrival of those without a time. A clamped time is no evidence of time passing.
    pub frontier_ns: Option<i64>,
}

/// A row that is not an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Index of the row.
    pub source_row: u32,
    /// Why, where in the record, and what to do about it.
    pub reason: String,
}

/// Turns records into batches; see the [crate].
pub struct Decoder {
    limits: Limits,
    paths: Paths,
    weak_nulls: bool,
    /// How lines are written, where they are text.
    text: Option<Format>,
    /// The wanted fields, then those only needed as alternatives of others.
    columns: Vec<Column>,
    wanted: usize,
    values: Column,
    classes: Classes,
    blocks: Blocks,
    parser: Parser,
    seen: Seen,
    trails: Trails,
    extra: Vec<u8>,
    alias: String,
    times: Vec<i64>,
    class_ids: Vec<u16>,
    schema: SchemaRef,
    item: FieldRef,
    /// A column that no row has; the same for all such columns of a batch.
    absent: ArrayRef,
}

struct Limits {
    max_record_bytes: usize,
    max_depth: usize,
    future_ns: i64,
}

impl Decoder {
    /// A decoder for this spec.
    ///
    /// # Errors
    /// If the spec contradicts itself.
    pub fn new(spec: DecoderSpec) -> Result<Self, SpecError> {
        Self::with_block_limit(spec, BLOCK_LIMIT)
    }

    fn with_block_limit(spec: DecoderSpec, block_limit: usize) -> Result<Self, SpecError> {
        spec.validate()?;
        let mut fields = spec.fields.clone();
        let (paths, classes) = match spec.format {
            Format::Json | Format::Access | Format::Syslog | Format::Auditd => {
                let classes = Classes::declared(spec.logsource, spec.values_for);
                (
                    json_paths(&fields, spec.timestamp.field.as_deref()),
                    classes,
                )
            }
            Format::Windows => {
                let table = Logsources::load()?;
                let alternatives = alternative_columns(&mut fields, &table);
                let paths = windows_paths(&fields, spec.timestamp.field.as_deref());
                (
                    paths,
                    Classes::windows(spec.logsource, spec.values_for, table, alternatives),
                )
            }
        };
        let item: FieldRef = Arc::new(Field::new_list_field(DataType::Utf8View, true));
        Ok(Self {
            limits: Limits {
                max_record_bytes: spec.max_record_bytes,
                max_depth: spec.max_depth,
                future_ns: spec.timestamp.future_ns,
            },
            seen: Seen::new(&paths),
            trails: Trails::new(&paths),
            paths,
            weak_nulls: spec.format == Format::Windows,
            text: Some(spec.format).filter(|format| format.is_text()),
            columns: fields.iter().map(|_| Column::default()).collect(),
            wanted: spec.fields.len(),
            values: Column::default(),
            classes,
            blocks: Blocks::new(block_limit),
            parser: Parser::new(spec.max_depth),
            extra: Vec::new(),
            alias: String::new(),
            times: Vec::new(),
            class_ids: Vec::new(),
            schema: schema(&spec.fields, &item),
            absent: Arc::new(ListArray::new_null(Arc::clone(&item), 0)),
            item,
        })
    }

    /// The classes of events met so far: the logsources of each, by the ids in `_class`. Grows as new kinds of events
    /// are met; ids never change.
    pub fn classes(&self) -> &[Vec<Logsource>] {
        self.classes.logsources()
    }

    /// Decodes a batch of rows. `now_ns`, in nanoseconds since the epoch, is what future times are measured against.
    pub fn decode<'a>(&mut self, rows: impl IntoIterator<Item = Row<'a>>, now_ns: i64) -> Decoded {
        let mut source_row = Vec::with_capacity(self.times.capacity());
        let mut bad = Vec::new();
        let (mut clamped, mut untimed) = (0, 0);
        let (mut latest_own, mut latest_arrival) = (None, None);
        self.blocks.begin();
        for (index, row) in (0u32..).zip(rows) {
            match self.event(&row, now_ns) {
                Ok(time) => {
                    source_row.push(index);
                    match time {
                        EventTime::Own(ns) => latest_own = latest_own.max(Some(ns)),
                        EventTime::Clamped(_) => clamped += 1,
                        EventTime::Untimed(ns) => {
                            untimed += 1;
                            latest_arrival = latest_arrival.max(Some(ns));
                        }
                    }
                }
                Err(reason) => bad.push(BadRow {
                    source_row: index,
                    reason,
                }),
            }
        }
        let batch = self.finish().unwrap_or_else(|error| {
            // A fault of ours, not of the data: no event is lost, and the stream goes on.
            for column in self.columns.iter_mut().chain([&mut self.values]) {
                column.clear();
            }
            let reason = format!("haechi could not build a batch: {error}; report this record");
            bad.extend(source_row.drain(..).map(|source_row| BadRow {
                source_row,
                reason: reason.clone(),
            }));
            bad.sort_by_key(|row| row.source_row);
            (clamped, untimed) = (0, 0);
            (latest_own, latest_arrival) = (None, None);
            RecordBatch::new_empty(Arc::clone(&self.schema))
        });
        Decoded {
            batch,
            source_row,
            bad,
            clamped,
            untimed,
            frontier_ns: latest_own.or(latest_arrival),
        }
    }

    /// Decodes one row into the columns, or says why it is no event.
    fn event(&mut self, row: &Row<'_>, now_ns: i64) -> Result<EventTime, String> {
        let payload = row
            .payload
            .ok_or("no payload: a tombstone holds no event")?;
        if payload.len() > self.limits.max_record_bytes {
            return Err(format!(
                "the record has {} bytes, more than the limit of {}: split it or raise the input's record limit",
                payload.len(),
                self.limits.max_record_bytes
            ));
        }
        let said = payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload);
        if said.trim_ascii().is_empty() {
            return Err("empty payload: send one json object a record".to_owned());
        }
        let written;
        let json = match self.text {
            Some(format) => {
                written = text::to_json(format, said, row.timestamp_ns.unwrap_or(now_ns))?;
                written.as_slice()
            }
            None => said,
        };
        let start = self.blocks.append(json);
        let result = self.parse_and_walk(json, start, row.timestamp_ns, now_ns);
        result.map_err(|failure| {
            self.blocks.discard(start);
            match failure {
                Failure::NotAnObject(reason) => reason,
                Failure::Parse(error) => {
                    let skipped = payload.len() - said.len();
                    parse::reason(json, skipped, &error, self.limits.max_depth)
                }
            }
        })
    }

    /// Parses the record that was appended at `start`, and walks it.
    fn parse_and_walk(
        &mut self,
        json: &[u8],
        start: usize,
        record_ns: Option<i64>,
        now_ns: i64,
    ) -> Result<EventTime, Failure> {
        let block = self.blocks.index();
        let repaired;
        let mut source = json;
        let mut text = self.blocks.payload_mut(start);
        let mut address = text.as_ptr().addr();
        let tape = match self.parser.parse(text, source.len()) {
            Ok(tape) => tape,
            Err(error) => {
                repaired = repair(json).ok_or(Failure::Parse(error))?;
                source = &repaired;
                self.blocks.write_at(start, source);
                text = self.blocks.payload_mut(start);
                address = text.as_ptr().addr();
                let tape = self.parser.parse(text, source.len());
                tape.map_err(Failure::Parse)?
            }
        };
        if !matches!(tape.0.first(), Some(Node::Object { .. })) {
            let reason = parse::not_an_object(tape.0.first());
            self.parser.recycle(tape);
            return Err(Failure::NotAnObject(reason));
        }
        self.extra.clear();
        self.extra.shrink_to(KEEP_EXTRA);
        self.trails.begin_event();
        let location = Location {
            block,
            start,
            address,
            len: source.len(),
        };
        let walk = Walk {
            paths: &self.paths,
            event: Event {
                tape: &tape.0,
                spelling: Spelling::new(source, self.parser.structurals()),
                location,
                superseded: None,
            },
            extra: &mut self.extra,
            alias: &mut self.alias,
            columns: &mut self.columns,
            row: u32::try_from(self.class_ids.len()).unwrap_or(u32::MAX),
            seen: &mut self.seen,
            trails: &mut self.trails,
            weak_nulls: self.weak_nulls,
            header: Header::default(),
            time: None,
            duplicate: false,
        };
        let read = read(walk, &mut self.classes, &mut self.values);
        self.parser.recycle(tape);
        if read.values == ValuesWanted::Depends {
            self.values_if_wanted(&read, source, location);
        }
        self.blocks.keep(start, source.len(), &self.extra);
        let time = EventTime::decide(read.said_ns, record_ns, now_ns, self.limits.future_ns);
        self.times.push(time.ns());
        self.class_ids.push(read.class_id);
        Ok(time)
    }

    /// Adds all values of the record that was parsed last, if its text shows that they are wanted. Hardly ever: so the record is parsed
    /// once more for that, from what it was before its strings were unescaped.
    fn values_if_wanted(&mut self, read: &Read, source: &[u8], mut location: Location) {
        let text = self.blocks.payload_mut(location.start);
        let text = text.get(..source.len()).unwrap_or_default();
        if !self.classes.wants_values(read.class_id, text) {
            return;
        }
        self.blocks.write_at(location.start, source);
        let text = self.blocks.payload_mut(location.start);
        location.address = text.as_ptr().addr();
        // What was parsed a moment ago can be parsed again.
        let Ok(tape) = self.parser.parse(text, source.len()) else {
            return;
        };
        let mut event = Event {
            tape: &tape.0,
            spelling: Spelling::new(source, self.parser.structurals()),
            location,
            superseded: read.duplicate.then(|| duplicates::superseded(&tape.0)),
        };
        let row = u32::try_from(self.class_ids.len()).unwrap_or(u32::MAX);
        self.values.mark(row, 0);
        event.all_values(&mut self.values, row, 0);
        self.parser.recycle(tape);
    }

    /// Ends the batch.
    fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = self.class_ids.len();
        let blocks = self.blocks.finish();
        let times = std::mem::replace(&mut self.times, Vec::with_capacity(rows));
        let class_ids = std::mem::replace(&mut self.class_ids, Vec::with_capacity(rows));
        if self.absent.len() != rows {
            self.absent = Arc::new(ListArray::new_null(Arc::clone(&self.item), rows));
        }
        let (wanted, others) = self.columns.split_at_mut(self.wanted);
        others.iter_mut().for_each(Column::clear);

        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(3 + wanted.len());
        arrays.push(Arc::new(TimestampNanosecondArray::from(times)));
        arrays.push(Arc::new(UInt16Array::from(class_ids)));
        for column in [&mut self.values].into_iter().chain(wanted) {
            arrays.push(match column.is_empty() {
                true => Arc::clone(&self.absent),
                false => column.finish(rows, &self.item, &blocks)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
    }
}

/// Room for objects' texts that is kept from event to event, in bytes.
const KEEP_EXTRA: usize = 1 << 20;

/// Why a record is not an event.
enum Failure {
    Parse(simd_json::Error),
    NotAnObject(String),
}

/// What a walk over an event found beside the wanted fields.
struct Read {
    class_id: u16,
    /// The time that the event says.
    said_ns: Option<i64>,
    /// Which events of the class carry all values.
    values: ValuesWanted,
    /// A wanted key stands twice in an object.
    duplicate: bool,
}

/// Walks an event to the end: the wanted fields, its class, and what the class asks for beyond them.
fn read(mut walk: Walk<'_, '_>, classes: &mut Classes, values: &mut Column) -> Read {
    walk.object(Paths::ROOT, 0);
    let duplicate = walk.duplicate;
    if duplicate {
        walk.restart(duplicates::superseded(walk.event.tape));
        walk.object(Paths::ROOT, 0);
    }
    let mut read = Read {
        class_id: classes.of(&walk.header),
        said_ns: walk.time.map(|(_, time)| time),
        values: ValuesWanted::Never,
        duplicate,
    };
    if let Some(class) = classes.get(read.class_id) {
        for &(field, other) in &class.alternatives {
            if let Ok([field, other]) = walk.columns.get_disjoint_mut([field, other])
                && !field.has(walk.row)
            {
                field.copy_row(other, walk.row);
            }
        }
        read.values = class.values;
        if class.values == ValuesWanted::Always {
            values.mark(walk.row, 0);
            walk.event.all_values(values, walk.row, 0);
        }
    }
    read
}

fn schema(fields: &[String], item: &FieldRef) -> SchemaRef {
    let list = |name: &str| Field::new(name, DataType::List(Arc::clone(item)), true);
    let own = [
        Field::new(
            "_time",
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            false,
        ),
        Field::new("_class", DataType::UInt16, false),
        list("_values"),
    ];
    let wanted = fields.iter().map(|name| list(name));
    Arc::new(Schema::new(
        own.into_iter().chain(wanted).collect::<Vec<_>>(),
    ))
}

/// Where wanted fields and the time stand in plain JSON.
fn json_paths(fields: &[String], time_field: Option<&str>) -> Paths {
    let mut paths = Paths::new();
    for (index, field) in (0..).zip(fields) {
        let place = paths.descend(Paths::ROOT, field);
        paths.want(place, Role::Column(index), 1);
    }
    let usual = JSON_TIMES.iter().copied().filter(|_| time_field.is_none());
    for (rank, field) in (1..).zip(usual.chain(time_field).rev()) {
        let place = paths.descend(Paths::ROOT, field);
        paths.want(place, Role::Time, rank);
    }
    paths
}

/// Where wanted fields, the time and what decides the class stand in Windows events.
fn windows_paths(fields: &[String], time_field: Option<&str>) -> Paths {
    let mut shapes = Shapes::new();
    for (index, field) in (0..).zip(fields) {
        shapes.want(field, Role::Column(index));
    }
    shapes.want("Channel", Role::Channel);
    shapes.want("EventID", Role::EventId);
    shapes.want("EventType", Role::EventType);
    match time_field {
        Some(field) => shapes.want(field, Role::Time),
        None => shapes.want_time(),
    }
    shapes.build()
}

/// The columns of the alternatives for wanted fields; adds the alternatives that are not wanted themselves to `fields`.
fn alternative_columns(fields: &mut Vec<String>, table: &Logsources) -> Vec<AlternativeColumns> {
    let column = |fields: &[String], name: &str| fields.iter().position(|field| field == name);
    let wanted = fields.len();
    let mut found = Vec::new();
    for alternative in table.alternatives() {
        let Some(field) = column(fields, &alternative.field).filter(|&field| field < wanted) else {
            continue;
        };
        let other = column(fields, &alternative.other).unwrap_or_else(|| {
            fields.push(alternative.other.clone());
            fields.len() - 1
        });
        found.push(AlternativeColumns {
            field: alternative.field.clone(),
            other: alternative.other.clone(),
            columns: (field, other),
        });
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::array::AsArray;

    #[test]
    fn a_batch_may_take_several_blocks() {
        let records: Vec<String> = (0..50)
            .map(|i| format!(r#"{{"a":"value number {i:02} of fifty","b":{{"n":{i}.250}}}}"#))
            .collect();
        let decode = |limit| {
            let fields = vec!["a".to_owned(), "b".to_owned(), "b.n".to_owned()];
            let spec = DecoderSpec::new(Format::Json, fields);
            let mut decoder = Decoder::with_block_limit(spec, limit).unwrap();
            let rows = || {
                records.iter().map(|record| Row {
                    payload: Some(record.as_bytes()),
                    timestamp_ns: None,
                })
            };
            decoder.decode(rows(), 0);
            decoder.decode(rows(), 0).batch
        };
        let blocks = |batch: &RecordBatch| {
            let lists = batch.column(3).as_list::<i32>();
            lists.values().as_string_view().data_buffers().len()
        };
        let (one, many) = (decode(BLOCK_LIMIT), decode(200));
        assert_eq!(one, many);
        assert_eq!((blocks(&one), blocks(&many) > 20), (1, true));
    }
}
