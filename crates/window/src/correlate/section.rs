//! Events of correlations in the exchange.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int32Array, Int64Array, ListArray,
    ListBuilder, PrimitiveArray, RecordBatch, StringArray, StringBuilder, StructArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Fields, Float64Type, Int32Type, Int64Type, Schema,
    SchemaRef, UInt32Type,
};

use super::value::{ValueKind, Values};
use super::{Event, group_key};
use crate::WindowError;
use crate::frame::{Fingerprint, FrameError, Section, SectionKind, corrupt};
use crate::ipc;

/// What the events of a section look like. One row per group; `rule` is an index into the section's fingerprints, `topic` one into
/// the record's topic names.
struct Layout {
    event: Fields,
    schema: SchemaRef,
}

static PLAIN: LazyLock<Layout> = LazyLock::new(|| Layout::new(None));
static NUMBERS: LazyLock<Layout> = LazyLock::new(|| Layout::new(Some(DataType::Float64)));
/// A tuple is written as a group's key is.
static TUPLES: LazyLock<Layout> = LazyLock::new(|| Layout::new(Some(DataType::Binary)));

impl Layout {
    fn new(value: Option<DataType>) -> Self {
        let mut event = vec![
            Field::new("time", DataType::Int64, false),
            Field::new("topic", DataType::UInt32, false),
            Field::new("partition", DataType::Int32, false),
            Field::new("offset", DataType::Int64, false),
            Field::new("position", DataType::UInt32, false),
        ];
        event.extend(value.map(|of| Field::new("value", of, false)));
        let event = Fields::from(event);
        let values = Field::new_list_field(DataType::Utf8, true);
        let schema = Schema::new(vec![
            Field::new("rule", DataType::UInt32, false),
            Field::new("group", DataType::List(Arc::new(values)), false),
            Field::new("events", DataType::List(event_field(&event)), false),
        ]);
        Self {
            event,
            schema: Arc::new(schema),
        }
    }

    fn of(kind: ValueKind) -> &'static Self {
        match kind {
            ValueKind::None => &PLAIN,
            ValueKind::Number => &NUMBERS,
            ValueKind::Tuple => &TUPLES,
        }
    }
}

fn event_field(event: &Fields) -> Arc<Field> {
    Arc::new(Field::new_list_field(
        DataType::Struct(event.clone()),
        false,
    ))
}

/// The writers for one exchange partition, by what the events look like.
pub(crate) struct SectionWriters {
    plain: EventsWriter,
    numbers: EventsWriter,
    tuples: EventsWriter,
    quotes: EventsWriter,
}

impl SectionWriters {
    /// Writers of sections of at most about `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            plain: EventsWriter::new(ValueKind::None, SectionKind::Events, limit),
            numbers: EventsWriter::new(ValueKind::Number, SectionKind::Numbers, limit),
            tuples: EventsWriter::new(ValueKind::Tuple, SectionKind::Tuples, limit),
            quotes: EventsWriter::new(ValueKind::Tuple, SectionKind::Quotes, limit),
        }
    }

    /// For events with their records as their values.
    pub(super) fn quotes(&mut self) -> &mut EventsWriter {
        &mut self.quotes
    }

    pub(super) fn of(&mut self, kind: ValueKind) -> &mut EventsWriter {
        match kind {
            ValueKind::None => &mut self.plain,
            ValueKind::Number => &mut self.numbers,
            ValueKind::Tuple => &mut self.tuples,
        }
    }

    /// The sections.
    pub(crate) fn finish(self) -> Result<Vec<Section>, WindowError> {
        let mut sections = self.plain.finish()?;
        sections.extend(self.numbers.finish()?);
        sections.extend(self.tuples.finish()?);
        sections.extend(self.quotes.finish()?);
        Ok(sections)
    }
}

/// Bytes of an event in a section.
const EVENT_BYTES: usize = 28;
/// Bytes of a group in a section, beside its values and events.
const GROUP_BYTES: usize = 16;
/// Bytes of a section that are not values: message, padding.
const OVERHEAD_BYTES: usize = 1024;

/// Writes the events for one exchange partition into sections that stay below a limit.
pub(super) struct EventsWriter {
    kind: ValueKind,
    section: SectionKind,
    limit: usize,
    done: Vec<Section>,
    bytes: usize,
    rules: Vec<Fingerprint>,
    rule: Vec<u32>,
    group: ListBuilder<StringBuilder>,
    lengths: Vec<usize>,
    time: Vec<i64>,
    topic: Vec<u32>,
    partition: Vec<i32>,
    offset: Vec<i64>,
    position: Vec<u32>,
    numbers: Vec<f64>,
    tuples: Vec<Box<[u8]>>,
}

