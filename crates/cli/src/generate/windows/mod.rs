//! Windows events: Sysmon, Security and PowerShell, in two shapes.

mod powershell;
mod programs;
mod record;
mod routine;
mod security;
mod sysmon;

pub(super) use powershell::ScriptBlock;
pub(super) use record::Shape;
pub(super) use routine::routine;
pub(super) use security::{LogCleared, TaskRegistered};
pub(super) use sysmon::{FileCreated, NetworkConnected, ProcessAccessed, ProcessCreated};
