//! One wanted field of a batch: the rows that have it, and views of its values. Rows without the
//! field leave no trace until the batch is finished.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, StringViewArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;

/// Values of one field, row by row, rows in ascending order.
#[derive(Default)]
pub(crate) struct Column {
    /// The rows that have the field…
    rows: Vec<u32>,
    /// … and where in `views` the values of each begin.
    starts: Vec<u32>,
    views: Vec<u128>,
    /// Indices in `views` that are JSON nulls.
    nulls: Vec<u32>,
    /// How strong a claim the values of the last row have to the field.
    rank: u8,
}

impl Column {
    /// Makes `row` have the field and tells whether a value of this rank counts: a stronger one drops the
    /// weaker ones before it, an equal one stands beside them.
    fn admit(&mut self, row: u32, rank: u8) -> bool {
        if self.rows.last() != Some(&row) {
            self.rows.push(row);
            self.starts.push(self.end());
            self.rank = rank;
            return true;
        }
        if rank > self.rank {
            self.drop_values_of_last_row();
            self.rank = rank;
        }
        rank == self.rank
    }

    /// Adds a value to `row`; `None` is JSON null.
    #[inline]
    pub(crate) fn write(&mut self, row: u32, rank: u8, view: Option<u128>) {
        if self.admit(row, rank) {
            if view.is_none() {
                self.nulls.push(self.end());
            }
            self.views.push(view.unwrap_or_default());
        }
    }

    /// Makes `row` have the field, whether or not a value follows.
    pub(crate) fn mark(&mut self, row: u32, rank: u8) {
        self.admit(row, rank);
    }

    /// Whether `row`, the last one written, has the field.
    pub(crate) fn has(&self, row: u32) -> bool {
        self.rows.last() == Some(&row)
    }

    /// Gives `row` the values that it has in `from`.
    pub(crate) fn copy_row(&mut self, from: &Self, row: u32) {
        if !from.has(row) {
            return;
        }
        self.mark(row, from.rank);
        let start = from.starts.last().map_or(0, |&start| start as usize);
        for (index, &view) in from.views.iter().enumerate().skip(start) {
            let null = from.nulls.iter().rev().any(|&null| null as usize == index);
            self.write(row, from.rank, (!null).then_some(view));
        }
    }

    /// Takes back everything written for `row`, if it is the last one.
    pub(crate) fn discard(&mut self, row: u32) {
        if self.has(row) {
            self.drop_values_of_last_row();
            self.rows.pop();
            self.starts.pop();
        }
    }

    /// Forgets the batch.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.starts.clear();
        self.views.clear();
        self.nulls.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn end(&self) -> u32 {
        // A batch's views are fewer than its bytes, and those fit in a few blocks; saturating keeps
        // the impossible case from wrapping into somebody else's values (Arrow then refuses the offsets).
        u32::try_from(self.views.len()).unwrap_or(u32::MAX)
    }

    fn drop_values_of_last_row(&mut self) {
        if let Some(&start) = self.starts.last() {
            self.views.truncate(start as usize);
            while self.nulls.last().is_some_and(|&null| null >= start) {
                self.nulls.pop();
            }
        }
    }

    /// The column as `List<Utf8View>` of `rows` rows over the batch's blocks; empties the builder.
    pub(crate) fn finish(
        &mut self,
        rows: usize,
        item: &FieldRef,
        blocks: &Arc<[Buffer]>,
    ) -> Result<ArrayRef, ArrowError> {
        let len = self.views.len();
        let end = i32::try_from(len).map_err(|_| {
            ArrowError::InvalidArgumentError(format!("{len} values in one column of a batch"))
        })?;
        let mut offsets = Vec::with_capacity(rows + 1);
        let mut present = vec![0u8; rows.div_ceil(8)];
        for (index, &row) in self.rows.iter().enumerate() {
            let start = self.starts.get(index).map_or(0, |&start| start as i32);
            offsets.resize(row as usize + 1, start);
            if let Some(byte) = present.get_mut(row as usize / 8) {
                *byte |= 1 << (row % 8);
            }
        }
        offsets.resize(rows + 1, end);
        let missing = rows - self.rows.len();
        let validity = (missing > 0)
            .then(|| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(present), 0, rows)));

        let nulls = (!self.nulls.is_empty()).then(|| {
            let mut valid = vec![true; len];
            for &null in &self.nulls {
                if let Some(slot) = valid.get_mut(null as usize) {
                    *slot = false;
                }
            }
            NullBuffer::from(valid)
        });
        // The next batch is probably much like this one.
        let mut views = std::mem::replace(&mut self.views, Vec::with_capacity(len));
        // Arrays live as long as their batch: do not let them hold on to spare room.
        if views.capacity() > 2 * len {
            views.shrink_to_fit();
        }
        self.clear();
        let values =
            StringViewArray::try_new(ScalarBuffer::from(views), Arc::clone(blocks), nulls)?;
        let list = ListArray::try_new(
            Arc::clone(item),
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            Arc::new(values),
            validity,
        )?;
        Ok(Arc::new(list))
    }
}
