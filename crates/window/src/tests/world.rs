//! A small world to run the stages in: rules, a log of several partitions, workers, an exchange.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, ListBuilder, RecordBatch, StringViewBuilder, TimestampNanosecondArray, UInt16Array,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use haechi_rules::{
    CompareOp, Correlation, CorrelationCondition, CorrelationKind, DetectionRule, Emission, Expr,
    FieldType, Level, Logsource, Referent, Rollup, RollupKind, RuleHeader, RuleSet, Span,
};

use crate::{
    Gathered, Gathering, Merger, Outcome, Partials, Plan, Progress, RowOrigins, SnapshotError,
    SnapshotName, SourceClock, SourceId, Tables,
};

pub(super) const SECOND: i64 = 1_000_000_000;

pub(super) fn header(id: &str) -> RuleHeader {
    RuleHeader {
        id: id.into(),
        name: None,
        title: id.to_owned(),
        description: None,
        level: Level::Medium,
        status: None,
        tags: Vec::new(),
        author: None,
        references: Vec::new(),
        falsepositives: Vec::new(),
        suppress: None,
        state: haechi_rules::StateBudget::default(),
        file: Path::new("rules.yml").into(),
        span: Span::default(),
    }
}

pub(super) fn detection(id: &str) -> Arc<DetectionRule> {
    Arc::new(DetectionRule {
        header: header(id),
        logsource: Logsource::default(),
        condition: Expr::Const(true),
        alerts: false,
    })
}

/// A correlation over all of the first `detections` detections.
pub(super) fn correlation(
    detections: usize,
    group_by: &[&str],
    timespan_ns: i64,
    condition: &[(CompareOp, f64)],
) -> Correlation {
    Correlation {
        header: header("correlation"),
        kind: CorrelationKind::EventCount,
        rules: (0..detections).map(Referent::Detection).collect(),
        group_by: group_by.iter().map(ToString::to_string).collect(),
        timespan_ns,
        condition: CorrelationCondition::Number(condition.to_vec()),
        aliases: BTreeMap::new(),
        generate: false,
        emit: Emission::Final,
        quote: 0,
        alerts: true,
    }
}

pub(super) fn rollup(sql: &str, types: &[(&str, FieldType)]) -> Rollup {
    Rollup {
        header: header("rollup"),
        sql: sql.to_owned(),
        sql_span: Span {
            line: 10,
            column: 5,
            len: 0,
        },
        types: types
            .iter()
            .map(|&(name, of)| (name.to_owned(), of))
            .collect(),
        allowed_lateness_ns: 0,
        kind: RollupKind::Rows,
    }
}

/// Detections `d0`, `d1`, …, and these rules.
pub(super) fn rule_set(
    detections: usize,
    correlations: Vec<Correlation>,
    rollups: Vec<Rollup>,
) -> RuleSet {
    RuleSet {
        detections: (0..detections)
            .map(|n| detection(&format!("d{n}")))
            .collect(),
        correlations: correlations.into_iter().map(Arc::new).collect(),
        rollups: rollups.into_iter().map(Arc::new).collect(),
    }
}

pub(super) fn plan(rules: &RuleSet) -> Arc<Plan> {
    Arc::new(Plan::compile(rules, &Tables::new(["logs".into()])).unwrap())
}

/// A field of an event: absent, or its values (null is a JSON null).
pub(super) type Values = Option<Vec<Option<String>>>;

#[derive(Debug, Clone, Default)]
pub(super) struct Event {
    pub(super) topic: &'static str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) time_ns: i64,
    pub(super) class: u16,
    pub(super) fields: BTreeMap<&'static str, Values>,
    /// The detections that match it.
    pub(super) hits: Vec<u32>,
}

impl Event {
    pub(super) fn at(time_ns: i64) -> Self {
        Self {
            topic: "logs",
            time_ns,
            ..Self::default()
        }
    }

    /// With a field of one value.
    pub(super) fn with(mut self, field: &'static str, value: &str) -> Self {
        self.fields
            .insert(field, Some(vec![Some(value.to_owned())]));
        self
    }

    /// With a field as given.
    pub(super) fn with_values(mut self, field: &'static str, values: Values) -> Self {
        self.fields.insert(field, values);
        self
    }

