//! Shipped profiles, and what becomes of one with some lines of a kind's section replaced.

use evidence::Profile;
use evidence::profile::{ProfileError, Section};

pub const FORENSIC: &str = "forensic-2026-11";

fn text(name: &str) -> String {
    let file = format!("{}/profiles/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).unwrap()
}

/// What a shipped profile states about a kind.
pub fn shipped<S: Section>(name: &str) -> S {
    Profile::shipped(name).unwrap().section().unwrap()
}

/// The same with the line of each knob replaced; an empty line leaves it out.
pub fn changed<S: Section>(name: &str, change: &[(&str, &str)]) -> Result<S, ProfileError> {
    let text = text(name);
    let head = format!("[kind.{}]\n", S::KIND);
    let (before, section) = text.split_once(&head).unwrap();
    let mut section = section.to_owned();
    for (knob, line) in change {
        let start = format!("{knob} =");
        let old = section.lines().find(|l| l.starts_with(&start)).unwrap().to_owned();
        section = section.replacen(&old, line, 1);
    }
    Profile::parse(&format!("{before}{head}{section}"))?.section()
}

/// Every knob of the section left out is an error that names it, and so is one that nobody knows.
pub fn demands_every_knob<S: Section>(name: &str) {
    let text = text(name);
    let section = text.split_once(&format!("[kind.{}]\n", S::KIND)).unwrap().1;
    let section = section.split("\n[").next().unwrap();
    for line in section.lines().filter(|l| l.contains(" = ")) {
        let knob = line.split(" =").next().unwrap();
        let form = |e: ProfileError| match e {
            ProfileError::Form(text) => text,
            other => panic!("{other}"),
        };
        let left_out = form(changed::<S>(name, &[(knob, "")]).err().unwrap());
        assert!(left_out.contains(knob), "{left_out}");
        let more = format!("{line}\nunheard-of = 1");
        let unknown = form(changed::<S>(name, &[(knob, &more)]).err().unwrap());
        assert!(unknown.contains("unheard-of"), "{unknown}");
        let other = format!("{knob} = {{ a = 1 }}");
        assert!(changed::<S>(name, &[(knob, &other)]).is_err(), "{knob}");
    }
}

/// A demand that nothing can meet is an error that names the knob.
pub fn impossible<S: Section>(knob: &str, line: &str) {
    let start = line.split(" =").next().unwrap();
    match changed::<S>(FORENSIC, &[(start, line)]).err().unwrap() {
        ProfileError::Impossible { knob: named, .. } => assert!(named.contains(knob), "{named}"),
        other => panic!("{line}: {other}"),
    }
}
