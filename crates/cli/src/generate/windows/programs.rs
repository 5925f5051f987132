//! What runs on the fleet on an ordinary day.

/// A program and how it is started.
pub(super) struct Program {
    pub(super) image: &'static str,
    pub(super) description: &'static str,
    pub(super) product: &'static str,
    pub(super) company: &'static str,
    pub(super) original: &'static str,
    /// Every `%` becomes a number.
    pub(super) commands: &'static [&'static str],
    pub(super) parent: &'static str,
    pub(super) parent_command: &'static str,
    /// Runs as SYSTEM rather than as the person at the machine.
    pub(super) system: bool,
}

const MICROSOFT: (&str, &str) = (
    "Microsoft® Windows® Operating System",
    "Microsoft Corporation",
);
const SERVICES: (&str, &str) = (
    r"C:\Windows\System32\services.exe",
    r"C:\Windows\system32\services.exe",
);
const EXPLORER: (&str, &str) = (r"C:\Windows\explorer.exe", r"C:\Windows\Explorer.EXE");
const CMD: (&str, &str) = (
    r"C:\Windows\System32\cmd.exe",
    r#""C:\Windows\system32\cmd.exe""#,
);

const fn windows(
    image: &'static str,
    description: &'static str,
    original: &'static str,
    commands: &'static [&'static str],
    parent: (&'static str, &'static str),
    system: bool,
) -> Program {
    let (product, company) = MICROSOFT;
    let (parent, parent_command) = parent;
    Program {
        image,
        description,
        product,
        company,
        original,
        commands,
        parent,
        parent_command,
        system,
    }
}

const fn third_party(
    image: &'static str,
    description: &'static str,
    maker: (&'static str, &'static str),
    original: &'static str,
    commands: &'static [&'static str],
) -> Program {
    let ((product, company), (parent, parent_command)) = (maker, EXPLORER);
    Program {
        image,
        description,
        product,
        company,
        original,
        commands,
        parent,
        parent_command,
        system: false,
    }
}

