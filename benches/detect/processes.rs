//! Runs of haechi and of rsigma-eval, with their processor time and peak memory.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use haechi_benches::usage::{Usage, children_cpu_seconds};
use haechi_tests::binary::haechi;
use haechi_tests::{repository, scratch};
use serde_json::Value;

/// How often a process is asked for its memory.
const LOOK: Duration = Duration::from_millis(2);

/// What a process took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
}

/// `haechi replay -j 1` over events; results go to `out`.
pub(crate) fn replay(rules: &Path, events: &Path, out: &Path) -> Cost {
    run(replay_command(rules, events, out, &[]))
}

/// Seconds that a replay spent in decode and detect, by its own account.
pub(crate) fn profiled(rules: &Path, events: &Path) -> (f64, f64) {
    let folder = scratch();
    let json = folder.path().join("profile.json");
    let more = [OsStr::new("--profile-json"), json.as_os_str()];
    run(replay_command(rules, events, Path::new("/dev/null"), &more));
    let profile: Value = serde_json::from_reader(File::open(json).unwrap()).unwrap();
    let seconds = |name: &str| {
        let stages = profile["stages"].as_array().unwrap();
        let stage = stages.iter().find(|stage| stage["stage"] == name).unwrap();
        stage["seconds"].as_f64().unwrap()
    };
    (seconds("decode"), seconds("detect"))
}

fn replay_command(rules: &Path, events: &Path, out: &Path, more: &[&OsStr]) -> Command {
    let mut command = Command::new(haechi());
    command
        .args([
            "replay", "-j", "1", "--alerts", "brief", "--format", "windows",
        ])
        .args(["--logsource", "product=windows", "--rules"])
        .arg(rules)
        .arg("-o")
        .arg(out)
        .args(more)
        .arg("--")
        .arg(events);
    command
}

/// rsigma-eval over the same events and rules, with the logsources that haechi's table gives them.
pub(crate) fn peer(rules: &Path, events: &Path, out: &Path, options: &[&str]) -> Cost {
    let mut command = Command::new(peer_binary());
    command
        .arg(rules)
        .arg(events)
        .arg(repository().join("crates/decode/src/windows/logsources.tsv"))
        .args(options)
        .stdout(File::create(out).unwrap());
    run(command)
}

fn peer_binary() -> PathBuf {
    let path =
        env::var_os("HAECHI_BENCH_PEER").expect("HAECHI_BENCH_PEER: `make bench-detect` builds it");
    PathBuf::from(path)
}

fn run(mut command: Command) -> Cost {
    let before = children_cpu_seconds();
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let mut peak_bytes = 0;
    let status = loop {
        if let Some(usage) = Usage::of(child.id()) {
            peak_bytes = usage.peak_bytes.max(peak_bytes);
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    assert!(status.success(), "{command:?}: {status}");
    Cost {
        cpu_seconds: children_cpu_seconds() - before,
        peak_bytes,
    }
}
