//! Access log of a web shop. Fields have the names of the W3C extended log format, as Sigma's `webserver` rules do.

use std::net::Ipv4Addr;

use super::Scene;
use super::json::{Put, Text, put};

/// One request and how it was answered.
pub(super) struct Request<'a> {
    pub(super) client: Ipv4Addr,
    pub(super) site: &'a str,
    pub(super) method: &'a str,
    pub(super) stem: &'a str,
    pub(super) query: Query<'a>,
    pub(super) status: u32,
    pub(super) agent: &'a str,
    pub(super) bytes: u32,
    pub(super) millis: u32,
}

/// What stands behind the question mark.
pub(super) enum Query<'a> {
    None,
    /// `name=number`.
    Number(&'a str, u32),
    Text(&'a str),
}

impl Put for Query<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::None => out.push(b'-'),
            Self::Number(name, number) => put!(out; name, "=", number),
            Self::Text(text) => Text(text).put(out),
        }
    }
}

impl Request<'_> {
    /// Appends the request as a JSON object.
    pub(super) fn write(&self, scene: &Scene<'_>, out: &mut Vec<u8>) {
        put!(out; r#"{"@timestamp":""#, scene.moment.rfc3339(3), r#"","s-computername":"web-0"#,
            1 + (u32::from(self.client) & 3), r#"","c-ip":""#, self.client, r#"","cs-host":""#, self.site,
            r#"","cs-method":""#, self.method, r#"","cs-uri-stem":""#, Text(self.stem),
            r#"","cs-uri-query":""#, self.query, r#"","cs-version":"HTTP/1.1","sc-status":"#, self.status,
            r#","sc-bytes":"#, self.bytes, r#","time-taken":"#, self.millis,
            r#","cs-user-agent":""#, Text(self.agent), r#"","cs-referer":""#);
        let direct = self.stem.len().is_multiple_of(3);
        if direct {
            put!(out; r#"-"}"#);
        } else {
            put!(out; "https://", self.site, r#"/"}"#);
        }
    }
}

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
    "shop-app/4.12.0 (okhttp)",
];
/// Path, name of the query parameter (none: empty), size of a usual answer.
const PAGES: [(&str, &str, u32); 14] = [
    ("/", "", 18_000),
    ("/search", "page", 42_000),
    ("/product", "id", 31_000),
    ("/category/shoes", "page", 38_000),
    ("/category/coats", "page", 38_000),
    ("/cart", "", 9_000),
    ("/cart/items", "item", 1_200),
    ("/checkout", "", 12_000),
    ("/account/orders", "page", 15_000),
    ("/assets/app.js", "v", 240_000),
    ("/assets/app.css", "v", 60_000),
    ("/assets/logo.svg", "", 4_000),
    ("/api/v2/prices", "sku", 800),
    ("/healthz", "", 15),
];
const BROKEN: [&str; 5] = [
    "/favicon-old.ico",
    "/category/hats-2019",
    "/apple-touch-icon.png",
    "/assets/app.js.map",
    "/blog/archive",
];

/// A request of any day.
pub(super) fn routine(scene: &mut Scene<'_>, out: &mut Vec<u8>) {
    let dice = &mut *scene.dice;
    let (stem, parameter, size) = dice.pick(&PAGES);
    let mistake = dice.one_in(40);
    let posts = matches!(stem, "/cart/items" | "/checkout");
    let request = Request {
        client: if mistake {
            scene.strangers.next()
        } else {
            scene.world.client(dice)
        },
        site: scene.world.site(dice),
        method: if posts && !mistake { "POST" } else { "GET" },
        stem: if mistake { dice.pick(&BROKEN) } else { stem },
        query: if mistake || parameter.is_empty() {
            Query::None
        } else {
            Query::Number(parameter, dice.skewed(9000))
        },
        status: match dice.below(200) {
            _ if mistake => 404,
            0..14 => 304,
            14..20 => 302,
            20 => 502,
            _ => 200,
        },
        agent: dice.pick(&AGENTS),
        bytes: size / 2 + dice.skewed(size),
        millis: 2 + dice.skewed(700),
    };
    request.write(scene, out);
}
