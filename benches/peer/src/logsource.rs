//! Which logsources a Windows event has, from haechi's own table, so that both engines ask the same rules about an event.

use std::collections::HashMap;

use rsigma_parser::LogSource;
use serde_json::Value;

/// The table, and what it said of the kinds of events met so far.
pub struct Logsources {
    channels: HashMap<String, String>,
    /// Other names of services, and whose.
    aliases: Vec<(String, String)>,
    categories: Vec<Category>,
    /// Channel → event id → event type → logsources.
    known: HashMap<String, HashMap<u64, HashMap<String, Vec<LogSource>>>>,
}

struct Category {
    name: String,
    service: String,
    ids: Vec<u64>,
    types: Vec<String>,
}

impl Logsources {
    /// Reads the table (`crates/decode/src/windows/logsources.tsv`).
    pub fn parse(table: &str) -> Self {
        let (mut channels, mut categories) = (HashMap::new(), Vec::new());
        let mut aliases = Vec::new();
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            match *line.split('\t').collect::<Vec<_>>() {
                ["service", name, channel] => {
                    channels.insert(channel.to_ascii_lowercase(), name.to_owned());
                }
                ["alias", name, service] => aliases.push((name.to_owned(), service.to_owned())),
                ["category", name, service, ids, types, _] => categories.push(Category {
                    name: name.to_owned(),
                    service: service.to_owned(),
                    ids: ids
                        .split(' ')
                        .map(|id| id.parse().expect("an id"))
                        .collect(),
                    types: types
                        .split(' ')
                        .filter(|kind| *kind != "-")
                        .map(str::to_ascii_lowercase)
                        .collect(),
                }),
                _ => panic!("a line of the table that does not read: {line}"),
            }
        }
        Self {
            channels,
            aliases,
            categories,
            known: HashMap::new(),
        }
    }

    /// The logsources of an event.
    pub fn of(&mut self, event: &Value) -> &[LogSource] {
        let channel = event["Channel"].as_str().unwrap_or_default();
        let id = match &event["EventID"] {
            Value::Number(id) => id.as_u64(),
            Value::String(id) => id.parse().ok(),
            _ => None,
        };
        let id = id.unwrap_or(u64::MAX);
        let kind = event["EventType"].as_str().unwrap_or_default();
        let known = self
            .known
            .get(channel)
            .and_then(|ids| ids.get(&id)?.get(kind));
        if known.is_none() {
            let logsources = self.look_up(channel, id, kind);
            let ids = self.known.entry(channel.to_owned()).or_default();
            ids.entry(id)
                .or_default()
                .insert(kind.to_owned(), logsources);
        }
        &self.known[channel][&id][kind]
    }

    fn look_up(&self, channel: &str, id: u64, kind: &str) -> Vec<LogSource> {
        let service = self.channels.get(&channel.to_ascii_lowercase());
        let logsource = |category: Option<&str>, service: Option<&String>| LogSource {
            product: Some("windows".to_owned()),
            category: category.map(str::to_owned),
            service: service.cloned(),
            ..LogSource::default()
        };
        let kind = kind.to_ascii_lowercase();
        let of_event = |category: &&Category| {
            Some(&category.service) == service
                && category.ids.contains(&id)
                && (category.types.is_empty() || category.types.contains(&kind))
        };
        let names = || {
            let aliases = self.aliases.iter();
            let aliases = aliases.filter(|(_, of)| Some(of) == service);
            service.into_iter().chain(aliases.map(|(name, _)| name))
        };
        let mut found: Vec<LogSource> = Vec::new();
        for category in self.categories.iter().filter(of_event) {
            found.extend(names().map(|name| logsource(Some(&category.name), Some(name))));
        }
        if found.is_empty() {
            found.extend(names().map(|name| logsource(None, Some(name))));
        }
        if found.is_empty() {
            found.push(logsource(None, None));
        }
        found
    }
}
