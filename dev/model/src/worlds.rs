//! Worlds made at random from a seed: a policy, claims of some that it lets speak and of many that it does not, revocations.
//!
//! Half of what is said follows a plan that would get the program in, by each of the ways there are; the rest is noise
//! around it: wrong domains, windows, scopes, depths, circles, contradictions, words taken back. So neither yes nor no
//! is rare.

use evidence::{ContentDigest, DomainRoot, IssuerKey, MachineId, Measurement, Time, Window};
use owners::NOW;
use trust::claim::{Basis, Country, Says, Scope, Source, Standing, Topic};
use trust::policy::{Endorsed, Issuer, Place, PlaceBy};
use trust::signing::SigningKey;
use trust::{AuthenticClaim, Claim, Policy, RoleName};

use crate::saturate::Taken;

/// Keys of a world.
const KEYS: u64 = 8;

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `n` - 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// One in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        let n = self.below(u64::try_from(list.len()).unwrap());
        list[usize::try_from(n).unwrap()].clone()
    }
}

/// Everything a decision in this world knows.
#[derive(Clone, Debug)]
pub struct World {
    pub policy: Policy,
    pub claims: Vec<AuthenticClaim>,
    pub taken: Taken,
}

pub fn key(n: u64) -> SigningKey {
    SigningKey::from_seed([u8::try_from(n).unwrap() + 100; 32]).unwrap()
}

pub fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

/// What asks in every world.
pub fn asking() -> Measurement {
    silicon::software::program(0x11).measurement
}

fn source(n: u64) -> Source {
    Source::new(&format!("git+https://src.example/{n}")).unwrap()
}

const COUNTRIES: [&str; 3] = ["DE", "FR", "US"];
const ROLES: [&str; 2] = ["web", "api"];

struct Maker {
    dice: Dice,
    machine: MachineId,
    policy: Policy,
    said: Vec<(u64, Says)>,
    claims: Vec<AuthenticClaim>,
    /// How much of this world is noise: 0 for almost none.
    noise: u64,
}

impl World {
    /// The world of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let noise = dice.below(4);
        let policy = owners::policy();
        let mut maker = Maker {
            dice,
            machine: owners::machine_id(),
            policy,
            said: Vec::new(),
            claims: Vec::new(),
            noise,
        };
        maker.plan();
        maker.noise();
        maker.sign();
        let taken = maker.take();
        Self { policy: maker.policy, claims: maker.claims, taken }
    }

    /// With its claims in another order, some of them twice.
    pub fn shuffled(&self, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut claims = self.claims.clone();
        for n in (1..claims.len()).rev() {
            let other = usize::try_from(dice.below(u64::try_from(n + 1).unwrap())).unwrap();
            claims.swap(n, other);
        }
        let again = claims.iter().filter(|_| dice.one_in(3)).cloned().collect::<Vec<_>>();
        claims.extend(again);
        Self { claims, ..self.clone() }
    }

    /// With something taken away: a claim withdrawn or revoked, an issuer revoked, a program distrusted.
    pub fn lessened(&self, seed: u64) -> Self {
        let (mut dice, mut less) = (Dice::new(seed), self.clone());
        let issuer = key(dice.below(KEYS));
        let Some(claim) = (!self.claims.is_empty()).then(|| dice.of(&self.claims)) else {
            less.taken.issuers.insert(issuer.issuer());
            return less;
        };
        match dice.below(4) {
            0 => drop(less.taken.claims.insert(claim.digest())),
            1 => drop(less.taken.issuers.insert(claim.claim().issuer)),
            2 => {
                let says = Says::Withdraw { claim: claim.digest() };
                let by = (0..KEYS).map(key).find(|k| k.issuer() == claim.claim().issuer).unwrap();
                less.claims.push(signed(&self.policy, &by, (-9, 9), says));
            }
            _ => {
                let says = Says::Distrust { role: role("web"), measurement: asking() };
                less.claims.push(signed(&self.policy, &issuer, (-9, 9), says));
            }
        }
        less
    }

    /// With claims of the same issuers to another domain.
    pub fn beside_another_domain(&self) -> Self {
        let mut both = self.clone();
        for claim in &self.claims {
            let c = claim.claim();
            let by = (0..KEYS).map(key).find(|k| k.issuer() == c.issuer).unwrap();
            let domain = Some(DomainRoot::new([0xee; 32]));
            both.claims.push(Claim { domain, ..c.clone() }.sign(&by).unwrap());
        }
        both
    }
}

fn signed(policy: &Policy, by: &SigningKey, secs: (i64, i64), says: Says) -> AuthenticClaim {
    let window = Window { not_before: NOW.plus_secs(secs.0), not_after: NOW.plus_secs(secs.1) };
    let claim = Claim { domain: Some(policy.root), issuer: by.issuer(), window, says };
    claim.sign(by).unwrap()
}

