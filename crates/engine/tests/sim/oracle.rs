//! What must have come out, computed plainly from what was written.

use std::collections::{BTreeMap, BTreeSet};

use haechi_log::TopicPartition;
use serde_json::Value;

use crate::workload::{ALERTS, BAD, BURST, DEAD, LATE, LEAST, ROLLUPS, WINDOW, Written};
use crate::world::World;

/// Where an event stands.
type Place = (String, i32, i64);

/// An event of one user that the correlation counts.
type Counted = (i64, Place);

/// A multiset.
type Bag = BTreeMap<String, usize>;

/// What the correlation and the rollup said, and what they said was late.
#[derive(Default)]
struct Said {
    bursts: Vec<(String, Vec<Place>)>,
    late_events: Vec<(String, Place)>,
    /// Window and user, rows, and sum.
    rows: Vec<((i64, String), i64, i64)>,
    late_rows: Vec<((i64, String), i64)>,
}

/// Compares everything that the world's topics hold with what they must hold.
pub(crate) fn verify(world: &World) -> Result<(), String> {
    let mut single = Bag::new();
    let mut dead = Bag::new();
    let mut said = Said::default();
    let mut alerts = BTreeMap::new();
    let mut row_texts = BTreeSet::new();
    for (partition, offset, message) in world.cluster.all(ALERTS) {
        let id = header(message, "haechi-id")?;
        if let Some(before) = alerts.insert(id, (partition.partition, offset)) {
            if world.plan.at_least_once {
                continue;
            }
            let alert = json(message)?;
            return Err(format!(
                "an alert comes twice, at {before:?} and {:?}: {alert}",
                (partition.partition, offset)
            ));
        }
        let alert = json(message)?;
        if alert["rule"] == BAD {
            *single.entry(place_text(&place(&alert))).or_default() += 1;
        } else if alert["rule"] == BURST {
            let events = alert["events"]
                .as_array()
                .ok_or("an alert without events")?;
            let user = text(&alert["group"]["user"]);
            said.bursts.push((user, events.iter().map(place).collect()));
        } else {
            return Err(format!("an alert of no rule: {alert}"));
        }
    }
    for (_, _, message) in world.cluster.all(DEAD) {
        let source = header(message, "haechi-topic")?;
        let partition = header(message, "haechi-partition")?;
        let offset = header(message, "haechi-offset")?;
        let count = dead
            .entry(format!("{source}/{partition}@{offset}"))
            .or_default();
        *count = if world.plan.at_least_once {
            1
        } else {
            *count + 1
        };
    }
    for (_, _, message) in world.cluster.all(ROLLUPS) {
        let row = json(message)?;
        let key = window_key(&row, &row["row"])?;
        // A repetition has the same id and says the same.
        let is_new = row_texts.insert((header(message, "haechi-id")?, row.to_string()));
        if !is_new && world.plan.at_least_once {
            continue;
        }
        said.rows.push((
            key,
            number(&row["row"]["n"])?,
            number(&row["row"]["total"])?,
        ));
    }
    for (_, _, message) in world.cluster.all(LATE) {
        let late = json(message)?;
        if late["what"] == "event" {
            said.late_events
                .push((text(&late["group"]["user"]), place(&late)));
        } else {
            said.late_rows
                .push((window_key(&late, &late["group"])?, number(&late["rows"])?));
        }
    }
    same("alerts of single events", &expected_single(world), &single)?;
    same("dead letters", &expected_dead(world), &dead)?;
    correlation(world, &said)?;
    rollup(world, &said)
}

/// Every event with where it stands.
fn events(world: &World) -> impl Iterator<Item = (Place, &Written)> {
    let of_partition = |(at, written): (&TopicPartition, _)| {
        let (topic, partition) = (at.topic.to_string(), at.partition);
        let written: &Vec<Written> = written;
        let place = move |offset: usize| (topic.clone(), partition, offset as i64);
        let each = written.iter().enumerate();
        each.map(|(offset, event)| (place(offset), event))
            .collect::<Vec<_>>()
    };
    world.plan.written.iter().flat_map(of_partition)
}

