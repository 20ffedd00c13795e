//! What one policy says and another does not, in words, for whoever is about to sign. Complete by construction: every struct is taken apart
//! field by field, so that a field that is added later does not compile here until somebody says how it is told.

use core::fmt;

use evidence::appraise::Machines;

use crate::claim::{Scope, Topic};
use crate::names::RoleName;
use crate::policy::{Endorsed, Hardware, Issuer, Place, PlaceBy, Policy, Program};

/// Whether more is permitted than before. Decided by the form of the change alone, field by field: together two narrowings may still widen
/// nothing, and no widening is ever called a narrowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More programs, machines or connections than before.
    Widens,
    /// Fewer.
    Narrows,
    /// Neither can be said.
    Changes,
}

impl Direction {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Widens => "widens",
            Self::Narrows => "narrows",
            Self::Changes => "changes",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where: `program web: connect`.
    pub what: String,
    /// What it is: `+ api`, `- api`, `old -> new`.
    pub how: String,
    /// Whether more is permitted.
    pub direction: Direction,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}: {}", self.direction.as_str(), self.what, self.how)
    }
}

/// Collects differences under a heading.
struct Told<'a> {
    of: &'a str,
    all: &'a mut Vec<Change>,
}

impl Told<'_> {
    fn push(&mut self, what: &str, how: String, direction: Direction) {
        let what = format!("{}: {what}", self.of);
        self.all.push(Change { what, how, direction });
    }

    /// A value that is one thing.
    fn one<T: PartialEq>(&mut self, what: &str, old: &T, new: &T, say: impl Fn(&T) -> String) {
        if old != new {
            self.push(what, format!("{} -> {}", say(old), say(new)), Direction::Changes);
        }
    }

    /// A value of which more permits more.
    fn more<T: PartialOrd>(&mut self, what: &str, old: &T, new: &T, say: impl Fn(&T) -> String) {
        if old != new {
            let direction = if new > old { Direction::Widens } else { Direction::Narrows };
            self.push(what, format!("{} -> {}", say(old), say(new)), direction);
        }
    }

    /// A value of which less permits more.
    fn less<T: PartialOrd>(&mut self, what: &str, old: &T, new: &T, say: impl Fn(&T) -> String) {
        if old != new {
            let direction = if new < old { Direction::Widens } else { Direction::Narrows };
            self.push(what, format!("{} -> {}", say(old), say(new)), direction);
        }
    }

    /// A list of what is permitted: more of it widens.
    fn list<T: PartialEq>(&mut self, what: &str, old: &[T], new: &[T], say: impl Fn(&T) -> String) {
        self.items(what, old, new, say, (Direction::Widens, Direction::Narrows));
    }

    fn items<T: PartialEq>(
        &mut self,
        what: &str,
        old: &[T],
        new: &[T],
        say: impl Fn(&T) -> String,
        (more, less): (Direction, Direction),
    ) {
        let before = self.all.len();
        for gone in old.iter().filter(|o| !new.contains(o)) {
            self.push(what, format!("- {}", say(gone)), less);
        }
        for come in new.iter().filter(|n| !old.contains(n)) {
            self.push(what, format!("+ {}", say(come)), more);
        }
        if self.all.len() == before && old != new {
            // The same words in another order, or one of them twice.
            self.push(what, "the same in another order or number".to_owned(), Direction::Changes);
        }
    }
}

/// Every difference between two policies of a domain, but for version and previous digest, which always differ.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Vec<Change> {
    let Policy { domain, root, version: _, previous: _, hardware, programs, issuers, places } = old;
    let mut all = Vec::new();
    let mut told = Told { of: "domain", all: &mut all };
    told.one("name", domain, &new.domain, ToString::to_string);
    told.one("root", root, &new.root, ToString::to_string);
    let kinds = |list: &[Hardware]| list.iter().map(|h| h.kind).collect::<Vec<_>>();
    let mut told = Told { of: "policy", all: &mut all };
    told.list("hardware", &kinds(hardware), &kinds(&new.hardware), ToString::to_string);
    let roles = |list: &[Program]| list.iter().map(|p| p.role.clone()).collect::<Vec<_>>();
    told.list("program", &roles(programs), &roles(&new.programs), ToString::to_string);
    for before in hardware {
        if let Some(after) = new.hardware.iter().find(|h| h.kind == before.kind) {
            of_hardware(before, after, &mut all);
        }
    }
    of_issuers(issuers, &new.issuers, &mut all);
    of_places(places, &new.places, &mut all);
    for before in programs {
        if let Some(after) = new.programs.iter().find(|p| p.role == before.role) {
            of_program(before, after, &mut all);
        }
    }
    all
}

