//! NVIDIA reports: every refusal for its own reason, and what the attack would have had without exactly its check.

use evidence::controls::without;
use evidence::nvidia::{
    Asked, Evidence, Knobs, NvidiaRefusal, PINNED_RIM_ROOTS, Roots, appraise, layout, parse, verify,
};
use evidence::x509::path::PathError;
use evidence::{Nonce, Time};
use rcgen::{CertificateParams, CustomExtension};

use crate::nvidia::{ROOTS, case, failed};
use crate::nvidia_silicon::{
    Device, FWID, Holder, Manifest, NONCE, NOW, Ocsp, SHA_384, Said, Signer, dice_fwid, good,
    tcb_info, tlv,
};

/// The refusal of what a device under the test's root signed.
fn refused(said: &Said) -> NvidiaRefusal {
    let device = Device::new("GH100");
    device.verify(&device.evidence(said)).unwrap_err()
}

#[test]
fn a_report_made_by_the_test_is_taken_before_anything_is_changed_in_it() {
    for (product, said) in [("GH100", Said::gpu()), ("LS_10", Said::switch())] {
        let device = Device::new(product);
        let facts = device.verify(&device.evidence(&said)).unwrap();
        assert_eq!(facts.facts().device.as_ref().unwrap().product, product);
        assert!(failed(&appraise(facts.facts(), &Knobs::forensic())).is_empty());
    }
}

#[test]
fn a_report_cut_anywhere_or_longer_than_any_is_refused() {
    let device = Device::new("GH100");
    let report = device.report(&Said::gpu());
    for len in 0..report.len() {
        let refused = parse(&report[..len]).unwrap_err();
        assert!(matches!(refused, NvidiaRefusal::Short { .. }), "{len}: {refused}");
    }
    let mut long = report;
    long.resize(layout::REPORT_MAX + 1, 0);
    assert_eq!(parse(&long).unwrap_err(), NvidiaRefusal::TooLong(layout::REPORT_MAX + 1));
}

#[test]
fn only_zeros_may_follow_the_signature() {
    let device = Device::new("GH100");
    let mut evidence = device.evidence(&Said::gpu());
    evidence.report.extend([0; 3]);
    assert_eq!(device.verify(&evidence).unwrap().facts().report.trailing, 3);
    evidence.report.push(1);
    assert_eq!(device.verify(&evidence).unwrap_err(), NvidiaRefusal::Trailing(4));
}

#[test]
fn another_message_version_or_flag_is_refused_though_a_device_signed_it() {
    // SPDM 1.0 and 1.2, other codes, no signature asked for, one measurement only; a response of another slot.
    for (at, value) in [(0, 0x10), (0, 0x12), (1, 0xe1), (2, 0), (3, 1)] {
        let mut said = Said::gpu();
        said.request[at] = value;
        assert!(matches!(refused(&said), NvidiaRefusal::Message { part: "request", .. }));
    }
    for (at, value) in [(0, 0x12), (1, 0x7f), (2, 1), (3, 1)] {
        let mut said = Said::gpu();
        said.response[at] = value;
        assert!(matches!(refused(&said), NvidiaRefusal::Message { part: "response", .. }));
    }
}

#[test]
fn measurement_blocks_that_are_no_digests_in_order_are_refused() {
    type Change = fn(&mut Said);
    let changes: [(Change, u8); 7] = [
        (|s| s.blocks[4].0 = 4, 4),
        (|s| s.blocks[4].0 = 3, 3),
        (|s| s.blocks[0].0 = 0, 0),
        (|s| s.blocks[4].1 = 2, 5),
        (|s| s.blocks[4].2 = 0x81, 5),
        (|s| s.blocks[4].3 = Vec::new(), 5),
        (|s| s.blocks[4].3 = vec![0; 65], 5),
    ];
    for (change, number) in changes {
        let mut said = Said::gpu();
        change(&mut said);
        let refused = refused(&said);
        assert!(
            matches!(refused, NvidiaRefusal::Record { index, .. } if index == number),
            "{refused}"
        );
    }
    let mut none = Said::gpu();
    none.blocks.clear();
    assert!(matches!(refused(&none), NvidiaRefusal::Record { index: 0, .. }));
}

