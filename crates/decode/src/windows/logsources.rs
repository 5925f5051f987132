//! Which Sigma logsources a Windows event has, by its channel, event id and, for some, event type.
//!
//! The facts are in `logsources.tsv`. A channel makes the service; a service and an event id make any
//! number of categories (Sysmon 13 is `registry_set` and `registry_event`). Channels and event types are compared without
//! regard to case, as Windows itself writes them in several.

use rustc_hash::FxHashMap;

use crate::spec::{Logsource, SpecError};

const TABLE: &str = include_str!("logsources.tsv");

/// Every logsource that a Windows event may derive: each service, and each category with the service whose events make it.
pub fn windows_logsources() -> Vec<Logsource> {
    let mut found: Vec<Logsource> = Vec::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (category, service) = match *columns.as_slice() {
            ["service", name, ..] => (None, name),
            ["category", name, service, ..] => (Some(name), service),
            _ => continue,
        };
        let logsource = Logsource {
            product: Some("windows".to_owned()),
            category: category.map(str::to_owned),
            service: Some(service.to_owned()),
        };
        if !found.contains(&logsource) {
            found.push(logsource);
        }
    }
    found
}

/// A set of categories of the table, by index.
pub(crate) type CategorySet = u64;

/// A field, and the field of other name that holds the same in some category's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alternative {
    pub(crate) field: String,
    pub(crate) other: String,
}

/// One way in which a service's events make a category.
#[derive(Clone, Debug)]
pub(crate) struct Category {
    pub(crate) name: String,
    service: usize,
    event_ids: Vec<u32>,
    /// Any of these; all events if empty.
    event_types: Vec<String>,
    pub(crate) alternatives: Vec<Alternative>,
}

/// The built-in table, for look-up.
#[derive(Debug)]
pub(crate) struct Logsources {
    services: Vec<String>,
    /// Other names of services.
    aliases: Vec<(usize, String)>,
    categories: Vec<Category>,
    /// Services by channel in lower case.
    channels: FxHashMap<Box<[u8]>, usize>,
    /// Categories that a service's event id may make.
    candidates: FxHashMap<(usize, u32), CategorySet>,
    longest_channel: usize,
    /// Room for a channel in lower case.
    lower: Vec<u8>,
}

/// What the table says of an event: its service and its categories, as indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) service: Option<usize>,
    pub(crate) categories: CategorySet,
}

impl Logsources {
    pub(crate) fn load() -> Result<Self, SpecError> {
        Self::parse(TABLE)
    }

    fn parse(table: &str) -> Result<Self, SpecError> {
        let mut this = Self {
            services: Vec::new(),
            aliases: Vec::new(),
            categories: Vec::new(),
            channels: FxHashMap::default(),
            candidates: FxHashMap::default(),
            longest_channel: 0,
            lower: Vec::new(),
        };
        for (index, line) in table.lines().enumerate() {
            if !line.starts_with('#') {
                this.add(line).ok_or(SpecError::LogsourceTable(index + 1))?;
            }
        }
        Ok(this)
    }

    /// Adds one line of the table; `None` if it does not read.
    fn add(&mut self, line: &str) -> Option<()> {
        let columns: Vec<&str> = line.split('\t').collect();
        match *columns.as_slice() {
            ["service", name, channel] => {
                let known = self.services.iter().position(|service| service == name);
                let service = known.unwrap_or_else(|| {
                    self.services.push(name.to_owned());
                    self.services.len() - 1
                });
                let channel = channel.to_ascii_lowercase().into_bytes();
                self.longest_channel = self.longest_channel.max(channel.len());
                self.channels.insert(channel.into(), service);
            }
            ["alias", name, service] => {
                let service = self.services.iter().position(|known| known == service)?;
                self.aliases.push((service, name.to_owned()));
            }
            ["category", name, service, ids, types, alternatives] => {
                let set: CategorySet = 1
                    << u32::try_from(self.categories.len())
                        .ok()
                        .filter(|&index| index < CategorySet::BITS)?;
                let category = Category {
                    name: name.to_owned(),
                    service: self.services.iter().position(|known| known == service)?,
                    event_ids: ids
                        .split(' ')
                        .map(|id| id.parse().ok())
                        .collect::<Option<_>>()?,
                    event_types: list(types).map(str::to_owned).collect(),
                    alternatives: list(alternatives)
                        .map(|pair| {
                            let (field, other) = pair.split_once('=')?;
                            Some(Alternative {
                                field: field.to_owned(),
                                other: other.to_owned(),
                            })
                        })
                        .collect::<Option<_>>()?,
                };
                for &id in &category.event_ids {
                    *self.candidates.entry((category.service, id)).or_default() |= set;
                }
                self.categories.push(category);
            }
            _ => return None,
        }
        Some(())
    }

