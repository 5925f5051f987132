//! Decoding and detection of one input.

use std::sync::Arc;

use haechi_decode::{Decoder, DecoderSpec, Timestamp, ValuesFor, ValuesWanted};
use haechi_detect::{Detector, KeywordSieve, Passing};
use haechi_rules::Logsource;

use crate::error::StageError;
use crate::program::Program;
use crate::settings::{Input, Settings};

/// Decoder and detector of one input. They belong together: class ids are the decoder's.
pub(crate) struct Pipeline {
    pub(crate) decoder: Decoder,
    pub(crate) detector: Detector,
    pub(crate) classes: Vec<Vec<Logsource>>,
}

impl Pipeline {
    pub(crate) fn new(
        input: &Input,
        program: &Program,
        settings: &Settings,
    ) -> Result<Self, StageError> {
        let detections = Arc::clone(&program.detections);
        let spec = DecoderSpec {
            format: input.format,
            fields: program.fields.clone(),
            logsource: input.logsource.clone(),
            timestamp: Timestamp {
                field: input.timestamp.clone(),
                future_ns: i64::try_from(input.max_future.as_nanos()).unwrap_or(i64::MAX),
            },
            values_for: Box::new(Keywords(KeywordSieve::new(detections))),
            max_record_bytes: settings.limits.max_record_bytes,
            max_depth: settings.limits.max_depth,
        };
        let decoder = Decoder::new(spec).map_err(|error| StageError::Input {
            input: Arc::clone(&input.name),
            error,
        })?;
        Ok(Self {
            decoder,
            detector: Detector::with_cache(
                Arc::clone(&program.detections),
                settings.limits.cache_bytes,
            ),
            classes: Vec::new(),
        })
    }

    /// The decoder has met new kinds of events: the detector learns which rules apply to them.
    pub(crate) fn learn_classes(&mut self) {
        let known = self.decoder.classes();
        if known.len() > self.classes.len() {
            let new = known
                .iter()
                .skip(self.classes.len())
                .map(|class| translate(class));
            self.classes.extend(new);
            self.detector.bind_classes(&self.classes);
        }
    }
}

/// Lets the decoder ask the rules with keywords which events they need all values of.
struct Keywords(KeywordSieve);

impl ValuesFor for Keywords {
    fn class(&mut self, class: &[haechi_decode::Logsource]) -> ValuesWanted {
        match self.0.bind_class(&translate(class)) {
            Passing::None => ValuesWanted::Never,
            Passing::All => ValuesWanted::Always,
            Passing::Some => ValuesWanted::Depends,
        }
    }

    fn event(&mut self, class: u16, text: &[u8]) -> bool {
        self.0.passes(usize::from(class), text)
    }
}

/// The stages do not know each other, so each has its own logsource; the engine translates.
fn translate(class: &[haechi_decode::Logsource]) -> Vec<Logsource> {
    let translate = |logsource: &haechi_decode::Logsource| Logsource {
        product: logsource.product.clone(),
        category: logsource.category.clone(),
        service: logsource.service.clone(),
    };
    class.iter().map(translate).collect()
}