impl EventsWriter {
    fn new(kind: ValueKind, section: SectionKind, limit: usize) -> Self {
        Self {
            kind,
            section,
            limit,
            done: Vec::new(),
            bytes: OVERHEAD_BYTES,
            rules: Vec::new(),
            rule: Vec::new(),
            group: ListBuilder::new(StringBuilder::new()),
            lengths: Vec::new(),
            time: Vec::new(),
            topic: Vec::new(),
            partition: Vec::new(),
            offset: Vec::new(),
            position: Vec::new(),
            numbers: Vec::new(),
            tuples: Vec::new(),
        }
    }

    /// Adds the events of a group. `place` gives a source's topic (as an index into the record's topics) and partition.
    pub(super) fn add(
        &mut self,
        rule: Fingerprint,
        key: &[u8],
        events: &[Event],
        values: &Values,
        mut place: impl FnMut(u32) -> Option<(u32, i32)>,
    ) -> Result<(), WindowError> {
        let group = GROUP_BYTES + key.len() + size_of::<Fingerprint>();
        let mut open = false;
        for (at, event) in events.iter().enumerate() {
            let value = match values {
                Values::None => 0,
                Values::Numbers(_) => size_of::<f64>(),
                Values::Tuples(tuples) => tuples.get(at).map_or(0, |tuple| 4 + tuple.len()),
            };
            let new = if open { 0 } else { group };
            if self.bytes + new + EVENT_BYTES + value > self.limit && !self.rule.is_empty() {
                self.cut()?;
                open = false;
            }
            if !open {
                self.open(rule, key);
                self.bytes += group;
                open = true;
            }
            self.bytes += EVENT_BYTES + value;
            let (topic, partition) = place(event.source).unwrap_or((u32::MAX, -1));
            self.time.push(event.time_ns);
            self.topic.push(topic);
            self.partition.push(partition);
            self.offset.push(event.offset);
            self.position.push(event.position);
            match values {
                Values::None => {}
                Values::Numbers(numbers) => self.numbers.extend(numbers.get(at)),
                Values::Tuples(tuples) => self.tuples.extend(tuples.get(at).cloned()),
            }
            self.lengths
                .last_mut()
                .into_iter()
                .for_each(|length| *length += 1);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Section>, WindowError> {
        self.cut()?;
        Ok(self.done)
    }

    /// Begins a row for a group.
    fn open(&mut self, rule: Fingerprint, key: &[u8]) {
        // Groups come rule by rule.
        if self.rules.last() != Some(&rule) {
            self.rules.push(rule);
        }
        self.rule
            .push(u32::try_from(self.rules.len() - 1).unwrap_or(u32::MAX));
        for value in group_key::values(key) {
            self.group.values().append_option(value);
        }
        self.group.append(true);
        self.lengths.push(0);
    }

    fn cut(&mut self) -> Result<(), WindowError> {
        if self.rule.is_empty() {
            return Ok(());
        }
        let layout = Layout::of(self.kind);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(std::mem::take(&mut self.time))),
            Arc::new(UInt32Array::from(std::mem::take(&mut self.topic))),
            Arc::new(Int32Array::from(std::mem::take(&mut self.partition))),
            Arc::new(Int64Array::from(std::mem::take(&mut self.offset))),
            Arc::new(UInt32Array::from(std::mem::take(&mut self.position))),
        ];
        let tuples = std::mem::take(&mut self.tuples);
        let numbers = std::mem::take(&mut self.numbers);
        match self.kind {
            ValueKind::None => {}
            ValueKind::Number => columns.push(Arc::new(Float64Array::from(numbers))),
            ValueKind::Tuple => {
                columns.push(Arc::new(BinaryArray::from_iter_values(tuples)));
            }
        }
        let events = StructArray::try_new(layout.event.clone(), columns, None)?;
        let offsets = OffsetBuffer::from_lengths(std::mem::take(&mut self.lengths));
        let events =
            ListArray::try_new(event_field(&layout.event), offsets, Arc::new(events), None)?;
        let rule = UInt32Array::from(std::mem::take(&mut self.rule));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rule),
            Arc::new(self.group.finish()),
            Arc::new(events),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&layout.schema), columns)?;
        self.done.push(Section {
            kind: self.section,
            rules: std::mem::take(&mut self.rules),
            body: ipc::encode(&batch)?,
        });
        self.bytes = OVERHEAD_BYTES;
        Ok(())
    }
}

/// The events of one group, as read from the exchange.
#[derive(Debug)]
pub(crate) struct GroupEvents {
    pub(crate) rule: Fingerprint,
    pub(crate) key: Vec<u8>,
    /// How many values `key` has.
    pub(crate) key_values: usize,
    pub(crate) events: Vec<Event>,
    pub(super) values: Values,
}