#[test]
fn sizes_that_contradict_each_other_are_refused() {
    let device = Device::new("GH100");
    let report = device.report(&Said::gpu());
    let changed = |at: usize, value: u8| {
        let mut report = report.clone();
        report[at] = value;
        parse(&report).unwrap_err()
    };
    // Number of blocks; the first block's size and its value's size.
    assert!(matches!(changed(41, 63), NvidiaRefusal::Record { index: 63, .. }));
    assert!(matches!(changed(41, 65), NvidiaRefusal::Short { part: "measurement record", .. }));
    assert!(matches!(changed(47, 50), NvidiaRefusal::Record { index: 1, .. }));
    assert!(matches!(changed(50, 47), NvidiaRefusal::Record { index: 1, .. }));
}

#[test]
fn an_opaque_field_twice_cut_or_one_too_many_is_refused() {
    let mut twice = Said::gpu();
    twice.opaque.push((3, b"999.9\0".to_vec()));
    assert!(matches!(refused(&twice), NvidiaRefusal::Opaque { why: "occurs twice", .. }));
    let mut many = Said::gpu();
    many.opaque = (0..257).map(|id| (id, Vec::new())).collect();
    assert!(matches!(refused(&many), NvidiaRefusal::Opaque { why: "is one too many", .. }));
    // The last field's length points outside.
    let mut report = Device::new("GH100").report(&Said::gpu());
    let at = report.len() - 96 - 3;
    report[at] = 2;
    assert!(matches!(parse(&report), Err(NvidiaRefusal::Short { part: "opaque data", .. })));
}

#[test]
fn opaque_data_with_a_header_are_read_by_their_version_and_others_refused() {
    let device = Device::new("GH100");
    let said = Said { header: Some((0, 2, 1)), ..Said::gpu() };
    let facts = device.verify(&device.evidence(&said)).unwrap();
    let opaque = &facts.facts().report.opaque;
    assert_eq!((opaque.header, opaque.version()), (Some((2, 1)), Some(2)));
    assert_eq!(opaque.text(layout::FieldId::DRIVER_VERSION), Some("550.1"));
    for header in [(1, 2, 0), (0, 3, 0)] {
        let refused = refused(&Said { header: Some(header), ..Said::gpu() });
        assert!(matches!(refused, NvidiaRefusal::OpaqueVersion { .. }), "{refused}");
    }
}

#[test]
fn a_chain_that_is_missing_too_long_or_unreadable_is_refused() {
    let device = Device::new("GH100");
    let mut evidence = device.evidence(&Said::gpu());
    evidence.certificates.clear();
    assert_eq!(device.verify(&evidence).unwrap_err(), NvidiaRefusal::NoChain);
    evidence.certificates = vec![device.leaf.der.clone(); 17];
    let too_many = |what, got, most| NvidiaRefusal::TooMany { what, got, most };
    assert_eq!(device.verify(&evidence).unwrap_err(), too_many("certificates", 17, 16));
    evidence.certificates = device.chain();
    evidence.certificates[2] = vec![0x30, 0];
    let refused = device.verify(&evidence).unwrap_err();
    assert!(matches!(refused, NvidiaRefusal::Certificate { number: 3, .. }), "{refused}");
    evidence.certificates = device.chain();
    evidence.ocsp = vec![Vec::new(); 33];
    assert_eq!(device.verify(&evidence).unwrap_err(), too_many("OCSP responses", 33, 32));
    evidence.rims = vec![Vec::new(); 9];
    assert_eq!(device.verify(&evidence).unwrap_err(), too_many("RIMs", 9, 8));
}

#[test]
fn a_chain_that_does_not_lead_to_the_pinned_root_is_refused_for_what_is_wrong_with_it() {
    let (device, other) = (Device::new("GH100"), Device::new("GH100"));
    let evidence = device.evidence(&Said::gpu());
    // A root of the right name and another key.
    let attack = || other.verify(&evidence);
    assert!(matches!(attack(), Err(NvidiaRefusal::Path(PathError::UntrustedRoot(_)))));
    assert!(without("path_pinned_root", attack).is_ok());
    // A leaf that only names the authority.
    let mut forged = evidence.clone();
    forged.certificates[1] = other.boot.der.clone();
    let attack = || device.verify(&forged);
    assert!(matches!(attack(), Err(NvidiaRefusal::Path(PathError::Signature { .. }))));
    assert!(without("path_signature", attack).is_ok());
    // An intermediate is missing.
    let mut cut = evidence;
    cut.certificates.remove(1);
    let refused = device.verify(&cut).unwrap_err();
    assert!(matches!(refused, NvidiaRefusal::Path(PathError::MissingIssuer(_))), "{refused}");
}

