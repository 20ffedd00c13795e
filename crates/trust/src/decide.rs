//! Decisions: does this key, of this program, on this machine, speak for a role, and what may it do?
//!
//! A decision takes a set of policies and all must agree (I13). The role comes from the policy, never from the
//! request, which can only narrow (I5). Nothing lives longer than what it rests on (I6).

use evidence::appraise::{Verdict, appraise};
use evidence::controls::holds;
use evidence::layered::ProgramFacts;
use evidence::{Authentic, ContentDigest, HardwareFacts, SpkiDigest, Time};

use crate::names::RoleName;
use crate::permission::Action;
use crate::policy::{Outsider, PolicyInForce, Program};
use crate::profiles::profile;
use crate::proof::{Proof, Rule, Step, Term};
use crate::revocation::{Revocations, Revoked};

/// Longest life of a grant, whatever else would allow: one hour.
pub const LIFE_SECS_MAX: i64 = 3600;

/// What is known besides evidence and policies.
#[derive(Debug)]
pub struct Context<'a> {
    /// Now.
    pub now: Time,
    /// The key that asks: SHA-256 of its SubjectPublicKeyInfo.
    pub leaf: SpkiDigest,
    /// The role asked for, where the program is trusted for several.
    pub narrow: Option<&'a str>,
    /// What is revoked.
    pub revocations: &'a Revocations,
}

/// One reason for a no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule that refuses.
    pub rule: &'static str,
    /// What it wants.
    pub expected: String,
    /// What it saw.
    pub got: String,
    /// What to do.
    pub advice: String,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: expected {}, got {}; {}", self.rule, self.expected, self.got, self.advice)
    }
}

/// A yes.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The role.
    pub role: RoleName,
    /// Roles it may connect to.
    pub connect: Vec<RoleName>,
    /// Ports it may take connections on.
    pub listen: Vec<u16>,
    /// Secrets it may be given.
    pub secrets: Vec<String>,
    /// Who besides programs may connect to it.
    pub outsiders: Vec<Outsider>,
    /// Last second of the grant.
    pub not_after: Time,
    /// Digests of the policies that agreed.
    pub policies: Vec<ContentDigest>,
    /// Why, under the first of them.
    pub proof: Proof,
    /// It rests on development evidence.
    pub development: bool,
}

/// The answer. Exhaustive: a new outcome must be thought of by whoever reads one.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Yes.
    Granted(Box<Grant>),
    /// No, for these reasons.
    Refused(Vec<Refusal>),
}

fn no(
    rule: &'static str,
    expected: impl Into<String>,
    got: impl Into<String>,
    advice: &str,
) -> Refusal {
    Refusal { rule, expected: expected.into(), got: got.into(), advice: advice.to_owned() }
}

