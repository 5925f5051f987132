//! `haechi check` for people and tools: the page about its codes says the truth, JSON and SARIF have their form, and the exit code
//! says what a script needs to know.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use haechi_tests::process::{Finished, Haechi};
use haechi_tests::{repository, scratch};
use serde_json::Value;

/// Codes that no rule can show: they are about the disk, about sizes, or about the machine.
const WITHOUT_EXAMPLE: [&str; 12] = [
    "HC001", "HC002", "HC005", "HC007", "HC061", "HC070", "HC071", "HC072", "HC073", "HC074",
    "HC134", "HC160",
];

const CONFIG: &str = "app: a\nkafka: {bootstrap.servers: 'localhost:9092'}\nrules: [rules.yml]\ninputs: [{name: in, topics: [t], format: json, logsource: {product: linux}}]\n";

/// An example of the page: its code, and the wrong and the right text.
struct Example {
    code: String,
    wrong: String,
    right: String,
}

fn page() -> String {
    fs::read_to_string(repository().join("docs/diagnostics.md")).unwrap()
}

fn sections(page: &str) -> Vec<(String, &str)> {
    let sections = page.split("\n### ").skip(1);
    sections
        .map(|section| {
            let (code, text) = section.split_once('\n').unwrap();
            (code.trim().to_owned(), text)
        })
        .collect()
}

fn examples(page: &str) -> Vec<Example> {
    let mut found = Vec::new();
    for (code, text) in sections(page) {
        let block = |after: &str| {
            let (_, rest) = text.split_once(&format!("{after}:\n```yaml\n"))?;
            Some(rest.split_once("\n```").unwrap().0.to_owned())
        };
        if let (Some(wrong), Some(right)) = (block("Wrong"), block("Right")) {
            found.push(Example { code, wrong, right });
        }
    }
    found
}

/// The example with what it leaves out: title, id and logsource, unless it has a title of its own.
fn complete(example: &str) -> String {
    let has = |key: &str| example.lines().any(|line| line.starts_with(key));
    if has("title:") {
        return format!("{example}\n");
    }
    let logsource = match has("detection:") && !has("logsource:") {
        true => "logsource: {product: x}\n",
        false => "",
    };
    format!("title: x\nid: 00000000-0000-4000-8000-000000000001\n{logsource}{example}\n")
}

fn codes_in(finished: &Finished) -> BTreeSet<String> {
    let document: Value = serde_json::from_str(finished.text())
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", finished.text(), finished.stderr));
    let found = document["diagnostics"].as_array().unwrap();
    found
        .iter()
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect()
}

fn check(text: &str, code: &str) -> BTreeSet<String> {
    let folder = scratch();
    let file = folder.path().join("rules.yml");
    fs::write(&file, text).unwrap();
    let mut command = Haechi::new(["check", "--format", "json", "--input", "x"]);
    if code == "HC131" {
        let config = folder.path().join("haechi.yaml");
        fs::write(&config, CONFIG).unwrap();
        command = command.arg("--config").arg(config);
    }
    codes_in(&command.arg(file).run())
}

