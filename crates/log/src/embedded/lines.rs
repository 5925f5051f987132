//! A file's lines, as blocks of records.

use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use memchr::{memchr, memrchr};

use super::file::{Compression, Input};
use crate::slab::{Pool, Slab};
use crate::{LogError, Records, TopicPartition};

/// A line longer than this ends the file with an error: it is no log line, and memory has an end.
const LONGEST_LINE: usize = 1 << 30;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts a file into blocks of whole lines.
///
/// A record's offset is its 0-based line number. Line ends are `\n` or `\r\n`; the last line needs none. Empty lines
/// have a number but no record. A UTF-8 byte order mark at the file's start is not part of its first line.
pub(super) struct Lines {
    name: String,
    input: Input,
    /// Where buffers come from and go back to.
    pool: Arc<Pool>,
    /// Begins with the bytes read that are not yet part of a block; the others are of no meaning.
    buffer: Vec<u8>,
    filled: usize,
    next_line: i64,
    block_rows: usize,
    block_bytes: usize,
    state: State,
}

enum State {
    Reading,
    /// The file is over; `pending` may hold its last lines.
    Over,
    /// Reading failed; `pending` may hold whole lines from before.
    Failed(LogError),
}

impl Lines {
    /// Opens `path` and cuts it into blocks of about this many records and bytes.
    pub(super) fn open(
        path: &Path,
        block_rows: usize,
        block_bytes: usize,
        pool: &Arc<Pool>,
    ) -> Result<Self, LogError> {
        let name = path.display().to_string();
        let input = Input::open(path)
            .map_err(|error| LogError::fatal(format!("cannot read `{name}`: {error}")))?;
        Ok(Self::new(name, input, block_rows, block_bytes, pool))
    }

    fn new(
        name: String,
        input: Input,
        block_rows: usize,
        block_bytes: usize,
        pool: &Arc<Pool>,
    ) -> Self {
        Self {
            name,
            input,
            pool: Arc::clone(pool),
            buffer: pool.take(),
            filled: 0,
            next_line: 0,
            block_rows: block_rows.max(1),
            block_bytes: block_bytes.max(1),
            state: State::Reading,
        }
    }

    /// How many lines have been cut, empty ones included.
    pub(super) fn next_line(&self) -> i64 {
        self.next_line
    }

    /// How many bytes of the file itself have been used.
    pub(super) fn used(&self) -> u64 {
        self.input.used.load(Ordering::Relaxed)
    }

    /// The next block, as records of `at`; `None` at the end. Lines from before an error come before the error.
    pub(super) fn next(&mut self, at: &TopicPartition) -> Result<Option<Records>, LogError> {
        loop {
            self.fill();
            let whole = match self.state {
                State::Over => self.filled,
                // What follows the last line end may have been cut short.
                _ => memrchr(b'\n', self.pending()).map_or(0, |end| end + 1),
            };
            if whole == 0 {
                return match std::mem::replace(&mut self.state, State::Over) {
                    State::Failed(error) => {
                        self.filled = 0;
                        Err(error)
                    }
                    _ => Ok(None),
                };
            }
            let records = self.cut(at, whole);
            if !records.is_empty() {
                return Ok(Some(records));
            }
        }
    }

