//! The binary under test.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::repository;

/// Path of the `haechi` binary, built once per test process with the profile of the tests themselves.
///
/// `HAECHI_BIN` names another one, such as a release that is to be shipped; then nothing is built.
///
/// # Panics
/// When it does not build.
pub fn haechi() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os("HAECHI_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // This test lies in TARGET/PROFILE/deps: where it was built, and how.
    let test = env::current_exe().expect("a process knows its executable");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("test binaries lie two folders below the profile's")
        .to_owned();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} has no profile in its path", test.display()),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--bin",
            "haechi",
            "--profile",
            profile,
            "--target-dir",
        ])
        .arg(
            folder
                .parent()
                .expect("the profile's folder is in the target folder"),
        )
        .current_dir(repository())
        .status()
        .expect("cargo starts");
    assert!(
        status.success(),
        "the haechi binary does not build ({status}): see cargo's messages above"
    );
    folder.join("haechi")
}