#[test]
fn a_firmware_key_may_not_make_further_devices() {
    // Whoever holds one device's firmware key could otherwise certify leaves of its own.
    let device = Device::new("GH100");
    let made = Holder::new("Made by a firmware", Some(&device.leaf), |p| {
        let id = tlv(0x30, &[tlv(0xa6, &dice_fwid(SHA_384, &FWID))].concat());
        p.custom_extensions =
            vec![CustomExtension::from_oid_content(&[2, 23, 133, 5, 4, 1, 1], id)];
    });
    let mut chain = vec![made.der.clone()];
    chain.extend(device.chain());
    let rogue = Device { leaf: made, ..device };
    let mut evidence = rogue.evidence(&Said::gpu());
    evidence.certificates = chain;
    let attack = || rogue.verify(&evidence);
    assert!(matches!(attack(), Err(NvidiaRefusal::Path(PathError::NotCa(_)))));
    assert!(without("path_ca", attack).is_ok());
}

#[test]
fn certificates_above_the_leaf_are_taken_in_any_order_and_strangers_among_them_ignored() {
    let (device, other) = (Device::new("GH100"), Device::new("GH100"));
    let mut evidence = device.evidence(&Said::gpu());
    evidence.certificates[1..].reverse();
    evidence.certificates.insert(1, other.boot.der.clone());
    assert!(device.verify(&evidence).is_ok());
}

#[test]
fn the_chain_holds_from_its_first_second_on() {
    let Some(case) = case("h100-driver-550-nvtrust") else { return };
    let at = |text: &str, plus| {
        let at = Time::parse_rfc3339(text).unwrap().plus_secs(plus);
        verify(&case.evidence, &ROOTS, case.asked, at)
    };
    // The provisioner's and the identity's certificates begin last; none ends before the year 9999 does.
    let begin = "2022-03-01T00:00:00Z";
    assert!(matches!(at(begin, -1), Err(NvidiaRefusal::Path(PathError::Window { .. }))));
    assert!(without("path_window", || at(begin, -1)).is_ok());
    assert!(at(begin, 0).is_ok());
    assert!(at("9999-12-31T23:59:59Z", 0).is_ok());
}

#[test]
fn every_flipped_byte_of_a_genuine_report_is_refused() {
    for id in ["h100-driver-550-nvtrust", "ls10-switch-with-rim"] {
        let Some(mut case) = case(id) else { return };
        case.evidence.rims.clear();
        let genuine = case.evidence.report.clone();
        // Request, response, signature: nothing in a report is unsigned, and what may follow is zero.
        let ends = |at: &usize| *at < 60 || at + 110 > genuine.len() || at.is_multiple_of(29);
        for at in (0..genuine.len()).filter(ends) {
            let mut evidence = case.evidence.clone();
            evidence.report[at] ^= 1 << (at % 8);
            let got = verify(&evidence, &ROOTS, Asked::Unstated, case.at);
            assert!(got.is_err(), "{id} byte {at}");
        }
    }
}

#[test]
fn a_changed_report_would_be_taken_without_its_signature_and_only_then() {
    let Some(mut case) = case("h100-driver-550-nvtrust") else { return };
    // A measured value.
    case.evidence.report[60] ^= 1;
    let attack = || verify(&case.evidence, &ROOTS, case.asked, case.at);
    assert!(matches!(attack(), Err(NvidiaRefusal::ReportSignature(_))));
    assert!(without("nvidia_report_signature", attack).is_ok());
}

#[test]
fn another_devices_chain_is_refused_by_the_signature_and_behind_it_by_the_firmware_id() {
    let (Some(a), Some(b)) = (case("h100-driver-550-nvtrust"), case("h100-cert-hold")) else {
        return;
    };
    let mut evidence = a.evidence.clone();
    evidence.certificates = b.evidence.certificates;
    let attack = || verify(&evidence, &ROOTS, a.asked, a.at);
    assert!(matches!(attack(), Err(NvidiaRefusal::ReportSignature(_))));
    let behind = without("nvidia_report_signature", attack).unwrap_err();
    assert!(matches!(behind, NvidiaRefusal::Fwid { .. }), "{behind}");
}

