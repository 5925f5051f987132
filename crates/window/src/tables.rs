//! What a rollup may read `FROM`.

use std::collections::BTreeSet;
use std::sync::Arc;

use haechi_rules::Logsource;

/// The names that may stand after `FROM`: inputs, and logsources.
///
/// An input's name means the rows that come through that input. Any other name means logsources: `windows` the events whose
/// product, category or service is `windows`; `windows/process_creation` those whose product is `windows` and whose category or service is
/// `process_creation`; `windows_process_creation` the same (cut at any underscore), for SQL that would rather not quote the name; and
/// `product/category/service` all three. An input's name wins over a logsource's.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    inputs: BTreeSet<Arc<str>>,
    /// None: any logsource may turn up.
    logsources: Option<Vec<Logsource>>,
}

/// What a table name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Table {
    /// The rows of an input.
    Input(Arc<str>),
    /// The rows whose class any of these covers.
    Logsources(Vec<Logsource>),
}

impl Tables {
    /// These inputs, and every logsource: what kinds of events come is not known beforehand.
    pub fn new(inputs: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self {
            inputs: inputs.into_iter().collect(),
            logsources: None,
        }
    }

    /// Only these logsources can turn up: a rollup that reads any other is an error.
    #[must_use]
    pub fn with_logsources(mut self, logsources: impl IntoIterator<Item = Logsource>) -> Self {
        self.logsources = Some(logsources.into_iter().collect());
        self
    }

    /// What a name means; none when there is nothing of that name.
    pub(crate) fn resolve(&self, name: &str) -> Option<Table> {
        if let Some(input) = self.inputs.get(name) {
            return Some(Table::Input(Arc::clone(input)));
        }
        let mut meanings = meanings(&name.to_lowercase());
        if let Some(known) = &self.logsources {
            meanings.retain(|meaning| known.iter().any(|known| meaning.covers(known)));
        }
        (!meanings.is_empty()).then_some(Table::Logsources(meanings))
    }

    /// The names there are, for a message.
    pub(crate) fn describe(&self) -> String {
        let inputs = self.inputs.iter().map(ToString::to_string);
        let logsources = self
            .logsources
            .iter()
            .flatten()
            .map(|known| format!("\"{known}\""));
        let names: BTreeSet<String> = inputs.chain(logsources).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }
}

impl Table {
    /// Whether rows of this class (the logsources of an event) that came through this input take part.
    pub(crate) fn takes(&self, input: &str, class: &[Logsource]) -> bool {
        match self {
            Self::Input(name) => **name == *input,
            Self::Logsources(meanings) => {
                let any = |event| meanings.iter().any(|meaning| meaning.covers(event));
                class.iter().any(any)
            }
        }
    }
}

/// All logsources that a name can mean.
fn meanings(name: &str) -> Vec<Logsource> {
    let parts: Vec<&str> = name.split('/').collect();
    match *parts.as_slice() {
        _ if parts.contains(&"") => Vec::new(),
        [one] => {
            let mut meanings = vec![
                logsource(Some(one), None, None),
                logsource(None, Some(one), None),
                logsource(None, None, Some(one)),
            ];
            for (at, _) in one.match_indices('_') {
                if let (Some(product), Some(rest)) = (one.get(..at), one.get(at + 1..)) {
                    meanings.extend(pair(product, rest));
                }
            }
            meanings
        }
        [product, rest] => pair(product, rest).to_vec(),
        [product, category, service] => {
            vec![logsource(Some(product), Some(category), Some(service))]
        }
        _ => Vec::new(),
    }
}

fn pair(product: &str, rest: &str) -> [Logsource; 2] {
    [
        logsource(Some(product), Some(rest), None),
        logsource(Some(product), None, Some(rest)),
    ]
}

fn logsource(product: Option<&str>, category: Option<&str>, service: Option<&str>) -> Logsource {
    let own = |key: Option<&str>| key.map(str::to_owned);
    Logsource {
        product: own(product),
        category: own(category),
        service: own(service),
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;

    fn takes(tables: &Tables, name: &str, input: &str, class: &[Logsource]) -> bool {
        tables
            .resolve(name)
            .is_some_and(|table| table.takes(input, class))
    }

    #[test]
    fn a_name_is_an_input_or_any_key_of_a_logsource() {
        let tables = Tables::new(["proxy".into()]);
        let class = [logsource(
            Some("windows"),
            Some("process_creation"),
            Some("sysmon"),
        )];
        for name in [
            "windows",
            "process_creation",
            "sysmon",
            "windows/process_creation",
            "windows/sysmon",
            "Windows_Process_Creation",
            "windows/process_creation/sysmon",
        ] {
            assert!(takes(&tables, name, "x", &class), "{name}");
        }
        for name in [
            "linux",
            "proxy",
            "windows/file_event",
            "process_creation/windows",
            "a/b/c/d",
            "",
            "windows/",
        ] {
            assert!(!takes(&tables, name, "x", &class), "{name}");
        }
        assert!(takes(&tables, "proxy", "proxy", &[]));
    }

    #[test]
    fn a_class_with_several_logsources_takes_part_when_one_is_covered() {
        let tables = Tables::new([]);
        let class = [
            logsource(Some("windows"), None, Some("security")),
            logsource(Some("windows"), Some("process_creation"), None),
        ];
        assert!(takes(&tables, "process_creation", "x", &class));
        assert!(takes(&tables, "windows/security", "x", &class));
        assert!(!takes(
            &tables,
            "windows/process_creation/security",
            "x",
            &class
        ));
    }

    #[test]
    fn a_logsource_that_cannot_turn_up_is_not_a_table() {
        let tables = Tables::new(["proxy".into()]).with_logsources([logsource(
            Some("linux"),
            None,
            Some("sshd"),
        )]);
        assert!(tables.resolve("linux").is_some());
        assert!(tables.resolve("linux_sshd").is_some());
        assert!(tables.resolve("windows").is_none());
        assert_eq!(tables.describe(), "\"linux/sshd\", proxy");
    }
}
