//! Which measurements are trusted as which role: listed by the policy, vouched for, released, built, or following one that
//! is (R5, R9 to R12).

use std::collections::BTreeSet;

use evidence::controls::holds;
use evidence::{Measurement, Time};

use super::may::May;
use super::{Held, Look, Node, Search, UPGRADES_MAX, Why, number};
use crate::claim::{AuthenticClaim, Says, Topic};
use crate::names::RoleName;
use crate::policy::Program;
use crate::proof::Rule;

impl Search<'_> {
    /// The roles anybody has said this measurement is trusted as: those to ask [`Search::trusted`] about.
    pub(crate) fn roles_spoken_of(&self, measurement: Measurement) -> BTreeSet<RoleName> {
        let listed = self.policy.measured_as(&measurement).map(|p| p.role.clone());
        let mut roles = listed.collect::<BTreeSet<_>>();
        let programs = &self.policy.policy().programs;
        let mut those = |takes: &dyn Fn(&Program) -> bool| {
            roles.extend(programs.iter().filter(|p| takes(p)).map(|p| p.role.clone()));
        };
        for claim in self.claims.of_program(measurement) {
            match &claim.claim().says {
                Says::Program { role, .. } | Says::Upgrade { role, .. } => {
                    those(&|p| p.role == *role);
                }
                Says::Release { product, .. } => {
                    those(&|p| p.releases.iter().any(|(r, _)| r == product));
                }
                Says::Build { source, .. } => those(&|p| p.builds.contains(source)),
                _ => {}
            }
        }
        roles
    }

    /// Whether a measurement is trusted as a role, for the longest time there is a reason for.
    #[must_use]
    pub fn trusted(&self, measurement: Measurement, role: &RoleName) -> Option<Held> {
        let program = self.policy.policy().programs.iter().find(|p| p.role == *role)?;
        self.trusted_within(measurement, program, UPGRADES_MAX)
    }

    /// True if somebody who may says that it is not trusted any more. Nobody's taking back undoes that.
    #[must_use]
    pub fn distrusted(&self, measurement: Measurement, role: &RoleName) -> bool {
        self.claims.of_program(measurement).any(|claim| {
            let c = claim.claim();
            let about = matches!(&c.says, Says::Distrust { role: r, .. } if r == role);
            about
                && self.counts(claim, Look::Ever)
                && self
                    .may(c.issuer, Topic::Distrust, Look::Ever)
                    .iter()
                    .any(|m| m.scope.contains(role.as_str()) && c.window.not_before <= m.until)
        })
    }

    /// Within a number of upgrades; what was found once is not looked for again, so that circles cost nothing.
    fn trusted_within(
        &self,
        measurement: Measurement,
        program: &Program,
        upgrades: usize,
    ) -> Option<Held> {
        let key = (measurement, program.role.clone(), upgrades);
        let known = self.found.borrow().get(&key).cloned();
        known.unwrap_or_else(|| {
            let found = self.reason(measurement, program, upgrades);
            self.found.borrow_mut().insert(key, found.clone());
            found
        })
    }

    /// The longest-lived reason there is.
    fn reason(&self, measurement: Measurement, program: &Program, upgrades: usize) -> Option<Held> {
        let role = &program.role;
        let listed = self.policy.measured_as(&measurement).any(|p| p.role == *role);
        if holds("role_measurement", listed) {
            let parts = [&*measurement.to_string(), role.as_str()];
            let leaf = Node::policy(&[&["policy-trusts"], &parts[..]].concat());
            return Some(held(Rule::Listed, vec![leaf], measurement, role, Time::MAX));
        }
        let claims = self.claims.of_program(measurement).filter(|c| self.counts(c, Look::InForce));
        let mut best = None::<Held>;
        for claim in claims {
            let found = match &claim.claim().says {
                Says::Program { role: r, .. } if r == role => {
                    self.vouched(claim, Topic::Program, role.as_str(), Rule::Vouched, program, None)
                }
                Says::Release { product, version, .. } => {
                    let taken = program.releases.iter().find(|(p, _)| p == product);
                    taken.filter(|(_, from)| holds("release_version", version >= from)).and_then(
                        |(_, from)| {
                            let leaf = Node::policy(&[
                                "policy-takes-release",
                                product.as_str(),
                                &from.to_string(),
                                role.as_str(),
                            ]);
                            let rule = Rule::Released;
                            self.vouched(
                                claim,
                                Topic::Release,
                                product.as_str(),
                                rule,
                                program,
                                Some(leaf),
                            )
                        },
                    )
                }
                Says::Build { source, .. } if program.builds.contains(source) => {
                    let leaf =
                        Node::policy(&["policy-takes-build", source.as_str(), role.as_str()]);
                    self.vouched(
                        claim,
                        Topic::Build,
                        source.as_str(),
                        Rule::Built,
                        program,
                        Some(leaf),
                    )
                }
                Says::Upgrade { role: r, from, .. } if r == role => {
                    self.upgraded(claim, *from, program, upgrades)
                }
                _ => None,
            };
            // The longest-lived reason; of two that live as long the first by digest, so that order does not matter.
            let longer = |h: &Held| best.as_ref().is_none_or(|b| h.until > b.until);
            if let Some(found) = found.filter(longer) {
                best = Some(found);
            }
        }
        best
    }

    /// R9, R10, R11: somebody who may speak about `name` says so.
    fn vouched(
        &self,
        claim: &AuthenticClaim,
        topic: Topic,
        name: &str,
        rule: Rule,
        program: &Program,
        stated: Option<Why>,
    ) -> Option<Held> {
        let may = self.longest(claim, topic, name)?;
        let until = may.until.min(claim.claim().window.not_after);
        let premises = stated.into_iter().chain([may.why, Node::claim(claim)]).collect();
        let measurement = match &claim.claim().says {
            Says::Program { measurement, .. }
            | Says::Release { measurement, .. }
            | Says::Build { measurement, .. } => *measurement,
            _ => return None,
        };
        Some(held(rule, premises, measurement, &program.role, until))
    }

    /// R12: what takes the place of a trusted measurement is trusted.
    fn upgraded(
        &self,
        claim: &AuthenticClaim,
        from: Measurement,
        program: &Program,
        upgrades: usize,
    ) -> Option<Held> {
        let Says::Upgrade { to, .. } = &claim.claim().says else { return None };
        let may = self.longest(claim, Topic::Upgrade, program.role.as_str())?;
        let before = self.trusted_within(from, program, upgrades.checked_sub(1)?)?;
        let until = before.until.min(may.until).min(claim.claim().window.not_after);
        let premises = vec![before.why, may.why, Node::claim(claim)];
        Some(held(Rule::Upgraded, premises, *to, &program.role, until))
    }

    /// The longest-lived way in which a claim's issuer may speak about a name.
    fn longest(&self, claim: &AuthenticClaim, topic: Topic, name: &str) -> Option<May<'_>> {
        let ways = self.may(claim.claim().issuer, topic, Look::InForce);
        // They come longest-lived first.
        ways.iter().find(|m| holds("may_scope", m.scope.contains(name))).cloned()
    }
}

fn held(
    rule: Rule,
    premises: Vec<Why>,
    measurement: Measurement,
    role: &RoleName,
    until: Time,
) -> Held {
    let parts = ["trusted", &measurement.to_string(), role.as_str(), &number(until)];
    Held { until, why: Node::new(rule, premises, &parts) }
}