    /// What an event with this channel, event id and event type is.
    pub(crate) fn kind(
        &mut self,
        channel: Option<&str>,
        event_id: Option<u32>,
        event_type: Option<&str>,
    ) -> Kind {
        let Some(service) = channel.and_then(|channel| self.service_of(channel)) else {
            return Kind::default();
        };
        let candidates = event_id.and_then(|id| self.candidates.get(&(service, id)));
        let mut categories = candidates.copied().unwrap_or_default();
        for index in indices(categories) {
            let types = self
                .categories
                .get(index)
                .map(|category| &category.event_types);
            let fits = types.is_none_or(|types| {
                types.is_empty()
                    || event_type
                        .is_some_and(|given| types.iter().any(|t| t.eq_ignore_ascii_case(given)))
            });
            if !fits {
                categories &= !(1 << index);
            }
        }
        Kind {
            service: Some(service),
            categories,
        }
    }

    fn service_of(&mut self, channel: &str) -> Option<usize> {
        if channel.len() > self.longest_channel {
            return None;
        }
        self.lower.clear();
        self.lower.extend_from_slice(channel.as_bytes());
        self.lower.make_ascii_lowercase();
        self.channels.get(self.lower.as_slice()).copied()
    }

    pub(crate) fn service(&self, kind: Kind) -> Option<&str> {
        let service = kind.service?;
        self.services.get(service).map(String::as_str)
    }

    /// What the service of a kind of event is called besides.
    pub(crate) fn aliases(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let of_kind = self
            .aliases
            .iter()
            .filter(move |(service, _)| Some(*service) == kind.service);
        of_kind.map(|(_, name)| name.as_str())
    }

    /// The categories of a kind of event, in the table's order.
    pub(crate) fn categories(&self, kind: Kind) -> impl Iterator<Item = &Category> {
        indices(kind.categories).filter_map(|index| self.categories.get(index))
    }

    /// Every alternative of the table.
    pub(crate) fn alternatives(&self) -> impl Iterator<Item = &Alternative> {
        self.categories
            .iter()
            .flat_map(|category| &category.alternatives)
    }
}

/// The words of a column; none if it says `-`.
fn list(column: &str) -> impl Iterator<Item = &str> {
    column.split(' ').filter(|&word| word != "-")
}

/// The indices in a set, ascending.
fn indices(mut set: CategorySet) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = set.trailing_zeros();
        set &= set.checked_sub(1)?;
        Some(index as usize)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kind(channel: &str, id: u32, event_type: Option<&str>) -> (Option<String>, Vec<String>) {
        let mut table = Logsources::load().unwrap();
        let kind = table.kind(Some(channel), Some(id), event_type);
        (
            table.service(kind).map(str::to_owned),
            table
                .categories(kind)
                .map(|category| category.name.clone())
                .collect(),
        )
    }

    #[test]
    fn channels_make_services_and_event_ids_categories() {
        const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";
        for (channel, id, event_type, service, categories) in [
            (SYSMON, 1, None, "sysmon", vec!["process_creation"]),
            (SYSMON, 3, None, "sysmon", vec!["network_connection"]),
            (SYSMON, 11, None, "sysmon", vec!["file_event"]),
            (SYSMON, 12, None, "sysmon", vec!["registry_event"]),
            (
                SYSMON,
                12,
                Some("CreateKey"),
                "sysmon",
                vec!["registry_add", "registry_event"],
            ),
            (
                SYSMON,
                12,
                Some("deletevalue"),
                "sysmon",
                vec!["registry_delete", "registry_event"],
            ),
            (
                SYSMON,
                13,
                Some("SetValue"),
                "sysmon",
                vec!["registry_event", "registry_set"],
            ),
            (
                SYSMON,
                14,
                None,
                "sysmon",
                vec!["registry_event", "registry_rename"],
            ),
            (SYSMON, 999, None, "sysmon", vec![]),
            ("security", 4688, None, "security", vec!["process_creation"]),
            ("SECURITY", 4624, None, "security", vec![]),
            (
                "Microsoft-Windows-PowerShell/Operational",
                4104,
                None,
                "powershell",
                vec!["ps_script"],
            ),
            (
                "PowerShellCore/Operational",
                4103,
                None,
                "powershell",
                vec!["ps_module"],
            ),
            (
                "Windows PowerShell",
                400,
                None,
                "powershell-classic",
                vec!["ps_classic_start"],
            ),
            (
                "Microsoft-Windows-Windows Defender/Operational",
                1116,
                None,
                "windefend",
                vec!["antivirus"],
            ),
        ] {
            let categories: Vec<String> = categories.into_iter().map(str::to_owned).collect();
            assert_eq!(
                kind(channel, id, event_type),
                (Some(service.to_owned()), categories),
                "{channel} {id}"
            );
        }
        assert_eq!(kind("Nobody/Knows", 1, None), (None, vec![]));
        assert_eq!(kind(&"x".repeat(1 << 20), 1, None), (None, vec![]));
    }

    #[test]
    fn a_broken_table_names_its_line() {
        for line in [
            "service\tx",
            "category\tx\tnobody\t1\t-\t-",
            "service\ts\tc\textra",
            "alias\tx\tnobody",
            "",
        ] {
            let table = format!("# head\nservice\ts\tc\n{line}\n");
            assert_eq!(
                Logsources::parse(&table).unwrap_err(),
                SpecError::LogsourceTable(3),
                "{line}"
            );
        }
    }
}