#[test]
fn wrong_examples_of_the_page_are_wrong_and_right_ones_right() {
    let page = page();
    let examples = examples(&page);
    assert!(examples.len() > 50, "only {} examples", examples.len());
    let mut failures = Vec::new();
    for Example { code, wrong, right } in &examples {
        let found = check(&complete(wrong), code);
        if !found.contains(code) {
            failures.push(format!(
                "the wrong example of {code} gives {found:?}:\n{wrong}"
            ));
        }
        let found = check(&complete(right), code);
        if !found.is_empty() {
            failures.push(format!(
                "the right example of {code} gives {found:?}:\n{right}"
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_code_of_the_page_has_an_example_but_those_that_cannot() {
    let page = page();
    let with: BTreeSet<String> = examples(&page)
        .into_iter()
        .map(|example| example.code)
        .collect();
    for (code, _) in sections(&page) {
        assert_ne!(
            with.contains(&code),
            WITHOUT_EXAMPLE.contains(&code.as_str()),
            "{code}"
        );
    }
}

#[test]
fn a_code_is_explained() {
    let said: String = Haechi::new(["check", "--explain", "hc125"])
        .run()
        .succeeded()
        .text()
        .to_string();
    for part in [
        "HC125 (warning)",
        "Wrong:",
        r"C:\Windows\*",
        "Right:",
        r"C:\Windows\\*",
    ] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    assert!(!said.contains("```"), "{said}");
    let unknown = Haechi::new(["check", "--explain", "HC999"]).run();
    assert_eq!(unknown.status.code(), Some(2));
}

const TWO_FAULTS: &str = "title: x\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: x}\ndetection:\n  sel:\n    Image|endwith: x\n  condition: sel\nlevel: severe\n";

#[test]
fn json_names_every_finding_and_its_place() {
    let folder = scratch();
    let file = folder.path().join("r.yml");
    fs::write(&file, TWO_FAULTS).unwrap();
    let finished = Haechi::new(["check", "--format", "json"]).arg(&file).run();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.is_empty(), "{}", finished.stderr);
    let document: Value = serde_json::from_str(finished.text()).unwrap();
    assert_eq!(
        (
            &document["version"],
            &document["errors"],
            &document["warnings"]
        ),
        (&1.into(), &1.into(), &1.into())
    );
    let first = &document["diagnostics"][0];
    let expected = serde_json::json!({
        "code": "HC021", "severity": "error", "file": file.to_str().unwrap(), "line": 6, "column": 11, "length": 7,
        "message": "there is no modifier `endwith`", "help": "did you mean `endswith`?",
    });
    assert_eq!(*first, expected);
}

/// What the standard asks of a log, as far as this one goes.
#[test]
fn sarif_is_what_code_scanning_reads() {
    let folder = scratch();
    let file = folder.path().join("a b.yml");
    fs::write(&file, TWO_FAULTS).unwrap();
    let finished = Haechi::new(["check", "--format", "sarif"]).arg(&file).run();
    let log: Value = serde_json::from_str(finished.text()).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for rule in rules {
        assert!(
            rule["help"]["text"]
                .as_str()
                .is_some_and(|text| text.len() > 40),
            "{rule}"
        );
        assert!(
            ["error", "warning"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()),
            "{rule}"
        );
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_eq!(
            rules[index]["defaultConfiguration"]["level"],
            result["level"]
        );
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(
            uri.starts_with("file:///") && uri.ends_with("/a%20b.yml"),
            "{uri}"
        );
    }
    let region = &results[0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        *region,
        serde_json::json!({"startLine": 6, "startColumn": 11, "endColumn": 18})
    );
}

#[test]
fn what_the_inputs_do_not_provide_is_told() {
    let folder = scratch();
    let rule = |product: &str, id: u8| {
        format!(
            "title: {product}\nid: 00000000-0000-4000-8000-00000000000{id}\nlogsource: {{product: {product}}}\ndetection: {{sel: {{f: {product}}}, condition: sel}}\n---\n"
        )
    };
    fs::write(
        folder.path().join("rules.yml"),
        [rule("linux", 1), rule("aws", 2), rule("windows", 3)].concat(),
    )
    .unwrap();
    let config = folder.path().join("haechi.yaml");
    fs::write(&config, CONFIG).unwrap();
    let unserved = || {
        let finished = Haechi::new(["check", "--config"])
            .arg(&config)
            .run()
            .succeeded();
        let count = finished.stderr.matches("HC131").count();
        (count, finished)
    };
    let (count, finished) = unserved();
    assert_eq!(count, 2, "{}", finished.stderr);
    let _ = finished.said(&["aws", "windows"]);
    fs::write(
        &config,
        CONFIG.replace(
            "format: json, logsource: {product: linux}",
            "format: windows",
        ),
    )
    .unwrap();
    let (count, finished) = unserved();
    assert_eq!(count, 2, "{}", finished.stderr);
    let _ = finished.said(&["aws", "linux"]);
}

#[test]
fn a_broken_configuration_or_command_line_ends_with_2() {
    let missing = Haechi::new(["check", "--config", "/nonexistent.yaml"]).run();
    assert_eq!(missing.status.code(), Some(2));
    let _ = missing.said(&["/nonexistent.yaml"]);
    assert_eq!(Haechi::new(["check"]).run().status.code(), Some(2));
    assert_eq!(
        Haechi::new(["check", "--format", "xml", "x.yml"])
            .run()
            .status
            .code(),
        Some(2)
    );
}

/// The page is the file of the repository, not of a build long ago.
#[test]
fn explanations_are_those_of_the_page() {
    assert!(Path::new(&repository().join("docs/diagnostics.md")).exists());
    let said: String = Haechi::new(["check", "--explain", "HC120"])
        .run()
        .succeeded()
        .text()
        .to_string();
    let page = page();
    let (_, section) = sections(&page)
        .into_iter()
        .find(|(code, _)| code == "HC120")
        .unwrap();
    assert!(said.contains(section.lines().next().unwrap()), "{said}");
}
