//! The role of a program: whom the policy and those it lets speak trust, on the kinds of hardware and in the places it may
//! run. A request may narrow it down, and never choose.

use evidence::controls::holds;
use evidence::layered::ProgramFacts;
use evidence::{Kind, Time};

use super::{Refusal, no};
use crate::infer::{Held, Search, Unplaced};
use crate::names::RoleName;
use crate::policy::{PolicyInForce, Program};

/// Why a program is trusted as a role where it runs.
pub(super) struct Trusted {
    pub(super) trusted: Held,
    /// Where it stands, if the role is confined to places.
    pub(super) place: Option<(String, Held)>,
}

impl Trusted {
    /// Last second all of it holds.
    pub(super) fn until(&self) -> Time {
        let placed = self.place.as_ref().map_or(Time::MAX, |(_, h)| h.until);
        self.trusted.until.min(placed)
    }
}

/// The role a program is trusted for.
///
/// 1. somebody whose word counts trusts its measurement, 2. on this kind of hardware, 3. in this place, 4. as one role, or as the one asked for.
pub(super) fn of<'p>(
    policy: &'p PolicyInForce,
    facts: &ProgramFacts,
    search: &Search<'_>,
    narrow: Option<&str>,
) -> Result<(&'p Program, Trusted), Refusal> {
    let (measured, kind) = (facts.statement.program.measurement, facts.monitor.hardware.kind);
    // 1
    let spoken = search.roles_spoken_of(measured);
    let programs = policy.policy().programs.iter();
    let programs = programs.filter(|p| holds("role_measurement", spoken.contains(&p.role)));
    let known = programs
        .filter_map(|p| Some((p, search.trusted(measured, &p.role)?)))
        .filter(|(p, _)| holds("distrusted", !search.distrusted(measured, &p.role)))
        .collect::<Vec<_>>();
    if known.is_empty() {
        let got = if spoken.is_empty() {
            measured.to_string()
        } else {
            let roles = spoken.iter().map(RoleName::as_str).collect::<Vec<_>>().join(", ");
            format!("{measured}, for which nobody the policy lets speak about {roles} vouches now")
        };
        return Err(no(
            "program",
            "a measurement the policy trusts",
            got,
            "`casemate add` it if it is meant to run",
        ));
    }
    // 2
    let wanted = kinds(&known);
    let here = known
        .into_iter()
        .filter(|(p, _)| holds("role_kind", p.on.contains(&kind)))
        .collect::<Vec<_>>();
    if here.is_empty() {
        let advice = "run it where the policy says";
        return Err(no("program.on", wanted, kind.as_str(), advice));
    }
    // 3
    let mut placed = Vec::new();
    let mut unplaced = None;
    for (program, trusted) in here {
        match place(policy, program, facts, search) {
            Ok(place) => placed.push((program, Trusted { trusted, place })),
            Err(refusal) => unplaced = Some(refusal),
        }
    }
    // 4
    one(placed, narrow, unplaced)
}

fn kinds(known: &[(&Program, Held)]) -> String {
    let kinds = known.iter().flat_map(|(p, _)| &p.on).map(|k: &Kind| k.as_str());
    kinds.collect::<Vec<_>>().join(" or ")
}

fn one<'p>(
    mut placed: Vec<(&'p Program, Trusted)>,
    narrow: Option<&str>,
    unplaced: Option<Refusal>,
) -> Result<(&'p Program, Trusted), Refusal> {
    let named = placed.iter().map(|(p, _)| p.role.as_str()).collect::<Vec<_>>().join(" or ");
    if let Some(asked) = narrow {
        placed.retain(|(p, _)| p.role.as_str() == asked);
        if placed.is_empty() && !named.is_empty() {
            return Err(no(
                "role",
                named,
                asked,
                "a request may narrow, not choose: the policy gives this role to another program",
            ));
        }
    }
    let several = placed.len() > 1;
    match (placed.pop(), unplaced) {
        (Some(found), _) if !several => Ok(found),
        (Some(_), _) => Err(no(
            "role",
            "one role, or a request that names one of them",
            named,
            "ask for one role",
        )),
        (None, Some(refusal)) => Err(refusal),
        (None, None) => Err(no("role", "a role the policy has", "none", "name one of its roles")),
    }
}

/// The first of a program's places that its machine stands in; none where it is confined to none.
fn place(
    policy: &PolicyInForce,
    program: &Program,
    facts: &ProgramFacts,
    search: &Search<'_>,
) -> Result<Option<(String, Held)>, Refusal> {
    if holds("role_place", program.places.is_empty()) {
        return Ok(None);
    }
    let mut said = Vec::new();
    for name in &program.places {
        let stated = policy.policy().places.iter().find(|p| p.name == *name);
        let Some(stated) = stated else {
            said.push(format!("{name}, which the policy does not describe"));
            continue;
        };
        match search.stands(&facts.monitor.hardware, stated) {
            Ok(held) => return Ok(Some((stated.name.clone(), held))),
            Err(why) => said.push(format!("{name}: {}", words(&why))),
        }
    }
    Err(no(
        "program.in",
        format!("a machine in {}", program.places.join(" or ")),
        said.join("; "),
        "run it on a machine that is endorsed for the place, or have the missing endorsement made with `casemate claim place`",
    ))
}

fn words(why: &Unplaced) -> String {
    match why {
        Unplaced::Unnamed => "the evidence names no machine (masked or absent id)".to_owned(),
        Unplaced::Region { expected, got } => {
            let got = got.as_deref().unwrap_or("none");
            format!("expected region {expected}, the evidence shows {got}")
        }
        Unplaced::TooFew { need, got } if got.is_empty() => {
            format!("{need} independent endorsements needed, none counts")
        }
        Unplaced::TooFew { need, got } => {
            format!("{need} independent endorsements needed, those of {} count", got.join(", "))
        }
        Unplaced::Contradiction(countries) => {
            let all = countries.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(" and ");
            format!("issuers contradict each other: {all}")
        }
    }
}
