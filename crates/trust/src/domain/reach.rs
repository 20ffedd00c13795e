//! Sections held against each other: names that nobody has, demands that nothing meets, rules that never apply, and names that are taken
//! for one another.
//!
//! What is a warning here would be wrong as an error: programs are added one by one, so that a server stands before its client, a kind of
//! hardware before its first program (and the authority may run on one that no program uses), and one executable may well have two roles.

use core::ops::Range;
use std::collections::BTreeMap;

use evidence::appraise::Machines;
use evidence::{Kind, Measurement};

use super::mistake::{Found, Wrong};
use super::near::seen;
use super::read::unknown;
use super::{Draft, Spans};
use crate::claim::Topic;
use crate::policy::{Place, PlaceBy, Program};

pub(super) fn check(draft: &Draft, found: &mut Found<'_>) {
    look_alikes(draft, found);
    for (spans, program) in &draft.programs {
        hardware(draft, spans, program, found);
        places(draft, spans, program, found);
        peers(draft, spans, program, found);
        trust(draft, spans, program, found);
    }
    voices(draft, found);
    idle(draft, found);
    two_roles(draft, found);
}

fn field(program: &Program, key: &str) -> String {
    format!("program.{}.{key}", program.role)
}

fn hardware(draft: &Draft, spans: &Spans, program: &Program, found: &mut Found<'_>) {
    for (kind, at) in program.on.iter().zip(&spans.on) {
        if !draft.hardware.iter().any(|(_, s)| s.hardware.kind == *kind) {
            let why = "names a kind of hardware that has no [hardware] section, so it can never run there";
            found.error(at, &field(program, "on"), Wrong::Impossible { why });
        }
    }
}

fn places(draft: &Draft, spans: &Spans, program: &Program, found: &mut Found<'_>) {
    let field = field(program, "in");
    let known = draft.places.keys().map(String::as_str).collect::<Vec<_>>();
    for (place, at) in program.places.iter().zip(&spans.places) {
        if !draft.places.contains_key(place) {
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

/// A program that nothing and nobody could ever vouch for.
fn trust(draft: &Draft, spans: &Spans, program: &Program, found: &mut Found<'_>) {
    let stated = !program.releases.is_empty() || !program.builds.is_empty();
    let vouched = draft.issuers.iter().flat_map(|(_, i)| &i.may).any(|(topic, scope)| {
        matches!(topic, Topic::Program | Topic::Upgrade) && scope.contains(program.role.as_str())
    });
    // An empty list was noted where it stands.
    if !spans.says_measurement && !stated && !vouched {
        let why = "what is trusted for this role; `casemate add` writes it, or `releases`, `builds` or an issuer stand in for it";
        let wrong = Wrong::Missing { name: "measurement", why };
        found.error(&spans.name, &format!("program.{}", program.role), wrong);
    }
}

/// Issuers against what there is to speak about, and places against who could speak of them.
fn voices(draft: &Draft, found: &mut Found<'_>) {
    let programs = || draft.programs.iter().map(|(_, p)| p);
    let roles = programs().map(|p| p.role.to_string()).collect::<Vec<_>>();
    let products = programs().flat_map(|p| &p.releases).map(|(p, _)| p.to_string());
    let products = products.collect::<Vec<_>>();
    let sources = programs().flat_map(|p| &p.builds).map(ToString::to_string);
    let sources = sources.collect::<Vec<_>>();
    let mut keys = BTreeMap::new();
    for (spans, issuer) in &draft.issuers {
        for (topic, named) in &spans.names {
            let (what, known) = match topic {
                Topic::Program | Topic::Upgrade | Topic::Distrust => ("role", &roles),
                Topic::Release => ("product", &products),
                Topic::Build => ("source", &sources),
                Topic::Place => continue,
            };
            if !known.contains(&named.value) {
                let known = known.iter().map(String::as_str).collect::<Vec<_>>();
                let field = format!("issuer.{}.may.{}", issuer.name, topic.as_str());
                found.error(&named.at, &field, unknown(what, &named.value, &known));
            }
        }
        let (other, before) = keys.entry(issuer.key).or_insert((&issuer.name, &spans.name));
        if *other != &issuer.name {
            let (line, _) = found.place(before.start);
            let why = format!("is the key of issuer.{other} of line {line}; one key is one voice");
            let field = format!("issuer.{}.key", issuer.name);
            found.error(&spans.key, &field, Wrong::Doubled { why });
        }
    }
    for place in &draft.described {
        let PlaceBy::Endorsed(wanted) = &place.by else { continue };
        let heard = |i: &&crate::policy::Issuer| {
            i.may.iter().any(|(topic, scope)| {
                let about = |c: &crate::claim::Country| scope.contains(c.as_str());
                *topic == Topic::Place && wanted.countries.iter().any(about)
            })
        };
        let holders = draft.issuers.iter().map(|(_, i)| i).filter(heard).map(|i| &i.holder);
        let holders = holders.collect::<std::collections::BTreeSet<_>>().len();
        if u64::try_from(holders).unwrap_or(u64::MAX) < wanted.need {
            let why = "asks for more independent issuers than may speak about its countries; holders count, not keys";
            let at = draft.places.get(place.name.as_str()).cloned().unwrap_or_default();
            found.error(&at, &format!("place.{}.need", place.name), Wrong::Impossible { why });
        }
    }
}

fn peers(draft: &Draft, spans: &Spans, program: &Program, found: &mut Found<'_>) {
    let known = draft.programs.iter().map(|(_, p)| p.role.as_str()).collect::<Vec<_>>();
    for (peer, at) in program.connect.iter().zip(&spans.connect) {
        let field = field(program, "connect");
        match draft.programs.iter().find(|(_, p)| p.role == *peer) {
            None => found.error(at, &field, unknown("role", peer.as_str(), &known)),
            Some((listens, _)) if listens.listen.is_none() => {
                let why = "names a role that listens on no port, so nothing can connect to it; give that role `listen`";
                found.error(at, &field, Wrong::Impossible { why });
            }
            Some(_) => {}
        }
    }
    if let Some(at) = spans.clients.as_ref().filter(|_| spans.listen.is_none()) {
        let why = "names clients of a program that listens on no port";
        found.error(at, &field(program, "clients"), Wrong::Impossible { why });
    }
}

/// What has no effect yet.
fn idle(draft: &Draft, found: &mut Found<'_>) {
    for (spans, program) in &draft.programs {
        let reached = draft.programs.iter().any(|(_, p)| p.connect.contains(&program.role));
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
        if !draft.programs.is_empty() && !draft.programs.iter().any(|(_, p)| p.on.contains(&kind)) {
            let why = format!(
                "no program runs on it; name {kind} in a program's `on`, or take the section away"
            );
            found.warning(at, &format!("hardware.{kind}"), Wrong::Idle { why });
        }
    }
    for (place, at) in &draft.places {
        if !draft.programs.iter().any(|(_, p)| p.places.contains(place)) {
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
