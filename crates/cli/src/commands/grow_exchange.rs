//! `haechi topics grow-exchange`: more partitions for the exchange, with the windows that are open.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use haechi_engine::Growth;
use haechi_engine::layout::spread;
use haechi_log::{
    Committed, Delivery, Event, KafkaAdmin, KafkaConfig, KafkaLog, Log, Start, TopicPartition,
};
use tracing::info;

use crate::args::GrowOptions;
use crate::config::Config;
use crate::kafka_sink::WAIT;
use crate::{logging, preflight};

/// How long everybody else may take to have left the group, beyond two times what a worker that was killed stays in it.
const ALONE: Duration = Duration::from_secs(10);
/// That is, where the configuration does not say: haechi's default.
const SESSION: Duration = Duration::from_secs(10);
/// One wait for the group.
const STEP: Duration = Duration::from_millis(100);
/// How long copying may take, milliseconds: the most that brokers allow by default (`transaction.max.timeout.ms`).
const LONGEST: &str = "900000";

pub(crate) fn run(options: &GrowOptions) -> anyhow::Result<ExitCode> {
    logging::init("info");
    let mut out = std::io::stdout().lock();
    let config = Config::load(&options.config)?;
    let admin = KafkaAdmin::open(&config.kafka, WAIT)?;
    let existing = preflight::topics(&admin, &config)?;
    let exchange = config.exchange_topic();
    let Some(&now) = existing.get(&exchange) else {
        bail!(
            "topic `{exchange}` does not exist: say how many partitions it is to have with `exchange.partitions`, and create it with `haechi topics apply`"
        );
    };
    let (now, to) = (u32::try_from(now)?, options.partitions.get());
    let committed = admin.committed(&config.group(), &exchange, now)?;
    let from = spread(committed.values().map(|of| of.metadata.as_str()))?.unwrap_or(now);
    if (from, now) == (to, to) {
        writeln!(
            out,
            "topic `{exchange}` has {to} partitions, and its windows are spread over them: nothing to do"
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        now <= to,
        "topic `{exchange}` has {now} partitions, and Kafka takes none away: give {now} or more"
    );
    ensure!(
        to % from == 0,
        "windows are spread over {from} partitions, and {to} is not a multiple of that: give {} or {}, so that what belongs to a new partition comes from one old one",
        from * (to / from).max(1),
        from * (to / from + 1)
    );
    let snapshots = Some(&config.snapshots_topic).filter(|topic| existing.contains_key(*topic));
    let mut member = Member::join(&config, &exchange)?;
    member.hold_everything(now)?;
    let mut topics = vec![exchange.as_str()];
    topics.extend(snapshots.map(String::as_str));
    admin.grow(&topics, to)?;
    let committed = member.hold_everything(to)?;
    let growth = Growth {
        exchange: exchange.as_str().into(),
        snapshots: snapshots.map(|topic| topic.as_str().into()),
        from,
        to,
        committed,
    };
    let grown = growth.carry_out(&mut member.log)?;
    Box::new(member.log).close()?;
    writeln!(
        out,
        "topic `{exchange}` has {to} partitions now; {} record(s) and {} snapshot(s) were copied for the {} new ones: start the workers again",
        grown.records,
        grown.snapshots,
        to - from
    )?;
    Ok(ExitCode::SUCCESS)
}

/// This process in the group.
struct Member {
    log: KafkaLog,
    exchange: String,
    /// How long it waits for others to leave.
    patience: Duration,
    /// What it was given, and what was committed for it.
    held: BTreeMap<TopicPartition, Option<Committed>>,
}

impl Member {
    fn join(config: &Config, exchange: &str) -> anyhow::Result<Self> {
        let mut properties = config.kafka.clone();
        let session = properties.get("session.timeout.ms");
        let session = session.and_then(|ms| ms.parse().ok());
        let session = session.map_or(SESSION, Duration::from_millis);
        for (name, value) in [
            ("topic.metadata.refresh.interval.ms", "1000"),
            ("transaction.timeout.ms", LONGEST),
            ("max.poll.interval.ms", LONGEST),
        ] {
            properties.insert(name.to_owned(), value.to_owned());
        }
        // Always the same: a try that was cut off is ended by the next one.
        let transactions = format!("{}-grow-exchange", config.app);
        let mut kafka = KafkaConfig::new(properties, config.group(), transactions);
        kafka.sources = config.subscriptions();
        kafka.exchange = Some(exchange.to_owned());
        kafka.delivery = Delivery::ExactlyOnce;
        kafka.wait = Duration::from_secs(120);
        Ok(Self {
            log: KafkaLog::open(kafka)?,
            exchange: exchange.to_owned(),
            patience: session * 2 + ALONE,
            held: BTreeMap::new(),
        })
    }

    /// Waits until this is the only member of its group: until it has been given all partitions of all inputs, and so many of the
    /// exchange. Answers what was committed for these.
    fn hold_everything(&mut self, partitions: u32) -> anyhow::Result<BTreeMap<i32, Committed>> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            for event in self.log.poll(STEP)? {
                self.answer(event)?;
            }
            if self.holds_everything(partitions)? {
                let own = self
                    .held
                    .iter()
                    .filter(|(at, _)| *at.topic == *self.exchange);
                let own =
                    own.filter_map(|(at, committed)| Some((at.partition, committed.clone()?)));
                return Ok(own.collect());
            }
            ensure!(
                begun.elapsed() < self.patience,
                "others are still in the consumer group after {:?}, or it does not come to rest: stop all workers (one that was killed is a member until its session is over) and try again",
                self.patience
            );
            if !told && begun.elapsed() > ALONE / 3 {
                info!("waiting until nobody else is in the consumer group");
                told = true;
            }
        }
    }

    fn answer(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Assigned(assigned) => {
                // Nothing is to be read.
                let starts = assigned.iter().map(|of| (of.at.clone(), Start::Latest));
                let starts: Vec<_> = starts.collect();
                self.log.begin_at(&starts)?;
                let places: Vec<_> = starts.into_iter().map(|(at, _)| at).collect();
                self.log.pause(&places)?;
                let assigned = assigned.into_iter();
                self.held.extend(assigned.map(|of| (of.at, of.committed)));
            }
            Event::Revoked { partitions, .. } => {
                self.held.retain(|at, _| !partitions.contains(at));
                self.log.release(&partitions)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn holds_everything(&mut self, partitions: u32) -> anyhow::Result<bool> {
        let count = |topic: &str| {
            let of = self.held.keys().filter(|at| *at.topic == *topic);
            i32::try_from(of.count()).unwrap_or(i32::MAX)
        };
        if i64::from(count(&self.exchange)) != i64::from(partitions) {
            return Ok(false);
        }
        let inputs = self.log.topology()?.topics;
        Ok(inputs.iter().all(|(topic, all)| count(topic) == *all))
    }
}
