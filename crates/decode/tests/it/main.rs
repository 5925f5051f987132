//! What a decoder makes of records, seen from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking"
)]

mod adversarial;
mod json;
mod laws;
mod real_data;
mod windows;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{TimestampNanosecondType, UInt16Type};
use haechi_decode::{
    Decoded, Decoder, DecoderSpec, Format, Logsource, Row, ValuesFor, ValuesWanted,
};

/// 2024-01-01 00:00:00 UTC, the time of all tests.
pub(crate) const NOW: i64 = 1_704_067_200_000_000_000;

/// The values of a field in a row: `None` if it is absent, `Some(None)` for a null among them.
pub(crate) type Values = Option<Vec<Option<String>>>;

pub(crate) fn spec(format: Format, fields: &[&str]) -> DecoderSpec {
    DecoderSpec::new(
        format,
        fields.iter().map(|&field| field.to_owned()).collect(),
    )
}

pub(crate) fn rows<'a>(records: &'a [impl AsRef<[u8]>]) -> impl Iterator<Item = Row<'a>> {
    records.iter().map(|record| Row {
        payload: Some(record.as_ref()),
        timestamp_ns: None,
    })
}

/// Decodes one record that must be an event.
pub(crate) fn decode_one(format: Format, fields: &[&str], record: &str) -> Decoded {
    let decoded = Decoder::new(spec(format, fields))
        .unwrap()
        .decode(rows(&[record]), NOW);
    assert_eq!(decoded.bad, [], "{record}");
    decoded
}

pub(crate) fn values(batch: &RecordBatch, column: &str, row: usize) -> Values {
    let lists = batch.column_by_name(column).unwrap().as_list::<i32>();
    lists.is_valid(row).then(|| {
        let list = lists.value(row);
        let list = list.as_string_view();
        list.iter().map(|value| value.map(str::to_owned)).collect()
    })
}

pub(crate) fn time(batch: &RecordBatch, row: usize) -> i64 {
    batch["_time"]
        .as_primitive::<TimestampNanosecondType>()
        .value(row)
}

pub(crate) fn class(batch: &RecordBatch, row: usize) -> u16 {
    batch["_class"].as_primitive::<UInt16Type>().value(row)
}

/// All wanted fields and values of every row, to compare batches by what they say.
pub(crate) fn contents(batch: &RecordBatch) -> Vec<Vec<Values>> {
    let names: Vec<_> = batch.schema().fields()[2..]
        .iter()
        .map(|field| field.name().clone())
        .collect();
    (0..batch.num_rows())
        .map(|row| names.iter().map(|name| values(batch, name, row)).collect())
        .collect()
}

/// Checks one field of one record.
pub(crate) fn expect(format: Format, field: &str, record: &str, expected: Option<&[Option<&str>]>) {
    let decoded = decode_one(format, &[field], record);
    let expected = expected.map(|values| {
        values
            .iter()
            .map(|value| value.map(str::to_owned))
            .collect::<Vec<_>>()
    });
    assert_eq!(
        values(&decoded.batch, field, 0),
        expected,
        "{field} of {record}"
    );
}
