//! The envelope of a Windows event: where its System fields and its event data go.

use super::super::Scene;
use super::super::json::{Guid, Put, put};
use super::super::world::Host;

/// How an event is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::generate) enum Shape {
    /// All fields side by side.
    Flat,
    /// `Event.System` and `Event.EventData`, as exported `.evtx` files have them.
    Nested,
}

/// What the event log service knows about a kind of event.
pub(super) struct Kind {
    pub(super) channel: &'static Channel,
    pub(super) id: u32,
    pub(super) version: u32,
    pub(super) task: u32,
    /// Element under `UserData` that holds the event data; most events have `EventData` instead.
    pub(super) user_data: Option<&'static str>,
}

/// A log and the provider that writes it.
pub(super) struct Channel {
    name: &'static str,
    provider: &'static str,
    provider_guid: &'static str,
    keywords: &'static str,
    /// Who the writing process runs as.
    user: Option<&'static str>,
}

/// The Windows domain of every account.
pub(super) const DOMAIN: &str = "CORP";

/// Sysmon's log.
pub(super) static SYSMON: Channel = Channel {
    name: "Microsoft-Windows-Sysmon/Operational",
    provider: "Microsoft-Windows-Sysmon",
    provider_guid: "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}",
    keywords: "0x8000000000000000",
    user: Some("S-1-5-18"),
};
/// The Security log, audited successes.
pub(super) static SECURITY: Channel = Channel {
    name: "Security",
    provider: "Microsoft-Windows-Security-Auditing",
    provider_guid: "{54849625-5478-4994-a5ba-3e3b0328c30d}",
    keywords: "0x8020000000000000",
    user: None,
};
/// The Security log, written by the event log service itself.
pub(super) static EVENTLOG: Channel = Channel {
    name: "Security",
    provider: "Microsoft-Windows-Eventlog",
    provider_guid: "{fc65ddd8-d6ef-4962-83d5-6e5cfe9ce148}",
    keywords: "0x4020000000000000",
    user: None,
};
/// PowerShell's log.
pub(super) static POWERSHELL: Channel = Channel {
    name: "Microsoft-Windows-PowerShell/Operational",
    provider: "Microsoft-Windows-PowerShell",
    provider_guid: "{a0c1853b-5c40-4b15-8766-3cf1c58f985a}",
    keywords: "0x0",
    user: None,
};

/// An event being written: open it, add its data, close it.
pub(super) struct Record<'a> {
    out: &'a mut Vec<u8>,
    closing: &'static str,
    first: bool,
}

impl<'a> Record<'a> {
    /// Writes the System fields.
    pub(super) fn open(
        out: &'a mut Vec<u8>,
        scene: &mut Scene<'_>,
        host: &Host,
        shape: Shape,
        kind: &Kind,
    ) -> Self {
        let (channel, number) = (kind.channel, scene.number);
        let (process, thread) = (scene.dice.between(400, 9000), scene.dice.between(400, 9000));
        match shape {
            Shape::Flat => {
                put!(out; r#"{"@timestamp":""#, scene.moment.rfc3339(3), r#"","EventID":"#, kind.id,
                    r#","Channel":""#, channel.name, r#"","Provider_Name":""#, channel.provider,
                    r#"","ProviderGuid":""#, channel.provider_guid, r#"","Computer":""#, host.fqdn.as_str(),
                    r#"","RecordNumber":"#, number, r#","Version":"#, kind.version, r#","Task":"#, kind.task,
                    r#","Level":4,"Keywords":""#, channel.keywords, r#"","ExecutionProcessID":"#, process,
                    r#","ExecutionThreadID":"#, thread);
                Self {
                    out,
                    closing: "}",
                    first: false,
                }
            }
            Shape::Nested => {
                put!(out; r##"{"Event":{"#attributes":{"xmlns":"http://schemas.microsoft.com/win/2004/08/events/event"},"##,
                    r##""System":{"Provider":{"#attributes":{"Name":""##, channel.provider, r#"","Guid":""#,
                    channel.provider_guid, r#""}},"EventID":"#, kind.id, r#","Version":"#, kind.version,
                    r#","Level":4,"Task":"#, kind.task, r#","Opcode":0,"Keywords":""#, channel.keywords,
                    r##"","TimeCreated":{"#attributes":{"SystemTime":""##, scene.moment.rfc3339(7),
                    r#""}},"EventRecordID":"#, number, r##","Correlation":null,"Execution":{"#attributes":{"ProcessID":"##,
                    process, r#","ThreadID":"#, thread, r#"}},"Channel":""#, channel.name, r#"","Computer":""#,
                    host.fqdn.as_str(), r#"","Security":"#);
                match channel.user {
                    Some(sid) => put!(out; r##"{"#attributes":{"UserID":""##, sid, r#""}}},"#),
                    None => put!(out; "null},"),
                }
                let closing = match kind.user_data {
                    None => {
                        put!(out; r#""EventData":{"#);
                        "}}}"
                    }
                    Some(element) => {
                        put!(out; r#""UserData":{""#, element, r#"":{"#);
                        "}}}}"
                    }
                };
                Self {
                    out,
                    closing,
                    first: true,
                }
            }
        }
    }

    /// Adds a value to the event data; it is written as a JSON string.
    pub(super) fn field(mut self, name: &str, value: impl Put) -> Self {
        if self.first {
            self.first = false;
        } else {
            self.out.push(b',');
        }
        put!(self.out; "\"", name, "\":\"", value, "\"");
        self
    }

    /// A fresh process GUID.
    pub(super) fn guid(self, name: &str, scene: &mut Scene<'_>) -> Self {
        let guid = ("{", Guid(scene.dice.bits(), scene.dice.bits()), "}");
        self.field(name, guid)
    }

    /// Ends the event.
    pub(super) fn close(self) {
        put!(self.out; self.closing);
    }
}
