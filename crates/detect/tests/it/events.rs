//! Events, rules and batches for tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ListBuilder, RecordBatch, StringViewBuilder, TimestampNanosecondArray, UInt16Array,
};
use haechi_detect::{Detector, Hit, KeywordSieve, Passing, Plan};
use haechi_rules::{
    DetectionRule, Expr, FieldTest, Level, Logsource, Pattern, Piece, RuleHeader, Span, Test, Text,
};

/// An event: a field that is not there is absent, `None` is a null.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    pub(crate) class: u16,
    pub(crate) fields: BTreeMap<String, Vec<Option<String>>>,
}

impl Event {
    /// An event of class 0 with fields of one value each.
    pub(crate) fn of(fields: &[(&str, &str)]) -> Self {
        fields
            .iter()
            .fold(Self::default(), |event, (field, value)| {
                event.with(field, &[Some(value)])
            })
    }

    /// The same event with one more field.
    pub(crate) fn with(mut self, field: &str, values: &[Option<&str>]) -> Self {
        let values = values
            .iter()
            .map(|value| value.map(str::to_owned))
            .collect();
        self.fields.insert(field.to_owned(), values);
        self
    }
}

/// A rule for the given logsource.
pub(crate) fn rule(logsource: Logsource, condition: Expr) -> Arc<DetectionRule> {
    let header = RuleHeader {
        id: "00000000-0000-0000-0000-000000000001".into(),
        name: None,
        title: "test".to_owned(),
        description: None,
        level: Level::Medium,
        status: None,
        tags: Vec::new(),
        author: None,
        references: Vec::new(),
        falsepositives: Vec::new(),
        suppress: None,
        state: haechi_rules::StateBudget::default(),
        file: Path::new("test.yml").into(),
        span: Span::default(),
    };
    Arc::new(DetectionRule {
        header,
        logsource,
        condition,
        alerts: true,
    })
}

/// A test of a field.
pub(crate) fn field(name: &str, test: Test) -> Expr {
    Expr::Field(FieldTest {
        field: name.into(),
        test,
    })
}

/// A text test without case; `*` and `?` are wildcards.
pub(crate) fn text(glob: &str) -> Test {
    Test::Text(Text {
        pattern: pattern(glob),
        cased: false,
    })
}

/// A pattern in which `*` and `?` are wildcards, its pieces as they come.
pub(crate) fn pattern(glob: &str) -> Pattern {
    let piece = |c| match c {
        '*' => Piece::AnyString,
        '?' => Piece::AnyChar,
        c => Piece::Literal(c.to_string()),
    };
    Pattern {
        pieces: glob.chars().map(piece).collect(),
    }
}

/// A batch as the decoder makes it, with a column for each of `fields`. Rows of events that `wants_values` carry all values.
pub(crate) fn batch(
    events: &[Event],
    fields: &[Arc<str>],
    mut wants_values: impl FnMut(&Event) -> bool,
) -> RecordBatch {
    let times = TimestampNanosecondArray::from_iter_values(0..events.len() as i64);
    let classes = UInt16Array::from_iter_values(events.iter().map(|event| event.class));
    let all = events.iter().map(|event| {
        let values = event
            .fields
            .values()
            .flatten()
            .filter(|value| value.is_some());
        wants_values(event).then(|| values.cloned().collect())
    });
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("_time".to_owned(), Arc::new(times)),
        ("_class".to_owned(), Arc::new(classes)),
        ("_values".to_owned(), lists(all)),
    ];
    for field in fields {
        let values = events
            .iter()
            .map(|event| event.fields.get(&**field).cloned());
        columns.push((field.to_string(), lists(values)));
    }
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

fn lists(rows: impl Iterator<Item = Option<Vec<Option<String>>>>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringViewBuilder::new());
    for row in rows {
        match row {
            Some(values) => builder.append_value(values),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

/// Whether a sieve lets an event pass whose values stand in one text.
pub(crate) fn passes(sieve: &mut KeywordSieve, passing: Passing, event: &Event) -> bool {
    let text: Vec<u8> = event
        .fields
        .values()
        .flatten()
        .flatten()
        .flat_map(|value| [b"\"", value.as_bytes(), b"\xc3,"].concat())
        .collect();
    let class = usize::from(event.class);
    match passing {
        Passing::None => false,
        Passing::All => true,
        Passing::Some => sieve.passes(class, &text),
    }
}

/// What the rules find in the events, all of one class with an empty logsource, as (row, rule).
pub(crate) fn detect(rules: &[Arc<DetectionRule>], events: &[Event]) -> Vec<(u32, u32)> {
    let plan = Arc::new(Plan::compile(rules).unwrap());
    let classes = [vec![Logsource::default()]];
    let mut sieve = KeywordSieve::new(plan.clone());
    let passing = sieve.bind_class(&classes[0]);
    let batch = batch(events, plan.fields(), |event| {
        passes(&mut sieve, passing, event)
    });
    let mut detector = Detector::new(plan);
    detector.bind_classes(&classes);
    let hits = detector.detect(&batch).unwrap().hits;
    hits.into_iter()
        .map(|Hit { row, rule }| (row, rule))
        .collect()
}

/// Whether a condition matches an event.
pub(crate) fn matches(condition: Expr, event: &Event) -> bool {
    !detect(
        &[rule(Logsource::default(), condition)],
        std::slice::from_ref(event),
    )
    .is_empty()
}
