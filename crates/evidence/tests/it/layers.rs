//! Software evidence, monitors above it and their statements: each refusal for its own reason, each attack possible
//! without exactly its check.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use evidence::appraise::{HardwareProfile, Knobs, Machines, appraise};
use evidence::controls::without;
use evidence::cose::{self, CoseError};
use evidence::layered::{MonitorRefusal, verify_monitor};
use evidence::software::layout::{ENDORSEMENT_LABEL, REPORT_LABEL};
use evidence::software::{self, Endorsement, Report, SoftwareRefusal, chain::root_digest};
use evidence::statement::{
    self, Anchor, Expected, HostOs, LABEL, LimitsBy, ProgramState, Purpose, Statement,
    StatementRefusal,
};
use evidence::{
    Authentic, BinderDigest, BinderKind, DomainRoot, HardwareEvidence, HardwareFacts, Isolation,
    Kind, Measurement, MonitorBinding, Nonce, RootDigest, StatementKey, Time, Window, snp,
};

const NOW: Time = Time::from_unix(1_800_000_000);

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(key: &Ed25519KeyPair) -> StatementKey {
    StatementKey::from_slice(key.public_key().as_ref()).unwrap()
}

fn sign(key: &Ed25519KeyPair, label: &str, payload: Vec<u8>) -> Vec<u8> {
    let signature = key.sign(&cose::to_be_signed(label, &payload)).as_ref().to_vec();
    cose::assemble(payload, signature)
}

pub fn binding() -> MonitorBinding {
    MonitorBinding {
        domain: DomainRoot::new([7; 32]),
        statement_key: public(&pair(3)),
        nonce: Nonce::new([8; 32]),
    }
}

fn endorsement() -> Endorsement {
    let window = Window { not_before: NOW.plus_secs(-60), not_after: NOW.plus_secs(60) };
    Endorsement { machine: [5; 32], report_key: public(&pair(2)), window }
}

fn report() -> Report {
    Report {
        machine: [5; 32],
        measurement: Measurement::new([6; 48]),
        report_data: binding().fill64(),
        host_data: [7; 32],
    }
}

fn evidence_of(endorsement: &Endorsement, report: &Report) -> HardwareEvidence {
    let root = pair(1);
    HardwareEvidence {
        kind: Kind::Software,
        report: sign(&pair(2), REPORT_LABEL, report.encode()),
        endorsements: vec![
            sign(&root, ENDORSEMENT_LABEL, endorsement.encode()),
            public(&root).as_bytes().to_vec(),
        ],
    }
}

fn roots() -> Vec<RootDigest> {
    vec![root_digest(&public(&pair(1)))]
}

pub fn good() -> Authentic<HardwareFacts> {
    software::verify(&evidence_of(&endorsement(), &report()), &roots(), NOW).unwrap()
}

#[test]
fn software_evidence_lacking_an_endorsement_is_refused() {
    let mut evidence = evidence_of(&endorsement(), &report());
    evidence.endorsements.pop();
    let refused = software::verify(&evidence, &roots(), NOW).unwrap_err();
    assert_eq!(refused, SoftwareRefusal::Endorsements(1));
}

#[test]
fn a_software_root_that_is_not_pinned_is_refused() {
    let evidence = evidence_of(&endorsement(), &report());
    let attack = || software::verify(&evidence, &[RootDigest::new([0; 32])], NOW);
    assert_eq!(attack().unwrap_err(), SoftwareRefusal::UntrustedRoot);
    assert!(without("software_root", attack).is_ok());
}

