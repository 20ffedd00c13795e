//! Questions to a policy, answered for every program, machine and claim there could be.
//!
//! A grant needs a role; a role needs a measurement the policy lists or somebody it lets speak vouches for, a kind of hardware,
//! and where it is confined a place. All of these are finite in a policy, so a question is answered by going through what
//! could make it fail: either nothing can, or what is found is a counterexample, with the claims that would make it real.
//! Tests make them real, and hold every grant of generated worlds against the answers.

use std::collections::BTreeSet;

use evidence::{IssuerKey, Kind, MachineId, Measurement, Time};

use crate::claim::{Basis, Country, Says, Scope, Standing, Topic};
use crate::genesis::Genesis;
use crate::names::RoleName;
use crate::permission::{Action, Permissions};
use crate::policy::{Issuer, Outsider, PlaceBy, Policy, Program};
use crate::profiles::profile;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Can only these roles do that?
    Only {
        /// The roles.
        roles: Vec<RoleName>,
        /// What.
        may: Asked,
    },
    /// Is nothing admitted on development evidence or on machines that can be debugged?
    Production,
    /// Is nothing admitted outside these countries?
    Within(Vec<Country>),
    /// Can no single person widen what is admitted?
    NoOne,
}

/// Something a role may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Read a secret.
    Read(String),
    /// Connect to a role.
    Connect(RoleName),
    /// Be admitted at all.
    Exist,
}

/// One way in which it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The role that is admitted, where it is one.
    pub role: Option<RoleName>,
    /// What happens, in the policy's own words.
    pub says: String,
    /// Claims that make it real: who says what of the program and the machine.
    pub claims: Vec<(IssuerKey, Says)>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It holds, whatever anybody runs or says; and what was gone through.
    Holds(Vec<String>),
    /// It does not.
    Fails(Vec<Counterexample>),
}

/// Something that decides who gets in, and whose key alone can make it true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// `program api`, `place eu`.
    pub of: String,
    /// What it is.
    pub what: String,
    /// Who can make it true.
    pub by: Vec<String>,
}

/// A program and a machine that nobody has seen: what a counterexample is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// A measurement the policy does not list.
    pub program: Measurement,
    /// A machine.
    pub machine: MachineId,
    /// When.
    pub now: Time,
}

/// A policy that is asked, with whoever signs it.
pub struct Asking<'a> {
    policy: &'a Policy,
    permissions: &'a Permissions,
    genesis: &'a Genesis,
    unseen: &'a Unseen,
}

impl<'a> Asking<'a> {
    /// A policy and its signers; counterexamples are about `unseen`.
    #[must_use]
    pub const fn new(
        policy: &'a Policy,
        permissions: &'a Permissions,
        genesis: &'a Genesis,
        unseen: &'a Unseen,
    ) -> Self {
        Self { policy, permissions, genesis, unseen }
    }

    /// The answer.
    #[must_use]
    pub fn ask(&self, question: &Question) -> Answer {
        match question {
            Question::Only { roles, may } => self.only(roles, may),
            Question::Production => self.production(),
            Question::Within(countries) => self.within(countries),
            Question::NoOne => self.no_one(),
        }
    }

