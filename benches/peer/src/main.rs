//! Runs rsigma-eval over a file of events, one after the other, as its documentation shows: parse with serde_json, evaluate.
//!
//! `haechi-bench-peer RULES EVENTS LOGSOURCES [plain] [bloom] [ac]` writes a line `event TAB rule id` for each match on stdout, and
//! on stderr how many rules it loaded. `plain` evaluates every rule whatever its logsource, as the engine does when it is told
//! nothing; `bloom` and `ac` switch its optional prefilters on.

mod logsource;

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rsigma_eval::{Engine, JsonEvent};
use rsigma_parser::parse_sigma_directory;
use serde_json::Value;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rules, events, table, options @ ..] = arguments.as_slice() else {
        panic!("usage: haechi-bench-peer RULES EVENTS LOGSOURCES [plain] [bloom] [ac]");
    };
    let engine = load(Path::new(rules), options);
    let mut logsources = logsource::Logsources::parse(&fs::read_to_string(table)?);
    let events = fs::read(events)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut seen = HashSet::new();
    let plain = options.iter().any(|option| option == "plain");
    for (number, line) in events.split(|&byte| byte == b'\n').enumerate() {
        // Whatever is no JSON object is no event, to haechi neither.
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        let event = JsonEvent::borrow(&value);
        if plain {
            for found in engine.evaluate(&event) {
                let id = found.header.rule_id.unwrap_or(found.header.rule_title);
                writeln!(out, "{number}\t{id}")?;
            }
            continue;
        }
        let logsources = logsources.of(&value);
        seen.clear();
        for logsource in logsources {
            for found in engine.evaluate_with_logsource(&event, logsource) {
                let id = found.header.rule_id.unwrap_or(found.header.rule_title);
                // A rule may cover several logsources of an event.
                if logsources.len() == 1 || seen.insert(id.clone()) {
                    writeln!(out, "{number}\t{id}")?;
                }
            }
        }
    }
    out.flush()
}

/// All rules that the engine takes.
fn load(rules: &Path, options: &[String]) -> Engine {
    let collection = parse_sigma_directory(rules).expect("the folder can be read");
    let mut engine = Engine::new();
    engine.set_bloom_prefilter(options.iter().any(|option| option == "bloom"));
    engine.set_cross_rule_ac(options.iter().any(|option| option == "ac"));
    let refused = engine.add_rules(&collection.rules);
    for (rule, error) in &refused {
        let rule = &collection.rules[*rule];
        let id = rule.id.as_ref().unwrap_or(&rule.title);
        eprintln!("refused\t{id}\t{}", error.to_string().replace('\n', " "));
    }
    for error in &collection.errors {
        eprintln!("unread\t{}", error.replace('\n', " "));
    }
    eprintln!("loaded\t{}", engine.rule_count());
    engine
}
