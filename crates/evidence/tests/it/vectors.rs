//! Conformance vectors of formats we did not invent, read at run time.

use std::path::PathBuf;

pub struct Vector {
    pub path: String,
    pub bytes: Vec<u8>,
    pub outcome: String,
}

#[allow(clippy::disallowed_methods, reason = "tests find the vectors through the environment")]
fn folder() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    std::env::var("CASEMATE_VECTORS").map_or_else(|_| PathBuf::from(default), PathBuf::from)
}

/// The folder of a topic; none, and said so, where there are no vectors.
pub fn of_topic(name: &str) -> Option<PathBuf> {
    let dir = folder().join(name);
    if dir.is_dir() {
        return Some(dir);
    }
    println!("skipped: no vectors at {}; set CASEMATE_VECTORS", dir.display());
    None
}

/// Every file of a topic, with what must come of it.
pub fn topic(name: &str) -> Vec<Vector> {
    let dir = folder().join(name);
    let Ok(index) = std::fs::read(dir.join("index.json")) else {
        println!("skipped: no vectors at {}; set CASEMATE_VECTORS", dir.display());
        return Vec::new();
    };
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
    let files = index["files"].as_array().unwrap().iter();
    files
        .map(|f| Vector {
            path: text(&f["path"]),
            bytes: std::fs::read(dir.join(text(&f["path"]))).unwrap(),
            outcome: text(&f["outcome"]),
        })
        .collect()
}