fn expected_single(world: &World) -> Bag {
    let mut bag = Bag::new();
    for (place, written) in events(world) {
        if matches!(written, Written::Event { action: "bad", .. }) {
            *bag.entry(place_text(&place)).or_default() += 1;
        }
    }
    bag
}

fn expected_dead(world: &World) -> Bag {
    let mut bag = Bag::new();
    for (place, written) in events(world) {
        if matches!(written, Written::Poison) {
            *bag.entry(place_text(&place)).or_default() += 1;
        }
    }
    for (at, offset, message) in world.cluster.all(crate::workload::EXCHANGE) {
        if message.payload.as_deref() == Some(b"rubbish") {
            let place = (at.topic.to_string(), at.partition, offset);
            *bag.entry(place_text(&place)).or_default() += 1;
        }
    }
    bag
}

/// The failed logins of each user, in order.
fn failed(world: &World) -> BTreeMap<String, Vec<Counted>> {
    let mut users: BTreeMap<String, Vec<Counted>> = BTreeMap::new();
    for (place, written) in events(world) {
        if let Written::Event {
            time_ns,
            user,
            action: "failed",
            ..
        } = written
        {
            users
                .entry(user.clone())
                .or_default()
                .push((*time_ns, place));
        }
    }
    users.values_mut().for_each(|events| events.sort());
    users
}

/// Bursts by reading the sorted events once.
fn expected_bursts(world: &World) -> Bag {
    let mut bag = Bag::new();
    for (user, events) in failed(world) {
        let mut from = 0;
        while let Some((start, _)) = events.get(from) {
            let end = start + WINDOW;
            let stop = events.partition_point(|(time, _)| *time < end);
            if stop - from >= LEAST {
                let places = events[from..stop].iter().map(|(_, place)| place.clone());
                *bag.entry(burst_text(&user, places.collect())).or_default() += 1;
                from = stop;
            } else {
                from += 1;
            }
        }
    }
    bag
}

fn correlation(world: &World, said: &Said) -> Result<(), String> {
    if world.plan.exact {
        let mut found = Bag::new();
        for (user, places) in &said.bursts {
            *found.entry(burst_text(user, places.clone())).or_default() += 1;
        }
        if !world.plan.at_least_once {
            same("late events", &Bag::new(), &late_bag(said))?;
        }
        return same("bursts", &expected_bursts(world), &found);
    }
    // Which events are late depends on who was read how fast. But an event is in one burst at most, or late, not both;
    // a burst is one; and no late event is told twice.
    let users = failed(world);
    let mut used = BTreeSet::new();
    for (user, places) in &said.bursts {
        let known = users
            .get(user)
            .ok_or_else(|| format!("a burst of nobody: {user}"))?;
        let mut times = Vec::new();
        for place in places {
            let event = known.iter().find(|(_, other)| other == place);
            times.push(
                event
                    .ok_or_else(|| format!("no event of {user}: {place:?}"))?
                    .0,
            );
            if !used.insert(place.clone()) {
                return Err(format!("an event in two bursts: {place:?}"));
            }
        }
        let (first, last) = (times.iter().min(), times.iter().max());
        let within = first
            .zip(last)
            .is_some_and(|(first, last)| last - first < WINDOW);
        if times.len() < LEAST || !within {
            return Err(format!("a burst that is none: {user} {places:?}"));
        }
    }
    for (user, place) in &said.late_events {
        let known = users
            .get(user)
            .is_some_and(|all| all.iter().any(|(_, it)| it == place));
        if !known {
            return Err(format!("a late event that is none: {user} {place:?}"));
        }
        if !used.insert(place.clone()) {
            return Err(format!(
                "an event late and counted, or late twice: {place:?}"
            ));
        }
    }
    // That no burst is missing is for the exact schedules to say: an event that comes behind the watermark, but not too
    // late for a window of its own, is counted, and yet may come too late for an earlier window.
    Ok(())
}

