//! The runs, and the table that they make.

use std::path::Path;

use haechi_benches::median;

use crate::inputs::Inputs;
use crate::parse;
use crate::processes::{Cost, peer, profiled, replay};

/// Everything measured, round by round.
#[derive(Default)]
pub(crate) struct Runs {
    /// Whole processes over the real events.
    haechi: Vec<Cost>,
    peer: Vec<Cost>,
    peer_plain: Vec<Cost>,
    /// Over the adversarial file.
    haechi_hostile: Vec<Cost>,
    peer_hostile: Vec<Cost>,
    /// Over no events: loading.
    loading: Vec<Cost>,
    loading_tenth: Vec<Cost>,
    loading_tenfold: Vec<Cost>,
    peer_loading: Vec<Cost>,
    /// Over the real events, with other rules.
    tenth: Vec<Cost>,
    tenfold: Vec<Cost>,
    /// Of the real events, to tapes and to trees of values.
    tapes: Vec<f64>,
    trees: Vec<f64>,
    /// Detect over decode.
    ratios: Vec<f64>,
}

impl Runs {
    /// Runs everything once.
    pub(crate) fn round(&mut self, inputs: &Inputs) {
        let nowhere = Path::new("/dev/null");
        let Inputs {
            rules,
            tenth,
            tenfold,
            events,
            hostile,
            nothing,
            ..
        } = inputs;
        self.haechi.push(replay(rules, events, nowhere));
        self.peer.push(peer(rules, events, nowhere, &[]));
        self.tapes.push(parse::to_tapes(events));
        self.trees.push(parse::to_trees(events));
        let (decode, detect) = profiled(rules, events);
        self.ratios.push(detect / decode);
        self.peer_plain
            .push(peer(rules, events, nowhere, &["plain"]));
        self.loading.push(replay(rules, nothing, nowhere));
        self.peer_loading.push(peer(rules, nothing, nowhere, &[]));
        self.tenth.push(replay(tenth, events, nowhere));
        self.loading_tenth.push(replay(tenth, nothing, nowhere));
        self.tenfold.push(replay(tenfold, events, nowhere));
        self.loading_tenfold.push(replay(tenfold, nothing, nowhere));
        self.haechi_hostile.push(replay(rules, hostile, nowhere));
        self.peer_hostile.push(peer(rules, hostile, nowhere, &[]));
    }

    /// The table of the aims.
    pub(crate) fn print(&self, inputs: &Inputs) {
        let cpu = |costs: &[Cost]| median(costs.iter().map(|cost| cost.cpu_seconds));
        let peak = |costs: &[Cost]| median(costs.iter().map(|cost| cost.peak_bytes as f64));
        // Round by round, so that what slows the machine slows both sides.
        let ratio = |a: &[Cost], b: &[Cost]| {
            median(a.iter().zip(b).map(|(a, b)| a.cpu_seconds / b.cpu_seconds))
        };
        let (haechi, loading) = (cpu(&self.haechi), cpu(&self.loading));
        let events = haechi - loading;
        let (tenth, tenfold) = (
            cpu(&self.tenth) - cpu(&self.loading_tenth),
            cpu(&self.tenfold) - cpu(&self.loading_tenfold),
        );
        let tapes = median(self.tapes.iter().copied());
        let trees = median(self.trees.iter().copied());
        let (peer, peer_loading) = (cpu(&self.peer), cpu(&self.peer_loading));
        println!(
            "{} events, {:.0} MB; processor seconds, medians of {} rounds\n",
            inputs.count,
            inputs.bytes as f64 / 1e6,
            self.haechi.len()
        );
        let row = |what: &str, aim: &str, measured: String, how: String| {
            println!("{what:<58} {aim:>18} {measured:>18}  {how}");
        };
        row("", "aim", "measured".to_owned(), String::new());
        row(
            "replay -j 1, whole process / rsigma-eval 0.23, whole process",
            "≥ 25 ×",
            format!("{:.1} ×", ratio(&self.peer, &self.haechi)),
            format!(
                "{haechi:.2} s and {peer:.2} s, of which loading {loading:.2} s and {peer_loading:.2} s"
            ),
        );
        row(
            "  the same, events alone",
            "",
            format!("{:.1} ×", (peer - peer_loading) / events),
            format!(
                "{:.0} and {:.0} events/s",
                inputs.count as f64 / events,
                inputs.count as f64 / (peer - peer_loading)
            ),
        );
        row(
            "  the same, rsigma-eval not told the logsource",
            "",
            format!("{:.1} ×", ratio(&self.peer_plain, &self.haechi)),
            "its default; it then finds what is not there".to_owned(),
        );
        row(
            "time in detect / time in decode",
            "≤ 1.0",
            format!("{:.2}", median(self.ratios.iter().copied())),
            "by --profile-json, which makes detect slower".to_owned(),
        );
        row(
            "whole pipeline / SIMD parser into a DOM",
            "≥ 0.5",
            format!("{:.2}", trees / events),
            format!("{trees:.2} s; {:.2} with loading the rules", trees / haechi),
        );
        row(
            "  the same, SIMD parser into a tape",
            "",
            format!("{:.2}", tapes / events),
            format!("{tapes:.2} s; {:.2} with loading the rules", tapes / haechi),
        );
        row(
            "cost per event, all rules / a tenth of them",
            "≤ 1.6 ×",
            format!("{:.2} ×", events / tenth),
            String::new(),
        );
        row(
            "cost per event, ten times the rules / all rules",
            "≤ 2 ×",
            format!("{:.2} ×", tenfold / events),
            String::new(),
        );
        row(
            "load and compile all rules",
            "≤ 0.7 s, ≤ 200 MB",
            format!("{loading:.2} s, {:.0} MB", peak(&self.loading) / 1e6),
            format!("peak of a whole replay: {:.0} MB", peak(&self.haechi) / 1e6),
        );
        row(
            "all values distinct and long / rsigma-eval, whole process",
            "≥ 5 ×",
            format!("{:.1} ×", ratio(&self.peer_hostile, &self.haechi_hostile)),
            format!(
                "{:.2} s and {:.2} s",
                cpu(&self.haechi_hostile),
                cpu(&self.peer_hostile)
            ),
        );
        row(
            "  the same, events alone",
            "",
            format!(
                "{:.1} ×",
                (cpu(&self.peer_hostile) - peer_loading) / (cpu(&self.haechi_hostile) - loading)
            ),
            String::new(),
        );
    }
}
