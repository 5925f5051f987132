//! Several processes on real brokers while a seeded schedule breaks things: they are killed, stopped and gone on with,
//! added and told to stop; brokers are restarted and killed; the network between them is slow, silent and cut; rubbish is
//! among the events. At the end everything written is found, once.
//!
//! `make faults` runs many seeds for two minutes each, on three brokers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use haechi_tests::app::App;
use haechi_tests::broker::Client;
use haechi_tests::link::{self, Condition, Link, ToNode};
use haechi_tests::process::{Finished, Running};
use haechi_tests::synthetic;

use super::{RULES, RUN, assert_logins_in};

/// Events a second: enough that there is always something under way.
const RATE: u64 = 2_000;
/// How long what was written may take to be read when nothing breaks any more.
const CALM: Duration = Duration::from_secs(120);

fn environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number"))
    })
}

#[test]
#[ignore = "minutes for each seed: make faults"]
fn whatever_breaks_everything_is_found_once() {
    let client = Client::required();
    let first = environment("HAECHI_FAULTS_SEED", 1);
    let seconds = environment("HAECHI_FAULTS_SECONDS", 40);
    for seed in first..first + environment("HAECHI_FAULTS_RUNS", 1) {
        println!(
            "replay: HAECHI_FAULTS_SEED={seed} HAECHI_FAULTS_SECONDS={seconds} make faults RUNS=1"
        );
        let faults = attack(&client, seed, seconds);
        println!("seed {seed}: {faults} faults in {seconds} s; 0 lost, 0 duplicated, 0 different");
    }
}

/// Numbers from a seed (Knuth's multiplier for 64 bits).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

struct Pod {
    process: Running,
    /// It is stopped, and goes on then.
    stopped_until: Option<Instant>,
}

impl Pod {
    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.process.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("a shell").success(), "{kill} failed");
    }
}

/// A broker that was started for these tests.
struct Node {
    /// As `dev/kafka` takes it: the instance, and which of its nodes, if it has several.
    name: Vec<String>,
    /// Between the pods and it.
    link: Link,
    /// Its link is good again, or it is started again, then.
    until: Option<Instant>,
    is_down: bool,
}

impl Node {
    fn new(to: ToNode) -> Self {
        let instance = std::env::var("HAECHI_KAFKA_INSTANCE").expect("it has nodes");
        Self {
            name: std::iter::once(instance).chain(to.node).collect(),
            link: to.link,
            until: None,
            is_down: false,
        }
    }
}

/// The processes of a run, and what was done to them.
struct Siege<'a> {
    app: &'a App,
    dice: Dice,
    pods: Vec<Pod>,
    nodes: Vec<Node>,
    faults: usize,
    begun: Instant,
}

fn attack(client: &Client, seed: u64, seconds: u64) -> usize {
    let mut app = App::new(client, &format!("faults-{seed}")).created();
    app.lateness = synthetic::LATENESS;
    // Whatever takes longer than this would rightly be taken for silence.
    app.idle_timeout = "120s";
    app.commit_interval = ["50ms", "200ms", "1s"][seed as usize % 3];
    app.rule(RULES);
    let text = with_rubbish(&synthetic::logins(seconds * RATE));
    let file = app.folder().join("events.ndjson");
    fs::write(&file, &text).expect("the scratch folder can be written");
    let links = link::to_nodes();
    let addresses: Vec<String> = links.iter().map(|to| to.address.to_string()).collect();
    app.bootstrap = (!links.is_empty()).then(|| addresses.join(","));
    let mut siege = Siege {
        app: &app,
        dice: Dice(seed),
        pods: Vec::new(),
        nodes: links.into_iter().map(Node::new).collect(),
        faults: 0,
        begun: Instant::now(),
    };
    for _ in 0..3 {
        siege.start();
    }
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(&app, &text, seconds));
        while !writer.is_finished() {
            siege.wait(1500);
            siege.fault();
        }
        writer.join().expect("everything is written");
    });
    siege.calm();
    let faults = siege.faults;
    let _ = app.run_until_end(RUN);
    assert_logins_in(&app, &file, &app.alerts(app.line()), &app.rollups());
    faults
}

/// Every now and then a line is none.
fn with_rubbish(text: &str) -> String {
    let line = |(number, line): (usize, &str)| match number % 997 {
        500 => "{\"ts\":\"2025-03-01T00:00\n".to_owned(),
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').enumerate().map(line).collect()
}

/// Writes a second's events about every second. Whole rounds of the partitions keep each line's place.
fn write(app: &App, text: &str, seconds: u64) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let begun = Instant::now();
    for (second, lines) in (0..seconds).zip(lines.chunks(RATE as usize)) {
        let due = Duration::from_secs(second);
        thread::sleep(due.saturating_sub(begun.elapsed()));
        app.client
            .produce(&app.topics[0], lines.concat().as_bytes());
    }
}