    /// Reads until a block is full and holds a whole line, or there is no more, or (live input) no more for now.
    fn fill(&mut self) {
        if !matches!(self.state, State::Reading) {
            return;
        }
        let mut has_line = memchr(b'\n', self.pending()).is_some();
        while self.filled < self.block_bytes || !has_line {
            if self.filled == self.buffer.len() {
                // A line longer than a block.
                self.buffer.resize(self.buffer.len().max(1) * 2, 0);
            }
            let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let length = match self.input.reader.read(room) {
                Ok(0) => {
                    self.state = State::Over;
                    return;
                }
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.state = State::Failed(self.failure(&error));
                    return;
                }
            };
            let come = room.get(..length).unwrap_or_default();
            has_line = has_line || memchr(b'\n', come).is_some();
            self.filled += length;
            if self.input.live && has_line {
                return;
            }
            if !has_line && self.filled > LONGEST_LINE {
                self.state = State::Failed(self.overlong());
                self.buffer = self.pool.take();
                self.filled = 0;
                return;
            }
        }
    }

    /// Bytes read that are not yet part of a block.
    fn pending(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    /// Cuts a block from the first `whole` bytes of `pending`, which are whole lines.
    fn cut(&mut self, at: &TopicPartition, whole: usize) -> Records {
        let spans = self.spans(whole);
        let data = self.cut_bytes(spans.used);
        let mut records = Records::over(at.clone(), 0, data);
        for (line, start, length) in spans.lines {
            records.push_span(line, self.input.modified_ns, start, length);
        }
        records.skip_to(self.next_line);
        records
    }

    /// Takes the first `used` bytes of `pending` away.
    fn cut_bytes(&mut self, used: usize) -> Slab {
        let rest = self.buffer.get(used..self.filled).unwrap_or_default();
        let large = self.buffer.len() > self.pool.bytes();
        // Many small blocks shall not each hold a whole buffer.
        let little = used < self.buffer.len() / 2;
        if little && !(large && rest.len() <= self.pool.bytes()) {
            let data = self.buffer.get(..used).unwrap_or_default().to_vec();
            self.buffer.copy_within(used..self.filled, 0);
            self.filled -= used;
            return data.into();
        }
        let mut next = self.pool.take();
        if next.len() < rest.len() {
            next.resize(rest.len(), 0);
        }
        if let Some(start) = next.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        self.filled = rest.len();
        let mut buffer = std::mem::replace(&mut self.buffer, next);
        if little {
            buffer.truncate(used);
            buffer.shrink_to_fit();
        }
        Slab::of(buffer, used, &self.pool)
    }

    /// Where the lines lie in the first `whole` bytes of `pending`, up to a block's number of rows.
    fn spans(&mut self, whole: usize) -> Spans {
        let bytes = self.buffer.get(..whole).unwrap_or_default();
        let mut spans = Spans {
            lines: Vec::new(),
            used: 0,
        };
        while spans.lines.len() < self.block_rows && spans.used < bytes.len() {
            let rest = bytes.get(spans.used..).unwrap_or_default();
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let mut line = rest.get(..end).unwrap_or_default();
            line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut start = spans.used;
            if self.next_line == 0 && line.starts_with(BYTE_ORDER_MARK) {
                start += BYTE_ORDER_MARK.len();
                line = line.get(BYTE_ORDER_MARK.len()..).unwrap_or_default();
            }
            if !line.is_empty() {
                spans.lines.push((self.next_line, start, line.len()));
            }
            self.next_line = self.next_line.saturating_add(1);
            spans.used = bytes.len().min(spans.used + end + 1);
        }
        spans
    }

    fn failure(&self, error: &io::Error) -> LogError {
        let what = match self.input.compression {
            Compression::Plain => "cannot be read",
            Compression::Gzip => "is not whole, sound gzip",
            Compression::Zstd => "is not whole, sound zstd",
        };
        LogError::fatal(format!(
            "`{}` {what} at byte {}: {error}; the lines before that were read",
            self.name,
            self.used()
        ))
    }

    fn overlong(&self) -> LogError {
        LogError::fatal(format!(
            "`{}` has no line end in {} MiB before byte {}: is it a log? the lines before that were read",
            self.name,
            LONGEST_LINE >> 20,
            self.used()
        ))
    }
}

struct Spans {
    /// Line number, start and length of each line that is not empty.
    lines: Vec<(i64, usize, usize)>,
    /// How many bytes they and their line ends take.
    used: usize,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    type Read = (Vec<(i64, Vec<u8>)>, Option<String>);

    /// Every line of a file with these bytes, and the error at its end.
    fn read(bytes: &[u8], block_rows: usize, block_bytes: usize) -> Read {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let pool = Pool::new(block_bytes + 3);
        let mut lines = Lines::open(file.path(), block_rows, block_bytes, &pool).unwrap();
        let at = TopicPartition::new("f", 0);
        let mut all = Vec::new();
        loop {
            match lines.next(&at) {
                Ok(Some(records)) => {
                    assert!(!records.is_empty() && records.len() <= block_rows);
                    assert!(records.iter().all(|record| record.timestamp_ns.is_some()));
                    all.extend(
                        records
                            .iter()
                            .map(|record| (record.offset, record.payload.unwrap().to_vec())),
                    );
                }
                Ok(None) => return (all, None),
                Err(error) => {
                    assert!(matches!(lines.next(&at), Ok(None)));
                    return (all, Some(error.to_string()));
                }
            }
        }
    }

