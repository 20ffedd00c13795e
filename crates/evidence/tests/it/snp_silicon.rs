//! SEV-SNP on silicon of our own: all is signed as it should be, so every check stands alone. Each attack is refused for
//! exactly its reason, and passes once only that check is removed.

use evidence::appraise::{HardwareProfile, Knobs, Machines, appraise};
use evidence::controls::without;
use evidence::snp::{self, Product, SigningKey, SnpRefusal};
use evidence::statement::HostOs;
use evidence::{
    Authentic, HardwareEvidence, HardwareFacts, Isolation, Kind, MachineId, Measurement,
    RootDigest, Time,
};
use silicon::amd::{self, Machine, around, at};
use silicon::{Certificate, Key};

const NOW: Time = Time::from_unix(1_800_000_000);

fn machine(product: Product, key: SigningKey) -> Machine {
    Machine::new(product, key, around(NOW))
}

fn milan() -> Machine {
    machine(Product::Milan, SigningKey::Vcek)
}

fn verify(evidence: &HardwareEvidence) -> Result<Authentic<HardwareFacts>, SnpRefusal> {
    snp::verify(evidence, &[amd::root_of(evidence)], NOW)
}

/// A changed report, signed by the machine as if it were meant so.
fn reporting(machine: &Machine, change: impl Fn(&mut [u8])) -> HardwareEvidence {
    let mut report = machine.report();
    change(&mut report);
    machine.sign(&mut report);
    machine.evidence(report)
}

/// The refusal, and that nothing else stands in the way.
fn only(check: &'static str, evidence: &HardwareEvidence) -> SnpRefusal {
    let refused = verify(evidence).unwrap_err();
    let removed = without(check, || verify(evidence));
    assert!(removed.is_ok(), "without {check}: {removed:?}");
    refused
}

#[test]
fn every_family_and_key_of_our_silicon_is_authentic() {
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        for key in [SigningKey::Vcek, SigningKey::Vlek] {
            let m = machine(product, key);
            let facts = verify(&reporting(&m, |_| {})).unwrap();
            assert_eq!(facts.facts().measurement, Measurement::new([0x3e; 48]));
            assert_eq!(facts.holds_until(), m.vek.window.not_after);
        }
    }
}

#[test]
fn an_algorithm_a_key_a_chip_or_a_policy_that_is_not_the_certificates_is_refused_alone() {
    let m = milan();
    let algorithm = reporting(&m, |r| r[at::SIGNATURE_ALGO] = 2);
    assert_eq!(only("snp_algorithm", &algorithm), SnpRefusal::Algorithm(2));
    let vlek = reporting(&m, |r| r[at::KEY_INFO] = 1 << 2);
    assert_eq!(only("snp_key_kind", &vlek), SnpRefusal::KeyKind { expected: SigningKey::Vlek });
    let chip = reporting(&m, |r| r[at::CHIP_ID + 63] ^= 1);
    assert_eq!(only("snp_chip_id", &chip), SnpRefusal::ChipId);
    let policy = reporting(&m, |r| r[at::POLICY + 2] &= !2);
    assert!(matches!(only("snp_policy_reserved", &policy), SnpRefusal::PolicyReserved(_)));
    let product = reporting(&m, |r| r[at::CPUID + 1] = 0x11);
    assert!(matches!(only("snp_product", &product), SnpRefusal::Product { .. }));
    let unsigned = {
        let mut evidence = reporting(&m, |_| {});
        evidence.report[at::REPORT_DATA] ^= 1;
        evidence
    };
    assert_eq!(only("snp_report_signature", &unsigned), SnpRefusal::ReportSignature);
}

#[test]
fn a_vlek_for_a_report_that_names_a_vcek_is_refused_alone() {
    let m = machine(Product::Genoa, SigningKey::Vlek);
    let vcek = reporting(&m, |r| r[at::KEY_INFO] = 0);
    assert_eq!(only("snp_key_kind", &vcek), SnpRefusal::KeyKind { expected: SigningKey::Vcek });
}

#[test]
fn a_turin_chip_id_is_eight_bytes_and_zeros_and_an_empty_one_is_nobodys() {
    let m = machine(Product::Turin, SigningKey::Vcek);
    for byte in [0, 7, 8, 63] {
        let chip = reporting(&m, |r| r[at::CHIP_ID + byte] ^= 1);
        assert_eq!(only("snp_chip_id", &chip), SnpRefusal::ChipId, "byte {byte}");
    }
    // A masked chip matches no certificate, not even one that says the same.
    let mut masked = machine(Product::Milan, SigningKey::Vcek);
    masked.vek.extensions.last_mut().unwrap().2 = vec![0; 64];
    let zero = reporting(&masked, |r| r[at::CHIP_ID..at::CHIP_ID + 64].fill(0));
    assert_eq!(only("snp_chip_id", &zero), SnpRefusal::ChipId);
    masked.vek.extensions.last_mut().unwrap().2 = vec![0xc5; 65];
    let long = reporting(&masked, |_| {});
    assert_eq!(verify(&long).unwrap_err(), SnpRefusal::ChipId, "an id longer than the field");
}

