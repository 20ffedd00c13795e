//! SEV-SNP: agreement with every captured case, each refusal for its own reason, and what certificates cannot do.

use evidence::appraise::{HardwareProfile, Knobs, Machines, appraise};
use evidence::controls::without;
use evidence::snp::{self, PINNED_ROOTS, SnpRefusal};
use evidence::statement::HostOs;
use evidence::{Detail, Isolation, Kind, Time};

use crate::corpus::{self, Case};

fn verify(case: &Case) -> Result<evidence::Authentic<evidence::HardwareFacts>, SnpRefusal> {
    snp::verify(&case.evidence, &PINNED_ROOTS, case.at)
}

fn forensic(case: &Case) -> HardwareProfile {
    let m = case.json["expected"]["measurement"].as_str().and_then(evidence::Measurement::from_hex);
    HardwareProfile {
        id: "forensic-2026-11".into(),
        kind: Kind::Snp,
        roots: PINNED_ROOTS.to_vec(),
        machines: Machines::AnyGenuine,
        images: m.into_iter().collect(),
        isolation: vec![Isolation::MachineExclusive],
        host: vec![HostOs::Measured],
        knobs: Knobs::Snp(Box::new(snp::Knobs::shipped("forensic-2026-11").unwrap().clone())),
    }
}

/// The word of the corpus for each refusal.
fn class(refusal: &SnpRefusal) -> &'static str {
    match refusal {
        SnpRefusal::ReportSignature => "report_signature_invalid",
        SnpRefusal::ChainSignature { name: "VEK", .. } => "vek_certificate_signature_invalid",
        SnpRefusal::Expired { name: "VEK", .. } => "vek_certificate_expired",
        _ => "other",
    }
}

#[test]
fn every_captured_case_is_judged_as_it_was_established() {
    for case in corpus::snp() {
        let expected = &case.json["expected"];
        let got = verify(&case);
        assert_eq!(
            got.is_ok(),
            expected["authentic"].as_bool().unwrap(),
            "{}: {:?}",
            case.id,
            got.err()
        );
        match got {
            Ok(facts) => {
                let verdict = appraise(&facts, None, &forensic(&case));
                assert_eq!(
                    verdict.is_accepted(),
                    expected["verdict"] == "valid",
                    "{}: {verdict:?}",
                    case.id
                );
                fields(&case, facts.facts());
            }
            Err(refusal) => {
                let reason = expected["reason"].as_str().unwrap();
                // A Genoa key under the Milan chain is refused where the Milan ASK did not sign it.
                let wanted = if reason.starts_with("chain_invalid") {
                    "vek_certificate_signature_invalid"
                } else {
                    reason
                };
                assert_eq!(class(&refusal), wanted, "{}: {refusal}", case.id);
            }
        }
        for also in case.json["also"].as_array().unwrap() {
            let at = Time::parse_rfc3339(also["verify_at"].as_str().unwrap()).unwrap();
            let got = snp::verify(&case.evidence, &PINNED_ROOTS, at);
            assert_eq!(got.is_ok(), also["verdict"] == "valid", "{} at {at}", case.id);
        }
    }
}

fn fields(case: &Case, facts: &evidence::HardwareFacts) {
    let expected = &case.json["expected"];
    let Detail::Snp(f) = &facts.detail else { panic!("not SNP") };
    let (r, hex) = (&f.report, |b: &[u8]| hex::encode(b));
    let text = |name: &str, got: String| {
        assert_eq!(expected[name].as_str().unwrap(), got, "{} {name}", case.id)
    };
    text("measurement", facts.measurement.to_string());
    text("report_data", facts.report_data.to_string());
    text("host_data", hex(&r.host_data));
    text("chip_id", hex(&r.chip_id));
    text("report_id", hex(&r.report_id));
    text("id_key_digest", hex(&r.id_key_digest));
    text("author_key_digest", hex(&r.author_key_digest));
    text("policy", format!("{:#x}", r.policy));
    text("platform_info", format!("{:#x}", r.platform_info));
    text("signing_key", format!("{:?}", f.signing_key).to_uppercase());
    assert_eq!(expected["version"], r.version, "{}", case.id);
    assert_eq!(expected["vmpl"], r.vmpl, "{}", case.id);
    assert_eq!(expected["guest_svn"], r.guest_svn, "{}", case.id);
    assert_eq!(expected["debug"], facts.debug, "{}", case.id);
    let tcbs = [
        ("current_tcb", f.current_tcb),
        ("reported_tcb", f.reported_tcb),
        ("committed_tcb", f.committed_tcb),
        ("launch_tcb", f.launch_tcb),
    ];
    for (name, tcb) in tcbs {
        let e = &expected["tcb"][name];
        assert_eq!(e["bootloader"], tcb.bootloader, "{} {name}", case.id);
        assert_eq!(e["tee"], tcb.tee, "{} {name}", case.id);
        assert_eq!(e["snp"], tcb.snp, "{} {name}", case.id);
        assert_eq!(e["microcode"], tcb.microcode, "{} {name}", case.id);
        if let Some(fmc) = tcb.fmc {
            assert_eq!(e["fmc"], fmc, "{} {name}", case.id);
        }
    }
}

fn genuine(id: &str) -> Option<Case> {
    let found = corpus::snp().into_iter().find(|c| c.id == id);
    if found.is_none() {
        println!("skipped: {id} is not there");
    }
    found
}

