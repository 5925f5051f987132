//! Files and folders of rules.

use std::fs;
use std::path::{Path, PathBuf};

use haechi_rules::{Loaded, load};
use tempfile::TempDir;

fn rule(id: &str) -> String {
    format!(
        "title: {id}\nid: {id}\nlogsource: {{product: x}}\ndetection: {{sel: {{A: {id}}}, condition: sel}}\n"
    )
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder can be made");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder"))
            .expect("folders can be made");
        fs::write(path, text).expect("files can be written");
    }
    folder
}

fn ids(loaded: &Loaded) -> Vec<&str> {
    loaded
        .rules
        .detections
        .iter()
        .map(|rule| &*rule.header.id)
        .collect()
}

/// Codes of what was found, those about odd ids left out.
fn codes(loaded: &Loaded) -> Vec<&str> {
    loaded
        .diagnostics
        .iter()
        .map(|found| found.code)
        .filter(|code| *code != "HC102")
        .collect()
}

#[test]
fn folders_are_read_in_the_order_of_their_paths() {
    let folder = folder(&[
        ("b/2.yaml", &rule("b2")),
        ("b/1.yml", &rule("b1")),
        ("a.yml", &rule("a")),
        ("c.yml", &format!("{}---\n{}", rule("c1"), rule("c2"))),
        ("notes.txt", "not: [a rule"),
        (".hidden/d.yml", &rule("d")),
        (".e.yml", &rule("e")),
    ]);
    let loaded = load(&[folder.path().to_owned()]);
    assert_eq!(ids(&loaded), ["a", "b1", "b2", "c1", "c2"]);
    assert_eq!((loaded.files, loaded.sources.len()), (4, 4));
    assert_eq!(
        &*loaded.rules.detections[1].header.file,
        folder.path().join("b/1.yml")
    );
    assert!(codes(&loaded).is_empty());
}

#[test]
fn a_file_reached_twice_is_read_once() {
    let folder = folder(&[("a.yml", &rule("a")), ("b.rule", &rule("b"))]);
    let path = |name: &str| folder.path().join(name);
    let loaded = load(&[
        path("b.rule"),
        folder.path().to_owned(),
        path("./a.yml"),
        path("b.rule"),
    ]);
    assert_eq!(ids(&loaded), ["b", "a"]);
    assert!(codes(&loaded).is_empty(), "{:?}", loaded.diagnostics);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_are_not() {
    use std::os::unix::fs::symlink;
    let folder = folder(&[("..data/a.yml", &rule("a"))]);
    symlink("..data/a.yml", folder.path().join("a.yml")).expect("links can be made");
    symlink(".", folder.path().join("loop")).expect("links can be made");
    symlink("nowhere.yml", folder.path().join("z.yml")).expect("links can be made");
    let loaded = load(&[folder.path().to_owned()]);
    assert_eq!(ids(&loaded), ["a"]);
    assert_eq!(codes(&loaded), ["HC001"]);
    assert_eq!(&*loaded.diagnostics[0].file, folder.path().join("z.yml"));
}

#[test]
fn one_bad_file_does_not_keep_the_others_out() {
    let folder = folder(&[
        ("a.yml", &rule("a")),
        ("b.yml", "title: a: b"),
        ("c.yml", &rule("c")),
        ("d.yml", &rule("a")),
    ]);
    fs::write(
        folder.path().join("e.yml"),
        b"title: x\nauthor: J\xe9r\xf4me\n",
    )
    .expect("files can be written");
    let missing = folder.path().join("missing");
    let loaded = load(&[folder.path().to_owned(), missing.clone()]);
    assert_eq!(ids(&loaded), ["a", "c"]);
    assert_eq!(codes(&loaded), ["HC001", "HC002", "HC003", "HC015"]);
    let of = |code: &str| {
        loaded
            .diagnostics
            .iter()
            .find(|found| found.code == code)
            .expect("it was found")
    };
    assert_eq!(&*of("HC001").file, missing);
    assert_eq!((of("HC002").span.line, of("HC002").span.column), (2, 10));
    assert!(
        of("HC015").message.ends_with("a.yml:2"),
        "{}",
        of("HC015").message
    );
    assert!(
        loaded
            .sources
            .contains_key(Path::new(&folder.path().join("b.yml")))
    );
}

#[test]
fn references_reach_across_files() {
    let correlation = "title: c\nid: c\ncorrelation: {type: event_count, rules: [z], timespan: 1m, condition: {gte: 2}}\n";
    let filter = "title: f\nid: f\nlogsource: {product: x}\nfilter: {rules: [z], sel: {F: f}, condition: not sel}\n";
    let folder = folder(&[
        ("a.yml", correlation),
        ("b.yml", filter),
        ("z.yml", &rule("z")),
    ]);
    let loaded = load(&[folder.path().to_owned()]);
    assert!(codes(&loaded).is_empty());
    assert_eq!(
        loaded.rules.correlations[0].rules,
        [haechi_rules::Referent::Detection(0)]
    );
    assert_eq!(
        loaded.rules.detections[0].condition.to_string(),
        "A: 'z' and not F: 'f'"
    );
}

#[test]
fn a_folder_without_rules_is_told() {
    let folder = folder(&[("notes.txt", "")]);
    assert_eq!(codes(&load(&[folder.path().to_owned()])), ["HC007"]);
    assert_eq!(codes(&load(&[PathBuf::from("")])), ["HC001"]);
}

#[test]
fn files_have_a_limit() {
    let folder = folder(&[(
        "big.yml",
        &format!("# {}\n{}", "x".repeat(16 << 20), rule("a")),
    )]);
    let loaded = load(&[folder.path().to_owned()]);
    assert_eq!((ids(&loaded).len(), codes(&loaded)), (0, vec!["HC005"]));
}
