//! Sections held against each other: names that nobody has, demands that nothing meets, rules that never apply, and names that are taken
//! for one another.
//!
//! What is a warning here would be wrong as an error: programs are added one by one, so that a server stands before its client, a kind of
//! hardware before its first program (and the authority may run on one that no program uses), and one executable may well have two roles.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

use evidence::appraise::Machines;
use evidence::{Kind, Measurement};

use super::mistake::{Found, Wrong};
use super::near::seen;
use super::read::unknown;
use super::{Draft, Spans, voices};
use crate::names::RoleName;
use crate::policy::{Place, PlaceBy, Program};

pub(super) fn check(draft: &Draft, found: &mut Found<'_>) {
    let index = Index::of(draft);
    look_alikes(draft, found);
    for (spans, program) in &draft.programs {
        hardware(&index, spans, program, found);
        places(draft, spans, program, found);
        peers(&index, spans, program, found);
        voices::trust(draft, spans, program, found);
    }
    voices::check(draft, &index, found);
    idle(draft, &index, found);
    two_roles(draft, found);
}

/// What every program is held against, gathered once: files of many programs cost no more than reading them.
pub(super) struct Index<'d> {
    /// Roles, and whether they listen.
    pub(super) roles: BTreeMap<&'d str, bool>,
    /// Roles somebody connects to.
    reached: BTreeSet<&'d str>,
    /// Kinds that have a section.
    stated: Vec<Kind>,
    /// Kinds some program runs on.
    used: Vec<Kind>,
    /// Places some program runs in.
    inhabited: BTreeSet<&'d str>,
}

impl<'d> Index<'d> {
    fn of(draft: &'d Draft) -> Self {
        let programs = || draft.programs.iter().map(|(_, p)| p);
        let runs_on = |kind: &Kind| programs().any(|p| p.on.contains(kind));
        Self {
            roles: draft
                .programs
                .iter()
                .map(|(s, p)| (p.role.as_str(), s.listen.is_some()))
                .collect(),
            reached: programs().flat_map(|p| p.connect.iter().map(RoleName::as_str)).collect(),
            stated: draft.hardware.iter().map(|(_, s)| s.hardware.kind).collect(),
            used: Kind::ALL.into_iter().filter(runs_on).collect(),
            inhabited: programs().flat_map(|p| p.places.iter().map(String::as_str)).collect(),
        }
    }
}

fn field(program: &Program, key: &str) -> String {
    format!("program.{}.{key}", program.role)
}

fn hardware(index: &Index<'_>, spans: &Spans, program: &Program, found: &mut Found<'_>) {
    for (kind, at) in program.on.iter().zip(&spans.on) {
        if !index.stated.contains(kind) {
            let why = "names a kind of hardware that has no [hardware] section, so it can never run there";
            found.error(at, &field(program, "on"), Wrong::Impossible { why });
        }
    }
}

fn places(draft: &Draft, spans: &Spans, program: &Program, found: &mut Found<'_>) {
    let field = field(program, "in");
    for (place, at) in program.places.iter().zip(&spans.places) {
        if !draft.places.contains_key(place) && !found.is_full() {
            let known = draft.places.keys().map(String::as_str).collect::<Vec<_>>();
            found.error(at, &field, unknown("place", place, &known));
        }
    }
    if !spans.says_where && !draft.places.is_empty() {
        let why = "missing field `in`, and without it the program may run anywhere although [place] names places; name some, or write `in = \"anywhere\"`";
        found.error(&spans.name, &field, Wrong::Widens { why });
    }
    let Some(first) = spans.places.first() else { return };
    let named = |p: &&Place| program.places.iter().any(|n| n == p.name.as_str());
    let mut regions = draft.described.iter().filter(named);
    if !regions.any(|p| matches!(p.by, PlaceBy::AwsVlek(_))) {
        // Issuers can say of any machine that has an id where it stands.
        return;
    }
    if program.on.contains(&Kind::Software) {
        let why = "demands an AWS region, which the software platform cannot prove; take `software` out of `on`, or write `in = \"anywhere\"`";
        found.error(first, &field, Wrong::Impossible { why });
    }
    let listed = draft.hardware.iter().any(|(_, s)| {
        s.hardware.kind == Kind::Snp
            && matches!(&s.hardware.machines, Machines::Only(l) if !l.is_empty())
    });
    if program.on.contains(&Kind::Snp) && listed {
        let why = "is proved by a VLEK, whose reports leave the machine's id out, while hardware.snp lists machines; write `machines = \"any-genuine\"`, or `in = \"anywhere\"`";
        found.error(first, &field, Wrong::Impossible { why });
    }
}

