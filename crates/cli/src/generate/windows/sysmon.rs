//! What Sysmon reports, each event with the fields that Sysmon gives it.

use std::net::Ipv4Addr;

use super::super::Scene;
use super::super::json::{Filled, Hex, Put, Text};
use super::super::world::{Host, User};
use super::record::{DOMAIN, Kind, Record, SYSMON, Shape};

/// Account of the machine itself.
const SYSTEM: &str = r"NT AUTHORITY\SYSTEM";

const fn sysmon(id: u32, version: u32) -> Kind {
    Kind {
        channel: &SYSMON,
        id,
        version,
        task: id,
        user_data: None,
    }
}

/// `CORP\first.last`, or SYSTEM.
struct Account<'a>(Option<&'a User>);

impl Put for Account<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        match self.0 {
            Some(user) => (Text(DOMAIN), Text("\\"), Text(&user.login)).put(out),
            None => Text(SYSTEM).put(out),
        }
    }
}

/// Sysmon 1: a process was started.
pub(in crate::generate) struct ProcessCreated<'a> {
    /// None: SYSTEM.
    pub(in crate::generate) user: Option<&'a User>,
    pub(in crate::generate) image: &'a str,
    pub(in crate::generate) original: &'a str,
    pub(in crate::generate) description: &'a str,
    pub(in crate::generate) product: &'a str,
    pub(in crate::generate) company: &'a str,
    /// Every `%` becomes `number`.
    pub(in crate::generate) command: &'a str,
    pub(in crate::generate) number: u32,
    pub(in crate::generate) parent: &'a str,
    pub(in crate::generate) parent_command: &'a str,
}

impl ProcessCreated<'_> {
    pub(in crate::generate) fn write(
        &self,
        scene: &mut Scene<'_>,
        host: &Host,
        shape: Shape,
        out: &mut Vec<u8>,
    ) {
        // A file has one hash wherever it lies: derive it from its name.
        let hash = self
            .image
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        let rotated = hash.rotate_left(23);
        let integrity = if self.user.is_some() {
            "Medium"
        } else {
            "System"
        };
        let (pid, parent_pid) = (
            scene.dice.between(1000, 20_000),
            scene.dice.between(500, 20_000),
        );
        Record::open(out, scene, host, shape, &sysmon(1, 5))
            .field("RuleName", "-")
            .field("UtcTime", scene.moment.sysmon())
            .guid("ProcessGuid", scene)
            .field("ProcessId", pid)
            .field("Image", Text(self.image))
            .field("FileVersion", "10.0.22621.3672")
            .field("Description", Text(self.description))
            .field("Product", Text(self.product))
            .field("Company", Text(self.company))
            .field("OriginalFileName", Text(self.original))
            .field("CommandLine", Filled(self.command, self.number))
            .field("CurrentDirectory", Text(r"C:\Windows\system32\"))
            .field("User", Account(self.user))
            .field("LogonId", ("0x", Hex(0x3e7 + u64::from(parent_pid), 6)))
            .field("TerminalSessionId", "1")
            .field("IntegrityLevel", integrity)
            .field(
                "Hashes",
                (
                    ("SHA256=", Hex(hash, 16), Hex(rotated, 16)),
                    (Hex(!hash, 16), Hex(!rotated, 16)),
                ),
            )
            .guid("ParentProcessGuid", scene)
            .field("ParentProcessId", parent_pid)
            .field("ParentImage", Text(self.parent))
            .field("ParentCommandLine", Text(self.parent_command))
            .close();
    }
}

/// Sysmon 3: a connection was made.
pub(in crate::generate) struct NetworkConnected<'a> {
    pub(in crate::generate) user: Option<&'a User>,
    pub(in crate::generate) image: &'a str,
    pub(in crate::generate) destination: Ipv4Addr,
    pub(in crate::generate) port: u32,
}

impl NetworkConnected<'_> {
    pub(in crate::generate) fn write(
        &self,
        scene: &mut Scene<'_>,
        host: &Host,
        shape: Shape,
        out: &mut Vec<u8>,
    ) {
        let (pid, source_port) = (
            scene.dice.between(1000, 20_000),
            scene.dice.between(49_152, 65_535),
        );
        Record::open(out, scene, host, shape, &sysmon(3, 5))
            .field("RuleName", "-")
            .field("UtcTime", scene.moment.sysmon())
            .guid("ProcessGuid", scene)
            .field("ProcessId", pid)
            .field("Image", Text(self.image))
            .field("User", Account(self.user))
            .field("Protocol", "tcp")
            .field("Initiated", "true")
            .field("SourceIsIpv6", "false")
            .field("SourceIp", host.address)
            .field("SourceHostname", host.fqdn.as_str())
            .field("SourcePort", source_port)
            .field("DestinationIsIpv6", "false")
            .field("DestinationIp", self.destination)
            .field("DestinationPort", self.port)
            .close();
    }
}

