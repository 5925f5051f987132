//! Reading a rule's logsource.

use crate::codes;
use crate::diagnostic::Span;
use crate::fields::{find, mapping, text};
use crate::report::Report;
use crate::rule::Logsource;
use crate::yaml::Entry;

/// Reads the logsource of a detection or filter; `title` is where to point when there is none. Gives none only when it is broken.
pub(crate) fn read(
    entries: &[Entry<'_>],
    title: Span,
    report: &mut Report<'_>,
) -> Option<Logsource> {
    let Some(entry) = find(entries, "logsource") else {
        let message = "there is no logsource, so this looks at every event of every input";
        report.add(&codes::MISSING_LOGSOURCE, title, message);
        return Some(Logsource::default());
    };
    let keys = mapping(entry, report)?;
    let mut sound = true;
    let mut key = |name| {
        let entry = find(keys, name).filter(|entry| entry.value.kind() != "null")?;
        let text = text(entry, report);
        sound &= text.is_some();
        text.map(|text| text.trim().to_lowercase())
    };
    let logsource = Logsource {
        product: key("product"),
        category: key("category"),
        service: key("service"),
    };
    if sound && logsource == Logsource::default() {
        let message = "the logsource names no product, category or service, so this looks at every event of every input";
        report.add(&codes::MISSING_LOGSOURCE, entry.key_span, message);
    }
    sound.then_some(logsource)
}
