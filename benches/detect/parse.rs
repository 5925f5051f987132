//! The yardstick: a SIMD parser that takes each line apart and throws the result away.

use std::fs;
use std::path::Path;

use haechi_benches::usage::own_cpu_seconds;

/// Processor seconds to parse every line of a file to a tape, as haechi's decoder does, into buffers that are used again.
pub(crate) fn to_tapes(events: &Path) -> f64 {
    let mut buffers = simd_json::Buffers::default();
    let mut tape = Some(simd_json::Tape::null().reset());
    each_line(events, simd_json::INPUT_PADDING, |line, length| {
        let mut filled = tape.take().unwrap_or_else(simd_json::Tape::null).reset();
        let parsed = simd_json::fill_tape_padded(line, length, &mut buffers, &mut filled).is_ok();
        tape = Some(filled.reset());
        parsed
    })
}

/// Processor seconds to parse every line of a file to a tree of values that borrow from it.
pub(crate) fn to_trees(events: &Path) -> f64 {
    let mut buffers = simd_json::Buffers::default();
    each_line(events, 0, |line, _| {
        simd_json::to_borrowed_value_with_buffers(line, &mut buffers).is_ok()
    })
}

/// `parse` gets each line, with so many bytes behind it, and its length; says whether it is sound.
///
/// Reading the file is not counted; copying a line to where it can be parsed in place is, as that is what any reader of a log has to do.
fn each_line(
    events: &Path,
    padding: usize,
    mut parse: impl FnMut(&mut [u8], usize) -> bool,
) -> f64 {
    let bytes = fs::read(events).unwrap();
    let mut copy: Vec<u8> = Vec::new();
    let mut parsed = 0;
    let begun = own_cpu_seconds();
    for line in bytes.split(|&byte| byte == b'\n') {
        copy.clear();
        copy.extend_from_slice(line);
        copy.resize(line.len() + padding, 0);
        parsed += usize::from(parse(&mut copy, line.len()));
    }
    let took = own_cpu_seconds() - begun;
    assert!(parsed > 0, "nothing was parsed");
    took
}
