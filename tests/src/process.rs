//! Running the binary: with time limits, and everything it says kept.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary::haechi;

/// How long a command may take that says nothing else. Generous: a machine with two busy cores is slow.
pub const LIMIT: Duration = Duration::from_secs(120);
/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(20);

/// A command line in the making.
#[derive(Debug)]
pub struct Haechi {
    command: Command,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Haechi {
    /// `haechi ARGUMENTS…`
    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(haechi());
        command
            .args(arguments)
            .env_remove("HAECHI_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            command,
            stdin: None,
            limit: LIMIT,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// What stdin holds; without this it is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Where it runs.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it takes longer than its limit.
    #[must_use]
    pub fn run(self) -> Finished {
        let limit = self.limit;
        self.start().wait(limit)
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(mut self) -> Running {
        if self.stdin.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let mut child = self.command.spawn().expect("the binary starts");
        if let (Some(bytes), Some(mut stdin)) = (self.stdin, child.stdin.take()) {
            // Whoever stops reading has its reasons, and says so on stderr.
            thread::spawn(move || stdin.write_all(&bytes));
        }
        let stdout = Kept::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Kept::of(child.stderr.take().expect("stderr is piped"));
        Running {
            child,
            stdout,
            stderr,
            begun: Instant::now(),
        }
    }
}

/// A stream that is read to its end in the background.
#[derive(Debug)]
struct Kept {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Kept {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self {
            bytes,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn finish(&mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading a pipe does not panic");
        }
        std::mem::take(&mut *self.bytes.lock().unwrap())
    }
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Kept,
    stderr: Kept,
    begun: Instant,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Asks it to stop: SIGTERM.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn terminate(&self) {
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -TERM {}", self.id()))
            .status()
            .expect("a shell");
        assert!(
            status.success(),
            "there is no process to stop; it said:\n{}",
            self.stderr()
        );
    }

    /// Ends it at once, as a crash would: SIGKILL.
    ///
    /// # Panics
    /// When it has ended already.
    #[must_use]
    pub fn kill(mut self) -> Finished {
        assert!(
            self.is_running(),
            "it ended before it could be killed; it said:\n{}",
            self.stderr()
        );
        self.child.kill().expect("a running child can be killed");
        self.wait(LIMIT)
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// When the system does not tell.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
    }

    /// Waits until `done` answers something.
    ///
    /// # Panics
    /// When that takes longer than `limit`, or the process ends first.
    pub fn until<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut done: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + limit;
        loop {
            let running = self.is_running();
            if let Some(value) = done(self) {
                return value;
            }
            assert!(
                running,
                "the process ended while waiting until {what}; it said:\n{}",
                self.stderr()
            );
            assert!(
                Instant::now() < deadline,
                "{limit:?} have passed waiting until {what}; it said:\n{}",
                self.stderr()
            );
            thread::sleep(LOOK);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Finished {
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(LOOK),
                None => panic!(
                    "it did not end within {limit:?}; it said:\n{}",
                    tail(&self.stderr())
                ),
            }
        };
        let took = self.begun.elapsed();
        let stdout = self.stdout.finish();
        let stderr = String::from_utf8_lossy(&self.stderr.finish()).into_owned();
        Finished {
            status,
            stdout,
            stderr,
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// All of its stdout.
    pub stdout: Vec<u8>,
    /// All of its stderr.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Finished {
    /// The same, when it ended with exit code 0.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn succeeded(self) -> Self {
        assert!(
            self.status.success(),
            "it failed ({}) and said:\n{}",
            self.status,
            tail(&self.stderr)
        );
        self
    }

    /// The same, when it ended with an exit code other than 0: not killed, not panicked.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn failed(self) -> Self {
        assert!(
            !self.status.success(),
            "it should have failed; it said:\n{}",
            tail(&self.stderr)
        );
        assert_eq!(
            self.status.signal(),
            None,
            "it was killed; it said:\n{}",
            tail(&self.stderr)
        );
        assert!(
            !self.stderr.contains("panicked at"),
            "it panicked:\n{}",
            tail(&self.stderr)
        );
        self
    }

    /// The same, when stderr holds every one of `parts`.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn said(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "it did not say `{part}` but:\n{}",
                tail(&self.stderr)
            );
        }
        self
    }

    /// Stdout as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("stdout is UTF-8")
    }

    /// Stdout as one JSON value a line.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn rows(&self) -> Vec<Value> {
        parse_lines(self.text())
    }
}

/// One JSON value a line.
///
/// # Panics
/// When a line is not JSON.
#[must_use]
pub fn parse_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
        })
        .collect()
}

/// The end of a long text.
fn tail(text: &str) -> &str {
    const MOST: usize = 8_000;
    let start = (text.len().saturating_sub(MOST)..text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    &text[start..]
}
