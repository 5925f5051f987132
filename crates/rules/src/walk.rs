//! Finding rule files and reading their bytes.

use std::collections::HashSet;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::codes::{self, Code};
use crate::diagnostic::{Diagnostic, Span};
use crate::place;

/// Largest rule file, in bytes.
const MAX_FILE: u64 = 16 << 20;
/// Deepest nesting of folders.
const MAX_FOLDERS: usize = 64;
/// Where to point when a file has no text.
const START: Span = Span {
    line: 1,
    column: 1,
    len: 0,
};

/// The files to read, each once, in order.
#[derive(Default)]
pub(crate) struct Walk {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Real paths of the files and folders seen.
    seen: HashSet<PathBuf>,
}

/// The rule files that these files and folders hold, each once, in the order in which they are loaded.
#[must_use]
pub fn files(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut walk = Walk::default();
    paths.iter().for_each(|path| walk.add(path));
    walk.files
}

impl Walk {
    /// Adds a file, or the rule files of a folder.
    pub(crate) fn add(&mut self, path: &Path) {
        let before = (self.files.len(), self.diagnostics.len());
        match path.canonicalize() {
            Ok(real) if real.is_dir() => {
                self.folder(path, &real, 0);
                if before == (self.files.len(), self.diagnostics.len()) {
                    self.fault(
                        &codes::NO_FILES,
                        path,
                        "there is no rule file in this folder",
                    );
                }
            }
            Ok(real) => self.file(path.to_owned(), real),
            // What has no path of its own, such as a pipe, can still be read.
            Err(_) if fs::metadata(path).is_ok() => self.file(path.to_owned(), path.to_owned()),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn folder(&mut self, path: &Path, real: &Path, depth: usize) {
        if depth > MAX_FOLDERS || !self.seen.insert(real.to_owned()) {
            return;
        }
        let listed = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            self.entry(&entry, real, depth);
        }
    }

    fn entry(&mut self, entry: &DirEntry, folder: &Path, depth: usize) {
        let path = entry.path();
        let is_rule = is_rule_file(&path);
        // A folder lists the kinds of its entries, so that only links cost a look of their own.
        let found = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => Ok((kind.is_dir(), folder.join(entry.file_name()))),
            _ => path.canonicalize().map(|real| (real.is_dir(), real)),
        };
        match found {
            Ok((true, real)) => self.folder(&path, &real, depth + 1),
            Ok((false, real)) if is_rule => self.file(path, real),
            Err(error) if is_rule => self.unreadable(&path, &error),
            Ok(_) | Err(_) => {}
        }
    }

    fn file(&mut self, path: PathBuf, real: PathBuf) {
        if self.seen.insert(real) {
            self.files.push(path);
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.fault(&codes::UNREADABLE, path, format!("cannot be read: {error}"));
    }

    fn fault(&mut self, code: &'static Code, path: &Path, message: impl Into<String>) {
        self.diagnostics
            .push(Diagnostic::new(code, path.into(), START, message));
    }
}

/// Why a file has no text: the code, the place and what to say.
type Fault = (&'static Code, Span, String);

/// Room for a rule file as most are, in bytes: read at once, and not piece by piece.
const USUAL_FILE: usize = 16 << 10;

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, Fault> {
    let unreadable = |error: io::Error| {
        (
            &codes::UNREADABLE,
            START,
            format!("cannot be read: {error}"),
        )
    };
    let mut bytes = Vec::with_capacity(USUAL_FILE);
    // One byte more than allowed tells a file that is too large, even where its size is not known before.
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    let size = read.map_err(unreadable)?;
    if size as u64 > MAX_FILE {
        return Err((
            &codes::TOO_BIG,
            START,
            format!("the file has more than {MAX_FILE} bytes"),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let sound = error
            .as_bytes()
            .get(..at)
            .and_then(|bytes| std::str::from_utf8(bytes).ok());
        let place = place::place(sound.unwrap_or_default(), at);
        (
            &codes::NOT_UTF8,
            place,
            format!("the byte at offset {at} is not utf-8; save the file as utf-8"),
        )
    })
}

/// `*.yml` and `*.yaml`, but for `*.test.yml` and `*.test.yaml`: those are a rule's tests, and stand beside it.
fn is_rule_file(path: &Path) -> bool {
    let yaml = path
        .extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml");
    let is_test = path
        .file_stem()
        .is_some_and(|stem| stem.as_encoded_bytes().ends_with(b".test"));
    yaml && !is_test
}
