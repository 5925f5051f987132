//! One run of the pipeline, measured between its first and its last record.

use std::thread;
use std::time::{Duration, Instant};

use haechi_tests::app::{App, account, address};
use haechi_tests::http::Samples;

use crate::usage::Usage;

/// How often the process is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Records per second between the first and the last one.
    pub rate: f64,
    /// Seconds of processor time per million records, between the first and the last one.
    pub cpu_per_million: f64,
    /// Peak memory of the process, in bytes.
    pub peak_bytes: u64,
    /// The whole process: from its start to its end, rules loaded and the group joined and left.
    pub process: Duration,
    /// Processor time of the whole process.
    pub process_cpu_seconds: f64,
}

/// Runs an app to the end of its input of `records` records.
///
/// # Panics
/// When it fails, or does not read all of them.
#[must_use]
pub fn run(app: &App, records: u64) -> Measured {
    let mut process = app.start_until_end();
    let mut first: Option<(Instant, f64, Usage)> = None;
    let mut last: Option<(Instant, f64, Usage)> = None;
    let mut whole = Usage::default();
    let deadline = Instant::now() + LIMIT;
    loop {
        // Before `is_running`, which lets go of a process that has ended.
        whole = Usage::of(process.id()).unwrap_or(whole);
        if !process.is_running() {
            break;
        }
        assert!(Instant::now() < deadline, "it takes longer than {LIMIT:?}");
        if last.is_none_or(|(_, read, _)| read < records as f64)
            && let Some(samples) = address(&process).and_then(Samples::scrape)
        {
            let read = samples.sum("haechi_records_total");
            let now = (Instant::now(), read, whole);
            if read > 0.0 {
                first.get_or_insert(now);
                if last.is_none_or(|(_, before, _)| read > before) {
                    last = Some(now);
                }
            }
        }
        thread::sleep(LOOK);
    }
    let finished = process.wait(LIMIT).succeeded();
    assert_eq!(account(&finished).0, records, "every record is read once");
    let ((begun, from, cpu_from), (ended, to, cpu_to)) =
        (first.expect("it reads"), last.expect("it reads"));
    Measured {
        rate: (to - from) / (ended - begun).as_secs_f64(),
        cpu_per_million: (cpu_to.cpu_seconds - cpu_from.cpu_seconds) / (to - from) * 1e6,
        peak_bytes: whole.peak_bytes,
        process: finished.took,
        process_cpu_seconds: whole.cpu_seconds,
    }
}
