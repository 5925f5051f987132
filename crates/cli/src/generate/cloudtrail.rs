//! API calls as CloudTrail records them.

use std::net::Ipv4Addr;

use super::Scene;
use super::json::{Guid, Hex, Put, Text, put};
use super::world::{AWS_ACCOUNT, User};

/// Who calls.
#[derive(Clone, Copy)]
pub(super) enum Identity<'a> {
    User(&'a User),
    /// A role that a workload runs with.
    Role(&'a str),
    Root,
}

impl Put for Identity<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::User(user) => {
                put!(out; r#"{"type":"IAMUser","principalId":"AIDA"#, user.access_key.get(4..).unwrap_or_default(),
                r#"","arn":"arn:aws:iam::"#, AWS_ACCOUNT, ":user/", user.login.as_str(), r#"","accountId":""#, AWS_ACCOUNT,
                r#"","accessKeyId":""#, user.access_key.as_str(), r#"","userName":""#, user.login.as_str(), r#""}"#)
            }
            Self::Role(role) => {
                put!(out; r#"{"type":"AssumedRole","principalId":"AROA7XQ2MZNWVK4TDHYCE:"#, role,
                r#"","arn":"arn:aws:sts::"#, AWS_ACCOUNT, ":assumed-role/", role, "/", role,
                r#"","accountId":""#, AWS_ACCOUNT, r#"","accessKeyId":"ASIA7XQ2MZNWPLR5JU3K"}"#)
            }
            Self::Root => {
                put!(out; r#"{"type":"Root","principalId":""#, AWS_ACCOUNT, r#"","arn":"arn:aws:iam::"#,
                AWS_ACCOUNT, r#":root","accountId":""#, AWS_ACCOUNT, r#""}"#)
            }
        }
    }
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) identity: Identity<'a>,
    /// Without `.amazonaws.com`.
    pub(super) service: &'a str,
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) agent: &'a str,
    /// A JSON value.
    pub(super) request: &'a str,
    /// A JSON value.
    pub(super) response: &'a str,
    pub(super) denied: bool,
}