fn of_hardware(old: &Hardware, new: &Hardware, all: &mut Vec<Change>) {
    let Hardware { kind, profile, roots, machines, images, isolation, host } = old;
    let of = format!("hardware {kind}");
    let mut told = Told { of: &of, all };
    told.one("profile", profile, &new.profile, |p| {
        if p.is_empty() { "none".to_owned() } else { p.clone() }
    });
    told.list("root", roots, &new.roots, ToString::to_string);
    match (machines, &new.machines) {
        (Machines::AnyGenuine, Machines::AnyGenuine) => {}
        (Machines::Only(before), Machines::Only(after)) => {
            told.list("machines", before, after, ToString::to_string);
        }
        (Machines::AnyGenuine, Machines::Only(list)) => {
            let how = format!("any genuine one -> {} listed", list.len());
            told.push("machines", how, Direction::Narrows);
        }
        (Machines::Only(list), Machines::AnyGenuine) => {
            let how =
                format!("{} listed -> any genuine one, diversion is not excluded", list.len());
            told.push("machines", how, Direction::Widens);
        }
    }
    told.list("image", images, &new.images, ToString::to_string);
    told.list("isolation", isolation, &new.isolation, |i| i.as_str().to_owned());
    told.list("host", host, &new.host, |h| h.as_str().to_owned());
}

fn of_program(old: &Program, new: &Program, all: &mut Vec<Change>) {
    let Program {
        role,
        measurements,
        on,
        places,
        listen,
        connect,
        secrets,
        outsiders,
        releases,
        builds,
    } = old;
    let of = format!("program {role}");
    let mut told = Told { of: &of, all };
    told.list("measurement", measurements, &new.measurements, ToString::to_string);
    told.list("on", on, &new.on, ToString::to_string);
    // None stated asks for none: the first place narrows, the last one gone widens.
    let places_directions = match (places.is_empty(), new.places.is_empty()) {
        (true, _) => (Direction::Narrows, Direction::Changes),
        (_, true) => (Direction::Changes, Direction::Widens),
        _ => (Direction::Widens, Direction::Narrows),
    };
    told.items("in", places, &new.places, Clone::clone, places_directions);
    told.list("listen", listen, &new.listen, ToString::to_string);
    told.list("connect", connect, &new.connect, ToString::to_string);
    told.list("secrets", secrets, &new.secrets, Clone::clone);
    told.list("clients", outsiders, &new.outsiders, |o| o.as_str().to_owned());
    let release = |(product, from): &(RoleName, u64)| format!("{product} from version {from} on");
    told.list("releases", releases, &new.releases, release);
    told.list("builds", builds, &new.builds, ToString::to_string);
}

/// Whom nobody let speak, speaks: that widens. But a voice that could also distrust or contradict is missed when it goes.
fn of_issuers(old: &[Issuer], new: &[Issuer], all: &mut Vec<Change>) {
    let names = |list: &[Issuer]| list.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    let mut told = Told { of: "policy", all };
    let (more, less) = (Direction::Widens, Direction::Changes);
    told.items("issuer", &names(old), &names(new), ToString::to_string, (more, less));
    for before in old {
        let Some(after) = new.iter().find(|i| i.name == before.name) else { continue };
        let Issuer { name, key, holder, may, depth, until } = before;
        let of = format!("issuer {name}");
        let mut told = Told { of: &of, all };
        told.one("key", key, &after.key, ToString::to_string);
        told.one("holder", holder, &after.holder, Clone::clone);
        let topic = |(t, s): &(Topic, Scope)| format!("{} of {s}", t.as_str());
        for (about, directions) in [
            (Topic::Distrust, (Direction::Narrows, Direction::Widens)),
            (Topic::Place, (Direction::Widens, Direction::Changes)),
        ] {
            let those = |m: &[(Topic, Scope)]| {
                m.iter().filter(|(t, _)| *t == about).cloned().collect::<Vec<_>>()
            };
            told.items("may", &those(may), &those(&after.may), topic, directions);
        }
        let others = |m: &[(Topic, Scope)]| {
            let other = |(t, _): &&(Topic, Scope)| !matches!(t, Topic::Distrust | Topic::Place);
            m.iter().filter(other).cloned().collect::<Vec<_>>()
        };
        let before = told.all.len();
        told.list("may", &others(may), &others(&after.may), topic);
        let told_of_may =
            told.all.len() > before || told.all.iter().any(|c| c.what.ends_with(": may"));
        if may != &after.may && !told_of_may {
            told.push("may", "the same in another order".to_owned(), Direction::Changes);
        }
        told.more("depth", depth, &after.depth, ToString::to_string);
        told.more("until", until, &after.until, ToString::to_string);
    }
}

fn of_places(old: &[Place], new: &[Place], all: &mut Vec<Change>) {
    let names = |list: &[Place]| list.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
    let mut told = Told { of: "policy", all };
    told.list("place", &names(old), &names(new), ToString::to_string);
    for before in old {
        let Some(after) = new.iter().find(|p| p.name == before.name) else { continue };
        let Place { name, by } = before;
        let of = format!("place {name}");
        let mut told = Told { of: &of, all };
        match (by, &after.by) {
            (PlaceBy::Endorsed(old), PlaceBy::Endorsed(new)) => {
                let Endorsed { countries, need, level, basis, age_secs_max } = old;
                told.list("countries", countries, &new.countries, ToString::to_string);
                told.less("need", need, &new.need, ToString::to_string);
                told.less("level", level, &new.level, ToString::to_string);
                told.list("basis", basis, &new.basis, |b| b.as_str().to_owned());
                let days = |s: &i64| format!("{} s", s);
                told.more("age", age_secs_max, &new.age_secs_max, days);
            }
            (old, new) => told.one("by", old, new, |by| match by {
                PlaceBy::AwsVlek(region) => format!("AWS region {region}"),
                PlaceBy::Endorsed(_) => "endorsements".to_owned(),
            }),
        }
    }
}