#[test]
fn an_endorsement_or_report_by_another_key_or_under_another_label_is_refused() {
    let good = evidence_of(&endorsement(), &report());
    let forged = [
        sign(&pair(9), ENDORSEMENT_LABEL, endorsement().encode()),
        sign(&pair(1), REPORT_LABEL, endorsement().encode()),
    ];
    for forged in forged {
        let mut evidence = good.clone();
        evidence.endorsements[0] = forged;
        let attack = || software::verify(&evidence, &roots(), NOW);
        let expected = SoftwareRefusal::Endorsement(CoseError::Signature);
        assert_eq!(attack().unwrap_err(), expected);
        assert!(without("cose_signature", attack).is_ok());
    }
    for forged in [
        sign(&pair(9), REPORT_LABEL, report().encode()),
        sign(&pair(2), ENDORSEMENT_LABEL, report().encode()),
    ] {
        let evidence = HardwareEvidence { report: forged, ..good.clone() };
        let attack = || software::verify(&evidence, &roots(), NOW);
        assert_eq!(attack().unwrap_err(), SoftwareRefusal::Report(CoseError::Signature));
        assert!(without("cose_signature", attack).is_ok());
    }
}

#[test]
fn an_endorsement_is_in_force_between_its_ends_and_at_them_only() {
    let evidence = evidence_of(&endorsement(), &report());
    let at = |secs| software::verify(&evidence, &roots(), NOW.plus_secs(secs));
    assert_eq!([-61, -60, 60, 61].map(|s| at(s).is_ok()), [false, true, true, false]);
    assert!(matches!(at(61), Err(SoftwareRefusal::Expired { .. })));
    assert!(without("software_endorsement_window", || at(61)).is_ok());
}

#[test]
fn a_report_of_another_machine_than_its_endorsement_is_refused() {
    let evidence = evidence_of(&endorsement(), &Report { machine: [4; 32], ..report() });
    let attack = || software::verify(&evidence, &roots(), NOW);
    assert_eq!(attack().unwrap_err(), SoftwareRefusal::Machine);
    assert!(without("software_machine", attack).is_ok());
}

#[test]
fn a_payload_that_is_no_report_is_refused_for_its_form() {
    let mut evidence = evidence_of(&endorsement(), &report());
    evidence.report = sign(&pair(2), REPORT_LABEL, endorsement().encode());
    let refused = software::verify(&evidence, &roots(), NOW).unwrap_err();
    assert!(matches!(refused, SoftwareRefusal::Form(_)), "{refused}");
}

#[test]
fn software_evidence_under_the_production_profile_is_refused_for_the_kind() {
    let hardware = good();
    let profile = HardwareProfile {
        id: "snp-2026-11".into(),
        kind: Kind::Snp,
        roots: roots(),
        machines: Machines::AnyGenuine,
        images: vec![hardware.facts().measurement],
        isolation: vec![Isolation::Software],
        host: vec![HostOs::Mutable],
        knobs: Knobs::Snp(Box::new(snp::Knobs::shipped("snp-2026-11").unwrap().clone())),
    };
    let names = |v: &evidence::appraise::Verdict| v.failures().map(|c| c.name).collect::<Vec<_>>();
    let verdict = appraise(&hardware, None, &profile);
    assert_eq!(names(&verdict), ["hardware_kind"]);
    // The profile of the kind itself takes the same evidence; without the check, knobs still have no meaning for it.
    let own = HardwareProfile { kind: Kind::Software, knobs: Knobs::Software, ..profile.clone() };
    assert!(appraise(&hardware, None, &own).is_accepted());
    let removed = without("hardware_kind", || appraise(&hardware, None, &profile));
    assert!(!removed.is_accepted());
}

#[test]
fn a_report_for_another_key_domain_or_nonce_vouches_for_no_monitor() {
    let hardware = good();
    assert!(verify_monitor(&hardware, &binding()).is_ok());
    let others = [
        MonitorBinding { nonce: Nonce::new([0; 32]), ..binding() },
        MonitorBinding { statement_key: public(&pair(9)), ..binding() },
    ];
    for other in others {
        let attack = || verify_monitor(&hardware, &other);
        assert!(matches!(attack(), Err(MonitorRefusal::Binding { .. })));
        assert!(without("monitor_binding", attack).is_ok());
    }
    // Another domain is refused twice: by the binding, and behind it by the measured configuration.
    let other = MonitorBinding { domain: DomainRoot::new([9; 32]), ..binding() };
    let behind = without("monitor_binding", || verify_monitor(&hardware, &other));
    assert!(matches!(behind, Err(MonitorRefusal::Domain { .. })));
}