    fn numbered(lines: &[(i64, &str)]) -> Vec<(i64, Vec<u8>)> {
        lines
            .iter()
            .map(|(number, line)| (*number, line.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn lines_have_their_numbers_whatever_the_line_ends_and_block_sizes() {
        let text = b"\xef\xbb\xbfone\r\n\n\r\ntwo\n  \nlast";
        let expected = numbered(&[(0, "one"), (3, "two"), (4, "  "), (5, "last")]);
        for rows in [1, 2, 100] {
            for bytes in [1, 4, 7, 1 << 20] {
                assert_eq!(read(text, rows, bytes), (expected.clone(), None));
                assert_eq!(read(&gzip(text), rows, bytes), (expected.clone(), None));
                assert_eq!(read(&zstd(text), rows, bytes), (expected.clone(), None));
            }
        }
        assert_eq!(read(b"", 9, 9), (vec![], None));
        assert_eq!(read(b"\n\n\n", 9, 9), (vec![], None));
    }

    #[test]
    fn several_frames_or_members_are_one_file() {
        let expected = numbered(&[(0, "ab"), (1, "c"), (2, "d")]);
        let joined = |encode: fn(&[u8]) -> Vec<u8>| [encode(b"a"), encode(b"b\nc\nd")].concat();
        assert_eq!(read(&joined(gzip), 9, 9), (expected.clone(), None));
        assert_eq!(read(&joined(zstd), 9, 9), (expected.clone(), None));
        let skippable = [b"\x50\x2a\x4d\x18\x02\0\0\0xx".to_vec(), joined(zstd)].concat();
        assert_eq!(read(&skippable, 9, 9), (expected, None));
    }

    #[test]
    fn a_damaged_file_gives_its_whole_lines_and_says_where_it_broke() {
        let text: Vec<u8> = (0..50_000)
            .flat_map(|i: u32| {
                format!("line {} {}\n", i, i.wrapping_mul(2_654_435_761)).into_bytes()
            })
            .collect();
        for (encoded, name) in [(gzip(&text), "gzip"), (zstd(&text), "zstd")] {
            let cut = &encoded[..encoded.len() / 2];
            let (lines, error) = read(cut, 100, 1 << 16);
            let error = error.unwrap();
            assert!(
                error.contains(name) && error.contains(&format!("at byte {}", cut.len())),
                "{error}"
            );
            assert!(lines.len() > 5_000, "only {} lines", lines.len());
            let original = text.split(|byte| *byte == b'\n');
            assert!(
                lines
                    .iter()
                    .zip(original)
                    .all(|((_, line), whole)| line == whole)
            );
            assert_eq!(lines.last().unwrap().0 + 1, lines.len() as i64);

            let trailing = [encoded.as_slice(), b"garbage"].concat();
            let (lines, error) = read(&trailing, 100, 1 << 16);
            assert_eq!(lines.len(), 50_000);
            assert!(error.unwrap().contains("at byte"), "{name}");
        }
    }

    #[test]
    fn a_long_line_is_delivered_whole() {
        let long = vec![b'x'; 3 << 20];
        let text = [b"a\n".as_slice(), &long, b"\nb\n"].concat();
        let (lines, error) = read(&zstd(&text), 10, 1 << 10);
        assert_eq!(error, None);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].1.len(), long.len());
    }

    #[test]
    fn what_comes_slowly_is_delivered_as_it_comes() {
        /// Gives one piece per read.
        struct Pieces<I>(I);
        impl<I: Iterator<Item = &'static [u8]>> io::Read for Pieces<I> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let piece = self.0.next().unwrap_or_default();
                buffer[..piece.len()].copy_from_slice(piece);
                Ok(piece.len())
            }
        }
        let pieces: [&[u8]; 4] = [b"one\n", b"two\nth", b"ree\n", b"four"];
        let pieces = Pieces(pieces.into_iter());
        let input = Input::new(Box::new(pieces), None, true).unwrap();
        let mut lines = Lines::new("-".into(), input, 100, 1000, &Pool::new(1000));
        let mut blocks = Vec::new();
        while let Some(block) = lines.next(&TopicPartition::new("-", 0)).unwrap() {
            blocks.push(block.iter().map(|record| record.offset).collect::<Vec<_>>());
        }
        assert_eq!(blocks, [vec![0], vec![1], vec![2], vec![3]]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Lines::open(Path::new("/nowhere/x.log"), 1, 1, &Pool::new(1))
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .starts_with("cannot read `/nowhere/x.log`: ")
        );
    }
}
