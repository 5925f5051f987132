//! One schedule: trouble, then calm, then the reckoning.

use std::ops::AddAssign;

use rand::RngExt;

use crate::world::{self, MILLISECOND, SECOND, world};
use crate::{fleet, oracle};

/// How many rounds without trouble everything has to be read in.
const PATIENCE: usize = 4000;

/// What was seen in schedules that held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passed {
    pub(crate) schedules: u64,
    pub(crate) faults: u64,
    pub(crate) commits: u64,
    pub(crate) records: u64,
    pub(crate) alerts: u64,
    pub(crate) rows: u64,
    pub(crate) late: u64,
    pub(crate) cuts: u64,
    pub(crate) read_back: u64,
}

impl AddAssign for Passed {
    fn add_assign(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.faults += other.faults;
        self.commits += other.commits;
        self.records += other.records;
        self.alerts += other.alerts;
        self.rows += other.rows;
        self.late += other.late;
        self.cuts += other.cuts;
        self.read_back += other.read_back;
    }
}

/// Runs the schedule of a seed; says what went wrong.
pub(crate) fn run(seed: u64, tell: bool) -> Result<Passed, String> {
    world::begin(seed, tell);
    fleet::begin();
    world(|world| {
        let plan = &world.plan;
        let (exact, at_least_once, trouble) = (plan.exact, plan.at_least_once, plan.trouble);
        world.note(|| format!("exact {exact}, at least once {at_least_once}, trouble {trouble}"));
    });
    let outcome = live();
    fleet::end();
    let world = world::end();
    outcome?;
    oracle::verify(&world)?;
    let count = |topic| world.cluster.all(topic).len() as u64;
    Ok(Passed {
        schedules: 1,
        faults: world.faults,
        commits: world.commits,
        records: world
            .plan
            .written
            .values()
            .map(|all| all.len() as u64)
            .sum(),
        alerts: count(crate::workload::ALERTS),
        rows: count(crate::workload::ROLLUPS),
        late: count(crate::workload::LATE),
        cuts: world.cuts,
        read_back: world.read_back,
    })
}

fn live() -> Result<(), String> {
    let turns = world(|world| world.rng.random_range(50..600));
    for _ in 0..turns {
        fleet::turn();
        world(|world| world.failure.clone().map_or(Ok(()), Err))?;
    }
    world(|world| world.calm());
    until_at_rest("what was written is not read")?;
    // Time passes until every partition is idle and every window is over. Whoever is given a partition meanwhile (a member that is gone
    // still was in the group) counts its silence anew.
    let idle = world(|world| world.plan.all_idle().as_secs()) as i64 * SECOND;
    let look = || world(|world| (world.now, world.group.generation));
    let (mut since, mut generation) = look();
    loop {
        let (now, current) = look();
        if current != generation {
            (since, generation) = (now, current);
        }
        if now >= since + idle + 20 * SECOND {
            break;
        }
        calm_round(700 * MILLISECOND)?;
    }
    until_at_rest("what the exchange holds is not read")
}

fn calm_round(how_long: i64) -> Result<(), String> {
    fleet::round();
    world(|world| {
        world.pass(how_long);
        world.outside();
        world.failure.clone().map_or(Ok(()), Err)
    })
}

fn until_at_rest(otherwise: &str) -> Result<(), String> {
    for _ in 0..PATIENCE {
        if world(|world| world.is_at_rest()) {
            return Ok(());
        }
        calm_round(30 * MILLISECOND)?;
    }
    Err(format!("{otherwise}, though nothing goes wrong any more"))
}
