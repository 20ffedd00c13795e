//! Everything that follows from a policy and claims, by the rules of `docs/rules.md`, read once more and done the slow way.

use std::collections::{BTreeMap, BTreeSet};

use evidence::{ContentDigest, IssuerKey, Kind, MachineId, Measurement, Time};
use trust::claim::{AuthenticClaim, Country, Says, Scope, Topic};
use trust::policy::{Endorsed, PlaceBy, Program};
use trust::{Policy, RoleName};

/// Longest chain, as the rules' page bounds it.
const HOPS_MAX: usize = 8;

/// What is revoked by the owners.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    pub claims: BTreeSet<ContentDigest>,
    pub issuers: BTreeSet<IssuerKey>,
    pub measurements: BTreeSet<Measurement>,
}

/// Somebody may speak.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct May {
    key: IssuerKey,
    topic: Topic,
    /// None is any name.
    names: Option<BTreeSet<String>>,
    depth: u64,
    until: Time,
    holder: String,
    hops: usize,
}

impl May {
    fn about(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|n| n.contains(name))
    }
}

/// A policy, claims, and what was taken back.
pub struct Model<'a> {
    pub policy: &'a Policy,
    pub claims: &'a [AuthenticClaim],
    pub taken: &'a Taken,
    pub now: Time,
}

fn names(scope: &Scope) -> Option<BTreeSet<String>> {
    match scope {
        Scope::Any => None,
        Scope::Names(names) => Some(names.clone()),
    }
}

fn shared(
    a: &Option<BTreeSet<String>>,
    b: &Option<BTreeSet<String>>,
) -> Option<Option<BTreeSet<String>>> {
    let both = match (a, b) {
        (None, None) => return Some(None),
        (Some(n), None) | (None, Some(n)) => n.clone(),
        (Some(a), Some(b)) => a.iter().filter(|n| b.contains(*n)).cloned().collect(),
    };
    if both.is_empty() { None } else { Some(Some(both)) }
}