    pub(super) fn hit(mut self, rule: u32) -> Self {
        self.hits.push(rule);
        self
    }

    pub(super) fn first(&self, field: &str) -> Option<Option<&str>> {
        let values = self.fields.get(field)?.as_ref()?;
        values.first().map(|value| value.as_deref())
    }
}

/// Numbers the events of each partition in the order given.
pub(super) fn number(mut events: Vec<Event>) -> Vec<Event> {
    let mut next: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for event in &mut events {
        let offset = next.entry((event.topic, event.partition)).or_default();
        event.offset = *offset;
        *offset += 1;
    }
    events
}

/// A batch as decoding makes it.
pub(super) fn batch(events: &[Event], fields: &[String]) -> RecordBatch {
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)));
    let column = |values: &dyn Fn(&Event) -> Values| -> ArrayRef {
        let mut builder = ListBuilder::new(StringViewBuilder::new());
        for event in events {
            match values(event) {
                None => builder.append(false),
                Some(values) => {
                    values
                        .iter()
                        .for_each(|value| builder.values().append_option(value.as_ref()));
                    builder.append(true);
                }
            }
        }
        Arc::new(builder.finish())
    };
    let times: Vec<i64> = events.iter().map(|event| event.time_ns).collect();
    let classes: Vec<u16> = events.iter().map(|event| event.class).collect();
    let mut schema = vec![
        Field::new(
            "_time",
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            false,
        ),
        Field::new("_class", DataType::UInt16, false),
        Field::new("_values", list.clone(), true),
    ];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampNanosecondArray::from(times)),
        Arc::new(UInt16Array::from(classes)),
        column(&|_| None),
    ];
    for name in fields {
        schema.push(Field::new(name, list.clone(), true));
        columns.push(column(&|event| {
            event.fields.get(name.as_str()).cloned().flatten()
        }));
    }
    RecordBatch::try_new(Arc::new(Schema::new(schema)), columns).unwrap()
}

/// The classes of all test events.
pub(super) fn classes() -> Vec<Vec<Logsource>> {
    let logsource = |product: &str, category: &str| Logsource {
        product: Some(product.to_owned()),
        category: Some(category.to_owned()),
        service: None,
    };
    vec![
        vec![logsource("linux", "webserver")],
        vec![logsource("windows", "process_creation")],
    ]
}

/// How a run is cut.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) workers: usize,
    pub(super) exchange: u32,
    pub(super) lateness: Duration,
    /// Sizes of the batches, repeated.
    pub(super) batches: Vec<usize>,
    /// Batches between commits, repeated.
    pub(super) commits: Vec<usize>,
    pub(super) record_limit: usize,
    /// After how many commits the partitions change their owners; 0 for never.
    pub(super) rebalance: usize,
    /// Every how many commits the first attempt is aborted, so that its batches are read again, event by event with a commit each; 0 for never.
    pub(super) abort: usize,
    /// Every how many exchange records stage 2 is written as a snapshot, dropped, and read back; 0 for never.
    pub(super) restart: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            workers: 1,
            exchange: 1,
            lateness: Duration::from_secs(86_400),
            batches: vec![1],
            commits: vec![1],
            record_limit: 900_000,
            rebalance: 0,
            abort: 0,
            restart: 0,
        }
    }
}

/// The exchange topic: the records of each partition.
pub(super) type Exchange = Vec<Vec<Vec<u8>>>;

/// Stage 1 of all workers, and the exchange that they write.
struct Stage1<'a> {
    plan: &'a Arc<Plan>,
    setup: &'a Setup,
    roster: Vec<(Arc<str>, i32)>,
    partials: Vec<Partials>,
    /// The partitions with their owners' numbers, clocks, and what is committed of the clocks.
    sources: BTreeMap<SourceId, (usize, SourceClock, String)>,
    exchange: Exchange,
}

/// Runs stage 1 over a log. `events` are in the order of arrival: within a partition in the order of its offsets.
pub(super) fn stage1(plan: &Arc<Plan>, setup: &Setup, events: &[Event]) -> Exchange {
    growing_stage1(plan, setup, events, 0, 1).0
}

