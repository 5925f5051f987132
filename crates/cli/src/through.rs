//! What rules go through on their way in: processing pipelines, shipped ones by name and others by file, and placeholder files.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use haechi_rules::{Pipelines, Source};

use crate::args::ThroughArgs;
use crate::shipped;

/// The pipelines of a command line; `more` are named by the input's preset.
pub(crate) fn read(args: &ThroughArgs, more: Option<&str>) -> anyhow::Result<Pipelines> {
    let folder = Path::new("");
    let named = args.pipeline.iter().map(String::as_str);
    let more = more.filter(|more| named.clone().all(|name| name != *more));
    let pipelines = more
        .into_iter()
        .chain(named)
        .map(|name| pipeline(folder, name).map_err(|error| anyhow::anyhow!("--pipeline {error}")))
        .collect::<Result<Vec<_>, _>>()?;
    let placeholders = args
        .placeholders
        .iter()
        .map(|path| file(path).with_context(|| format!("--placeholders {}", path.display())))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Pipelines::read(&pipelines, &placeholders))
}

/// The pipelines and placeholder files of a configuration. They change as rules do.
#[derive(Debug, Clone)]
pub(crate) struct Through {
    pipelines: Vec<Source>,
    placeholders: Vec<Source>,
}

impl Through {
    pub(crate) fn new(pipelines: Vec<Source>, placeholders: Vec<Source>) -> Self {
        Self {
            pipelines,
            placeholders,
        }
    }

    /// What rules are loaded through.
    pub(crate) fn pipelines(&self) -> Pipelines {
        Pipelines::read(&self.pipelines, &self.placeholders)
    }

    /// The files; shipped pipelines have none.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let sources = self.pipelines.iter().chain(&self.placeholders);
        sources
            .map(|source| &*source.file)
            .filter(|file| !is_shipped(file))
    }

    /// As the files are now.
    pub(crate) fn reread(&self) -> anyhow::Result<Self> {
        let again = |sources: &[Source]| {
            let again = sources.iter().map(|source| {
                if is_shipped(&source.file) {
                    return Ok(source.clone());
                }
                file(&source.file)
                    .with_context(|| format!("{} cannot be read", source.file.display()))
            });
            again.collect::<anyhow::Result<Vec<_>>>()
        };
        Ok(Self {
            pipelines: again(&self.pipelines)?,
            placeholders: again(&self.placeholders)?,
        })
    }
}

/// Marks the name of a pipeline that is no file.
const SHIPPED: &str = " (shipped)";

fn is_shipped(file: &Path) -> bool {
    let name = file.to_str().and_then(|name| name.strip_suffix(SHIPPED));
    name.is_some_and(|name| shipped::pipeline(name).is_some())
}

/// A shipped pipeline by its name, or that of a file in `folder`.
pub(crate) fn pipeline(folder: &Path, name: &str) -> Result<Source, String> {
    if let Some(text) = shipped::pipeline(name) {
        return Ok(Source {
            file: Path::new(&format!("{name}{SHIPPED}")).into(),
            text: text.into(),
        });
    }
    file(&folder.join(name)).map_err(|error| {
        let shipped = shipped::pipelines().join(", ");
        format!("{name}: {error}; name a file, or one of the shipped pipelines: {shipped}")
    })
}

/// A file's text.
pub(crate) fn file(path: &Path) -> std::io::Result<Source> {
    let text: Arc<str> = std::fs::read_to_string(path)?.into();
    Ok(Source {
        file: path.into(),
        text,
    })
}