    /// Programs anything could be admitted as: with a kind they may run on, a source of trust, and a place that can be.
    fn admissible(&self) -> impl Iterator<Item = (&'a Program, Vec<(IssuerKey, Says)>)> + '_ {
        self.policy.programs.iter().filter_map(|p| {
            let kinds = p.on.iter().any(|k| self.policy.hardware.iter().any(|h| h.kind == *k));
            let mut claims = self.trust(p).into_iter().next()?.claims;
            let places = self.places(p);
            if !p.places.is_empty() {
                claims.extend(places.into_iter().next()?.1);
            }
            kinds.then_some((p, claims))
        })
    }

    fn only(&self, roles: &[RoleName], may: &Asked) -> Answer {
        let does = |p: &Program| match may {
            Asked::Read(secret) => self.permissions.permits(&p.role, &Action::Read(secret)),
            Asked::Connect(to) => self.permissions.permits(&p.role, &Action::Connect(to.as_str())),
            Asked::Exist => true,
        };
        let others = self.admissible().filter(|(p, _)| does(p) && !roles.contains(&p.role));
        let mut found = others
            .map(|(p, claims)| Counterexample {
                role: Some(p.role.clone()),
                says: format!("{} may {}", p.role, may.words()),
                claims,
            })
            .collect::<Vec<_>>();
        if let Asked::Connect(to) = may {
            let open = self.policy.programs.iter().filter(|p| p.role == *to);
            found.extend(open.flat_map(|p| &p.outsiders).map(|o: &Outsider| Counterexample {
                role: None,
                says: format!("{} clients may connect to {to}, and are no programs", o.as_str()),
                claims: Vec::new(),
            }));
        }
        let asked = self.admissible().map(|(p, _)| {
            format!("{}: {}", p.role, if does(p) { "may, and is asked about" } else { "may not" })
        });
        answer(found, asked.collect())
    }

    fn production(&self) -> Answer {
        let (mut found, mut gone) = (Vec::new(), Vec::new());
        for (program, claims) in self.admissible() {
            for kind in &program.on {
                let Some(stated) = self.policy.hardware.iter().find(|h| h.kind == *kind) else {
                    continue;
                };
                let open = if kind.is_development() {
                    Some("which is development: it protects from nobody who owns the machine")
                } else {
                    profile(stated)
                        .is_none_or(|p| p.takes_debug())
                        .then_some("under a profile that takes machines which can be debugged")
                };
                match open {
                    Some(why) => found.push(Counterexample {
                        role: Some(program.role.clone()),
                        says: format!("{} runs on {kind}, {why}", program.role),
                        claims: claims.clone(),
                    }),
                    None => gone.push(format!(
                        "{} on {kind}: {} refuses machines that can be debugged",
                        program.role, stated.profile
                    )),
                }
            }
        }
        answer(found, gone)
    }

    fn within(&self, countries: &[Country]) -> Answer {
        let (mut found, mut gone) = (Vec::new(), Vec::new());
        for (program, claims) in self.admissible() {
            let role = &program.role;
            let mut outside = |says: String, more: Vec<(IssuerKey, Says)>| {
                let trust = self.trust(program).into_iter().next();
                let mut claims = trust.map(|t| t.claims).unwrap_or_default();
                claims.extend(more);
                found.push(Counterexample { role: Some(role.clone()), says, claims });
            };
            if program.places.is_empty() {
                outside(format!("{role} is confined to no place"), Vec::new());
                continue;
            }
            drop(claims);
            for (name, said, country) in self.places(program) {
                match country {
                    None => outside(
                        format!(
                            "{role} may run in {name}, a provider's region; which country that is, no evidence says"
                        ),
                        said,
                    ),
                    Some(c) if !countries.contains(&c) => outside(
                        format!("{role} may run in {name}, and who is asked there may say {c}"),
                        said,
                    ),
                    Some(c) => gone.push(format!("{role} in {name}: {c}")),
                }
            }
        }
        answer(found, gone)
    }

    fn no_one(&self) -> Answer {
        let signers = self.genesis.signers_now();
        let (mut found, mut gone) = (Vec::new(), Vec::new());
        if signers.need() < 2 {
            found.push(Counterexample {
                role: None,
                says: format!(
                    "one of the {} owners signs a policy alone, and with it anything",
                    signers.keys().len()
                ),
                claims: Vec::new(),
            });
        } else {
            gone.push(format!(
                "policies: {} of {} owners sign",
                signers.need(),
                signers.keys().len()
            ));
        }
        for program in &self.policy.programs {
            for way in self.trust(program) {
                match way.by {
                    Some(issuer) => found.push(Counterexample {
                        role: Some(program.role.clone()),
                        says: format!(
                            "{} ({}) alone lets any program in as {}, by a claim about its {}",
                            issuer.name, issuer.holder, program.role, way.topic
                        ),
                        claims: way.claims,
                    }),
                    None => gone.push(format!("{}: what the policy lists", program.role)),
                }
            }
        }
        for place in &self.policy.places {
            let PlaceBy::Endorsed(wanted) = &place.by else { continue };
            if wanted.need < 2 {
                for issuer in self.about(Topic::Place, |s| {
                    wanted.countries.iter().any(|c| s.contains(c.as_str()))
                }) {
                    found.push(Counterexample {
                        role: None,
                        says: format!(
                            "{} ({}) alone says which machines stand in {}",
                            issuer.name, issuer.holder, place.name
                        ),
                        claims: Vec::new(),
                    });
                }
            } else {
                gone.push(format!("place {}: {} independent issuers", place.name, wanted.need));
            }
        }
        answer(found, gone)
    }

    /// Who can make each attribute true that decides who gets in.
    #[must_use]
    pub fn attributes(&self) -> Vec<Attribute> {
        let mut all = Vec::new();
        let signers = self.genesis.signers_now();
        let owners = format!("{} of {} owners", signers.need(), signers.keys().len());
        all.push(Attribute {
            of: "policy".to_owned(),
            what: "everything below".to_owned(),
            by: vec![owners.clone()],
        });
        for program in &self.policy.programs {
            let of = format!("program {}", program.role);
            let what = format!("{} measurement(s) listed", program.measurements.len());
            all.push(Attribute { of: of.clone(), what, by: vec![owners.clone()] });
            for (topic, what, name) in sources(program) {
                let by = self.about(topic, |s| s.contains(&name)).map(voice).collect::<Vec<_>>();
                if !by.is_empty() {
                    all.push(Attribute { of: of.clone(), what, by });
                }
            }
        }
        for place in &self.policy.places {
            let (what, by) = match &place.by {
                PlaceBy::AwsVlek(region) => {
                    (format!("AWS region {region}"), vec!["AMD's VLEK certificates".to_owned()])
                }
                PlaceBy::Endorsed(w) => {
                    let heard = |s: &Scope| w.countries.iter().any(|c| s.contains(c.as_str()));
                    let by = self.about(Topic::Place, heard).map(voice).collect();
                    (format!("{} of these, independent of each other", w.need), by)
                }
            };
            all.push(Attribute { of: format!("place {}", place.name), what, by });
        }
        all
    }

    fn about(
        &self,
        topic: Topic,
        heard: impl Fn(&Scope) -> bool,
    ) -> impl Iterator<Item = &'a Issuer> {
        let live = self.policy.issuers.iter().filter(|i| self.unseen.now <= i.until);
        live.filter(move |i| i.may.iter().any(|(t, s)| *t == topic && heard(s)))
    }