/// The same; after so many commits the exchange gets `factor` times as many partitions (0: never), and the new ones begin with a
/// copy of the old one that their groups were in. Answers also how many records each began with.
pub(super) fn growing_stage1(
    plan: &Arc<Plan>,
    setup: &Setup,
    events: &[Event],
    after: usize,
    factor: u32,
) -> (Exchange, Vec<usize>) {
    let mut stage = Stage1::new(plan, setup, events);
    let mut begun = vec![0; setup.exchange as usize];
    let mut commits = setup.commits.iter().cycle().copied();
    let mut sizes = setup.batches.iter().cycle().copied();
    let mut rest = events;
    for number in 1.. {
        let mut read = 0;
        for _ in 0..commits.next().unwrap().max(1) {
            read += stage.read(&rest[read..], sizes.next().unwrap());
        }
        if setup.abort > 0 && number % setup.abort == 0 {
            stage.abort();
            let mut again = 0;
            while again < read {
                again += stage.read(&rest[again..read], 1);
                stage.commit();
            }
        }
        rest = &rest[read..];
        if rest.is_empty() {
            break;
        }
        stage.commit();
        if number == after {
            begun = stage.grow(setup.exchange * factor);
        }
        if setup.rebalance > 0 && number % setup.rebalance == 0 {
            stage.rebalance();
        }
    }
    stage
        .sources
        .values_mut()
        .for_each(|(_, clock, _)| clock.end());
    stage.commit();
    (stage.exchange, begun)
}

impl<'a> Stage1<'a> {
    fn new(plan: &'a Arc<Plan>, setup: &'a Setup, events: &[Event]) -> Self {
        let mut roster: BTreeMap<Arc<str>, i32> = BTreeMap::new();
        for event in events {
            let partitions = roster.entry(event.topic.into()).or_default();
            *partitions = (*partitions).max(event.partition + 1);
        }
        let mut sources = BTreeMap::new();
        for (topic, &partitions) in &roster {
            for partition in 0..partitions {
                let topic = Arc::clone(topic);
                let id = SourceId { topic, partition };
                let clock = clock(&id, setup);
                sources.insert(id, (sources.len() % setup.workers, clock, String::new()));
            }
        }
        let partials = |_| {
            Partials::new(Arc::clone(plan), setup.exchange).with_record_limit(setup.record_limit)
        };
        Self {
            plan,
            setup,
            roster: roster.into_iter().collect(),
            partials: (0..setup.workers).map(partials).collect(),
            sources,
            exchange: vec![Vec::new(); setup.exchange as usize],
        }
    }

    /// Reads a batch, which is of one partition; answers how many events it had.
    fn read(&mut self, events: &[Event], size: usize) -> usize {
        let Some(first) = events.first() else {
            return 0;
        };
        let of = source(first);
        let same = events
            .iter()
            .take(size.max(1))
            .take_while(|event| source(event) == of)
            .count();
        let batch = &events[..same];
        let (owner, clock, _) = self.sources.get_mut(&of).unwrap();
        add(&mut self.partials[*owner], self.plan, &of, batch);
        clock.observe(batch.iter().map(|event| event.time_ns).max().unwrap(), 0);
        same
    }

    fn commit(&mut self) {
        for (worker, partials) in self.partials.iter_mut().enumerate() {
            let mut owned = Vec::new();
            for (owner, clock, committed) in self.sources.values_mut() {
                if *owner == worker {
                    owned.push(clock.progress(0));
                    *committed = clock.metadata();
                    clock.committed();
                }
            }
            let progress = Progress {
                roster: self.roster.clone(),
                sources: owned,
                announce: true,
            };
            for (partition, record) in partials.drain(&progress).unwrap() {
                self.exchange[partition as usize].push(record);
            }
        }
    }

    /// Between two commits nothing is under way.
    fn grow(&mut self, to: u32) -> Vec<usize> {
        let limit = self.setup.record_limit;
        for partials in &mut self.partials {
            *partials = Partials::new(Arc::clone(self.plan), to).with_record_limit(limit);
        }
        let old = std::mem::take(&mut self.exchange);
        self.exchange = old.iter().cycle().take(to as usize).cloned().collect();
        self.exchange.iter().map(Vec::len).collect()
    }

    fn abort(&mut self) {
        self.partials.iter_mut().for_each(Partials::clear);
        self.sources
            .values_mut()
            .for_each(|(_, clock, _)| clock.rewind());
    }

