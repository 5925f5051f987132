//! Record batches as bytes: one encapsulated Arrow IPC message, without the schema.
//!
//! Both ends know the schema (it follows from the rule, whose fingerprint covers it), and for the few rows that a commit
//! drains for one destination the schema would be most of the bytes.
//! Format: <https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format>.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::{
    DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use arrow::ipc::{MetadataVersion, reader::RecordBatchDecoder, root_as_message};

/// Buffers are padded to this many bytes; the least that Arrow allows, because partials are small.
const ALIGNMENT: usize = 8;
/// What stands before the metadata: a continuation marker and the length of the metadata.
const PREFIX: usize = 8;

/// Encodes the columns of a batch. Dictionary-encoded columns are not supported.
pub(crate) fn encode(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
    let (dictionaries, message) = IpcDataGenerator::default().encode(
        batch,
        &mut DictionaryTracker::new(true),
        &options,
        &mut IpcWriteContext::default(),
    )?;
    if !dictionaries.is_empty() {
        let reason = "a partial has a dictionary-encoded column";
        return Err(ArrowError::IpcError(reason.to_owned()));
    }
    let mut bytes = Vec::with_capacity(message.arrow_data.len() + 512);
    write_message(&mut bytes, message, &options)?;
    Ok(bytes)
}

/// Decodes what [`encode`] wrote for a batch of this schema. Everything is validated; bytes that are not such a batch are
/// an error that says why, whatever they are.
pub(crate) fn decode(bytes: &[u8], schema: SchemaRef) -> Result<RecordBatch, String> {
    // Arrow's reader checks what it reads, but not everywhere: some malformed lengths make it panic. Nothing of ours is
    // touched while it runs, so a panic leaves nothing behind.
    catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes, schema)))
        .unwrap_or_else(|_| Err("malformed arrow data".to_owned()))
}

fn decode_unguarded(bytes: &[u8], schema: SchemaRef) -> Result<RecordBatch, String> {
    let length = bytes.get(4..PREFIX).and_then(|bytes| bytes.first_chunk());
    let length = length.map_or(0, |length| u32::from_le_bytes(*length) as usize);
    let body = PREFIX.checked_add(length).ok_or("metadata too long")?;
    let metadata = bytes.get(PREFIX..body).ok_or("metadata cut short")?;
    let message = root_as_message(metadata).map_err(|error| format!("arrow message: {error}"))?;
    let header = message
        .header_as_record_batch()
        .ok_or("not an arrow record batch")?;
    if header.compression().is_some() {
        // Compressed buffers state their own uncompressed length, which could be anything.
        return Err("compressed arrow data".to_owned());
    }
    let data = Buffer::from(bytes.get(body..).unwrap_or_default());
    let version = message.version();
    let dictionaries = HashMap::new();
    let batch = RecordBatchDecoder::try_new(&data, header, schema, &dictionaries, &version)
        .and_then(RecordBatchDecoder::read_record_batch)
        .map_err(|error| format!("arrow data: {error}"))?;
    // Again, because the reader takes the row count from the message where there is no column to tell.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let (schema, columns, _) = batch.into_parts();
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| format!("arrow data: {error}"))
}
