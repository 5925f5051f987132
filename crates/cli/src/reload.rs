//! Rules that change while the engine runs: the new set is compiled aside, and takes over when it is sound.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use haechi_engine::{Metrics, Releases};
use tracing::{info, warn};

use crate::commands::run::{Compiled, compile};
use crate::config::Config;

/// How often the thread looks whether it was asked to look.
const TICK: Duration = Duration::from_millis(200);

/// Watches rule files, and puts what they say in force.
pub(crate) struct Reload {
    config: Config,
    /// Errors that the rules in force have. A new set may have them too, but no others.
    faults: BTreeSet<String>,
    /// Whether there is an exchange, so that rules can aggregate.
    exchange: bool,
    files: u64,
    hangup: Arc<AtomicBool>,
}

impl Reload {
    /// For rules that were loaded just now, with these errors.
    ///
    /// # Errors
    /// When the system does not let us listen to SIGHUP.
    pub(crate) fn new(
        config: &Config,
        faults: BTreeSet<String>,
        exchange: bool,
    ) -> anyhow::Result<Self> {
        let hangup = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&hangup))?;
        Ok(Self {
            files: stamp(config),
            config: config.clone(),
            faults,
            exchange,
            hangup,
        })
    }

    /// Watches on a thread of its own for as long as the process lives.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn watch(
        mut self,
        releases: Arc<Releases>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<()> {
        let watch = move || {
            let every = self.config.reload_interval;
            let mut looked = Instant::now();
            loop {
                thread::sleep(TICK);
                let asked = self.hangup.swap(false, Ordering::Relaxed);
                let due = !every.is_zero() && looked.elapsed() >= every;
                if !asked && !due {
                    continue;
                }
                looked = Instant::now();
                if self.has_changed() || asked {
                    self.reload(&releases, &metrics);
                }
            }
        };
        thread::Builder::new()
            .name("rules".to_owned())
            .spawn(watch)?;
        Ok(())
    }

    /// Whether the files are others than those last loaded. Waits until nobody is writing them.
    fn has_changed(&mut self) -> bool {
        let mut files = stamp(&self.config);
        if files == self.files {
            return false;
        }
        loop {
            thread::sleep(TICK);
            let again = stamp(&self.config);
            if again == files {
                self.files = files;
                return true;
            }
            files = again;
        }
    }

    fn reload(&mut self, releases: &Releases, metrics: &Metrics) {
        match self.compile() {
            Ok(compiled) => {
                self.faults = compiled.faults;
                let number = releases.publish(compiled.program, metrics);
                metrics.reloaded(true);
                info!(release = number, "changed rules take over");
            }
            Err(reason) => {
                metrics.reloaded(false);
                warn!("changed rules are refused, and the old ones run on: {reason:#}");
            }
        }
    }

    fn compile(&mut self) -> anyhow::Result<Compiled> {
        self.config.through = self.config.through.reread()?;
        let compiled = compile(&self.config)?;
        let news: Vec<&String> = compiled.faults.difference(&self.faults).collect();
        if let Some(first) = news.first() {
            anyhow::bail!(
                "{} new error(s), the first is {first}; `haechi check` shows them",
                news.len()
            );
        }
        anyhow::ensure!(
            self.exchange || !compiled.program.aggregates(),
            "they aggregate, and the topic `{}` was not there when this process started: create it with `haechi topics apply`, and restart",
            self.config.exchange_topic()
        );
        Ok(compiled)
    }
}

/// Changes when a rule file, a pipeline or a placeholder file does: names, lengths and times of change. Links are followed, for that is how Kubernetes mounts a
/// ConfigMap.
fn stamp(config: &Config) -> u64 {
    let mut hasher = DefaultHasher::new();
    let through = config.through.files().map(PathBuf::from);
    for file in haechi_rules::files(&config.rules)
        .into_iter()
        .chain(through)
    {
        file.hash(&mut hasher);
        if let Ok(metadata) = fs::metadata(&file) {
            metadata.len().hash(&mut hasher);
            metadata.modified().ok().hash(&mut hasher);
        }
    }
    hasher.finish()
}
