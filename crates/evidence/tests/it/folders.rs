//! Case folders of captured evidence of any kind: the JSON and the files, read as they are.

use std::path::PathBuf;

use evidence::Time;
use serde_json::Value;

use crate::corpus::root;

pub struct Folder {
    pub id: String,
    pub json: Value,
    dir: PathBuf,
}

impl Folder {
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(name)).unwrap()
    }

    pub fn at(&self) -> Time {
        self.json["verify_at"].as_str().map_or(Time::from_unix(0), time)
    }

    pub fn expected(&self) -> &Value {
        &self.json["expected"]
    }

    /// The file its trust anchor stands in, for kinds without a chain.
    pub fn anchor(&self) -> Vec<u8> {
        let words = self.json["trust_anchor"].as_str().unwrap();
        self.read(words.split(' ').next().unwrap())
    }
}

pub fn time(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

/// Every case of a kind; none, and a word about it, if captured evidence is not on this machine.
pub fn all(kind: &str) -> Vec<Folder> {
    let Some(root) = root() else { return Vec::new() };
    let mut dirs = std::fs::read_dir(root.join(kind)).unwrap().map(|e| e.unwrap().path());
    let mut dirs = dirs.by_ref().collect::<Vec<_>>();
    dirs.sort();
    let folder = |dir: PathBuf| {
        let json: Value =
            serde_json::from_slice(&std::fs::read(dir.join("case.json")).unwrap()).unwrap();
        Folder { id: json["id"].as_str().unwrap().to_owned(), json, dir }
    };
    dirs.into_iter().map(folder).collect()
}

/// One case.
pub fn one(id: &str) -> Option<Folder> {
    let found = all(id.split('/').next().unwrap()).into_iter().find(|f| f.id == id);
    if found.is_none() {
        println!("skipped: {id} is not there");
    }
    found
}