#[test]
fn every_flipped_bit_of_what_is_signed_and_of_the_signature_is_refused() {
    for id in ["snp/milan-v3-microsoft", "snp/genoa-v3-microsoft", "snp/turin-v5-microsoft"] {
        let Some(case) = genuine(id) else { return };
        // The signed part is bytes 0 to 0x2a0, R and S follow in 2 × 72 bytes; the last 368 bytes are reserved, unsigned.
        for byte in (0..0x2a0 + 144).step_by(5) {
            let mut evidence = case.evidence.clone();
            evidence.report[byte] ^= 1 << (byte % 8);
            assert!(snp::verify(&evidence, &PINNED_ROOTS, case.at).is_err(), "{id} byte {byte:#x}");
        }
    }
}

#[test]
fn a_report_cut_or_extended_is_refused_by_its_length() {
    let Some(case) = genuine("snp/milan-v3-microsoft") else { return };
    for len in [0, 1, 0x29f, 0x4a0 - 1, 0x4a0 + 1] {
        let mut evidence = case.evidence.clone();
        evidence.report.resize(len, 0);
        let refused = snp::verify(&evidence, &PINNED_ROOTS, case.at).unwrap_err();
        assert_eq!(refused, SnpRefusal::Length { expected: 0x4a0, got: len });
    }
}

#[test]
fn a_chain_that_only_names_the_trusted_issuer_is_refused() {
    // Certifier A1: a certificate whose issuer's name is right and whose signature is not.
    let Some(case) = genuine("snp/milan-v3-microsoft") else { return };
    let mut evidence = case.evidence.clone();
    let last = evidence.endorsements[2].len() - 1;
    evidence.endorsements[2][last] ^= 1;
    let attack = || snp::verify(&evidence, &PINNED_ROOTS, case.at);
    assert_eq!(
        attack().unwrap_err(),
        SnpRefusal::ChainSignature { name: "VEK", issuer: "the ASK" }
    );
    assert!(without("snp_chain_signature", attack).is_ok());
}

#[test]
fn a_root_that_is_not_pinned_is_refused() {
    let Some(case) = genuine("snp/milan-v3-microsoft") else { return };
    let attack = || snp::verify(&case.evidence, &PINNED_ROOTS[1..], case.at);
    assert!(matches!(attack(), Err(SnpRefusal::UntrustedRoot(_))));
    assert!(without("snp_pinned_root", attack).is_ok());
}

#[test]
fn another_chips_key_is_refused_by_the_chip_id_or_signature() {
    let (Some(a), Some(b)) = (genuine("snp/milan-v3-microsoft"), genuine("snp/milan-v3-oak-a"))
    else {
        return;
    };
    let mut evidence = a.evidence.clone();
    evidence.endorsements[2] = b.evidence.endorsements[2].clone();
    let attack = || snp::verify(&evidence, &PINNED_ROOTS, a.at);
    assert_eq!(attack().unwrap_err(), SnpRefusal::ReportSignature);
    // Even without the signature check the certificate's chip is not the report's.
    assert_eq!(without("snp_report_signature", attack).unwrap_err(), SnpRefusal::ChipId);
}

#[test]
fn missing_certificates_are_named() {
    let Some(case) = genuine("snp/milan-v3-microsoft") else { return };
    for (at, name) in [(0, "ARK"), (1, "ASK or ASVK"), (2, "VCEK or VLEK")] {
        let mut evidence = case.evidence.clone();
        evidence.endorsements.remove(at);
        assert_eq!(
            snp::verify(&evidence, &PINNED_ROOTS, case.at).unwrap_err(),
            SnpRefusal::Missing(name)
        );
    }
}

#[test]
fn windows_are_checked_at_both_ends() {
    let Some(case) = genuine("snp/milan-v3-microsoft") else { return };
    let at = |t: &str, plus| {
        snp::verify(&case.evidence, &PINNED_ROOTS, Time::parse_rfc3339(t).unwrap().plus_secs(plus))
            .is_ok()
    };
    let (from, to) = (
        case.json["vek"]["not_before"].as_str().unwrap(),
        case.json["vek"]["not_after"].as_str().unwrap(),
    );
    assert_eq!([at(from, -1), at(from, 0), at(to, 0), at(to, 1)], [false, true, true, false]);
}

#[test]
fn the_debug_bit_is_bit_nineteen_and_refused() {
    // Certifier A8 read it one bit off.
    let Some(case) = genuine("snp/milan-v2-debug-policy") else { return };
    let facts = verify(&case).unwrap();
    assert!(facts.facts().debug);
    let failed = |v: &evidence::appraise::Verdict| v.failures().map(|c| c.name).collect::<Vec<_>>();
    let verdict = appraise(&facts, None, &forensic(&case));
    assert_eq!(failed(&verdict), ["snp_debug"]);
    assert!(without("snp_debug", || appraise(&facts, None, &forensic(&case))).is_accepted());
}

#[test]
fn the_production_profile_refuses_milan_by_family_and_old_firmware_by_component() {
    let profile = |case: &Case| HardwareProfile {
        knobs: Knobs::Snp(Box::new(snp::Knobs::shipped("snp-2026-11").unwrap().clone())),
        ..forensic(case)
    };
    for (id, name) in
        [("snp/milan-v3-microsoft", "snp_family"), ("snp/genoa-v2-oak", "snp_reported_tcb")]
    {
        let Some(case) = genuine(id) else { return };
        let verdict = appraise(&verify(&case).unwrap(), None, &profile(&case));
        assert!(verdict.failures().any(|c| c.name == name), "{id}: {verdict:?}");
    }
}