/// Decides under every policy of the set.
///
/// 1. at least one policy, 2. nothing revoked, 3. each policy by itself, 4. one role for all, 5. what all permit.
#[must_use]
pub fn decide(
    policies: &[&PolicyInForce],
    program: &Authentic<ProgramFacts>,
    hardware: &Authentic<HardwareFacts>,
    context: &Context<'_>,
) -> Decision {
    // 1
    let Some(first) = policies.first() else {
        return Decision::Refused(vec![no(
            "policy",
            "at least one policy in force",
            "none",
            "sign a policy and start again",
        )]);
    };
    // 2
    let mut refusals = revoked(program.facts(), context);
    if !holds("decision_window", context.now <= program.holds_until()) {
        refusals.push(no(
            "window",
            format!("evidence in force at {}", context.now),
            format!("it ended {}", program.holds_until()),
            "send fresh evidence",
        ));
    }
    // 3
    let mut proved = Vec::new();
    for policy in policies {
        match under(policy, program, hardware, context) {
            Ok(found) => proved.push((*policy, found)),
            Err(more) => refusals.extend(more),
        }
    }
    if !holds("all_policies_agree", refusals.is_empty()) || proved.is_empty() {
        return Decision::Refused(refusals);
    }
    // 4
    let Some((_, (named, proof))) = proved.first() else { return Decision::Refused(refusals) };
    let role = named.role.clone();
    let differs = |p: &Program| !holds("one_role", p.role == role);
    if let Some((_, (other, _))) = proved.iter().find(|(_, (p, _))| differs(p)) {
        return Decision::Refused(vec![no(
            "role",
            format!("{role}, as {} says", first.policy().domain),
            other.role.as_str(),
            "the owners' policies must name one role",
        )]);
    }
    // 5
    let all =
        |action: &Action<'_>| proved.iter().all(|(p, _)| p.permissions().permits(&role, action));
    let grant = Grant {
        connect: named
            .connect
            .iter()
            .filter(|r| all(&Action::Connect(r.as_str())))
            .cloned()
            .collect(),
        listen: named.listen.iter().filter(|p| all(&Action::Listen(**p))).copied().collect(),
        outsiders: named.outsiders.iter().filter(|o| all(&Action::Serve(**o))).copied().collect(),
        secrets: named.secrets.iter().filter(|s| all(&Action::Read(s))).cloned().collect(),
        not_after: program.holds_until().min(context.now.plus_secs(LIFE_SECS_MAX)),
        policies: proved.iter().map(|(p, _)| p.digest()).collect(),
        proof: proof.clone(),
        development: program.facts().monitor.hardware.kind.is_development(),
        role,
    };
    Decision::Granted(Box::new(grant))
}

fn revoked(facts: &ProgramFacts, context: &Context<'_>) -> Vec<Refusal> {
    let monitor = &facts.monitor;
    let program = facts.statement.program.measurement;
    let mut what = vec![
        (Revoked::Measurement(program), format!("program {program}")),
        (
            Revoked::StatementKey(monitor.statement_key),
            format!("monitor key {}", monitor.statement_key),
        ),
    ];
    what.extend(
        monitor
            .hardware
            .machine
            .iter()
            .map(|m| (Revoked::Machine(m.clone()), format!("machine {m}"))),
    );
    what.into_iter()
        .filter(|(w, _)| context.revocations.contains(w))
        .map(|(_, text)| {
            no(
                "revocation",
                "nothing revoked",
                format!("{text}, revoked"),
                "add the repaired program, or ask the owners why",
            )
        })
        .collect()
}

fn under<'p>(
    policy: &'p PolicyInForce,
    program: &Authentic<ProgramFacts>,
    hardware: &Authentic<HardwareFacts>,
    context: &Context<'_>,
) -> Result<(&'p Program, Proof), Vec<Refusal>> {
    let facts = program.facts();
    let (kind, content) = (facts.monitor.hardware.kind, policy.policy());
    let Some(stated) = content.hardware.iter().find(|h| h.kind == kind) else {
        let taken =
            content.hardware.iter().map(|h| h.kind.as_str()).collect::<Vec<_>>().join(" or ");
        let advice = if kind.is_development() {
            "this is development evidence: run the program on hardware the policy names"
        } else {
            "name this kind under [hardware] if it is meant"
        };
        return Err(vec![no(
            "hardware kind",
            if taken.is_empty() { "none" } else { &taken },
            kind.as_str(),
            advice,
        )]);
    };
    let Some(profile) = profile(stated) else {
        return Err(vec![no(
            "profile",
            "a shipped profile",
            stated.profile.as_str(),
            "`casemate policy show` lists them",
        )]);
    };
    let verdict = appraise(hardware, Some(&facts.statement), &profile);
    let mut refusals = failures(&verdict);
    match role(content.programs.as_slice(), facts, context) {
        Ok(found) if refusals.is_empty() => {
            Ok((found, prove(found, facts, &verdict, stated, context)))
        }
        Ok(_) => Err(refusals),
        Err(more) => {
            refusals.push(more);
            Err(refusals)
        }
    }
}