impl Maker {
    fn until(&mut self) -> Time {
        let secs = if self.noise > 0 && self.dice.one_in(20) { -1 } else { 0 };
        let ahead = self.dice.below(400);
        NOW.plus_secs(if secs < 0 { secs } else { i64::try_from(ahead).unwrap() })
    }

    fn scope(&mut self, good: &str, others: &[&str]) -> Scope {
        if self.dice.one_in(3) {
            return Scope::Any;
        }
        let off = self.noise > 0 && self.dice.one_in(12);
        let mut names = Vec::new();
        if !off {
            names.push(good.to_owned());
        }
        for other in others.iter().filter(|o| **o != good) {
            if off || self.dice.one_in(3) {
                names.push((*other).to_owned());
            }
        }
        Scope::of(&names).unwrap_or(Scope::Any)
    }

    /// Somebody the policy lets speak about a name, and the chain from there to whose word it will be.
    fn speaker(&mut self, topic: Topic, good: &str, others: &[&str]) -> u64 {
        let mut at = self.dice.below(KEYS);
        let hops = self.dice.below(4);
        let depth = if self.noise > 1 && self.dice.one_in(10) { 0 } else { hops };
        let scope = self.scope(good, others);
        let until = self.until();
        self.let_speak(at, topic, scope, depth, until);
        for left in (0..hops).rev() {
            let to = self.dice.below(KEYS);
            let says = if self.dice.one_in(3) {
                Says::Speaks { key: key(to).issuer() }
            } else {
                let scope = self.scope(good, others);
                let depth = left + self.dice.below(2);
                Says::Delegate { to: key(to).issuer(), topic, scope, depth }
            };
            self.said.push((at, says));
            at = to;
        }
        at
    }

    fn let_speak(&mut self, n: u64, topic: Topic, scope: Scope, depth: u64, until: Time) {
        let issuer = key(n).issuer();
        if let Some(known) = self.policy.issuers.iter_mut().find(|i| i.key == issuer) {
            known.may.push((topic, scope));
            known.depth = known.depth.max(depth);
            return;
        }
        let holder = if self.dice.one_in(8) { 0 } else { n };
        self.policy.issuers.push(Issuer {
            name: role(&format!("issuer-{n}")),
            key: issuer,
            holder: format!("Holder {holder}"),
            may: vec![(topic, scope)],
            depth,
            until,
        });
    }

    /// What would get the program in.
    fn plan(&mut self) {
        self.policy.programs[0].measurements.clear();
        let mut measurement = asking();
        for step in 0..self.dice.below(3) {
            // Followed back: what the program takes the place of.
            let from = Measurement::new([0x40 + u8::try_from(step).unwrap(); 48]);
            let by = self.speaker(Topic::Upgrade, "web", &ROLES);
            self.said.push((by, Says::Upgrade { role: role("web"), from, to: measurement }));
            measurement = from;
        }
        match self.dice.below(4) {
            0 => self.policy.programs[0].measurements.push(measurement),
            1 => {
                let by = self.speaker(Topic::Program, "web", &ROLES);
                self.said.push((by, Says::Program { role: role("web"), measurement }));
            }
            2 => {
                let from = self.dice.below(4);
                self.policy.programs[0].releases.push((role("shop"), from));
                let by = self.speaker(Topic::Release, "shop", &["shop", "till"]);
                let short = self.noise > 0 && self.dice.one_in(8);
                let version =
                    if short { from.saturating_sub(1) } else { from + self.dice.below(3) };
                let product = role("shop");
                self.said.push((by, Says::Release { product, version, measurement }));
            }
            _ => {
                self.policy.programs[0].builds.push(source(0));
                let (good, other) = (source(0).to_string(), source(1).to_string());
                let by = self.speaker(Topic::Build, &good, &[&good, &other]);
                let revision = format!("r{}", self.dice.below(9));
                self.said.push((by, Says::Build { source: source(0), revision, measurement }));
            }
        }
        if self.dice.one_in(2) {
            self.plan_place();
        }
    }

    fn plan_place(&mut self) {
        self.policy.programs[0].places = vec!["eu".into()];
        let need = 1 + self.dice.below(3);
        let countries = vec![Country::new("DE").unwrap(), Country::new("FR").unwrap()];
        let basis = vec![Basis::AuditorVisit, Basis::GnssTpm];
        let wanted = Endorsed { countries, need, level: 2, basis, age_secs_max: 1000 };
        self.policy.places = vec![Place { name: "eu".into(), by: PlaceBy::Endorsed(wanted) }];
        let country = self.dice.of(&COUNTRIES[..2]);
        for _ in 0..need + self.dice.below(2) {
            let by = self.speaker(Topic::Place, country, &COUNTRIES);
            let standing = self.standing(country);
            self.said.push((by, Says::Place(standing)));
        }
    }

