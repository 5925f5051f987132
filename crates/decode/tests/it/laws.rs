use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

const FIELDS: &[&str] = &[
    "a",
    "b",
    "a.b",
    "a.a",
    "b.a.b",
    "EventID",
    "Image",
    "Data",
    "Provider_Name",
    "a b",
];

/// JSON texts, with keys that are often wanted and sometimes twice, nested and spaced at will.
fn json() -> impl Strategy<Value = String> {
    let string = prop_oneof![
        "[ -~]{0,20}",
        any::<String>(),
        Just("a longer string, beyond a view's prefix".to_owned()),
    ]
    .prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![
        string,
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("json has no infinities", |n| n.is_finite())
            .prop_map(|n| format!("{n:?}")),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just(r#""\ud83d\u0041""#.to_owned()),
        Just("1e999".to_owned()),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "a",
            "b",
            "a.b",
            "a b",
            "x",
            "Event",
            "System",
            "EventData",
            "UserData",
            "Data",
            "EventID",
            "Image",
            "#text",
            "#attributes",
            "Name",
            "winlog",
            "event_data",
            "Provider",
            "time",
            "Channel",
        ])
        .prop_map(str::to_owned),
        "[a-c.]{0,4}",
    ];
    let value = leaf.prop_recursive(4, 40, 6, move |inner| {
        let space = prop::sample::select(vec!["", " ", "\n\t"]);
        prop_oneof![
            (vec(inner.clone(), 0..4), space.clone()).prop_map(|(elements, space)| format!(
                "[{space}{}]",
                elements.join(&format!("{space},{space}"))
            )),
            (vec((key.clone(), inner), 0..6), space)
                .prop_map(|(members, space)| object(&members, space)),
        ]
    });
    (vec((prop::sample::select(FIELDS), value), 0..6), Just(" "))
        .prop_map(|(members, space)| object(&members, space))
}

fn object(members: &[(impl AsRef<str>, String)], space: &str) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| {
            format!(
                "{space}{}{space}:{space}{value}",
                serde_json::to_string(key.as_ref()).unwrap()
            )
        })
        .collect();
    format!("{{{}{space}}}", members.join(","))
}

fn decoder(format: Format) -> Decoder {
    let mut spec = spec(format, FIELDS);
    spec.values_for = Box::new(|_: &[Logsource]| true);
    Decoder::new(spec).unwrap()
}

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::Json, Format::Windows])
}

/// What a plain program, written for clearness, finds for a field of a record.
pub(crate) fn plainly(
    value: &serde_json::Value,
    path: &[&str],
    found: &mut Vec<Option<String>>,
) -> bool {
    use serde_json::Value;
    match value {
        Value::Array(elements) => {
            let mut any = path.is_empty() && elements.is_empty();
            for element in elements {
                any |= plainly(element, path, found);
            }
            any
        }
        Value::Object(members) if !path.is_empty() => {
            let mut any = false;
            for (key, value) in members {
                for split in 1..=path.len() {
                    if *key == path[..split].join(".") {
                        any |= plainly(value, &path[split..], found);
                    }
                }
            }
            any
        }
        _ if !path.is_empty() => false,
        Value::Null => {
            found.push(None);
            true
        }
        Value::String(text) => {
            found.push(Some(text.clone()));
            true
        }
        other => {
            found.push(Some(other.to_string()));
            true
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_are_lost_or_a_panic(
        format in formats(),
        records in vec(prop_oneof![vec(any::<u8>(), 0..200), json().prop_map(String::into_bytes)], 0..8),
    ) {
        let decoded = decoder(format).decode(rows(&records), NOW);
        let mut accounted: Vec<u32> = decoded.source_row.clone();
        accounted.extend(decoded.bad.iter().map(|row| row.source_row));
        accounted.sort_unstable();
        prop_assert_eq!(accounted, (0..records.len() as u32).collect::<Vec<_>>());
        prop_assert_eq!(decoded.batch.num_rows(), decoded.source_row.len());
    }

    #[test]
    fn broken_json_is_bad_or_read(record in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut record = record.into_bytes();
        let at = at.index(record.len());
        record[at] = byte;
        for format in [Format::Json, Format::Windows] {
            let decoded = decoder(format).decode(rows(&[&record]), NOW);
            prop_assert_eq!(decoded.bad.len() + decoded.source_row.len(), 1);
            prop_assert!(decoded.bad.iter().all(|row| !row.reason.contains("report this")));
            // A strict parser takes whatever we take, but for what is repaired.
            if decoded.bad.is_empty() && !record.windows(2).any(|pair| pair == b"\\u" || pair == b"1e") {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&record).is_ok());
            }
        }
    }

    #[test]
    fn a_batch_is_its_rows_one_by_one(format in formats(), records in vec(json(), 0..12)) {
        let together = decoder(format).decode(rows(&records), NOW);
        prop_assert_eq!(&together.bad, &[]);
        let mut one_by_one = decoder(format);
        for (row, record) in records.iter().enumerate() {
            let alone = one_by_one.decode(rows(&[record]), NOW);
            prop_assert_eq!(&contents(&alone.batch)[0], &contents(&together.batch)[row]);
            prop_assert_eq!(time(&alone.batch, 0), time(&together.batch, row));
            prop_assert_eq!(class(&alone.batch, 0), class(&together.batch, row));
        }
    }

    #[test]
    fn json_is_read_as_a_plain_program_reads_it(members in btree_map("[ab]|a\\.b|[x-z]{0,3}", any_value(3), 0..6)) {
        let value = serde_json::Value::Object(members.into_iter().collect());
        let record = value.to_string();
        let decoded = decode_one(Format::Json, FIELDS, &record);
        for field in FIELDS {
            let mut expected = Vec::new();
            let path: Vec<&str> = field.split('.').collect();
            let present = plainly(&value, &path, &mut expected);
            let mut found = values(&decoded.batch, field, 0);
            // The order of values means nothing, and differs where a path is both nested and flat.
            if let Some(found) = &mut found {
                found.sort();
            }
            expected.sort();
            prop_assert_eq!(found, present.then_some(expected), "{} of {}", field, &record);
        }
    }
}

fn any_value(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1.0e6f64..1.0e6).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, 30, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            btree_map("[ab]|a\\.b|b\\.a", inner, 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}