fn failures(verdict: &Verdict) -> Vec<Refusal> {
    let failed = |c: &evidence::Check| {
        no(
            "hardware",
            format!("{} as profile {} states it", c.name, verdict.profile()),
            c.detail.as_str(),
            "run on a machine the policy takes, or change the policy",
        )
    };
    let mut out = verdict.failures().map(failed).collect::<Vec<_>>();
    if out.is_empty() && !verdict.is_accepted() {
        out.push(no(
            "hardware",
            "every check made",
            "a check was skipped",
            "supply what it needs, or waive it in words",
        ));
    }
    out
}

/// The role a program is trusted for: from the policy, by measurement, kind and place.
fn role<'p>(
    programs: &'p [Program],
    facts: &ProgramFacts,
    context: &Context<'_>,
) -> Result<&'p Program, Refusal> {
    let (measured, kind) = (facts.statement.program.measurement, facts.monitor.hardware.kind);
    let known = programs
        .iter()
        .filter(|p| holds("role_measurement", p.measurements.contains(&measured)))
        .collect::<Vec<_>>();
    if known.is_empty() {
        return Err(no(
            "program",
            "a measurement the policy trusts",
            measured.to_string(),
            "`casemate add` it if it is meant to run",
        ));
    }
    let here = known
        .iter()
        .filter(|p| holds("role_kind", p.on.contains(&kind)))
        .filter(|p| holds("role_place", p.places.is_empty()))
        .copied()
        .collect::<Vec<_>>();
    if here.is_empty() {
        let wanted =
            known.iter().flat_map(|p| &p.on).map(|k| k.as_str()).collect::<Vec<_>>().join(" or ");
        let place = if known.iter().any(|p| !p.places.is_empty()) {
            ", in a place the evidence proves"
        } else {
            ""
        };
        return Err(no(
            "program.on",
            format!("{wanted}{place}"),
            kind.as_str(),
            "run it where the policy says",
        ));
    }
    match (context.narrow, here.as_slice()) {
        (None, [one]) => Ok(one),
        (None, _) => Err(no("role", "one role, or a request that names one of them", "several roles", "ask for one role")),
        (Some(asked), _) => here
            .iter()
            .find(|p| p.role.as_str() == asked)
            .copied()
            .ok_or_else(|| no("role", here.iter().map(|p| p.role.as_str()).collect::<Vec<_>>().join(" or "), asked, "a request may narrow, not choose: the policy gives this role to another program")),
    }
}

fn prove(
    found: &Program,
    facts: &ProgramFacts,
    verdict: &Verdict,
    stated: &crate::policy::Hardware,
    context: &Context<'_>,
) -> Proof {
    let (monitor, program) = (&facts.monitor, &facts.statement.program);
    let kind = monitor.hardware.kind.as_str();
    let (key, leaf) = (monitor.statement_key.to_string(), context.leaf.to_string());
    let measured = program.measurement.to_string();
    let machine =
        monitor.hardware.machine.as_ref().map_or_else(|| "unnamed".to_owned(), ToString::to_string);
    let step = |rule, premises: &[usize], parts: &[&str]| Step {
        rule,
        premises: premises.to_vec(),
        conclusion: Term::new(parts),
    };
    debug_assert!(verdict.is_accepted(), "nothing is proved from a refused verdict");
    Proof(vec![
        step(Rule::Policy, &[], &["policy-takes-hardware", kind, &stated.profile]),
        step(
            Rule::Evidence,
            &[],
            &["evidence-shows-machine", kind, &monitor.hardware.measurement.to_string(), &machine],
        ),
        step(Rule::Genuine, &[0, 1], &["machine-genuine", kind]),
        step(Rule::Evidence, &[], &["evidence-binds-monitor", &key]),
        step(Rule::Monitor, &[2, 3], &["monitor-trusted", &key]),
        step(
            Rule::Evidence,
            &[],
            &["monitor-states", &key, &measured, program.isolation.as_str(), &leaf],
        ),
        step(Rule::Speaks, &[4, 5], &["key-speaks-for-program", &leaf, &measured]),
        step(Rule::Policy, &[], &["policy-trusts", &measured, found.role.as_str(), kind]),
        step(Rule::Role, &[6, 7, 2], &["key-speaks-for-role", &leaf, found.role.as_str()]),
    ])
}

#[cfg(test)]
mod tests;
