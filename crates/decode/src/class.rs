//! Classes of events: events with the same set of logsources, numbered as they are met.

use rustc_hash::FxHashMap;

use crate::spec::{Logsource, ValuesFor, ValuesWanted};
use crate::walk::Header;
use crate::windows::logsources::{Kind, Logsources};

/// What is known of the events of one class.
#[derive(Debug)]
pub(crate) struct Class {
    /// Which of the class's events carry all their values.
    pub(crate) values: ValuesWanted,
    /// Columns and those to take values from where they have none.
    pub(crate) alternatives: Vec<(usize, usize)>,
}

/// A column and the one that holds the same under another name, in all events of some kinds.
#[derive(Clone, Debug)]
pub(crate) struct AlternativeColumns {
    pub(crate) field: String,
    pub(crate) other: String,
    pub(crate) columns: (usize, usize),
}

/// All classes met so far.
pub(crate) struct Classes {
    declared: Logsource,
    values_for: Box<dyn ValuesFor>,
    /// Windows events differ among themselves; others are all of one class.
    windows: Option<Windows>,
    logsources: Vec<Vec<Logsource>>,
    classes: Vec<Class>,
}

struct Windows {
    table: Logsources,
    ids: FxHashMap<Kind, u16>,
    alternatives: Vec<AlternativeColumns>,
}

impl Classes {
    /// Every event has the declared logsource and nothing else.
    pub(crate) fn declared(declared: Logsource, values_for: Box<dyn ValuesFor>) -> Self {
        let mut this = Self {
            declared: declared.clone(),
            values_for,
            windows: None,
            logsources: Vec::new(),
            classes: Vec::new(),
        };
        this.push(vec![declared], Vec::new());
        this
    }

    /// Events have what the Windows table says of them, completed by the declared logsource.
    pub(crate) fn windows(
        mut declared: Logsource,
        values_for: Box<dyn ValuesFor>,
        table: Logsources,
        alternatives: Vec<AlternativeColumns>,
    ) -> Self {
        declared.product.get_or_insert_with(|| "windows".to_owned());
        let mut this = Self {
            declared,
            values_for,
            windows: Some(Windows {
                table,
                ids: FxHashMap::default(),
                alternatives,
            }),
            logsources: Vec::new(),
            classes: Vec::new(),
        };
        this.of(&Header::default());
        this
    }

    pub(crate) fn logsources(&self) -> &[Vec<Logsource>] {
        &self.logsources
    }

    pub(crate) fn get(&self, id: u16) -> Option<&Class> {
        self.classes.get(usize::from(id))
    }

    /// Whether an event of a class that depends carries all its values; see [`ValuesFor::event`].
    pub(crate) fn wants_values(&mut self, id: u16, text: &[u8]) -> bool {
        self.values_for.event(id, text)
    }

    /// The class of an event.
    pub(crate) fn of(&mut self, header: &Header<'_>) -> u16 {
        let Some(windows) = &mut self.windows else {
            return 0;
        };
        let kind = windows
            .table
            .kind(header.channel, header.event_id, header.event_type);
        if let Some(&id) = windows.ids.get(&kind) {
            return id;
        }
        let logsources = windows_logsources(&self.declared, &windows.table, kind);
        let alternatives = windows
            .table
            .categories(kind)
            .flat_map(|category| &category.alternatives)
            .flat_map(|wanted| {
                windows
                    .alternatives
                    .iter()
                    .filter(move |known| known.field == wanted.field && known.other == wanted.other)
            })
            .map(|known| known.columns)
            .collect();
        let id = self.push(logsources, alternatives);
        if let Some(windows) = &mut self.windows {
            windows.ids.insert(kind, id);
        }
        id
    }

    fn push(&mut self, logsources: Vec<Logsource>, alternatives: Vec<(usize, usize)>) -> u16 {
        // The table has a few hundred kinds at most.
        let id = u16::try_from(self.classes.len()).unwrap_or(u16::MAX);
        self.classes.push(Class {
            values: self.values_for.class(&logsources),
            alternatives,
        });
        self.logsources.push(logsources);
        id
    }
}

/// The logsources of a kind of Windows event: one for each category with the service, or one with the service alone; then
/// the declared one, if it says anything that these do not.
fn windows_logsources(declared: &Logsource, table: &Logsources, kind: Kind) -> Vec<Logsource> {
    let service = table.service(kind).or(declared.service.as_deref());
    let with_category = |category: Option<&str>| Logsource {
        product: Some("windows".to_owned()),
        category: category.or(declared.category.as_deref()).map(str::to_owned),
        service: service.map(str::to_owned),
    };
    let mut logsources: Vec<Logsource> = table
        .categories(kind)
        .map(|category| with_category(Some(&category.name)))
        .collect();
    if logsources.is_empty() {
        logsources.push(with_category(None));
    }
    logsources.extend(table.aliases(kind).map(|alias| Logsource {
        product: Some("windows".to_owned()),
        category: declared.category.clone(),
        service: Some(alias.to_owned()),
    }));
    if !logsources.iter().any(|known| says(known, declared)) {
        logsources.push(declared.clone());
    }
    logsources
}

/// Whether `logsource` says everything that `other` says.
fn says(logsource: &Logsource, other: &Logsource) -> bool {
    let part = |known: &Option<String>, other: &Option<String>| other.is_none() || known == other;
    part(&logsource.product, &other.product)
        && part(&logsource.category, &other.category)
        && part(&logsource.service, &other.service)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn logsource(product: &str, category: &str, service: &str) -> Logsource {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Logsource {
            product: part(product),
            category: part(category),
            service: part(service),
        }
    }

    fn of(declared: Logsource, channel: &str, event_id: u32) -> Vec<Logsource> {
        let table = Logsources::load().unwrap();
        let mut classes = Classes::windows(
            declared,
            Box::new(|_: &[Logsource]| false),
            table,
            Vec::new(),
        );
        let header = Header {
            channel: Some(channel),
            event_id: Some(event_id),
            ..Header::default()
        };
        let id = classes.of(&header);
        assert_eq!(classes.of(&header), id);
        classes.logsources()[usize::from(id)].clone()
    }

    #[test]
    fn the_declared_logsource_completes_what_an_event_tells() {
        let sysmon = "Microsoft-Windows-Sysmon/Operational";
        let none = Logsource::default;
        for (declared, channel, id, expected) in [
            (none(), "?", 1, vec![logsource("windows", "", "")]),
            (
                none(),
                "Security",
                4624,
                vec![logsource("windows", "", "security")],
            ),
            (
                none(),
                sysmon,
                1,
                vec![logsource("windows", "process_creation", "sysmon")],
            ),
            (
                none(),
                sysmon,
                13,
                vec![
                    logsource("windows", "registry_event", "sysmon"),
                    logsource("windows", "registry_set", "sysmon"),
                ],
            ),
            (
                logsource("windows", "", ""),
                sysmon,
                1,
                vec![logsource("windows", "process_creation", "sysmon")],
            ),
            (
                logsource("", "", "custom"),
                "?",
                1,
                vec![logsource("windows", "", "custom")],
            ),
            (
                logsource("", "", "custom"),
                "Security",
                4624,
                vec![
                    logsource("windows", "", "security"),
                    logsource("windows", "", "custom"),
                ],
            ),
            (
                logsource("acme", "", ""),
                "Security",
                4624,
                vec![
                    logsource("windows", "", "security"),
                    logsource("acme", "", ""),
                ],
            ),
        ] {
            assert_eq!(
                of(declared.clone(), channel, id),
                expected,
                "{declared:?} {channel}"
            );
        }
    }
}
