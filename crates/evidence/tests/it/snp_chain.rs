//! SEV-SNP behind a vendor of our own: revocation lists, the choice among many certificates, which intermediate may sign what,
//! and the fields only a resigned report can change.

use evidence::controls::without;
use evidence::snp::{self, SnpRefusal};
use evidence::{Authentic, Detail, HardwareEvidence, HardwareFacts, Time};

use crate::amd_forge::{FROM, Machine, NOW, TO, VENDOR, at, crl, roots};

fn verify(e: &HardwareEvidence) -> Result<Authentic<HardwareFacts>, SnpRefusal> {
    snp::verify(e, &roots(), at(NOW))
}

fn facts(a: &Authentic<HardwareFacts>) -> &snp::Facts {
    match &a.facts().detail {
        Detail::Snp(f) => f,
        other => panic!("{other:?}"),
    }
}

const ISSUED: &str = "2026-05-01T00:00:00Z";
const NEXT: &str = "2026-07-01T00:00:00Z";

#[test]
fn what_our_own_vendor_makes_is_genuine_for_whoever_pins_it() {
    for machine in [Machine::chip(), Machine::provider()] {
        let evidence = machine.evidence(machine.report(|_| {}), &[]);
        let good = verify(&evidence).unwrap();
        assert_eq!(facts(&good).csp_id.as_deref(), machine.csp);
        assert_eq!(facts(&good).revocation_list, None);
        assert_eq!(good.facts().machine.is_some(), machine.hwid.is_some());
        let unpinned = snp::verify(&evidence, &snp::PINNED_ROOTS, at(NOW)).unwrap_err();
        assert!(matches!(unpinned, SnpRefusal::UntrustedRoot(_)));
    }
}

#[test]
fn a_revocation_list_of_the_root_is_checked_and_bounds_the_result() {
    let machine = Machine::chip();
    let with = |list| machine.evidence(machine.report(|_| {}), &[list]);
    let good = verify(&with(crl("ARK-Turin", &VENDOR.root, ISSUED, NEXT, &[77]))).unwrap();
    assert_eq!(good.holds_until(), at(NEXT));
    assert_eq!(facts(&good).revocation_list.unwrap().not_before, at(ISSUED));
    // A list of somebody else is about somebody else.
    let foreign = verify(&with(crl("ARK-Milan", &VENDOR.ask, ISSUED, NEXT, &[2]))).unwrap();
    assert_eq!(facts(&foreign).revocation_list, None);
    assert_eq!(foreign.holds_until(), at(TO));
}

#[test]
fn a_revoked_intermediate_is_refused() {
    let machine = Machine::chip();
    let list = crl("ARK-Turin", &VENDOR.root, ISSUED, NEXT, &[2]);
    let evidence = machine.evidence(machine.report(|_| {}), std::slice::from_ref(&list));
    assert_eq!(verify(&evidence).unwrap_err(), SnpRefusal::Revoked("ASK"));
    assert!(without("snp_revoked", || verify(&evidence)).is_ok());
    // The providers' intermediate has another number.
    let provider = Machine::provider();
    assert!(verify(&provider.evidence(provider.report(|_| {}), &[list])).is_ok());
}

#[test]
fn a_list_that_only_bears_the_roots_name_is_refused() {
    let machine = Machine::chip();
    let list = crl("ARK-Turin", &VENDOR.ask, ISSUED, NEXT, &[]);
    let evidence = machine.evidence(machine.report(|_| {}), &[list]);
    let refused = SnpRefusal::RevocationListSignature("ARK-Turin".into());
    assert_eq!(verify(&evidence).unwrap_err(), refused);
    assert!(without("snp_list_signature", || verify(&evidence)).is_ok());
}

#[test]
fn a_list_is_in_force_between_its_ends_and_at_them_only() {
    let machine = Machine::chip();
    let list = crl("ARK-Turin", &VENDOR.root, ISSUED, NEXT, &[]);
    let evidence = machine.evidence(machine.report(|_| {}), &[list]);
    let judged = |t: Time| snp::verify(&evidence, &roots(), t);
    for (t, good) in [
        (at(ISSUED).plus_secs(-1), false),
        (at(ISSUED), true),
        (at(NEXT), true),
        (at(NEXT).plus_secs(1), false),
    ] {
        match judged(t) {
            Ok(_) => assert!(good, "{t}"),
            Err(SnpRefusal::RevocationListExpired { .. }) => assert!(!good, "{t}"),
            Err(other) => panic!("{other}"),
        }
        assert!(without("snp_list_window", || judged(t)).is_ok());
    }
    // Of two lists the newer one counts.
    let older = crl("ARK-Turin", &VENDOR.root, FROM, NEXT, &[9]);
    let newer = crl("ARK-Turin", &VENDOR.root, ISSUED, NEXT, &[]);
    assert!(verify(&machine.evidence(machine.report(|_| {}), &[older, newer])).is_ok());
}

#[test]
fn among_the_certificates_of_one_chip_the_one_of_this_tcb_counts() {
    let (now, old) = (Machine::chip(), Machine { tcb: [1, 2, 3, 3, 4], ..Machine::chip() });
    for order in [[&old, &now], [&now, &old]] {
        let mut evidence = now.evidence(now.report(|_| {}), &[]);
        evidence.endorsements.truncate(3);
        evidence.endorsements.extend(order.map(|m| m.vek(9)));
        assert!(verify(&evidence).is_ok());
    }
    let mut evidence = now.evidence(now.report(|_| {}), &[]);
    evidence.endorsements.truncate(3);
    evidence.endorsements.push(old.vek(9));
    let refused = verify(&evidence).unwrap_err();
    let tcb = SnpRefusal::Tcb { component: "snp", report: 4, certificate: 3 };
    assert_eq!(refused, tcb);
    // Removed, the thief's firmware of yesterday passes for today's.
    assert!(without("snp_tcb", || verify(&evidence)).is_ok());
}

