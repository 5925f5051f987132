//! Values in an order: the first, the last, the n-th, all of them as a list or as one text.
//!
//! The order is that of `ORDER BY`, and below it that of the events: event time, then topic (by its hash), partition and offset. The
//! key of a row says all of it ([`super::super::order`]), so that no two rows are equal.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion_common::Result;

use super::super::key::KeyKind;
use super::datum::{self, Datum};
use super::{Summary, varint};

/// Lists and texts hold at most so many values: the first ones in their order.
pub(super) const LONGEST: usize = 1000;

/// Which of the values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Pick {
    First,
    Last,
    /// From 1.
    Nth(usize),
    List,
    Text {
        separator: String,
    },
}

/// What the query says of the aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ordered {
    pub(super) pick: Pick,
    pub(super) kind: KeyKind,
    /// The type of the values.
    pub(super) of: DataType,
    /// NULLs are values too.
    pub(super) nulls: bool,
    /// Equal values count once, and are in their own order.
    pub(super) distinct: bool,
}

impl Ordered {
    fn limit(&self) -> usize {
        match self.pick {
            Pick::First | Pick::Last => 1,
            Pick::Nth(place) => place,
            Pick::List | Pick::Text { .. } => LONGEST,
        }
    }

    /// The type of the result.
    pub(super) fn result(&self) -> DataType {
        match self.pick {
            Pick::First | Pick::Last | Pick::Nth(_) => self.of.clone(),
            Pick::List => DataType::List(self.item()),
            Pick::Text { .. } => DataType::Utf8,
        }
    }

    fn item(&self) -> Arc<Field> {
        Arc::new(Field::new_list_field(self.of.clone(), true))
    }
}

/// The values that may be picked, each with its key.
#[derive(Default)]
pub(super) struct Values {
    values: BTreeSet<(Box<[u8]>, Datum)>,
    bytes: usize,
}

impl Values {
    fn insert(&mut self, settings: &Ordered, key: &[u8], value: Datum) {
        let limit = settings.limit();
        let last = settings.pick == Pick::Last;
        if self.values.len() >= limit {
            // What could not stay need not be copied.
            let worst = if last {
                self.values.first()
            } else {
                self.values.last()
            };
            let order = |(other, datum): &(Box<[u8]>, Datum)| (key, &value).cmp(&(&**other, datum));
            let stays = worst
                .map(order)
                .is_some_and(|order| if last { order.is_gt() } else { order.is_lt() });
            if !stays {
                return;
            }
        }
        let bytes = key.len() + value.heap_size();
        if self.values.insert((key.into(), value)) {
            self.bytes += bytes;
        }
        if self.values.len() > limit {
            let gone = if last {
                self.values.pop_first()
            } else {
                self.values.pop_last()
            };
            if let Some((key, value)) = gone {
                self.bytes -= key.len() + value.heap_size();
            }
        }
    }

    fn picked(&self, pick: &Pick) -> Option<&Datum> {
        let value = match pick {
            Pick::Nth(place) => self.values.iter().nth(place.checked_sub(1)?),
            _ => self.values.first(),
        };
        value.map(|(_, value)| value)
    }

    fn text(&self, separator: &str) -> Option<String> {
        let texts = self.values.iter().filter_map(|(_, value)| match value {
            Datum::Text(text) => Some(&**text),
            _ => None,
        });
        let texts: Vec<&str> = texts.collect();
        (!texts.is_empty()).then(|| texts.join(separator))
    }
}

impl Summary for Values {
    type Settings = Ordered;

    fn add(&mut self, settings: &Ordered, arguments: &[ArrayRef], row: usize) {
        let [argument, keys] = arguments else {
            return;
        };
        let value = Datum::of(settings.kind, argument, row);
        if value == Datum::Null && !settings.nulls {
            return;
        }
        let keys = keys.as_binary::<i32>();
        let key: &[u8] = match &value {
            // NULL is the last of different values, as in ORDER BY.
            Datum::Null if settings.distinct => &[1],
            _ if settings.distinct => &[],
            _ => keys.value(row),
        };
        self.insert(settings, key, value);
    }

    fn absorb(&mut self, settings: &Ordered, mut entry: &[u8]) -> Option<()> {
        let length = usize::try_from(varint::take(&mut entry)?).ok()?;
        let (key, value) = entry.split_at_checked(length)?;
        self.insert(settings, key, Datum::take(value)?);
        Some(())
    }

    fn entries(&self, put: &mut dyn FnMut(&[u8])) {
        for (key, value) in &self.values {
            let mut entry = Vec::new();
            varint::put(&mut entry, key.len() as u64);
            entry.extend(key);
            value.put(&mut entry);
            put(&entry);
        }
    }

    fn results(settings: &Ordered, groups: &[Self]) -> Result<ArrayRef> {
        match &settings.pick {
            Pick::List => {
                let lengths = groups.iter().map(|group| group.values.len());
                let offsets = OffsetBuffer::from_lengths(lengths);
                let values = groups.iter().flat_map(|group| &group.values);
                let values = datum::array(settings.kind, values.map(|(_, value)| value));
                let values = cast(&values, &settings.of)?;
                // A list of nothing is NULL, as DataFusion has it.
                let present = groups.iter().map(|group| !group.values.is_empty());
                let lists = ListArray::try_new(
                    settings.item(),
                    offsets,
                    values,
                    Some(present.collect::<Vec<bool>>().into()),
                )?;
                Ok(Arc::new(lists))
            }
            Pick::Text { separator } => {
                let texts = groups.iter().map(|group| group.text(separator));
                Ok(Arc::new(texts.collect::<StringArray>()))
            }
            pick => {
                let values = groups.iter();
                let values = values.map(|group| group.picked(pick).unwrap_or(&Datum::Null));
                Ok(cast(&datum::array(settings.kind, values), &settings.of)?)
            }
        }
    }

    fn size(&self) -> usize {
        self.bytes + self.values.len() * 2 * size_of::<(Box<[u8]>, Datum)>()
    }
}