fn rollup(world: &World, said: &Said) -> Result<(), String> {
    let mut expected: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
    for (_, written) in events(world) {
        if let Written::Event {
            time_ns,
            user,
            size,
            ..
        } = written
        {
            let start = time_ns.div_euclid(WINDOW) * WINDOW;
            let sums = expected.entry((start, user.clone())).or_default();
            *sums = (sums.0 + 1, sums.1 + size);
        }
    }
    let mut found: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
    for (key, count, total) in &said.rows {
        if found.insert(key.clone(), (*count, *total)).is_some() {
            return Err(format!("row {key:?} comes twice"));
        }
    }
    if world.plan.at_least_once {
        return at_least(&expected, found);
    }
    if !world.plan.exact {
        for (key, rows) in &said.late_rows {
            found.entry(key.clone()).or_default().0 += rows;
        }
        expected
            .values_mut()
            .chain(found.values_mut())
            .for_each(|sums| sums.1 = 0);
    } else if let Some(late) = said.late_rows.first() {
        return Err(format!("late rows where nothing is late: {late:?}"));
    }
    let bag = |sums: &BTreeMap<(i64, String), (i64, i64)>| -> Bag {
        let text = |((start, user), (count, total)): (&(i64, String), &(i64, i64))| {
            (format!("{user} from {start}: {count} rows, {total}"), 1)
        };
        sums.iter().map(text).collect()
    };
    same("rollup rows", &bag(&expected), &bag(&found))
}

/// Every row is there. A repetition that came while the window was open is counted again.
fn at_least(
    expected: &BTreeMap<(i64, String), (i64, i64)>,
    mut found: BTreeMap<(i64, String), (i64, i64)>,
) -> Result<(), String> {
    for (key, (count, _)) in expected {
        let found = found.remove(key).map_or(0, |(found, _)| found);
        if found < *count {
            return Err(format!("row {key:?} counts {found} of {count} events"));
        }
    }
    match found.pop_first() {
        None => Ok(()),
        Some(extra) => Err(format!("a row of nothing: {extra:?}")),
    }
}

fn late_bag(said: &Said) -> Bag {
    let text = |(user, place): &(String, Place)| (format!("{user} {}", place_text(place)), 1);
    said.late_events.iter().map(text).collect()
}

/// The first difference between two bags, if there is one.
fn same(what: &str, expected: &Bag, found: &Bag) -> Result<(), String> {
    let all: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for one in all {
        let count = |bag: &Bag| bag.get(one).copied().unwrap_or(0);
        if count(expected) != count(found) {
            return Err(format!(
                "{what}: `{one}` must come {} times and comes {} times",
                count(expected),
                count(found)
            ));
        }
    }
    Ok(())
}

fn header(message: &crate::cluster::Sent, name: &str) -> Result<String, String> {
    let header = message.headers.iter().find(|(header, _)| header == name);
    let header = header.ok_or_else(|| format!("a message without header {name}"))?;
    Ok(String::from_utf8_lossy(&header.1).into_owned())
}

fn json(message: &crate::cluster::Sent) -> Result<Value, String> {
    let payload = message.payload.as_deref().unwrap_or_default();
    serde_json::from_slice(payload).map_err(|error| format!("a message that is not JSON: {error}"))
}

fn place(value: &Value) -> Place {
    let source = text(&value["source"]);
    let partition = value["partition"].as_i64().unwrap_or(-1) as i32;
    (source, partition, value["offset"].as_i64().unwrap_or(-1))
}

fn place_text((source, partition, offset): &Place) -> String {
    format!("{source}/{partition}@{offset}")
}

fn burst_text(user: &str, mut places: Vec<Place>) -> String {
    places.sort();
    let places: Vec<String> = places.iter().map(place_text).collect();
    format!("{user}: {}", places.join(" "))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> Result<i64, String> {
    let number = value.as_i64();
    number.ok_or_else(|| format!("not a number: {value}"))
}

fn window_key(row: &Value, group: &Value) -> Result<(i64, String), String> {
    let start = row["window_start"].as_str().unwrap_or_default();
    let start = seconds(start).ok_or_else(|| format!("no window in {row}"))?;
    Ok((start, text(&group["user"])))
}

/// `2023-11-14T22:13:20Z`, always whole seconds here, as nanoseconds since 1970 (days by Howard Hinnant's civil calendar).
fn seconds(time: &str) -> Option<i64> {
    let part = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000_000)
}
