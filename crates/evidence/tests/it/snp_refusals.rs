//! SEV-SNP: what a genuine signature does not excuse. A changed report no longer carries a signature that holds, so each
//! change is first refused for the signature and then, with only that check removed, for its own reason.

use evidence::controls::without;
use evidence::snp::{self, PINNED_ROOTS, SigningKey, SnpRefusal};

use crate::corpus::{self, Case};

const MILAN: &str = "snp/milan-v3-microsoft";
const TURIN: &str = "snp/turin-v5-microsoft";

fn genuine(id: &str) -> Option<Case> {
    let found = corpus::snp().into_iter().find(|c| c.id == id);
    if found.is_none() {
        println!("skipped: {id} is not there");
    }
    found
}

/// The refusal behind the signature's for a changed report; and that the change alone is refused for the signature.
fn behind_signature(case: &Case, change: impl Fn(&mut Vec<u8>)) -> SnpRefusal {
    let mut evidence = case.evidence.clone();
    change(&mut evidence.report);
    let attack = || snp::verify(&evidence, &PINNED_ROOTS, case.at);
    assert_eq!(attack().unwrap_err(), SnpRefusal::ReportSignature);
    without("snp_report_signature", attack).unwrap_err()
}

#[test]
fn a_version_never_seen_is_refused_rather_than_guessed() {
    let Some(case) = genuine(MILAN) else { return };
    for version in [0, 1, 6, 0xff] {
        let mut evidence = case.evidence.clone();
        evidence.report[0] = version;
        let refused = snp::verify(&evidence, &PINNED_ROOTS, case.at).unwrap_err();
        assert_eq!(refused, SnpRefusal::Version(version.into()));
    }
}

#[test]
fn bytes_above_384_bits_of_r_or_s_are_refused() {
    let Some(case) = genuine(MILAN) else { return };
    for at in [0x2a0 + 48, 0x2a0 + 71, 0x2e8 + 48, 0x2e8 + 71] {
        let mut evidence = case.evidence.clone();
        evidence.report[at] = 1;
        let refused = snp::verify(&evidence, &PINNED_ROOTS, case.at).unwrap_err();
        assert_eq!(refused, SnpRefusal::SignatureField, "byte {at:#x}");
    }
}

#[test]
fn another_signature_algorithm_is_refused() {
    let Some(case) = genuine(MILAN) else { return };
    assert_eq!(behind_signature(&case, |r| r[0x34] = 2), SnpRefusal::Algorithm(2));
}

#[test]
fn a_report_that_says_no_key_signed_it_is_refused() {
    let Some(case) = genuine(MILAN) else { return };
    for key in 2..8 {
        let refused = behind_signature(&case, |r| r[0x48] = key << 2);
        assert_eq!(refused, SnpRefusal::SigningKey(key.into()));
    }
}

#[test]
fn a_vcek_is_refused_for_a_report_that_names_a_vlek_and_the_other_way_round() {
    let Some(case) = genuine(MILAN) else { return };
    let refused = behind_signature(&case, |r| r[0x48] = 1 << 2);
    assert_eq!(refused, SnpRefusal::KeyKind { expected: SigningKey::Vlek });
    let Some(case) = genuine("snp/milan-v3-vlek-aws") else { return };
    let refused = behind_signature(&case, |r| r[0x48] &= !(7 << 2));
    assert_eq!(refused, SnpRefusal::KeyKind { expected: SigningKey::Vcek });
}

#[test]
fn a_product_that_is_not_the_chains_is_refused() {
    let Some(case) = genuine(MILAN) else { return };
    // Genoa's model, an unknown model, an unknown family.
    for (at, value) in [(0x189, 0x11), (0x189, 0x50), (0x188, 0x17)] {
        let refused = behind_signature(&case, |r| r[at] = value);
        assert!(matches!(refused, SnpRefusal::Product { .. }), "{at:#x}: {refused}");
    }
}