    /// Every way a program could come to be trusted, first what the policy lists, then by one issuer's word.
    fn trust(&self, program: &Program) -> Vec<Way<'a>> {
        let mut all = Vec::new();
        if !program.measurements.is_empty() {
            all.push(Way { by: None, topic: "measurement", claims: Vec::new() });
        }
        let measurement = self.unseen.program;
        for (topic, _, name) in sources(program) {
            let says = match topic {
                Topic::Program => Says::Program { role: program.role.clone(), measurement },
                Topic::Upgrade => {
                    // Only where something is trusted already, that it can take the place of.
                    let Some(from) = program.measurements.first() else { continue };
                    Says::Upgrade { role: program.role.clone(), from: *from, to: measurement }
                }
                Topic::Release => {
                    let Some((product, version)) =
                        program.releases.iter().find(|(p, _)| p.as_str() == name)
                    else {
                        continue;
                    };
                    Says::Release { product: product.clone(), version: *version, measurement }
                }
                Topic::Build => {
                    let Some(source) = program.builds.iter().find(|s| s.as_str() == name) else {
                        continue;
                    };
                    Says::Build { source: source.clone(), revision: "0".into(), measurement }
                }
                Topic::Place | Topic::Distrust => continue,
            };
            for issuer in self.about(topic, |s| s.contains(&name)) {
                let claims = vec![(issuer.key, says.clone())];
                all.push(Way { by: Some(issuer), topic: topic.as_str(), claims });
            }
        }
        all
    }

    /// Every place and country a program's machine could be said to stand in: by as many voices as are needed, or by region.
    fn places(&self, program: &Program) -> Vec<Stand> {
        let mut all = Vec::new();
        for name in &program.places {
            let Some(place) = self.policy.places.iter().find(|p| p.name.as_str() == name) else {
                continue;
            };
            match &place.by {
                // Only a kind whose certificates name regions.
                PlaceBy::AwsVlek(_) if program.on.contains(&Kind::Snp) => {
                    all.push((name.clone(), Vec::new(), None));
                }
                PlaceBy::AwsVlek(_) => {}
                PlaceBy::Endorsed(wanted) => {
                    for country in &wanted.countries {
                        let mut holders = BTreeSet::new();
                        let heard = |s: &Scope| s.contains(country.as_str());
                        let voices = self
                            .about(Topic::Place, heard)
                            .filter(|i| holders.insert(i.holder.as_str()))
                            .take(usize::try_from(wanted.need).unwrap_or(usize::MAX))
                            .collect::<Vec<_>>();
                        if u64::try_from(voices.len()).unwrap_or(0) < wanted.need {
                            continue;
                        }
                        let basis = wanted.basis.first().copied().unwrap_or(Basis::AuditorVisit);
                        let standing = Standing {
                            machine: self.unseen.machine.clone(),
                            country: *country,
                            site: "anywhere".to_owned(),
                            operator: "anybody".to_owned(),
                            basis,
                            level: wanted.level,
                            observed: self.unseen.now,
                        };
                        let says = |i: &&Issuer| (i.key, Says::Place(standing.clone()));
                        all.push((name.clone(), voices.iter().map(says).collect(), Some(*country)));
                    }
                }
            }
        }
        all
    }
}

