//! Wall clocks that are wrong: of one process each, by way of a small library that is loaded before libc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The clock of one process.
pub(super) struct PodClock {
    /// Holds how many seconds it is off.
    file: PathBuf,
}

impl PodClock {
    /// One that is right.
    pub(super) fn new(folder: &Path, number: usize) -> Self {
        let clock = Self {
            file: folder.join(format!("clock-{number}")),
        };
        clock.set(0);
        clock
    }

    /// From now on it is so many seconds off.
    pub(super) fn set(&self, seconds: i64) {
        // In place: the process has the file in its memory.
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.file)
            .expect("the scratch folder can be written");
        let bytes = seconds.to_ne_bytes();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0)
            .expect("the scratch folder can be written");
    }

    /// What the process's environment needs for that.
    pub(super) fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("LD_PRELOAD", library().display().to_string()),
            ("PRELOADED_CLOCK", self.file.display().to_string()),
        ]
    }
}

/// Built once, with the compiler that librdkafka needs too.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(folder).expect("the build's folder can be written");
        let library = folder.join("clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/it/kafka/faults/clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .args([source, "-ldl"])
            .status()
            .expect("a C compiler");
        assert!(built.success(), "{source} does not build");
        library
    })
}
