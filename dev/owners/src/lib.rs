//! Owners, their genesis and policy, a machine of ours that serves their domain, what is decided there and the record of it.
//! Never shipped.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "read by this project's own tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a world that cannot be set up fails its test"
)]

use checker::DecisionRecord;
use evidence::appraise::Machines;
use evidence::statement::HostOs;
use evidence::{Isolation, Kind, MachineId, Measurement, Nonce, SpkiDigest, Time};
use silicon::software::Machine;
use trust::policy::{Hardware, PolicyError, PolicyInForce};
use trust::signing::{Namespace, Signed, Signers, SigningKey};
use trust::{
    Claims, Context, Decision, DomainName, Genesis, Grant, Policy, Program, Revocations, RoleName,
    decide,
};

pub const NOW: Time = Time::from_unix(1_800_000_000);

#[must_use]
pub fn owner() -> SigningKey {
    SigningKey::from_seed([1; 32]).unwrap()
}

#[must_use]
pub fn genesis() -> Genesis {
    let signers = Signers::new(1, &[owner().public_openssh().unwrap()]).unwrap();
    Genesis::new(DomainName::new("shop").unwrap(), signers, [0; 32])
}

#[must_use]
pub fn machine() -> Machine {
    Machine::new(genesis().root(), NOW)
}

#[must_use]
pub fn role(name: &str, measured: u8) -> Program {
    Program {
        role: RoleName::new(name).unwrap(),
        measurements: vec![Measurement::new([measured; 48])],
        on: vec![Kind::Software],
        places: Vec::new(),
        listen: vec![80],
        connect: Vec::new(),
        secrets: Vec::new(),
        outsiders: Vec::new(),
        releases: Vec::new(),
        builds: Vec::new(),
    }
}

/// The first version: `web` measures 0x11, `api` 0x22.
#[must_use]
pub fn policy() -> Policy {
    let g = genesis();
    let hardware = Hardware {
        kind: Kind::Software,
        profile: String::new(),
        roots: vec![machine().pin()],
        machines: Machines::AnyGenuine,
        images: vec![machine().image],
        isolation: vec![Isolation::Software],
        host: vec![HostOs::Mutable],
    };
    Policy {
        domain: g.domain.clone(),
        root: g.root(),
        version: 1,
        previous: None,
        hardware: vec![hardware],
        programs: vec![role("web", 0x11), role("api", 0x22)],
        issuers: Vec::new(),
        places: Vec::new(),
    }
}

#[must_use]
pub fn changed(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = policy();
    change(&mut policy);
    policy
}

#[must_use]
pub fn sign(namespace: Namespace, payload: Vec<u8>) -> Signed {
    let signatures = vec![owner().sign(namespace, &payload).unwrap()];
    Signed { payload, signatures }
}

/// A policy as its owners put it in force.
///
/// # Errors
/// [`PolicyError`].
pub fn in_force(
    policy: &Policy,
    before: Option<&PolicyInForce>,
) -> Result<PolicyInForce, PolicyError> {
    PolicyInForce::verify(&sign(Namespace::Policy, policy.encode()), &genesis(), before)
}

/// The id its evidence shows.
#[must_use]
pub fn machine_id() -> MachineId {
    let (hardware, _) = machine().facts(silicon::software::program(0x11), NOW);
    hardware.facts().machine.clone().unwrap()
}

/// The decision on the program measured as 0x11, asking for a role or for none.
#[must_use]
pub fn ask(policies: &[&Policy], narrow: Option<&str>) -> Decision {
    ask_with(policies, narrow, &Claims::new(), &Revocations::default())
}

/// The same, knowing claims and revocations.
#[must_use]
pub fn ask_with(
    policies: &[&Policy],
    narrow: Option<&str>,
    claims: &Claims,
    revocations: &Revocations,
) -> Decision {
    let policies = policies.iter().map(|p| in_force(p, None).unwrap()).collect::<Vec<_>>();
    let policies = policies.iter().collect::<Vec<_>>();
    let (hardware, program) = machine().facts(silicon::software::program(0x11), NOW);
    let leaf = SpkiDigest::new([1; 32]);
    let context = Context { now: NOW, leaf, narrow, revocations, claims };
    decide(&policies, &program, &hardware, &context)
}

#[must_use]
pub fn granted(decision: Decision) -> Grant {
    match decision {
        Decision::Granted(grant) => *grant,
        Decision::Refused(reasons) => panic!("{reasons:?}"),
    }
}

/// The one rule that refused, and what it wanted.
#[must_use]
pub fn refused(decision: Decision) -> (&'static str, String) {
    match decision {
        Decision::Granted(grant) => panic!("granted as {}", grant.role),
        Decision::Refused(reasons) => match reasons.as_slice() {
            [one] => (one.rule, one.expected.clone()),
            more => panic!("{more:?}"),
        },
    }
}

/// The record of granting `web` to the key whose digest is 1 repeated.
#[must_use]
pub fn record() -> DecisionRecord {
    let policy = changed(|p| {
        p.programs[0].connect = vec![RoleName::new("api").unwrap()];
        p.programs[0].secrets = vec!["db-password".into()];
    });
    record_of(&policy, granted(ask(&[&policy], None)))
}

/// The record of a grant under a policy, to the program measured as 0x11 and the key whose digest is 1 repeated.
#[must_use]
pub fn record_of(policy: &Policy, grant: Grant) -> DecisionRecord {
    let (machine, nonce) = (machine(), Nonce::new([6; 32]));
    let binder = machine.admission(1);
    DecisionRecord {
        at: NOW,
        domain: genesis().root(),
        policy: policy.encode(),
        hardware: machine.evidence(nonce),
        hardware_at: NOW,
        nonce,
        statement_key: machine.binding(nonce).statement_key,
        statement: machine.statement(&binder, silicon::software::program(0x11)),
        binder: binder.encode(),
        proof: grant.proof.encode(),
        role: grant.role.to_string(),
        connect: grant.connect.iter().map(ToString::to_string).collect(),
        listen: grant.listen,
        secrets: grant.secrets,
        claims: grant.claims,
        revocation: 0,
        not_after: grant.not_after,
    }
}