#[test]
fn reserved_policy_bits_are_refused() {
    let Some(case) = genuine(MILAN) else { return };
    // Bit 17 must be one; bits from 26 must be zero.
    let changes: [(usize, u8); 3] = [(0x0a, 1 << 1), (0x0b, 1 << 2), (0x0f, 1 << 7)];
    for (at, bit) in changes {
        let refused = behind_signature(&case, |r| r[at] ^= bit);
        assert!(matches!(refused, SnpRefusal::PolicyReserved(_)), "{at:#x}: {refused}");
    }
}

#[test]
fn each_component_of_the_reported_tcb_is_the_certificates() {
    // The layouts differ: Turin has FMC first.
    let layouts = [
        (MILAN, vec![("bootloader", 0), ("tee", 1), ("snp", 6), ("microcode", 7)]),
        (TURIN, vec![("fmc", 0), ("bootloader", 1), ("tee", 2), ("snp", 3), ("microcode", 7)]),
    ];
    for (id, layout) in layouts {
        let Some(case) = genuine(id) else { return };
        for (name, at) in layout {
            let refused = behind_signature(&case, |r| r[0x180 + at] ^= 0x40);
            let SnpRefusal::Tcb { component, report, certificate } = refused else {
                panic!("{id} {name}: {refused}");
            };
            assert_eq!((component, report ^ 0x40), (name, certificate), "{id}");
        }
    }
}

#[test]
fn a_chip_id_that_is_not_the_hwid_is_refused_in_every_byte() {
    for id in [MILAN, TURIN] {
        let Some(case) = genuine(id) else { return };
        for at in [0, 7, 8, 63] {
            assert_eq!(behind_signature(&case, |r| r[0x1a0 + at] ^= 1), SnpRefusal::ChipId, "{id}");
        }
    }
}

#[test]
fn firmware_that_went_back_is_refused() {
    let Some(case) = genuine(MILAN) else { return };
    // CURRENT at 0x38, COMMITTED at 0x1e0, LAUNCH at 0x1f0; the SNP component is byte 6.
    let down = |at: usize| behind_signature(&case, |r| r[at + 6] = 0);
    let order = |lower, upper| SnpRefusal::TcbOrder { lower, upper };
    assert_eq!(down(0x38), order("COMMITTED_TCB", "CURRENT_TCB"));
    assert_eq!(down(0x1e0), order("REPORTED_TCB", "COMMITTED_TCB"));
    let up = behind_signature(&case, |r| r[0x1f0 + 6] = 0xff);
    assert_eq!(up, order("LAUNCH_TCB", "CURRENT_TCB"));
}

#[test]
fn a_certificate_that_is_none_is_refused_for_its_form() {
    let Some(case) = genuine(MILAN) else { return };
    for junk in [Vec::new(), vec![0x30], vec![0; 64], vec![0x30; 20_000]] {
        let mut evidence = case.evidence.clone();
        evidence.endorsements[2] = junk;
        let refused = snp::verify(&evidence, &PINNED_ROOTS, case.at).unwrap_err();
        assert!(matches!(refused, SnpRefusal::Certificate { .. }), "{refused}");
    }
}

#[test]
fn bytes_after_a_certificate_are_refused() {
    let Some(case) = genuine(MILAN) else { return };
    let mut evidence = case.evidence.clone();
    evidence.endorsements[2].push(0);
    let refused = snp::verify(&evidence, &PINNED_ROOTS, case.at).unwrap_err();
    assert!(matches!(refused, SnpRefusal::Certificate { .. }), "{refused}");
}

#[test]
fn certificates_are_taken_in_any_order() {
    let Some(case) = genuine(MILAN) else { return };
    let mut evidence = case.evidence.clone();
    evidence.endorsements.reverse();
    assert!(snp::verify(&evidence, &PINNED_ROOTS, case.at).is_ok());
}
