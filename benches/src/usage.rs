//! What the system says of a process (Linux).

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// Processor time and memory of a process so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Seconds of processor time, of all threads, in user and kernel.
    pub cpu_seconds: f64,
    /// The most memory that it had at once, resident, in bytes.
    pub peak_bytes: u64,
}

impl Usage {
    /// Of a process; `None` when it has ended.
    #[must_use]
    pub fn of(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The second field is the name, in parentheses, and may hold anything; utime and stime are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = peak.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(Self {
            cpu_seconds: ticks / ticks_per_second(),
            peak_bytes: kibibytes << 10,
        })
    }
}

/// Processor seconds of all processes that this one has started and that have ended.
///
/// # Panics
/// When the system does not tell.
#[must_use]
pub fn children_cpu_seconds() -> f64 {
    cpu_seconds(UsageWho::RUSAGE_CHILDREN)
}

/// Processor seconds of this process so far.
///
/// # Panics
/// When the system does not tell.
#[must_use]
pub fn own_cpu_seconds() -> f64 {
    cpu_seconds(UsageWho::RUSAGE_SELF)
}

fn cpu_seconds(who: UsageWho) -> f64 {
    let usage = getrusage(who).expect("getrusage");
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn ticks_per_second() -> f64 {
    static TICKS: OnceLock<f64> = OnceLock::new();
    *TICKS.get_or_init(|| {
        let output = Command::new("getconf")
            .arg("CLK_TCK")
            .output()
            .expect("getconf");
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .expect("a number")
    })
}
