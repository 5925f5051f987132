//! Windows events of any day.

use std::net::Ipv4Addr;

use super::super::Scene;
use super::super::world::{Host, User};
use super::powershell::ScriptBlock;
use super::programs::{FILES, LIBRARIES, NAMES, PROGRAMS, Program, REGISTRY};
use super::record::Shape;
use super::security::{logon, object_accessed, process_audited};
use super::sysmon::{
    FileCreated, NetworkConnected, ProcessAccessed, ProcessCreated, Small, small_sysmon,
};

const SCRIPTS: [&str; 3] = [
    "Get-ChildItem -Path C:\\ProgramData\\Inventory | Measure-Object -Property Length -Sum",
    "param($Batch = %)\r\n$services = Get-Service\r\n$services | Export-Csv -NoTypeInformation \"services-$Batch.csv\"",
    "Import-Module ActiveDirectory; Get-ADUser -Filter * -ResultSetSize %",
];

/// An event of any day, from one half of the fleet.
pub(in crate::generate) fn routine(scene: &mut Scene<'_>, shape: Shape, out: &mut Vec<u8>) {
    let world = scene.world;
    let host = world.host(scene.dice, usize::from(shape == Shape::Nested));
    let program = pick_program(scene);
    let user = if program.system {
        None
    } else {
        Some(world.owner(host))
    };
    let number = scene.dice.between(1000, 99_999);
    match scene.dice.below(100) {
        0..9 => launch(scene, program, user).write(scene, host, shape, out),
        9..13 => {
            let launched = launch(scene, program, user);
            process_audited(scene, host, shape, &launched, out);
        }
        13..25 => connect(scene, program, user).write(scene, host, shape, out),
        25..33 => small_sysmon(scene, host, shape, program.image, &Small::Ended, out),
        33..46 => {
            let library = scene.dice.pick(&LIBRARIES);
            small_sysmon(
                scene,
                host,
                shape,
                program.image,
                &Small::Loaded(library),
                out,
            );
        }
        46..54 => open_process(scene, program).write(scene, host, shape, out),
        54..63 => {
            let file = scene.dice.pick(&FILES);
            FileCreated {
                user,
                image: program.image,
                file,
                number,
            }
            .write(scene, host, shape, out);
        }
        63..74 => {
            let target = scene.dice.pick(&REGISTRY);
            small_sysmon(
                scene,
                host,
                shape,
                program.image,
                &Small::RegistrySet(target),
                out,
            );
        }
        74..83 => {
            let name = scene.dice.pick(&NAMES);
            small_sysmon(
                scene,
                host,
                shape,
                program.image,
                &Small::Resolved(name),
                out,
            );
        }
        83..94 => routine_logon(scene, host, shape, out),
        94..98 => {
            let file = scene.dice.pick(&FILES);
            object_accessed(scene, host, shape, world.owner(host), (file, number), out);
        }
        _ => ScriptBlock {
            text: scene.dice.pick(&SCRIPTS),
            number,
        }
        .write(scene, host, shape, out),
    }
}

fn pick_program(scene: &mut Scene<'_>) -> &'static Program {
    // The busy ones come first: the lesser of two throws prefers them.
    let count = PROGRAMS.len() as u32;
    let index = scene.dice.below(count).min(scene.dice.below(count));
    PROGRAMS.get(index as usize).unwrap_or(&PROGRAMS[0])
}

fn launch<'a>(
    scene: &mut Scene<'_>,
    program: &'static Program,
    user: Option<&'a User>,
) -> ProcessCreated<'a> {
    ProcessCreated {
        user,
        image: program.image,
        original: program.original,
        description: program.description,
        product: program.product,
        company: program.company,
        command: scene.dice.pick(program.commands),
        number: scene.dice.between(100, 9999),
        parent: program.parent,
        parent_command: program.parent_command,
    }
}

fn connect<'a>(
    scene: &mut Scene<'_>,
    program: &'static Program,
    user: Option<&'a User>,
) -> NetworkConnected<'a> {
    let inside = scene.dice.one_in(2);
    let last = scene.dice.below(8) as u8;
    NetworkConnected {
        user,
        image: program.image,
        destination: if inside {
            Ipv4Addr::new(10, 10, 0, 10 + last)
        } else {
            Ipv4Addr::new(192, 0, 2, 20 + last)
        },
        port: scene.dice.pick(if inside {
            &[445, 389, 88, 135]
        } else {
            &[443, 443, 443, 80]
        }),
    }
}

/// Processes look at each other all day. Security software looks at LSASS too, with the very rights that a thief
/// would want: what tells them apart is who asks.
fn open_process(scene: &mut Scene<'_>, program: &'static Program) -> ProcessAccessed<'static> {
    let lsass = r"C:\Windows\System32\lsass.exe";
    match scene.dice.below(20) {
        0 => ProcessAccessed {
            source: r"C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.24060.7-0\MsMpEng.exe",
            target: lsass,
            access: "0x1410",
            unbacked: false,
        },
        1 => ProcessAccessed {
            source: r"C:\Windows\System32\svchost.exe",
            target: lsass,
            access: "0x1000",
            unbacked: false,
        },
        _ => ProcessAccessed {
            source: r"C:\Windows\System32\svchost.exe",
            target: program.image,
            access: scene
                .dice
                .pick(&["0x1000", "0x1400", "0x101000", "0x1fffff"]),
            unbacked: false,
        },
    }
}

fn routine_logon(scene: &mut Scene<'_>, host: &Host, shape: Shape, out: &mut Vec<u8>) {
    let user = scene.world.user(scene.dice);
    let on = scene.dice.one_in(2);
    logon(scene, host, shape, user, on, out);
}
