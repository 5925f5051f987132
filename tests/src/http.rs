//! The HTTP port, as a monitoring system sees it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// GET: status and body; `None` when nobody answers.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: haechi\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    Some((
        status,
        if chunked {
            unchunk(body)?
        } else {
            body.to_owned()
        },
    ))
}

/// Joins a chunked body.
fn unchunk(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// Prometheus' text format, parsed.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Declared name → type.
    pub types: BTreeMap<String, String>,
    /// Series as written (`name{label="value"}`) → value.
    pub series: BTreeMap<String, f64>,
}

impl Samples {
    /// Reads `/metrics`; `None` when nobody answers.
    #[must_use]
    pub fn scrape(address: SocketAddr) -> Option<Self> {
        match get(address, "/metrics")? {
            (200, body) => Some(Self::parse(&body)),
            _ => None,
        }
    }

    /// Parses the text.
    ///
    /// # Panics
    /// When a line is not of the format.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut samples = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').expect("a name and a type");
                samples.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a series and a value");
                samples
                    .series
                    .insert(series.to_owned(), value.parse().expect("a number"));
            }
        }
        samples
    }

    /// The sum over all series of a name.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        let of_name = |series: &str| {
            series
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        self.series
            .iter()
            .filter(|(series, _)| of_name(series))
            .map(|(_, value)| value)
            .sum()
    }
}
