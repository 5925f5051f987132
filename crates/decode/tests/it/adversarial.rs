use super::*;

fn reason(record: impl AsRef<[u8]>) -> String {
    let mut decoder = Decoder::new(spec(Format::Json, &["a"])).unwrap();
    let decoded = decoder.decode(rows(&[record.as_ref()]), NOW);
    assert_eq!(decoded.batch.num_rows(), 0);
    assert_eq!(decoded.bad.len(), 1);
    decoded.bad[0].reason.clone()
}

#[test]
fn bad_records_say_where_and_what_to_do() {
    let deep = format!("{}{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    for (record, expected) in [
        (&b""[..], "empty payload: send one json object a record"),
        (b" \n\t", "empty payload: send one json object a record"),
        (
            b"\xEF\xBB\xBF",
            "empty payload: send one json object a record",
        ),
        (
            b"{\"a\":\"x\xFFy\"}",
            "invalid utf-8 at byte 7: send the record as utf-8",
        ),
        (
            b"\xEF\xBB\xBF{\"a\":\"x\xFFy\"}",
            "invalid utf-8 at byte 10: send the record as utf-8",
        ),
        (
            b"{\"a\":1}x",
            "invalid json at byte 7: trailing characters; send one json object a record",
        ),
        (
            b"{\"a\":1}{\"a\":2}",
            "invalid json at byte 7: trailing characters; send one json object a record",
        ),
        (
            b"{\"a\":\n 01}",
            "invalid json at byte 8: invalid number; send one json object a record",
        ),
        (
            b"{\"a\":tru}",
            "invalid json at byte 8: expected ident; send one json object a record",
        ),
        (
            b"{\"a\":1,}",
            "invalid json at byte 7: key must be a string; send one json object a record",
        ),
        (
            b"[1,2]",
            "the record is an array, not a json object: send one json object a record",
        ),
        (
            b"\"x\"",
            "the record is a string, not a json object: send one json object a record",
        ),
        (
            b"17",
            "the record is a number, not a json object: send one json object a record",
        ),
        (
            b"null",
            "the record is null, not a json object: send one json object a record",
        ),
        (
            deep.as_bytes(),
            "nested deeper than 64 levels at byte 320: flatten the record or raise the input's depth limit",
        ),
    ] {
        assert_eq!(
            reason(record),
            expected,
            "{:?}",
            String::from_utf8_lossy(&record[..record.len().min(40)])
        );
    }
    for record in [
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":\"x",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{a:1}",
        "}",
        "\u{0}",
    ] {
        let reason = reason(record);
        assert!(reason.starts_with("invalid json "), "{record:?}: {reason}");
    }
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(20 << 20));
    assert_eq!(
        reason(large),
        "the record has 20971528 bytes, more than the limit of 8388608: split it or raise the input's record limit"
    );
    let decoded = Decoder::new(spec(Format::Json, &[]))
        .unwrap()
        .decode([Row::default()], NOW);
    assert_eq!(
        decoded.bad[0].reason,
        "no payload: a tombstone holds no event"
    );
}

#[test]
fn a_bad_record_disturbs_no_other() {
    let deep = "[".repeat(10_000);
    let records: Vec<&[u8]> = vec![
        br#"{"a":"the first good record"}"#,
        br#"{"a":"half a rec"#,
        b"",
        br#"{"a":"the second good record"}"#,
        deep.as_bytes(),
        br#"{"a":["x","the third",{"b":1}],"a":"the third good record"}"#,
        b"\xFF\xFE",
        br#"{"a":"the fourth good record"}"#,
    ];
    let mut decoder = Decoder::new(spec(Format::Json, &["a"])).unwrap();
    let decoded = decoder.decode(rows(&records), NOW);
    assert_eq!(decoded.source_row, [0, 3, 5, 7]);
    let bad: Vec<_> = decoded.bad.iter().map(|row| row.source_row).collect();
    assert_eq!(bad, [1, 2, 4, 6]);
    for (row, ordinal) in ["first", "second", "third", "fourth"].iter().enumerate() {
        let expected = format!("the {ordinal} good record");
        assert_eq!(values(&decoded.batch, "a", row), Some(vec![Some(expected)]));
    }
}