/// Busy ones first. Some look like what the shipped rules look for and are not: PowerShell with a script, a query of
/// the event log, a task that runs from Program Files, a dump of a process that is not LSASS.
pub(super) static PROGRAMS: [Program; 20] = [
    third_party(
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
        "Google Chrome",
        ("Google Chrome", "Google LLC"),
        "chrome.exe",
        &[
            r#""C:\Program Files\Google\Chrome\Application\chrome.exe" --type=renderer --lang=en-US --device-scale-factor=1 --num-raster-threads=4 --renderer-client-id=%"#,
            r#""C:\Program Files\Google\Chrome\Application\chrome.exe" --type=utility --utility-sub-type=network.mojom.NetworkService --lang=en-US --service-sandbox-type=none"#,
        ],
    ),
    windows(
        r"C:\Windows\System32\svchost.exe",
        "Host Process for Windows Services",
        "svchost.exe",
        &[
            r"C:\Windows\system32\svchost.exe -k netsvcs -p -s Schedule",
            r"C:\Windows\system32\svchost.exe -k LocalServiceNetworkRestricted -p",
            r"C:\Windows\system32\svchost.exe -k UnistackSvcGroup -s WpnUserService",
            r"C:\Windows\System32\svchost.exe -k wsappx -p",
        ],
        SERVICES,
        true,
    ),
    windows(
        r"C:\Windows\System32\conhost.exe",
        "Console Window Host",
        "CONHOST.EXE",
        &[r"\??\C:\Windows\system32\conhost.exe 0xffffffff -ForceV1"],
        CMD,
        false,
    ),
    windows(
        r"C:\Windows\System32\backgroundTaskHost.exe",
        "Background Task Host",
        "backgroundTaskHost.exe",
        &[
            r#""C:\Windows\system32\backgroundTaskHost.exe" -ServerName:App.AppXmtcan0h2tfbfy7k9kn8hbxb6dmzz1zh0.mca"#,
        ],
        (
            r"C:\Windows\System32\svchost.exe",
            r"C:\Windows\system32\svchost.exe -k DcomLaunch -p",
        ),
        false,
    ),
    windows(
        r"C:\Windows\System32\RuntimeBroker.exe",
        "Runtime Broker",
        "RuntimeBroker.exe",
        &[r"C:\Windows\System32\RuntimeBroker.exe -Embedding"],
        (
            r"C:\Windows\System32\svchost.exe",
            r"C:\Windows\system32\svchost.exe -k DcomLaunch -p",
        ),
        false,
    ),
    third_party(
        r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE",
        "Microsoft Outlook",
        ("Microsoft Office", "Microsoft Corporation"),
        "Outlook.exe",
        &[
            r#""C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE""#,
            r#""C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE" -c IPM.Note /m "mailto:team-%@corp.example""#,
        ],
    ),
    third_party(
        r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE",
        "Microsoft Excel",
        ("Microsoft Office", "Microsoft Corporation"),
        "Excel.exe",
        &[
            r#""C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE" "C:\Users\Public\Documents\forecast-%.xlsx""#,
        ],
    ),
    windows(
        r"C:\Windows\System32\taskhostw.exe",
        "Host Process for Windows Tasks",
        "taskhostw.exe",
        &[
            "taskhostw.exe",
            "taskhostw.exe KEYROAMING",
            "taskhostw.exe SYSTEM",
        ],
        (
            r"C:\Windows\System32\svchost.exe",
            r"C:\Windows\system32\svchost.exe -k netsvcs -p -s Schedule",
        ),
        true,
    ),
    windows(
        r"C:\Windows\System32\SearchProtocolHost.exe",
        "Microsoft Windows Search Protocol Host",
        "SearchProtocolHost.exe",
        &[
            r#""C:\Windows\system32\SearchProtocolHost.exe" Global\UsGthrFltPipeMssGthrPipe%_ Global\UsGthrCtrlFltPipeMssGthrPipe% 1 -2147483646 "Software\Microsoft\Windows Search""#,
        ],
        (
            r"C:\Windows\System32\SearchIndexer.exe",
            r"C:\Windows\system32\SearchIndexer.exe /Embedding",
        ),
        true,
    ),
    third_party(
        r"C:\Program Files\Microsoft VS Code\Code.exe",
        "Visual Studio Code",
        ("Visual Studio Code", "Microsoft Corporation"),
        "electron.exe",
        &[
            r#""C:\Program Files\Microsoft VS Code\Code.exe" --type=utility --utility-sub-type=node.mojom.NodeService --lang=en-US"#,
        ],
    ),
    third_party(
        r"C:\Program Files\Git\cmd\git.exe",
        "Git for Windows",
        ("Git", "The Git Development Community"),
        "git.exe",
        &[
            "git.exe status -z -uall",
            "git.exe fetch --prune origin",
            "git.exe rev-parse --show-toplevel",
        ],
    ),
    windows(
        r"C:\Windows\System32\cmd.exe",
        "Windows Command Processor",
        "Cmd.Exe",
        &[
            r#"C:\Windows\system32\cmd.exe /c "net use""#,
            r"C:\Windows\system32\cmd.exe /d /c logon-script-%.cmd",
        ],
        EXPLORER,
        false,
    ),
    windows(
        r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        "Windows PowerShell",
        "PowerShell.EXE",
        &[
            r"powershell.exe -NoProfile -ExecutionPolicy Bypass -File C:\ProgramData\Inventory\collect-%.ps1",
            r"powershell.exe -NoLogo -Command Get-Service | Where-Object Status -eq Running",
        ],
        (
            r"C:\Windows\System32\svchost.exe",
            r"C:\Windows\system32\svchost.exe -k netsvcs -p -s Schedule",
        ),
        true,
    ),
    windows(
        r"C:\Windows\System32\wbem\WmiPrvSE.exe",
        "WMI Provider Host",
        "Wmiprvse.exe",
        &[r"C:\Windows\system32\wbem\wmiprvse.exe -secured -Embedding"],
        (
            r"C:\Windows\System32\svchost.exe",
            r"C:\Windows\system32\svchost.exe -k DcomLaunch -p",
        ),
        true,
    ),
    windows(
        r"C:\Windows\System32\rundll32.exe",
        "Windows host process (Rundll32)",
        "RUNDLL32.EXE",
        &[
            r"rundll32.exe C:\Windows\system32\PcaSvc.dll,PcaPatchSdbTask",
            r"rundll32.exe printui.dll,PrintUIEntry /ga /n\\PRINT01\floor-%",
        ],
        (
            r"C:\Windows\System32\svchost.exe",
            r"C:\Windows\system32\svchost.exe -k netsvcs -p -s Schedule",
        ),
        true,
    ),
    windows(
        r"C:\Windows\System32\schtasks.exe",
        "Task Scheduler Configuration Tool",
        "schtasks.exe",
        &[
            r#"schtasks.exe /query /fo LIST /tn "\Backup\nightly-%""#,
            r#"schtasks.exe /create /f /sc daily /st 03:00 /tn "\Backup\nightly-%" /tr "C:\Program Files\Backup\agent.exe""#,
        ],
        CMD,
        false,
    ),
    windows(
        r"C:\Windows\System32\wevtutil.exe",
        "Eventing Command Line Utility",
        "wevtutil.exe",
        &[
            "wevtutil.exe qe Security /c:% /f:text /rd:true",
            "wevtutil.exe gl Application",
        ],
        CMD,
        false,
    ),
    windows(
        r"C:\Windows\System32\gpupdate.exe",
        "Microsoft Group Policy Update Utility",
        "GPUpdate.exe",
        &["gpupdate.exe /target:computer", "gpupdate.exe /force"],
        CMD,
        true,
    ),
    windows(
        r"C:\Windows\System32\msiexec.exe",
        "Windows installer",
        "msiexec.exe",
        &[
            r"C:\Windows\system32\msiexec.exe /V",
            r"msiexec.exe /i \\FS01\deploy\package-%.msi /qn",
        ],
        SERVICES,
        true,
    ),
    third_party(
        r"C:\Tools\Sysinternals\procdump64.exe",
        "Sysinternals process dump utility",
        ("ProcDump", "Sysinternals - www.sysinternals.com"),
        "procdump",
        &[r"procdump64.exe -accepteula -h w3wp.exe D:\dumps\hang-%.dmp"],
    ),
];

