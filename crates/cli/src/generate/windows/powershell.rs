//! What PowerShell's log reports.

use super::super::Scene;
use super::super::json::{Filled, Guid};
use super::super::world::Host;
use super::record::{Kind, POWERSHELL, Record, Shape};

/// PowerShell 4104: a script block was compiled.
pub(in crate::generate) struct ScriptBlock<'a> {
    /// Every `%` becomes `number`.
    pub(in crate::generate) text: &'a str,
    pub(in crate::generate) number: u32,
}

impl ScriptBlock<'_> {
    pub(in crate::generate) fn write(
        &self,
        scene: &mut Scene<'_>,
        host: &Host,
        shape: Shape,
        out: &mut Vec<u8>,
    ) {
        let id = Guid(scene.dice.bits(), scene.dice.bits());
        let kind = Kind {
            channel: &POWERSHELL,
            id: 4104,
            version: 1,
            task: 2,
            user_data: None,
        };
        Record::open(out, scene, host, shape, &kind)
            .field("MessageNumber", "1")
            .field("MessageTotal", "1")
            .field("ScriptBlockText", Filled(self.text, self.number))
            .field("ScriptBlockId", id)
            .field("Path", "")
            .close();
    }
}
