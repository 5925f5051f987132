//! Real data, in a folder beside the repository. It is not part of the repository; tests that want it say so in one
//! line where it is absent.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, io};

use crate::repository;

/// The 103,541 flat Windows events.
pub const WINDOWS_EVENTS: &str = "windows-events-100k.ndjson.zst";

/// A file of the data folder (`HAECHI_TEST_DATA`, else `shared/data` beside the repository). Where it is absent one line says
/// what is skipped.
#[must_use]
pub fn file(name: &str) -> Option<PathBuf> {
    let folder = env::var_os("HAECHI_TEST_DATA")
        .map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Past the capturing of the test harness: what is skipped must be seen.
    let line = format!(
        "skipped: the part of {test} that needs {name}: no such file in {} (HAECHI_TEST_DATA)\n",
        folder.display()
    );
    let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
    None
}

/// The folder of the public Sigma rules, unpacked once into the target folder.
///
/// # Panics
/// When the archive does not unpack.
#[must_use]
pub fn sigma_rules() -> Option<PathBuf> {
    static UNPACKED: OnceLock<PathBuf> = OnceLock::new();
    let archive = file("sigma-rules.tar.zst")?;
    Some(UNPACKED.get_or_init(|| unpack(&archive)).clone())
}

fn unpack(archive: &Path) -> PathBuf {
    let target = env::current_exe().expect("a process knows its executable");
    let target = target
        .ancestors()
        .nth(3)
        .expect("test binaries lie three folders below the target folder");
    let size = fs::metadata(archive)
        .expect("the archive was there a moment ago")
        .len();
    let folder = target.join("tmp").join(format!("sigma-rules-{size}"));
    if folder.is_dir() {
        return folder;
    }
    fs::create_dir_all(target.join("tmp")).expect("the target folder can be written");
    let part = tempfile::tempdir_in(target.join("tmp")).expect("the target folder can be written");
    let mut tar = Command::new("tar")
        .arg("-xf")
        .arg("-")
        .arg("-C")
        .arg(part.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("tar");
    zstd::stream::copy_decode(
        File::open(archive).expect("readable"),
        tar.stdin.take().expect("piped"),
    )
    .expect("a zstd archive");
    assert!(
        tar.wait().expect("tar ends").success(),
        "tar could not unpack {}",
        archive.display()
    );
    // Another process may have been faster: then its folder stays.
    if fs::rename(part.path(), &folder).is_ok() {
        let _ = part.keep();
    }
    assert!(folder.is_dir(), "{} could not be made", folder.display());
    folder
}

/// A whole file, decompressed if it is zstd.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|extension| extension == "zst") {
        let mut plain = Vec::new();
        zstd::Decoder::new(bytes.as_slice())
            .and_then(|mut decoder| decoder.read_to_end(&mut plain))
            .expect("zstd");
        return plain;
    }
    bytes
}
