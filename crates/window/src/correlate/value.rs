//! What a correlation looks at in an event, beside its group.

use arrow::array::RecordBatch;
use haechi_rules::CorrelationKind;

use super::group_key;
use crate::WindowError;
use crate::batch::{FieldColumn, First};
use crate::bounded::bounded;
use crate::rollup::usable_double;

/// What kind of value the events of a correlation have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// None: that they match is enough.
    None,
    /// A number.
    Number,
    /// Texts, of as many fields as the correlation names.
    Tuple,
}

impl ValueKind {
    pub(crate) fn of(kind: &CorrelationKind) -> Self {
        match kind {
            CorrelationKind::EventCount
            | CorrelationKind::Temporal
            | CorrelationKind::TemporalOrdered
            // The values are part of the group.
            | CorrelationKind::NewTerms { .. } => Self::None,
            CorrelationKind::ValueCount(_) => Self::Tuple,
            CorrelationKind::ValueSum(_)
            | CorrelationKind::ValueAvg(_)
            | CorrelationKind::ValueMedian(_)
            | CorrelationKind::ValuePercentile { .. } => Self::Number,
        }
    }

    /// An event's value, made of the texts of its fields; none when one is absent or null, or not a number where one is wanted.
    /// Such an event has nothing to look at, and does not take part.
    pub(crate) fn read<'a>(
        self,
        mut texts: impl Iterator<Item = Option<&'a str>>,
    ) -> Option<Value> {
        match self {
            Self::None => Some(Value::None),
            Self::Number => texts
                .next()?
                .and_then(|text| usable_double(text.trim()))
                .map(Value::Number),
            Self::Tuple => {
                let mut tuple = Vec::new();
                for text in texts {
                    group_key::push(&mut tuple, Some(&bounded(text?)));
                }
                Some(Value::Tuple(tuple.into()))
            }
        }
    }
}

/// An event's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    None,
    Number(f64),
    /// As [`group_key`] writes them.
    Tuple(Box<[u8]>),
}

/// The values of some events, in their order.
#[derive(Debug, Default)]
pub(crate) enum Values {
    #[default]
    None,
    Numbers(Vec<f64>),
    Tuples(Vec<Box<[u8]>>),
}

impl Values {
    pub(crate) fn new(kind: ValueKind) -> Self {
        match kind {
            ValueKind::None => Self::None,
            ValueKind::Number => Self::Numbers(Vec::new()),
            ValueKind::Tuple => Self::Tuples(Vec::new()),
        }
    }

    /// Appends a value of the same kind. Answers the bytes it takes.
    pub(crate) fn push(&mut self, value: Value) -> usize {
        match (self, value) {
            (Self::Numbers(numbers), Value::Number(number)) => {
                numbers.push(number);
                size_of::<f64>()
            }
            (Self::Tuples(tuples), Value::Tuple(tuple)) => {
                let bytes = size_of::<Box<[u8]>>() + tuple.len();
                tuples.push(tuple);
                bytes
            }
            _ => 0,
        }
    }
}

/// The columns that an event's value is made of, in one batch; a field that the batch does not have is absent from all of its events.
pub(crate) struct ValueColumns<'a> {
    kind: ValueKind,
    columns: Vec<Option<FieldColumn<'a>>>,
}

impl<'a> ValueColumns<'a> {
    pub(crate) fn find(
        kind: ValueKind,
        fields: &[String],
        batch: &'a RecordBatch,
    ) -> Result<Self, WindowError> {
        let columns = fields.iter().map(|field| FieldColumn::find(batch, field));
        Ok(Self {
            kind,
            columns: columns.collect::<Result<_, _>>()?,
        })
    }

    /// The value of a row; none when it has none to look at.
    pub(crate) fn value(&self, row: usize) -> Option<Value> {
        let first = |column: &Option<FieldColumn<'a>>| match column.as_ref()?.first(row) {
            First::Absent | First::Null => None,
            First::Text(text) => Some(text),
        };
        self.kind.read(self.columns.iter().map(first))
    }
}
