//! What detections mean, case by case: `detections.txt`.

use std::path::Path;

use haechi_rules::{Severity, load_str};

struct Case {
    line: usize,
    name: String,
    detection: String,
    meaning: String,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#'))
        .peekable();
    while lines.peek().is_some() {
        let block: Vec<(usize, &str)> = lines
            .by_ref()
            .take_while(|(_, line)| !line.is_empty())
            .collect();
        let Some(((line, name), rest)) = block.split_first() else {
            continue;
        };
        let (meaning, detection) = rest
            .split_last()
            .expect("a case has a detection and a meaning");
        let meaning = meaning
            .1
            .strip_prefix("=> ")
            .expect("a case ends with its meaning");
        cases.push(Case {
            line: line + 1,
            name: (*name).to_owned(),
            detection: detection
                .iter()
                .map(|(_, line)| format!("  {line}\n"))
                .collect(),
            // NUL has no sign of its own.
            meaning: meaning.replace('␀', "\0"),
        });
    }
    cases
}

#[test]
fn detections_mean_what_sigma_says() {
    let cases = cases(include_str!("detections.txt"));
    assert!(cases.len() > 50, "only {} cases were read", cases.len());
    for Case {
        line,
        name,
        detection,
        meaning,
    } in cases
    {
        let loaded = load_str(
            Path::new("case.yml"),
            &format!("title: x\ndetection:\n{detection}"),
        );
        let errors: Vec<String> = loaded
            .diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert!(errors.is_empty(), "line {line}, {name}: {errors:#?}");
        assert_eq!(
            loaded.rules.detections[0].condition.to_string(),
            meaning,
            "line {line}, {name}"
        );
    }
}
