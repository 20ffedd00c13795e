//! What would be decided about a program that is not there: the same rules as [`crate::decide`], over facts that are supposed and not proved.
//! Nothing is granted here; a test holds both against each other.
//!
//! Facts that are not supposed are as the policy demands them; a place counts as proved where it is supposed, and so does that somebody vouches for it.

use evidence::appraise::Machines;
use evidence::statement::HostOs;
use evidence::{Isolation, Kind, MachineId, Measurement};

use crate::claim::{Scope, Topic};
use crate::names::RoleName;
use crate::permission::{Action, Permissions};
use crate::policy::{Hardware, Issuer, Outsider, Policy, Program};
use crate::revocation::{Revocations, Revoked};

/// A program, supposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supposed {
    /// What it measures.
    pub measurement: Measurement,
    /// On which kind of hardware.
    pub kind: Kind,
    /// In which place.
    pub place: Option<String>,
    /// The role it asks for.
    pub ask: Option<String>,
    /// The machine image or monitor; the policy's own where it is not supposed.
    pub image: Option<Measurement>,
    /// The machine.
    pub machine: Option<MachineId>,
    /// Its isolation.
    pub isolation: Option<Isolation>,
    /// The operating system around it.
    pub host: Option<HostOs>,
    /// The role as which somebody is supposed to vouch for it whom the policy lets do so.
    pub vouched: Option<RoleName>,
}

/// A fact that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The rule that refuses.
    pub rule: &'static str,
    /// What it wants.
    pub expected: String,
    /// What is supposed.
    pub got: String,
    /// What would change it.
    pub change: String,
}

impl core::fmt::Display for Missing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: expected {}, got {}; {}", self.rule, self.expected, self.got, self.change)
    }
}

/// What would be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It would be let in.
    Admitted(Admitted),
    /// It would not, for want of these facts; as the role that lacks fewest.
    Refused {
        /// That role, where the policy has one that is near.
        nearest: Option<RoleName>,
        /// What is missing for it.
        missing: Vec<Missing>,
    },
}

/// What it could do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// As what.
    pub role: RoleName,
    /// Roles it may connect to.
    pub connect: Vec<RoleName>,
    /// Ports it may take connections on.
    pub listen: Vec<u16>,
    /// Secrets it may be given.
    pub secrets: Vec<String>,
    /// Who besides programs may connect to it.
    pub outsiders: Vec<Outsider>,
}

fn missing(rule: &'static str, expected: String, got: String, change: String) -> Missing {
    Missing { rule, expected, got, change }
}

fn words<T>(items: &[T], say: impl Fn(&T) -> String) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(say).collect::<Vec<_>>().join(" or ")
}

/// What would be decided about `supposed`.
///
/// 1. the hardware, and what is revoked, 2. the programs that measure so, 3. where they may run, 4. the role asked for, 5. what it may do.
#[must_use]
pub fn suppose(
    policy: &Policy,
    permissions: &Permissions,
    revocations: &Revocations,
    supposed: &Supposed,
) -> Outcome {
    // 1
    let Some(stated) = policy.hardware.iter().find(|h| h.kind == supposed.kind) else {
        let kind = supposed.kind;
        let taken = policy.hardware.iter().map(|h| h.kind).collect::<Vec<_>>();
        let change = if kind.is_development() {
            "run it on hardware the policy names: this is for development".to_owned()
        } else {
            format!("state [hardware.{kind}] in casemate.toml, then `casemate policy sign`")
        };
        let taken = words(&taken, ToString::to_string);
        let one = missing("hardware kind", taken, kind.to_string(), change);
        return Outcome::Refused { nearest: None, missing: vec![one] };
    };
    let mut lacks = revoked(revocations, supposed);
    lacks.extend(hardware(stated, supposed));
    // 2
    let known = policy
        .programs
        .iter()
        .filter(|p| {
            let vouched = supposed.vouched.as_ref() == Some(&p.role);
            p.measurements.contains(&supposed.measurement)
                || vouched && vouchers(policy, p).next().is_some()
        })
        .collect::<Vec<_>>();
    if known.is_empty() {
        return untrusted(policy, supposed, lacks);
    }
    // 3
    let here = |p: &&&Program| elsewhere(p, supposed).is_empty();
    let trusted = known.iter().filter(here).copied().collect::<Vec<_>>();
    let Some(first) = trusted.first() else {
        let nearest = known.iter().min_by_key(|p| {
            let asked = supposed.ask.as_deref() == Some(p.role.as_str());
            (!asked, elsewhere(p, supposed).len())
        });
        let more = nearest.map(|p| elsewhere(p, supposed)).unwrap_or_default();
        let missing = lacks.into_iter().chain(more).collect();
        return Outcome::Refused { nearest: nearest.map(|p| p.role.clone()), missing };
    };
    // 4
    let found = match supposed.ask.as_deref() {
        None if trusted.len() == 1 => Some(*first),
        asked => trusted.iter().find(|p| Some(p.role.as_str()) == asked).copied(),
    };
    let Some(found) = found else {
        let roles = words(&trusted, |p| p.role.to_string());
        let got = supposed.ask.clone().unwrap_or_else(|| "no role asked for".to_owned());
        let change = format!("ask for one of them: `casemate run --role {} NAME`", first.role);
        let one = missing("role", roles, got, change);
        let missing = lacks.into_iter().chain([one]).collect();
        return Outcome::Refused { nearest: Some(first.role.clone()), missing };
    };
    if !lacks.is_empty() {
        return Outcome::Refused { nearest: Some(found.role.clone()), missing: lacks };
    }
    // 5
    let may = |action: &Action<'_>| permissions.permits(&found.role, action);
    Outcome::Admitted(Admitted {
        connect: found
            .connect
            .iter()
            .filter(|r| may(&Action::Connect(r.as_str())))
            .cloned()
            .collect(),
        listen: found.listen.iter().filter(|p| may(&Action::Listen(**p))).copied().collect(),
        secrets: found.secrets.iter().filter(|s| may(&Action::Read(s))).cloned().collect(),
        outsiders: found.outsiders.iter().filter(|o| may(&Action::Serve(**o))).copied().collect(),
        role: found.role.clone(),
    })
}