impl Call<'_> {
    /// Appends the call as a JSON object.
    pub(super) fn write(&self, scene: &mut Scene<'_>, out: &mut Vec<u8>) {
        let read_only = ["Describe", "List", "Get", "Head"]
            .iter()
            .any(|prefix| self.name.starts_with(prefix));
        put!(out; r#"{"eventVersion":"1.09","userIdentity":"#, self.identity, r#","eventTime":""#,
            scene.moment.rfc3339(0), r#"","eventSource":""#, self.service, r#".amazonaws.com","eventName":""#, self.name,
            r#"","awsRegion":"eu-central-1","sourceIPAddress":""#, self.address, r#"","userAgent":""#, Text(self.agent));
        if self.denied {
            put!(out; r#"","errorCode":"AccessDenied","errorMessage":"not authorized to perform: "#, self.service, ":",
                self.name);
        }
        put!(out; r#"","requestParameters":"#, self.request, r#","responseElements":"#, self.response,
            r#","requestID":""#, Guid(scene.dice.bits(), scene.dice.bits()), r#"","eventID":""#,
            Guid(scene.dice.bits(), scene.dice.bits()), r#"","readOnly":"#, if read_only { "true" } else { "false" },
            r#","eventType":""#, if self.name == "ConsoleLogin" { "AwsConsoleSignIn" } else { "AwsApiCall" },
            r#"","managementEvent":true,"recipientAccountId":""#, AWS_ACCOUNT,
            r#"","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256"}}"#);
    }
}

const ROLES: [&str; 5] = [
    "checkout-api",
    "image-resizer",
    "nightly-backup",
    "log-shipper",
    "ci-deploy",
];
/// Service, call.
const ROUTINE: [(&str, &str); 20] = [
    ("ec2", "DescribeInstances"),
    ("ec2", "DescribeVolumes"),
    ("ec2", "DescribeSecurityGroups"),
    ("s3", "GetObject"),
    ("s3", "PutObject"),
    ("s3", "ListObjects"),
    ("sts", "AssumeRole"),
    ("sts", "GetCallerIdentity"),
    ("kms", "Decrypt"),
    ("kms", "GenerateDataKey"),
    ("logs", "CreateLogStream"),
    ("monitoring", "DescribeAlarms"),
    ("autoscaling", "DescribeAutoScalingGroups"),
    ("elasticloadbalancing", "DescribeTargetHealth"),
    ("ssm", "GetParameter"),
    ("secretsmanager", "GetSecretValue"),
    ("rds", "DescribeDBInstances"),
    ("iam", "GetRole"),
    ("iam", "ListUsers"),
    ("cloudtrail", "DescribeTrails"),
];
const CLI: &str = "aws-cli/2.27.50 md/Botocore#2.27.50 os/linux#6.8.0 lang/python#3.13.4";
const SDK: &str = "aws-sdk-rust/1.3.8 os/linux lang/rust/1.88.0";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A call of any day.
pub(super) fn routine(scene: &mut Scene<'_>, out: &mut Vec<u8>) {
    let user = scene.world.user(scene.dice);
    match scene.dice.below(200) {
        0..3 => console_login(scene, user, out),
        3 => rotate_own_key(scene, user, out),
        4 => {
            let request = r#"{"name":"organisation-trail"}"#;
            let response = r#"{"isLogging":true,"latestDeliveryTime":"Jul 10, 2026, 12:24:29 PM"}"#;
            by_user(user, "cloudtrail", "GetTrailStatus")
                .with(request, response)
                .write(scene, out);
        }
        pick => {
            let (service, name) = scene.dice.pick(&ROUTINE);
            let denied = scene.dice.one_in(50);
            let mut call = by_user(user, service, name);
            if pick >= 90 {
                call.identity = Identity::Role(scene.dice.pick(&ROLES));
                call.address = Ipv4Addr::new(10, 30, 0, scene.dice.below(250) as u8);
                call.agent = SDK;
            }
            if denied {
                call.address = scene.strangers.next();
                call.denied = true;
            }
            call.write(scene, out);
        }
    }
}

fn by_user<'a>(user: &'a User, service: &'a str, name: &'a str) -> Call<'a> {
    Call {
        identity: Identity::User(user),
        service,
        name,
        address: user.address,
        agent: CLI,
        request: "null",
        response: "null",
        denied: false,
    }
}

impl<'a> Call<'a> {
    /// With the JSON of its request and response.
    pub(super) fn with(mut self, request: &'a str, response: &'a str) -> Self {
        (self.request, self.response) = (request, response);
        self
    }
}

fn console_login(scene: &mut Scene<'_>, user: &User, out: &mut Vec<u8>) {
    // Root logging in is an alert when it succeeds; trying and failing happens to honest people.
    let root = scene.dice.one_in(8);
    let response = if root {
        r#"{"ConsoleLogin":"Failure"}"#
    } else {
        r#"{"ConsoleLogin":"Success"}"#
    };
    let mut call = by_user(user, "signin", "ConsoleLogin").with("null", response);
    if root {
        call.identity = Identity::Root;
    }
    call.agent = BROWSER;
    call.write(scene, out);
}

fn rotate_own_key(scene: &mut Scene<'_>, user: &User, out: &mut Vec<u8>) {
    let (mut request, mut response) = (Vec::new(), Vec::new());
    key_created(&user.login, scene.dice.bits(), &mut request, &mut response);
    let call = by_user(user, "iam", "CreateAccessKey");
    call.with(json_text(&request), json_text(&response))
        .write(scene, out);
}

/// Request and response of `CreateAccessKey` for a user.
pub(super) fn key_created(login: &str, random: u64, request: &mut Vec<u8>, response: &mut Vec<u8>) {
    put!(request; r#"{"userName":""#, login, r#""}"#);
    put!(response; r#"{"accessKey":{"accessKeyId":"AKIA"#, Hex(random, 16), r#"","status":"Active","userName":""#, login,
        r#""}}"#);
}

/// What was written is text.
pub(super) fn json_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("null")
}
