//! Decisions over real objects: a software machine's report, a monitor's statement, signed policies.

use super::*;
use crate::genesis::Genesis;
use crate::names::DomainName;
use crate::policy::{Hardware, Policy};
use crate::revocation::Revocation;
use crate::signing::{Namespace, Signed, Signers, SigningKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use evidence::appraise::Machines;
use evidence::controls::without;
use evidence::layered::{verify_monitor, verify_program};
use evidence::software::{self, Endorsement, Report, layout};
use evidence::statement::{self, Anchor, HostOs, LimitsBy, ProgramState, Purpose, Statement};
use evidence::*;

const NOW: Time = Time::from_unix(1_800_000_000);
const IMAGE: Measurement = Measurement::new([7; 48]);

fn pair(n: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap()
}

fn public(n: u8) -> StatementKey {
    StatementKey::from_slice(pair(n).public_key().as_ref()).unwrap()
}

fn cose(n: u8, label: &str, payload: Vec<u8>) -> Vec<u8> {
    let signature = pair(n).sign(&cose::to_be_signed(label, &payload)).as_ref().to_vec();
    cose::assemble(payload, signature)
}

fn owner() -> SigningKey {
    SigningKey::from_seed([1; 32]).unwrap()
}

fn genesis() -> Genesis {
    let signers = Signers::new(1, &[owner().public_openssh().unwrap()]).unwrap();
    Genesis::new(DomainName::new("shop").unwrap(), signers, [0; 32])
}

fn program(role: &str, measured: u8) -> Program {
    Program {
        role: RoleName::new(role).unwrap(),
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

pub(crate) fn policy(change: impl FnOnce(&mut Policy)) -> PolicyInForce {
    let g = genesis();
    let hardware = Hardware {
        kind: Kind::Software,
        profile: String::new(),
        roots: vec![software::chain::root_digest(&public(2))],
        machines: Machines::AnyGenuine,
        images: vec![IMAGE],
        isolation: vec![Isolation::Software],
        host: vec![HostOs::Mutable],
    };
    let mut p = Policy {
        domain: g.domain.clone(),
        root: g.root(),
        version: 1,
        previous: None,
        hardware: vec![hardware],
        programs: vec![program("web", 0x11), program("api", 0x22)],
        issuers: Vec::new(),
        places: Vec::new(),
    };
    change(&mut p);
    in_force(&p, None).unwrap()
}

fn sign(payload: Vec<u8>, namespace: Namespace) -> Signed {
    let signatures = vec![owner().sign(namespace, &payload).unwrap()];
    Signed { payload, signatures }
}

fn in_force(
    p: &Policy,
    before: Option<&PolicyInForce>,
) -> Result<PolicyInForce, crate::policy::PolicyError> {
    PolicyInForce::verify(&sign(p.encode(), Namespace::Policy), &genesis(), before)
}

struct Facts {
    hardware: Authentic<HardwareFacts>,
    program: Authentic<ProgramFacts>,
    key: StatementKey,
}

/// What a monitor on a genuine software machine says of a program that measures `measured`.
fn facts(measured: u8) -> Facts {
    let root = genesis().root();
    let window = Window { not_before: NOW.plus_secs(-60), not_after: NOW.plus_secs(600) };
    let endorsement = Endorsement { machine: [3; 32], report_key: public(4), window };
    let binding =
        MonitorBinding { domain: root, statement_key: public(5), nonce: Nonce::new([6; 32]) };
    let report = Report {
        machine: [3; 32],
        measurement: IMAGE,
        report_data: binding.fill64(),
        host_data: *root.as_bytes(),
    };
    let evidence = HardwareEvidence {
        kind: Kind::Software,
        report: cose(4, layout::REPORT_LABEL, report.encode()),
        endorsements: vec![
            cose(2, layout::ENDORSEMENT_LABEL, endorsement.encode()),
            public(2).as_bytes().to_vec(),
        ],
    };
    let hardware =
        software::verify(&evidence, &[software::chain::root_digest(&public(2))], NOW).unwrap();
    let monitor = verify_monitor(&hardware, &binding).unwrap();
    let end = |b: u8| End {
        domain: Some(root),
        spki: Some(SpkiDigest::new([b; 32])),
        nonce: Nonce::new([b; 32]),
    };
    let session = Session {
        exporter: Exporter::new([3; 32]),
        cipher_suite: 1,
        group: 2,
        inner_protocol: "x".into(),
    };
    let claims = ContentDigest::of(b"");
    let binder = Binder {
        kind: BinderKind::Admission,
        side: Side::Client,
        client: end(1),
        server: end(2),
        session,
        claims,
    };
    let state = ProgramState {
        measurement: Measurement::new([measured; 48]),
        isolation: Isolation::Software,
        host: HostOs::Mutable,
        limits: LimitsBy::Rlimit,
        anchor: Anchor::Unprotected,
        open: Vec::new(),
    };
    let purpose = Purpose::Binder(BinderKind::Admission);
    let statement = Statement { purpose, domain: root, program: state, binder: binder.digest() };
    let signed = cose(5, statement::LABEL, statement.encode());
    let program = verify_program(&monitor, &signed, &binder).unwrap();
    Facts { hardware, program, key: public(5) }
}

fn ask(
    policies: &[&PolicyInForce],
    f: &Facts,
    narrow: Option<&str>,
    revocations: &Revocations,
    now: Time,
) -> Decision {
    let claims = &crate::Claims::new();
    let context = Context { now, leaf: SpkiDigest::new([1; 32]), narrow, revocations, claims };
    decide(policies, &f.program, &f.hardware, &context)
}

fn granted(d: Decision) -> Grant {
    match d {
        Decision::Granted(g) => *g,
        Decision::Refused(r) => panic!("{r:?}"),
    }
}

fn rules(d: Decision) -> Vec<&'static str> {
    match d {
        Decision::Granted(g) => panic!("granted as {}", g.role),
        Decision::Refused(r) => r.iter().map(|r| r.rule).collect(),
    }
}

fn plain(policies: &[&PolicyInForce], f: &Facts) -> Decision {
    ask(policies, f, None, &Revocations::default(), NOW)
}

#[test]
fn a_program_gets_the_role_the_policy_gives_its_measurement() {
    let grant = granted(plain(&[&policy(|_| {})], &facts(0x11)));
    assert_eq!(
        (grant.role.as_str(), grant.listen.as_slice(), grant.development),
        ("web", [80].as_slice(), true)
    );
    assert!(grant.not_after <= NOW.plus_secs(600), "a grant outlives the endorsement it rests on");
    assert_eq!(Proof::decode(&grant.proof.encode()), Some(grant.proof));
}

#[test]
fn every_reason_to_refuse_refuses_for_that_reason() {
    let f = facts(0x11);
    type Change = fn(&mut Policy);
    let cases: [(Change, &str); 8] = [
        (|p| p.programs[0].measurements = vec![Measurement::new([9; 48])], "program"),
        (|p| p.programs[0].places = vec!["eu".into()], "program.in"),
        (|p| p.hardware.clear(), "hardware kind"),
        (|p| p.hardware[0].roots = vec![RootDigest::new([9; 32])], "hardware"),
        (|p| p.hardware[0].images = vec![Measurement::new([9; 48])], "hardware"),
        (
            |p| p.hardware[0].machines = Machines::Only(vec![MachineId::new(&[9; 32]).unwrap()]),
            "hardware",
        ),
        (|p| p.hardware[0].isolation = vec![Isolation::MachineExclusive], "hardware"),
        (|p| p.hardware[0].host = vec![HostOs::Measured], "hardware"),
    ];
    for (n, (change, rule)) in cases.into_iter().enumerate() {
        assert_eq!(rules(plain(&[&policy(change)], &f)), [rule], "case {n}");
    }
    assert_eq!(rules(plain(&[], &f)), ["policy"]);
}

#[test]
fn a_machine_is_matched_whole_and_never_by_its_beginning() {
    let f = facts(0x11);
    let only = |id: &[u8]| {
        let id = MachineId::new(id).unwrap();
        policy(|p| p.hardware[0].machines = Machines::Only(vec![id]))
    };
    granted(plain(&[&only(&[3; 32])], &f));
    assert_eq!(rules(plain(&[&only(&[3; 31])], &f)), ["hardware"]);
}

#[test]
fn a_request_narrows_and_never_chooses() {
    let (f, p) = (facts(0x11), policy(|_| {}));
    let asked = |role| ask(&[&p], &f, Some(role), &Revocations::default(), NOW);
    granted(asked("web"));
    assert_eq!(rules(asked("api")), ["role"]);
    let both = policy(|p| p.programs[1].measurements = vec![Measurement::new([0x11; 48])]);
    assert_eq!(rules(plain(&[&both], &f)), ["role"], "two roles and none named");
    assert_eq!(
        granted(ask(&[&both], &f, Some("api"), &Revocations::default(), NOW)).role.as_str(),
        "api"
    );
}

#[test]
fn all_policies_of_a_set_must_agree() {
    let f = facts(0x11);
    let (yes, no) = (policy(|_| {}), policy(|p| p.programs.truncate(0)));
    granted(plain(&[&yes, &yes], &f));
    assert_eq!(rules(plain(&[&yes, &no], &f)), ["program"]);
    assert_eq!(rules(plain(&[&no, &yes], &f)), ["program"]);
    granted(without("all_policies_agree", || plain(&[&yes, &no], &f)));
    let narrower = policy(|p| p.programs[0].listen.clear());
    assert!(
        granted(plain(&[&yes, &narrower], &f)).listen.is_empty(),
        "a permission only one policy gives"
    );
}

#[test]
fn what_is_revoked_is_refused() {
    let f = facts(0x11);
    for revoked in [
        Revoked::Measurement(Measurement::new([0x11; 48])),
        Revoked::StatementKey(f.key),
        Revoked::Machine(MachineId::new(&[3; 32]).unwrap()),
    ] {
        let mut revocations = Revocations::default();
        let payload = Revocation { domain: genesis().root(), epoch: 1, revoked }.encode();
        let signed = sign(payload, Namespace::Revocation);
        revocations.add(signed.clone(), &genesis()).unwrap();
        let asked = || ask(&[&policy(|_| {})], &f, None, &revocations, NOW);
        assert_eq!(rules(asked()), ["revocation"]);
        granted(without("revoked", asked));
        assert!(revocations.add(signed, &genesis()).is_err(), "the same number twice");
    }
}

#[test]
fn a_decision_ends_with_the_evidence_it_rests_on() {
    let (f, p) = (facts(0x11), policy(|_| {}));
    let at = |secs| ask(&[&p], &f, None, &Revocations::default(), NOW.plus_secs(secs));
    granted(at(600));
    assert_eq!(rules(at(601)), ["window"]);
    granted(without("decision_window", || at(601)));
}

#[test]
fn an_older_a_forked_and_a_foreign_policy_are_refused() {
    use crate::policy::PolicyError;
    let one = policy(|_| {});
    let mut two = one.policy().clone();
    (two.version, two.previous) = (2, Some(one.digest()));
    let two = in_force(&two, Some(&one)).unwrap();
    assert!(matches!(
        in_force(one.policy(), Some(&two)),
        Err(PolicyError::Version { expected: 3, got: 1 })
    ));
    assert!(
        without("policy_version", || without_chain(one.policy(), &two)).is_err(),
        "the chain refuses as well"
    );
    let mut fork = one.policy().clone();
    fork.programs.clear();
    assert!(matches!(
        in_force(&fork, Some(&one)),
        Err(PolicyError::Equivocation { version: 1, .. })
    ));
    let mut foreign = one.policy().clone();
    foreign.root = DomainRoot::new([9; 32]);
    assert!(matches!(in_force(&foreign, None), Err(PolicyError::Domain { .. })));
    assert!(without("policy_domain", || in_force(&foreign, None)).is_ok());
}

fn without_chain(
    p: &Policy,
    before: &PolicyInForce,
) -> Result<PolicyInForce, crate::policy::PolicyError> {
    in_force(p, Some(before))
}

#[test]
fn another_genesis_than_the_pinned_one_is_refused() {
    use crate::genesis::GenesisError;
    let g = genesis();
    let other = DomainRoot::new([9; 32]);
    assert!(Genesis::pinned(&g.encode(), g.root()).is_ok());
    let attack = || Genesis::pinned(&g.encode(), other);
    assert!(matches!(attack(), Err(GenesisError::Root { .. })));
    assert!(without("genesis_root", attack).is_ok());
}

#[test]
fn an_endorsement_of_another_domain_or_time_is_refused() {
    use crate::endorsement::{AuthorityEndorsement, EndorsedAuthority, EndorsementError};
    let g = genesis();
    let window = Window { not_before: NOW, not_after: NOW.plus_secs(10) };
    let endorse = |domain, secs| {
        let e = AuthorityEndorsement {
            domain,
            ca: SpkiDigest::new([1; 32]),
            log: "x".into(),
            measurement: IMAGE,
            audit: evidence::AuditKey::new([6; 32]),
            secrets: evidence::SecretsKey::new([7; 32]),
            window,
        };
        EndorsedAuthority::verify(
            &sign(e.encode(), Namespace::Endorsement),
            &g,
            NOW.plus_secs(secs),
        )
    };
    let good = [-1, 0, 10, 11].map(|secs| endorse(g.root(), secs).is_ok());
    assert_eq!(good, [false, true, true, false]);
    assert!(matches!(endorse(g.root(), 11), Err(EndorsementError::Window { .. })));
    assert!(without("endorsement_window", || endorse(g.root(), 11)).is_ok());
    let foreign = || endorse(DomainRoot::new([9; 32]), 0);
    assert!(matches!(foreign(), Err(EndorsementError::Domain { .. })));
    assert!(without("endorsement_domain", foreign).is_ok());
}

#[test]
fn a_revocation_of_another_domain_or_out_of_order_is_refused() {
    use crate::revocation::RevocationError;
    let add = |domain, epoch| {
        let payload = Revocation { domain, epoch, revoked: Revoked::Measurement(IMAGE) }.encode();
        Revocations::default().add(sign(payload, Namespace::Revocation), &genesis()).map(drop)
    };
    let foreign = || add(DomainRoot::new([9; 32]), 1);
    assert!(matches!(foreign(), Err(RevocationError::Domain { .. })));
    assert!(without("revocation_domain", foreign).is_ok());
    let gap = || add(genesis().root(), 2);
    assert!(matches!(gap(), Err(RevocationError::Epoch { expected: 1, got: 2 })));
    assert!(without("revocation_epoch", gap).is_ok());
}
