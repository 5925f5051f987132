//! Records with anything in them: each becomes a row or a bad row, in both formats.
#![no_main]

use haechi_decode::{Decoder, DecoderSpec, Format, Row};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let fields = ["f", "a.b", "EventID", "Image", "User Name"]
        .map(str::to_owned)
        .to_vec();
    for format in [Format::Json, Format::Windows] {
        let mut decoder = Decoder::new(DecoderSpec::new(format, fields.clone()))
            .expect("the specification is sound");
        let rows: Vec<Row<'_>> = bytes
            .split(|&byte| byte == b'\n')
            .map(|line| Row {
                payload: Some(line),
                timestamp_ns: Some(0),
            })
            .collect();
        let records = rows.len();
        let decoded = decoder.decode(rows, 1_772_359_200_000_000_000);
        assert_eq!(decoded.batch.num_rows() + decoded.bad.len(), records);
        assert_eq!(decoded.batch.num_rows(), decoded.source_row.len());
    }
});
