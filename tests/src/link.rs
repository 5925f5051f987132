//! A network link that can be slow, silent or cut: a TCP proxy in front of one broker.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::repository;

/// How often a connection looks at what the link does.
const LOOK: Duration = Duration::from_millis(20);

/// What a link does with what comes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It passes on at once.
    Good,
    /// It passes on so much later.
    Slow(Duration),
    /// Requests arrive, answers do not: they wait.
    Mute,
    /// Neither requests nor answers arrive: they wait.
    Still,
    /// Connections end, and no new one is made. Answers that wait are lost.
    Cut,
}

/// A link to a node of the instance that these tests run on.
#[derive(Debug, Clone)]
pub struct ToNode {
    /// Its number, if it is one of several.
    pub node: Option<String>,
    /// `bootstrap.servers` for whoever is to come through the link.
    pub address: SocketAddr,
    /// The link.
    pub link: Link,
}

/// Links to all nodes of the instance `HAECHI_KAFKA_INSTANCE`; none for a broker that is not ours.
///
/// # Panics
/// When `dev/kafka` does not tell.
#[must_use]
pub fn to_nodes() -> Vec<ToNode> {
    let Ok(instance) = std::env::var("HAECHI_KAFKA_INSTANCE") else {
        return Vec::new();
    };
    let links = kafka(&["links", &instance]);
    assert!(links.status.success(), "dev/kafka links: {links:?}");
    let to_node = |line: &str| {
        let mut words = line.split(' ').map(|word| word.parse().expect("a number"));
        let mut next = || -> u16 { words.next().expect("three numbers") };
        let (node, listen, target) = (next(), next(), next());
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        ToNode {
            node: (node > 0).then(|| node.to_string()),
            address: at(listen),
            link: shared(at(listen), at(target)),
        }
    };
    String::from_utf8_lossy(&links.stdout)
        .lines()
        .map(to_node)
        .collect()
}

/// A port is taken once in the life of a process.
fn shared(listen: SocketAddr, target: SocketAddr) -> Link {
    static LINKS: Mutex<BTreeMap<SocketAddr, Link>> = Mutex::new(BTreeMap::new());
    let mut links = LINKS.lock().expect("no link panics");
    let link = links
        .entry(listen)
        .or_insert_with(|| Link::open(listen, target));
    link.clone()
}

/// Runs `dev/kafka`.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn kafka(arguments: &[&str]) -> Output {
    Command::new(repository().join("dev/kafka"))
        .args(arguments)
        .env_remove("HAECHI_KAFKA")
        .output()
        .expect("dev/kafka runs")
}

/// A link to one broker. Ends with the process.
#[derive(Debug, Clone)]
pub struct Link {
    condition: Arc<Mutex<Condition>>,
}

impl Link {
    /// Forwards what comes to `listen` to `target`.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn open(listen: SocketAddr, target: SocketAddr) -> Self {
        let listener =
            TcpListener::bind(listen).unwrap_or_else(|error| panic!("{listen}: {error}"));
        let condition = Arc::new(Mutex::new(Condition::Good));
        let link = Self { condition };
        let accepting = link.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.condition() == Condition::Cut {
                    continue;
                }
                if let Ok(broker) = TcpStream::connect_timeout(&target, Duration::from_secs(2)) {
                    accepting.join(client, broker);
                }
            }
        });
        link
    }

    /// From now on it is like this.
    ///
    /// # Panics
    /// When a connection's thread has panicked.
    pub fn set(&self, condition: Condition) {
        *self.condition.lock().unwrap() = condition;
    }

    fn condition(&self) -> Condition {
        *self.condition.lock().unwrap()
    }

    fn join(&self, client: TcpStream, broker: TcpStream) {
        let ended = Arc::new(AtomicBool::new(false));
        for (from, to, answers) in [(&client, &broker, false), (&broker, &client, true)] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                return;
            };
            let (link, ended) = (self.clone(), Arc::clone(&ended));
            thread::spawn(move || {
                link.forward(&from, &to, answers, &ended);
                ended.store(true, Ordering::SeqCst);
                // Either may have gone already.
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }

    /// Until an end closes or the link is cut.
    fn forward(&self, mut from: &TcpStream, mut to: &TcpStream, answers: bool, ended: &AtomicBool) {
        let mut buffer = [0; 1 << 16];
        if from.set_read_timeout(Some(LOOK)).is_err() {
            return;
        }
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    0
                }
                Err(_) => return,
            };
            let came = Instant::now();
            loop {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                match self.condition() {
                    Condition::Cut => return,
                    Condition::Mute if answers && read > 0 => {}
                    Condition::Still if read > 0 => {}
                    Condition::Slow(delay) if read > 0 && came.elapsed() < delay => {}
                    _ => break,
                }
                thread::sleep(LOOK);
            }
            if read > 0
                && to
                    .write_all(buffer.get(..read).unwrap_or_default())
                    .is_err()
            {
                return;
            }
        }
    }
}