#[test]
fn a_chips_key_under_the_providers_intermediate_is_refused() {
    use crate::amd_forge::{Cert, certificate};
    let machine = Machine::chip();
    let mut evidence = machine.evidence(machine.report(|_| {}), &[]);
    // The same key and extensions, issued by the ASVK.
    let genuine = evidence::x509::Certificate::parse(&machine.vek(9)).unwrap();
    let extensions = genuine
        .extensions()
        .map(|(n, _)| (n.to_owned(), genuine.extension(n).unwrap().to_vec()))
        .collect();
    let cert = Cert {
        cn: "SEV-VCEK",
        issuer: "SEV-VLEK-Turin",
        serial: 9,
        spki: genuine.spki().to_vec(),
        extensions,
    };
    evidence.endorsements[3] = certificate(&cert, &VENDOR.asvk);
    let refused = SnpRefusal::KeyKind { expected: snp::SigningKey::Vcek };
    assert_eq!(verify(&evidence).unwrap_err(), refused);
    assert!(without("snp_key_kind", || verify(&evidence)).is_ok());
}

#[test]
fn reserved_bytes_and_contradictions_are_refused_though_the_chip_signed_them() {
    let machine = Machine::chip();
    let judge = |change: &dyn Fn(&mut [u8])| verify(&machine.evidence(machine.report(change), &[]));
    for byte in [0x4c, 0x18b, 0x19f, 0x1eb, 0x1ef, 0x208, 0x29f] {
        let change = |r: &mut [u8]| r[byte] = 1;
        let refused = judge(&change).unwrap_err();
        assert!(
            matches!(refused, SnpRefusal::Reserved { from, to } if (from..to).contains(&byte)),
            "{byte:#x}: {refused}"
        );
        assert!(without("snp_reserved", || judge(&change)).is_ok());
    }
    for (change, enabled) in [
        ((|r: &mut [u8]| r[0x48] |= 1) as fn(&mut [u8]), true),
        (|r: &mut [u8]| r[0x110] = 1, false),
    ] {
        assert_eq!(judge(&change).unwrap_err(), SnpRefusal::AuthorKey { enabled });
        assert!(without("snp_author_key_enabled", || judge(&change)).is_ok());
    }
    let both = |r: &mut [u8]| {
        r[0x48] |= 1;
        r[0x110] = 1;
    };
    assert!(judge(&both).is_ok());
}

#[test]
fn more_endorsements_than_a_chain_can_have_and_what_is_none_are_refused() {
    let machine = Machine::chip();
    let many = vec![VENDOR.ark.clone(); 40];
    let refused = verify(&machine.evidence(machine.report(|_| {}), &many)).unwrap_err();
    assert_eq!(refused, SnpRefusal::TooMany(44));
    let junk = machine.evidence(machine.report(|_| {}), &[b"junk".to_vec()]);
    assert!(matches!(verify(&junk).unwrap_err(), SnpRefusal::Certificate { .. }));
}

#[test]
fn a_certificate_table_is_taken_apart_and_its_lies_refused() {
    let v = &*VENDOR;
    let guid = |text: &str| hex::decode(text.replace('-', "")).unwrap();
    let rows = [
        (guid("c0b406a4-a803-4952-9743-3fb6014cd0ae"), v.ark.clone()),
        (guid("4ab7b379-bbac-4fe4-a02f-05aef327c782"), v.ask_cert.clone()),
        (guid("00000000-0000-0000-0000-0000000000ff"), b"of no known kind".to_vec()),
        (guid("63da758d-e664-4564-adc5-f4b93be8accd"), Machine::chip().vek(9)),
    ];
    let table = |tail: bool, lie: i64| {
        let (mut head, mut body) = (Vec::new(), Vec::new());
        let start = 24 * (rows.len() + usize::from(tail));
        for (guid, content) in &rows {
            let offset = i64::try_from(start + body.len()).unwrap() + lie;
            head.extend(guid);
            head.extend(u32::try_from(offset).unwrap().to_le_bytes());
            head.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
            body.extend(content);
        }
        if tail {
            head.extend([0; 24]);
        }
        [head, body].concat()
    };
    let good = table(true, 0);
    let entries = snp::table::parse(&good).unwrap();
    assert_eq!(entries.iter().map(|(_, c)| c.len()).collect::<Vec<_>>().len(), 3);
    let machine = Machine::chip();
    let mut evidence = machine.evidence(machine.report(|_| {}), &[]);
    evidence.endorsements = entries.into_iter().map(|(_, c)| c.to_vec()).collect();
    assert!(verify(&evidence).is_ok());
    for bad in
        [table(true, 1 << 20), table(true, 4_000_000_000), table(false, 0), vec![], vec![1; 300]]
    {
        assert!(matches!(snp::table::parse(&bad), Err(SnpRefusal::Table { .. })));
    }
    for cut in 0..96 {
        assert!(snp::table::parse(&good[..cut]).is_err(), "{cut}");
    }
}