#[test]
fn a_firmware_id_that_is_not_the_certificates_is_refused() {
    let with = |oid: &'static [u64], content: Option<Vec<u8>>| {
        Device::with("GH100", |p: &mut CertificateParams| {
            let extension = |c| CustomExtension::from_oid_content(oid, c);
            p.custom_extensions = content.clone().map(extension).into_iter().collect();
        })
    };
    let (old, new): (&[u64], &[u64]) = (&[2, 23, 133, 5, 4, 1], &[2, 23, 133, 5, 4, 1, 1]);
    let right =
        [Device::new("GH100"), with(new, Some(tcb_info(&FWID))), with(old, Some(tcb_info(&FWID)))];
    for device in right {
        assert!(device.verify(&device.evidence(&Said::gpu())).is_ok());
    }
    let sha256 = dice_fwid("2.16.840.1.101.3.4.2.1", &FWID);
    let wrong = [
        with(new, Some(tcb_info(&[1; 48]))),
        with(old, None),
        with(old, Some(tlv(0x30, &[]))),
        with(new, Some(tlv(0x30, &tlv(0xa6, &sha256)))),
        with(new, Some(FWID.to_vec())),
    ];
    for device in wrong {
        let evidence = device.evidence(&Said::gpu());
        let attack = || device.verify(&evidence);
        assert!(matches!(attack(), Err(NvidiaRefusal::Fwid { .. })));
        assert!(without("nvidia_fwid", attack).is_ok());
    }
    // Forty-seven bytes of it are not it.
    let short = refused(&Said::gpu().with(20, &FWID[..47]));
    assert!(matches!(short, NvidiaRefusal::Fwid { .. }));
}

#[test]
fn the_answer_to_another_nonce_is_a_replay() {
    let device = Device::new("GH100");
    let evidence = device.evidence(&Said::gpu());
    let roots = [device.root.digest()];
    let roots = Roots { device: &roots, rim: &PINNED_RIM_ROOTS };
    for bit in [0, 255] {
        let mut other = *NONCE.as_bytes();
        other[bit / 8] ^= 1 << (bit % 8);
        let expected = Nonce::new(other);
        let attack = || verify(&evidence, &roots, Asked::Nonce(expected), NOW);
        assert_eq!(attack().unwrap_err(), NvidiaRefusal::Nonce { expected, got: NONCE });
        assert!(without("nvidia_nonce", attack).is_ok());
    }
}

#[test]
fn a_manifest_root_is_none_for_devices() {
    let device = Device::new("GH100");
    let root = [device.root.digest()];
    let got = verify(
        &device.evidence(&Said::gpu()),
        &Roots { device: &[], rim: &root },
        Asked::Nonce(NONCE),
        NOW,
    );
    assert!(matches!(got, Err(NvidiaRefusal::Path(PathError::UntrustedRoot(_)))));
}

/// One change to bytes: a flip, a cut, a copy of a part elsewhere.
fn mutated(bytes: &mut Vec<u8>, kind: u8, at: usize, with: u8) {
    let at = at % bytes.len().max(1);
    match kind % 4 {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << (with % 8),
        1 if !bytes.is_empty() => bytes[at] = with,
        2 => bytes.truncate(at),
        _ => {
            let part = bytes[at..bytes.len().min(at + usize::from(with))].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(192))]

    #[test]
    fn bytes_of_any_kind_give_an_error_and_never_panic(
        junk in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
        changes in proptest::collection::vec(
            (0_u8..4, 0_usize..8192, proptest::prelude::any::<u8>()), 1..6),
    ) {
        let (device, parts) = made();
        let mut changed = parts.clone();
        for (kind, at, with) in changes {
            changed.iter_mut().for_each(|part| mutated(part, kind, at, with));
        }
        let [report, manifest, answer] = changed;
        for report in [&junk, &report] {
            if let Ok(r) = parse(report) {
                proptest::prop_assert_eq!(r.signed_len + 96 + r.trailing, report.len());
            }
            let _ = evidence::x509::ocsp::Ocsp::parse(report);
        }
        let evidence = Evidence {
            report: parts[0].clone(),
            certificates: device.chain(),
            rims: vec![junk.clone(), manifest],
            ocsp: vec![junk, answer],
        };
        let facts = device.verify(&evidence).unwrap();
        let checks = appraise(facts.facts(), &Knobs::forensic());
        proptest::prop_assert!(failed(&checks).contains(&"rim"));
    }
}

/// A device with a report, a manifest and an answer, made once.
fn made() -> &'static (Device, [Vec<u8>; 3]) {
    static MADE: std::sync::OnceLock<(Device, [Vec<u8>; 3])> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        let device = Device::new("GH100");
        let manifest = Signer::new(&device).manifest(&Manifest::vbios()).into_bytes();
        let answer = Ocsp::new(&device.boot, &device.identity, good()).encode();
        let report = device.report(&Said::gpu());
        (device, [report, manifest, answer])
    })
}
