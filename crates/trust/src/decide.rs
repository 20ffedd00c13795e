//! Decisions: does this key, of this program, on this machine, speak for a role, and what may it do?
//!
//! A decision takes a set of policies and all must agree (I13). The role comes from the policy, never from the
//! request, which can only narrow (I5). Nothing lives longer than what it rests on (I6).

mod role;

use evidence::appraise::{Verdict, appraise};
use evidence::controls::holds;
use evidence::layered::ProgramFacts;
use evidence::{Authentic, ContentDigest, HardwareFacts, SpkiDigest, Time};

use crate::claims::Claims;
use crate::infer::{Held, Node, Search, Why, number};
use crate::names::RoleName;
use crate::permission::Action;
use crate::policy::{Hardware, Outsider, PolicyInForce, Program};
use crate::profiles::profile;
use crate::proof::{Proof, Rule};
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
    /// What those say whom policies let speak.
    pub claims: &'a Claims,
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
    /// The claims that proof rests on, as they came.
    pub claims: Vec<Vec<u8>>,
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
    let Some((_, found)) = proved.first() else { return Decision::Refused(refusals) };
    let (named, role) = (found.program, found.program.role.clone());
    let differs = |p: &Program| !holds("one_role", p.role == role);
    if let Some((_, other)) = proved.iter().find(|(_, f)| differs(f.program)) {
        return Decision::Refused(vec![no(
            "role",
            format!("{role}, as {} says", first.policy().domain),
            other.program.role.as_str(),
            "the owners' policies must name one role",
        )]);
    }
    // 5
    let proof = found.held.why.proof();
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
        not_after: proved
            .iter()
            .map(|(_, f)| f.held.until)
            .fold(program.holds_until().min(context.now.plus_secs(LIFE_SECS_MAX)), Time::min),
        policies: proved.iter().map(|(p, _)| p.digest()).collect(),
        claims: claims_of(&proof, context.claims),
        proof,
        development: program.facts().monitor.hardware.kind.is_development(),
        role,
    };
    Decision::Granted(Box::new(grant))
}

/// The claims a proof names, each once.
fn claims_of(proof: &Proof, claims: &Claims) -> Vec<Vec<u8>> {
    let named = proof.0.iter().filter(|s| s.rule == Rule::Claim);
    let digests = named.filter_map(|s| ContentDigest::from_hex(s.conclusion.0.get(1)?));
    digests.filter_map(|d| Some(claims.get(&d)?.bytes().to_vec())).collect()
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

/// What one policy proves.
struct Found<'p> {
    program: &'p Program,
    held: Held,
}

fn under<'p>(
    policy: &'p PolicyInForce,
    program: &Authentic<ProgramFacts>,
    hardware: &Authentic<HardwareFacts>,
    context: &Context<'_>,
) -> Result<Found<'p>, Vec<Refusal>> {
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
    let search = Search::new(policy, context.claims, context.revocations, context.now);
    match role::of(policy, facts, &search, context.narrow) {
        Ok((program, role)) if refusals.is_empty() => {
            debug_assert!(verdict.is_accepted(), "nothing is proved from a refused verdict");
            let why = conclude(program, &role, facts, stated, context);
            Ok(Found { program, held: Held { until: role.until(), why } })
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

/// From hardware, monitor and trust to the role: R1 to R4, or R15 in place of R4.
fn conclude(
    program: &Program,
    role: &role::Trusted,
    facts: &ProgramFacts,
    stated: &Hardware,
    context: &Context<'_>,
) -> Why {
    let (monitor, state) = (&facts.monitor, &facts.statement.program);
    let kind = monitor.hardware.kind.as_str();
    let (key, leaf) = (monitor.statement_key.to_string(), context.leaf.to_string());
    let measured = state.measurement.to_string();
    let machine =
        monitor.hardware.machine.as_ref().map_or_else(|| "unnamed".to_owned(), ToString::to_string);
    let image = monitor.hardware.measurement.to_string();
    let taken = Node::policy(&["policy-takes-hardware", kind, &stated.profile]);
    let shown = Node::evidence(&["evidence-shows-machine", kind, &image, &machine]);
    let genuine =
        Node::new(Rule::Genuine, vec![taken, shown], &["machine-genuine", kind, &machine]);
    let bound = Node::evidence(&["evidence-binds-monitor", &key]);
    let trusted =
        Node::new(Rule::Monitor, vec![genuine.clone(), bound], &["monitor-trusted", &key]);
    let states =
        Node::evidence(&["monitor-states", &key, &measured, state.isolation.as_str(), &leaf]);
    let speaks = Node::new(
        Rule::Speaks,
        vec![trusted, states],
        &["key-speaks-for-program", &leaf, &measured],
    );
    let name = program.role.as_str();
    let mut premises = vec![speaks, role.trusted.why.clone(), genuine];
    let rule = match &role.place {
        None => {
            premises.push(Node::policy(&["policy-role", name, kind]));
            Rule::Role
        }
        Some((place, stands)) => {
            premises.push(Node::policy(&["policy-role-in", name, kind, place.as_str()]));
            premises.push(stands.why.clone());
            Rule::PlacedRole
        }
    };
    Node::new(rule, premises, &["key-speaks-for-role", &leaf, name, &number(role.until())])
}

#[cfg(test)]
pub(crate) mod tests;
