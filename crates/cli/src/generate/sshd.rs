//! `sshd` as a log shipper sends it: the message as written, beside the fields parsed out of it.

use std::net::Ipv4Addr;

use super::Scene;
use super::json::{Text, put};

/// What sshd says.
pub(super) struct Line<'a> {
    pub(super) host: &'a str,
    pub(super) pid: u32,
    pub(super) user: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) port: u32,
    pub(super) action: Action,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// A wrong password for an account that exists.
    FailedPassword,
    /// Any password for an account that does not.
    InvalidUser,
    /// Let in by password.
    AcceptedPassword,
    /// Let in by key.
    AcceptedKey,
    SessionOpened,
    SessionClosed,
    Disconnected,
}

impl Action {
    /// The value of the field `action`.
    fn name(self) -> &'static str {
        match self {
            Self::FailedPassword | Self::InvalidUser => "failed_password",
            Self::AcceptedPassword | Self::AcceptedKey => "accepted",
            Self::SessionOpened => "session_opened",
            Self::SessionClosed => "session_closed",
            Self::Disconnected => "disconnected",
        }
    }
}

impl Line<'_> {
    /// Appends the line as a JSON object.
    pub(super) fn write(&self, scene: &Scene<'_>, out: &mut Vec<u8>) {
        put!(out; r#"{"@timestamp":""#, scene.moment.rfc3339(6), r#"","host":""#, self.host,
            r#"","program":"sshd","pid":"#, self.pid, r#","facility":"authpriv","severity":""#, self.severity(),
            r#"","action":""#, self.action.name(), r#"","user":""#, Text(self.user), r#"","src_ip":""#, self.address,
            r#"","src_port":"#, self.port, self.method(), r#","message":""#);
        self.message(out);
        out.extend_from_slice(b"\"}");
    }

    fn severity(&self) -> &'static str {
        if self.action.name() == "failed_password" {
            "notice"
        } else {
            "info"
        }
    }

    fn method(&self) -> &'static str {
        match self.action {
            Action::FailedPassword | Action::InvalidUser | Action::AcceptedPassword => {
                r#","method":"password""#
            }
            Action::AcceptedKey => r#","method":"publickey""#,
            Action::SessionOpened | Action::SessionClosed | Action::Disconnected => "",
        }
    }

    fn message(&self, out: &mut Vec<u8>) {
        let from = (" from ", self.address, (" port ", self.port));
        let user = Text(self.user);
        match self.action {
            Action::FailedPassword => put!(out; "Failed password for ", user, from, " ssh2"),
            Action::InvalidUser => {
                put!(out; "Failed password for invalid user ", user, from, " ssh2")
            }
            Action::AcceptedPassword => put!(out; "Accepted password for ", user, from, " ssh2"),
            Action::AcceptedKey => put!(out; "Accepted publickey for ", user, from,
                " ssh2: ED25519 SHA256:Zk3v0mJ0c1rW8Qp7xY5uTn2bLd9sKfE4hGaRqViCoMw"),
            Action::SessionOpened => {
                put!(out; "pam_unix(sshd:session): session opened for user ", user, "(uid=1000) by (uid=0)");
            }
            Action::SessionClosed => {
                put!(out; "pam_unix(sshd:session): session closed for user ", user)
            }
            Action::Disconnected => {
                put!(out; "Received disconnect", from, ":11: disconnected by user")
            }
        }
    }
}

/// Names that strangers try.
const GUESSES: [&str; 10] = [
    "admin", "test", "oracle", "postgres", "ubuntu", "git", "deploy", "pi", "guest", "jenkins",
];

/// A line of any day.
pub(super) fn routine(scene: &mut Scene<'_>, out: &mut Vec<u8>) {
    let user = scene.world.user(scene.dice);
    let host = scene.world.linux_host(scene.dice);
    let action = match scene.dice.below(100) {
        0..32 => Action::AcceptedKey,
        32..58 => Action::SessionOpened,
        58..82 => Action::SessionClosed,
        82..92 => Action::Disconnected,
        92..95 => Action::AcceptedPassword,
        95..97 => Action::FailedPassword,
        _ => Action::InvalidUser,
    };
    let failed = action.name() == "failed_password";
    let line = Line {
        host,
        pid: scene.dice.between(700, 65_000),
        user: if action == Action::InvalidUser {
            scene.dice.pick(&GUESSES)
        } else {
            &user.login
        },
        address: if failed {
            scene.strangers.next()
        } else {
            user.address
        },
        port: scene.dice.between(32_768, 61_000),
        action,
    };
    line.write(scene, out);
}
