//! Reading rule files.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codes::{self, Code};
use crate::diagnostic::{Diagnostic, Span};
use crate::document;
use crate::link::{self, Placed};
use crate::report::Report;
use crate::rule::RuleSet;
use crate::yaml;

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

/// What [`load`] found.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The rules that are sound.
    pub rules: RuleSet,
    /// What is wrong with the others, and warnings, in the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
    /// The text of every file read, for [`Diagnostic::render`].
    pub sources: HashMap<Arc<Path>, Arc<str>>,
    /// Files read.
    pub files: usize,
}

/// Loads rule files. A path is a file, or a folder whose `*.yml` and `*.yaml` files are all read, in the order of their paths;
/// hidden files and folders (as Kubernetes makes them beside mounted files) are passed over. A file that is reached
/// twice is read once. Rules may refer to each other across files.
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut walk = Walk::default();
    paths.iter().for_each(|path| walk.root(path));
    let mut loader = Loader {
        diagnostics: walk.diagnostics,
        ..Loader::default()
    };
    for path in walk.files {
        let file: Arc<Path> = path.into();
        match read(&file) {
            Ok(text) => loader.add(file, &text),
            Err((code, span, message)) => loader
                .diagnostics
                .push(Diagnostic::new(code, file, span, message)),
        }
    }
    loader.finish()
}

/// Loads one rule file from its text. `file` is only a name, for diagnostics.
pub fn load_str(file: &Path, text: &str) -> Loaded {
    let mut loader = Loader::default();
    loader.add(file.into(), text);
    loader.finish()
}

/// The files to read, each once.
#[derive(Default)]
struct Walk {
    files: Vec<PathBuf>,
    seen: HashSet<PathBuf>,
    diagnostics: Vec<Diagnostic>,
}

impl Walk {
    fn root(&mut self, path: &Path) {
        let before = self.files.len();
        let faults = self.diagnostics.len();
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => {
                self.folder(path, 0);
                if self.files.len() == before && self.diagnostics.len() == faults {
                    self.fault(
                        &codes::NO_FILES,
                        path,
                        "there is no rule file in this folder".to_owned(),
                    );
                }
            }
            Ok(_) => self.file(path),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn folder(&mut self, path: &Path, depth: usize) {
        if depth > MAX_FOLDERS || !self.is_new(path) {
            return;
        }
        let listed = fs::read_dir(path).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<Vec<_>>>()
        });
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        entries.sort();
        for entry in entries {
            let hidden = entry
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if hidden {
                continue;
            }
            match fs::metadata(&entry) {
                Ok(about) if about.is_dir() => self.folder(&entry, depth + 1),
                Ok(_) if is_rule_file(&entry) => self.file(&entry),
                Ok(_) => {}
                Err(error) if is_rule_file(&entry) => self.unreadable(&entry, &error),
                Err(_) => {}
            }
        }
    }

    fn file(&mut self, path: &Path) {
        if self.is_new(path) {
            self.files.push(path.to_owned());
        }
    }

    fn is_new(&mut self, path: &Path) -> bool {
        self.seen
            .insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.fault(&codes::UNREADABLE, path, format!("cannot be read: {error}"));
    }

    fn fault(&mut self, code: &'static Code, path: &Path, message: String) {
        self.diagnostics
            .push(Diagnostic::new(code, path.into(), START, message));
    }
}

fn is_rule_file(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml")
}

type Fault = (&'static Code, Span, String);

fn read(path: &Path) -> Result<String, Fault> {
    let unreadable = |error: io::Error| {
        (
            &codes::UNREADABLE,
            START,
            format!("cannot be read: {error}"),
        )
    };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err((
            &codes::TOO_BIG,
            START,
            format!("the file has {size} bytes, and {MAX_FILE} is the most"),
        ));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let sound = error
            .as_bytes()
            .get(..at)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default();
        (
            &codes::NOT_UTF8,
            yaml::place(sound, at),
            format!("the byte at offset {at} is not utf-8; save the file as utf-8"),
        )
    })
}

/// The rules of the files read so far.
#[derive(Default)]
struct Loader {
    drafts: Vec<Placed>,
    diagnostics: Vec<Diagnostic>,
    sources: HashMap<Arc<Path>, Arc<str>>,
    order: HashMap<Arc<Path>, usize>,
}

impl Loader {
    fn add(&mut self, file: Arc<Path>, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut report = Report::new(Arc::clone(&file), text);
        let (documents, problems) = yaml::parse(text);
        for problem in problems {
            report.add(problem.code, problem.span, problem.message);
        }
        let drafts = document::read_all(&documents, &mut report);
        self.drafts.extend(drafts.into_iter().map(|draft| Placed {
            file: Arc::clone(&file),
            draft,
        }));
        self.diagnostics.extend(report.into_diagnostics());
        self.order.insert(Arc::clone(&file), self.order.len());
        self.sources.insert(file, text.into());
    }

    fn finish(self) -> Loaded {
        let Self {
            drafts,
            mut diagnostics,
            sources,
            order,
        } = self;
        let rules = link::link(drafts, &mut diagnostics);
        // What could not be read stands before what could.
        diagnostics.sort_by_key(|found| {
            (
                order.get(&found.file).map(|at| at + 1),
                found.span.line,
                found.span.column,
            )
        });
        Loaded {
            rules,
            diagnostics,
            files: sources.len(),
            sources,
        }
    }
}
