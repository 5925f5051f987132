//! Events and rule sets, prepared once in a scratch folder.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use haechi_tests::{data, scratch};
use tempfile::TempDir;

/// Events of the adversarial file: as many as there are real ones, so that loading the rules weighs as much.
const HOSTILE_EVENTS: usize = 100_000;

/// What the runs read.
pub(crate) struct Inputs {
    _folder: TempDir,
    /// All public rules.
    pub(crate) rules: PathBuf,
    /// Every tenth of them.
    pub(crate) tenth: PathBuf,
    /// Each of them ten times, with its literals varied.
    pub(crate) tenfold: PathBuf,
    /// The real events, plain, and how many.
    pub(crate) events: PathBuf,
    pub(crate) count: usize,
    pub(crate) bytes: u64,
    /// Events whose long values are all distinct.
    pub(crate) hostile: PathBuf,
    /// No events: what a run costs without them.
    pub(crate) nothing: PathBuf,
}

impl Inputs {
    /// `None` where the data folder is absent.
    pub(crate) fn prepare() -> Option<Self> {
        let (rules, events) = (data::sigma_rules()?, data::file(data::WINDOWS_EVENTS)?);
        let folder = scratch();
        let at = |name: &str| folder.path().join(name);
        let plain = data::read(&events);
        fs::write(at("events.ndjson"), &plain).unwrap();
        fs::write(at("hostile.ndjson"), hostile()).unwrap();
        fs::write(at("nothing.ndjson"), "").unwrap();
        let mut files = Vec::new();
        walk(&rules, &mut files);
        files.sort();
        for (number, file) in files.iter().enumerate() {
            let text = fs::read_to_string(file).unwrap();
            if number % 10 == 0 {
                put(&at("tenth"), number, 0, &text);
            }
            put(&at("tenfold"), number, 0, &text);
            for copy in 1..10 {
                put(&at("tenfold"), number, copy, &varied(&text, copy));
            }
        }
        Some(Self {
            rules,
            tenth: at("tenth"),
            tenfold: at("tenfold"),
            events: at("events.ndjson"),
            count: plain.iter().filter(|&&byte| byte == b'\n').count(),
            bytes: plain.len() as u64,
            hostile: at("hostile.ndjson"),
            nothing: at("nothing.ndjson"),
            _folder: folder,
        })
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the rules were unpacked") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            found.push(path);
        }
    }
}

fn put(folder: &Path, number: usize, copy: usize, text: &str) {
    let folder = folder.join(copy.to_string());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{number}.yml")), text).unwrap();
}

/// The same rule with another id and, in its detection, other literals: in each word of four or more letters of a value the middle
/// letter is another. Keys, modifiers, the condition and the logsource stay.
fn varied(rule: &str, copy: usize) -> String {
    let mut in_detection = false;
    let mut out = String::with_capacity(rule.len());
    for line in rule.lines() {
        let top_level = line.starts_with(|c: char| c.is_ascii_alphabetic());
        if top_level {
            in_detection = line.starts_with("detection:");
        }
        let rest = line.trim_start();
        let line = if let Some(id) = line.strip_prefix("id: ") {
            // A UUID stays one, and no two copies have the same.
            let (id, _comment) = id.split_once('#').unwrap_or((id, ""));
            let id = id.trim().trim_matches(['"', '\'']);
            let (rest, last) = id.split_at(id.len() - 1);
            let last = u32::from_str_radix(last, 16).expect("ids are UUIDs");
            format!("id: {rest}{:x}", (last + u32::try_from(copy).unwrap()) % 16)
        } else if !in_detection || top_level || rest.starts_with("condition:") {
            line.to_owned()
        } else if let Some((key, value)) = line.split_once(": ") {
            format!("{key}: {}", other_words(value, copy))
        } else if rest.starts_with("- ") && !rest.contains(':') {
            other_words(line, copy)
        } else {
            line.to_owned()
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn other_words(value: &str, copy: usize) -> String {
    // What stands behind a # is a comment, and what a regular expression means is not for us to guess.
    if value.contains(['#', '(', '[', '{', '+']) {
        return value.to_owned();
    }
    let mut bytes = value.as_bytes().to_vec();
    let mut start = 0;
    for at in 0..=bytes.len() {
        if bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        let escaped = start > 0 && matches!(bytes[start - 1], b'\\' | b'%');
        if at - start >= 4 {
            let middle = start + (at - start) / 2;
            let letter = bytes[middle].to_ascii_lowercase() - b'a';
            bytes[middle] = b'a' + (letter + u8::try_from(copy).unwrap() + u8::from(escaped)) % 26;
        }
        start = at + 1;
    }
    String::from_utf8(bytes).expect("letters were replaced by letters")
}

/// Process starts whose command lines and images are long and never the same.
fn hostile() -> String {
    let mut out = String::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..HOSTILE_EVENTS {
        let mut words = |count: usize| {
            let mut text = String::new();
            for _ in 0..count {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                write!(
                    text,
                    "{seed:x} -{}ell ",
                    char::from(b'a' + (seed % 26) as u8)
                )
                .unwrap();
            }
            text
        };
        let (line, parent) = (words(60), words(40));
        writeln!(
            out,
            r#"{{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"@timestamp":"2026-01-01T00:00:00Z","Image":"C:\\Users\\{number:x}\\{}.exe","CommandLine":"powershell {line}","ParentCommandLine":"cmd /c {parent}","ParentImage":"C:\\Windows\\{number}\\cmd.exe","User":"u{number}"}}"#,
            number * 7919
        )
        .unwrap();
    }
    out
}