impl Siege<'_> {
    fn note(&self, what: &str) {
        println!("{:6.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    /// What a pod said is kept beside the build, for whoever has to find out what went wrong.
    fn keep(&self, pod: u32, ended: &Finished) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("faults")
            .join(&self.app.name);
        fs::create_dir_all(&folder).expect("the build's folder can be written");
        fs::write(folder.join(format!("{pod}.log")), &ended.stderr)
            .expect("the build's folder can be written");
    }

    fn start(&mut self) {
        let process = self.app.run();
        self.note(&format!("pod {} starts", process.id()));
        self.pods.push(Pod {
            process,
            stopped_until: None,
        });
    }

    /// Lets some time pass; whoever has been stopped for long enough goes on, and nobody may have ended.
    fn wait(&mut self, least: usize) {
        let until = Duration::from_millis((least + self.dice.below(3500)) as u64);
        let begun = Instant::now();
        while begun.elapsed() < until {
            thread::sleep(Duration::from_millis(50));
            self.go_on(false);
            self.mend(false);
        }
        for pod in &mut self.pods {
            let running = pod.process.is_running();
            assert!(running, "a pod ended by itself:\n{}", pod.process.stderr());
        }
    }

    fn go_on(&mut self, all: bool) {
        let begun = self.begun;
        for pod in &mut self.pods {
            let due = |until: &mut Instant| all || Instant::now() >= *until;
            if pod.stopped_until.take_if(due).is_some() {
                pod.signal("CONT");
                let at = begun.elapsed().as_secs_f64();
                println!("{at:6.1} s  pod {} goes on", pod.process.id());
            }
        }
    }

    fn fault(&mut self) {
        self.faults += 1;
        let number = self.dice.below(self.pods.len());
        match self.dice.below(12) {
            0..=2 => {
                let pod = self.pods.swap_remove(number);
                self.note(&format!("pod {} is killed", pod.process.id()));
                let id = pod.process.id();
                self.keep(id, &pod.process.kill());
                self.start();
            }
            3..=4 if self.pods[number].stopped_until.is_none() => {
                let long = Duration::from_millis((1000 + self.dice.below(14_000)) as u64);
                let pod = &mut self.pods[number];
                pod.signal("STOP");
                pod.stopped_until = Some(Instant::now() + long);
                let id = pod.process.id();
                self.note(&format!("pod {id} stops for {long:?}"));
            }
            5 if self.pods.len() < 4 => self.start(),
            6 if self.pods.len() > 2 => {
                let pod = self.pods.swap_remove(number);
                self.note(&format!("pod {} is told to stop", pod.process.id()));
                if pod.stopped_until.is_some() {
                    pod.signal("CONT");
                }
                self.mend(true);
                self.end(pod);
            }
            7..=8 => self.break_broker(),
            _ => self.break_link(),
        }
    }

    fn end(&self, pod: Pod) {
        pod.process.terminate();
        let id = pod.process.id();
        self.keep(id, &pod.process.wait(Duration::from_secs(60)).succeeded());
    }

    /// One broker at a time is away. Of a single one that is told to stop, a transaction that times out meanwhile loses its abort
    /// marker: it finds no leader for what it wrote to, and takes that for deleted (4.4.0, `TransactionMarkerChannelManager`).
    /// So that one is always killed.
    fn break_broker(&mut self) {
        if self.nodes.is_empty() || self.nodes.iter().any(|node| node.is_down) {
            self.faults -= 1;
            return;
        }
        let number = self.dice.below(self.nodes.len());
        let how = if self.nodes.len() > 1 {
            ["stop", "kill"][self.dice.below(2)]
        } else {
            "kill"
        };
        let long = Duration::from_millis(self.dice.below(8_000) as u64);
        let name = self.nodes[number].name.join(" ");
        self.note(&format!("broker {name}: {how}, for {long:?}"));
        self.kafka(how, number);
        let node = &mut self.nodes[number];
        node.is_down = true;
        node.until = Some(Instant::now() + long);
    }

    /// The network between the pods and one broker.
    fn break_link(&mut self) {
        let number = self.dice.below(self.nodes.len().max(1));
        let Some(Node {
            link,
            until: until @ None,
            name,
            ..
        }) = self.nodes.get_mut(number)
        else {
            self.faults -= 1;
            return;
        };
        let long = Duration::from_millis((500 + self.dice.below(9_000)) as u64);
        let condition = match self.dice.below(3) {
            0 => Condition::Slow(Duration::from_millis(50 + self.dice.below(450) as u64)),
            1 => Condition::Mute,
            _ => Condition::Cut,
        };
        link.set(condition);
        *until = Some(Instant::now() + long);
        let name = name.join(" ");
        self.note(&format!(
            "the network to {name}: {condition:?} for {long:?}"
        ));
    }

    /// What has been broken for long enough works again. A silent link first loses what it holds.
    fn mend(&mut self, all: bool) {
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            let due = |until: &mut Instant| all || Instant::now() >= *until;
            if node.until.take_if(due).is_none() {
                continue;
            }
            if std::mem::take(&mut node.is_down) {
                self.kafka("start", number);
            }
            let link = &self.nodes[number].link;
            link.set(Condition::Cut);
            thread::sleep(Duration::from_millis(100));
            link.set(Condition::Good);
            let name = self.nodes[number].name.join(" ");
            self.note(&format!("{name} is as before"));
        }
    }

    fn kafka(&self, how: &str, node: usize) {
        let mut arguments = vec![how];
        arguments.extend(self.nodes[node].name.iter().map(String::as_str));
        let outcome = link::kafka(&arguments);
        assert!(
            outcome.status.success(),
            "dev/kafka {arguments:?}: {outcome:?}"
        );
    }

    /// Nothing breaks any more: everything is read, and all pods end in order.
    fn calm(&mut self) {
        self.go_on(true);
        self.mend(true);
        self.note("nothing breaks any more");
        let deadline = Instant::now() + CALM;
        let topic = &self.app.topics[0];
        while self
            .app
            .client
            .offsets(&self.app.name, topic)
            .values()
            .any(|(committed, end)| *committed != Some(*end))
        {
            if Instant::now() >= deadline {
                for pod in std::mem::take(&mut self.pods) {
                    let id = pod.process.id();
                    self.keep(id, &pod.process.kill());
                }
                panic!("{topic} is not read to its end");
            }
            thread::sleep(Duration::from_millis(500));
        }
        for pod in std::mem::take(&mut self.pods) {
            self.end(pod);
        }
    }
}
