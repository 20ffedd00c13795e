//! The tour, as root and as a fresh ordinary user: all as told, and nothing left behind.

use crate::stage::Stage;

fn tour(stage: &Stage) {
    let output = stage.run(".", &["tour", "--format", "json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let told: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let scenes = told["scenes"].as_array().unwrap();
    let wrong = scenes.iter().filter(|s| s["as_told"] != true).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(output.status.success() && told["as_told"] == true);
    assert_eq!(scenes.len(), 22);
    assert!(scenes.iter().all(|s| !s["seen"].as_array().unwrap().is_empty()));
    let left = std::fs::read_dir(stage.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect::<Vec<_>>();
    assert_eq!(left, ["casemate"], "the tour left files behind");
    let exe = stage.path().join("casemate");
    let alive = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|p| std::fs::read_link(p.path().join("exe")).is_ok_and(|l| l == exe));
    assert_eq!(alive.count(), 0, "the tour left processes behind");
}

#[test]
fn the_tour_is_as_told_for_whoever_runs_it() {
    tour(&Stage::own());
}

#[test]
fn the_tour_is_as_told_for_a_fresh_ordinary_user() {
    if let Some(stage) = Stage::ordinary() {
        tour(&stage);
    }
}

#[test]
fn the_tour_is_plain_text_when_piped() {
    let stage = Stage::own();
    let text = stage.good(".", &["tour"]);
    assert!(!text.contains('\x1b') && text.contains("all as told"), "{text}");
    assert!(text.contains("isolated: seen"), "{text}");
}
