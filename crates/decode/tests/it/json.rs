use super::*;

fn expect(field: &str, record: &str, expected: Option<&[Option<&str>]>) {
    super::expect(Format::Json, field, record, expected);
}

#[test]
fn fields_are_found_nested_flat_and_in_arrays() {
    for (field, record, expected) in [
        ("a", r#"{"a":"x"}"#, Some(&[Some("x")][..])),
        ("a", r#"{"b":"x"}"#, None),
        ("a", "{}", None),
        ("a.b", r#"{"a":{"b":"x"}}"#, Some(&[Some("x")])),
        ("a.b", r#"{"a.b":"x"}"#, Some(&[Some("x")])),
        (
            "a.b",
            r#"{"a":{"b":"x"},"a.b":"y"}"#,
            Some(&[Some("x"), Some("y")]),
        ),
        ("a.b.c", r#"{"a.b":{"c":"x"}}"#, Some(&[Some("x")])),
        ("a.b.c", r#"{"a":{"b.c":"x"}}"#, Some(&[Some("x")])),
        (
            "a.b",
            r#"{"a":[{"b":"x"},{"c":1},{"b":["y","z"]},7]}"#,
            Some(&[Some("x"), Some("y"), Some("z")]),
        ),
        ("a.b", r#"{"a":"x","b":"y"}"#, None),
        (
            "a",
            r#"{"a":["x",["y",["z"]]]}"#,
            Some(&[Some("x"), Some("y"), Some("z")]),
        ),
        ("a", r#"{"x":{"a":1},"y":[{"a":2}]}"#, None),
        ("with space", r#"{"with space":"x"}"#, Some(&[Some("x")])),
        ("withspace", r#"{"with space":"x"}"#, None),
        ("a", r#"{"A":"x"}"#, None),
        ("sÿøo", r#"{"s\u00ff\u00f8o":"x"}"#, Some(&[Some("x")])),
    ] {
        expect(field, record, expected);
    }
}

#[test]
fn absent_null_empty_and_no_values_are_told_apart() {
    expect("a", r#"{"b":1}"#, None);
    expect("a", r#"{"a":null}"#, Some(&[None]));
    expect("a", r#"{"a":""}"#, Some(&[Some("")]));
    expect("a", r#"{"a":[]}"#, Some(&[]));
    expect(
        "a",
        r#"{"a":[null,"x",null]}"#,
        Some(&[None, Some("x"), None]),
    );
}

#[test]
fn numbers_and_booleans_are_text_as_spelled() {
    for spelling in [
        "0",
        "1",
        "-1",
        "4625",
        "999999999999",
        "1000000000000",
        "18446744073709551615",
        "-9223372036854775808",
        "18446744073709551616",
        "123456789012345678901234567890123456789012345678901234567890",
        "1.0",
        "1.50",
        "-0.0",
        "1e5",
        "1E+5",
        "0.1e-7",
        "true",
        "false",
        "3.14159265358979323846",
    ] {
        for record in [
            format!(r#"{{"a":{spelling}}}"#),
            format!("{{ \"x\" : [ 1.25, {{\"y\\n\": 3.5}} ] , \"a\" :\t{spelling}\r\n}}"),
            format!(r#"{{"a":[{spelling}]}}"#),
        ] {
            expect("a", &record, Some(&[Some(spelling)]));
        }
    }
}

#[test]
fn an_object_where_a_value_is_wanted_is_its_text() {
    let object = r#"{ "b\u0041": [1.0, {"c":"}\"]"}] }"#;
    let record = format!(r#"{{"x":[{{}},[1]],"a":{object},"z":{{}}}}"#);
    expect("a", &record, Some(&[Some(object)]));
    expect("z", &record, Some(&[Some("{}")]));
    expect(
        "a",
        r#"{"a":[{"b":1},2,{"b":3}]}"#,
        Some(&[Some(r#"{"b":1}"#), Some("2"), Some(r#"{"b":3}"#)]),
    );
    let decoded = decode_one(
        Format::Json,
        &["a", "a.b"],
        r#"{"a":{"b":"a value of some length"}}"#,
    );
    let text = r#"{"b":"a value of some length"}"#;
    assert_eq!(
        values(&decoded.batch, "a", 0),
        Some(vec![Some(text.to_owned())])
    );
    assert_eq!(
        values(&decoded.batch, "a.b", 0),
        Some(vec![Some("a value of some length".to_owned())])
    );
}

#[test]
fn the_last_of_duplicate_keys_wins() {
    expect("a", r#"{"a":"x","b":1,"a":"y"}"#, Some(&[Some("y")]));
    expect("a", r#"{"a":"x","a":null}"#, Some(&[None]));
    expect("a.b", r#"{"a":{"b":"x"},"a":{"c":1}}"#, None);
    expect(
        "a.b",
        r#"{"a":{"b":"x","b":"y"},"a":{"b":"z","b":"last"}}"#,
        Some(&[Some("last")]),
    );
    expect(
        "a.b",
        r#"{"a":[{"b":"x","b":"y"},{"b":"z"}]}"#,
        Some(&[Some("y"), Some("z")]),
    );
    expect("a", r#"{"a":"x","\u0061":"y"}"#, Some(&[Some("y")]));
    // Time too, and the walk before the duplicate leaves nothing behind.
    let record = r#"{"time":1,"a":{"k":"some object"},"b":[1,2],"time":2,"b":3}"#;
    let decoded = decode_one(Format::Json, &["a", "b"], record);
    assert_eq!(time(&decoded.batch, 0), 2_000_000_000);
    assert_eq!(
        values(&decoded.batch, "b", 0),
        Some(vec![Some("3".to_owned())])
    );
    assert_eq!(
        values(&decoded.batch, "a", 0),
        Some(vec![Some(r#"{"k":"some object"}"#.to_owned())])
    );
}

#[test]
fn strings_are_unescaped_in_place() {
    for (escaped, text) in [
        (r"a\nb", "a\nb"),
        (r"\u00e9\u20ac\ud83d\ude00", "é€😀"),
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (
            r"C:\\Windows\\System32\\cmd.exe and more of it \u0000 here",
            "C:\\Windows\\System32\\cmd.exe and more of it \0 here",
        ),
        ("", ""),
        ("exactly12byt", "exactly12byt"),
        ("exactly13byte", "exactly13byte"),
    ] {
        let record = format!(r#"{{"x":"{escaped}","a":"{escaped}","y":["{escaped}"]}}"#);
        for field in ["x", "a", "y"] {
            expect(field, &record, Some(&[Some(text)]));
        }
    }
}

#[test]
fn values_are_given_for_the_classes_that_want_them() {
    let mut wanting = spec(Format::Json, &["a"]);
    wanting.values_for = Box::new(|class: &[Logsource]| class[0].service.as_deref() == Some("x"));
    wanting.logsource.service = Some("x".to_owned());
    let record =
        r#"{"a":"s","b":[1.5,{"c":true,"d":null}],"e":{"f":"a longer string than twelve"},"g":[]}"#;
    let decoded = Decoder::new(wanting)
        .unwrap()
        .decode(rows(&[record, "{}"]), NOW);
    let texts = |row| {
        values(&decoded.batch, "_values", row)
            .map(|values| values.into_iter().map(Option::unwrap).collect::<Vec<_>>())
    };
    assert_eq!(
        texts(0).unwrap(),
        ["s", "1.5", "true", "a longer string than twelve"]
    );
    assert_eq!(texts(1), Some(vec![]));
    let decoded = decode_one(Format::Json, &["a"], record);
    assert_eq!(values(&decoded.batch, "_values", 0), None);
}

/// Asks for the values of events whose text holds a word.
struct Holding(&'static str);

impl ValuesFor for Holding {
    fn class(&mut self, _class: &[Logsource]) -> ValuesWanted {
        ValuesWanted::Depends
    }

    fn event(&mut self, class: u16, text: &[u8]) -> bool {
        assert_eq!(class, 0);
        text.windows(self.0.len())
            .any(|window| window == self.0.as_bytes())
    }
}

#[test]
fn values_may_depend_on_the_text_of_the_event() {
    let records = [
        r#"{"a":"a \u0077ord \\ with escapes \"","b":[7,true]}"#,
        r#"{"a":"another \\ text"}"#,
        r#"{"a":"gone, but not forgotten","c":"x","a":"word"}"#,
        r#"{"a":{"deep":["no"]},"word":1.50,"b":"long enough for its own place"}"#,
    ];
    let decode = |values_for: Box<dyn ValuesFor>| {
        let mut spec = spec(Format::Json, &["a"]);
        spec.values_for = values_for;
        Decoder::new(spec).unwrap().decode(rows(&records), NOW)
    };
    let some = decode(Box::new(Holding("word")));
    let all = decode(Box::new(|_: &[Logsource]| true));
    for row in 0..records.len() {
        let expected = match row {
            1 => None,
            _ => values(&all.batch, "_values", row),
        };
        assert_eq!(values(&some.batch, "_values", row), expected, "{row}");
        assert_eq!(
            values(&some.batch, "a", row),
            values(&all.batch, "a", row),
            "{row}"
        );
    }
}

#[test]
fn there_is_one_class_the_declared_one() {
    let mut spec = spec(Format::Json, &[]);
    spec.logsource.product = Some("aws".to_owned());
    let declared = spec.logsource.clone();
    let mut decoder = Decoder::new(spec).unwrap();
    assert_eq!(decoder.classes(), [vec![declared.clone()]]);
    let decoded = decoder.decode(rows(&["{}", r#"{"Channel":"Security"}"#]), NOW);
    assert_eq!((class(&decoded.batch, 0), class(&decoded.batch, 1)), (0, 0));
    assert_eq!(decoder.classes(), [vec![declared]]);
}

#[test]
fn time_is_taken_from_the_first_usual_place_that_reads() {
    for (record, expected) in [
        (
            r#"{"time":3,"@timestamp":"1970-01-01T00:00:01Z","timestamp":2}"#,
            1_000_000_000,
        ),
        (
            r#"{"time":3,"@timestamp":"yesterday","timestamp":2}"#,
            2_000_000_000,
        ),
        (r#"{"ts":"1.000000001"}"#, 1_000_000_001),
        (r#"{"ts":1600441216.123456789}"#, 1_600_441_216_123_456_789),
        (
            r#"{"eventTime":"2023-07-10T12:11:15Z"}"#,
            1_688_991_075_000_000_000,
        ),
        (r#"{"time":[null,"x",7]}"#, 7_000_000_000),
        (r#"{"date":"2023-07-10","_time":5}"#, 5_000_000_000),
    ] {
        let decoded = decode_one(Format::Json, &[], record);
        assert_eq!(
            (time(&decoded.batch, 0), decoded.untimed),
            (expected, 0),
            "{record}"
        );
    }
}

#[test]
fn a_named_time_field_is_the_only_place() {
    let mut spec = spec(Format::Json, &[]);
    spec.timestamp.field = Some("meta.at".to_owned());
    let mut decoder = Decoder::new(spec).unwrap();
    let decoded = decoder.decode(
        rows(&[
            r#"{"meta":{"at":5}}"#,
            r#"{"meta.at":6}"#,
            r#"{"@timestamp":"1970-01-01T00:00:01Z"}"#,
        ]),
        NOW,
    );
    let times: Vec<_> = (0..3).map(|row| time(&decoded.batch, row)).collect();
    assert_eq!(times, [5_000_000_000, 6_000_000_000, NOW]);
    assert_eq!((decoded.untimed, decoded.clamped), (1, 0));
}

#[test]
fn future_and_missing_times_become_the_arrival() {
    let far = r#"{"time":"2199-01-01T00:00:00Z"}"#;
    let soon = r#"{"time":"2024-01-01T00:59:59Z"}"#;
    let old = r#"{"time":"1970-01-01T00:00:00Z"}"#;
    let beyond = r#"{"time":"2300-01-01T00:00:00Z"}"#;
    let row = |payload: &'static str, timestamp_ns| Row {
        payload: Some(payload.as_bytes()),
        timestamp_ns,
    };
    let decoded = Decoder::new(spec(Format::Json, &[])).unwrap().decode(
        [
            row(far, Some(NOW - 5)),
            row(far, None),
            row(soon, None),
            row(old, Some(NOW)),
            row(beyond, Some(NOW - 7)),
            row("{}", Some(NOW - 9)),
            row("{}", Some(i64::MAX)),
        ],
        NOW,
    );
    let times: Vec<_> = (0..7).map(|row| time(&decoded.batch, row)).collect();
    assert_eq!(
        times,
        [
            NOW - 5,
            NOW,
            NOW + 3_599_000_000_000,
            0,
            NOW - 7,
            NOW - 9,
            NOW
        ]
    );
    assert_eq!((decoded.clamped, decoded.untimed), (2, 3));
}

#[test]
fn the_batch_is_as_documented() {
    let decoded = decode_one(Format::Json, &["b", "a"], r#"{"a":1}"#);
    let schema = decoded.batch.schema();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|f| (f.name().as_str(), f.is_nullable()))
        .collect();
    assert_eq!(
        columns,
        [
            ("_time", false),
            ("_class", false),
            ("_values", true),
            ("b", true),
            ("a", true)
        ]
    );
    assert_eq!(decoded.source_row, [0]);
    // No rows at all.
    let decoded = Decoder::new(spec(Format::Json, &["a"]))
        .unwrap()
        .decode([], NOW);
    assert_eq!(
        (decoded.batch.num_rows(), decoded.batch.num_columns()),
        (0, 4)
    );
}

#[test]
fn a_large_batch_of_short_values_stays_in_one_buffer() {
    let records: Vec<String> = (0..5_000)
        .map(|i| format!(r#"{{"a":"value number {i} which is long","b":{i}}}"#))
        .collect();
    let mut decoder = Decoder::new(spec(Format::Json, &["a", "b", "c"])).unwrap();
    for _ in 0..3 {
        let decoded = decoder.decode(rows(&records), NOW);
        let lists = decoded.batch["a"].as_list::<i32>();
        assert_eq!(lists.values().as_string_view().data_buffers().len(), 1);
        assert_eq!(
            values(&decoded.batch, "a", 4_999),
            Some(vec![Some("value number 4999 which is long".to_owned())])
        );
        assert_eq!(
            values(&decoded.batch, "b", 4_999),
            Some(vec![Some("4999".to_owned())])
        );
        assert_eq!(decoded.batch["c"].null_count(), 5_000);
    }
}

#[test]
fn a_batch_survives_the_decoder_that_made_it_and_its_next_batches() {
    let mut decoder = Decoder::new(spec(Format::Json, &["a"])).unwrap();
    let first = decoder.decode(rows(&[r#"{"a":"the first batch's value"}"#]), NOW);
    let second = decoder.decode(rows(&[r#"{"a":"the second batch's value"}"#]), NOW);
    drop(decoder);
    assert_eq!(
        values(&first.batch, "a", 0),
        Some(vec![Some("the first batch's value".to_owned())])
    );
    assert_eq!(
        values(&second.batch, "a", 0),
        Some(vec![Some("the second batch's value".to_owned())])
    );
}

#[test]
fn a_decoder_may_move_to_its_worker_thread() {
    fn is_send<T: Send>() {}
    is_send::<Decoder>();
    is_send::<Decoded>();
}