impl Model<'_> {
    fn addressed(&self, c: &AuthenticClaim) -> bool {
        c.claim().domain.is_none() || c.claim().domain == Some(self.policy.root)
    }

    fn in_force(&self, c: &AuthenticClaim) -> bool {
        let withdrawn = self.claims.iter().any(|w| {
            w.claim().issuer == c.claim().issuer
                && w.claim().says == Says::Withdraw { claim: c.digest() }
        });
        self.addressed(c)
            && c.claim().window.contains(self.now)
            && !withdrawn
            && !self.taken.claims.contains(&c.digest())
            && !self.taken.issuers.contains(&c.claim().issuer)
    }

    fn ever(&self, c: &AuthenticClaim) -> bool {
        self.addressed(c) && c.claim().window.not_before <= self.now
    }

    /// Everybody who may speak, from the claims that `counts` takes.
    fn mays(&self, counts: &dyn Fn(&AuthenticClaim) -> bool, forever: bool) -> BTreeSet<May> {
        let mut all = BTreeSet::new();
        for issuer in &self.policy.issuers {
            if !forever && self.taken.issuers.contains(&issuer.key) {
                continue;
            }
            for (topic, scope) in &issuer.may {
                all.insert(May {
                    key: issuer.key,
                    topic: *topic,
                    names: names(scope),
                    depth: issuer.depth,
                    until: issuer.until,
                    holder: issuer.holder.clone(),
                    hops: 0,
                });
            }
        }
        loop {
            let mut new = Vec::new();
            for claim in self.claims.iter().filter(|c| counts(c)) {
                for may in all.iter().filter(|m| m.key == claim.claim().issuer) {
                    new.extend(self.pass(may, claim));
                }
            }
            let before = all.len();
            all.extend(new);
            if all.len() == before {
                break;
            }
        }
        all.retain(|m| forever || self.now <= m.until);
        all
    }

    fn pass(&self, may: &May, claim: &AuthenticClaim) -> Option<May> {
        let until = may.until.min(claim.claim().window.not_after);
        if may.hops == HOPS_MAX {
            return None;
        }
        let hops = may.hops + 1;
        match &claim.claim().says {
            Says::Speaks { key } => Some(May { key: *key, until, hops, ..may.clone() }),
            Says::Delegate { to, topic, scope, depth } if *topic == may.topic && may.depth > 0 => {
                let names = shared(&may.names, &names(scope))?;
                let depth = (may.depth - 1).min(*depth);
                Some(May { key: *to, names, depth, until, hops, ..may.clone() })
            }
            _ => None,
        }
    }

    /// How long each measurement is trusted as a program, of those that are.
    fn trusted(&self, program: &Program) -> BTreeMap<Measurement, Time> {
        let mays = self.mays(&|c| self.in_force(c), false);
        let role = program.role.as_str();
        let mut all =
            program.measurements.iter().map(|m| (*m, Time::MAX)).collect::<BTreeMap<_, _>>();
        let listed = all.clone();
        loop {
            let mut grew = false;
            for claim in self.claims.iter().filter(|c| self.in_force(c)) {
                let c = claim.claim();
                let (topic, name, measurement, base) = match &c.says {
                    Says::Program { role: r, measurement } if r.as_str() == role => {
                        (Topic::Program, role, *measurement, Time::MAX)
                    }
                    Says::Release { product, version, measurement }
                        if program.releases.iter().any(|(p, v)| p == product && version >= v) =>
                    {
                        (Topic::Release, product.as_str(), *measurement, Time::MAX)
                    }
                    Says::Build { source, measurement, .. } if program.builds.contains(source) => {
                        (Topic::Build, source.as_str(), *measurement, Time::MAX)
                    }
                    Says::Upgrade { role: r, from, to } if r.as_str() == role => {
                        let Some(base) = all.get(from) else { continue };
                        (Topic::Upgrade, role, *to, *base)
                    }
                    _ => continue,
                };
                for may in mays.iter().filter(|m| m.key == c.issuer && m.topic == topic) {
                    let until = base.min(may.until).min(c.window.not_after);
                    let better = all.get(&measurement).is_none_or(|t| until > *t);
                    if may.about(name) && better && !listed.contains_key(&measurement) {
                        all.insert(measurement, until);
                        grew = true;
                    }
                }
            }
            if !grew {
                return all;
            }
        }
    }

    fn distrusted(&self, role: &RoleName, measurement: Measurement) -> bool {
        let mays = self.mays(&|c| self.ever(c), true);
        self.claims.iter().filter(|c| self.ever(c)).any(|claim| {
            let c = claim.claim();
            let about = c.says == Says::Distrust { role: role.clone(), measurement };
            about
                && mays.iter().any(|m| {
                    m.key == c.issuer
                        && m.topic == Topic::Distrust
                        && m.about(role.as_str())
                        && c.window.not_before <= m.until
                })
        })
    }

    /// The countries that voices named last.
    fn said(&self, machine: &MachineId) -> BTreeSet<Country> {
        let mays = self.mays(&|c| self.ever(c), true);
        let mut words = BTreeMap::<&str, Vec<(Time, Country)>>::new();
        for claim in self.claims.iter().filter(|c| self.ever(c)) {
            let c = claim.claim();
            let Says::Place(s) = &c.says else { continue };
            if s.machine != *machine || self.now > c.window.not_after || s.observed > self.now {
                continue;
            }
            for m in mays.iter().filter(|m| m.key == c.issuer && m.topic == Topic::Place) {
                if self.now <= m.until && m.about(s.country.as_str()) {
                    words.entry(&m.holder).or_default().push((s.observed, s.country));
                }
            }
        }
        let mut countries = BTreeSet::new();
        for said in words.values() {
            let last = said.iter().map(|(t, _)| *t).max();
            countries.extend(said.iter().filter(|(t, _)| Some(*t) == last).map(|(_, c)| *c));
        }
        countries
    }

    fn stands(&self, machine: &MachineId, wanted: &Endorsed) -> Option<Time> {
        let said = self.said(machine);
        if said.len() > 1 {
            return None;
        }
        let mays = self.mays(&|c| self.in_force(c), false);
        let mut words = BTreeMap::<&str, Time>::new();
        for claim in self.claims.iter().filter(|c| self.in_force(c)) {
            let c = claim.claim();
            let Says::Place(s) = &c.says else { continue };
            let oldest = s.observed.plus_secs(wanted.age_secs_max);
            let fits = s.machine == *machine
                && said.contains(&s.country)
                && wanted.countries.contains(&s.country)
                && s.level >= wanted.level
                && wanted.basis.contains(&s.basis)
                && s.observed <= self.now
                && self.now <= oldest;
            if !fits {
                continue;
            }
            for m in mays.iter().filter(|m| m.key == c.issuer && m.topic == Topic::Place) {
                if m.about(s.country.as_str()) {
                    let until = m.until.min(c.window.not_after).min(oldest);
                    let best = words.entry(&m.holder).or_insert(until);
                    *best = until.max(*best);
                }
            }
        }
        let mut ends = words.into_values().collect::<Vec<_>>();
        ends.sort_unstable();
        ends.reverse();
        // The last of as many as are needed is the first of them to end.
        ends.get(usize::try_from(wanted.need).ok()?.checked_sub(1)?).copied()
    }

    /// Until when a program may be a role on a machine; none if it may not.
    pub fn may_be(
        &self,
        role: &str,
        measurement: Measurement,
        machine: &MachineId,
    ) -> Option<Time> {
        let program = self.policy.programs.iter().find(|p| p.role.as_str() == role)?;
        if self.taken.measurements.contains(&measurement) || !program.on.contains(&Kind::Software) {
            return None;
        }
        let trusted = *self.trusted(program).get(&measurement)?;
        if self.distrusted(&program.role, measurement) {
            return None;
        }
        if program.places.is_empty() {
            return Some(trusted);
        }
        let stands = program.places.iter().find_map(|name| {
            let place = self.policy.places.iter().find(|p| p.name.as_str() == name)?;
            match &place.by {
                PlaceBy::Endorsed(wanted) => self.stands(machine, wanted),
                // No software machine shows a region.
                PlaceBy::AwsVlek(_) => None,
            }
        })?;
        Some(trusted.min(stands))
    }
}