/// A place by name, the claims that put the unseen machine there, and the country they name.
type Stand = (String, Vec<(IssuerKey, Says)>, Option<Country>);

/// One way to be trusted.
struct Way<'a> {
    /// Whose word it takes; nobody's beside the policy's.
    by: Option<&'a Issuer>,
    topic: &'static str,
    claims: Vec<(IssuerKey, Says)>,
}

/// Topics that bear on a program, with the name each is about.
fn sources(program: &Program) -> Vec<(Topic, String, String)> {
    let role = program.role.to_string();
    let mut all = vec![
        (Topic::Program, "any measurement".to_owned(), role.clone()),
        (Topic::Upgrade, "what follows a trusted measurement".to_owned(), role),
    ];
    for (product, from) in &program.releases {
        let what = format!("releases of {product} from version {from} on");
        all.push((Topic::Release, what, product.to_string()));
    }
    for source in &program.builds {
        all.push((Topic::Build, format!("builds from {source}"), source.to_string()));
    }
    all
}

fn voice(issuer: &Issuer) -> String {
    let on = if issuer.depth == 0 { "" } else { ", and whom it lets speak" };
    format!("{} ({}){on}", issuer.name, issuer.holder)
}

fn answer(found: Vec<Counterexample>, gone: Vec<String>) -> Answer {
    if found.is_empty() { Answer::Holds(gone) } else { Answer::Fails(found) }
}

impl Asked {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Read(secret) => format!("read {secret}"),
            Self::Connect(role) => format!("connect to {role}"),
            Self::Exist => "be admitted".to_owned(),
        }
    }
}

impl core::fmt::Display for Question {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let list = |names: Vec<&str>| names.join(", ");
        match self {
            Self::Only { roles, may } => {
                let roles = list(roles.iter().map(RoleName::as_str).collect());
                write!(f, "only {roles} can {}", may.words())
            }
            Self::Production => f.write_str(
                "nothing is admitted on development evidence or on machines that can be debugged",
            ),
            Self::Within(countries) => {
                let countries = list(countries.iter().map(Country::as_str).collect());
                write!(f, "nothing is admitted outside {countries}")
            }
            Self::NoOne => f.write_str("no single person can widen what is admitted"),
        }
    }
}
