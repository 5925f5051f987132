//! The rules that ship with haechi, inside the binary: `haechi demo` works wherever it is called.

use std::path::{Path, PathBuf};

use haechi_rules::Loaded;
use include_dir::{Dir, include_dir};

static RULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../rules");
static PIPELINES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../pipelines");

/// The shipped pipeline of this name.
pub(crate) fn pipeline(name: &str) -> Option<&'static str> {
    PIPELINES
        .get_file(format!("{name}.yml"))
        .and_then(|file| file.contents_utf8())
}

/// The names of the shipped pipelines.
pub(crate) fn pipelines() -> Vec<String> {
    let mut names: Vec<String> = PIPELINES
        .files()
        .filter_map(|file| {
            Some(
                file.path()
                    .file_name()?
                    .to_str()?
                    .strip_suffix(".yml")?
                    .to_owned(),
            )
        })
        .collect();
    names.sort_unstable();
    names
}

/// The shipped rules or, when any are named, those at `paths`.
pub(crate) fn rules(paths: &[PathBuf]) -> Loaded {
    if !paths.is_empty() {
        return haechi_rules::load(paths);
    }
    let mut texts = Vec::new();
    collect(&RULES, &mut texts);
    texts.sort_unstable();
    let texts: Vec<&str> = texts.into_iter().map(|(_, text)| text).collect();
    // One text of many documents: correlations find the rules they refer to.
    haechi_rules::load_str(Path::new("shipped-rules.yml"), &texts.join("\n---\n"))
}

fn collect<'a>(folder: &'a Dir<'_>, texts: &mut Vec<(&'a Path, &'a str)>) {
    for file in folder.files() {
        let name = file.path().to_string_lossy();
        if name.ends_with(".yml") && !name.ends_with(".test.yml") {
            texts.extend(file.contents_utf8().map(|text| (file.path(), text)));
        }
    }
    for folder in folder.dirs() {
        collect(folder, texts);
    }
}