    fn standing(&mut self, country: &str) -> Standing {
        let off = self.noise > 0 && self.dice.one_in(10);
        let ago = i64::try_from(self.dice.below(if off { 2000 } else { 900 })).unwrap();
        Standing {
            machine: self.machine.clone(),
            country: Country::new(country).unwrap(),
            site: "hall".into(),
            operator: "Host".into(),
            basis: if off { self.dice.of(&Basis::ALL) } else { Basis::AuditorVisit },
            level: if off { 1 + self.dice.below(3) } else { 2 + self.dice.below(2) },
            observed: NOW.plus_secs(if off && self.dice.one_in(4) { 1 } else { -ago }),
        }
    }

    /// What is said besides.
    fn noise(&mut self) {
        for _ in 0..self.noise * self.dice.below(4) {
            let by = self.dice.below(KEYS);
            let to = key(self.dice.below(KEYS)).issuer();
            let topic = self.dice.of(&Topic::ALL);
            let measurement =
                if self.dice.one_in(2) { asking() } else { Measurement::new([0x40; 48]) };
            let name = self.dice.of(&ROLES);
            let says = match self.dice.below(9) {
                0 => Says::Program { role: role(name), measurement },
                1 => Says::Release {
                    product: role("shop"),
                    version: self.dice.below(5),
                    measurement,
                },
                2 => Says::Build {
                    source: source(self.dice.below(2)),
                    revision: "r".into(),
                    measurement,
                },
                3 => Says::Upgrade { role: role(name), from: measurement, to: asking() },
                4 => {
                    let country = self.dice.of(&COUNTRIES);
                    Says::Place(self.standing(country))
                }
                5 => {
                    let scope = self.scope(name, &ROLES);
                    Says::Delegate { to, topic, scope, depth: self.dice.below(3) }
                }
                6 => Says::Speaks { key: to },
                7 if self.dice.one_in(3) => Says::Distrust { role: role(name), measurement },
                _ => continue,
            };
            self.said.push((by, says));
            if self.dice.one_in(6) {
                let scope = self.scope("web", &ROLES);
                let (who, depth, until) = (self.dice.below(KEYS), self.dice.below(3), self.until());
                self.let_speak(who, topic, scope, depth, until);
            }
        }
    }

    fn sign(&mut self) {
        for (by, says) in std::mem::take(&mut self.said) {
            let off = self.noise > 0 && self.dice.one_in(25);
            let start = if off && self.dice.one_in(2) { 1 } else { -1 };
            let end = if off && start < 0 {
                -1
            } else {
                i64::try_from(1 + self.dice.below(500)).unwrap()
            };
            let (from, to) = (NOW.plus_secs(start.min(end)), NOW.plus_secs(end));
            let domain = match says.is_of_the_world() && self.dice.one_in(2) {
                true => None,
                false if self.noise > 1 && self.dice.one_in(30) => {
                    Some(DomainRoot::new([0xee; 32]))
                }
                false => Some(self.policy.root),
            };
            let window = Window { not_before: from, not_after: to };
            let claim = Claim { domain, issuer: IssuerKey::new([0; 32]), window, says };
            self.claims.push(claim.sign(&key(by)).unwrap());
        }
        if self.noise > 1 && !self.claims.is_empty() && self.dice.one_in(5) {
            let claim = self.dice.of(&self.claims);
            let by = self.dice.below(KEYS);
            let own = (0..KEYS).find(|n| key(*n).issuer() == claim.claim().issuer).unwrap();
            let by = if self.dice.one_in(2) { own } else { by };
            let says = Says::Withdraw { claim: claim.digest() };
            self.claims.push(signed(&self.policy, &key(by), (-1, 1), says));
        }
    }

    fn take(&mut self) -> Taken {
        let mut taken = Taken::default();
        if self.noise > 1 && self.dice.one_in(6) {
            let claim = (!self.claims.is_empty()).then(|| self.dice.of(&self.claims));
            let digest = claim.map_or_else(|| ContentDigest::of(b"none"), |c| c.digest());
            taken.claims.insert(digest);
        }
        if self.noise > 2 && self.dice.one_in(6) {
            taken.issuers.insert(key(self.dice.below(KEYS)).issuer());
        }
        if self.noise > 2 && self.dice.one_in(30) {
            taken.measurements.insert(asking());
        }
        taken
    }
}
