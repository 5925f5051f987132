//! A record batch as the detector reads it.

use arrow::array::{Array, ArrayRef, ListArray, RecordBatch, StringViewArray, UInt16Array};
use arrow::datatypes::SchemaRef;

use crate::cache::Value;
use crate::error::DetectError;

/// The column of event classes.
const CLASS: &str = "_class";
/// The column of all values of an event.
const VALUES: &str = "_values";

/// Where in batches of one schema the columns are.
#[derive(Debug)]
pub(crate) struct Layout {
    schema: SchemaRef,
    class: usize,
    values: usize,
    /// Per field.
    fields: Vec<usize>,
}

impl Layout {
    /// Finds the columns in a schema.
    pub(crate) fn of<'f>(
        schema: &SchemaRef,
        fields: impl Iterator<Item = &'f str>,
    ) -> Result<Self, DetectError> {
        // The decoder's own columns come first; an event field of the same name comes later.
        let own = |name: &str| {
            schema
                .fields()
                .iter()
                .position(|column| column.name() == name)
        };
        let wanted = |name: &str| {
            schema
                .fields()
                .iter()
                .rposition(|column| column.name() == name)
        };
        let missing = |name: &str| DetectError::MissingColumn(name.to_owned());
        let class = own(CLASS).ok_or_else(|| missing(CLASS))?;
        let values = own(VALUES).ok_or_else(|| missing(VALUES))?;
        let fields: Result<Vec<usize>, DetectError> = fields
            .map(|name| wanted(name).ok_or_else(|| missing(name)))
            .collect();
        Ok(Self {
            schema: schema.clone(),
            class,
            values,
            fields: fields?,
        })
    }

    /// Whether the layout is that of a batch.
    pub(crate) fn fits(&self, batch: &RecordBatch) -> bool {
        let schema = batch.schema_ref();
        std::sync::Arc::ptr_eq(&self.schema, schema) || self.schema == *schema
    }

    /// The class of each row.
    pub(crate) fn classes<'b>(
        &self,
        batch: &'b RecordBatch,
    ) -> Result<&'b UInt16Array, DetectError> {
        let column = batch.columns().get(self.class);
        column
            .and_then(|array| array.as_any().downcast_ref())
            .ok_or_else(|| self.mistyped(self.class, "uint16"))
    }

    /// The texts of a field in each row.
    pub(crate) fn field<'b>(
        &self,
        batch: &'b RecordBatch,
        field: usize,
    ) -> Result<Texts<'b>, DetectError> {
        self.texts(batch, self.fields.get(field).copied().unwrap_or(usize::MAX))
    }

    /// All texts in each row, where they are wanted.
    pub(crate) fn values<'b>(&self, batch: &'b RecordBatch) -> Result<Texts<'b>, DetectError> {
        self.texts(batch, self.values)
    }

    fn texts<'b>(&self, batch: &'b RecordBatch, index: usize) -> Result<Texts<'b>, DetectError> {
        let typed = |array: &'b ArrayRef| {
            let lists: &ListArray = array.as_any().downcast_ref()?;
            let items: &StringViewArray = lists.values().as_any().downcast_ref()?;
            Some(Texts { lists, items })
        };
        batch
            .columns()
            .get(index)
            .and_then(typed)
            .ok_or_else(|| self.mistyped(index, "list of utf8view"))
    }

    fn mistyped(&self, index: usize, expected: &'static str) -> DetectError {
        let column = self.schema.fields().get(index);
        DetectError::ColumnType {
            column: column
                .map(|column| column.name().clone())
                .unwrap_or_default(),
            found: column
                .map(|column| column.data_type().to_string())
                .unwrap_or_default(),
            expected,
        }
    }
}

/// A column of lists of texts: no list, the field is absent; a null in it, the field has a null.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Texts<'b> {
    lists: &'b ListArray,
    items: &'b StringViewArray,
}

impl<'b> Texts<'b> {
    /// Whether the field is there, if only with a null.
    pub(crate) fn exists(&self, row: usize) -> bool {
        row < self.lists.len() && self.lists.is_valid(row)
    }

    /// The field's values in a row, nulls among them; nothing when it is absent.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = Option<&'b str>> + use<'b> {
        let range = if self.exists(row) {
            self.range(row)
        } else {
            0..0
        };
        let texts = *self;
        range.map(move |item| texts.value(item).map(|value| value.text))
    }

    /// The value at a place that [`Texts::each_row`] tells, unless it is null.
    #[inline]
    pub(crate) fn value(&self, item: usize) -> Option<Value<'b>> {
        let items = self.items;
        let &view = items.views().get(item)?;
        items.is_valid(item).then(|| Value {
            view,
            text: items.value(item),
        })
    }

    /// Calls `visit` with each row that has the field and the places of its values.
    pub(crate) fn each_row(&self, mut visit: impl FnMut(usize, std::ops::Range<usize>)) {
        match self.lists.nulls() {
            Some(nulls) => nulls
                .valid_indices()
                .for_each(|row| visit(row, self.range(row))),
            None => (0..self.lists.len()).for_each(|row| visit(row, self.range(row))),
        }
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let offset = |index: usize| {
            let offset = self.lists.value_offsets().get(index).copied().unwrap_or(0);
            usize::try_from(offset).unwrap_or(0)
        };
        offset(row)..offset(row + 1)
    }
}