fn untrusted(policy: &Policy, supposed: &Supposed, lacks: Vec<Missing>) -> Outcome {
    let asked = supposed.ask.as_deref();
    let nearest = policy.programs.iter().find(|p| Some(p.role.as_str()) == asked);
    let name = asked.unwrap_or("NAME");
    let mut change = format!(
        "if it is meant to run, `casemate add {name} -- COMMAND` measures it and writes it down"
    );
    let others = nearest.into_iter().flat_map(|p| vouchers(policy, p));
    let others = others.map(|i| i.name.to_string()).collect::<Vec<_>>();
    if !others.is_empty() {
        change += &format!("; or have {} vouch for it (`casemate claim`)", others.join(" or "));
    }
    let expected = nearest.map_or_else(
        || "a measurement the policy trusts".to_owned(),
        |p| format!("a measurement it trusts as {}", p.role),
    );
    let got = format!("sha384:{}", supposed.measurement);
    let one = missing("program", expected, got, change);
    let missing = lacks.into_iter().chain([one]).collect();
    Outcome::Refused { nearest: nearest.map(|p| p.role.clone()), missing }
}

/// Who may vouch for a program, by a claim about its role, its products or its sources.
pub fn vouchers<'p>(policy: &'p Policy, program: &'p Program) -> impl Iterator<Item = &'p Issuer> {
    let about = |(topic, scope): &(Topic, Scope)| match topic {
        Topic::Program | Topic::Upgrade => scope.contains(program.role.as_str()),
        Topic::Release => program.releases.iter().any(|(p, _)| scope.contains(p.as_str())),
        Topic::Build => program.builds.iter().any(|s| scope.contains(s.as_str())),
        Topic::Place | Topic::Distrust => false,
    };
    policy.issuers.iter().filter(move |i| i.may.iter().any(about))
}

fn revoked(revocations: &Revocations, supposed: &Supposed) -> Vec<Missing> {
    let measured = supposed.measurement;
    let program = (Revoked::Measurement(measured), format!("program sha384:{measured}, revoked"));
    let machine = supposed.machine.as_ref();
    let machine = machine.map(|m| (Revoked::Machine(m.clone()), format!("machine {m}, revoked")));
    let all = core::iter::once(program).chain(machine);
    let gone = all.filter(|(what, _)| revocations.contains(what));
    let change = "add the repaired program with `casemate add`; what is revoked never comes back";
    gone.map(|(_, got)| missing("revocation", "nothing revoked".to_owned(), got, change.to_owned()))
        .collect()
}

fn hardware(stated: &Hardware, supposed: &Supposed) -> Vec<Missing> {
    let Hardware { kind, profile: _, roots: _, machines, images, isolation, host } = stated;
    let section = |field: &str, add: &str| {
        format!(
            "add {add} to {field} of [hardware.{kind}] in casemate.toml, then `casemate policy sign`; or run elsewhere"
        )
    };
    let mut out = Vec::new();
    if let Some(image) = supposed.image.filter(|i| !images.contains(i)) {
        let change = section("image", &format!("\"sha384:{image}\""));
        out.push(missing("image", words(images, ToString::to_string), image.to_string(), change));
    }
    if let (Machines::Only(list), Some(id)) = (machines, &supposed.machine)
        && !list.contains(id)
    {
        let change = section("machines", &format!("\"{id}\""));
        out.push(missing("machine", words(list, ToString::to_string), id.to_string(), change));
    }
    if let Some(got) = supposed.isolation.filter(|i| !isolation.contains(i)) {
        let expected = words(isolation, |i| i.as_str().to_owned());
        let change = "run it where it is isolated so".to_owned();
        out.push(missing("isolation", expected, got.as_str().to_owned(), change));
    }
    if let Some(got) = supposed.host.filter(|h| !host.contains(h)) {
        let expected = words(host, |h| h.as_str().to_owned());
        let change = "run it where the operating system is measured so".to_owned();
        out.push(missing("host", expected, got.as_str().to_owned(), change));
    }
    out
}

/// What a program lacks to run where it is supposed to.
fn elsewhere(program: &Program, supposed: &Supposed) -> Vec<Missing> {
    let role = &program.role;
    let section = |field: &str, add: &str| {
        format!(
            "add \"{add}\" to `{field}` of [program.{role}] in casemate.toml, then `casemate policy sign`; or run it where the policy says"
        )
    };
    let mut out = Vec::new();
    if !program.on.contains(&supposed.kind) {
        let (on, got) = (words(&program.on, ToString::to_string), supposed.kind.to_string());
        out.push(missing("program.on", on, got.clone(), section("on", &got)));
    }
    let place = supposed.place.as_ref();
    if !program.places.is_empty() && !place.is_some_and(|p| program.places.contains(p)) {
        let expected = words(&program.places, Clone::clone);
        let got = place.map_or("no place that evidence proves", |p| p.as_str()).to_owned();
        let change = match place {
            Some(place) => section("in", place),
            None => "run it where its place can be proved, or suppose one (`--in`)".to_owned(),
        };
        out.push(missing("program.in", expected, got, change));
    }
    out
}
