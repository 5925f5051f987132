//! Input presets: format, logsource and timestamp in one word. The facts are in `presets.tsv`.

use std::fmt::Write;
use std::str::FromStr;

use haechi_decode::{Format, Logsource};

const TABLE: &str = include_str!("presets.tsv");

/// What a preset says of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preset {
    pub(crate) format: Format,
    pub(crate) logsource: Logsource,
    /// The field with the event's time; none: the format's usual places.
    pub(crate) timestamp: Option<String>,
    /// The shipped pipeline that rules need to find these events' fields.
    pub(crate) pipeline: Option<String>,
}

/// The columns of a line: name, format, product, category, service, timestamp, pipeline, what it is for.
fn lines() -> impl Iterator<Item = [&'static str; 8]> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('\t').collect::<Vec<_>>().try_into().ok())
}

/// The preset of this name, or what is wrong with the name.
pub(crate) fn find(name: &str) -> Result<Preset, String> {
    let some = |text: &str| (text != "-").then(|| text.to_owned());
    let found = lines().find(|[known, ..]| *known == name);
    let Some(
        [
            _,
            format,
            product,
            category,
            service,
            timestamp,
            pipeline,
            _,
        ],
    ) = found
    else {
        let names: Vec<&str> = lines().map(|[name, ..]| name).collect();
        return Err(format!(
            "there is no preset `{name}`: choose one of {}",
            names.join(", ")
        ));
    };
    Ok(Preset {
        format: Format::from_str(format).map_err(|error| error.to_string())?,
        logsource: Logsource {
            product: some(product),
            category: some(category),
            service: some(service),
        },
        timestamp: some(timestamp),
        pipeline: some(pipeline),
    })
}

/// All presets, for `--help`.
pub(crate) fn help() -> String {
    let mut text =
        "Format, logsource and timestamp in one word; docs/formats.md has the table:".to_owned();
    for (index, [name, ..]) in lines().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{name}", if index == 0 { " " } else { ", " });
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::shipped;

    #[test]
    fn every_line_of_the_table_is_a_preset() {
        let wanted = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(lines().count(), wanted);
        for [name, ..] in lines() {
            let preset = find(name).unwrap();
            assert_eq!(
                lines().filter(|[known, ..]| *known == name).count(),
                1,
                "{name}"
            );
            if let Some(pipeline) = preset.pipeline {
                assert!(shipped::pipeline(&pipeline).is_some(), "{name}: {pipeline}");
            }
        }
    }

    #[test]
    fn the_documentation_has_every_preset() {
        let formats = include_str!("../../../docs/formats.md");
        for [name, format, product, category, service, ..] in lines() {
            let row = format!("| `{name}` | `{format}` | {product} | {category} | {service} |");
            assert!(formats.contains(&row), "docs/formats.md lacks {row}");
        }
        assert!(find("nothing").unwrap_err().contains("cloudtrail"));
    }
}