fn peers(index: &Index<'_>, spans: &Spans, program: &Program, found: &mut Found<'_>) {
    for (peer, at) in program.connect.iter().zip(&spans.connect) {
        let field = field(program, "connect");
        match index.roles.get(peer.as_str()) {
            None if found.is_full() => {}
            None => {
                let known = index.roles.keys().copied().collect::<Vec<_>>();
                found.error(at, &field, unknown("role", peer.as_str(), &known));
            }
            Some(false) => {
                let why = "names a role that listens on no port, so nothing can connect to it; give that role `listen`";
                found.error(at, &field, Wrong::Impossible { why });
            }
            Some(true) => {}
        }
    }
    if let Some(at) = spans.clients.as_ref().filter(|_| spans.listen.is_none()) {
        let why = "names clients of a program that listens on no port";
        found.error(at, &field(program, "clients"), Wrong::Impossible { why });
    }
}

/// What has no effect yet.
fn idle(draft: &Draft, index: &Index<'_>, found: &mut Found<'_>) {
    for (spans, program) in &draft.programs {
        let reached = index.reached.contains(program.role.as_str());
        let listens = spans.listen.as_ref().filter(|_| !program.listen.is_empty());
        if let Some(at) = listens.filter(|_| !reached && program.outsiders.is_empty()) {
            let why = format!(
                "nobody may connect to it; name {} in another program's `connect`, or state `clients`",
                program.role
            );
            found.warning(at, &field(program, "listen"), Wrong::Idle { why });
        }
    }
    for (at, section) in &draft.hardware {
        let kind = section.hardware.kind;
        if !draft.programs.is_empty() && !index.used.contains(&kind) {
            let why = format!(
                "no program runs on it; name {kind} in a program's `on`, or take the section away"
            );
            found.warning(at, &format!("hardware.{kind}"), Wrong::Idle { why });
        }
    }
    for (place, at) in &draft.places {
        if !index.inhabited.contains(place.as_str()) {
            let why =
                format!("no program runs there; name {place} in a program's `in`, or take it away");
            found.warning(at, &format!("place.{place}"), Wrong::Idle { why });
        }
    }
}

/// One measurement under two roles: the host that starts the program then says which it is.
fn two_roles(draft: &Draft, found: &mut Found<'_>) {
    let mut roles: BTreeMap<&Measurement, &Program> = BTreeMap::new();
    for (spans, program) in &draft.programs {
        for (measured, at) in program.measurements.iter().zip(&spans.measurements) {
            let before = roles.entry(measured).or_insert(program);
            if before.role != program.role && before.on.iter().any(|k| program.on.contains(k)) {
                let why = format!(
                    "is trusted as {} too, so whoever starts it chooses between the roles (`casemate run --role`); if that is not meant, take one away",
                    before.role
                );
                found.warning(at, &field(program, "measurement"), Wrong::Idle { why });
            }
        }
    }
}

/// Roles, places and secrets: within each, two names that are one to the eye.
fn look_alikes(draft: &Draft, found: &mut Found<'_>) {
    let programs = || draft.programs.iter();
    let roles = programs().map(|(s, p)| (p.role.to_string(), s.name.clone()));
    compare("program", roles.collect(), found);
    let places = draft.places.iter().map(|(n, at)| (n.clone(), at.clone()));
    compare("place", places.collect(), found);
    let secrets =
        programs().flat_map(|(s, p)| p.secrets.iter().cloned().zip(s.secrets.iter().cloned()));
    compare("secrets", secrets.collect(), found);
}

/// Two of these names that are one to the eye.
pub(super) fn compare(what: &str, mut names: Vec<(String, Range<usize>)>, found: &mut Found<'_>) {
    names.sort_by_key(|(_, at)| at.start);
    let mut known: BTreeMap<String, (String, Range<usize>)> = BTreeMap::new();
    for (one, at) in names {
        let (other, before) = known.entry(seen(&one)).or_insert_with(|| (one.clone(), at.clone()));
        if *other != one {
            let (line, _) = found.place(before.start);
            let wrong = Wrong::LookAlike { one, other: other.clone(), line };
            found.error(&at, what, wrong);
        }
    }
}
