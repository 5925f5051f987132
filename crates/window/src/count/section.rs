//! Events of correlations in the exchange.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, ListArray, ListBuilder, PrimitiveArray,
    RecordBatch, StringArray, StringBuilder, StructArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Fields, Int32Type, Int64Type, Schema, SchemaRef,
    UInt32Type,
};

use super::{Event, group_key};
use crate::WindowError;
use crate::frame::{Fingerprint, FrameError, Section, SectionKind, corrupt};
use crate::ipc;

/// One row per group. `rule` is an index into the section's fingerprints; `topic` one into the record's topic names.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let values = Field::new_list_field(DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        Field::new("rule", DataType::UInt32, false),
        Field::new("group", DataType::List(Arc::new(values)), false),
        Field::new("events", DataType::List(event_field()), false),
    ]))
});

static EVENT: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        Field::new("time", DataType::Int64, false),
        Field::new("topic", DataType::UInt32, false),
        Field::new("partition", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("position", DataType::UInt32, false),
    ])
});

fn event_field() -> Arc<Field> {
    Arc::new(Field::new_list_field(
        DataType::Struct(EVENT.clone()),
        false,
    ))
}

/// Bytes of an event in a section.
const EVENT_BYTES: usize = 28;
/// Bytes of a group in a section, beside its values and events.
const GROUP_BYTES: usize = 16;
/// Bytes of a section that are not values: message, padding.
const OVERHEAD_BYTES: usize = 1024;

/// Writes the events for one exchange partition into sections that stay below a limit.
pub(crate) struct EventsWriter {
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
}

impl EventsWriter {
    /// A writer of sections of at most about `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
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
        }
    }

    /// Adds the events of a group. `place` gives a source's topic (as an index into the record's topics) and partition.
    pub(crate) fn add(
        &mut self,
        rule: Fingerprint,
        key: &[u8],
        mut events: &[Event],
        mut place: impl FnMut(u32) -> Option<(u32, i32)>,
    ) -> Result<(), WindowError> {
        while !events.is_empty() {
            let group = GROUP_BYTES + key.len() + size_of::<Fingerprint>();
            if self.bytes + group + EVENT_BYTES > self.limit && !self.rule.is_empty() {
                self.cut()?;
            }
            let room = self.limit.saturating_sub(self.bytes + group) / EVENT_BYTES;
            let fits = room.clamp(1, events.len());
            let (now, later) = events.split_at(fits);
            self.bytes += group + now.len() * EVENT_BYTES;
            self.push(rule, key, now, &mut place);
            events = later;
        }
        Ok(())
    }

    /// The sections.
    pub(crate) fn finish(mut self) -> Result<Vec<Section>, WindowError> {
        self.cut()?;
        Ok(self.done)
    }

    fn push(
        &mut self,
        rule: Fingerprint,
        key: &[u8],
        events: &[Event],
        mut place: impl FnMut(u32) -> Option<(u32, i32)>,
    ) {
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
        self.lengths.push(events.len());
        for event in events {
            let (topic, partition) = place(event.source).unwrap_or((u32::MAX, -1));
            self.time.push(event.time_ns);
            self.topic.push(topic);
            self.partition.push(partition);
            self.offset.push(event.offset);
            self.position.push(event.position);
        }
    }

    fn cut(&mut self) -> Result<(), WindowError> {
        if self.rule.is_empty() {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(std::mem::take(&mut self.time))),
            Arc::new(UInt32Array::from(std::mem::take(&mut self.topic))),
            Arc::new(Int32Array::from(std::mem::take(&mut self.partition))),
            Arc::new(Int64Array::from(std::mem::take(&mut self.offset))),
            Arc::new(UInt32Array::from(std::mem::take(&mut self.position))),
        ];
        let events = StructArray::try_new(EVENT.clone(), columns, None)?;
        let offsets = OffsetBuffer::from_lengths(std::mem::take(&mut self.lengths));
        let events = ListArray::try_new(event_field(), offsets, Arc::new(events), None)?;
        let rule = UInt32Array::from(std::mem::take(&mut self.rule));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rule),
            Arc::new(self.group.finish()),
            Arc::new(events),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns)?;
        self.done.push(Section {
            kind: SectionKind::Events,
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
    pub(crate) values: usize,
    pub(crate) events: Vec<Event>,
}

/// Reads a section of events. `source` numbers a source, given its topic (as an index into the record's topics) and partition.
pub(crate) fn decode_section(
    section: &Section,
    mut source: impl FnMut(u32, i32) -> Result<u32, FrameError>,
) -> Result<Vec<GroupEvents>, FrameError> {
    let batch = ipc::decode(&section.body, Arc::clone(&SCHEMA)).map_err(FrameError::Corrupt)?;
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
        let values = group.value(row);
        let mut key = Vec::new();
        for value in values.as_string::<i32>() {
            group_key::push(&mut key, value);
        }
        let range = range(events, row);
        let mut decoded = Vec::with_capacity(range.len());
        for at in range {
            decoded.push(flat.event(at, &mut source)?);
        }
        groups.push(GroupEvents {
            rule,
            key,
            values: StringArray::len(values.as_string()),
            events: decoded,
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

/// The columns of all events of a section.
struct FlatEvents<'a> {
    time: &'a [i64],
    topic: &'a [u32],
    partition: &'a [i32],
    offset: &'a [i64],
    position: &'a [u32],
}

impl<'a> FlatEvents<'a> {
    fn of(events: &'a ListArray) -> Result<Self, FrameError> {
        let [time, topic, partition, offset, position] = events.values().as_struct().columns()
        else {
            return Err(corrupt("a section of events without its columns"));
        };
        Ok(Self {
            time: values::<Int64Type>(time),
            topic: values::<UInt32Type>(topic),
            partition: values::<Int32Type>(partition),
            offset: values::<Int64Type>(offset),
            position: values::<UInt32Type>(position),
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