/// Libraries that get loaded.
pub(super) const LIBRARIES: [&str; 8] = [
    r"C:\Windows\System32\bcryptprimitives.dll",
    r"C:\Windows\System32\combase.dll",
    r"C:\Windows\System32\sspicli.dll",
    r"C:\Windows\System32\urlmon.dll",
    r"C:\Windows\System32\wbem\fastprox.dll",
    r"C:\Windows\System32\TaskSchdPS.dll",
    r"C:\Windows\System32\amsi.dll",
    r"C:\Windows\Microsoft.NET\Framework64\v4.0.30319\clr.dll",
];

/// Files that get written; `%` becomes a number.
pub(super) const FILES: [&str; 6] = [
    r"C:\Users\Public\AppData\Local\Google\Chrome\User Data\Default\Cache\f_%",
    r"C:\Windows\Prefetch\SVCHOST.EXE-%.pf",
    r"C:\Windows\ServiceState\EventLog\Data\lastalive%.dat",
    r"C:\ProgramData\Microsoft\Windows Defender\Scans\History\CacheManager\%.bin",
    r"C:\Users\Public\Documents\~forecast-%.tmp",
    r"C:\Program Files\Backup\journal-%.log",
];

/// Registry values that get set.
pub(super) const REGISTRY: [&str; 6] = [
    r"HKLM\System\CurrentControlSet\Services\Tcpip\Parameters\DhcpNameServer",
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\LastOnline",
    r"HKU\S-1-5-18\Software\Microsoft\SystemCertificates\Root\Certificates",
    r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tasks\State",
    r"HKLM\System\CurrentControlSet\Services\bam\State\UserSettings\LastRun",
    r"HKLM\SOFTWARE\Microsoft\WBEM\CIMOM\LastServiceStart",
];

/// Names that get looked up.
pub(super) const NAMES: [&str; 8] = [
    "dc01.corp.example",
    "fs01.corp.example",
    "wpad.corp.example",
    "time.windows.com",
    "update.googleapis.com",
    "outlook.office365.com",
    "settings-win.data.microsoft.com",
    "packages.corp.example",
];
