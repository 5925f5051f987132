//! What the Security log reports, each event with the fields that Windows gives it.

use super::super::Scene;
use super::super::json::{Filled, Hex, Text};
use super::super::world::{Host, User};
use super::record::{DOMAIN, EVENTLOG, Kind, Record, SECURITY, Shape};
use super::sysmon::ProcessCreated;

const fn audited(id: u32, task: u32) -> Kind {
    Kind {
        channel: &SECURITY,
        id,
        version: 2,
        task,
        user_data: None,
    }
}

/// Who did it, in the fields of the Security log.
fn subject<'a>(
    record: Record<'a>,
    host: &Host,
    user: Option<&User>,
    scene: &mut Scene<'_>,
) -> Record<'a> {
    let logon = (
        "0x",
        Hex(u64::from(scene.dice.between(0x10_000, 0xff_ffff)), 6),
    );
    match user {
        Some(user) => record
            .field("SubjectUserSid", user.sid.as_str())
            .field("SubjectUserName", user.login.as_str()),
        None => record
            .field("SubjectUserSid", "S-1-5-18")
            .field("SubjectUserName", (host.name.as_str(), "$")),
    }
    .field("SubjectDomainName", DOMAIN)
    .field("SubjectLogonId", logon)
}

/// Security 4688: the same, as the Security log sees it.
pub(super) fn process_audited(
    scene: &mut Scene<'_>,
    host: &Host,
    shape: Shape,
    event: &ProcessCreated<'_>,
    out: &mut Vec<u8>,
) {
    let (pid, parent_pid) = (
        scene.dice.between(1000, 20_000),
        scene.dice.between(500, 20_000),
    );
    let record = Record::open(out, scene, host, shape, &audited(4688, 13_312));
    subject(record, host, event.user, scene)
        .field("NewProcessId", ("0x", Hex(u64::from(pid), 4)))
        .field("NewProcessName", Text(event.image))
        .field("TokenElevationType", "%%1938")
        .field("ProcessId", ("0x", Hex(u64::from(parent_pid), 4)))
        .field("CommandLine", Filled(event.command, event.number))
        .field("ParentProcessName", Text(event.parent))
        .field("MandatoryLabel", "S-1-16-8192")
        .close();
}

/// Security 4624 and 4634: someone logged on, or off.
pub(super) fn logon(
    scene: &mut Scene<'_>,
    host: &Host,
    shape: Shape,
    user: &User,
    on: bool,
    out: &mut Vec<u8>,
) {
    let kind = scene.dice.pick(&[3_u32, 3, 3, 2, 5, 7]);
    let logon = (
        "0x",
        Hex(u64::from(scene.dice.between(0x10_000, 0xff_ffff)), 6),
    );
    let (id, task) = if on { (4624, 12_544) } else { (4634, 12_545) };
    let mut record = Record::open(out, scene, host, shape, &audited(id, task));
    if on {
        record = subject(record, host, None, scene);
    }
    record = record
        .field("TargetUserSid", user.sid.as_str())
        .field("TargetUserName", user.login.as_str())
        .field("TargetDomainName", DOMAIN)
        .field("TargetLogonId", logon)
        .field("LogonType", kind);
    if on {
        let port = scene.dice.between(49_152, 65_535);
        record = record
            .field("LogonProcessName", "Kerberos")
            .field("AuthenticationPackageName", "Kerberos")
            .field("WorkstationName", host.name.as_str())
            .guid("LogonGuid", scene)
            .field("KeyLength", "0")
            .field("ProcessName", Text(r"C:\Windows\System32\lsass.exe"))
            .field("IpAddress", user.address)
            .field("IpPort", port);
    }
    record.close();
}

/// Security 4663: an audited object was used.
pub(super) fn object_accessed(
    scene: &mut Scene<'_>,
    host: &Host,
    shape: Shape,
    user: &User,
    object: (&str, u32),
    out: &mut Vec<u8>,
) {
    let record = Record::open(out, scene, host, shape, &audited(4663, 12_800));
    subject(record, host, Some(user), scene)
        .field("ObjectServer", "Security")
        .field("ObjectType", "File")
        .field("ObjectName", Filled(object.0, object.1))
        .field("HandleId", ("0x", Hex(u64::from(object.1), 4)))
        .field("AccessList", "%%4416")
        .field("AccessMask", "0x1")
        .field("ProcessName", Text(r"C:\Windows\explorer.exe"))
        .close();
}

/// Security 4698: a scheduled task was registered.
pub(in crate::generate) struct TaskRegistered<'a> {
    pub(in crate::generate) user: &'a User,
    pub(in crate::generate) name: &'a str,
    /// What the task runs.
    pub(in crate::generate) command: &'a str,
}

impl TaskRegistered<'_> {
    pub(in crate::generate) fn write(
        &self,
        scene: &mut Scene<'_>,
        host: &Host,
        shape: Shape,
        out: &mut Vec<u8>,
    ) {
        let record = Record::open(out, scene, host, shape, &audited(4698, 12_804));
        let open = "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n<Task version=\"1.2\">\r\n  <Actions>\r\n    <Exec>\r\n      <Command>";
        let close = "</Command>\r\n    </Exec>\r\n  </Actions>\r\n</Task>";
        subject(record, host, Some(self.user), scene)
            .field("TaskName", Text(self.name))
            .field("TaskContent", (Text(open), Text(self.command), Text(close)))
            .close();
    }
}

/// Security 1102: the Security log was cleared.
pub(in crate::generate) struct LogCleared<'a> {
    pub(in crate::generate) user: &'a User,
}

impl LogCleared<'_> {
    pub(in crate::generate) fn write(
        &self,
        scene: &mut Scene<'_>,
        host: &Host,
        shape: Shape,
        out: &mut Vec<u8>,
    ) {
        let kind = Kind {
            channel: &EVENTLOG,
            id: 1102,
            version: 0,
            task: 104,
            user_data: Some("LogFileCleared"),
        };
        let record = Record::open(out, scene, host, shape, &kind);
        subject(record, host, Some(self.user), scene).close();
    }
}
