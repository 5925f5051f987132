//! Opening a file of log lines: plain, gzip or zstd, told apart by their first bytes, or standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use flate2::bufread::MultiGzDecoder;

/// The path that means standard input.
pub(super) const STDIN: &str = "-";

/// Bytes read from a file at once; zstd's preferred input size is the same.
const READ_BYTES: usize = 128 << 10;

/// A file opened for reading its uncompressed bytes.
pub(super) struct Input {
    /// The uncompressed bytes.
    pub(super) reader: Box<dyn Read>,
    /// How it is compressed, for messages.
    pub(super) compression: Compression,
    /// How many bytes of the file itself the reader has used.
    pub(super) used: Arc<AtomicU64>,
    /// When the file was last written, in nanoseconds since 1970. `None` for what is not a regular file.
    pub(super) modified_ns: Option<i64>,
    /// Its bytes come as someone writes them: what has come should not wait for more.
    pub(super) live: bool,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several.
    Zstd,
}

impl Compression {
    fn detect(start: &[u8]) -> Self {
        match *start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable frame before it (RFC 8878, 3.1).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

impl Input {
    /// Opens `path`, or standard input for `-`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == STDIN {
            return Self::new(Box::new(io::stdin()), None, true);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let modified_ns = if metadata.is_file() {
            nanoseconds(&metadata)
        } else {
            None
        };
        Self::new(Box::new(file), modified_ns, !metadata.is_file())
    }

    /// Reads `source`, whatever its compression.
    pub(super) fn new(
        mut source: Box<dyn Read>,
        modified_ns: Option<i64>,
        live: bool,
    ) -> io::Result<Self> {
        let mut start = Vec::with_capacity(4);
        source.by_ref().take(4).read_to_end(&mut start)?;
        let compression = Compression::detect(&start);
        let used = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: Cursor::new(start).chain(BufReader::with_capacity(READ_BYTES, source)),
            used: Arc::clone(&used),
        };
        let reader: Box<dyn Read> = match compression {
            Compression::Plain => Box::new(counted),
            Compression::Gzip => Box::new(buffered(MultiGzDecoder::new(counted))),
            Compression::Zstd => {
                Box::new(buffered(zstd::stream::read::Decoder::with_buffer(counted)?))
            }
        };
        Ok(Self {
            reader,
            compression,
            used,
            modified_ns,
            live,
        })
    }
}

fn buffered<R: Read>(reader: R) -> BufReader<R> {
    BufReader::with_capacity(READ_BYTES, reader)
}

fn nanoseconds(metadata: &std::fs::Metadata) -> Option<i64> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}

/// Counts the bytes that whoever reads it has used up; unlike a count of reads, it is not ahead by a buffer.
struct Counted<R> {
    inner: R,
    used: Arc<AtomicU64>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.used.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.used.fetch_add(amount as u64, Ordering::Relaxed);
        self.inner.consume(amount);
    }
}
