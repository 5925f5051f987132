//! The JSON Schema for editors knows exactly the keys that the file may have.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::de::value::{Error, MapDeserializer};
use serde_json::Value;

use super::raw;

const SCHEMA: &str = include_str!("../../../../schemas/config.schema.json");

/// The keys that a mapping of the file may have, by what is said of one that it may not.
fn accepted<T: DeserializeOwned + std::fmt::Debug>() -> BTreeSet<String> {
    let map = MapDeserializer::<_, Error>::new([("no such key", ())].into_iter());
    let said = T::deserialize(map)
        .expect_err("an unknown key is refused")
        .to_string();
    let (_, known) = said
        .split_once("expected ")
        .expect("it says what is expected");
    known
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn described(pointer: &str) -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let mapping = schema
        .pointer(pointer)
        .unwrap_or_else(|| panic!("the schema has no {pointer}"));
    assert_eq!(
        mapping["additionalProperties"], false,
        "{pointer} must refuse other keys"
    );
    let keys = mapping["properties"].as_object().expect("properties");
    keys.keys().cloned().collect()
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    for (pointer, accepted) in [
        ("", accepted::<raw::Config>()),
        ("/properties/inputs/items", accepted::<raw::Input>()),
        (
            "/properties/inputs/items/properties/logsource",
            accepted::<raw::Logsource>(),
        ),
        ("/properties/outputs", accepted::<raw::Outputs>()),
        (
            "/properties/outputs/properties/alerts",
            accepted::<raw::Alerts>(),
        ),
        ("/definitions/output", accepted::<raw::Output>()),
        ("/properties/exchange", accepted::<raw::Exchange>()),
        ("/properties/snapshots", accepted::<raw::Snapshots>()),
        ("/properties/limits", accepted::<raw::Limits>()),
        ("/properties/http", accepted::<raw::Http>()),
    ] {
        assert!(!accepted.is_empty(), "{pointer}");
        assert_eq!(
            described(pointer),
            accepted,
            "`{pointer}` of schemas/config.schema.json"
        );
    }
}