/// Sysmon 10: a process opened another.
pub(in crate::generate) struct ProcessAccessed<'a> {
    pub(in crate::generate) source: &'a str,
    pub(in crate::generate) target: &'a str,
    pub(in crate::generate) access: &'a str,
    /// Calls from memory that belongs to no file.
    pub(in crate::generate) unbacked: bool,
}

impl ProcessAccessed<'_> {
    pub(in crate::generate) fn write(
        &self,
        scene: &mut Scene<'_>,
        host: &Host,
        shape: Shape,
        out: &mut Vec<u8>,
    ) {
        let (source_pid, target_pid) = (
            scene.dice.between(1000, 20_000),
            scene.dice.between(500, 2000),
        );
        let trace =
            r"C:\Windows\SYSTEM32\ntdll.dll+9d4e4|C:\Windows\System32\KERNELBASE.dll+2c13e|";
        let caller = if self.unbacked {
            "UNKNOWN(000001A2B3C4D5E6)"
        } else {
            r"C:\Windows\System32\KERNEL32.DLL+6ce51"
        };
        Record::open(out, scene, host, shape, &sysmon(10, 3))
            .field("RuleName", "-")
            .field("UtcTime", scene.moment.sysmon())
            .guid("SourceProcessGUID", scene)
            .field("SourceProcessId", source_pid)
            .field("SourceThreadId", source_pid / 2)
            .field("SourceImage", Text(self.source))
            .guid("TargetProcessGUID", scene)
            .field("TargetProcessId", target_pid)
            .field("TargetImage", Text(self.target))
            .field("GrantedAccess", self.access)
            .field("CallTrace", (Text(trace), Text(caller)))
            .field("SourceUser", Text(SYSTEM))
            .field("TargetUser", Text(SYSTEM))
            .close();
    }
}

/// Sysmon 11: a file was created.
pub(in crate::generate) struct FileCreated<'a> {
    pub(in crate::generate) user: Option<&'a User>,
    pub(in crate::generate) image: &'a str,
    /// Every `%` becomes `number`.
    pub(in crate::generate) file: &'a str,
    pub(in crate::generate) number: u32,
}

impl FileCreated<'_> {
    pub(in crate::generate) fn write(
        &self,
        scene: &mut Scene<'_>,
        host: &Host,
        shape: Shape,
        out: &mut Vec<u8>,
    ) {
        let pid = scene.dice.between(1000, 20_000);
        Record::open(out, scene, host, shape, &sysmon(11, 2))
            .field("RuleName", "-")
            .field("UtcTime", scene.moment.sysmon())
            .guid("ProcessGuid", scene)
            .field("ProcessId", pid)
            .field("Image", Text(self.image))
            .field("TargetFilename", Filled(self.file, self.number))
            .field("CreationUtcTime", scene.moment.sysmon())
            .field("User", Account(self.user))
            .close();
    }
}

/// Sysmon 5, 7, 13 and 22: a process ended, loaded a library, set a registry value, looked a name up.
pub(super) fn small_sysmon(
    scene: &mut Scene<'_>,
    host: &Host,
    shape: Shape,
    image: &str,
    what: &Small<'_>,
    out: &mut Vec<u8>,
) {
    let pid = scene.dice.between(1000, 20_000);
    let (id, version) = match what {
        Small::Ended => (5, 3),
        Small::Loaded(_) => (7, 3),
        Small::RegistrySet(_) => (13, 2),
        Small::Resolved(_) => (22, 5),
    };
    let record = Record::open(out, scene, host, shape, &sysmon(id, version))
        .field("RuleName", "-")
        .field("UtcTime", scene.moment.sysmon())
        .guid("ProcessGuid", scene)
        .field("ProcessId", pid)
        .field("Image", Text(image));
    match *what {
        Small::Ended => record,
        Small::Loaded(library) => record
            .field("ImageLoaded", Text(library))
            .field("Company", "Microsoft Corporation")
            .field("Signed", "true")
            .field("Signature", "Microsoft Windows")
            .field("SignatureStatus", "Valid"),
        Small::RegistrySet(target) => record
            .field("EventType", "SetValue")
            .field("TargetObject", Text(target))
            .field("Details", ("DWORD (0x", Hex(u64::from(pid), 8), ")")),
        Small::Resolved(name) => record
            .field("QueryName", name)
            .field("QueryStatus", "0")
            .field("QueryResults", ("::ffff:", host.address, ";")),
    }
    .field("User", Text(SYSTEM))
    .close();
}

/// What [`small_sysmon`] reports.
pub(super) enum Small<'a> {
    Ended,
    Loaded(&'a str),
    RegistrySet(&'a str),
    Resolved(&'a str),
}
