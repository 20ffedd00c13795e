//! AMD's objects one by one, behind a vendor of our own: what is kept, and what only looks like it.

use evidence::RootDigest;
use evidence::bytes::sha256;
use evidence::controls::without;
use evidence::snp::{self, About, Endorsement, EndorsementRefusal, Product, SigningKey};
use silicon::amd::{Machine, around};
use silicon::certificate::Crl;

use crate::amd_forge::{NOW, at};

fn machine(key: SigningKey) -> Machine {
    Machine::new(Product::Turin, key, around(at(NOW)))
}

fn list(m: &Machine, key: &silicon::key::Key) -> Vec<u8> {
    let window = around(at(NOW));
    let issuer = "ARK-Turin".to_owned();
    let (this_update, next_update) = (window.not_before, Some(window.not_after));
    let list = Crl { issuer, this_update, next_update, serials: vec![], extensions: vec![] };
    assert_eq!(m.product, Product::Turin);
    list.signed_by(key)
}

#[test]
fn every_rank_is_taken_with_its_issuer_and_refused_without() {
    for key in [SigningKey::Vcek, SigningKey::Vlek] {
        let m = machine(key);
        let chain = m.certificates();
        let roots = [RootDigest::new(sha256(&chain[0]))];
        let mut known = Vec::new();
        for der in &chain {
            if !known.is_empty() {
                let alone = Endorsement::verify(der, &[], &roots).unwrap_err();
                assert!(matches!(alone, EndorsementRefusal::IssuerMissing(_)), "{alone}");
            }
            known.push(Endorsement::verify(der, &known, &roots).unwrap());
        }
        let mut raw = m.report();
        m.sign(&mut raw);
        let report = snp::parse(&raw).unwrap();
        assert!(known[2].is_key_of(&report) && known[2].has_signed(&raw, &report));
        assert!(!known[1].is_key_of(&report) && !known[0].is_key_of(&report));
        raw[0x90] ^= 1;
        assert!(!known[2].has_signed(&raw, &report));
    }
}

#[test]
fn a_root_that_is_not_pinned_is_not_kept() {
    let [ark, ..] = machine(SigningKey::Vcek).certificates();
    let kept = || Endorsement::verify(&ark, &[], &snp::PINNED_ROOTS);
    assert!(matches!(kept().unwrap_err(), EndorsementRefusal::UntrustedRoot(_)));
    assert!(without("snp_endorsement_root", kept).is_ok());
}

#[test]
fn what_only_bears_its_issuers_name_is_not_kept() {
    let m = machine(SigningKey::Vcek);
    let [ark, ..] = m.certificates();
    let roots = [RootDigest::new(sha256(&ark))];
    let known = [Endorsement::verify(&ark, &[], &roots).unwrap()];
    let forged = m.ask.signed_by(&m.ask_key);
    let kept = || Endorsement::verify(&forged, &known, &roots);
    assert_eq!(kept().unwrap_err(), EndorsementRefusal::Signature("ARK"));
    assert!(without("snp_endorsement_signature", kept).is_ok());

    let good = Endorsement::verify(&list(&m, &m.ark_key), &known, &roots).unwrap();
    assert_eq!((good.about, good.window), (About::RevocationList, around(at(NOW))));
    let forged = list(&m, &m.ask_key);
    let kept = || Endorsement::verify(&forged, &known, &roots);
    assert_eq!(kept().unwrap_err(), EndorsementRefusal::Signature("ARK"));
    assert!(without("snp_endorsement_list_signature", kept).is_ok());
}

#[test]
fn a_stored_revocation_list_counts_whatever_else_the_evidence_brings() {
    let m = machine(SigningKey::Vcek);
    let chain = m.certificates();
    let roots = [RootDigest::new(sha256(&chain[0]))];
    let mut stored = Vec::new();
    for der in chain.iter().chain([&list(&m, &m.ark_key)]) {
        stored.push(Endorsement::verify(der, &stored, &roots).unwrap());
    }
    let mut raw = m.report();
    m.sign(&mut raw);
    for mask in 0..8_usize {
        let own = (0..3).filter(|i| mask & (1 << i) != 0).map(|i| chain[i].clone());
        let own = own.collect::<Vec<_>>();
        let taken = snp::lacking(&raw, &own, &stored);
        assert_eq!(taken.len(), 4 - own.len(), "{mask:b}");
        let endorsements =
            own.into_iter().chain(taken.iter().map(|e| e.der().to_vec())).collect::<Vec<_>>();
        let evidence = evidence::HardwareEvidence {
            kind: evidence::Kind::Snp,
            report: raw.clone(),
            endorsements,
        };
        snp::verify(&evidence, &roots, at(NOW)).unwrap();
        assert!(taken.iter().any(|e| e.about == About::RevocationList), "{mask:b}");
    }
    // A store without the intermediate still knows the family by its root.
    let few = [stored[0].clone(), stored[3].clone()];
    let taken = snp::lacking(&raw, &chain[1..], &few);
    assert!(taken.iter().any(|e| e.about == About::RevocationList));
}