#[test]
fn a_record_of_20_megabytes_is_decoded_if_allowed() {
    let mut spec = spec(Format::Json, &["a", "b"]);
    spec.max_record_bytes = 32 << 20;
    let mut decoder = Decoder::new(spec).unwrap();
    let text = "é\\n".repeat(5 << 20);
    let record = format!(r#"{{"a":"{text}","b":"after it, another"}}"#);
    let small = r#"{"a":"a small one again","b":1}"#;
    let decoded = decoder.decode(rows(&[record.as_str(), small]), NOW);
    assert_eq!(decoded.bad, []);
    let a = values(&decoded.batch, "a", 0).unwrap().remove(0).unwrap();
    assert_eq!(a.len(), 3 * (5 << 20));
    assert_eq!(
        values(&decoded.batch, "b", 0),
        Some(vec![Some("after it, another".to_owned())])
    );
    assert_eq!(
        values(&decoded.batch, "a", 1),
        Some(vec![Some("a small one again".to_owned())])
    );
}

#[test]
fn a_byte_order_mark_is_skipped() {
    expect(
        Format::Json,
        "a",
        "\u{feff}{\"a\":\"x\"}",
        Some(&[Some("x")]),
    );
    expect(
        Format::Json,
        "a",
        "\u{feff}{\"a\":1.250}",
        Some(&[Some("1.250")]),
    );
}

#[test]
fn depth_is_counted_in_levels() {
    let record = |depth: usize| {
        format!(
            "{}{}",
            r#"{"a":"#.repeat(depth - 1) + "{",
            "}".repeat(depth)
        )
    };
    let mut decoder = Decoder::new(spec(Format::Json, &["a"])).unwrap();
    let decoded = decoder.decode(rows(&[record(64), record(65)]), NOW);
    assert_eq!(decoded.source_row, [0]);
}

#[test]
fn half_a_surrogate_pair_does_not_hide_an_event() {
    let record = r#"{"a":"cmd.exe /c \ud800 whoami","b":"\udc00","c":"\ud83d\ude00"}"#;
    let decoded = decode_one(Format::Json, &["a", "b", "c"], record);
    assert_eq!(
        values(&decoded.batch, "a", 0),
        Some(vec![Some("cmd.exe /c \u{fffd} whoami".to_owned())])
    );
    assert_eq!(
        values(&decoded.batch, "b", 0),
        Some(vec![Some("\u{fffd}".to_owned())])
    );
    assert_eq!(
        values(&decoded.batch, "c", 0),
        Some(vec![Some("😀".to_owned())])
    );
}

#[test]
fn numbers_of_any_size_are_text() {
    let digits = "9".repeat(5_000);
    for number in [
        "1e999",
        "-1e999",
        "1E400",
        digits.as_str(),
        "0.00000000000000000000001e-400",
        "0e99999999999",
    ] {
        let record = format!(r#"{{"x":1.5,"a":{number},"b":[{number}, 2.50],"time":{number}}}"#);
        let decoded = decode_one(Format::Json, &["a", "b", "x"], &record);
        assert_eq!(
            values(&decoded.batch, "a", 0),
            Some(vec![Some(number.to_owned())])
        );
        assert_eq!(
            values(&decoded.batch, "b", 0),
            Some(vec![Some(number.to_owned()), Some("2.50".to_owned())])
        );
        assert_eq!(
            values(&decoded.batch, "x", 0),
            Some(vec![Some("1.5".to_owned())])
        );
    }
}

#[test]
fn many_duplicate_keys_cost_no_more_than_their_length() {
    let mut record = String::from("{");
    for i in 0..100_000 {
        record += &format!(r#""a":{i},"k{i}":"x","#);
    }
    record += r#""a":"last"}"#;
    expect(Format::Json, "a", &record, Some(&[Some("last")]));
}

#[test]
fn wanted_objects_within_each_other_stay_within_the_record_limit_times_depth() {
    // Every level is wanted: the text of each is kept once.
    let fields: Vec<String> = (1..=30).map(|depth| vec!["a"; depth].join(".")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let record = format!("{}{}{}", r#"{"a":"#.repeat(30), r#""x""#, "}".repeat(30));
    let decoded = decode_one(Format::Json, &fields, &record);
    for (level, field) in fields.iter().enumerate() {
        let text = values(&decoded.batch, field, 0).unwrap().remove(0).unwrap();
        assert_eq!(
            text.len(),
            if level == 29 { 1 } else { 6 * (29 - level) + 3 }
        );
    }
}
