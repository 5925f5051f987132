//! In the cloud account.

use super::super::Scene;
use super::super::cloudtrail::{Call, Identity, json_text, key_created};
use super::super::truth::{DENIED_CALLS, rules};
use super::super::world::User;
use super::{Attack, Step};

const PROBES: [(&str, &str); 8] = [
    ("iam", "ListUsers"),
    ("iam", "ListRoles"),
    ("iam", "GetAccountAuthorizationDetails"),
    ("s3", "ListBuckets"),
    ("ec2", "DescribeSnapshots"),
    ("secretsmanager", "ListSecrets"),
    ("kms", "ListKeys"),
    ("organizations", "DescribeOrganization"),
];

/// A stolen key is tried on everything, mostly in vain; then root logs in to the console, gives someone a new key
/// and stops the trail.
pub(super) fn takeover(attack: &Attack, scene: &mut Scene<'_>, out: &mut Vec<u8>) -> Step {
    let users = &scene.world.users;
    let victim = attack.target as usize % users.len().max(1);
    let (Some(stolen), Some(other)) = (
        users.get(victim),
        users.get((victim + 1) % users.len().max(1)),
    ) else {
        return Step {
            detections: &[],
            counted: None,
            pause_ms: None,
        };
    };
    match attack.step.checked_sub(attack.rounds) {
        None => {
            let (service, name) = scene.dice.pick(&PROBES);
            call(
                attack,
                Identity::User(stolen),
                service,
                name,
                ("null", "null"),
                true,
            )
            .write(scene, out);
            let pause_ms = Some(scene.dice.between(1500, 6000));
            Step {
                detections: &[],
                counted: Some(&DENIED_CALLS),
                pause_ms,
            }
        }
        Some(0) => {
            let answer = ("null", r#"{"ConsoleLogin":"Success"}"#);
            call(
                attack,
                Identity::Root,
                "signin",
                "ConsoleLogin",
                answer,
                false,
            )
            .write(scene, out);
            Step {
                detections: &[rules::ROOT_CONSOLE_LOGIN],
                counted: None,
                pause_ms: Some(9000),
            }
        }
        Some(1) => {
            new_key(attack, stolen, other, scene, out);
            Step {
                detections: &[rules::FOREIGN_ACCESS_KEY],
                counted: None,
                pause_ms: Some(7000),
            }
        }
        Some(_) => {
            let request = (r#"{"name":"organisation-trail"}"#, "null");
            call(
                attack,
                Identity::User(stolen),
                "cloudtrail",
                "StopLogging",
                request,
                false,
            )
            .write(scene, out);
            Step {
                detections: &[rules::TRAIL_STOPPED],
                counted: None,
                pause_ms: None,
            }
        }
    }
}

fn call<'a>(
    attack: &Attack,
    identity: Identity<'a>,
    service: &'a str,
    name: &'a str,
    (request, response): (&'a str, &'a str),
    denied: bool,
) -> Call<'a> {
    let agent = "Boto3/1.38.36 md/Botocore#1.38.36 ua/2.1 os/linux#6.12.25 lang/python#3.13.3";
    Call {
        identity,
        service,
        name,
        address: attack.address,
        agent,
        request,
        response,
        denied,
    }
}

fn new_key(attack: &Attack, stolen: &User, other: &User, scene: &mut Scene<'_>, out: &mut Vec<u8>) {
    let (mut request, mut response) = (Vec::new(), Vec::new());
    key_created(&other.login, scene.dice.bits(), &mut request, &mut response);
    let texts = (json_text(&request), json_text(&response));
    call(
        attack,
        Identity::User(stolen),
        "iam",
        "CreateAccessKey",
        texts,
        false,
    )
    .write(scene, out);
}