    fn rebalance(&mut self) {
        for (id, (owner, old, committed)) in &mut self.sources {
            *owner = (*owner + 1) % self.setup.workers;
            *old = clock(id, self.setup);
            assert!(old.restore(committed));
        }
    }
}

fn clock(source: &SourceId, setup: &Setup) -> SourceClock {
    SourceClock::new(source.clone(), setup.lateness, Duration::from_secs(60), 0)
}

pub(super) fn add(partials: &mut Partials, plan: &Plan, of: &SourceId, events: &[Event]) {
    let offsets: Vec<i64> = events.iter().map(|event| event.offset).collect();
    let hits = events.iter().zip(0..);
    let hits: Vec<(u32, u32)> = hits
        .flat_map(|(event, row)| event.hits.iter().map(move |&rule| (rule, row)))
        .collect();
    let records: Vec<String> = events.iter().map(record).collect();
    let payloads: Vec<Option<&[u8]>> = match plan.quotes() {
        true => records
            .iter()
            .map(|record| Some(record.as_bytes()))
            .collect(),
        false => Vec::new(),
    };
    let rows = RowOrigins {
        topic: &of.topic,
        partition: of.partition,
        offsets: &offsets,
        payloads: &payloads,
    };
    partials
        .add(
            &batch(events, &plan.fields()),
            &classes(),
            &hits,
            rows,
            "logs",
        )
        .unwrap();
}

/// An event as it came.
pub(super) fn record(event: &Event) -> String {
    format!("{}/{}/{}", event.topic, event.partition, event.offset)
}

pub(super) fn source(event: &Event) -> SourceId {
    SourceId {
        topic: event.topic.into(),
        partition: event.partition,
    }
}

/// Runs stage 2 over an exchange.
pub(super) fn stage2(plan: &Arc<Plan>, exchange: &Exchange) -> Vec<Outcome> {
    restarting_stage2(plan, exchange, 0)
}

/// Runs stage 2 over an exchange; every so many records, another takes its place that knows its snapshot only.
fn restarting_stage2(plan: &Arc<Plan>, exchange: &Exchange, restart: usize) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (records, partition) in exchange.iter().zip(0..) {
        let mut merger = Merger::new(Arc::clone(plan), partition);
        for (record, number) in records.iter().zip(1..) {
            outcomes.extend(merger.apply(record).unwrap());
            if restart > 0 && number % restart == 0 {
                // Small chunks, so that everything that can be cut is.
                let (name, chunks) = snapshot(&mut merger, number as i64, 400);
                merger = restore(plan, partition, name, &chunks).unwrap();
            }
        }
        assert!(merger.is_finished());
    }
    outcomes
}

/// A snapshot with its name.
pub(super) fn snapshot(
    merger: &mut Merger,
    offset: i64,
    limit: usize,
) -> (SnapshotName, Vec<Vec<u8>>) {
    let mut chunks = Vec::new();
    let digest = merger
        .snapshot(offset, limit, &mut |index, chunk| {
            assert_eq!(index as usize, chunks.len());
            chunks.push(chunk.to_vec());
        })
        .unwrap();
    let name = SnapshotName {
        offset,
        digest,
        slot: 0,
        from: 0,
    };
    (name, chunks)
}

/// What a new owner has after reading these chunks.
pub(super) fn restore(
    plan: &Arc<Plan>,
    partition: u32,
    name: SnapshotName,
    chunks: &[Vec<u8>],
) -> Result<Merger, SnapshotError> {
    let gathered = gathered(partition, name, chunks)?;
    Ok(Merger::restore(Arc::clone(plan), partition, gathered, None)?.0)
}

/// A snapshot, put together.
pub(super) fn gathered(
    partition: u32,
    name: SnapshotName,
    chunks: &[Vec<u8>],
) -> Result<Gathered, SnapshotError> {
    let mut gathering = Gathering::new(partition, name);
    chunks.iter().for_each(|chunk| gathering.add(chunk));
    gathering.finish()
}

/// Both stages; the outcomes in a fixed order.
pub(super) fn run(plan: &Arc<Plan>, setup: &Setup, events: &[Event]) -> Vec<Outcome> {
    let mut outcomes = restarting_stage2(plan, &stage1(plan, setup, events), setup.restart);
    outcomes.sort_by_cached_key(|outcome| format!("{outcome:?}"));
    outcomes
}