#[test]
fn each_component_of_the_tcb_is_compared_alone() {
    let layouts: [(Product, &[(&str, usize)]); 2] = [
        (Product::Milan, &[("bootloader", 0), ("tee", 1), ("snp", 6), ("microcode", 7)]),
        (
            Product::Turin,
            &[("fmc", 0), ("bootloader", 1), ("tee", 2), ("snp", 3), ("microcode", 7)],
        ),
    ];
    for (product, layout) in layouts {
        let m = machine(product, SigningKey::Vcek);
        for (name, byte) in layout {
            // Lower by one, so that the order of the TCB values still holds.
            let other = reporting(&m, |r| r[at::REPORTED_TCB + byte] -= 1);
            let SnpRefusal::Tcb { component, .. } = only("snp_tcb", &other) else {
                panic!("{product:?} {name}")
            };
            assert_eq!(component, *name);
        }
    }
}

#[test]
fn firmware_that_went_back_is_refused_alone_in_every_pair() {
    let m = milan();
    let order = |lower, upper| SnpRefusal::TcbOrder { lower, upper };
    let (low, high) = (29, 31);
    let committed = reporting(&m, |r| r[at::COMMITTED_TCB + 6] = low);
    assert_eq!(only("snp_tcb_order", &committed), order("REPORTED_TCB", "COMMITTED_TCB"));
    let current = reporting(&m, |r| r[at::COMMITTED_TCB + 6] = high);
    assert_eq!(only("snp_tcb_order", &current), order("COMMITTED_TCB", "CURRENT_TCB"));
    let launch = reporting(&m, |r| r[at::LAUNCH_TCB + 6] = high);
    assert_eq!(only("snp_tcb_order", &launch), order("LAUNCH_TCB", "CURRENT_TCB"));
}

#[test]
fn each_certificate_is_in_force_from_its_first_second_to_its_last_and_no_longer() {
    type Pick = fn(&mut Machine) -> &mut Certificate;
    let picks: [(&str, Pick); 3] =
        [("ARK", |m| &mut m.ark), ("ASK", |m| &mut m.ask), ("VEK", |m| &mut m.vek)];
    for (who, pick) in picks {
        let mut m = milan();
        let (from, to) = (NOW.plus_secs(-10), NOW.plus_secs(10));
        pick(&mut m).window = evidence::Window { not_before: from, not_after: to };
        let evidence = reporting(&m, |_| {});
        let roots = [amd::root_of(&evidence)];
        let at = |t: Time| snp::verify(&evidence, &roots, t);
        let ends = [from.plus_secs(-1), from, to, to.plus_secs(1)];
        assert_eq!(ends.map(|t| at(t).is_ok()), [false, true, true, false], "{who}");
        for t in [ends[0], ends[3]] {
            assert!(matches!(at(t), Err(SnpRefusal::Expired { name, .. }) if name == who), "{who}");
            assert!(without("snp_window", || at(t)).is_ok(), "{who}");
        }
        assert_eq!(at(from).unwrap().holds_until(), to, "{who}: nothing outlives it");
    }
}

#[test]
fn a_certificate_by_any_other_key_under_the_right_name_is_refused_alone() {
    let m = milan();
    let thief = Key::rsa();
    let good = reporting(&m, |_| {});
    let forged = [
        (0, m.ark.signed_by(&thief), ("ARK", "itself")),
        (1, m.ask.signed_by(&thief), ("ASK", "the ARK")),
        (2, m.vek.signed_by(&thief), ("VEK", "the ASK")),
    ];
    for (place, certificate, (name, issuer)) in forged {
        let mut evidence = good.clone();
        evidence.endorsements[place] = certificate;
        let refused = only("snp_chain_signature", &evidence);
        assert_eq!(refused, SnpRefusal::ChainSignature { name, issuer });
    }
    // A genuine signature does not make an issuer of whoever is not named as one.
    let mut other = milan();
    other.vek.issuer = "SEV-Genoa".to_owned();
    let misnamed = reporting(&other, |_| {});
    let refused = only("snp_chain_signature", &misnamed);
    assert_eq!(refused, SnpRefusal::ChainSignature { name: "VEK", issuer: "the ASK" });
}

