//! `haechi check`: exit codes, and that what it says can be clicked. What it says of single mistakes is in `tests/cases/check`.

use std::fs;

use haechi_tests::process::Haechi;
use haechi_tests::{repository, scratch};

const GOOD: &str = "title: x\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: test}\ndetection: {sel: {f: x}, condition: sel}\n";

#[test]
fn good_rules_pass() {
    let folder = scratch();
    fs::write(folder.path().join("good.yml"), GOOD).unwrap();
    let finished = Haechi::new(["check"]).arg(folder.path()).run().succeeded();
    assert!(
        finished.text().contains("1 detection(s)") && finished.text().contains("0 error(s)"),
        "{}",
        finished.text()
    );
}

#[test]
fn a_mistake_fails_and_points_at_its_place() {
    let folder = scratch();
    fs::write(folder.path().join("good.yml"), GOOD).unwrap();
    let bad = folder.path().join("bad.yml");
    fs::write(
        &bad,
        GOOD.replace("{f: x}", "{f|contians: x}")
            .replace("001", "002"),
    )
    .unwrap();
    let finished = Haechi::new(["check"]).arg(folder.path()).run().failed();
    let place = format!("{}:4:", bad.display());
    assert!(
        finished.text().contains("1 detection(s)") && finished.text().contains("1 error(s)"),
        "{}",
        finished.text()
    );
    // The line itself, the place, and what was probably meant.
    let _ = finished.said(&[&place, "contians", "contains", "error["]);
}

#[test]
fn warnings_fail_only_when_they_are_to() {
    let folder = scratch();
    let file = folder.path().join("warn.yml");
    fs::write(
        &file,
        GOOD.replace("id: 00000000-0000-4000-8000-000000000001\n", ""),
    )
    .unwrap();
    let _ = Haechi::new(["check"])
        .arg(&file)
        .run()
        .succeeded()
        .said(&["warning"]);
    let _ = Haechi::new(["check", "--strict"])
        .arg(&file)
        .run()
        .failed()
        .said(&["warning"]);
}

#[test]
fn what_is_not_there_or_not_text_is_said() {
    let folder = scratch();
    let _ = Haechi::new(["check", "/nonexistent"])
        .run()
        .failed()
        .said(&["/nonexistent"]);
    let file = folder.path().join("binary.yml");
    fs::write(&file, [0xff, 0xfe, 0x00, 0x41]).unwrap();
    let _ = Haechi::new(["check"])
        .arg(&file)
        .run()
        .failed()
        .said(&["binary.yml", "utf-8"]);
}

#[test]
fn shipped_rules_and_examples_have_nothing_wrong() {
    let inputs = ["windows", "windows-nested", "sshd", "web", "cloudtrail"]
        .iter()
        .flat_map(|name| ["--input", name]);
    let _ = Haechi::new(["check", "--strict"])
        .args(inputs.clone())
        .arg(repository().join("rules"))
        .run()
        .succeeded();
    let _ = Haechi::new(["check", "--strict"])
        .args(inputs)
        .arg(repository().join("examples/rules"))
        .run()
        .succeeded();
}