/// Reads a section of events. `source` numbers a source, given its topic (as an index into the record's topics) and partition.
pub(crate) fn decode_section(
    section: &Section,
    kind: ValueKind,
    mut source: impl FnMut(u32, i32) -> Result<u32, FrameError>,
) -> Result<Vec<GroupEvents>, FrameError> {
    let batch = ipc::decode(&section.body, Arc::clone(&Layout::of(kind).schema))
        .map_err(FrameError::Corrupt)?;
    let [rule, group, events] = batch.columns() else {
        return Err(corrupt("a section of events without its columns"));
    };
    let rule = rule.as_primitive::<UInt32Type>();
    let (group, events) = (group.as_list::<i32>(), events.as_list::<i32>());
    let flat = FlatEvents::of(events)?;
    let mut groups = Vec::with_capacity(batch.num_rows());
    for (row, &index) in rule.values().iter().enumerate() {
        let rule = section.rules.get(index as usize).copied();
        let rule = rule.ok_or_else(|| corrupt("it refers to a rule that it does not name"))?;
        let key_values = group.value(row);
        let mut key = Vec::new();
        for value in key_values.as_string::<i32>() {
            group_key::push(&mut key, value);
        }
        let range = range(events, row);
        let values = flat.values(kind, range.clone())?;
        let mut decoded = Vec::with_capacity(range.len());
        for at in range {
            decoded.push(flat.event(at, &mut source)?);
        }
        groups.push(GroupEvents {
            rule,
            key,
            key_values: StringArray::len(key_values.as_string()),
            events: decoded,
            values,
        });
    }
    Ok(groups)
}

/// The rows of a list's values that belong to one row of the list.
fn range(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offset = |row: usize| list.value_offsets().get(row).copied().unwrap_or(0);
    let at = |row| usize::try_from(offset(row)).unwrap_or(0);
    at(row)..at(row + 1)
}

/// Whether a number is one that stage 1 sends.
fn usable(number: f64) -> bool {
    crate::rollup::usable_number(number).is_some()
}

/// The columns of all events of a section.
struct FlatEvents<'a> {
    time: &'a [i64],
    topic: &'a [u32],
    partition: &'a [i32],
    offset: &'a [i64],
    position: &'a [u32],
    value: Option<&'a ArrayRef>,
}

impl<'a> FlatEvents<'a> {
    fn of(events: &'a ListArray) -> Result<Self, FrameError> {
        let [time, topic, partition, offset, position, value @ ..] =
            events.values().as_struct().columns()
        else {
            return Err(corrupt("a section of events without its columns"));
        };
        Ok(Self {
            time: values::<Int64Type>(time),
            topic: values::<UInt32Type>(topic),
            partition: values::<Int32Type>(partition),
            offset: values::<Int64Type>(offset),
            position: values::<UInt32Type>(position),
            value: value.first(),
        })
    }

    /// The values of some events.
    fn values(&self, kind: ValueKind, range: std::ops::Range<usize>) -> Result<Values, FrameError> {
        let missing = || corrupt("events without the values that they need");
        Ok(match (kind, self.value) {
            (ValueKind::None, _) => Values::None,
            (ValueKind::Number, Some(column)) => {
                let numbers = values::<Float64Type>(column)
                    .get(range)
                    .ok_or_else(missing)?;
                if !numbers.iter().all(|number| usable(*number)) {
                    return Err(corrupt("a value that is no usable number"));
                }
                Values::Numbers(numbers.to_vec())
            }
            (ValueKind::Tuple, Some(column)) => {
                let column = column.as_binary::<i32>();
                if range.end > column.len() {
                    return Err(missing());
                }
                Values::Tuples(range.map(|at| column.value(at).into()).collect())
            }
            (_, None) => return Err(missing()),
        })
    }

    fn event(
        &self,
        at: usize,
        source: &mut impl FnMut(u32, i32) -> Result<u32, FrameError>,
    ) -> Result<Event, FrameError> {
        let missing = || corrupt("a group refers to events that are not there");
        let topic = *self.topic.get(at).ok_or_else(missing)?;
        let partition = *self.partition.get(at).ok_or_else(missing)?;
        Ok(Event {
            time_ns: *self.time.get(at).ok_or_else(missing)?,
            offset: *self.offset.get(at).ok_or_else(missing)?,
            source: source(topic, partition)?,
            position: *self.position.get(at).ok_or_else(missing)?,
        })
    }
}

fn values<T: ArrowPrimitiveType>(column: &ArrayRef) -> &[T::Native] {
    PrimitiveArray::<T>::values(column.as_primitive())
}