#[test]
fn a_look_alike_root_is_refused_alone() {
    let evidence = reporting(&milan(), |_| {});
    let attack = || snp::verify(&evidence, &snp::PINNED_ROOTS, NOW);
    assert!(matches!(attack(), Err(SnpRefusal::UntrustedRoot(_))));
    assert!(without("snp_pinned_root", attack).is_ok());
}

fn profile(facts: &Authentic<HardwareFacts>) -> HardwareProfile {
    HardwareProfile {
        id: "test".into(),
        kind: Kind::Snp,
        roots: vec![facts.facts().root],
        machines: Machines::AnyGenuine,
        images: vec![facts.facts().measurement],
        isolation: vec![Isolation::MachineExclusive],
        host: vec![HostOs::Measured],
        knobs: Knobs::Snp(Box::new(snp::Knobs::shipped("forensic-2026-11").unwrap().clone())),
    }
}

/// The profile refuses for this check and no other, and takes the evidence without it.
fn refuses(check: &'static str, facts: &Authentic<HardwareFacts>, profile: &HardwareProfile) {
    let judged = || appraise(facts, None, profile);
    assert_eq!(judged().failures().map(|c| c.name).collect::<Vec<_>>(), [check]);
    assert!(without(check, judged).is_accepted(), "{check}");
}

#[test]
fn a_debugged_guest_is_refused_alone() {
    let m = milan();
    let debugged = verify(&reporting(&m, |r| r[at::POLICY + 2] |= 1 << 3)).unwrap();
    refuses("snp_debug", &debugged, &profile(&debugged));
    let sound = verify(&reporting(&m, |_| {})).unwrap();
    assert!(appraise(&sound, None, &profile(&sound)).is_accepted());
}

#[test]
fn a_root_an_image_and_a_machine_refuse_alone_and_a_masked_machine_is_on_no_list() {
    let m = milan();
    let facts = verify(&reporting(&m, |_| {})).unwrap();
    let good = profile(&facts);
    let listed = |id: &[u8]| Machines::Only(vec![MachineId::new(id).unwrap()]);
    let other = HardwareProfile { roots: vec![RootDigest::new([1; 32])], ..good.clone() };
    refuses("root", &facts, &other);
    let other = HardwareProfile { images: vec![Measurement::new([1; 48])], ..good.clone() };
    refuses("image", &facts, &other);
    for near in [&[0xc5; 63][..], &[0xc5; 1], &[[0xc5; 63].as_slice(), &[0xc4]].concat()] {
        refuses("machine", &facts, &HardwareProfile { machines: listed(near), ..good.clone() });
    }
    let exact = HardwareProfile { machines: listed(&[0xc5; 64]), ..good };
    assert!(appraise(&facts, None, &exact).is_accepted());
    // A VLEK report may mask its chip: genuine, and no machine of any list.
    let vlek = machine(Product::Genoa, SigningKey::Vlek);
    let masked = verify(&reporting(&vlek, |r| r[at::CHIP_ID..at::CHIP_ID + 64].fill(0))).unwrap();
    assert_eq!(masked.facts().machine, None);
    let strict = HardwareProfile { machines: listed(&[0xc5; 64]), ..profile(&masked) };
    let verdict = without("machine", || appraise(&masked, None, &strict));
    assert_eq!(verdict.failures().map(|c| c.name).collect::<Vec<_>>(), ["machine"]);
}

#[test]
fn a_certificate_without_a_tcb_extension_or_with_a_malformed_one_is_refused() {
    let mut m = milan();
    let good = m.vek.extensions.clone();
    for place in 0..4 {
        for malformed in [None, Some([2, 1, 0x80].as_slice()), Some(&[2, 2, 0, 1]), Some(&[])] {
            m.vek.extensions = good.clone();
            match malformed {
                None => drop(m.vek.extensions.remove(place)),
                Some(der) => m.vek.extensions[place].2 = der.to_vec(),
            }
            let refused = verify(&reporting(&m, |_| {})).unwrap_err();
            assert_eq!(refused, SnpRefusal::Missing("TCB extension of the VCEK or VLEK"));
        }
    }
}

#[test]
fn a_root_of_no_known_family_is_refused_though_it_is_pinned() {
    let mut m = milan();
    for c in [&mut m.ark, &mut m.ask] {
        c.issuer = "ARK-Rome".to_owned();
    }
    m.ark.subject = "ARK-Rome".to_owned();
    let refused = verify(&reporting(&m, |_| {})).unwrap_err();
    assert!(matches!(refused, SnpRefusal::Product { chain, .. } if chain == "ARK-Rome"));
}
