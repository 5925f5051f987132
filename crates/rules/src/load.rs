//! Reading rule files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::document;
use crate::link::{self, Placed};
use crate::pipeline::Pipelines;
use crate::report::Report;
use crate::rule::RuleSet;
use crate::walk::{self, Walk};
use crate::yaml;

/// What [`load()`] found.
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
/// hidden files and folders (as Kubernetes makes them beside mounted files) and `*.test.yml`, the tests of rules, are passed over. A file that is reached
/// twice is read once. Rules may refer to each other across files.
pub fn load(paths: &[PathBuf]) -> Loaded {
    load_through(paths, &Pipelines::default())
}

/// Loads rule files as [`load()`] does, and puts what they hold through processing pipelines.
pub fn load_through(paths: &[PathBuf], pipelines: &Pipelines) -> Loaded {
    let mut walk = Walk::default();
    paths.iter().for_each(|path| walk.add(path));
    let mut loader = Loader {
        diagnostics: walk.diagnostics,
        ..Loader::default()
    };
    for path in walk.files {
        let file: Arc<Path> = path.into();
        match walk::read(&file) {
            Ok(text) => loader.add(file, &text),
            Err((code, span, message)) => loader
                .diagnostics
                .push(Diagnostic::new(code, file, span, message)),
        }
    }
    loader.finish(pipelines)
}

/// Loads one rule file from its text. `file` is only a name, for diagnostics.
pub fn load_str(file: &Path, text: &str) -> Loaded {
    load_str_through(file, text, &Pipelines::default())
}

/// Loads one rule file from its text, through processing pipelines.
pub fn load_str_through(file: &Path, text: &str, pipelines: &Pipelines) -> Loaded {
    let mut loader = Loader::default();
    loader.add(file.into(), text);
    loader.finish(pipelines)
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

    fn finish(self, pipelines: &Pipelines) -> Loaded {
        let Self {
            drafts,
            mut diagnostics,
            mut sources,
            order,
        } = self;
        let files = sources.len();
        let rules = link::link(drafts, pipelines, &mut diagnostics);
        diagnostics.extend_from_slice(&pipelines.diagnostics);
        sources.extend(pipelines.sources.clone());
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
            files,
            sources,
        }
    }
}