#[test]
fn a_monitor_started_for_another_domain_is_refused_though_it_binds_this_one() {
    let evidence = evidence_of(&endorsement(), &Report { host_data: [9; 32], ..report() });
    let hardware = software::verify(&evidence, &roots(), NOW).unwrap();
    let attack = || verify_monitor(&hardware, &binding());
    assert!(matches!(attack(), Err(MonitorRefusal::Domain { .. })));
    assert!(without("monitor_domain", attack).is_ok());
}

fn stated() -> Statement {
    Statement {
        purpose: Purpose::Binder(BinderKind::ChannelMonitor),
        domain: DomainRoot::new([7; 32]),
        program: ProgramState {
            measurement: Measurement::new([6; 48]),
            isolation: Isolation::Software,
            host: HostOs::Mutable,
            limits: LimitsBy::Rlimit,
            anchor: Anchor::Unprotected,
            open: vec![("PORT".into(), "6379".into())],
        },
        binder: BinderDigest::new([2; 48]),
    }
}

fn expected() -> Expected {
    let s = stated();
    Expected { purpose: s.purpose, domain: s.domain, binder: s.binder }
}

#[test]
fn a_statement_for_another_purpose_domain_or_binder_is_refused() {
    let bytes = sign(&pair(3), LABEL, stated().encode());
    let verify = |e: &Expected| statement::verify(&bytes, &public(&pair(3)), e);
    assert_eq!(verify(&expected()).unwrap(), stated());
    for kind in [BinderKind::Admission, BinderKind::ChannelProgram] {
        let e = Expected { purpose: Purpose::Binder(kind), ..expected() };
        assert!(matches!(verify(&e), Err(StatementRefusal::Purpose { .. })));
        assert!(without("statement_purpose", || verify(&e)).is_ok());
    }
    let e = Expected { purpose: Purpose::ProgramClaim, ..expected() };
    assert!(matches!(verify(&e), Err(StatementRefusal::Purpose { .. })));
    let e = Expected { domain: DomainRoot::new([1; 32]), ..expected() };
    assert!(matches!(verify(&e), Err(StatementRefusal::Domain { .. })));
    assert!(without("statement_domain", || verify(&e)).is_ok());
    let e = Expected { binder: BinderDigest::new([3; 48]), ..expected() };
    assert!(matches!(verify(&e), Err(StatementRefusal::Binder { .. })));
    assert!(without("statement_binder", || verify(&e)).is_ok());
}

#[test]
fn a_statement_by_another_key_or_label_or_with_any_bit_flipped_is_refused() {
    let key = public(&pair(3));
    let forged =
        [sign(&pair(9), LABEL, stated().encode()), sign(&pair(3), REPORT_LABEL, stated().encode())];
    for bytes in forged {
        let attack = || statement::verify(&bytes, &key, &expected());
        assert_eq!(attack().unwrap_err(), StatementRefusal::Cose(CoseError::Signature));
        assert!(without("cose_signature", attack).is_ok());
    }
    let good = sign(&pair(3), LABEL, stated().encode());
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(statement::verify(&bytes, &key, &expected()).is_err(), "bit {bit}");
    }
}

#[test]
fn a_payload_that_is_no_statement_is_refused_though_the_key_signed_it() {
    let bytes = sign(&pair(3), LABEL, report().encode());
    let refused = statement::verify(&bytes, &public(&pair(3)), &expected()).unwrap_err();
    assert!(matches!(refused, StatementRefusal::Payload(_)), "{refused}");
}
