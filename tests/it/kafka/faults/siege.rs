//! What breaks, and what is done about it: the processes, the brokers, the links between them, the clocks and the topics of one
//! app under attack.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use haechi_tests::app::App;
use haechi_tests::link::{self, Condition, Link, ToNode};
use haechi_tests::process::{Finished, Running};

use super::clock::PodClock;
use super::outputs::Outputs;

/// How long what was written may take to be read when nothing breaks any more.
const CALM: Duration = Duration::from_secs(120);
/// The input never has more partitions than this.
const MOST_PARTITIONS: usize = 8;

/// Numbers from a seed (Knuth's multiplier for 64 bits).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

struct Pod {
    process: Running,
    clock: PodClock,
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

/// Where the writer writes. It holds this while it writes, so whoever else does has it wait.
pub(super) struct Sink {
    /// How many partitions of the input are written to.
    pub(super) partitions: usize,
}

/// The processes of a run, and what was done to them.
pub(super) struct Siege<'a> {
    app: &'a App,
    sink: &'a Mutex<Sink>,
    dice: Dice,
    pods: Vec<Pod>,
    nodes: Vec<Node>,
    /// What was in output topics that are not there any more.
    pub(super) deleted: Outputs,
    pub(super) faults: usize,
    begun: Instant,
    /// How many pods have been started.
    started: usize,
}

impl<'a> Siege<'a> {
    pub(super) fn new(app: &'a App, sink: &'a Mutex<Sink>, seed: u64, links: Vec<ToNode>) -> Self {
        Self {
            app,
            sink,
            dice: Dice(seed),
            pods: Vec::new(),
            nodes: links.into_iter().map(Node::new).collect(),
            deleted: Outputs::default(),
            faults: 0,
            begun: Instant::now(),
            started: 0,
        }
    }

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

    pub(super) fn start(&mut self) {
        let clock = PodClock::new(self.app.folder(), self.started);
        self.started += 1;
        let process = self.app.run_with(&clock.environment());
        self.note(&format!("pod {} starts", process.id()));
        self.pods.push(Pod {
            process,
            clock,
            stopped_until: None,
        });
    }

    /// Lets some time pass.
    pub(super) fn wait(&mut self, least: usize) {
        let long = least + self.dice.below(3500);
        self.pause(Duration::from_millis(long as u64));
    }

    /// Lets this time pass; whoever has been stopped for long enough goes on, and nobody may have ended.
    fn pause(&mut self, long: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < long {
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

    pub(super) fn fault(&mut self) {
        self.faults += 1;
        let number = self.dice.below(self.pods.len());
        match self.dice.below(16) {
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
            9 => self.add_partitions(),
            10 => self.delete_outputs(),
            11..=12 => self.jump(number),
            _ => self.break_link(),
        }
    }

    /// The clock of one pod is wrong from now on.
    fn jump(&mut self, number: usize) {
        let by = self.dice.below(20_000) as i64 - 10_000;
        let pod = &self.pods[number];
        pod.clock.set(by);
        self.note(&format!(
            "the clock of pod {} is {by} s off",
            pod.process.id()
        ));
    }

    /// The input grows. What is written goes there once the group knows of it: see docs/guarantees.md.
    fn add_partitions(&mut self) {
        let topic = &self.app.topics[0];
        let partitions =
            self.sink.lock().expect("the writer lives").partitions + 1 + self.dice.below(2);
        if partitions > MOST_PARTITIONS || self.nodes.iter().any(|node| node.is_down) {
            self.faults -= 1;
            return;
        }
        self.app.client.grow(topic, partitions);
        self.note(&format!("{topic} has {partitions} partitions now"));
        let deadline = Instant::now() + CALM;
        while self.app.client.assigned(&self.app.name, topic).len() < partitions {
            assert!(
                Instant::now() < deadline,
                "nobody reads the new partitions of {topic}"
            );
            self.pause(Duration::from_millis(200));
        }
        self.sink.lock().expect("the writer lives").partitions = partitions;
        self.note("and the group reads them all");
    }

    /// The output topics are deleted and created anew while events come. That is done when all that was read has been told: what is
    /// in a topic goes with it.
    fn delete_outputs(&mut self) {
        self.go_on(true);
        self.mend(true);
        let sink = self.sink;
        let held = sink.lock().expect("the writer lives");
        self.note("the writer waits");
        self.wait_until_read();
        let mut outputs = Outputs::of(self.app);
        loop {
            self.pause(Duration::from_secs(3));
            let later = Outputs::of(self.app);
            if later.len() == outputs.len() {
                break;
            }
            outputs = later;
        }
        for topic in Outputs::topics(self.app) {
            self.app.client.delete(&topic);
        }
        self.deleted.append(outputs);
        self.note("the output topics are deleted");
        drop(held);
        let long = Duration::from_millis((500 + self.dice.below(6_000)) as u64);
        self.pause(long);
        self.app.create_results();
        self.note("the output topics are there again");
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
    pub(super) fn calm(&mut self) {
        self.go_on(true);
        self.mend(true);
        self.note("nothing breaks any more");
        self.wait_until_read();
        for pod in std::mem::take(&mut self.pods) {
            self.end(pod);
        }
    }

    fn wait_until_read(&mut self) {
        let deadline = Instant::now() + CALM;
        let topic = &self.app.topics[0];
        while self
            .app
            .client
            .offsets(&self.app.name, topic)
            .values()
            .any(|(committed, end)| committed.unwrap_or(0) != *end)
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
    }
}
