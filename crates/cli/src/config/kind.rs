//! What an input's records are, and what rules go through: presets and pipelines, and what contradicts them.

use std::path::Path;
use std::str::FromStr;

use crate::through::Through;
use haechi_decode::{Format, Logsource};

use super::validate::Validator;
use super::{ConfigError, raw};
use crate::presets::{self, Preset};
use crate::through;

impl Validator<'_> {
    /// What an input's records are: as its preset says, or its own `format` and `logsource`.
    pub(super) fn kind(
        &self,
        config: &raw::Config,
        raw: &raw::Input,
        name: &str,
    ) -> Result<Preset, ConfigError> {
        let Some(given) = &raw.preset else {
            let Some(format) = &raw.format else {
                return Err(self.at(
                    &raw.name,
                    format!("input `{name}` has neither `format` nor `preset`: say how its records are written"),
                ));
            };
            let text = self.text(format)?;
            let lower = |value: &Option<String>| value.as_ref().map(|value| value.to_lowercase());
            let logsource = raw.logsource.as_ref().map(|logsource| &logsource.value);
            return Ok(Preset {
                format: Format::from_str(&text)
                    .map_err(|error| self.at(format, error.to_string()))?,
                logsource: logsource.map_or_else(Logsource::default, |logsource| Logsource {
                    product: lower(&logsource.product),
                    category: lower(&logsource.category),
                    service: lower(&logsource.service),
                }),
                timestamp: None,
                pipeline: None,
            });
        };
        let chosen = self.text(given)?;
        let preset = presets::find(&chosen).map_err(|message| self.at(given, message))?;
        if let Some(format) = &raw.format {
            return Err(self.at(
                format,
                format!("input `{name}` has a preset, which says `format: {}` already: keep one of them", preset.format),
            ));
        }
        if let Some(logsource) = &raw.logsource {
            return Err(self.at(
                logsource,
                format!("input `{name}` has a preset, which says the logsource already: keep one of them"),
            ));
        }
        let named = |pipeline: &str| config.pipelines.iter().any(|known| known.value == pipeline);
        if let Some(pipeline) = preset
            .pipeline
            .as_deref()
            .filter(|pipeline| !named(pipeline))
        {
            return Err(self.at(
                given,
                format!("preset `{chosen}` needs `pipelines: [{pipeline}]`: rules have to ask for the fields of these events. Pipelines are for all rules, whatever the input"),
            ));
        }
        Ok(preset)
    }

    /// What the rules go through.
    pub(super) fn pipelines(
        &self,
        raw: &raw::Config,
        folder: &Path,
    ) -> Result<Through, ConfigError> {
        let mut pipelines = Vec::with_capacity(raw.pipelines.len());
        for named in &raw.pipelines {
            let source = through::pipeline(folder, &self.text(named)?);
            pipelines.push(source.map_err(|message| self.at(named, message))?);
        }
        let mut placeholders = Vec::new();
        if let Some(named) = &raw.placeholders {
            let path = folder.join(self.text(named)?);
            let source = through::file(&path).map_err(|error| {
                self.at(named, format!("{} cannot be read: {error}", path.display()))
            })?;
            placeholders.push(source);
        }
        Ok(Through::new(pipelines, placeholders))
    }
}
