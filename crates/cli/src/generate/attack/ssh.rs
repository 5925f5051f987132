//! Over SSH.

use super::super::Scene;
use super::super::sshd::{Action, Line};
use super::super::truth::{SSH_BRUTE_FORCE, rules};
use super::{Attack, Step};

/// Passwords are guessed for root, twelve or more within forty seconds; then one fits.
pub(super) fn brute_force(attack: &Attack, scene: &mut Scene<'_>, out: &mut Vec<u8>) -> Step {
    let hosts = scene.world.linux_hosts;
    let host = hosts
        .get(attack.target as usize % hosts.len().max(1))
        .copied()
        .unwrap_or_default();
    let guess = attack.step < attack.rounds;
    let action = match attack.step.checked_sub(attack.rounds) {
        None => Action::FailedPassword,
        Some(0) => Action::AcceptedPassword,
        Some(_) => Action::SessionOpened,
    };
    let port = scene.dice.between(32_768, 61_000);
    let pid = 2000 + (attack.target >> 8) % 60_000 + attack.step;
    Line {
        host,
        pid,
        user: "root",
        address: attack.address,
        port,
        action,
    }
    .write(scene, out);
    Step {
        detections: if action == Action::AcceptedPassword {
            &[rules::SSH_ROOT_PASSWORD]
        } else {
            &[]
        },
        counted: guess.then_some(&SSH_BRUTE_FORCE),
        pause_ms: (action != Action::SessionOpened).then(|| scene.dice.between(300, 2000)),
    }
}
