//! Steady load: events are written at a rate, and their alerts read as a consumer of committed records sees them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use haechi_benches::arrivals::{self, Arrival, now};
use haechi_benches::usage::Usage;
use haechi_tests::app::{App, wait_until_ready};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

/// One event in so many gives an alert.
const ALERT_EVERY: u64 = 50;
/// What happens in the first seconds is not steady yet.
const WARM_UP: Duration = Duration::from_secs(3);
/// How often events are written.
const TICK: Duration = Duration::from_millis(5);

/// How much is written, for how long.
pub(crate) struct Load {
    /// Events a second.
    pub(crate) rate: u64,
    pub(crate) lasts: Duration,
}

/// What was seen.
pub(crate) struct Seen {
    /// From event to alert, sorted, seconds.
    latencies: Vec<f64>,
    /// Of a core.
    pub(crate) cpu_share: f64,
    /// Resident bytes, once a second.
    memory: Vec<f64>,
    /// Events a second that the writer and the broker managed: above their capacity it is less than was asked for.
    written: f64,
}

impl Seen {
    /// The latency below which this share of the alerts stayed, milliseconds.
    pub(crate) fn latency_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.latencies
            .get(at)
            .map_or(f64::NAN, |seconds| seconds * 1e3)
    }

    /// Bytes a minute by which memory grew in the second half (least squares), and how far from that line it was (one sigma).
    fn growth(&self) -> (f64, f64) {
        let half = &self.memory[self.memory.len() / 2..];
        let count = half.len() as f64;
        let (mean_x, mean_y) = ((count - 1.0) / 2.0, half.iter().sum::<f64>() / count);
        let (mut xy, mut xx) = (0.0, 0.0);
        for (x, y) in half.iter().enumerate() {
            xy += (x as f64 - mean_x) * (y - mean_y);
            xx += (x as f64 - mean_x).powi(2);
        }
        let slope = xy / xx;
        let off = |(x, y): (usize, &f64)| (y - mean_y - slope * (x as f64 - mean_x)).powi(2);
        let variance = half.iter().enumerate().map(off).sum::<f64>() / count;
        (slope * 60.0, variance.sqrt())
    }

    pub(crate) fn summary(&self) -> String {
        let (slope, noise) = self.growth();
        format!(
            "{:.0} events/s written; {} alerts; event to alert p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms; {:.0} % of a core; memory {:.1} MB at the end, {:+.3} MB a minute in the second half (noise {:.3} MB)",
            self.written,
            self.latencies.len(),
            self.latency_ms(0.5),
            self.latency_ms(0.99),
            self.latency_ms(1.0),
            self.cpu_share * 100.0,
            self.memory.last().unwrap_or(&0.0) / 1e6,
            slope / 1e6,
            noise / 1e6
        )
    }
}

/// Runs an app whose topics are there under a load.
pub(crate) fn run(app: &App, load: &Load, tell: bool) -> Seen {
    let mut process = app.run();
    wait_until_ready(&mut process);
    let over = &AtomicBool::new(false);
    let id = process.id();
    let seen = thread::scope(|scope| {
        let single = |alert: &Value| alert["group"].is_null();
        let reader = scope
            .spawn(move || arrivals::read(&app.client.broker, &app.topic("alerts"), over, single));
        let writer = scope.spawn(|| write(&app.client.broker, &app.topics[0], load));
        let begun = Instant::now();
        let before = Usage::of(id).expect("it runs");
        let mut memory = Vec::new();
        while !writer.is_finished() {
            thread::sleep(Duration::from_secs(1));
            memory.push(resident(id));
            if tell && memory.len() % 60 == 0 {
                println!("{:>5} s  {:.1} MB", memory.len(), resident(id) / 1e6);
            }
        }
        let after = Usage::of(id).expect("it runs");
        let cpu_share = (after.cpu_seconds - before.cpu_seconds) / begun.elapsed().as_secs_f64();
        let written = writer.join().expect("events are written");
        // What is under way.
        thread::sleep(Duration::from_secs(5));
        over.store(true, Ordering::SeqCst);
        let arrivals = reader.join().expect("alerts are read");
        let warm = arrivals.first().map_or(0.0, |first| first.arrived) + WARM_UP.as_secs_f64();
        let steady = arrivals.iter().filter(|arrival| arrival.arrived >= warm);
        let mut latencies: Vec<f64> = steady.map(Arrival::latency).collect();
        latencies.sort_by(f64::total_cmp);
        Seen {
            latencies,
            cpu_share,
            memory,
            written: written as f64 / load.lasts.as_secs_f64(),
        }
    });
    process.terminate();
    let _ = process.wait(Duration::from_secs(60)).succeeded();
    seen
}

/// Answers how many events it has written.
fn write(broker: &str, topic: &str, load: &Load) -> u64 {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("linger.ms", "2")
        // Half an hour of a high rate is to fit on a disk.
        .set("compression.type", "lz4")
        .create()
        .expect("a producer");
    let begun = Instant::now();
    let mut written = 0u64;
    while begun.elapsed() < load.lasts {
        let due = (begun.elapsed().as_secs_f64() * load.rate as f64) as u64;
        while written < due {
            let at = now();
            let (action, bytes) = match written % ALERT_EVERY {
                0 => ("failed", 9_500),
                number if number % 8 == 1 => ("failed", 10),
                _ => ("accepted", 10),
            };
            let event = format!(
                r#"{{"ts":{}.{:09},"user":"u{}","src":"10.0.{}.{}","action":"{action}","bytes":{bytes},"pad":"{:0300}"}}"#,
                at.as_secs(),
                at.subsec_nanos(),
                written % 23,
                written % 7,
                written % 241,
                written
            );
            let partition = i32::try_from(written % 4).expect("small");
            let record = BaseRecord::<(), str>::to(topic)
                .partition(partition)
                .payload(&event);
            if producer.send(record).is_err() {
                break;
            }
            written += 1;
        }
        producer.poll(TICK);
    }
    producer
        .flush(Duration::from_secs(30))
        .expect("the broker takes it");
    written
}

fn resident(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kibibytes.unwrap_or(0.0) * 1024.0
}
