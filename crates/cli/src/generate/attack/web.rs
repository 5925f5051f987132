//! Over HTTP.

use super::super::Scene;
use super::super::truth::{WEB_SCAN, rules};
use super::super::web::{Query, Request};
use super::{Attack, Step};

/// What the scanner asks for: path, query, rules that must notice.
type Probe = (&'static str, &'static str, &'static [&'static str]);

const PLAIN: [&str; 12] = [
    "/.git/HEAD",
    "/.env",
    "/backup.zip",
    "/wp-login.php",
    "/phpmyadmin/",
    "/admin.php",
    "/server-status",
    "/config.php.bak",
    "/cgi-bin/test.cgi",
    "/actuator/env",
    "/old/",
    "/.DS_Store",
];
const LOADED: [Probe; 8] = [
    (
        "/download/../../../../etc/passwd",
        "",
        &[rules::PATH_TRAVERSAL],
    ),
    (
        "/download",
        "file=..%2f..%2f..%2fetc%2fpasswd",
        &[rules::PATH_TRAVERSAL],
    ),
    (
        "/static/%2e%2e/%2e%2e/windows/win.ini",
        "",
        &[rules::PATH_TRAVERSAL],
    ),
    (
        "/view",
        "page=....//....//etc/shadow",
        &[rules::PATH_TRAVERSAL],
    ),
    (
        "/product",
        "id=1%27%20OR%20%271%27%3D%271",
        &[rules::SQL_INJECTION],
    ),
    (
        "/search",
        "q=x'+UNION+SELECT+username,password+FROM+users--",
        &[rules::SQL_INJECTION],
    ),
    (
        "/product",
        "id=7;WAITFOR+DELAY+'0:0:5'--",
        &[rules::SQL_INJECTION],
    ),
    (
        "/search",
        "q=1+AND+(SELECT+SLEEP(5))",
        &[rules::SQL_INJECTION],
    ),
];

/// A scanner asks for things that are not there; every fourth request carries a payload, and some of those are
/// answered.
pub(super) fn scan(attack: &Attack, scene: &mut Scene<'_>, out: &mut Vec<u8>) -> Step {
    let loaded = attack.step % 4 == 3;
    let (stem, query, detections): Probe = if loaded {
        scene.dice.pick(&LOADED)
    } else {
        (scene.dice.pick(&PLAIN), "", &[])
    };
    let status = match attack.step % 16 {
        7 => 200,
        15 => 403,
        _ => 404,
    };
    let request = Request {
        client: attack.address,
        site: scene
            .world
            .sites
            .get(attack.target as usize % scene.world.sites.len().max(1))
            .copied()
            .unwrap_or_default(),
        method: "GET",
        stem,
        query: if query.is_empty() {
            Query::None
        } else {
            Query::Text(query)
        },
        status,
        agent: "Mozilla/5.0 (compatible; scan/2.1)",
        bytes: scene.dice.between(150, 900),
        millis: scene.dice.between(1, 40),
    };
    request.write(scene, out);
    Step {
        detections,
        counted: (status >= 400).then_some(&WEB_SCAN),
        pause_ms: (attack.step + 1 < attack.rounds).then(|| scene.dice.between(200, 1200)),
    }
}
